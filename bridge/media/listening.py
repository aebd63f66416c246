"""What is taken out of single legs' voices before the mix: keys as tones, and takes.

Knows frames at 8 kHz. Wideband legs have none as a rule; those that are listened to get theirs.
"""

import numpy as np
from numpy.typing import NDArray

from bridge.media import dtmf, jitter, tones
from bridge.media.played import Played
from bridge.media.takes import Takes
from bridge.media.values import TickResult
from bridge.media.wide import Wide


class Listening:
    """Who is listened to by himself, and what for.

    Attributes:
        tones: detectors of keys, by slot.
        takes: the takes that run.
        beeping: (n,) int64, slots that key by tones.
        tracked: (n,) int64, slots whose voices are recorded by themselves.
    """

    def __init__(self, events: dtmf.Events, wide: Wide, legs_max: int) -> None:
        self.tones = tones.Tones.of(legs_max)
        self.takes = Takes()
        self.beeping: NDArray[np.int64] = np.zeros(0, np.int64)
        self.tracked: NDArray[np.int64] = np.zeros(0, np.int64)
        self._events, self._wide = events, wide

    def run(self, state: jitter.Jitter, played: Played, result: TickResult, *, tick: int) -> None:
        """Take in what each leg says in this tick; `played` is given rows at 8 kHz where needed."""
        if self._wide:
            wanted = np.concatenate([self.beeping, self.tracked, self.takes.slots()])
            self._wide.to_8_khz(np.unique(wanted), state, played)
        if len(self.beeping):
            self._hear_tones(state.ring[played.cell[self.beeping]], result, tick)
        if self.takes:
            down = self._events.keying(len(played.cell), tick=tick)
            result.takes = list(self.takes.gather(state.ring, played.cell, down))

    def _hear_tones(self, frames: NDArray[np.int16], result: TickResult, tick: int) -> None:
        """Take keys out of the audio of legs that have no telephone-events."""
        keys, beeps = tones.hear(self.tones, self.beeping, frames)
        result.keys += keys
        # The tick after as well: the last window may hold less tone than it takes to be a hit.
        self._events.keep_out(self.beeping[beeps], tick + 2)
