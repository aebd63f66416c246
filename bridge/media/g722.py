"""G.722 at 64 kbit/s by the `G722` library: one coder a leg and direction; knows no leg.

The RTP clock of G.722 is 8,000 though it samples at 16,000 (RFC 3551 §4.5.2), so that one byte
of payload is one step of the clock, as with G.711.
"""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
BITS_PER_S = 64_000


def _coder(*, use_numpy: bool) -> Any:
    return importlib.import_module("G722").G722(RATE_HZ, BITS_PER_S, use_numpy=use_numpy)


class G722Decoder:
    """One stream to linear PCM. About 10 µs for 20 ms."""

    def __init__(self) -> None:
        self._decode = _coder(use_numpy=True).decode

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """Return two samples for each byte."""
        samples: NDArray[np.int16] = self._decode(payload)
        return samples


class G722Encoder:
    """Linear PCM to one stream. About 10 µs for 20 ms."""

    def __init__(self) -> None:
        self._encode = _coder(use_numpy=False).encode

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """Return one byte for each two of `samples`, (n,) int16, n even."""
        payload: bytes = self._encode(samples)
        return payload
