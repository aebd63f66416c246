"""Speech of espeak-ng at 8 kHz, and white noise: what voices and tones are tried with."""

import subprocess

import numpy as np
from numpy.typing import NDArray

from bridge.media.shape import FRAME

TEXT = (
    "The quick brown fox jumps over the lazy dog, while seven wizards quietly evaluate my big "
    "sphinx of quartz. Are you there? We owe you a yellow lorry. Really! No way."
)


def spoken(text: str = TEXT, *, voice: str = "en", speed: int = 150) -> NDArray[np.int16]:
    """Return frames of speech, (n, S) int16, loudest at -4 dBFS."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    rate = int.from_bytes(wav[24:28], "little")
    samples = np.frombuffer(wav[44 : 44 + (len(wav) - 44) // 2 * 2], "<i2").astype(np.float64)
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / rate) > 3_700] = 0  # nothing to fold down
    smooth = np.fft.irfft(spectrum, len(samples))
    at = np.arange(0, len(smooth) - 1, rate / 8_000)
    slow = np.interp(at, np.arange(len(smooth)), smooth)
    loud = (slow / np.abs(slow).max() * 20_000).astype(np.int16)
    return np.asarray(loud[: len(loud) // FRAME * FRAME].reshape(-1, FRAME))


def noise(frames: int, *, rms: float, seed: int = 1) -> NDArray[np.int16]:
    """Return frames of white noise."""
    return (np.random.default_rng(seed).standard_normal((frames, FRAME)) * rms).astype(np.int16)
