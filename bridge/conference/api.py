"""The door of the conference core: all that goes into it and comes out of it.

`Conference.step(event, at) -> ConferenceEffects`. The core owns every decision about who may
hear whom and which facts are true. It knows legs, codes, keys and times; it knows no SIP
message, no sample, no socket and no clock. What goes in is in `events`, the words are in
`values`; both are to be had from here.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple

from bridge.conference.events import (
    Announce,
    CallMe,
    CancelSession,
    ConferenceEvent,
    EndSession,
    KickLeg,
    LegAbandoned,
    LegAnswered,
    LegConfirmed,
    LegHeld,
    LegHungUp,
    LegInvited,
    LegKey,
    LegLost,
    LegNamed,
    LegPlayed,
    LegReady,
    LegRinging,
    LegTalked,
    LockSession,
    MoveLeg,
    MuteAll,
    MuteLeg,
    PutSession,
    RaiseHand,
    RecordSession,
    SetLecture,
    SetTollFree,
    SetVolume,
    StartSession,
    Tick,
)
from bridge.conference.values import (
    KEYS_DEFAULT,
    ConferenceConfig,
    Entry,
    Instant,
    LegKind,
    LegState,
    Role,
    SessionSpec,
    StartPolicy,
)
from bridge.frozen import frozen
from bridge.units import ConfMs, LegId, NowNs, OccurrenceId, SessionId

__all__ = [
    "KEYS_DEFAULT",
    "Announce",
    "AnswerLeg",
    "CallMe",
    "CancelDial",
    "CancelSession",
    "ConferenceCommand",
    "ConferenceConfig",
    "ConferenceEffects",
    "ConferenceEvent",
    "DialLeg",
    "EndSession",
    "EnterMix",
    "Entry",
    "Fact",
    "HangUpLeg",
    "Instant",
    "KickLeg",
    "LeaveMix",
    "LegAbandoned",
    "LegAnswered",
    "LegConfirmed",
    "LegHeld",
    "LegHungUp",
    "LegInvited",
    "LegKey",
    "LegKind",
    "LegLost",
    "LegNamed",
    "LegPlayed",
    "LegReady",
    "LegRinging",
    "LegState",
    "LegTalked",
    "LegView",
    "LockSession",
    "MoveLeg",
    "MuteAll",
    "MuteLeg",
    "Notice",
    "OccurrenceView",
    "OpenMedia",
    "PlayPrompts",
    "PlayToMix",
    "PutSession",
    "RaiseHand",
    "RecordName",
    "RecordSession",
    "RefuseLeg",
    "Refused",
    "Role",
    "SessionSpec",
    "SetLecture",
    "SetLegGain",
    "SetLegMuted",
    "SetTollFree",
    "SetVolume",
    "StartMixRecording",
    "StartPolicy",
    "StartSession",
    "StopMixRecording",
    "StopName",
    "StopPrompts",
    "Tick",
]

# --- out: commands ------------------------------------------------------------------------


@frozen
class OpenMedia:
    """Get a slot and a port for the leg, then say `LegReady` or `LegAbandoned`.

    An outbound leg is new to the server, or new again when it is tried once more.
    """

    leg: LegId
    outbound: bool = False


@frozen
class DialLeg:
    """Call a number (D11). `LegRinging`, `LegAnswered` or `LegHungUp` follow."""

    leg: LegId
    number: str
    name: str


@frozen
class CancelDial:
    """Give up a call that was not answered, and free its slot; what follows of it is late."""

    leg: LegId


@frozen
class RefuseLeg:
    """Answer the INVITE with a failure; the leg is forgotten."""

    leg: LegId
    status: int
    reason: str


@frozen
class AnswerLeg:
    """Send 200, once the `leg.answered` fact beside it is committed."""

    leg: LegId


@frozen
class HangUpLeg:
    """Send BYE and free the slot. `reason` goes into the Reason header."""

    leg: LegId
    reason: str


@frozen
class PlayPrompts:
    """Play prompts, by name, to one leg instead of what plays now."""

    leg: LegId
    prompts: tuple[str, ...]
    token: int
    loop: bool = False
    language: str = "en"


@frozen
class StopPrompts:
    """Stop what plays to one leg."""

    leg: LegId


@frozen
class EnterMix:
    """Put the leg into its occurrence's mix. A mix exists while it has a leg."""

    leg: LegId
    occurrence: OccurrenceId


@frozen
class LeaveMix:
    """Take the leg out of the mix it is in."""

    leg: LegId


@frozen
class SetLegMuted:
    """Whether the leg's voice goes into the mix."""

    leg: LegId
    muted: bool


@frozen
class SetLegGain:
    """How loud the leg's voice goes into the mix, in dB; 0 is as it came."""

    leg: LegId
    gain_db: int


@frozen
class PlayToMix:
    """Mix sounds, one after the other, into what everybody in an occurrence hears."""

    occurrence: OccurrenceId
    prompts: tuple[str, ...]
    language: str = "en"


@frozen
class RecordName:
    """Make what the leg says next a clip of this name; `LegNamed` follows, within `time_ns`."""

    leg: LegId
    clip: str
    time_ns: int


@frozen
class StopName:
    """End what `RecordName` began: `LegNamed` follows at once, if it has not come."""

    leg: LegId


@frozen
class StartMixRecording:
    """Record an occurrence's mix from now on, as its part number `part` (R12)."""

    occurrence: OccurrenceId
    session: SessionId
    part: int


@frozen
class StopMixRecording:
    """Close the recording of an occurrence."""

    occurrence: OccurrenceId


@frozen
class Refused:
    """An order (not a leg) was refused; `code` is stable snake_case, `message` for people."""

    code: str
    message: str


ConferenceCommand = (
    OpenMedia
    | DialLeg
    | CancelDial
    | RefuseLeg
    | AnswerLeg
    | HangUpLeg
    | PlayPrompts
    | StopPrompts
    | EnterMix
    | LeaveMix
    | SetLegMuted
    | SetLegGain
    | PlayToMix
    | RecordName
    | StopName
    | StartMixRecording
    | StopMixRecording
    | Refused
)


@frozen
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


@frozen
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


class ConferenceEffects(NamedTuple):
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


@frozen
class LegView:
    """One leg as rosters show it.

    Attributes:
        call: what Call Me has come to, "dialling" to "joined"; "" for a leg that called in.
        attempt: how often it was dialled.
    """

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
    hand_raised: bool = False
    gain_db: int = 0
    floor: bool = False
    language: str = "en"
    held: bool = False
    talking: bool = False
    named: bool = False
    call: str = ""
    attempt: int = 0


@frozen
class OccurrenceView:
    """One open occurrence as the page shows it.

    Attributes:
        mute_all: participants who come late start muted.
        participants: how many legs are let in, waiting or joined.
        part: how often it has begun to be recorded.
    """

    session: SessionId
    occurrence: OccurrenceId
    account: str
    started: bool
    locked: bool
    lecture: bool
    mute_all: bool
    participants: int
    organizers: int
    recording: bool = False
    part: int = 0
