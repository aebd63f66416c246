"""G.722 at 64 kbit/s: compiled for all legs at once, else by the `G722` library one by one.

The RTP clock of G.722 is 8,000 though it samples at 16,000 (RFC 3551 §4.5.2), so that one byte
of payload is one step of the clock, as with G.711. Knows no leg.
"""

import importlib
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import samples

RATE_HZ: Final = 16_000
BITS_PER_S: Final = 64_000


@cache
def lanes() -> Any:
    """Return the module `g722_lanes`; None where its C was not compiled."""
    if not samples.LIBRARY:
        return None
    return importlib.import_module("bridge.media.g722_lanes")


def _coder(*, use_numpy: bool) -> Any:
    return importlib.import_module("G722").G722(RATE_HZ, BITS_PER_S, use_numpy=use_numpy)


class G722Decoder:
    """One stream to linear PCM, by the library."""

    def __init__(self) -> None:
        self._decode = _coder(use_numpy=True).decode

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """Return two samples for each byte."""
        samples: NDArray[np.int16] = self._decode(payload)
        return samples


class G722Encoder:
    """Linear PCM to one stream, by the library."""

    def __init__(self) -> None:
        self._encode = _coder(use_numpy=False).encode

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """Return one byte for each two of `samples`, (n,) int16, n even."""
        payload: bytes = self._encode(samples)
        return payload


class LaneDecoder:
    """One stream to linear PCM whose state may lie among those of others.

    Attributes:
        state: (1, g722_lanes.STATE) int32.
    """

    def __init__(self) -> None:
        self.state = states(1)

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """Return two samples for each byte."""
        frames = decode_all(self.state, np.array([np.frombuffer(payload, np.uint8)]))
        return frames.reshape(-1)


class LaneEncoder:
    """Linear PCM to one stream whose state may lie among those of others.

    Attributes:
        state: (1, g722_lanes.STATE) int32.
    """

    def __init__(self) -> None:
        self.state = states(1)

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """Return one byte for each two of `samples`, (n,) int16, n even."""
        return encode_all(self.state, samples[None]).tobytes()


def states(streams: int) -> NDArray[np.int32]:
    """Return the states of streams that begin, for either direction; none without `lanes`."""
    made = lanes()
    return np.zeros((streams, 0), np.int32) if made is None else made.fresh(streams)


def decode_all(states: NDArray[np.int32], codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return what payloads of one length sound like, (n, 2 * T); `states` (n, ...) go on."""
    frames = np.empty((len(codes), 2 * codes.shape[1]), np.int16)
    lanes().decode(states, codes, frames)
    return frames


def encode_all(states: NDArray[np.int32], frames: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return the payloads of frames, (n, T) of (n, 2 * T); `states` (n, ...) go on."""
    codes = np.empty((len(frames), frames.shape[1] // 2), np.uint8)
    lanes().encode(states, np.ascontiguousarray(frames), codes)
    return codes
