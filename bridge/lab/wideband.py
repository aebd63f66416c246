"""Wideband callers of the lab: what they say as packets, and what they hear as samples.

Coders come from the codecs' libraries, one a caller and direction; all are at 16 kHz. Tones from
4 kHz on are heard by mirroring the spectrum: at half the rate a tone of 6.2 kHz then lies at
1.8 kHz, and what lay there is gone.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.voice import FULL_SCALE, TONE_DBFS
from bridge.media.codecs import WIDE
from bridge.units import FRAME_MS, MS_PER_S, SAMPLE_RATE_HZ

RATE_HZ: Final = 16_000
NARROW_HZ_MAX: Final = 3_600
"""Below this a tone is looked for at 8 kHz, above it in the mirror."""

_EDGE = 0.49  # of the lower rate: what lies above is left out when the rate is halved


def clock_steps(codec: str) -> int:
    """Return the steps of a codec's RTP clock in 1/8,000 s."""
    return WIDE[codec].clock_steps if codec in WIDE else 1


class Mouth:
    """What one caller says."""

    def __init__(self, codec: str) -> None:
        self._encoder = WIDE[codec].encoder()
        self._frame = 0

    def frame(self, tone_hz: int, dbfs: float = TONE_DBFS) -> NDArray[np.int16]:
        """Return the next 20 ms of a tone, or of silence for 0."""
        size = RATE_HZ * FRAME_MS // MS_PER_S
        at = (self._frame * size + np.arange(size)) * tone_hz % RATE_HZ
        self._frame += 1
        peak = FULL_SCALE * 10 ** (dbfs / 20)
        samples = np.round(peak * np.sin(2 * np.pi * at / RATE_HZ))
        return samples.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)

    def payload(self, samples: NDArray[np.int16]) -> bytes:
        """Return a packet of samples; they must come in the order in which they are said."""
        return self._encoder.encode(samples)


class Ear:
    """What one caller hears, packet by packet in the order they come."""

    def __init__(self, codec: str) -> None:
        self._decoder = WIDE[codec].decoder()

    def samples(self, payload: bytes) -> NDArray[np.int16]:
        """Return a packet's samples at 16 kHz."""
        return self._decoder.decode(payload)


def halved(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return what lies below 3.9 kHz of samples at 16 kHz, at 8 kHz; an even number of them."""
    if not len(pcm):
        return pcm
    spectrum = np.fft.rfft(pcm.astype(np.float64))
    spectrum[np.fft.rfftfreq(len(pcm), 1 / RATE_HZ) > _EDGE * SAMPLE_RATE_HZ] = 0
    slow = np.fft.irfft(spectrum, len(pcm))[::2]
    return np.asarray(np.clip(np.rint(slow), -FULL_SCALE, FULL_SCALE - 1), np.int16)


def mirrored(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return samples at 8 kHz in which a tone of f Hz at 16 kHz, f > 4,000, is one of 8,000 - f."""
    turned = pcm.astype(np.int32)
    turned[1::2] *= -1
    return halved(np.clip(turned, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16))
