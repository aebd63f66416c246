"""Mix-minus of all conferences at once; knows frames, groups and codecs, nothing of RTP.

A leg that says nothing hears its conference's sum as it is, so all such listeners of a
conference share one encoded frame per codec. Rows lie as `groups` says; what goes over samples
is in `samples`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.media import g711, samples
from bridge.media.groups import RANKS, Groups, MixBuffers, Seating, arrange
from bridge.media.linked import Exchange, add_linked

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


@dataclass(slots=True)
class Voices:
    """What the mix takes in and gives out.

    L = leg slots, C = rows of encoded frames; slots from `count` on have no leg.

    Attributes:
        ring: (n, S) int16, frames; with -1 for G.711's negative zero.
        cell: (count,) int64, the row of `ring` that each slot says.
        gain: (L,) float32, factor of each slot's voice.
        quiet: (count,) bool, whose frame stays out: muted, or a key is down.
        codec: (L,) uint8.
        extra_group, extra: (c,) dense groups and (c, S) int frames mixed in for everybody.
        codes: (C, S) uint8, encoded frames, filled from `used` on.
        pick: (L,) int64, which row of `codes` each slot in a group hears; others are left alone.
        used: rows of `codes` that are taken.
        linked: groups that lie on other workers too; None when there are none.
    """

    ring: NDArray[np.int16]
    cell: NDArray[np.int64]
    gain: NDArray[np.float32]
    quiet: NDArray[np.bool_]
    codec: NDArray[np.uint8]
    extra_group: NDArray[np.int64]
    extra: NDArray[np.int16] | NDArray[np.int32]
    codes: NDArray[np.uint8]
    pick: NDArray[np.int64]
    used: int
    linked: Exchange | None = None


def mix_minus(groups: Groups, voices: Voices, buffers: MixBuffers) -> None:
    """Encode what each leg hears, its group minus itself saturated once, into `voices.codes`."""
    assert len(buffers.talk) <= 65_536  # so many int16 samples still sum inside int32
    if not groups.dense:
        return
    speaks = samples.sum_up(groups, voices.cell, voices.ring, voices.gain, voices.quiet, buffers)
    if voices.linked is not None:
        _add_linked(groups, speaks, voices.linked, buffers)
    _add_extra(voices, buffers.total)
    if len(groups.order):  # else what is recorded here has all its legs elsewhere
        voices.used = samples.deliver(
            groups, speaks, voices.codec, buffers, voices.codes, voices.pick, voices.used
        )


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


def saturated(total: NDArray[np.int32]) -> NDArray[np.int16]:
    """Return sums as samples, clipped."""
    return np.minimum(np.maximum(total, -32_768), 32_767).astype(np.int16)
