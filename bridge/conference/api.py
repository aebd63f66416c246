"""What goes into the conference core and what comes out of it; plain frozen values.

`Conference.step(event, at) -> ConferenceEffects`. The core owns every decision about who may
hear whom and which facts are true. It knows legs, codes, keys and times; it knows no SIP
message, no sample, no socket and no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from bridge.units import ConfMs, LegId, NowNs, OccurrenceId, SessionId


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


class LegState(Enum):
    """Where a leg is in its life."""

    INVITED = "invited"  # its number or code is fine; media is being set up
    ANSWERED = "answered"  # 200 is on its way, the ACK has not come
    PROMPTED = "prompted"  # hears the greeting, keys the access code
    WAITING = "waiting"  # in the waiting room (D3); an organizer here is hosting (D2)
    JOINED = "joined"  # in the conference
    LEAVING = "leaving"  # hears a last prompt, then is hung up
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """A scheduled session.

    Attributes:
        toll_free: ISO 3166 alpha-2 countries whose toll-free numbers are offered (R11).
        opens, closes: time window; None for a standing room that works by occurrences (D6).
    """

    id: SessionId
    account: str
    access_code: str
    organizer_pin: str
    start: StartPolicy = StartPolicy.ON_JOIN
    toll_free: frozenset[str] = frozenset()
    opens: ConfMs | None = None
    closes: ConfMs | None = None


@dataclass(frozen=True, slots=True)
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
    entry_tones: bool = True  # conference.entry_tones
    pin_window_ns: int = 10_000_000_000  # after the code, `*` begins a PIN for this long
    control_pause_ns: int = 1_500_000_000  # within that, a lone `*d` acts after this pause


# --- in: what happened to a leg -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LegInvited:
    """A call came in. Answered at once by `OpenMedia` or `RefuseLeg`.

    Attributes:
        user: dialled user part: a DID in any usual notation, "join", or an access code.
        ani: the caller's number, "" when anonymous.
        trunk: id of the trunk the call came from; None when from no trunk.
    """

    leg: LegId
    user: str
    ani: str
    trunk: str | None
    display_name: str = ""
    diversion: str | None = None


@dataclass(frozen=True, slots=True)
class LegReady:
    """The leg has its slot and port: the bridge may decide to answer it."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class LegAbandoned:
    """The leg could not be answered (no port, store refused): forget it, with no fact."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class LegConfirmed:
    """The ACK came: prompts may play, keys may come, a VoIP leg may be let in."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class LegKey:
    """One key, in "0123456789*#ABCD", however it came."""

    leg: LegId
    key: str


@dataclass(frozen=True, slots=True)
class LegPlayed:
    """What `PlayPrompts` with this token asked for came to its end by itself."""

    leg: LegId
    token: int


@dataclass(frozen=True, slots=True)
class LegHungUp:
    """The other side ended the leg, or SIP did. `cause` is a stable snake_case word.

    For an INVITED leg: cancelled before it was answered, no fact. A late one is a no-op.
    """

    leg: LegId
    cause: str


@dataclass(frozen=True, slots=True)
class LegLost:
    """The leg is declared dead (D12): it ends, and is billed, at `last_packet`."""

    leg: LegId
    last_packet: ConfMs
    cause: str = "rtp_timeout"


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline of the last effects is due, on either clock."""


# --- in: orders ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PutSession:
    """Create or change a session. Its id, access code and PIN never change afterwards (R10)."""

    spec: SessionSpec


@dataclass(frozen=True, slots=True)
class SetTollFree:
    """An administrator switches an account's toll-free numbers on or off (R13, D16)."""

    account: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class StartSession:
    """Start by command (D2). Refused when no organizer's leg is present or already started."""

    session: SessionId
    by: str


@dataclass(frozen=True, slots=True)
class EndSession:
    """End the session's open occurrence: every leg leaves."""

    session: SessionId
    by: str


@dataclass(frozen=True, slots=True)
class CancelSession:
    """Cancel: who waits is sent away, and the access code is not accepted any more (R6)."""

    session: SessionId
    by: str


@dataclass(frozen=True, slots=True)
class MuteLeg:
    """Mute or unmute one leg."""

    leg: LegId
    muted: bool


@dataclass(frozen=True, slots=True)
class KickLeg:
    """End one leg."""

    leg: LegId
    by: str


@dataclass(frozen=True, slots=True)
class LockSession:
    """Let nobody else in (R18), or let people in again."""

    session: SessionId
    locked: bool
    by: str


@dataclass(frozen=True, slots=True)
class SetLecture:
    """Lecture mode (R18): participants are heard only when an organizer gives them the floor."""

    session: SessionId
    on: bool
    by: str


@dataclass(frozen=True, slots=True)
class MuteAll:
    """Mute every participant who is no organizer, or unmute all of them."""

    session: SessionId
    muted: bool
    by: str


@dataclass(frozen=True, slots=True)
class RaiseHand:
    """A participant asks for the floor, or no longer does (R18)."""

    leg: LegId
    raised: bool


