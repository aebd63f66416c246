"""When ticks of a media worker are due, which were late, how long they took; numbers only."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.units import FRAME_NS, NS_PER_MS

LATE_NS: Final = 10 * NS_PER_MS
"""A tick that starts this long after its time counts as late, as does one that was skipped."""


LEAD_MAX_NS: Final = 3 * NS_PER_MS
"""Longest that packets are held; who needs longer for his work sends when it is done."""

_LEAD_RISE_NS: Final = 100_000
_LEAD_FALL_NS: Final = 5_000
"""Steps of the lead in one tick: it comes to rest where one tick in twenty takes longer."""


LATEST: Final = 4_096
"""Ticks whose times are kept for the percentiles of an interval."""


class Grid:
    """The times at which ticks are due: `FRAME_NS` apart, for ever, the same in every worker.

    Packets leave at a steady phase of the grid, however long the work of a tick took: `lead_ns`
    after it was due. That is as long as the work takes in all but one tick in twenty; such a tick
    sends when it is done, and moves the phase but a little.
    """

    def __init__(self, now_ns: int) -> None:
        self.due_ns = (now_ns // FRAME_NS + 1) * FRAME_NS
        self.lead_ns = 0
        self.ticks = 0
        self.late = 0

    def begin(self, now_ns: int) -> int:
        """Say that a tick begins; return how many before it were skipped."""
        behind = max(now_ns - self.due_ns, 0)
        skipped = self.missed(now_ns)
        self.late += skipped + (behind % FRAME_NS > LATE_NS)
        self.ticks += 1 + skipped
        self.due_ns += (skipped + 1) * FRAME_NS
        return skipped

    def missed(self, now_ns: int) -> int:
        """Return how many ticks the next one will have skipped, if it begins now."""
        return max(now_ns - self.due_ns, 0) // FRAME_NS

    @property
    def begun_ns(self) -> int:
        """When the tick that is under way was due."""
        return self.due_ns - FRAME_NS

    def hold_ns(self, now_ns: int) -> int:
        """Return how long packets that are ready are held, so that they leave at the same phase."""
        took = now_ns - self.begun_ns
        if took > LEAD_MAX_NS:
            return 0
        if took > self.lead_ns:
            self.lead_ns = min(self.lead_ns + _LEAD_RISE_NS, took)
            return 0
        self.lead_ns -= _LEAD_FALL_NS
        return max(self.lead_ns - took, 0)


class TickTimes:
    """How long ticks took: of the interval that is under way, and all of them by bucket.

    Attributes:
        counts: ticks that took at most each of `buckets_ms`, and longer; `sum_ms` is all of them.
    """

    def __init__(self, buckets_ms: Sequence[float]) -> None:
        self._buckets_ms = buckets_ms
        self._latest: NDArray[np.float64] = np.zeros(LATEST)
        self._count = 0
        self.counts = [0] * (len(buckets_ms) + 1)
        self.sum_ms = 0.0

    def add(self, took_ms: float) -> None:
        """Take the time of one tick."""
        self._latest[self._count % LATEST] = took_ms
        self._count += 1
        self.counts[bisect_left(self._buckets_ms, took_ms)] += 1
        self.sum_ms += took_ms

    def interval(self) -> dict[str, float]:
        """Return p50, p99 and max of the interval, its latest ticks, and begin another."""
        part = np.sort(self._latest[: min(self._count, LATEST)])
        self._count = 0
        return {"p50": _share(part, 0.5), "p99": _share(part, 0.99), "max": float(part[-1])}


def _share(rising: NDArray[np.float64], share: float) -> float:
    """Return what `share` of the values are below, as `np.percentile` does.

    That imports a part of numpy when it is first called, which takes longer than a tick.
    """
    at = (len(rising) - 1) * share
    low = int(at)
    high = min(low + 1, len(rising) - 1)
    return float(rising[low] + (rising[high] - rising[low]) * (at - low))
