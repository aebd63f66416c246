"""The codecs of the plane: names, clocks, sample rates, and one coder a leg for those with state.

G.711 is in `g711`: tables over all legs at once. Here are the others. Their coders come from
libraries that wrap C and keep state, so they are called once a leg and tick; those of G.722 for
all legs at once where that was compiled. A library that is not installed makes its codecs unknown
here, and control does not offer them.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from bridge.media import g722, opus
from bridge.media.opus import BadPacket, OpusDecoder, OpusEncoder
from bridge.media.shape import G722, L16, OPUS, PCMA, PCMU
from bridge.units import FRAME_MS, MS_PER_S, SAMPLE_RATE_HZ

__all__ = [
    "NUMBERS",
    "WIDE",
    "BadPacket",
    "Decoder",
    "Encoder",
    "WideCodec",
    "coders",
    "load",
    "missing_library",
]


class Decoder(Protocol):
    """Payloads of one stream, in order, to samples."""

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """Return a payload's samples, or raise `BadPacket`."""
        ...


class Encoder(Protocol):
    """Samples of one stream, in order, to payloads."""

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """Return the payload of some frames."""
        ...


class L16Coder:
    """Linear PCM, big endian (RFC 3551 §4.5.11): no state, but of the same shape as the others."""

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """Return the samples; half a sample at the end is left out."""
        return np.frombuffer(payload, ">i2", len(payload) // 2).astype(np.int16)

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """Return two bytes a sample."""
        return samples.byteswap().tobytes()


@dataclass(frozen=True, slots=True)
class WideCodec:
    """A codec that samples faster than 8 kHz.

    Attributes:
        number: of the plane.
        clock_hz: of RTP timestamps. For G.722 that is not the sample rate (RFC 3551 §4.5.2).
        rate_hz: of the samples.
        library: module that must be there, "" for none.
        decoder, encoder: make a coder of one stream.
        ptimes_ms: lengths of packets that can be sent.
        step_bytes: of a payload in 1/8,000 s; such payloads may be cut, and frames that are lost
            are made up from samples, for all legs at once. 0: the decoder does both.
    """

    number: int
    clock_hz: int
    rate_hz: int
    library: str
    decoder: Callable[[], Decoder]
    encoder: Callable[[], Encoder]
    ptimes_ms: tuple[int, ...]
    step_bytes: int = 0

    @property
    def clock_steps(self) -> int:
        """Steps of the RTP clock in one step of 1/8,000 s."""
        return self.clock_hz // SAMPLE_RATE_HZ

    @property
    def factor(self) -> int:
        """Samples in one step of 1/8,000 s."""
        return self.rate_hz // SAMPLE_RATE_HZ


WIDE: Final = {
    "G722": WideCodec(
        G722,
        8_000,
        g722.RATE_HZ,
        "G722",
        g722.G722Decoder,
        g722.G722Encoder,
        (10, 20, 30, 40, 50, 60),
        1,
    ),
    "L16": WideCodec(L16, 16_000, 16_000, "", L16Coder, L16Coder, (10, 20, 40), 4),
    "OPUS": WideCodec(
        OPUS,
        opus.CLOCK_HZ,
        opus.RATE_HZ,
        "opuslib_next",
        OpusDecoder,
        OpusEncoder,
        (10, 20, 40, 60),
    ),
}
"""By the name in `bridge.link.SetRemote`."""

NUMBERS: Final = {"PCMU": PCMU, "PCMA": PCMA, **{name: wide.number for name, wide in WIDE.items()}}


def coders(codec: WideCodec) -> tuple[Decoder, Encoder]:
    """Return a leg's coders, the way in and the way out."""
    if codec.number == G722 and g722.lanes() is not None:
        return g722.LaneDecoder(), g722.LaneEncoder()
    return codec.decoder(), codec.encoder()


def load() -> None:
    """Load the libraries that are there and make each coder once: no tick is to wait for that."""
    for name, wide in WIDE.items():  # three
        if not missing_library(name):
            silence = np.zeros(wide.rate_hz * FRAME_MS // MS_PER_S, np.int16)
            decoder, encoder = coders(wide)
            decoder.decode(encoder.encode(silence))


def missing_library(name: str) -> str:
    """Return the module that a codec needs and that is not installed; "" when all is there."""
    library = WIDE[name].library if name in WIDE else ""
    return library if library and importlib.util.find_spec(library) is None else ""
