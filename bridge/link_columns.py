"""Tables in messages of `link`, of all legs at once: k columns of n, leg numbers first.

The worker hands over arrays, (k, n), and no object is made of a leg until control reads them:
objects lie all over a memory that has long left the caches when a tick comes. Control gets a list
of each column, not of each leg: 2,000 small lists five times a second keep its garbage collector
at work.
"""

from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

Columns = list[list[int]] | NDArray[np.int64]
FigureColumns = list[list[float]] | NDArray[np.float64]

OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SERIALIZE_NUMPY
"""How messages are encoded."""
