"""Client transactions (RFC 3261 §17.1, RFC 6026); knows requests and statuses, no call.

They repeat a request until it is heard, acknowledge failures of an INVITE on their own branch,
and say which answers are news for the call.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from bridge.errors import IllegalTransition
from bridge.sip.api import Address
from bridge.sip.compose import Outgoing, write
from bridge.sip.desk import Desk, Flow
from bridge.sip.messages import Response
from bridge.sip.timers import Timer, TimerOwner

if TYPE_CHECKING:
    from bridge.sip.call import Call

ClientKey = tuple[str, str]
"""Branch and CSeq method (RFC 3261 §17.1.3)."""


class Purpose(Enum):
    """What a request of ours is for; decides who reads its answer."""

    DIAL = auto()
    REINVITE = auto()
    CANCEL = auto()
    BYE = auto()
    PRACK = auto()


class ClientState(Enum):
    """States of both kinds of client transaction."""

    CALLING = auto()  # RFC 3261 calls it Trying for other requests than INVITE
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    TERMINATED = auto()


class ClientEvent(Enum):
    """What happens to a client transaction."""

    PROVISIONAL = auto()
    SUCCESS = auto()
    FAILURE = auto()
    CANCEL = auto()
    UNDELIVERED = auto()
    TIMER_A = auto()
    TIMER_B = auto()
    TIMER_D = auto()
    TIMER_E = auto()
    TIMER_F = auto()
    TIMER_K = auto()
    TIMER_M = auto()
    TIMER_CANCELLED = auto()


_S = ClientState
_E = ClientEvent
ClientTable = Mapping[ClientState, Mapping[ClientEvent, ClientState]]

INVITE_CLIENT: Final[ClientTable] = {
    _S.CALLING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.ACCEPTED,
        _E.FAILURE: _S.COMPLETED,
        _E.UNDELIVERED: _S.TERMINATED,
        _E.TIMER_A: _S.CALLING,
        _E.TIMER_B: _S.TERMINATED,
    },
    _S.PROCEEDING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.ACCEPTED,
        _E.FAILURE: _S.COMPLETED,
        _E.CANCEL: _S.PROCEEDING,
        _E.UNDELIVERED: _S.PROCEEDING,
        _E.TIMER_CANCELLED: _S.TERMINATED,
    },
    _S.ACCEPTED: {
        _E.PROVISIONAL: _S.ACCEPTED,
        _E.SUCCESS: _S.ACCEPTED,
        _E.FAILURE: _S.ACCEPTED,
        _E.UNDELIVERED: _S.ACCEPTED,
        _E.TIMER_M: _S.TERMINATED,
    },
    _S.COMPLETED: {
        _E.PROVISIONAL: _S.COMPLETED,
        _E.SUCCESS: _S.COMPLETED,
        _E.FAILURE: _S.COMPLETED,
        _E.UNDELIVERED: _S.COMPLETED,
        _E.TIMER_D: _S.TERMINATED,
    },
    _S.TERMINATED: {},
}

NON_INVITE_CLIENT: Final[ClientTable] = {
    _S.CALLING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.COMPLETED,
        _E.FAILURE: _S.COMPLETED,
        _E.UNDELIVERED: _S.TERMINATED,
        _E.TIMER_E: _S.CALLING,
        _E.TIMER_F: _S.TERMINATED,
    },
    _S.PROCEEDING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.COMPLETED,
        _E.FAILURE: _S.COMPLETED,
        _E.UNDELIVERED: _S.TERMINATED,
        _E.TIMER_E: _S.PROCEEDING,
        _E.TIMER_F: _S.TERMINATED,
    },
    _S.COMPLETED: {
        _E.PROVISIONAL: _S.COMPLETED,
        _E.SUCCESS: _S.COMPLETED,
        _E.FAILURE: _S.COMPLETED,
        _E.UNDELIVERED: _S.COMPLETED,
        _E.TIMER_K: _S.TERMINATED,
    },
    _S.TERMINATED: {},
}

_FIRED: Final = {
    Timer.A: _E.TIMER_A,
    Timer.B: _E.TIMER_B,
    Timer.D: _E.TIMER_D,
    Timer.E: _E.TIMER_E,
    Timer.F: _E.TIMER_F,
    Timer.K: _E.TIMER_K,
    Timer.M: _E.TIMER_M,
    Timer.CANCELLED: _E.TIMER_CANCELLED,
}
_GIVE_UPS: Final = (Timer.B, Timer.F, Timer.CANCELLED)


class Fired(Enum):
    """What a timer of a client transaction came to."""

    GOES_ON = auto()
    TIMED_OUT = auto()
    OVER = auto()


class ClientTx(TimerOwner):
    """One client transaction; `start` sends its request.

    Attributes:
        request: what CANCEL, ACK and retries are made from.
        call: whose request it is.
        acked: ACKs of 2xx answers by their To tag, to repeat when a 2xx is repeated.
    """

    __slots__ = (
        "_data",
        "_desk",
        "_interval_ns",
        "_table",
        "acked",
        "call",
        "flow",
        "key",
        "purpose",
        "request",
        "state",
    )

    def __init__(
        self,
        desk: Desk,
        purpose: Purpose,
        request: Outgoing,
        data: bytes,
        *,
        key: ClientKey,
        flow: Flow,
        call: "Call",
    ) -> None:
        super().__init__()
        self._desk = desk
        self._data = data
        self._table = INVITE_CLIENT if request.method == "INVITE" else NON_INVITE_CLIENT
        self._interval_ns = desk.config.t1_ns
        self.state = ClientState.CALLING
        self.key = key
        self.purpose = purpose
        self.request = request
        self.flow = flow
        self.call = call
        self.acked: dict[str, tuple[Flow, bytes]] = {}

    @property
    def invite(self) -> bool:
        """True for an INVITE."""
        return self._table is INVITE_CLIENT

    def start(self) -> None:
        """Send the request for the first time."""
        desk = self._desk
        desk.send(self.flow, self._data)
        if not self.flow.reliable:
            desk.arm(self, Timer.A if self.invite else Timer.E, self._interval_ns)
        desk.arm(self, Timer.B if self.invite else Timer.F, desk.give_up_ns)

    def receive(self, response: Response) -> bool:
        """Take an answer; true when the call must read it."""
        before = self.state
        if response.status < 200:
            self._go(ClientEvent.PROVISIONAL)
            return self._heard_provisional(before)
        self._go(ClientEvent.SUCCESS if response.status < 300 else ClientEvent.FAILURE)
        if self.invite:
            return self._heard_final_invite(before, response)
        if before is not ClientState.COMPLETED:
            self._over_after(Timer.K, self._desk.t4_ns)
        return before is not ClientState.COMPLETED

    def fire(self, timer: Timer) -> Fired:
        """Take a timer that went off."""
        desk = self._desk
        self._go(_FIRED[timer])
        if timer is Timer.A or timer is Timer.E:
            desk.send(self.flow, self._data)
            self._interval_ns *= 2
            if not self.invite:
                proceeding = self.state is ClientState.PROCEEDING
                self._interval_ns = desk.t2_ns if proceeding else min(self._interval_ns, desk.t2_ns)
            desk.arm(self, timer, self._interval_ns)
            return Fired.GOES_ON
        desk.timers.disarm_all(self)
        return Fired.TIMED_OUT if timer in _GIVE_UPS else Fired.OVER

    def sent_elsewhere(self, failed: Address) -> bool:
        """Send the request to the other place that it may go to (RFC 3263 §4.3), once.

        False where there is none, or nobody waits for its answer any more.
        """
        other, waits = self.flow.instead, ClientState.TERMINATED
        if other in (None, failed) or self._table[self.state].get(_E.UNDELIVERED) is not waits:
            return False
        assert other is not None
        self.flow = self.flow._replace(destination=other, instead=None)
        self._desk.send(self.flow, self._data)
        return True

    def undelivered(self) -> bool:
        """Take that its request did not arrive; true when that is the end (RFC 3261 §17.1.4).

        An INVITE that was heard is not sent again: then what is told is of a copy.
        """
        self._go(ClientEvent.UNDELIVERED)
        return self.state is ClientState.TERMINATED

    def cancel(self) -> None:
        """Note that a CANCEL went out: wait no longer than 64*T1 for its effect."""
        self._go(ClientEvent.CANCEL)
        self._desk.arm(self, Timer.CANCELLED, self._desk.give_up_ns)

    def _heard_provisional(self, before: ClientState) -> bool:
        if self.invite and before is ClientState.CALLING:
            self._desk.timers.disarm(self, Timer.A)
            self._desk.timers.disarm(self, Timer.B)
        return self.state is ClientState.PROCEEDING

    def _heard_final_invite(self, before: ClientState, response: Response) -> bool:
        desk = self._desk
        first = before in (ClientState.CALLING, ClientState.PROCEEDING)
        if response.status < 300:
            if first:
                self._over_after(Timer.M, desk.give_up_ns, even_if_reliable=True)
            return self.state is ClientState.ACCEPTED
        if self.state is ClientState.COMPLETED:
            if first:
                # Timer D: longer than the other side repeats its answer.
                self._over_after(Timer.D, desk.give_up_ns)
            ack = self.request._replace(method="ACK", to=response.echo.to)
            desk.send(self.flow, write(ack))
        return first

    def _over_after(self, timer: Timer, after_ns: int, *, even_if_reliable: bool = False) -> None:
        self._desk.timers.disarm_all(self)
        waits = even_if_reliable or not self.flow.reliable
        self._desk.arm(self, timer, after_ns if waits else 0)

    def _go(self, event: ClientEvent) -> None:
        try:
            self.state = self._table[self.state][event]
        except KeyError:
            raise IllegalTransition(self.state, event) from None
