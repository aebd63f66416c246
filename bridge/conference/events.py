"""What goes into the conference core: what happened to legs, and orders; plain frozen values.

Must not know what comes of them.
"""

from bridge.conference.values import SessionSpec
from bridge.frozen import frozen
from bridge.units import ConfMs, LegId, SessionId

# --- in: what happened to a leg -----------------------------------------------------------


@frozen
class LegInvited:
    """A call came in. Answered at once by `OpenMedia` or `RefuseLeg`.

    Attributes:
        user: dialled user part: a DID in any usual notation, "join", or an access code.
        ani: the caller's number, "" when anonymous.
        trunk: id of the trunk the call came from; None when from no trunk.
        source: the address the call came from, "" when that is not to be counted.
    """

    leg: LegId
    user: str
    ani: str
    trunk: str | None
    display_name: str = ""
    diversion: str | None = None
    source: str = ""


@frozen
class LegReady:
    """The leg has its slot and port: the bridge may decide to answer it."""

    leg: LegId


@frozen
class LegAbandoned:
    """The leg could not be answered (no port, store refused): forget it, with no fact."""

    leg: LegId


@frozen
class LegConfirmed:
    """The ACK came: prompts may play, keys may come, a VoIP leg may be let in."""

    leg: LegId


@frozen
class LegKey:
    """One key, in "0123456789*#ABCD", however it came."""

    leg: LegId
    key: str


@frozen
class LegPlayed:
    """What `PlayPrompts` with this token asked for came to its end by itself."""

    leg: LegId
    token: int


@frozen
class LegHungUp:
    """The other side ended the leg, or SIP did. `cause` is a stable snake_case word.

    For an INVITED leg: cancelled before it was answered, no fact. A late one is a no-op.
    `status` is the final SIP status of a call of ours that was not answered.
    """

    leg: LegId
    cause: str
    status: int | None = None


@frozen
class LegRinging:
    """The phone of a leg that the bridge calls rings."""

    leg: LegId


@frozen
class LegAnswered:
    """A leg that the bridge calls was answered, by a person or a machine (D11)."""

    leg: LegId


@frozen
class LegLost:
    """The leg is declared dead (D12): it ends, and is billed, at `last_packet`."""

    leg: LegId
    last_packet: ConfMs
    cause: str = "rtp_timeout"


@frozen
class LegNamed:
    """What `RecordName` asked for is there; `clip` is "" when nothing was said."""

    leg: LegId
    clip: str


@frozen
class LegHeld:
    """The other side put the call on hold, or took it up again."""

    leg: LegId
    held: bool


@frozen
class LegTalked:
    """The leg began to talk in its mix, or stopped."""

    leg: LegId
    talking: bool


@frozen
class Tick:
    """A deadline of the last effects is due, on either clock."""


# --- in: orders ---------------------------------------------------------------------------


@frozen
class PutSession:
    """Create or change a session. Its id, access code and PIN never change afterwards (R10)."""

    spec: SessionSpec


@frozen
class SetTollFree:
    """An administrator switches an account's toll-free numbers on or off (R13, D16)."""

    account: str
    enabled: bool


@frozen
class StartSession:
    """Start by command (D2). Refused when no organizer's leg is present or already started."""

    session: SessionId
    by: str


@frozen
class EndSession:
    """End the session's open occurrence: every leg leaves."""

    session: SessionId
    by: str


@frozen
class CancelSession:
    """Cancel: who waits is sent away, and the access code is not accepted any more (R6)."""

    session: SessionId
    by: str


@frozen
class MuteLeg:
    """Mute or unmute one leg. In lecture mode an unmuted participant has the floor (R18)."""

    leg: LegId
    muted: bool
    by: str = "api"


@frozen
class KickLeg:
    """End one leg."""

    leg: LegId
    by: str


@frozen
class LockSession:
    """Let nobody else in (R18), or let people in again."""

    session: SessionId
    locked: bool
    by: str


@frozen
class SetLecture:
    """Lecture mode (R18): participants are heard only when an organizer gives them the floor."""

    session: SessionId
    on: bool
    by: str


@frozen
class MuteAll:
    """Mute every participant who is no organizer, or unmute all of them."""

    session: SessionId
    muted: bool
    by: str


@frozen
class RaiseHand:
    """A participant asks for the floor, or no longer does (R18)."""

    leg: LegId
    raised: bool
    by: str = "api"


@frozen
class SetVolume:
    """How loud one leg is in the mix, in dB; 0 is as it came."""

    leg: LegId
    gain_db: int
    by: str


@frozen
class MoveLeg:
    """Take one leg into another session of the same account; it is let in there."""

    leg: LegId
    session: SessionId
    by: str


@frozen
class Announce:
    """Play a prompt or a file that the server made ready to everybody in a session, or to a leg.

    `prompt` is one of `prompts.PROMPTS`, or begins with `prompts.CLIP` (a file made ready).
    """

    session: SessionId
    prompt: str
    by: str
    leg: LegId | None = None


@frozen
class RecordSession:
    """Switch the recording of a session on or off (R12); it runs from the start at the earliest."""

    session: SessionId
    on: bool
    by: str


@frozen
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
    | LegRinging
    | LegAnswered
    | LegNamed
    | LegHeld
    | LegTalked
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
