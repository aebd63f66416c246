"""Changes of sample rate: the filter, its joints, and that there are no images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media.resample import Resampler, low_pass
from tests.oracle import resample_scalar

WAYS = [(8, 16), (8, 48), (16, 48), (16, 8), (48, 8), (48, 16)]


def converted(samples: NDArray[np.int16], from_khz: int, to_khz: int) -> NDArray[np.float32]:
    """Return one stream after conversion, in frames of 20 ms."""
    way = Resampler(from_khz * 1_000, to_khz * 1_000, 3)
    frames = samples.reshape(-1, from_khz * 20)
    one = np.array([1])
    return np.concatenate([way.convert(one, frame[None])[0] for frame in frames])


@pytest.mark.parametrize(("from_khz", "to_khz"), WAYS)
def test_agrees_with_the_filter_sample_by_sample(from_khz: int, to_khz: int) -> None:
    rng = np.random.default_rng(from_khz + to_khz)
    samples = rng.integers(-20_000, 20_000, from_khz * 40).astype(np.int16)
    factor = max(from_khz, to_khz) // min(from_khz, to_khz)
    twin = resample_scalar.up if to_khz > from_khz else resample_scalar.down
    want = twin(samples.tolist(), low_pass(factor).tolist(), factor)
    np.testing.assert_allclose(converted(samples, from_khz, to_khz), want, atol=0.5)


@pytest.mark.parametrize(("from_khz", "to_khz"), WAYS)
def test_a_tone_leaves_no_image_alias_or_click_at_frame_borders(from_khz: int, to_khz: int) -> None:
    """All but the tone is 80 dB below it; joints between frames would be broadband."""
    low = min(from_khz, to_khz) * 1_000
    for hertz in (300, low * 0.42):
        t = np.arange(from_khz * 1_000) / from_khz / 1_000
        tone = (10_000 * np.sin(2 * np.pi * hertz * t)).round().astype(np.int16)
        out = converted(tone, from_khz, to_khz)[to_khz * 200 :]
        power = np.abs(np.fft.rfft(out * np.kaiser(len(out), 14))) ** 2
        near = np.abs(np.fft.rfftfreq(len(out), 1 / to_khz / 1_000) - hertz) < 40
        rest = 10 * np.log10(power[~near].sum() / power[near].sum())
        assert rest < -75, (hertz, rest)  # rounding the input to int16 is at -88
        assert np.abs(out).max() == pytest.approx(10_000, rel=0.03)


@pytest.mark.parametrize("to_khz", [8, 16])
def test_what_the_lower_rate_cannot_carry_is_gone(to_khz: int) -> None:
    t = np.arange(48_000) / 48_000
    tone = (10_000 * np.sin(2 * np.pi * to_khz * 550 * t)).astype(np.int16)  # above half the rate
    assert np.abs(converted(tone, 48, to_khz)[to_khz * 100 :]).max() < 3


def test_streams_do_not_touch_one_another_and_keep_their_ends() -> None:
    rng = np.random.default_rng(3)
    frames = rng.integers(-9_000, 9_000, (4, 6, 160)).astype(np.int16)
    together = Resampler(8_000, 16_000, 4)
    rows = np.array([3, 0, 2])
    got = [together.convert(rows, frames[rows, n]) for n in range(6)]
    for place, row in enumerate(rows.tolist()):
        want = converted(frames[row].ravel(), 8, 16)
        np.testing.assert_allclose(np.concatenate([part[place] for part in got]), want, atol=0.01)
    together.resize(6)
    assert not together.tail[4:].any()
    assert (together.tail[0] == frames[0, -1, -63:]).all()
