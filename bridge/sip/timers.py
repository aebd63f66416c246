"""Deadlines in one heap; knows names and owners, not what a timer is for, and no clock.

A timer is a value: an owner, a name and a monotonic deadline. Arming the same name again moves
it. Disarmed entries stay in the heap until they come up or until they are the larger part of it.
"""

from enum import Enum, auto
from heapq import heapify, heappop, heappush
from typing import Final

from bridge.sip.limits import DEAD_TIMERS_MAX
from bridge.units import NowNs


class Timer(Enum):
    """The timers of RFC 3261 §17 and RFC 6026 by their letters, and those of calls by name."""

    __hash__ = object.__hash__  # members are unique; Enum's own hash is a call of its own

    A = auto()
    B = auto()
    D = auto()
    E = auto()
    F = auto()
    G = auto()
    H = auto()
    I = auto()  # noqa: E741  RFC 3261's own name
    J = auto()
    K = auto()
    L = auto()
    M = auto()
    TRYING = auto()  # no answer yet: 100 (RFC 3261 §17.2.1)
    CANCELLED = auto()  # a cancelled INVITE gets no final response (RFC 3261 §9.1)
    INVITATION = auto()  # an INVITE that is not answered expires (RFC 3261 §13.3.1)
    RESEND_200 = auto()
    NO_ACK = auto()
    RESEND_RELIABLE = auto()
    NO_PRACK = auto()
    REFRESH = auto()
    EXPIRE = auto()
    OFFER_AGAIN = auto()
    FORGET = auto()


class TimerOwner:
    """Something that has timers; keeps those that are armed, by name."""

    __slots__ = ("timers",)

    def __init__(self) -> None:
        self.timers: dict[Timer, list[object]] = {}


Due = tuple[TimerOwner, Timer]

_AT: Final = 0
_OWNER: Final = 2


class Timers:
    """All armed timers of the core."""

    __slots__ = ("_dead", "_heap", "_serial")

    def __init__(self) -> None:
        # An entry is [deadline, serial, owner or None, name]; the serial keeps heap order total.
        self._heap: list[list[object]] = []
        self._serial = 0
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    def arm(self, owner: TimerOwner, name: Timer, at_ns: int) -> None:
        """Set or move one timer of an owner."""
        if name in owner.timers:
            self.disarm(owner, name)
        self._serial += 1
        entry: list[object] = [at_ns, self._serial, owner, name]
        owner.timers[name] = entry
        heappush(self._heap, entry)

    def disarm(self, owner: TimerOwner, name: Timer) -> None:
        """Forget one timer of an owner, if it is armed."""
        entry = owner.timers.pop(name, None)
        if entry is not None:
            entry[_OWNER] = None
            self._dead += 1
            if self._dead > max(DEAD_TIMERS_MAX, len(self._heap) // 2):
                self._sweep()

    def disarm_all(self, owner: TimerOwner) -> None:
        """Forget every timer of an owner."""
        for name in tuple(owner.timers):
            self.disarm(owner, name)

    def pop_due(self, now_ns: NowNs) -> Due | None:
        """Take out the earliest timer that is due, or return None."""
        heap = self._heap
        if not heap or heap[0][_AT] > now_ns:  # type: ignore[operator]  # an int
            return None  # as nearly always, whether that one is still armed or not
        deadline_ns = self.deadline_ns()
        if deadline_ns is None or deadline_ns > now_ns:
            return None
        _, _, owner, name = heappop(self._heap)
        assert isinstance(owner, TimerOwner)
        assert isinstance(name, Timer)
        del owner.timers[name]
        return owner, name

    def deadline_ns(self) -> NowNs | None:
        """Return when the earliest timer is due, None when there is none."""
        heap = self._heap
        while heap and heap[0][_OWNER] is None:
            heappop(heap)
            self._dead -= 1
        if not heap:
            return None
        at_ns = heap[0][_AT]
        assert isinstance(at_ns, int)
        return NowNs(at_ns)

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if entry[_OWNER] is not None]
        heapify(self._heap)
        self._dead = 0
