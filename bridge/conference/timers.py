"""Timers as values: a heap of due times with lazy deletion, O(log n) a change.

Knows numbers and names; it must not know which clock its numbers are of, nor what an alarm does.
"""

from enum import Enum, auto
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

STALE_MAX: Final = 1_024
"""Deleted entries a heap may hold beyond as many as live ones before it is rebuilt."""


class Alarm(Enum):
    """What a timer is for."""

    __hash__ = object.__hash__  # members are unique; Enum's own hash is a call of its own

    CODE = auto()  # real: the code prompt waits for a key
    KEYS = auto()  # real: keys in the waiting room or conference wait for the next
    VERDICT = auto()  # real: a code or PIN is judged now, its source having guessed before
    NAME = auto()  # real: a name must have been said
    LAST = auto()  # real: a last prompt must be over
    RING = auto()  # conference: a called phone rings (D11)
    RETRY = auto()  # conference: a called leg is tried again
    ACCEPT = auto()  # conference: a called leg must press 1 (D11)
    WAITING = auto()  # conference: inactivity in the waiting room (D1)
    EMPTY = auto()  # conference: an empty occurrence closes (D6)
    GONE = auto()  # conference: a conference without organizer ends (D17)
    CLOSES = auto()  # conference: a session's time window closes (D4)


class TimerKey(NamedTuple):
    """One timer: at most one of each alarm runs for each leg or session."""

    alarm: Alarm
    owner: str


class TimerQueue:
    """The running timers of one clock. Timers due at one time fire in the order of arming."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, TimerKey]] = []
        self._live: dict[TimerKey, tuple[int, int]] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._live)

    def arm(self, key: TimerKey, due: int) -> None:
        """Start the timer, or move it when it runs."""
        self._serial += 1
        self._live[key] = (due, self._serial)
        heappush(self._heap, (due, self._serial, key))
        if len(self._heap) > 2 * len(self._live) + STALE_MAX:
            self._heap = [(at, serial, name) for name, (at, serial) in self._live.items()]
            heapify(self._heap)

    def disarm(self, key: TimerKey) -> None:
        """Stop the timer; one that does not run is fine."""
        self._live.pop(key, None)

    def next_due(self) -> int | None:
        """Return when the earliest running timer is due, None when none runs."""
        while self._heap:
            due, serial, key = self._heap[0]
            if self._live.get(key) == (due, serial):
                return due
            heappop(self._heap)
        return None

    def pop_due(self, now: int) -> tuple[int, TimerKey] | None:
        """Take the earliest timer that is due at `now`, with its due time; None when none is."""
        if not self._heap or self._heap[0][0] > now:
            return None  # as nearly always, whether that one still runs or not
        due = self.next_due()
        if due is None or due > now:
            return None
        _, _, key = heappop(self._heap)
        del self._live[key]
        return due, key
