"""Where arrays lie that stay from tick to tick; knows names and addresses, nothing of contents.

An array is checked, and asked where it lies, once, and again only when another has its name: on a
core that has just slept each of those takes a microsecond, and a tick has forty.
"""

from typing import Any, TypeAlias

from numpy.typing import NDArray

Known: TypeAlias = dict[str, tuple[NDArray[Any], int]]
"""By name: an array, which is kept thereby, and where it begins."""