@dataclass(frozen=True, slots=True)
class SetVolume:
    """How loud one leg is in the mix, in dB; 0 is as it came."""

    leg: LegId
    gain_db: int
    by: str


@dataclass(frozen=True, slots=True)
class MoveLeg:
    """Take one leg into another session of the same account; it is let in there."""

    leg: LegId
    session: SessionId
    by: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Play a prompt or a file that the server made ready to everybody in a session, or to a leg."""

    session: SessionId
    prompt: str
    by: str
    leg: LegId | None = None


@dataclass(frozen=True, slots=True)
class RecordSession:
    """Switch the recording of a session on or off (R12); it runs from the start at the earliest."""

    session: SessionId
    on: bool
    by: str


@dataclass(frozen=True, slots=True)
class CallMe:
    """Dial a participant (R14, D11). `leg` is chosen by the caller of this order.

    Attributes:
        number: E.164; refused when premium-rate or outside the account's allow-list.
        name: who is called, for rosters.
    """

    leg: LegId
    session: SessionId
    number: str
    name: str
    by: str


ConferenceEvent = (
    LegInvited
    | LegReady
    | LegAbandoned
    | LegConfirmed
    | LegKey
    | LegPlayed
    | LegHungUp
    | LegLost
    | Tick
    | PutSession
    | SetTollFree
    | StartSession
    | EndSession
    | CancelSession
    | MuteLeg
    | KickLeg
    | LockSession
    | SetLecture
    | MuteAll
    | RaiseHand
    | SetVolume
    | MoveLeg
    | Announce
    | RecordSession
    | CallMe
)

# --- out: commands ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenMedia:
    """Get a slot and a port for the leg, then say `LegReady` or `LegAbandoned`."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class RefuseLeg:
    """Answer the INVITE with a failure; the leg is forgotten."""

    leg: LegId
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class AnswerLeg:
    """Send 200, once the `leg.answered` fact beside it is committed."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class HangUpLeg:
    """Send BYE and free the slot. `reason` goes into the Reason header."""

    leg: LegId
    reason: str


@dataclass(frozen=True, slots=True)
class PlayPrompts:
    """Play prompts, by name, to one leg instead of what plays now."""

    leg: LegId
    prompts: tuple[str, ...]
    token: int
    loop: bool = False


@dataclass(frozen=True, slots=True)
class StopPrompts:
    """Stop what plays to one leg."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class EnterMix:
    """Put the leg into its occurrence's mix. A mix exists while it has a leg."""

    leg: LegId
    occurrence: OccurrenceId


@dataclass(frozen=True, slots=True)
class LeaveMix:
    """Take the leg out of the mix it is in."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class SetLegMuted:
    """Whether the leg's voice goes into the mix."""

    leg: LegId
    muted: bool


@dataclass(frozen=True, slots=True)
class PlayToMix:
    """Mix a sound into what everybody in an occurrence hears."""

    occurrence: OccurrenceId
    prompt: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An order (not a leg) was refused; `code` is stable snake_case, `message` for people."""

    code: str
    message: str


ConferenceCommand = (
    OpenMedia
    | RefuseLeg
    | AnswerLeg
    | HangUpLeg
    | PlayPrompts
    | StopPrompts
    | EnterMix
    | LeaveMix
    | SetLegMuted
    | PlayToMix
    | Refused
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is true and will be billed by (D4). Committed before the commands beside it.

    Attributes:
        id: `<leg>/<n>` or `<occurrence>/<n>`, n from 1 without gaps.
        type: of D4's vocabulary: "leg.answered", "session.started", ...
        at: conference time at which it became true (for a lost leg: its last packet).
        subject: the leg or occurrence of the id.
        data: what billing needs, JSON values only; see docs/facts.md.
    """

    id: str
    type: str
    at: ConfMs
    subject: str
    data: Mapping[str, str | int | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people watch but nobody is billed by: "participant.muted", "hand_raised".

    Not committed and not counted; facts are. One notice for each change, whichever way it came.

    Attributes:
        type: "participant.muted", "participant.unmuted", "participant.hand_raised", ...
        data: JSON values only, with `reason` or `by`.
    """

    type: str
    at: ConfMs
    session: SessionId | None
    account: str | None
    leg: LegId | None = None
    data: Mapping[str, str | int | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConferenceEffects:
    """All that one step wants done: commit the facts, then carry out the commands, in order.

    Attributes:
        deadline_ns: when to step with `Tick` on the monotonic clock; None when nothing waits.
        deadline_conf: the same on the conference clock.
    """

    facts: tuple[Fact, ...] = ()
    commands: tuple[ConferenceCommand, ...] = ()
    deadline_ns: NowNs | None = None
    deadline_conf: ConfMs | None = None
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class LegView:
    """One leg as rosters show it."""

    leg: LegId
    kind: LegKind
    country: str
    ani: str
    state: LegState
    role: Role
    muted: bool
    session: SessionId | None
    occurrence: OccurrenceId | None
    answered_at: ConfMs | None
    waiting_since: ConfMs | None
    joined_at: ConfMs | None
    display_name: str = ""
