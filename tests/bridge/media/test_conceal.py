"""Concealment against the scalar twin, and what it does to known signals."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import conceal
from bridge.media.shape import FRAME
from tests.oracle import conceal_scalar


def voiced(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Return rows of something like voiced speech with noise, each of its own pitch."""
    t = np.arange(conceal.HISTORY)
    rows = []
    for _ in range(count):
        period = rng.uniform(42, 118)
        wave = sum(np.sin(2 * np.pi * k * t / period + rng.uniform(0, 6)) / k for k in range(1, 6))
        rows.append(3_000 * wave + rng.normal(0, 100, len(t)))
    return np.array(rows, np.float32).round()


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
