"""What each caller has received: packets, loss, gaps, jitter, late packets; arrays only.

Row i is caller i everywhere. Sequence numbers are counted as RFC 3550 A.1 and A.3 do, jitter as
A.8 does; a new SSRC is a new stream and no loss.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.units import NS_PER_MS, SAMPLE_RATE_HZ

Ints = NDArray[np.int64]

GAP_NS: Final = 60 * NS_PER_MS
"""From here on the time between two packets is a gap: three frames, as concealment covers."""

LATE_NS: Final = 60 * NS_PER_MS
"""A packet so much later than the quickest one of its stream misses a phone's playout."""

NS_PER_SAMPLE: Final = 1_000_000_000 // SAMPLE_RATE_HZ
_HALF: Final = 1 << 15


@dataclass(slots=True)
class Streams:
    """Reception of N callers.

    Attributes:
        received: (N,) packets since the start.
        lost: (N,) of streams that are over; see `losses`.
        late: (N,) packets that came too late to be played.
        gaps: (N,) times of GAP_NS or more between two packets.
        gap_ns: (N,) the longest since `reset_gaps`.
        jitter: (N,) float64, nanoseconds, interarrival jitter of RFC 3550.
        ssrc: (N,) of the present stream, -1 when nothing has come.
        first, highest: (N,) extended sequence numbers of the present stream.
        came: (N,) packets of the present stream.
        arrived_ns: (N,) when the last packet came.
        transit_ns, quickest_ns: (N,) arrival less timestamp, the last and the least.
    """

    count: int
    received: Ints = field(init=False)
    lost: Ints = field(init=False)
    late: Ints = field(init=False)
    gaps: Ints = field(init=False)
    gap_ns: Ints = field(init=False)
    jitter: NDArray[np.float64] = field(init=False)
    ssrc: Ints = field(init=False)
    first: Ints = field(init=False)
    highest: Ints = field(init=False)
    came: Ints = field(init=False)
    arrived_ns: Ints = field(init=False)
    transit_ns: Ints = field(init=False)
    quickest_ns: Ints = field(init=False)

    def __post_init__(self) -> None:
        """Take the arrays."""
        for name in self.__dataclass_fields__:
            if name not in ("count", "jitter"):
                setattr(self, name, np.zeros(self.count, np.int64))
        self.jitter = np.zeros(self.count)
        self.ssrc[:] = -1

    def begin(self, caller: int) -> None:
        """Start a caller's new call: what he received so far stays counted."""
        self.lost[caller] += self.losses()[caller]
        self.first[caller] = self.highest[caller] = self.came[caller] = 0
        self.ssrc[caller] = -1

    def losses(self) -> Ints:
        """Return (N,) packets of the present streams that never came."""
        there = self.ssrc >= 0
        return np.where(there, np.maximum(self.highest - self.first + 1 - self.came, 0), 0)

    def take(self, caller: Ints, seq: Ints, ts: Ints, ssrc: Ints, arrived_ns: Ints) -> None:
        """Count packets, (n,) each, in order of arrival."""
        for at in rounds(caller):  # bound: packets of one caller in one tick
            self._take_one_each(caller[at], seq[at], ts[at], ssrc[at], arrived_ns[at])

    def _take_one_each(self, who: Ints, seq: Ints, ts: Ints, ssrc: Ints, at_ns: Ints) -> None:
        new = self.ssrc[who] != ssrc
        if new.any():
            self._begin_streams(who[new], seq[new], ssrc[new])
        step = (seq - self.highest[who] + _HALF) % (2 * _HALF) - _HALF
        self.highest[who] += np.maximum(step, 0)
        self.came[who] += 1
        self.received[who] += 1
        gap = np.where(new, 0, at_ns - self.arrived_ns[who])
        self.gap_ns[who] = np.maximum(self.gap_ns[who], gap)
        self.gaps[who] += gap >= GAP_NS
        self.arrived_ns[who] = at_ns
        transit = at_ns - ts * NS_PER_SAMPLE
        jumped = new | (np.abs(transit - self.transit_ns[who]) > 10**9)
        change = np.where(jumped, 0, np.abs(transit - self.transit_ns[who]))
        self.jitter[who] += (change - self.jitter[who]) / 16
        self.transit_ns[who] = transit
        quickest = np.where(jumped, transit, np.minimum(self.quickest_ns[who], transit))
        self.quickest_ns[who] = quickest
        self.late[who] += transit - quickest > LATE_NS

    def _begin_streams(self, who: Ints, seq: Ints, ssrc: Ints) -> None:
        self.lost[who] += self.losses()[who]
        self.ssrc[who], self.came[who] = ssrc, 0
        self.first[who] = self.highest[who] = seq

    def reset_gaps(self) -> None:
        """Begin anew to look for the longest gap."""
        self.gap_ns[:] = 0


def rounds(caller: Ints) -> list[Ints]:
    """Return indexes into `caller` in rounds: each caller once a round, in order of arrival.

    >>> [one.tolist() for one in rounds(np.array([7, 5, 7, 7]))]
    [[1, 0], [2], [3]]
    """
    if not len(caller):
        return []
    order = np.argsort(caller, kind="stable")
    ranked = caller[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    lengths = np.diff(np.append(starts, len(ranked)))
    rank = np.arange(len(ranked)) - np.repeat(starts, lengths)
    most = int(rank.max()) + 1
    return [order] if most == 1 else [order[rank == number] for number in range(most)]
