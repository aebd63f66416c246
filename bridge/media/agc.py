"""One level for all: automatic gain, and a gate for noise, per leg; off unless switched on.

Only speech moves the gain: down by 1 dB a frame, up by 5 dB a second, so that a word does not
breathe. The gate takes what is between words down by 20 dB once the leg has been at its noise for
300 ms, and opens within 5 ms of the frame that speech begins in. Gains change linearly and never
at once, so there is no click. Knows frames at any rate; row i of every array is leg slot i.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import jitter, samples
from bridge.media.played import Played
from bridge.media.wide import Wide

TARGET_POWER: Final = (32_768 * 0.1) ** 2
"""Mean square that speech is brought to: -20 dB of full scale."""

GAIN_MAX: Final = 4.0
GAIN_MIN: Final = 0.25
"""12 dB either way."""

PEAK_MAX: Final = 32_000.0

SPEECH_TIMES: Final = 8.0
"""Power over the leg's noise that is speech, 9 dB."""

SPEECH_POWER: Final = 60.0**2
"""Power that is speech at the least, -55 dB of full scale."""

NOISE_MAX: Final = 600.0**2
"""Noise is not taken to be more than -35 dB of full scale: a voice that never rests is none."""

HOLD_TICKS: Final = 15
"""Frames without speech after which the gate closes."""

GATE_FLOOR: Final = 0.1
GATE_STEP: Final = 0.8
"""Down to a tenth, by a fifth in each frame."""

OPENING: Final = 4
"""A rise takes a quarter of a frame, so that the gate cuts no first syllable."""

UP: Final = 10 ** (0.1 / 20)
DOWN: Final = 10 ** (-1 / 20)
_ATTACK, _RELEASE = 0.3, 0.03  # share of the way to a louder, or softer, frame of speech
_NOISE_FALL, _NOISE_RISE = 0.25, 1.005


@dataclass(slots=True)
class Levels:
    """What is known of the legs' levels. L = leg slots.

    Attributes:
        automatic_gain, noise_gate: which of the two is on.
        noise: (L,) float64, power of each leg's noise.
        level: (L,) float64, power of its speech.
        gain: (L,) float64, factor for its speech.
        door: (L,) float64, factor of the gate, in [GATE_FLOOR, 1].
        since: (L,) int64, frames since the last one with speech.
        last: (L,) float64, factor at the end of the last frame. 1 in idle rows.
    """

    noise: NDArray[np.float64]
    level: NDArray[np.float64]
    gain: NDArray[np.float64]
    door: NDArray[np.float64]
    since: NDArray[np.int64]
    last: NDArray[np.float64]
    automatic_gain: bool = False
    noise_gate: bool = False

    @classmethod
    def of(cls, legs_max: int) -> "Levels":
        """Return idle rows."""
        return cls(
            noise=np.full(legs_max, SPEECH_POWER / SPEECH_TIMES),
            level=np.full(legs_max, TARGET_POWER),
            gain=np.ones(legs_max),
            door=np.ones(legs_max),
            since=np.zeros(legs_max, np.int64),
            last=np.ones(legs_max),
        )

    def open_leg(self, slot: int) -> None:
        """Make a row idle."""
        self.noise[slot], self.level[slot] = SPEECH_POWER / SPEECH_TIMES, TARGET_POWER
        self.gain[slot] = self.door[slot] = self.last[slot] = 1
        self.since[slot] = 0


def shaped(state: Levels, slots: NDArray[np.int64], frames: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return one frame of each of `slots`, (n, S), evened out."""
    power = samples.power_of(frames)
    noise = state.noise[slots]
    speech = power > np.maximum(noise * SPEECH_TIMES, SPEECH_POWER)
    fallen = noise + (power - noise) * _NOISE_FALL
    noise = np.where(power < noise, fallen, noise * _NOISE_RISE)
    state.noise[slots] = np.clip(noise, 1, NOISE_MAX)
    state.since[slots] = np.where(speech, 0, state.since[slots] + 1)
    if state.automatic_gain:
        level = state.level[slots]
        level += (power - level) * np.where(power > level, _ATTACK, _RELEASE) * speech
        state.level[slots] = level
        gain = state.gain[slots]
        wanted = np.clip(np.sqrt(TARGET_POWER / np.maximum(level, 1)), GAIN_MIN, GAIN_MAX)
        state.gain[slots] = np.where(speech, gain * np.clip(wanted / gain, DOWN, UP), gain)
    if state.noise_gate:
        closing = np.maximum(state.door[slots] * GATE_STEP, GATE_FLOOR)
        state.door[slots] = np.where(state.since[slots] < HOLD_TICKS, 1.0, closing)
    peak = np.abs(frames.astype(np.int32)).max(axis=1)
    after = np.minimum(state.gain[slots] * state.door[slots], PEAK_MAX / np.maximum(peak, 1))
    before, state.last[slots] = state.last[slots], after
    weight = (np.arange(frames.shape[1]) + 1) / frames.shape[1]
    ramp = np.where((after > before)[:, None], np.minimum(weight * OPENING, 1), weight)
    factor = before[:, None] + (after - before)[:, None] * ramp
    return np.asarray(np.clip(np.rint(frames * factor), -32_768, 32_767), np.int16)


def even_out(state: Levels, ring: jitter.Jitter, played: Played, wide: Wide) -> None:
    """Even out what every leg says in this tick, at each leg's own rate, if that is on."""
    if not (state.automatic_gain or state.noise_gate):
        return
    slots = np.flatnonzero(played.cell != len(ring.stamp))
    slots = slots[~wide.is_wide[slots]]
    row = jitter.own(ring, played, slots)
    ring.ring[row] = shaped(state, slots, ring.ring[row])
    for band in wide.bands.values():  # two
        band.frame[:] = shaped(state, band.slots, band.frame)
