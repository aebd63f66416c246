"""Who says what when: a tone for every talker, another one every two seconds; arrays only.

Some 290 tones must do for thousands of callers. So time is cut into *turns* of two seconds, and
in each turn the talkers of a conference get tones by a rule that differs from conference to
conference and from turn to turn. Within a conference no two are alike, and a voice that leaks in
from another conference may hide behind a tone of ours in one turn but not in the next.

Odd conferences are half a turn behind even ones, so that each second some end theirs. A turn
begins with 100 ms of silence, then its *leader* is heard alone for 100 ms, so that his delay can
be measured, then all talk. The second half of a turn is what is judged.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.voice import SILENCE_CODE, encode
from bridge.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

Ints = NDArray[np.int64]

TICKS_PER_S: Final = SAMPLE_RATE_HZ // FRAME_SAMPLES
TURN_TICKS: Final = 2 * TICKS_PER_S
SILENT_TICKS: Final = 5
LEAD_TICKS: Final = 10
"""Until here only the leader is heard."""

_BEEPS_HZ: Final = (610, 820)
"""The bridge's entry and exit sounds stay clear of every tone."""

_CLEAR_HZ: Final = 30
_STEP_HZ: Final = 10
TONES_HZ: Final[Ints] = np.array(
    [
        tone
        for tone in range(300, 3_400, _STEP_HZ)
        if all(abs(tone - beep) > _CLEAR_HZ for beep in _BEEPS_HZ)
    ][:293]
)
"""(293,) hertz: whole numbers, so that each repeats every second; a prime number of them."""

SILENCE: Final = len(TONES_HZ)
"""The index that means saying nothing."""


@cache
def frames(codec: str, amplitude: float) -> NDArray[np.uint8]:
    """Return (294, 50, 160) codes: one second of every tone in frames, and of silence."""
    at = np.arange(SAMPLE_RATE_HZ)
    angle = 2 * np.pi * (TONES_HZ[:, None] * at % SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    pcm = np.round(amplitude * np.sin(angle)).astype(np.int16)
    silence = np.full((1, SAMPLE_RATE_HZ), SILENCE_CODE[codec], np.uint8)
    codes = np.concatenate([encode(pcm, codec), silence])
    return codes.reshape(len(codes), TICKS_PER_S, FRAME_SAMPLES)


def turn_at(tick: int, half: int) -> tuple[int, int]:
    """Return the turn of even (`half` 0) or odd (1) conferences, and the tick within it.

    >>> turn_at(49, 0), turn_at(49, 1), turn_at(50, 1)
    ((0, 49), (0, 99), (1, 0))
    """
    return divmod(tick + half * TICKS_PER_S, TURN_TICKS)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return values without any pattern left: the finaliser of splitmix64."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def tone_of(conference: Ints, turn: int, place: Ints) -> Ints:
    """Return indexes into TONES_HZ of the talkers at `place`, 0 to 292, in their conferences."""
    key = conference.astype(np.uint64) << np.uint64(32) | np.uint64(turn & 0xFFFF_FFFF)
    drawn = _mixed(key + np.uint64(0x9E3779B97F4A7C15))
    tones = len(TONES_HZ)
    first = (drawn % np.uint64(tones)).astype(np.int64)
    # The number of tones is prime, so any step meets every tone once.
    step = 1 + ((drawn >> np.uint64(32)) % np.uint64(tones - 1)).astype(np.int64)
    result: Ints = (first + place * step) % tones
    return result


def place_of(seat: Ints, size: Ints, turn: int, talkers: int) -> Ints:
    """Return the place of each seat among the talkers of a turn, -1 for who listens.

    All talk when they are no more than `talkers`; else they take turns in order of seats.
    """
    shifted = np.where(size > talkers, (seat - turn * talkers) % np.maximum(size, 1), seat)
    return np.where(shifted < talkers, shifted, -1)
