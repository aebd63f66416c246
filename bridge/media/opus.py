"""Opus (RFC 6716, RFC 7587) by the bundled libopus: one coder a leg and direction; knows no leg.

The C functions are called with addresses of numpy arrays: the library's own wrapper turns every
sample into a Python integer, which takes as long as the decoder.
"""

import ctypes
import importlib
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 16_000
"""Of the samples, whatever is sent: 8 kHz of band is what speech has, see docs/wideband.md."""

BITS_PER_S: Final = 48_000
COMPLEXITY: Final = 1
"""Of 0 to 10, where there are many encoders. From 2 on each takes twice as long and more."""

COMPLEXITY_MANY: Final = 0
"""Where there are so many that a tick would not do: a tenth less of it."""

COMPLEXITY_FEW: Final = 6
"""Where there are few: three times as long as 1, and the last step that is heard (PESQ)."""

LOSS_EXPECTED_PERCENT: Final = 10
"""What makes the encoder send each frame's gist once more in the next packet (in-band FEC)."""

FORMAT: Final = f"useinbandfec=1;maxplaybackrate={RATE_HZ};sprop-maxcapturerate={RATE_HZ}"
"""What SDP says of it (RFC 7587 §6.1): who sends more than `RATE_HZ` carries wastes his bits."""

PACKET_BYTES_MAX: Final = 1_275
PACKET_MS_MAX: Final = 60
DTX_BYTES_MAX: Final = 2
"""A packet this short says that its sender is silent (RFC 6716 §2.1.9)."""

CLOCK_HZ: Final = 48_000
"""Of timestamps, whatever is sent (RFC 7587 §4.1)."""

# Length of a frame in steps of it, by the upper five bits of the first byte (§3.1).
_SILK = (480, 960, 1_920, 2_880)
_HYBRID = (480, 960)
_CELT = (120, 240, 480, 960)
_FRAME: Final = np.array([*_SILK * 3, *_HYBRID * 2, *_CELT * 4], np.int64)

_VOIP = 2_048
_SET_BITRATE = 4_002
_SET_COMPLEXITY = 4_010
_SET_INBAND_FEC = 4_012
_SET_PACKET_LOSS = 4_014


class BadPacket(ValueError):
    """The decoder cannot make sense of a payload."""


def steps_in(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many steps of `CLOCK_HZ` packets hold, by their first two bytes (§3.2).

    >>> steps_in(np.array([0x78], np.uint8), np.array([0], np.uint8)).tolist()
    [960]
    """
    count = np.array([1, 2, 2, 0])[first & 3] + np.where(first & 3 == 3, second & 63, 0)
    return np.asarray(_FRAME[first >> 3] * count)


@cache
def _library() -> Any:
    """Return libopus with its functions declared; addresses are plain numbers."""
    lib = importlib.import_module("opuslib_next.api").libopus
    address, number = ctypes.c_void_p, ctypes.c_int
    state = {"argtypes": (address,), "restype": None}
    calls: dict[str, dict[str, Any]] = {
        "opus_encoder_get_size": {"argtypes": (number,), "restype": number},
        "opus_decoder_create": {"argtypes": (number, number, address), "restype": address},
        "opus_encoder_create": {"argtypes": (number, number, number, address), "restype": address},
        "opus_decoder_destroy": state,
        "opus_encoder_destroy": state,
        "opus_decode": {
            "argtypes": (address, ctypes.c_char_p, number, address, number, number),
            "restype": number,
        },
        "opus_encode": {
            "argtypes": (address, address, number, address, number),
            "restype": number,
        },
    }
    library = ctypes.CDLL(lib._name)  # a handle of its own: its declarations are ours
    for name, declared in calls.items():  # seven
        for key, value in declared.items():
            setattr(getattr(library, name), key, value)
    return library


class OpusDecoder:
    """One stream to linear PCM at `RATE_HZ`, mono whatever was sent."""

    def __init__(self) -> None:
        self._lib = _library()
        self._state = self._lib.opus_decoder_create(RATE_HZ, 1, None)
        self._room = RATE_HZ * 2 * PACKET_MS_MAX // 1_000

    def __del__(self) -> None:
        """Free the C state."""
        self._lib.opus_decoder_destroy(self._state)

    def _run(self, payload: bytes | None, samples: int, *, fec: bool) -> NDArray[np.int16]:
        out = np.empty(samples, np.int16)
        size = len(payload) if payload else 0
        got = self._lib.opus_decode(self._state, payload, size, out.ctypes.data, samples, fec)
        if got <= 0:
            raise BadPacket(got)
        return out[:got]

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """Return a packet's samples.

        Raises:
            BadPacket: it is none of Opus.
        """
        return self._run(payload, self._room, fec=False)

    def conceal(self, samples: int, following: bytes | None) -> NDArray[np.int16]:
        """Return what was lost, in steps of 2.5 ms: from the packet after it, else made up."""
        try:
            return self._run(following, samples, fec=following is not None)
        except BadPacket:
            return np.zeros(samples, np.int16)


class OpusEncoder:
    """Linear PCM at `RATE_HZ` to one stream, with in-band FEC."""

    def __init__(self, bits_per_s: int = BITS_PER_S) -> None:
        self._lib = _library()
        self._state = self._lib.opus_encoder_create(RATE_HZ, 1, _VOIP, None)
        self._room = ctypes.create_string_buffer(PACKET_BYTES_MAX)
        self._at = ctypes.addressof(self._room)
        state, value = ctypes.c_void_p(self._state), ctypes.c_int
        for request, wanted in (
            (_SET_BITRATE, bits_per_s),
            (_SET_COMPLEXITY, COMPLEXITY),
            (_SET_INBAND_FEC, 1),
            (_SET_PACKET_LOSS, LOSS_EXPECTED_PERCENT),
        ):
            self._lib.opus_encoder_ctl(state, value(request), value(wanted))
        self.complexity = COMPLEXITY

    def __del__(self) -> None:
        """Free the C state."""
        self._lib.opus_encoder_destroy(self._state)

    def copy_of(self, other: "OpusEncoder") -> None:
        """Go on as `other` would; its state holds no address (opus.h: "can be freely copied")."""
        ctypes.memmove(self._state, other._state, self._lib.opus_encoder_get_size(1))
        self.complexity = other.complexity

    def set_complexity(self, complexity: int) -> None:
        """Try harder, or less, from the next frame on."""
        self.complexity = complexity
        state, value = ctypes.c_void_p(self._state), ctypes.c_int
        self._lib.opus_encoder_ctl(state, value(_SET_COMPLEXITY), value(complexity))

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """Return the packet of 10, 20, 40 or 60 ms of `samples`, contiguous int16."""
        size = self._lib.opus_encode(
            self._state, samples.ctypes.data, len(samples), self._at, PACKET_BYTES_MAX
        )
        assert size > 0, f"opus_encode: {size}"
        return self._room.raw[:size] if size > 512 else ctypes.string_at(self._at, size)
