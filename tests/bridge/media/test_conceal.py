"""Concealment against the scalar twin, in C against numpy, and what it does to known signals."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import conceal, conceal_c, conceal_numpy, g711
from bridge.media.shape import FRAME
from tests.bridge.media.compiling import compiled
from tests.oracle import conceal_scalar


def voiced(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Return rows of something like voiced speech with noise, each of its own pitch."""
    t = np.arange(conceal.HISTORY)
    rows = []
    for _ in range(count):
        period = rng.uniform(42, 118)
        wave = sum(np.sin(2 * np.pi * k * t / period + rng.uniform(0, 6)) / k for k in range(1, 6))
        rows.append(3_000 * wave + rng.normal(0, 100, len(t)))
    return np.array(rows, np.float32).reshape(-1, conceal.HISTORY).round()


def test_pitch_is_the_scalar_twins() -> None:
    past = voiced(np.random.default_rng(2), 30)
    expected = [conceal_scalar.pitch_of(row) for row in past.tolist()]
    assert conceal.pitch_of(past).tolist() == expected


@pytest.mark.parametrize("period", [41, 64, 100, 119])
def test_pitch_of_a_periodic_signal_is_its_period(period: int) -> None:
    rng = np.random.default_rng(period)
    turns = np.outer(np.arange(1, 7), 2 * np.pi * np.arange(period) / period)
    cycle = 2_000 * np.cos(turns + rng.uniform(0, 6, (6, 1))).sum(axis=0)
    past = np.resize(cycle, conceal.HISTORY).astype(np.float32)
    found = int(conceal.pitch_of(past[None])[0])
    assert found % period == 0 or abs(found - period) <= 1


def test_samples_are_the_scalar_twins() -> None:
    rng = np.random.default_rng(3)
    past = voiced(rng, 12)
    pitch = conceal.pitch_of(past)
    start = rng.integers(0, 4, 12) * FRAME
    made = conceal.extrapolate(past, pitch, start, FRAME)
    for row in range(12):
        history = past[row].tolist()
        expected = [
            conceal_scalar.sample(history, int(pitch[row]), int(start[row]) + n)
            for n in range(FRAME)
        ]
        assert np.allclose(made[row], expected, atol=0.5, rtol=1e-4), row


def test_periodic_signal_goes_on_as_it_was() -> None:
    period = 50
    cycle = 4_000 * np.sin(2 * np.pi * np.arange(period) / period)
    past = np.resize(cycle, conceal.HISTORY).astype(np.float32)
    # HISTORY is no multiple of the period: the next sample continues where the history ends.
    following = np.resize(np.roll(cycle, -(conceal.HISTORY % period)), 80)
    made = conceal.extrapolate(past[None], np.array([period]), np.array([0]), 80)
    assert np.allclose(made[0], following, atol=2)


def test_fades_from_10_to_60_ms_and_is_silent_after() -> None:
    past = np.full((1, conceal.HISTORY), 1_000, np.float32)
    made = conceal.extrapolate(past, np.array([60]), np.array([0]), 640)[0]
    assert np.allclose(made[:81], 1_000)
    assert np.allclose(made[280], 500, atol=2)
    assert (made[480:] == 0).all()


def test_silence_stays_silence() -> None:
    past = np.zeros((3, conceal.HISTORY), np.float32)
    pitch = conceal.pitch_of(past)
    assert (conceal.extrapolate(past, pitch, np.zeros(3, np.int64), FRAME) == 0).all()


def test_overlap_grows_with_the_erasure_to_10_ms() -> None:
    pitch = np.array([40, 120, 40, 40])
    run = np.array([1, 1, 2, 3], np.int32)
    assert conceal.overlap_of(pitch, run).tolist() == [42, 62, 80, 80]


# --- in C as with numpy -------------------------------------------------------------------


@pytest.fixture(scope="module", params=["-O3", "-O3 -march=native", "-O1 -fsanitize=undefined"])
def c(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> conceal_c.Loops:
    """As it is installed, where products and sums could become one, and with checks."""
    flags = request.param.split()
    if flags[-1].startswith("-fsanitize"):
        flags.append("-fno-sanitize-recover")
    return conceal_c.Loops(compiled(tmp_path_factory.mktemp("c"), *flags))


def past_of(kind: str, count: int) -> NDArray[np.float32]:
    """Return histories, (count, HISTORY), with what is dangerous in each."""
    rng = np.random.default_rng(count)
    shape = (count, conceal.HISTORY)
    if kind == "speech":
        return voiced(rng, count)
    if kind == "codes":
        past = g711.DECODE[0][rng.integers(0, 256, shape)]
    elif kind == "full scale":
        past = rng.choice(np.array([-32_768, 32_767]), shape)
    elif kind == "nearly silent":  # many lags match as well as one another
        past = rng.integers(-1, 2, shape) * (rng.random(shape) < 0.05)
    else:  # frames that never came are silence
        past = voiced(rng, count)
        past[:, : FRAME * 2] = 0
    return np.asarray(past, np.float32)


KINDS = ("speech", "codes", "full scale", "nearly silent", "cut off")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 33, 500])
def test_pitch_in_c_is_that_of_numpy(c: conceal_c.Loops, kind: str, count: int) -> None:
    past = past_of(kind, count)
    found = c.pitch_of(past)
    assert found.dtype == np.int64
    assert found.tolist() == conceal_numpy.pitch_of(past).tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [FRAME, 80, 42, 1, 0])
def test_samples_in_c_are_those_of_numpy_to_the_bit(
    c: conceal_c.Loops, kind: str, size: int
) -> None:
    """Of every pitch, from every place in an erasure on, to far behind its end."""
    rng = np.random.default_rng(size)
    low, high = conceal.PITCH_MIN, conceal.PITCH_MAX
    pitch = np.repeat(np.arange(low, high + 1), 9)
    start = np.tile([0, 1, 79, 80, 160, 240, 320, 479, 480], high + 1 - low)
    start[rng.random(len(start)) < 0.1] += 1_000
    past = past_of(kind, len(pitch))
    made = c.extrapolate(past, pitch, start, size)
    assert made.dtype == np.float32
    assert made.shape == (len(pitch), size)
    assert (made == conceal_numpy.extrapolate(past, pitch, start, size)).all()
    assert c.extrapolate(past[:0], pitch[:0], start[:0], size).shape == (0, size)


@pytest.mark.parametrize(("pitch", "start"), [(39, 0), (121, 0), (60, -1)])
def test_what_would_point_outside_the_past_is_refused(
    c: conceal_c.Loops, pitch: int, start: int
) -> None:
    past = past_of("speech", 2)
    with pytest.raises(IndexError, match="row 1 of 2"):
        c.extrapolate(past, np.array([60, pitch]), np.array([0, start]), FRAME)


def test_what_is_no_history_is_refused(c: conceal_c.Loops) -> None:
    past = past_of("speech", 2)
    wrongs: list[NDArray[Any]] = [past[:, 1:], past.astype(np.float64), np.asfortranarray(past)]
    for wrong in wrongs:
        with pytest.raises((TypeError, BufferError, ValueError)):
            c.pitch_of(wrong)
    with pytest.raises(TypeError):
        c.extrapolate(past, np.array([60]), np.array([0, 0]), FRAME)
