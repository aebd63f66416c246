"""Who is mixed with whom, and how the rows of the mix lie; knows groups and slots, no samples.

Rows are laid out so that sums need no index: first the first member of every group, then every
second member, and so on, largest groups first; adding the k-th members is then one addition of
two slices. A group of more than `RANKS` legs lies at the end by itself.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.known import Known
from bridge.media.masks import all_of
from bridge.media.shape import FRAME

RANKS: Final = 64
"""Legs up to which a group is summed member by member beside the others."""

NEARLY_ALL: Final = (4, 5)
"""Share of legs that say something from which shared frames for the rest save nothing."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Who is with whom. Made anew, by `arrange`, between ticks only.

    M = legs in groups, G = groups with legs. Dense group numbers run in [0, G).

    Attributes:
        order: (M,) int64, leg slots in the order of the mix's rows.
        group: (M,) int64, dense group of each row.
        dense: control's number of a group to its dense one.
        spans: (first row, end, first group, end) of rows that are added to totals as one array:
            as many rows as groups, once or several times over, or all rows of one large group.
        lonely: (M,) bool, the row's group has one leg; None when there is no such row.
    """

    order: NDArray[np.int64]
    group: NDArray[np.int64]
    dense: dict[int, int]
    spans: tuple[tuple[int, int, int, int], ...]
    lonely: NDArray[np.bool_] | None


def arrange(group_of: NDArray[np.int64], also: NDArray[np.int64] | None = None) -> Groups:
    """Return the order of the legs; `group_of`, (L,) int64, is -1 outside any group.

    `also`, (n,) int64: groups that have a sum even without a leg here.
    """
    inside = np.flatnonzero(group_of >= 0)
    inside = inside[np.argsort(group_of[inside], kind="stable")]
    sorted_by = group_of[inside]
    first = np.flatnonzero(np.diff(sorted_by, prepend=-1))
    numbers, size = sorted_by[first], np.diff(first, append=len(inside))
    # Dense numbers: small groups by size, largest first, then the large ones.
    large = size > RANKS
    ranking = np.lexsort((-size, large))
    numbers, first, size = numbers[ranking], first[ranking], size[ranking]
    dense = np.repeat(np.arange(len(size)), size)
    rank = np.arange(len(dense)) - np.repeat(np.cumsum(size) - size, size)
    slot = inside[np.repeat(first, size) + rank]
    small = int(np.count_nonzero(~large))
    rows = int(size[:small].sum())
    by_rank = np.lexsort((dense[:rows], rank[:rows]))
    order = np.concatenate([slot[:rows][by_rank], slot[rows:]])
    group = np.concatenate([dense[:rows][by_rank], dense[rows:]])
    spans: list[tuple[int, int, int, int]] = []
    at = 0
    for members in np.bincount(rank[:rows]).tolist():  # bounded: RANKS
        first_row = spans.pop()[0] if spans and spans[-1][3] == members else at
        at += members
        spans.append((first_row, at, 0, members))
    for index in range(small, len(size)):  # bounded by the legs there can be, divided by RANKS
        spans.append((at, at + int(size[index]), index, index + 1))
        at += int(size[index])
    named = dict(zip(numbers.tolist(), range(len(numbers)), strict=True))
    for number in () if also is None else also.tolist():  # bounded by linked groups
        named.setdefault(number, len(named))
    lonely = (size == 1)[group]
    return Groups(order, group, named, tuple(spans), lonely if lonely.any() else None)


class Seating:
    """The latest `Groups`, made anew only when somebody has come, gone, or changed groups.

    While many call, legs are opened and closed between any two ticks, and few of them are in a
    group yet: nothing about groups changes by those.
    """

    def __init__(self, legs_max: int) -> None:
        self._of: NDArray[np.int64] = np.full(legs_max, -1, np.int64)
        self._also = self._of[:0]
        self.groups = arrange(self._of)

    def arrange(self, group_of: NDArray[np.int64], also: NDArray[np.int64]) -> Groups:
        """Return what `arrange` does."""
        if not (all_of(group_of == self._of) and np.array_equal(also, self._also)):
            self._of[:], self._also = group_of, also
            self.groups = arrange(group_of, also)
        return self.groups


@dataclass(slots=True)
class MixBuffers:
    """Preallocated frames of the mix; contents last one tick. Rows as in `Groups.order`.

    Attributes:
        talk: (L, S) int16, frame of each leg, zero for one that says nothing.
        total: (L, S) int32, the sum of each group, everybody in.
        speaks: (L,) bool, who says something.
        voices: (L,) int32, how many do in each group; scratch of `samples_c`.
        shares: (2 * L,) int64, scratch of `samples_c`.
        known: where arrays lie that stay, by name; of `samples_c`.
        mask, raised, sums: scratch of `samples_numpy`, (L, S) bool, int32 and int32.
    """

    talk: NDArray[np.int16]
    total: NDArray[np.int32]
    speaks: NDArray[np.bool_]
    voices: NDArray[np.int32]
    shares: NDArray[np.int64]
    known: Known
    mask: NDArray[np.bool_]
    raised: NDArray[np.int32]
    sums: NDArray[np.int32]

    @classmethod
    def of(cls, legs_max: int) -> "MixBuffers":
        """Return buffers for `legs_max` slots."""
        return cls(
            talk=np.zeros((legs_max, FRAME), np.int16),
            total=np.zeros((legs_max, FRAME), np.int32),
            speaks=np.zeros(legs_max, np.bool_),
            voices=np.zeros(legs_max, np.int32),
            shares=np.zeros(2 * legs_max, np.int64),
            known={},
            mask=np.zeros((legs_max, FRAME), np.bool_),
            raised=np.zeros((legs_max, FRAME), np.int32),
            sums=np.zeros((legs_max, FRAME), np.int32),
        )
