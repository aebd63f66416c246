"""G.711 by table look-up; knows µ-law and A-law, nothing of packets or legs.

Both tables come from the formulas of ITU-T G.711. One value differs from the decoder the standard
describes: µ-law has two codes for zero, and the negative one (0x7F) decodes here to -1, which
encodes to 0x7F again. So decode and encode are each other's inverse on all 256 codes and one
talker passes bit-exact; `clean` takes the -1 back to 0 before several voices are summed.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.masks import where
from bridge.media.shape import PCMA, PCMU

NEGATIVE_ZERO: Final = -1
"""What the µ-law code 0x7F decodes to here."""


def _ulaw_decode() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    exponent = (code >> 4).astype(np.int32) & 7
    magnitude = (((code.astype(np.int32) & 15) << 3) + 0x84 << exponent) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_decode() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code >> 4) & 7
    mantissa = ((code & 15) << 4) + 8
    magnitude = np.where(exponent > 0, mantissa + 0x100 << np.maximum(exponent - 1, 0), mantissa)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _all_samples() -> NDArray[np.int32]:
    """Return every int16 in the order of its unsigned reading: 0 .. 32767, -32768 .. -1."""
    return np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)


def _ulaw_encode() -> NDArray[np.uint8]:
    sample = _all_samples()
    biased = np.minimum(np.abs(sample), 32_635) + 0x84
    exponent = np.floor(np.log2(biased)).astype(np.int32) - 7
    code = np.where(sample < 0, 0x80, 0) | exponent << 4 | (biased >> exponent + 3) & 15
    return np.asarray(~code & 255, np.uint8)


def _alaw_encode() -> NDArray[np.uint8]:
    sample = _all_samples()
    positive = sample >= 0
    magnitude = np.where(positive, sample, -sample - 1) >> 3  # 13 bits, as the standard counts
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    code = exponent << 4 | (magnitude >> np.maximum(exponent, 1)) & 15
    return np.asarray(code ^ np.where(positive, 0xD5, 0x55), np.uint8)


def _pairs(table: NDArray[np.int16]) -> NDArray[np.uint32]:
    """Return the table of two codes at once: index and value hold the first in the low half."""
    wide = table.view(np.uint16).astype(np.uint32)
    return np.asarray(wide[:, None] << 16 | wide[None, :], np.uint32).ravel()


def _of_sums(table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the codes of sums from -SUM_ZERO on, which saturate."""
    sums = np.arange(-SUM_ZERO, SUM_ZERO, dtype=np.int32)
    return table[np.clip(sums, -32_768, 32_767).astype(np.int16).view(np.uint16)]


ITU_DECODE: Final = np.stack([_ulaw_decode(), _alaw_decode()])
"""(2, 256) int16: linear value of each code as the standard has it, by codec."""

DECODE: Final = ITU_DECODE.copy()
"""(2, 256) int16: as above, but for the negative zero of µ-law."""
DECODE[PCMU, 0x7F] = NEGATIVE_ZERO

DECODE_PAIR: Final = np.stack([_pairs(DECODE[PCMU]), _pairs(DECODE[PCMA])])
"""(2, 65536) uint32: two codes at once, read and written little endian, by codec."""

ENCODE: Final = np.stack([_ulaw_encode(), _alaw_encode()])
"""(2, 65536) uint8: code of each linear value, by codec and by the value's unsigned reading."""

SUM_ZERO: Final = 1 << 19
"""Where the table of sums holds the code of zero: sixteen voices at full scale below its end."""

ENCODE_SUM: Final = np.stack([_of_sums(ENCODE[PCMU]), _of_sums(ENCODE[PCMA])])
"""(2, 2 * SUM_ZERO) uint8: code of each sum of voices, saturated, by codec and sum + SUM_ZERO."""

SILENCE_CODE: Final = (0xFF, 0xD5)
"""The code of linear zero, by codec."""


def decode_rows(
    codes: NDArray[np.uint16], codec: NDArray[np.uint8] | None, out: NDArray[np.uint32]
) -> None:
    """Fill `out`, (n, S/2) uint32 viewing int16 samples, from (n, S/2) uint16 viewing codes.

    `codec`, (n,) uint8, of each row; None when all are PCMU. Two codes a look-up: 0.06 ms for
    1,000 rows where one at a time takes 0.11.
    """
    if codec is None:
        DECODE_PAIR[PCMU].take(codes, None, out, "clip")
        return
    alaw = where(codec != PCMU)
    if len(alaw) < len(codec):
        DECODE_PAIR[PCMU].take(codes, None, out, "clip")
    out[alaw] = DECODE_PAIR[PCMA][codes[alaw]]


def encode_sums(
    sums: NDArray[np.int32], codec: NDArray[np.uint8] | None, out: NDArray[np.uint8]
) -> None:
    """Fill `out`, (n, S) uint8, with the codes of sums of voices, saturated once.

    `sums`, (n, S) int32, are above their value by `SUM_ZERO`. `codec`, (n,) uint8, of each row;
    None when all are PCMU. One look-up in a table that holds every sum of sixteen voices, and
    saturation with it: 0.23 ms for 1,000 rows where clipping, narrowing and a table of int16
    took 0.30. Beyond, the look-up itself clips, at a place where all is saturated long since.
    """
    if codec is None:
        ENCODE_SUM[PCMU].take(sums, None, out, "clip")
        return
    alaw = where(codec != PCMU)
    if len(alaw) < len(codec):
        ENCODE_SUM[PCMU].take(sums, None, out, "clip")
    out[alaw] = ENCODE_SUM[PCMA].take(sums[alaw], None, None, "clip")


def clean(samples: NDArray[np.int16], mask: NDArray[np.bool_]) -> None:
    """Turn negative zeros in `samples` into zeros, in place. `mask` is scratch of its shape."""
    np.equal(samples, NEGATIVE_ZERO, out=mask)
    np.add(samples, mask.view(np.int8), out=samples)
