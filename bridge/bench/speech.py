"""Speech of espeak-ng for measurements, at any rate of the codecs; G.711 payloads of it."""

import shutil
import subprocess
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.errors import InputError
from bridge.media.g711 import ENCODE
from bridge.media.shape import PCMU
from bridge.units import FRAME_MS, MS_PER_S, SAMPLE_RATE_HZ

TEXT: Final = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. "
    "It is easy to tell the depth of a well. These days a chicken leg is a rare dish. "
    "Rice is often served in round bowls."
)
_CUT = 3_700 / SAMPLE_RATE_HZ  # of the rate: below half of it
_PEAK = 20_000
_PAUSE = 25  # frames


def spoken(
    text: str = TEXT, *, voice: str = "en", speed: int = 150, rate_hz: int = SAMPLE_RATE_HZ
) -> NDArray[np.int16]:
    """Return frames of speech, (n, S) int16, loudest at -4 dBFS, half a second silent at ends.

    The voices speak at 22.05 kHz: at 48 kHz nothing is above 11 kHz.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise InputError("espeak-ng", "not installed", "the program espeak-ng on the PATH")
    wav = subprocess.run(
        [program, "-v", voice, "-s", str(speed), "--stdout", text],
        capture_output=True,
        check=True,
    ).stdout
    rate = int.from_bytes(wav[24:28], "little")
    samples = np.frombuffer(wav[44 : 44 + (len(wav) - 44) // 2 * 2], "<i2").astype(np.float64)
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / rate) > _CUT * rate_hz] = 0  # nothing to fold down
    smooth = np.fft.irfft(spectrum, len(samples))
    at = np.arange(0, len(smooth) - 1, rate / rate_hz)
    slow = np.interp(at, np.arange(len(smooth)), smooth)
    size = rate_hz * FRAME_MS // MS_PER_S
    frames = np.zeros((len(slow) // size + 1 + 2 * _PAUSE, size), np.int16)
    loud = slow / np.abs(slow).max() * _PEAK
    frames.reshape(-1)[_PAUSE * size : _PAUSE * size + len(loud)] = loud
    return frames


def payloads(frames: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return frames as µ-law, (n, S) uint8."""
    return np.asarray(ENCODE[PCMU][frames.view(np.uint16)])
