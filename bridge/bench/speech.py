"""Speech of espeak-ng for measurements: G.711 payloads at 8 kHz."""

import shutil
import subprocess
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.errors import InputError
from bridge.media.g711 import ENCODE
from bridge.media.shape import FRAME, PCMU
from bridge.units import SAMPLE_RATE_HZ

TEXT: Final = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. "
    "It is easy to tell the depth of a well. These days a chicken leg is a rare dish. "
    "Rice is often served in round bowls."
)
_CUT_HZ = 3_700
_PEAK = 20_000
_PAUSE = 25  # frames


def spoken(text: str = TEXT, *, voice: str = "en", speed: int = 150) -> NDArray[np.int16]:
    """Return frames of speech, (n, S) int16, loudest at -4 dBFS, half a second silent at ends."""
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
    spectrum[np.fft.rfftfreq(len(samples), 1 / rate) > _CUT_HZ] = 0  # nothing to fold down
    smooth = np.fft.irfft(spectrum, len(samples))
    at = np.arange(0, len(smooth) - 1, rate / SAMPLE_RATE_HZ)
    slow = np.interp(at, np.arange(len(smooth)), smooth)
    frames = np.zeros((len(slow) // FRAME + 1 + 2 * _PAUSE, FRAME), np.int16)
    loud = slow / np.abs(slow).max() * _PEAK
    frames.reshape(-1)[_PAUSE * FRAME : _PAUSE * FRAME + len(loud)] = loud
    return frames


def payloads(frames: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return frames as µ-law, (n, S) uint8."""
    return np.asarray(ENCODE[PCMU][frames.view(np.uint16)])
