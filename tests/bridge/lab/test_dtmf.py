"""The tones of keys are found among voices, and voices are not taken for keys."""

import numpy as np
import pytest

from bridge.lab.dtmf import HIGH_HZ, KEYS, LOW_HZ, keys_heard
from bridge.lab.places import Reals
from bridge.lab.voice import decode, encode, sine
from bridge.prompts import load

SECOND = 8_000


def keys(digits: str, *, dbfs: float = -16.0) -> Reals:
    parts = [np.zeros(800)]
    for digit in digits:
        row = next(index for index, line in enumerate(KEYS) if digit in line)
        low, high = LOW_HZ[row], HIGH_HZ[KEYS[row].index(digit)]
        parts += [sine(low, 800, dbfs=dbfs) + sine(high, 800, dbfs=dbfs) * 1.0, np.zeros(800)]
    return np.concatenate(parts)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_every_key_is_found_through_the_codec(codec: str) -> None:
    pcm = keys("0123456789*#ABCD").clip(-32_768, 32_767).astype(np.int16)
    assert keys_heard(decode(encode(pcm, codec), codec).astype(np.float64), ()) == (
        "0123456789*#ABCD"
    )


def test_keys_are_found_beside_three_voices() -> None:
    pcm = keys("19#", dbfs=-24)
    for tone in (440, 510, 580):
        pcm = pcm + sine(tone, len(pcm))
    assert keys_heard(pcm, (440, 510, 580)) == "19#"


def test_voices_of_key_frequencies_alone_are_no_keys() -> None:
    pcm = sine(700, SECOND) + sine(1_210, SECOND) * 1.0
    assert keys_heard(pcm, (700, 1_210)) == ""
    assert keys_heard(np.zeros(10), ()) == ""


def test_no_prompt_is_taken_for_keys() -> None:
    for name, clip in load().items():
        assert keys_heard(clip.astype(np.float64), ()) == "", name
