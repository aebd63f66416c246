"""Tables in messages of `link`, of all legs at once: (n, k), a leg's number first.

The worker hands over arrays, and no object is made of a leg until control reads them, which gets
rows in lists: objects lie all over a memory that has long left the caches when a tick comes.
"""

from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

Rows = list[list[int]] | NDArray[np.int64]
FigureRows = list[list[float]] | NDArray[np.float64]

OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SERIALIZE_NUMPY
"""How messages are encoded."""
