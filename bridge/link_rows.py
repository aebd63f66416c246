"""Tables in messages of `link`, of all legs at once: (n, k), a leg's number first.

The worker hands over arrays, and no object is made of a leg until control reads them, which gets
rows in lists: objects lie all over a memory that has long left the caches when a tick comes.
"""

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

Rows = list[list[int]] | NDArray[np.int64]
FigureRows = list[list[float]] | NDArray[np.float64]

OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SERIALIZE_NUMPY
"""How messages are encoded."""


def reader(cls: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what reads the fields of a message, in order."""
    names = [item.name for item in fields(cls)]
    if len(names) < 2:
        return lambda message: tuple(getattr(message, name) for name in names)
    read: Callable[[Any], tuple[Any, ...]] = attrgetter(*names)
    return read
