"""Mix-minus of all conferences at once; knows frames, groups and codecs, nothing of RTP.

A leg that says nothing hears its conference's sum as it is, so all such listeners of a
conference share one encoded frame per codec.

Rows are laid out so that sums need no index: first the first member of every group, then every
second member, and so on, largest groups first; adding the k-th members is then one addition of
two slices. A group of more than `RANKS` legs lies at the end by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import g711
from bridge.media.linked import Exchange, add_linked
from bridge.media.masks import all_of, any_of, where
from bridge.media.shape import FRAME

BLOCK: Final = 256
"""Rows subtracted and encoded at a time: all at once drives the rest out of the core's cache."""

_NEARLY_ALL: Final = 0.8
"""Share of legs that say something from which shared frames for the rest save nothing."""

RANKS: Final = 64
"""Legs up to which a group is summed member by member beside the others."""


_NONE: Final = np.zeros(0, np.intp)


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


@dataclass(slots=True)
class MixBuffers:
    """Preallocated frames of the mix; contents last one tick. Rows as in `Groups.order`.

    Attributes:
        talk: (L, S) int16, frame of each leg, zero for one that says nothing.
        mask: (L, S) bool, scratch.
        total: (L, S) int32, the sum of each group, everybody in.
        raised: (L, S) int32, the same above its value by `g711.SUM_ZERO`.
        sums: (L, S) int32, what is encoded, raised as well.
        each: (L,) int64, row numbers. Constant.
    """

    talk: NDArray[np.int16]
    mask: NDArray[np.bool_]
    total: NDArray[np.int32]
    raised: NDArray[np.int32]
    sums: NDArray[np.int32]
    each: NDArray[np.int64]

    @classmethod
    def of(cls, legs_max: int) -> "MixBuffers":
        """Return buffers for `legs_max` slots."""
        return cls(
            talk=np.zeros((legs_max, FRAME), np.int16),
            mask=np.zeros((legs_max, FRAME), np.bool_),
            total=np.zeros((legs_max, FRAME), np.int32),
            raised=np.zeros((legs_max, FRAME), np.int32),
            sums=np.zeros((legs_max, FRAME), np.int32),
            each=np.arange(legs_max),
        )


@dataclass(slots=True)
class Voices:
    """What the mix takes in and gives out. L = leg slots, C = rows of encoded frames.

    Attributes:
        ring: (n, S) int16, frames; with -1 for G.711's negative zero.
        cell: (L,) int64, the row of `ring` that each slot says.
        quiet: (L,) bool, whose frame stays out: muted, or a key is down.
        codec: (L,) uint8.
        extra_group, extra: (c,) dense groups and (c, S) int frames mixed in for everybody.
        codes: (C, S) uint8, encoded frames, filled from `used` on.
        pick: (L,) int64, which row of `codes` each slot in a group hears; others are left alone.
        used: rows of `codes` that are taken.
        gain: (L,) float32, factor of each slot's voice; None when all are 1.
        linked: groups that lie on other workers too; None when there are none.
    """

    ring: NDArray[np.int16]
    cell: NDArray[np.int64]
    quiet: NDArray[np.bool_]
    codec: NDArray[np.uint8]
    extra_group: NDArray[np.int64]
    extra: NDArray[np.int16] | NDArray[np.int32]
    codes: NDArray[np.uint8]
    pick: NDArray[np.int64]
    used: int
    gain: NDArray[np.float32] | None = None
    linked: Exchange | None = None


def mix_minus(groups: Groups, voices: Voices, buffers: MixBuffers) -> None:
    """Encode what each leg hears, its group minus itself saturated once, into `voices.codes`."""
    assert len(buffers.talk) <= 65_536  # so many int16 samples still sum inside int32
    if not groups.dense:
        return
    speaks = _take(groups, voices, buffers)
    _sum(groups, speaks, voices, buffers)
    if not len(groups.order):  # recorded here, and all its legs are elsewhere
        return
    count = len(groups.dense)
    np.add(buffers.total[:count], g711.SUM_ZERO, out=buffers.raised[:count])
    codec = voices.codec[groups.order]
    alaw = codec if any_of(codec) else None
    if np.count_nonzero(speaks) >= len(speaks) * _NEARLY_ALL:
        _encode_all(groups, alaw, voices, buffers)
    else:
        _encode_shared(groups, speaks, codec, voices, buffers)


def _encode_all(
    groups: Groups, codec: NDArray[np.uint8] | None, voices: Voices, buffers: MixBuffers
) -> None:
    """Encode what each leg hears, each by itself. `codec` of the rows; None: all PCMU."""
    count, used = len(groups.order), voices.used
    talk, codes = buffers.talk, voices.codes[used : used + count]
    for at, to, group, last in _parts(groups):
        sums = buffers.sums[: to - at]
        shape = (-1, last - group, FRAME)
        np.subtract(buffers.raised[group:last], talk[at:to].reshape(shape), out=sums.reshape(shape))
        g711.encode_sums(sums, None if codec is None else codec[at:to], codes[at:to])
    voices.pick[groups.order] = buffers.each[:count] + used
    voices.used = used + count


