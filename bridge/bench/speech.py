"""Speech of espeak-ng for measurements, at any rate of the codecs; G.711 payloads of it."""

import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.errors import InputError
from bridge.media.codecs import WIDE
from bridge.media.g711 import ENCODE
from bridge.media.shape import FRAME, PCMU
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


PAYLOAD_TYPES: Final = {"PCMU": 0, "G722": 9, "L16": 107, "OPUS": 111}
"""What measurements send each codec as."""


@dataclass(frozen=True, slots=True)
class Payloads:
    """What callers say in one codec, frame by frame. n = frames, B = bytes of the longest.

    Attributes:
        data: (n, B) uint8, payloads, each from byte 0 on.
        size: (n,) int64, bytes of each.
        clock_steps: of the RTP clock in 1/8,000 s.
        noise: not worth a look: any bytes are as good (G.711).
    """

    payload_type: int
    data: NDArray[np.uint8]
    size: NDArray[np.int64]
    clock_steps: int = 1
    noise: bool = False


def payloads_of(codec: str) -> Payloads:
    """Return speech in a codec; of PCMU only the length, for which no program is needed."""
    kind = PAYLOAD_TYPES[codec]
    if codec not in WIDE:
        return Payloads(kind, np.zeros((1, FRAME), np.uint8), np.array([FRAME]), noise=True)
    wide = WIDE[codec]
    encoder = wide.encoder()
    said = [encoder.encode(frame) for frame in spoken(rate_hz=wide.rate_hz)]
    size = np.array([len(payload) for payload in said])
    data = np.zeros((len(said), size.max()), np.uint8)
    for row, payload in enumerate(said):  # bounded by the frames of the text
        data[row, : len(payload)] = np.frombuffer(payload, np.uint8)
    return Payloads(kind, data, size, wide.clock_steps)


def spoken_payloads() -> Payloads:
    """Return speech as µ-law."""
    codes = payloads(spoken())
    return Payloads(PAYLOAD_TYPES["PCMU"], codes, np.full(len(codes), FRAME))
