"""Frames with rows around them that nobody may write to."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

GUARD: Final = 0x5A5A
"""What lies beside everything that is written, and must not change."""


def guarded(shape: tuple[int, int], kind: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return frames to write, and the same with a row before and two behind."""
    around = np.full((shape[0] + 3, shape[1]), GUARD & np.iinfo(kind).max, kind)
    return around[1:-2], around


def unharmed(around: NDArray[Any]) -> bool:
    outside = around[[0, -2, -1]]
    return bool((outside == (GUARD & np.iinfo(around.dtype).max)).all())
