"""Speech of espeak-ng at 8 kHz, and white noise: what voices and tones are tried with."""

import numpy as np
from numpy.typing import NDArray

from bridge.bench import speech
from bridge.media.shape import FRAME

TEXT = (
    "The quick brown fox jumps over the lazy dog, while seven wizards quietly evaluate my big "
    "sphinx of quartz. Are you there? We owe you a yellow lorry. Really! No way."
)


def spoken(*, voice: str = "en") -> NDArray[np.int16]:
    """Return frames of speech, (n, S) int16, from its first sound to its last."""
    frames = speech.spoken(TEXT, voice=voice)
    loud = np.flatnonzero(np.abs(frames).max(axis=1) > 100)
    return frames[loud[0] : loud[-1] + 1]


def noise(frames: int, *, rms: float, seed: int = 1) -> NDArray[np.int16]:
    """Return frames of white noise."""
    return (np.random.default_rng(seed).standard_normal((frames, FRAME)) * rms).astype(np.int16)
