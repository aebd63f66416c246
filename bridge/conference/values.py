"""The words of the conference core: kinds, roles, states, sessions, settings; plain frozen values.

Must not know what happens to any of them.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from bridge.frozen import frozen
from bridge.units import ConfMs, NowNs, SessionId


class Instant(NamedTuple):
    """One moment on both clocks (D19)."""

    now_ns: NowNs
    conf_ms: ConfMs


class LegKind(Enum):
    """How a leg came in; decides what it may cost (R1, R2, R4, R14)."""

    TOLL_FREE = "toll_free"
    TOLL = "toll"
    VOIP = "voip"
    CALL_ME = "call_me"


class Role(Enum):
    """What a participant may do."""

    PARTICIPANT = "participant"
    ORGANIZER = "organizer"


class StartPolicy(Enum):
    """When a session starts (D2)."""

    ON_JOIN = "on_join"
    ON_COMMAND = "on_command"


class Entry(Enum):
    """What the others hear when somebody joins or leaves (R18)."""

    TONE = "tone"
    NAME = "name"  # the name that was recorded on the way in; a tone for who said none
    NOTHING = "nothing"


class LegState(Enum):
    """Where a leg is in its life."""

    __hash__ = object.__hash__  # members are unique; Enum's own hash is a call of its own

    INVITED = "invited"  # its number or code is fine; media is being set up
    ANSWERED = "answered"  # 200 is on its way, the ACK has not come
    DIALLED = "dialled"  # Call Me: the bridge calls, nobody has answered
    RESTING = "resting"  # Call Me: to be tried again later
    ASKED = "asked"  # Call Me: answered, must press 1 to be let in (D11)
    PROMPTED = "prompted"  # hears the greeting, keys the access code
    SECURED = "secured"  # its access code was right, keys the security code (R18)
    NAMING = "naming"  # is asked to say its name
    WAITING = "waiting"  # in the waiting room (D3); an organizer here is hosting (D2)
    JOINED = "joined"  # in the conference
    LEAVING = "leaving"  # hears a last prompt, then is hung up
    ENDED = "ended"


@frozen
class SessionSpec:
    """A scheduled session.

    Attributes:
        toll_free: ISO 3166 alpha-2 countries whose toll-free numbers are offered (R11).
        opens, closes: time window; None for a standing room that works by occurrences (D6).
        security_code: asked for after the access code (R18); "" for none.
        entry, participants_max, continue_ms: as in `ConferenceConfig`, where they stand for
            sessions that say nothing.
    """

    id: SessionId
    account: str
    access_code: str
    organizer_pin: str
    start: StartPolicy = StartPolicy.ON_JOIN
    toll_free: frozenset[str] = frozenset()
    opens: ConfMs | None = None
    closes: ConfMs | None = None
    security_code: str = ""
    entry: Entry | None = None
    participants_max: int | None = None
    continue_ms: int | None = None


KEYS_DEFAULT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "start": "*1",
        "mute": "*2",
        "record": "*3",
        "mute_all": "*5",
        "lock": "*7",
        "lecture": "*8",
        "raise_hand": "*9",
        "help": "*#",
        "leave": "#2",
        "roll_call": "#3",
    }
)
"""The keys of each control (R18). "" switches a control off; `*0` always begins a PIN (D20)."""


@frozen
class ConferenceConfig:
    """What the core is told once. Names in comments are those of the configuration file.

    Zero means: for `waiting_timeout_ms` no time-out, for a warning no warning, for
    `empty_close_ms` and `organizer_gone_ms` at once.
    """

    waiting_timeout_ms: int = 300_000  # waiting_room.timeout_s (D1)
    waiting_warning_ms: int = 30_000  # waiting_room.warning_s: before the end
    waiting_keys_count: bool = True  # waiting_room.keys_count
    code_tries: int = 3  # conference.tries
    code_timeout_ns: int = 20_000_000_000  # conference.code_timeout_s: no key at the prompt
    key_timeout_ns: int = 3_000_000_000  # conference.key_timeout_s: between keys
    last_prompt_ns_max: int = 15_000_000_000  # a leg that is LEAVING is hung up by then
    empty_close_ms: int = 1_800_000  # conference.empty_close_s (D6)
    organizer_gone_ms: int = 3_600_000  # conference.continue_s (D17)
    organizer_gone_warning_ms: int = 60_000  # conference.continue_warning_s
    participants_max: int = 500  # conference.participants_max (R18)
    entry: Entry = Entry.TONE  # conference.entry
    name_ns: int = 4_000_000_000  # conference.name_s: to say one's name in
    pin_window_ns: int = 10_000_000_000  # after the code, `*` begins a PIN for this long
    control_pause_ns: int = 1_500_000_000  # within that, a lone `*d` acts after this pause
    keys: Mapping[str, str] = field(default_factory=lambda: KEYS_DEFAULT)  # keys.*
    guard_delay_ns: int = 0  # guard.delay_s: doubled by each wrong guess of a source
    guard_delay_max_ns: int = 8_000_000_000  # guard.delay_max_s
    guard_source_tries: int = 0  # guard.source_tries: wrong guesses that lock a source out
    guard_session_tries: int = 0  # guard.session_tries: wrong PINs that lock a session's out
    guard_lockout_ns: int = 300_000_000_000  # guard.lockout_s
    guard_forget_ns: int = 600_000_000_000  # guard.forget_s: after the last wrong guess
    call_me_countries: frozenset[str] = frozenset()  # call_me.countries; none: no Call Me
    call_me_ring_ms: int = 45_000  # call_me.ring_s
    call_me_accept_ms: int = 40_000  # call_me.accept_s
    call_me_retries: int = 2  # call_me.retries: further tries when busy or not answered
    call_me_retry_after_ms: int = 60_000  # call_me.retry_after_s
    language: str = "en"  # prompts.language: where no country says otherwise
    recording: bool = False  # recording.directory is set: conferences can be recorded
    recording_on: bool = False  # recording.on_start: every conference is, from its start
    entry_count: bool = False  # conference.entry_count: who joins late hears how many are there
