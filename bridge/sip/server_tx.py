"""Server transactions (RFC 3261 §17.2, RFC 6026); knows messages as bytes, no call.

An INVITE transaction absorbs repeated INVITEs and repeats its last answer; after a 200 it stays
in Accepted (RFC 6026 §7.1) so that a late INVITE never opens a second call. The 200 itself is
repeated by the call until the ACK comes, since that ACK is not part of the transaction.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from bridge.errors import IllegalTransition
from bridge.sip.desk import Desk, Flow
from bridge.sip.messages import Request
from bridge.sip.timers import Timer, TimerOwner

if TYPE_CHECKING:
    from bridge.sip.call import Call

ServerKey = tuple[str | int | None, ...]
"""What RFC 3261 §17.2.3 matches requests by."""


class ServerState(Enum):
    """States of both kinds of server transaction."""

    __hash__ = object.__hash__

    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class ServerEvent(Enum):
    """What happens to a server transaction."""

    __hash__ = object.__hash__

    REQUEST = auto()  # the same request once more
    ACK = auto()
    PROVISIONAL = auto()
    SUCCESS = auto()
    FAILURE = auto()
    TIMER_G = auto()
    TIMER_H = auto()
    TIMER_I = auto()
    TIMER_J = auto()
    TIMER_L = auto()


_S = ServerState
_E = ServerEvent
ServerTable = Mapping[ServerState, Mapping[ServerEvent, ServerState]]

INVITE_SERVER: Final[ServerTable] = {
    _S.PROCEEDING: {
        _E.REQUEST: _S.PROCEEDING,
        _E.ACK: _S.PROCEEDING,
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.ACCEPTED,
        _E.FAILURE: _S.COMPLETED,
    },
    _S.ACCEPTED: {
        _E.REQUEST: _S.ACCEPTED,
        _E.ACK: _S.ACCEPTED,
        _E.TIMER_L: _S.TERMINATED,
    },
    _S.COMPLETED: {
        _E.REQUEST: _S.COMPLETED,
        _E.ACK: _S.CONFIRMED,
        _E.TIMER_G: _S.COMPLETED,
        _E.TIMER_H: _S.TERMINATED,
    },
    _S.CONFIRMED: {
        _E.REQUEST: _S.CONFIRMED,
        _E.ACK: _S.CONFIRMED,
        _E.TIMER_I: _S.TERMINATED,
    },
    _S.TERMINATED: {},
}

NON_INVITE_SERVER: Final[ServerTable] = {
    _S.TRYING: {
        _E.REQUEST: _S.TRYING,
        _E.SUCCESS: _S.COMPLETED,
        _E.FAILURE: _S.COMPLETED,
    },
    _S.COMPLETED: {
        _E.REQUEST: _S.COMPLETED,
        _E.TIMER_J: _S.TERMINATED,
    },
    _S.TERMINATED: {},
}

_FIRED: Final = {
    Timer.G: _E.TIMER_G,
    Timer.H: _E.TIMER_H,
    Timer.I: _E.TIMER_I,
    Timer.J: _E.TIMER_J,
    Timer.L: _E.TIMER_L,
}
_REPEATS: Final = (_S.PROCEEDING, _S.ACCEPTED, _S.COMPLETED)


class ServerTx(TimerOwner):
    """One server transaction.

    Attributes:
        flow: where answers go.
        last: the last answer sent, b"" before there is one.
        call: the call that an INVITE opened or belongs to.
        vias: the Via lines of every answer.
    """

    __slots__ = (
        "_desk",
        "_interval_ns",
        "_table",
        "_trying",
        "call",
        "flow",
        "key",
        "last",
        "request",
        "state",
        "vias",
    )

    def __init__(
        self, desk: Desk, key: ServerKey, request: Request, flow: Flow, vias: tuple[str, ...]
    ) -> None:
        super().__init__()
        invite = request.method == "INVITE"
        self._desk = desk
        self._table = INVITE_SERVER if invite else NON_INVITE_SERVER
        self._interval_ns = 0
        self._trying: Callable[[], object] | None = None
        self.state = ServerState.PROCEEDING if invite else ServerState.TRYING
        self.key = key
        self.request = request
        self.flow = flow
        self.vias = vias
        self.last = b""
        self.call: Call | None = None

    def promise(self, trying: Callable[[], object]) -> None:
        """Have 100 sent unless another answer goes out in time (RFC 3261 §17.2.1)."""
        self._trying = trying
        after_ns = self._desk.config.trying_after_ns
        if after_ns:
            self._desk.arm(self, Timer.TRYING, after_ns)
        else:
            self._try()

    def _try(self) -> None:
        trying, self._trying = self._trying, None
        if trying is not None:
            trying()

    def respond(self, status: int, data: bytes) -> None:
        """Send an answer and remember it for repetitions."""
        desk = self._desk
        if self._trying is not None:
            self._trying = None
            desk.timers.disarm(self, Timer.TRYING)
        self.last = data
        desk.send(self.flow, data)
        if status < 200:
            self._go(ServerEvent.PROVISIONAL)
            return
        self._go(ServerEvent.SUCCESS if status < 300 else ServerEvent.FAILURE)
        # What is kept for 32 s is kept small: under load the collector walks over all of it.
        request = self.request
        request.headers, request.body, request.record_route = {}, b"", ()
        request.require = request.supported = frozenset()
        if self._table is NON_INVITE_SERVER:
            desk.arm(self, Timer.J, 0 if self.flow.reliable else desk.give_up_ns)
        elif self.state is ServerState.ACCEPTED:
            desk.arm(self, Timer.L, desk.give_up_ns)
        else:
            desk.arm(self, Timer.H, desk.give_up_ns)
            if not self.flow.reliable:
                self._interval_ns = desk.config.t1_ns
                desk.arm(self, Timer.G, self._interval_ns)

    def repeat(self) -> None:
        """Take the same request once more: the last answer goes out again."""
        self._go(ServerEvent.REQUEST)
        if self._trying is not None:
            self._try()
        elif self.last and (self.state in _REPEATS):
            self._desk.send(self.flow, self.last)

    def undelivered(self) -> None:
        """Take that its answer did not arrive: it is sent no more of itself (RFC 3261 §17.2.4).

        The transaction stays and takes what is sent again, which else would be a second call.
        """
        self._desk.timers.disarm(self, Timer.G)

    def acknowledge(self) -> None:
        """Take an ACK."""
        before = self.state
        self._go(ServerEvent.ACK)
        if before is ServerState.COMPLETED:
            timers = self._desk.timers
            timers.disarm(self, Timer.G)
            timers.disarm(self, Timer.H)
            self._desk.arm(self, Timer.I, 0 if self.flow.reliable else self._desk.t4_ns)

    def fire(self, timer: Timer) -> bool:
        """Take a timer that went off; true when the transaction is over and must be forgotten."""
        desk = self._desk
        if timer is Timer.TRYING:
            self._try()
            return False
        self._go(_FIRED[timer])
        if timer is Timer.G:
            desk.send(self.flow, self.last)
            self._interval_ns = min(2 * self._interval_ns, desk.t2_ns)
            desk.arm(self, Timer.G, self._interval_ns)
        return self.state is ServerState.TERMINATED

    def _go(self, event: ServerEvent) -> None:
        try:
            self.state = self._table[self.state][event]
        except KeyError:
            raise IllegalTransition(self.state, event) from None
