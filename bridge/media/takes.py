"""What single legs say when they are asked, such as their names; knows frames, no meaning.

A take holds one leg's own voice. It ends when the leg has spoken and is quiet again, when it is
stopped, or when its time is over; then the silence around it is cut off.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import samples, voice
from bridge.media.shape import FRAME

TAKE_FRAMES_MAX: Final = 500
"""Longest take: ten seconds."""

QUIET_FRAMES: Final = 60
"""Quiet frames after speech that end a take: 1.2 s."""

SPEECH_FRAMES_MIN: Final = 8
"""Loud frames without which nothing was said: 160 ms."""

MARGIN_FRAMES: Final = 4
"""Frames kept before the first loud one and after the last."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A take that is over: (n, ) int16 samples, none when nothing was said."""

    slot: int
    name: str
    samples: NDArray[np.int16]


@dataclass(slots=True)
class _Take:
    """A take that runs: `frames`, (F, S) int16, `loud`, (F,) bool, and how many are filled."""

    name: str
    frames: NDArray[np.int16]
    loud: NDArray[np.bool_]
    filled: int = 0
    ends: bool = False

    def is_over(self) -> bool:
        """Say whether it is to end now."""
        if self.ends or self.filled == len(self.frames):
            return True
        heard = np.flatnonzero(self.loud[: self.filled])
        spoke = len(heard) >= SPEECH_FRAMES_MIN
        return bool(spoke and self.filled - heard[-1] > QUIET_FRAMES)

    def cut(self) -> NDArray[np.int16]:
        """Return the speech without the silence around it."""
        heard = np.flatnonzero(self.loud[: self.filled])
        if len(heard) < SPEECH_FRAMES_MIN:
            return np.zeros(0, np.int16)
        first = max(int(heard[0]) - MARGIN_FRAMES, 0)
        last = min(int(heard[-1]) + MARGIN_FRAMES + 1, self.filled)
        return self.frames[first:last].ravel().copy()


class Takes:
    """The takes that run, one a leg at most."""

    def __init__(self) -> None:
        self._takes: dict[int, _Take] = {}

    def __bool__(self) -> bool:
        """Say whether any runs."""
        return bool(self._takes)

    def slots(self) -> NDArray[np.int64]:
        """Return whose takes run."""
        return np.array(list(self._takes), np.int64)

    def start(self, slot: int, name: str, frames: int) -> None:
        """Begin a take of `frames` at most, instead of one that runs."""
        size = min(max(frames, 1), TAKE_FRAMES_MAX)
        self._takes[slot] = _Take(name, np.zeros((size, FRAME), np.int16), np.zeros(size, np.bool_))

    def stop(self, slot: int) -> None:
        """End a take at the next tick, if one runs."""
        if slot in self._takes:
            self._takes[slot].ends = True

    def drop(self, slot: int) -> None:
        """Forget a take: its leg is over."""
        self._takes.pop(slot, None)

    def gather(
        self, ring: NDArray[np.int16], cell: NDArray[np.int64], quiet: NDArray[np.bool_]
    ) -> Iterator[Taken]:
        """Take in what each leg says this tick, and yield the takes that are over.

        `ring`, (n, S), has the frames, `cell`, (L,), the row of each slot's; `quiet`, (L,), is
        true while a key is down.
        """
        for slot, take in list(self._takes.items()):  # bounded by the legs that are asked now
            if not take.ends and slot < len(cell):
                frame = ring[cell[slot]]
                if not quiet[slot]:
                    take.frames[take.filled] = frame
                    take.loud[take.filled] = samples.power_of(frame[None])[0] > voice.START_POWER
                take.filled += 1
            if take.is_over():
                del self._takes[slot]
                yield Taken(slot, take.name, take.cut())
