"""Concealment sample by sample, in the manner of ITU-T G.711 Appendix I."""

from collections.abc import Sequence
from math import sqrt

PITCH_MIN, PITCH_MAX, MATCH = 40, 120, 160


def correlation(history: Sequence[float], lag: int, step: int) -> float:
    """Return the normalised correlation of the last 20 ms with `lag` samples before."""
    size = len(history)
    dot = energy = 0.0
    for n in range(size - MATCH, size, step):
        dot += history[n] * history[n - lag]
        energy += history[n - lag] ** 2
    return dot / sqrt(max(energy, 1.0))


def pitch_of(history: Sequence[float]) -> int:
    coarse = max(range(PITCH_MIN, PITCH_MAX + 1, 2), key=lambda lag: correlation(history, lag, 2))
    near = [min(max(coarse + off, PITCH_MIN), PITCH_MAX) for off in (-1, 0, 1)]
    return max(near, key=lambda lag: correlation(history, lag, 1))


def repeat(history: Sequence[float], pitch: int, t: int, periods: int) -> float:
    length, quarter = periods * pitch, pitch // 4
    where = t % length
    value = history[len(history) - length + where]
    tail = where - (length - quarter)
    if tail >= 0:
        weight = (tail + 1) / (quarter + 1)
        value += (history[len(history) - 2 * length + where] - value) * weight
    return value


def sample(history: Sequence[float], pitch: int, t: int) -> float:
    """Return sample `t` of an erasure that follows `history`."""
    periods = min(1 + t // 80, 3)
    value = repeat(history, pitch, t, periods)
    if 80 <= t < 240 and t % 80 < 32:
        before = repeat(history, pitch, t, periods - 1)
        value = before + (value - before) * (t % 80 + 1) / 33
    quarter = pitch // 4
    step = history[-1] - history[len(history) - 1 - pitch]
    value += step * max(1 - (t + 1) / (quarter + 1), 0)
    return value * min(max((480 - t) / 400, 0), 1)
