"""What one tick plays, as playout finds it; knows slots and rows of the ring, no packets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Played:
    """What a tick's playout could not take from the rings, as index arrays of slots.

    Attributes:
        cell: (count,) int64, the row of `ring` that each slot says: silence for what is missing.
        made_up: slots that need a concealed frame, number `run` of the erasure.
        holds: those of `made_up` that wait longer: their cell is played next tick.
        patched: slots whose frame has MISSING samples.
        resumed: slots with a received frame after made-up ones; `resumed_run` how many those were.
        merged: slots that take out a frame: cross-fade into `merge_cell`.
    """

    cell: NDArray[np.int64]
    made_up: NDArray[np.intp]
    holds: NDArray[np.intp]
    patched: NDArray[np.intp]
    resumed: NDArray[np.intp]
    resumed_run: NDArray[np.int32]
    merged: NDArray[np.intp]

    def without(self, slots: NDArray[np.bool_]) -> "Played":
        """Return the same for the other slots; `slots`, (L,) bool. `cell` is shared."""
        resumed = ~slots[self.resumed]
        return Played(
            self.cell,
            self.made_up[~slots[self.made_up]],
            self.holds[~slots[self.holds]],
            self.patched[~slots[self.patched]],
            self.resumed[resumed],
            self.resumed_run[resumed],
            self.merged[~slots[self.merged]],
        )
