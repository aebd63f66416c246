"""What callers say, as samples: tones and G.711; written apart from the bridge's own codec.

The lab must not trust the tables that it tests, so these are made anew from G.711's formulas.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

FULL_SCALE: Final = 32_768
TONE_DBFS: Final = -16.0
"""Level of a speaking caller; 0 dBFS is a sine of full scale. Six at once do not clip."""

SILENCE_CODE: Final = {"PCMU": 0xFF, "PCMA": 0xD5}


@cache
def decode_table(codec: str) -> NDArray[np.int16]:
    """Return the (256,) int16 linear values of a codec's codes (G.711 tables 1 and 2)."""
    codes = np.arange(256)
    if codec == "PCMU":
        bits = ~codes & 0xFF
        exponent, mantissa = bits >> 4 & 7, bits & 15
        size = (((mantissa << 3) + 0x84) << exponent) - 0x84
        return np.where(bits & 0x80, -size, size).astype(np.int16)
    assert codec == "PCMA", codec
    bits = codes ^ 0x55
    exponent, mantissa = bits >> 4 & 7, bits & 15
    size = np.where(
        exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0)
    )
    return np.where(bits & 0x80, size, -size).astype(np.int16)


@cache
def encode_table(codec: str) -> NDArray[np.uint8]:
    """Return the (65536,) uint8 codes of all linear values, -32768 first: the nearest code."""
    linear = decode_table(codec).astype(np.int32)
    order = np.argsort(linear, kind="stable")
    middles = (linear[order][1:] + linear[order][:-1]) / 2
    nearest = np.searchsorted(middles, np.arange(-FULL_SCALE, FULL_SCALE))
    return order[nearest].astype(np.uint8)


def encode(pcm: NDArray[np.int16], codec: str) -> NDArray[np.uint8]:
    """Return the codes of linear samples, same shape."""
    return encode_table(codec)[pcm.astype(np.int32) + FULL_SCALE]


def decode(codes: NDArray[np.uint8], codec: str) -> NDArray[np.int16]:
    """Return the linear samples of codes, same shape."""
    return decode_table(codec)[codes]


def sine(
    tone_hz: int, samples: int, *, dbfs: float = TONE_DBFS, start: int = 0
) -> NDArray[np.int16]:
    """Return (samples,) int16 of a sine that was at phase zero at sample 0."""
    at = (np.arange(start, start + samples) * tone_hz) % SAMPLE_RATE_HZ
    size = FULL_SCALE * 10 ** (dbfs / 20)
    return (
        np.round(size * np.sin(2 * np.pi * at / SAMPLE_RATE_HZ))
        .clip(-FULL_SCALE, FULL_SCALE - 1)
        .astype(np.int16)
    )


@cache
def tone_codes(codec: str, dbfs: float = TONE_DBFS) -> NDArray[np.uint8]:
    """Return one second of a 1 Hz sine as (8000,) codes: every whole tone is a walk over it."""
    return encode(sine(1, SAMPLE_RATE_HZ, dbfs=dbfs), codec)


def level_dbfs(pcm: NDArray[np.int16] | NDArray[np.float64]) -> float:
    """Return the power of samples against a full-scale sine; -120 for silence and nothing."""
    if not len(pcm):
        return -120.0
    power = float(np.mean(pcm.astype(np.float64) ** 2)) * 2 / FULL_SCALE**2
    return 10 * float(np.log10(max(power, 1e-12)))


FRAMES_PER_S: Final = SAMPLE_RATE_HZ // FRAME_SAMPLES
