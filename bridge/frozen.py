"""Values that nobody changes, made at the price of those that anybody may; knows no value.

A call takes more than forty of them from its INVITE to its BYE. A `dataclass(frozen=True)` sets
each field by a call that gets around its own lock: one of eleven fields took 1.9 µs, this 0.4. So
the lock is where it costs nothing: mypy, which every change has to pass, refuses an assignment.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_T]) -> type[_T]:
    """Make a class of plain values: compared and hashed by its fields, which are never assigned.

    >>> @frozen
    ... class Place:
    ...     host: str
    ...     port: int = 5_060
    >>> Place("a"), Place("a") == Place("a", 5_060), len({Place("a"), Place("a", 5_060)})
    (Place(host='a', port=5060), True, 1)
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
