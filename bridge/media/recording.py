"""Taps on the mixes of groups, gathered into blocks; knows samples, writes no file.

A block of every recording leaves once a second, so that the tick hands over little and seldom.
Each piece says at which frame of its recording it belongs: what is lost on the way to the disk
leaves silence, never a shorter file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import mix
from bridge.media.shape import FRAME

BLOCK: Final = 50
"""Frames of a block: one second."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a recording: `samples`, (frames * S,) int16, from `frame` of the recording on."""

    group: int
    frame: int
    samples: NDArray[np.int16]


@dataclass(slots=True)
class _Tap:
    """One recording: frames gathered in its block, and where the block starts."""

    block: NDArray[np.int16]
    filled: int = 0
    frame: int = 0


class Taps:
    """The groups being recorded. Pieces are copies: the caller may keep them."""

    def __init__(self) -> None:
        self._taps: dict[int, _Tap] = {}

    def start(self, group: int) -> bool:
        """Begin to record a group; False when it is being recorded."""
        if group in self._taps:
            return False
        self._taps[group] = _Tap(np.zeros((BLOCK, FRAME), np.int16))
        return True

    def stop(self, group: int) -> tuple[Piece, int] | None:
        """End a recording: its last piece and its length in frames; None when there is none."""
        tap = self._taps.pop(group, None)
        if tap is None:
            return None
        piece = Piece(group, tap.frame, tap.block[: tap.filled].ravel())
        return piece, tap.frame + tap.filled

    def gather(
        self, dense: Mapping[int, int], total: NDArray[np.int32], *, skipped: int
    ) -> list[Piece]:
        """Take this tick's mixes, after `skipped` silent frames; return blocks that are full.

        `dense` names the rows of `total`, (G, S), the sums of groups with legs. A group without
        legs records silence.
        """
        full = []
        for group, tap in self._taps.items():  # bounded by the recordings running
            tap.frame += skipped
            if skipped and tap.filled:
                full.append(
                    Piece(group, tap.frame - skipped, tap.block[: tap.filled].ravel().copy())
                )
                tap.frame += tap.filled
                tap.filled = 0
            tap.block[tap.filled] = mix.saturated(total[dense[group]]) if group in dense else 0
            tap.filled += 1
            if tap.filled == BLOCK:
                full.append(Piece(group, tap.frame, tap.block.ravel().copy()))
                tap.frame += BLOCK
                tap.filled = 0
        return full
