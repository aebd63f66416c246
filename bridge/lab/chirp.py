"""A short sweep that is found again wherever it comes out: how late, and how much weaker.

Arrays only. A tone goes on and on, so nothing in it says when it was said; a sweep of 200 ms does,
to a few samples, and stands out of tones by 27 dB.
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.lab.places import Reals
from bridge.lab.sounds import Pcm
from bridge.lab.voice import FULL_SCALE, TONE_DBFS
from bridge.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

SAMPLES: Final = 10 * FRAME_SAMPLES
FROM_HZ: Final = 400.0
TO_HZ: Final = 3_200.0
FADE: Final = 80
BLOCK: Final = SAMPLE_RATE_HZ // 10
"""Tones are taken out of pieces of 100 ms: over longer ones a phase jump would leave too much."""


class Found(NamedTuple):
    """Where a sweep begins in a window, and its level beside that with which it was said."""

    at: int
    gain_db: float


@cache
def chirp() -> Pcm:
    """Return the sweep, (1600,) int16, whole frames."""
    at = np.arange(SAMPLES) / SAMPLE_RATE_HZ
    length = SAMPLES / SAMPLE_RATE_HZ
    phase = 2 * np.pi * (FROM_HZ * at + (TO_HZ - FROM_HZ) / (2 * length) * at**2)
    fade = np.minimum(1, np.minimum(np.arange(SAMPLES), np.arange(SAMPLES)[::-1]) / FADE)
    loud = FULL_SCALE * 10 ** (TONE_DBFS / 20)
    return np.asarray(np.round(loud * fade * np.sin(phase)), np.int16)


def without_tones(pcm: Pcm, tones_hz: list[int]) -> Reals:
    """Return samples less the sines that fit these tones best, piece by piece."""
    samples = pcm[: len(pcm) // BLOCK * BLOCK].astype(np.float64).reshape(-1, BLOCK)
    if not tones_hz or not len(samples):
        return samples.reshape(-1)
    angles = 2 * np.pi * np.outer(np.arange(BLOCK) / SAMPLE_RATE_HZ, sorted(set(tones_hz)))
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    fitted = np.linalg.pinv(waves, rcond=1e-3) @ samples.T
    rest: NDArray[np.float64] = (samples.T - waves @ fitted).T.reshape(-1)
    return rest


def find(pcm: Pcm, tones_hz: list[int]) -> Found:
    """Return where the sweep stands out most in samples at 8 kHz, and how loud it is there.

    It always stands out somewhere: below about -40 dB what is found is noise.
    """
    rest, sweep = without_tones(pcm, tones_hz), chirp().astype(np.float64)
    if len(rest) < SAMPLES:
        return Found(0, -np.inf)
    size = 1 << (len(rest) + SAMPLES - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(rest, size) * np.conj(np.fft.rfft(sweep, size)), size)
    gains = np.abs(product[: len(rest) - SAMPLES + 1]) / float(sweep @ sweep)
    at = int(np.argmax(gains))
    return Found(at, float(20 * np.log10(max(gains[at], 1e-6))))
