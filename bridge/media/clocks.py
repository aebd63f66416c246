"""RTP clocks of 8, 16 and 48 kHz on one measure: steps of 1/8,000 s; knows timestamps only.

Jitter buffer, reception and telephone-events then need to know nothing of clock rates: a frame is
160 steps whatever the codec. A timestamp is 32 bits of its own clock, so dividing it breaks where
it wraps; it is told relative to the newest one of its leg instead.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Clocks:
    """Row i of every array is leg slot i; L = leg slots.

    Attributes:
        rate: (L,) int64, steps of the leg's clock in 1/8,000 s: 1, 2 or 6. 1 in idle rows.
        known: (L,) bool, `theirs` and `ours` hold something.
        theirs: (L,) uint32, a timestamp of the leg; a whole number of 1/8,000 s after the first.
        ours: (L,) uint32, the same in steps of 1/8,000 s.
        mixed: some leg's rate is not 1.
    """

    rate: NDArray[np.int64]
    known: NDArray[np.bool_]
    theirs: NDArray[np.uint32]
    ours: NDArray[np.uint32]
    mixed: bool = False

    @classmethod
    def of(cls, legs_max: int) -> "Clocks":
        """Return rows at 8 kHz."""
        return cls(
            rate=np.ones(legs_max, np.int64),
            known=np.zeros(legs_max, np.bool_),
            theirs=np.zeros(legs_max, np.uint32),
            ours=np.zeros(legs_max, np.uint32),
        )

    def set_rate(self, slot: int, rate: int) -> None:
        """Say how fast a leg's clock runs; a new rate begins a new count."""
        if self.rate[slot] != rate:
            self.rate[slot], self.known[slot] = rate, False
            self.mixed = bool((self.rate != 1).any())


def to_steps(clocks: Clocks, ts: NDArray[np.uint32], slot: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return timestamps in steps of 1/8,000 s; those of legs at that rate are as they came."""
    rate = clocks.rate[slot]
    which = np.flatnonzero(rate != 1)
    if not len(which):
        return ts
    legs, theirs, rate = slot[which], ts[which], rate[which]
    fresh = ~clocks.known[legs]
    if fresh.any():
        clocks.theirs[legs[fresh]] = theirs[fresh]
        clocks.known[legs] = True
    steps = (theirs - clocks.theirs[legs]).view(np.int32) // rate
    ours = clocks.ours[legs] + steps.astype(np.uint32)
    # With several packets of a leg one of them stays as its mark; which one does not matter.
    anchor = clocks.theirs[legs] + (steps * rate).astype(np.uint32)
    clocks.theirs[legs], clocks.ours[legs] = anchor, ours
    changed = ts.copy()
    changed[which] = ours
    return changed
