"""Whose packet each is, and the short way for those that are just what was expected.

Here is decided who goes that way: one loop in C where it was compiled (`steady_c`), else the
look-up of all sources and the comparison of all packets at once (`steady`), which is the
reference: both end in the same state to the bit. All other packets go the long way, in `tick`.
"""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from bridge.media import samples
from bridge.media.masks import any_of, where
from bridge.media.rtp import Counters, Packets
from bridge.media.steady import ByArrays, Legs


class Arrivals(Protocol):
    """A way to take packets in."""

    def __init__(self, legs: Legs) -> None:
        """Take in what comes for these legs."""

    def take(
        self, packets: Packets, now_ns: int, *, count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take in the packets that are the expected ones; return the others.

        These are (n,) int64, their numbers in `packets`, and (n,) int64, their slots, -1 for a
        stranger's. All legs that expect something are below `count`. Afterwards `Steady.here`
        tells whose packets were taken in.
        """


def without_strangers(
    packets: Packets,
    slot: NDArray[np.int64],
    waiting: NDArray[np.bool_],
    counters: Counters,
) -> tuple[Packets, NDArray[np.int64]]:
    """Leave out packets that can be nobody's; return the others with their slots, or -1.

    `slot`, (n,) int64, as the table of sources says; `waiting` as in `Sources`. A flood of
    strangers, where everybody has been heard, costs one look-up each.
    """
    stranger = slot < 0
    if not any_of(stranger):
        return packets, slot
    nobodys = stranger & ~waiting[packets.port]
    counters.add("unknown_source", np.count_nonzero(nobodys))
    kept = where(~nobodys)
    return packets.pick(kept), slot[kept]


def _way() -> type[Arrivals]:
    if samples.LOOPS == "numpy":
        return ByArrays
    from bridge.media.steady_c import OneByOne  # only where there is a library

    return OneByOne


WAY: Final = _way()
"""The way that this installation and its environment take."""