def _encode_shared(
    groups: Groups,
    speaks: NDArray[np.bool_],
    codec: NDArray[np.uint8],
    voices: Voices,
    buffers: MixBuffers,
) -> None:
    """Encode what those who speak hear, and once for each group and codec what the others do."""
    talkers = where(speaks)
    for at in range(0, len(talkers), BLOCK):  # bounded by the legs, divided by BLOCK
        talker = talkers[at : at + BLOCK]
        sums = buffers.sums[: len(talker)]
        buffers.raised.take(groups.group[talker], 0, sums, "clip")
        np.subtract(sums, buffers.talk[talker], out=sums)
        voices.pick[groups.order[talker]] = _encode(sums, codec[talker], voices, buffers)
    listener = where(~speaks)
    share = groups.group[listener] * 2 + codec[listener]
    wanted = np.bincount(share, minlength=2 * len(groups.dense)) > 0
    shared = where(wanted)
    sums = buffers.sums[: len(shared)]
    buffers.raised.take(shared >> 1, 0, sums, "clip")
    rows = _encode(sums, (shared & 1).astype(np.uint8), voices, buffers)
    voices.pick[groups.order[listener]] = rows[(np.cumsum(wanted) - 1)[share]]


def _encode(
    sums: NDArray[np.int32], codec: NDArray[np.uint8], voices: Voices, buffers: MixBuffers
) -> NDArray[np.int64]:
    """Append the codes of raised sums to `voices.codes`; return their rows there, (n,) int64.

    A sum is saturated once, so that the order of legs cannot matter.
    """
    first, end = voices.used, voices.used + len(sums)
    g711.encode_sums(sums, codec, voices.codes[first:end])
    voices.used = end
    return buffers.each[: len(sums)] + first


def _parts(groups: Groups) -> Iterator[tuple[int, int, int, int]]:
    """Yield the spans of `groups` in parts of `BLOCK` rows, or one row of each group if larger."""
    for row, end, group, last in groups.spans:  # bounded: see `arrange`
        members = last - group
        step = max(BLOCK // members, 1) * members
        for at in range(row, end, step):  # bounded by the legs, divided by BLOCK
            yield at, min(at + step, end), group, last


def _take(groups: Groups, voices: Voices, buffers: MixBuffers) -> NDArray[np.bool_]:
    """Fill `buffers.talk` with each leg's frame; return who says something."""
    talk = buffers.talk[: len(groups.order)]
    voices.ring.take(voices.cell[groups.order], 0, talk, "clip")
    if voices.gain is not None:
        gain = voices.gain[groups.order]
        changed = np.flatnonzero(gain != 1)
        talk[changed] = np.clip(talk[changed] * gain[changed, None], -32_768, 32_767)
    words = talk.view(np.uint64)
    speaks: NDArray[np.bool_] = words[:, 0] != 0
    unsure = where(~speaks)  # few: only of these is the whole frame looked at
    if len(unsure):
        speaks[unsure] = words[unsure].any(axis=1)
    if any_of(voices.quiet):
        speaks &= ~voices.quiet[groups.order]
    if not all_of(speaks):
        talk[~speaks] = 0
    return speaks


def _sum(groups: Groups, speaks: NDArray[np.bool_], voices: Voices, buffers: MixBuffers) -> None:
    """Fill `buffers.total` of every group."""
    talk = buffers.talk[: len(speaks)]
    # Where several speak, negative zeros are zeros; a single voice passes bit-exact.
    alone = _alone(groups, speaks)
    kept = talk[alone] if len(alone) else None
    g711.clean(talk, buffers.mask[: len(talk)])
    if kept is not None:
        talk[alone] = kept
    # Slices, not np.add.reduceat over sorted rows: 0.05 ms against 0.22 for 1,000 legs here.
    total = buffers.total[: len(groups.dense)]
    fresh = 0  # groups below have a sum already
    for row, end, group, last in groups.spans:  # bounded: see `arrange`
        if end - row == last - group and last <= fresh:
            np.add(total[group:last], talk[row:end], out=total[group:last])
        else:
            frames = talk[row:end].reshape(-1, last - group, FRAME)
            if last <= fresh:
                total[group:last] += frames.sum(axis=0, dtype=np.int32)
            else:
                np.add.reduce(frames, 0, np.int32, out=total[group:last])
        fresh = max(fresh, last)
    total[fresh:] = 0  # groups that are linked, and have no leg here
    if voices.linked is not None:
        lonely = np.zeros(len(speaks), np.bool_)
        lonely[alone] = True
        speaking = np.bincount(groups.group[speaks], minlength=len(groups.dense))
        everywhere = add_linked(voices.linked, total, speaking)
        mixed = np.flatnonzero(lonely & (everywhere > 1)[groups.group])
        talk[mixed] = np.where(talk[mixed] == g711.NEGATIVE_ZERO, 0, talk[mixed])
    if len(voices.extra_group):
        by_group = np.argsort(voices.extra_group, kind="stable")
        hearing, first = np.unique(voices.extra_group[by_group], return_index=True)
        total[hearing] += np.add.reduceat(voices.extra[by_group].astype(np.int32), first, axis=0)


def _alone(groups: Groups, speaks: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the rows of those who are the only voice of their group."""
    if all_of(speaks):
        return where(groups.lonely) if groups.lonely is not None else _NONE
    speaking = np.bincount(groups.group, weights=speaks, minlength=len(groups.dense))
    return where(speaks & (speaking == 1)[groups.group])


def saturated(total: NDArray[np.int32]) -> NDArray[np.int16]:
    """Return sums as samples, clipped."""
    return np.minimum(np.maximum(total, -32_768), 32_767).astype(np.int16)
