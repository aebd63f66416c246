"""Pitch and made-up samples at 8 kHz in C (`_conceal.c`), called by address; knows no leg.

When a network halts all legs lack a frame at once: of 2,000 legs numpy takes longer for that than
a tick lasts. Numbers that would point outside the past are refused in C.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.conceal_numpy import HISTORY
from bridge.media.samples_c import N, P, all_of, at, functions

_SIGNATURES: Final = {"tb_pitch": [P, N, P], "tb_extend": [P, N, P, P, N, P]}
_PAST: Final = np.dtype(np.float32)
_INDEX: Final = np.dtype(np.int64)


class Loops:
    """The functions of one library, each as `conceal` says."""

    def __init__(self, path: str) -> None:
        calls = functions(path, _SIGNATURES)
        self._pitch, self._extend = calls["tb_pitch"], calls["tb_extend"]

    def pitch_of(self, history: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the pitch period of each row."""
        count = len(history)
        pitch = np.empty(count, np.int64)
        if count:
            past = at(history, _PAST, (count, HISTORY))
            all_of(self._pitch(past, count, at(pitch, _INDEX, (count,))), count)
        return pitch

    def extrapolate(
        self,
        history: NDArray[np.float32],
        pitch: NDArray[np.int64],
        start: NDArray[np.int64],
        count: int,
    ) -> NDArray[np.float32]:
        """Return `count` samples of each erasure.

        Raises:
            IndexError: a pitch is none, or a start lies before the erasure.
        """
        rows = len(history)
        made = np.empty((rows, count), np.float32)
        if made.size:
            done = self._extend(
                at(history, _PAST, (rows, HISTORY)),
                rows,
                at(pitch, _INDEX, (rows,)),
                at(start, _INDEX, (rows,)),
                count,
                at(made, _PAST, (rows, count)),
            )
            all_of(done, rows)
        return made
