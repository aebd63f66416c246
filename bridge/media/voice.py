"""Who is talking: the level of each leg against its own noise; knows frames, nothing of RTP.

A leg talks when it is clearly louder than its noise for 80 ms, and stops when it has been near
the noise for 320 ms. The noise follows the quietest that was heard, down at once and up slowly,
and never up to the level of a voice: a tone that does not end is talk.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import samples
from bridge.media.known import Known

LOOK_TICKS: Final = 2
"""Ticks between looks: 40 ms."""

START_TIMES: Final = 8.0
"""Power over the noise that is talk, 9 dB; half of that goes on being talk."""

START_POWER: Final = 200.0**2
"""Power that is talk at the least, -44 dBFS; half of that goes on being talk."""

START_LOOKS: Final = 2
STOP_LOOKS: Final = 8

NOISE_MIN: Final = 30.0**2
NOISE_MAX: Final = 330.0**2
"""Noise is not taken to be more than -40 dBFS."""

FALL: Final = 0.25
"""Share of the way down to a lower level that the noise goes in one look."""

RISE: Final = 1.01
"""Factor by which the noise rises in one look: 1 dB a second."""

RULES: Final = np.array(
    [START_TIMES, START_POWER, FALL, RISE, NOISE_MIN, NOISE_MAX, START_LOOKS, STOP_LOOKS]
)
"""(8,) float64, all of that, in the order in which `samples.follow` wants it."""


@dataclass(slots=True)
class Voice:
    """Row i of every array is leg slot i; L = leg slots.

    Attributes:
        noise: (L,) float64, power of the leg's noise.
        streak: (L,) int32, looks in a row that speak for a change of `talking`.
        talking: (L,) bool. False in idle rows and outside any group.
        level: (L,) float64, power of the frame looked at last; 0 in idle rows.
        known: where arrays lie that stay; of `samples_c`.
    """

    noise: NDArray[np.float64]
    streak: NDArray[np.int32]
    talking: NDArray[np.bool_]
    level: NDArray[np.float64]
    known: Known

    @classmethod
    def of(cls, legs_max: int) -> "Voice":
        """Return idle rows."""
        return cls(
            noise=np.full(legs_max, NOISE_MIN),
            streak=np.zeros(legs_max, np.int32),
            talking=np.zeros(legs_max, np.bool_),
            level=np.zeros(legs_max),
            known={},
        )

    def open_leg(self, slot: int) -> None:
        """Make a row idle."""
        self.noise[slot], self.streak[slot], self.talking[slot] = NOISE_MIN, 0, False
        self.level[slot] = 0


def dbfs(power: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return powers as whole decibels against full scale, -90 at the least.

    >>> dbfs(np.array([32_768.0**2, 200.0**2, 0.0])).tolist()
    [0, -44, -90]
    """
    return np.asarray(10 * np.log10(np.maximum(power / 2.0**30, 1e-9)), np.int64)


def look(state: Voice, level: NDArray[np.float64]) -> NDArray[np.intp]:
    """Take in the power of a frame of each of the first slots, (count,); return which changed."""
    state.level[: len(level)] = level
    return samples.follow(level, state.noise, state.talking, state.streak, RULES, state.known)
