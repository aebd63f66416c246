"""One call, the SIP side of a leg: its states and what it remembers; sends nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from bridge.errors import IllegalTransition
from bridge.frozen import frozen
from bridge.sip.api import Dial, LocalMedia, RemoteMedia
from bridge.sip.client_tx import ClientTx
from bridge.sip.desk import Flow
from bridge.sip.dialog import Dialog
from bridge.sip.offer import Chosen, Layout
from bridge.sip.sdp import Format, Sdp, parse_sdp, with_origin
from bridge.sip.server_tx import ServerTx
from bridge.sip.session_timer import SessionTimer
from bridge.sip.timers import TimerOwner
from bridge.units import LegId


class CallState(Enum):
    """Where a call is."""

    __hash__ = object.__hash__  # members are unique; Enum's own hash is a call of its own

    INVITED = auto()  # inbound, no final answer yet
    ANSWERED = auto()  # inbound, our 200 is on its way, no ACK
    CONFIRMED = auto()  # the three-way handshake is done
    DIALLING = auto()  # outbound, no final answer yet
    CANCELLING = auto()  # outbound, given up by us, its end is already reported
    LEAVING = auto()  # inbound, given up by us before the ACK: BYE waits for it
    ENDED = auto()  # kept for a while so that a late BYE gets its 200


class CallEvent(Enum):
    """What happens to a call."""

    __hash__ = object.__hash__  # members are unique; Enum's own hash is a call of its own

    RING = auto()
    ACCEPT = auto()
    REJECT = auto()
    HANG_UP = auto()
    REINVITE = auto()
    ACK = auto()
    BYE = auto()
    CANCEL = auto()
    NO_ACK = auto()
    NO_PRACK = auto()
    ANSWER = auto()
    REFUSAL = auto()
    BAD_ANSWER = auto()
    EXPIRE = auto()


_S = CallState
_E = CallEvent

CALL: Final[Mapping[CallState, Mapping[CallEvent, CallState]]] = {
    _S.INVITED: {
        _E.RING: _S.INVITED,
        _E.ACCEPT: _S.ANSWERED,
        _E.REJECT: _S.ENDED,
        _E.HANG_UP: _S.ENDED,
        _E.ACK: _S.INVITED,
        _E.BYE: _S.ENDED,
        _E.CANCEL: _S.ENDED,
        _E.NO_PRACK: _S.ENDED,
    },
    _S.ANSWERED: {
        _E.HANG_UP: _S.LEAVING,
        _E.REINVITE: _S.ANSWERED,
        _E.ACK: _S.CONFIRMED,
        _E.BYE: _S.ENDED,
        _E.CANCEL: _S.ANSWERED,
        _E.NO_ACK: _S.ENDED,
        _E.EXPIRE: _S.ENDED,
    },
    _S.CONFIRMED: {
        _E.HANG_UP: _S.ENDED,
        _E.REINVITE: _S.CONFIRMED,
        _E.ACK: _S.CONFIRMED,
        _E.BYE: _S.ENDED,
        _E.CANCEL: _S.CONFIRMED,
        _E.NO_ACK: _S.ENDED,
        _E.BAD_ANSWER: _S.ENDED,
        _E.EXPIRE: _S.ENDED,
    },
    _S.DIALLING: {
        _E.HANG_UP: _S.CANCELLING,
        _E.ACK: _S.DIALLING,
        _E.BYE: _S.DIALLING,
        _E.CANCEL: _S.DIALLING,
        _E.ANSWER: _S.CONFIRMED,
        _E.REFUSAL: _S.ENDED,
    },
    _S.CANCELLING: {
        _E.ACK: _S.CANCELLING,
        _E.BYE: _S.CANCELLING,
        _E.CANCEL: _S.CANCELLING,
        _E.ANSWER: _S.ENDED,
        _E.REFUSAL: _S.ENDED,
    },
    _S.LEAVING: {
        _E.ACK: _S.ENDED,
        _E.BYE: _S.ENDED,
        _E.CANCEL: _S.LEAVING,
        _E.NO_ACK: _S.ENDED,
    },
    _S.ENDED: {
        _E.ACK: _S.ENDED,
        _E.BYE: _S.ENDED,
        _E.CANCEL: _S.ENDED,
    },
}


@dataclass(slots=True)
class Answered:
    """Our 200 to an INVITE or re-INVITE, repeated until its ACK (RFC 3261 §13.3.1.4).

    Attributes:
        offered: the 200 held our offer, so the ACK must hold the answer.
    """

    cseq: int
    data: bytes
    flow: Flow
    interval_ns: int
    offered: bool


@dataclass(slots=True)
class Reliable:
    """A provisional answer that is repeated until its PRACK (RFC 3262 §3)."""

    rseq: int
    cseq: int
    data: bytes
    flow: Flow
    interval_ns: int


@frozen
class Reoffer:
    """A re-INVITE of ours: running, or waiting for its turn.

    Attributes:
        ordered: by the server; else it only refreshes the session.
        tries: how often it was answered 491 or 422.
    """

    media: LocalMedia
    ordered: bool
    tries: int = 0


class Call(TimerOwner):
    """What the core remembers of one call.

    Attributes:
        tx: transaction of the INVITE that opened it.
        dial: the order that made it, None for an inbound call.
        media: what this side last said of its media; None before `Accept`.
        offer, chosen: the other side's offer that waits for our answer, and what we take of it.
        remote: what is agreed; before a call of ours is answered, in a reliable provisional answer.
        proven_host: where the INVITE came from; our tag was sent there.
        answered: our 200 that waits for its ACK.
        reoffer: our re-INVITE that waits for its answer; `queued` is the next one.
        sdp_text, sdp_before: what we said last of our media, and before the running re-INVITE.
        reported: `CallEnded` was emitted.
    """

    __slots__ = (
        "answered",
        "chosen",
        "dial",
        "dialog",
        "invite_cseq",
        "layout",
        "leg",
        "media",
        "min_se_s",
        "offer",
        "proven_host",
        "queued",
        "reason",
        "reliable",
        "remote",
        "reoffer",
        "reported",
        "rseq",
        "sdp_before",
        "sdp_host",
        "sdp_id",
        "sdp_text",
        "sdp_version",
        "session_timer",
        "state",
        "stream",
        "tries",
        "tx",
    )

    def __init__(self, leg: LegId, state: CallState, dialog: Dialog, sdp_id: int) -> None:
        super().__init__()
        self.leg = leg
        self.state = state
        self.dialog = dialog
        self.dial: Dial | None = None
        self.tx: ServerTx | ClientTx | None = None
        self.invite_cseq = dialog.remote_cseq
        self.reported = False
        self.reason: str | None = None
        self.proven_host = ""
        # Media.
        self.media: LocalMedia | None = None
        self.offer: Sdp | None = None
        self.chosen: Chosen | None = None
        self.remote: RemoteMedia | None = None
        self.layout: Layout = ()
        self.stream = 0
        self.sdp_id = sdp_id
        self.sdp_version = 0
        self.sdp_text = ""
        self.sdp_before = ""
        self.sdp_host = ""
        # What waits for the other side.
        self.answered: Answered | None = None
        self.reliable: Reliable | None = None
        self.rseq = 0
        self.reoffer: Reoffer | None = None
        self.queued: Reoffer | None = None
        self.session_timer: SessionTimer | None = None
        self.min_se_s = 0
        self.tries = 0

    @property
    def inbound(self) -> bool:
        """True when the other side called."""
        return self.dial is None

    def go(self, event: CallEvent) -> CallState:
        """Change state and return the one before."""
        before = self.state
        try:
            self.state = CALL[before][event]
        except KeyError:
            raise IllegalTransition(before, event) from None
        return before

    def describe(self, text: str, host: str) -> bytes:
        """Return a description with its o= line; the version counts changes (RFC 3264 §8)."""
        if text != self.sdp_text:
            self.sdp_version += 1
            self.sdp_text = text
            self.sdp_host = self.sdp_host or host
        return with_origin(text, self.sdp_host, self.sdp_id, self.sdp_version)

    def own_formats(self) -> tuple[Format, ...]:
        """Return the formats of our stream as this side described it last."""
        sdp = parse_sdp(self.describe(self.sdp_text, self.sdp_host))
        return sdp.media[self.stream].formats

    def withdraw(self) -> None:
        """Say again what was said before an offer that was refused (RFC 3261 §14.1).

        It follows the refused one, so it has a version of its own (RFC 3264 §8).
        """
        if self.sdp_text != self.sdp_before:
            self.sdp_version += 1
            self.sdp_text = self.sdp_before

    def take(self, chosen: Chosen) -> bool:
        """Remember what was agreed; true when it differs from before."""
        changed = chosen.remote != self.remote
        self.remote = chosen.remote
        self.stream = chosen.index
        return changed

    def is_proven(self, remote: RemoteMedia) -> bool:
        """True when RTP may go to the agreed address before RTP has come from there."""
        if not self.inbound:
            return True
        return remote.address is not None and remote.address.host == self.proven_host
