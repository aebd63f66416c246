"""Questions to arrays of bool, each one call; knows nothing of what they mark.

`mask.any()`, `mask.all()` and `np.flatnonzero(mask)` are Python functions around these: three to
eight calls each, which a tick would pay a hundred times over, on a core that has just slept.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

any_of: Final = np.logical_or.reduce
"""Whether a (n,) bool array holds a True."""

all_of: Final = np.logical_and.reduce
"""Whether a (n,) bool array holds nothing but True."""


def where(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the places of True in a (n,) array, as `np.flatnonzero` does."""
    return mask.nonzero()[0]
