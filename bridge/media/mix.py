"""Mix-minus of all conferences at once; knows frames, groups and codecs, nothing of RTP.

A leg that says nothing hears its conference's sum as it is, so all such listeners of a
conference share one encoded frame per codec. Rows lie as `groups` says; what goes over samples
is in `samples`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import g711, samples
from bridge.media.groups import RANKS, Groups, MixBuffers, Seating, arrange
from bridge.media.linked import Exchange, add_linked
from bridge.media.masks import any_of, where

__all__ = [
    "RANKS",
    "Groups",
    "MixBuffers",
    "Seating",
    "Voices",
    "arrange",
    "mix_minus",
    "saturated",
]

BLOCK: Final = 256
"""Rows that speakers hear, encoded at a time: all at once drives the rest out of the cache."""

_NEARLY_ALL: Final = 0.8
"""Share of legs that say something from which shared frames for the rest save nothing."""


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
    _take(groups, voices, buffers)
    speaks = samples.sum_up(groups, voices.quiet, buffers)
    if voices.linked is not None:
        _add_linked(groups, speaks, voices.linked, buffers)
    _add_extra(voices, buffers.total)
    if not len(groups.order):  # recorded here, and all its legs are elsewhere
        return
    codec = voices.codec[groups.order]
    if np.count_nonzero(speaks) >= len(speaks) * _NEARLY_ALL:
        _encode_all(groups, codec, voices, buffers)
    else:
        _encode_shared(groups, speaks, codec, voices, buffers)


def _take(groups: Groups, voices: Voices, buffers: MixBuffers) -> None:
    """Fill `buffers.talk` with each leg's frame, as loud as it is to be heard."""
    talk = buffers.talk[: len(groups.order)]
    samples.take(groups.order, voices.cell, voices.ring, talk)
    if voices.gain is not None:
        gain = voices.gain[groups.order]
        changed = np.flatnonzero(gain != 1)
        talk[changed] = np.clip(talk[changed] * gain[changed, None], -32_768, 32_767)


def _add_linked(
    groups: Groups, speaks: NDArray[np.bool_], linked: Exchange, buffers: MixBuffers
) -> None:
    """Add to `buffers.total` what other workers gave, and note for them what is summed here.

    Who is alone here, and not everywhere, is a single voice no more: see `samples.sum_up`.
    """
    here = np.bincount(groups.group[speaks], minlength=len(groups.dense))
    everywhere = add_linked(linked, buffers.total[: len(groups.dense)], here)
    joined = (here == 1) & (everywhere > 1)
    mixed = np.flatnonzero(speaks & joined[groups.group])
    talk = buffers.talk[mixed]
    buffers.talk[mixed] = np.where(talk == g711.NEGATIVE_ZERO, 0, talk)


def _add_extra(voices: Voices, total: NDArray[np.int32]) -> None:
    """Add what is mixed in for everybody of a group."""
    if len(voices.extra_group):
        by_group = np.argsort(voices.extra_group, kind="stable")
        hearing, first = np.unique(voices.extra_group[by_group], return_index=True)
        total[hearing] += np.add.reduceat(voices.extra[by_group].astype(np.int32), first, axis=0)


def _encode_all(
    groups: Groups, codec: NDArray[np.uint8], voices: Voices, buffers: MixBuffers
) -> None:
    """Encode what each leg hears, each by itself."""
    count, used = len(groups.order), voices.used
    alaw = codec if any_of(codec) else None
    samples.encode_each(groups, alaw, buffers, voices.codes[used : used + count])
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
        own = talkers[at : at + BLOCK]
        rows = encode(groups.group[own], codec[own], voices, buffers, own=own)
        voices.pick[groups.order[own]] = rows
    listener = where(~speaks)
    share = groups.group[listener] * 2 + codec[listener]
    wanted = np.bincount(share, minlength=2 * len(groups.dense)) > 0
    shared = where(wanted)
    rows = encode(shared >> 1, (shared & 1).astype(np.uint8), voices, buffers)
    voices.pick[groups.order[listener]] = rows[(np.cumsum(wanted) - 1)[share]]


def encode(
    group: NDArray[np.int64],
    codec: NDArray[np.uint8],
    voices: Voices,
    buffers: MixBuffers,
    *,
    own: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Append the codes of sums to `voices.codes`; return their rows there, (n,) int64.

    `group`, (n,), whose sum; `own`, (n,), the row of `talk` that is not heard. A sum is saturated
    once, so that the order of legs cannot matter.
    """
    first, end = voices.used, voices.used + len(group)
    samples.encode_some(group, own, codec, buffers, voices.codes[first:end])
    voices.used = end
    return buffers.each[: len(group)] + first


def saturated(total: NDArray[np.int32]) -> NDArray[np.int16]:
    """Return sums as samples, clipped."""
    return np.minimum(np.maximum(total, -32_768), 32_767).astype(np.int16)
