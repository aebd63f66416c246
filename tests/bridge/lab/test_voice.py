"""The lab's own G.711, against values of the standard's tables."""

import numpy as np
import pytest

from bridge.lab.voice import decode_table, encode_table, sine, tone_codes

# G.711 tables 1a/1b and 2a/2b: code to linear, scaled to 16 bit.
MU_LAW = {0xFF: 0, 0x7F: 0, 0xFE: 8, 0x80: 32_124, 0x00: -32_124, 0xEF: 132, 0x8F: 16_764}
A_LAW = {0xD5: 8, 0x55: -8, 0xAA: 32_256, 0x2A: -32_256, 0xC5: 264, 0xF5: 528}


def test_codes_have_the_values_of_g711() -> None:
    assert {code: int(decode_table("PCMU")[code]) for code in MU_LAW} == MU_LAW
    assert {code: int(decode_table("PCMA")[code]) for code in A_LAW} == A_LAW


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_encoding_takes_the_nearest_code(codec: str) -> None:
    linear = decode_table(codec).astype(np.int32)
    values = np.arange(-32_768, 32_768, 37)
    chosen = np.abs(linear[encode_table(codec)[values + 32_768]] - values)
    assert (chosen == np.min(np.abs(linear[:, None] - values), axis=0)).all()


def test_a_tone_is_a_walk_over_one_second_of_codes() -> None:
    walk = tone_codes("PCMU")[np.arange(160) * 440 % 8_000]
    expected = encode_table("PCMU")[sine(440, 160).astype(np.int32) + 32_768]
    assert (walk == expected).all()
