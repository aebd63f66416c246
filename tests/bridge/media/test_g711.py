"""G.711 tables against the standard's own description."""

import numpy as np
import pytest

from bridge.media import g711
from bridge.media.shape import FRAME, PCMA, PCMU
from tests.oracle import g711_scalar


def test_decode_tables_are_the_standards() -> None:
    assert g711.ITU_DECODE[PCMU].tolist() == [g711_scalar.ulaw_decode(c) for c in range(256)]
    assert g711.ITU_DECODE[PCMA].tolist() == [g711_scalar.alaw_decode(c) for c in range(256)]


def test_encode_tables_are_the_standards() -> None:
    samples = [*range(-32_768, 32_768, 37), *range(-600, 600), 32_767, -32_635, 32_635, 32_636]
    for sample in samples:
        assert g711.ENCODE[PCMU][sample & 0xFFFF] == g711_scalar.ulaw_encode(sample), sample
        assert g711.ENCODE[PCMA][sample & 0xFFFF] == g711_scalar.alaw_encode(sample), sample


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_every_code_survives_decode_and_encode(codec: int) -> None:
    codes = np.arange(256, dtype=np.uint8)
    linear = g711.DECODE[codec][codes]
    assert (g711.ENCODE[codec][linear.view(np.uint16)] == codes).all()


def test_only_the_negative_zero_differs_from_the_standard() -> None:
    assert np.argwhere(g711.DECODE != g711.ITU_DECODE).tolist() == [[PCMU, 0x7F]]


def test_silence_codes_decode_to_the_least_magnitude() -> None:
    assert g711.ITU_DECODE[PCMU][g711.SILENCE_CODE[PCMU]] == 0
    assert g711.ITU_DECODE[PCMA][g711.SILENCE_CODE[PCMA]] == 8


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_rows_are_coded_each_by_its_codec(share: float) -> None:
    rng = np.random.default_rng(7)
    codec = (rng.random(40) < share).astype(np.uint8)
    codes = rng.integers(0, 256, (40, FRAME)).astype(np.uint8)
    linear = np.zeros((40, FRAME), np.int16)
    g711.decode_rows(codes.view(np.uint16), codec, linear.view(np.uint32))
    for row in range(40):
        assert linear[row].tolist() == g711.DECODE[codec[row]][codes[row]].tolist()
    back = np.zeros((40, FRAME), np.uint8)
    g711.encode_sums(linear + np.int32(g711.SUM_ZERO), codec, back)
    assert (back == codes).all()


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_sums_are_saturated_by_the_table_and_far_ones_by_the_look_up(codec: int) -> None:
    """Each code is that of the sum clipped to int16; the most that 4,096 legs can say as well."""
    far = [-4_096 * 32_768, -g711.SUM_ZERO - 1, -g711.SUM_ZERO, g711.SUM_ZERO, 4_096 * 32_767]
    near = np.random.default_rng(3).integers(-g711.SUM_ZERO, g711.SUM_ZERO, 4 * FRAME - 9)
    edges = [-32_769, -32_768, 32_767, 32_768]
    sums = np.concatenate([far, near, edges]).astype(np.int32).reshape(4, FRAME)
    wanted = g711.ENCODE[codec][np.clip(sums, -32_768, 32_767).astype(np.int16).view(np.uint16)]
    for kinds in [np.full(4, codec, np.uint8)] + [None] * (codec == PCMU):
        codes = np.zeros((4, FRAME), np.uint8)
        g711.encode_sums(sums + np.int32(g711.SUM_ZERO), kinds, codes)
        assert (codes == wanted).all()


def test_clean_turns_negative_zeros_into_zeros_only() -> None:
    samples = np.array([[-1, 0, 1, -2, -1, 32_767, -32_768]], np.int16)
    g711.clean(samples, np.zeros(samples.shape, np.bool_))
    assert samples.tolist() == [[0, 0, 1, -2, 0, 32_767, -32_768]]
