"""The mixes of groups that somebody listens to as they are made; knows samples, sends nothing.

Unlike a recording it keeps nothing and makes up for nothing: frames that never were are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import mix
from bridge.media.shape import FRAME

LIVE_FRAMES: Final = 5
"""Frames handed over at once: 100 ms."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a group said in 100 ms: `samples`, (LIVE_FRAMES * S,) int16."""

    group: int
    samples: NDArray[np.int16]


class Ears:
    """The groups being listened to. What is handed over are copies."""

    def __init__(self) -> None:
        self._blocks: dict[int, NDArray[np.int16]] = {}
        self._filled: dict[int, int] = {}

    def listen(self, group: int, *, on: bool) -> None:
        """Begin to listen to a group, or end it; either may be said again."""
        if on and group not in self._blocks:
            self._blocks[group] = np.zeros((LIVE_FRAMES, FRAME), np.int16)
            self._filled[group] = 0
        elif not on:
            self._blocks.pop(group, None)

    def gather(self, dense: Mapping[int, int], total: NDArray[np.int32]) -> list[Heard]:
        """Take this tick's mixes; return those of which 100 ms are together.

        `dense` names the rows of `total`, (G, S), the sums of groups with legs. A group without
        legs is silent.
        """
        whole = []
        for group, block in self._blocks.items():  # bounded by the groups listened to
            at = self._filled[group]
            block[at] = mix.saturated(total[dense[group]]) if group in dense else 0
            self._filled[group] = (at + 1) % LIVE_FRAMES
            if at + 1 == LIVE_FRAMES:
                whole.append(Heard(group, block.ravel().copy()))
        return whole
