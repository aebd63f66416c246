"""Pitch and made-up samples with numpy: the reference, and what runs where nothing was compiled.

`conceal` says what each is for; here all rates are served. Correlations of whole numbers at 8 kHz
are exact in 64 bits, so that whoever sums in another order finds the same pitch.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.shape import FRAME

HISTORY: Final = 3 * FRAME
"""Samples of history wanted; 390 are used."""

PITCH_MIN: Final = 40
PITCH_MAX: Final = 120
_MATCH: Final = 160
STEP: Final = 80  # 10 ms
_FADE_END: Final = 480  # 60 ms

_LAGS: Final = np.arange(PITCH_MIN, PITCH_MAX + 1)

_BLOCK: Final = 32
"""Rows of 8 kHz done at a time: what windows over them take stays in the core's cache."""


def pitch_of(history: NDArray[np.float32], scale: int = 1) -> NDArray[np.int64]:
    """Return the pitch period, (n,) int64 in scale * [40, 120], of `history`, (n, H) float32.

    H is scale * HISTORY. Normalised cross-correlation of the last 20 ms with what came a period
    before, coarsely on every second sample of 8 kHz, then exactly around the best.
    """
    pitch = np.empty(len(history), np.int64)
    block = max(_BLOCK // scale, 1)
    for at in range(0, len(history), block):  # bounded by the legs, divided by the block
        pitch[at : at + block] = _pitch_of(history[at : at + block].astype(np.float64), scale)
    return pitch


def _pitch_of(history: NDArray[np.float64], scale: int) -> NDArray[np.int64]:
    coarse = history[:, :: 2 * scale]
    match, lags = _MATCH // 2, _LAGS[::2] // 2
    best = lags[_best(coarse, match, int(lags[0]), int(lags[-1]))] * 2 * scale
    near = 2 * scale - 1
    fine = np.clip(best[:, None] + np.arange(-near, near + 1), PITCH_MIN * scale, PITCH_MAX * scale)
    each = np.arange(len(history))[:, None, None]
    start = (HISTORY - _MATCH) * scale - fine
    windows = history[each, start[:, :, None] + np.arange(_MATCH * scale)]
    score = _score(windows, history[:, -_MATCH * scale :])
    return np.asarray(fine[np.arange(len(fine)), score.argmax(axis=1)])


def _best(history: NDArray[np.float64], match: int, low: int, high: int) -> NDArray[np.intp]:
    """Return, per row, the index in [low, high] of the lag that matches best."""
    size = history.shape[1]
    area = history[:, size - match - high : size - low]
    windows = np.lib.stride_tricks.sliding_window_view(area, match, axis=1)[:, ::-1]
    return np.asarray(_score(windows, history[:, -match:]).argmax(axis=1))


def _score(windows: NDArray[np.float64], template: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of each window, (n, lags, match), normalised by its energy."""
    dot = np.einsum("nlm,nm->nl", windows, template)
    energy = np.einsum("nlm,nlm->nl", windows, windows)
    score: NDArray[np.float64] = dot / np.sqrt(np.maximum(energy, 1.0))
    return score


def extrapolate(
    history: NDArray[np.float32],
    pitch: NDArray[np.int64],
    start: NDArray[np.int64],
    count: int,
    scale: int = 1,
) -> NDArray[np.float32]:
    """Return samples `start` .. `start + count` of each erasure, (n, count) float32.

    Sample 0 follows the last of `history`, (n, scale * HISTORY).
    """
    made = np.empty((len(history), count), np.float32)
    block = max(_BLOCK // scale, 1)
    for at in range(0, len(history), block):  # bounded by the legs, divided by the block
        part = slice(at, at + block)
        t = start[part, None] + np.arange(count)
        made[part] = _samples(history[part], pitch[part], t, scale)
    return made


def _samples(
    history: NDArray[np.float32], pitch: NDArray[np.int64], t: NDArray[np.int64], scale: int
) -> NDArray[np.float32]:
    """Return samples `t`, (n, count) int64, of each erasure."""
    step_size = STEP * scale
    periods = np.minimum(1 + t // step_size, 3)
    value = _repeat(history, pitch, t, periods)
    # Where the number of repeated periods changes, the old and the new are cross-faded.
    since = t % step_size
    blend = 32 * scale
    joint = (since < blend) & (t >= step_size) & (t < 3 * step_size)
    if joint.any():
        before = _repeat(history, pitch, t, np.maximum(periods - 1, 1))
        weight = ((since + 1) / (blend + 1)).astype(np.float32)
        value = np.where(joint, before + (value - before) * weight, value)
    quarter = pitch[:, None] // 4
    each = np.arange(len(history))
    step = history[:, -1] - history[each, HISTORY * scale - 1 - pitch]
    value += step[:, None] * np.clip(1 - (t + 1) / (quarter + 1), 0, 1).astype(np.float32)
    end = _FADE_END * scale
    fade = np.clip((end - t) / (end - step_size), 0, 1).astype(np.float32)
    return value * fade


def _repeat(
    history: NDArray[np.float32],
    pitch: NDArray[np.int64],
    t: NDArray[np.int64],
    periods: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return sample `t` of the endless repetition of the last `periods` pitch periods.

    The last quarter period before each repetition fades into what preceded the repeated part.
    """
    length = periods * pitch[:, None]
    quarter = pitch[:, None] // 4
    where = t % length
    index = history.shape[1] - length + where
    each = np.arange(len(history))[:, None]
    value = history[each, index]
    tail = where - (length - quarter)
    fading = tail >= 0
    earlier = history[each, np.where(fading, index - length, 0)]
    weight = ((tail + 1) / (quarter + 1)).astype(np.float32)
    faded: NDArray[np.float32] = np.where(fading, value + (earlier - value) * weight, value)
    return faded
