"""Automatic gain and noise gate: off by default, the same at every rate, without clicks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import agc
from tests.bridge.media.rig import Rig, coded, tone
from tests.bridge.media.wide_rig import WideRig, wide_tone
from tests.oracle import agc_scalar


@pytest.mark.parametrize("size", [160, 320, 960])
@pytest.mark.parametrize(("gain", "gate"), [(True, False), (False, True), (True, True)])
def test_agrees_with_its_scalar_twin(size: int, gain: bool, gate: bool) -> None:
    rng = np.random.default_rng(size)
    state = agc.Levels.of(6)
    state.automatic_gain, state.noise_gate = gain, gate
    slots = np.array([4, 0, 3])
    twins = [agc_scalar.Leg(gain, gate) for _ in slots]
    for n in range(80):
        loud = np.where(np.array([n % 40 < 20, n < 50, True]), [9_000, 400, 2_500], [20, 3, 2_500])
        frames = np.clip(rng.standard_normal((3, size)) * loud[:, None], -32_768, 32_767).astype(
            np.int16
        )
        got = agc.shaped(state, slots, frames)
        for row, twin in enumerate(twins):
            want = np.array(twin.frame(frames[row].tolist()))
            assert np.abs(got[row] - want).max() <= 1, (n, row)  # float32 power
    assert (state.last[[1, 2, 5]] == 1).all()


def rms(samples: NDArray[np.int16]) -> float:
    return float(np.sqrt((samples.astype(np.float64) ** 2).mean()))


@pytest.mark.parametrize("peak", [1_500, 4_600, 15_000])
@pytest.mark.parametrize("codec", ["PCMU", "L16", "OPUS"])
def test_loud_and_soft_callers_are_heard_alike(peak: float, codec: str) -> None:
    rig = WideRig()
    rig.join(0, codec)
    rig.join(1, "L16")
    rig.plane.levels.automatic_gain = True
    for n in range(160):
        if codec == "PCMU":
            rig.tick(rig.packet(0, n, coded(tone(500, n, peak=peak))))
        else:
            rig.tick(rig.says(0, n, wide_tone(500, n, rig.rate(0), peak=peak)))
    late = rig.heard_since(1, 130)
    assert 20 * np.log10(rms(late) / 3_277) == pytest.approx(0, abs=1.5)
    steps = np.abs(np.diff(late.astype(np.float64)))
    assert steps.max() < 1.2 * rms(late) * 2**0.5 * 2 * np.pi * 500 / 16_000


def test_the_gate_takes_noise_down_between_words_and_lets_the_first_syllable_through() -> None:
    rng = np.random.default_rng(1)
    rig = Rig()
    rig.add(0, group=1)
    rig.add(1, group=1)
    rig.plane.levels.noise_gate = True
    heard = []
    for n in range(200):
        noise = (50 * rng.standard_normal(160)).astype(np.int16)
        word = tone(600, n) if 60 <= n < 90 else noise
        rig.tick(rig.packet(0, n, coded(word)))
        heard.append(rig.heard(1))
    assert rms(np.concatenate(heard[62:91])) == pytest.approx(8_000 / 2**0.5, rel=0.02)
    assert rms(np.concatenate(heard[150:])) < 9
    assert rms(heard[61]) > 4_000, "the word's first frame"


def test_both_are_off_by_default() -> None:
    state = Rig().plane.levels
    assert not state.automatic_gain
    assert not state.noise_gate


def test_a_new_leg_starts_with_no_gain_of_the_last_one() -> None:
    rig = Rig()
    rig.add(0, group=1)
    rig.plane.levels.automatic_gain = True
    for n in range(50):
        rig.tick(rig.packet(0, n, coded(tone(500, n, peak=1_000))))
    assert rig.plane.levels.gain[0] > 1.5
    rig.plane.close_leg(0)
    rig.add(0, group=1)
    assert rig.plane.levels.gain[0] == rig.plane.levels.last[0] == 1
