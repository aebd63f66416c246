"""Making up lost frames in the manner of ITU-T G.711 Appendix I; knows samples, nothing of RTP.

The pitch of the last 20 ms is found by correlation, the last one, two, then three pitch periods
are repeated, fading from 10 ms to silence at 60 ms, and the first received frame is faded in.
The Appendix delays all output by 3.75 ms to smooth the start of an erasure; here the step at the
start is instead faded out over a quarter period, so that received frames pass untouched.
Everything works on the lost legs of one tick at once: at 8 kHz in C where that was compiled, for
when a network halts for a moment that is all of them. The Appendix is about 8 kHz; at a higher
rate, `scale` times that, all lengths are so many times longer.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import conceal_c, conceal_numpy, samples
from bridge.media.conceal_numpy import HISTORY, PITCH_MAX, PITCH_MIN, STEP

__all__ = ["HISTORY", "PITCH_MAX", "PITCH_MIN", "extrapolate", "overlap_of", "pitch_of"]


_LOOPS: Final = conceal_c.Loops(samples.LIBRARY) if samples.LIBRARY else conceal_numpy
"""For 8 kHz; both give the same to the bit."""


def pitch_of(history: NDArray[np.float32], scale: int = 1) -> NDArray[np.int64]:
    """Return the pitch period, (n,) int64 in scale * [40, 120], of `history`, (n, H) float32.

    H is scale * HISTORY; samples are whole numbers in the range of int16.
    """
    if scale == 1:
        return _LOOPS.pitch_of(history)
    return conceal_numpy.pitch_of(history, scale)


def extrapolate(
    history: NDArray[np.float32],
    pitch: NDArray[np.int64],
    start: NDArray[np.int64],
    count: int,
    scale: int = 1,
) -> NDArray[np.float32]:
    """Return samples `start` .. `start + count` of each erasure, (n, count) float32.

    Sample 0 follows the last of `history`, (n, scale * HISTORY). `start`, (n,), is no less.
    """
    if scale == 1:
        return _LOOPS.extrapolate(history, pitch, start, count)
    return conceal_numpy.extrapolate(history, pitch, start, count, scale)


def overlap_of(
    pitch: NDArray[np.int64], run: NDArray[np.int32], scale: int = 1
) -> NDArray[np.int64]:
    """Return over how many samples a received frame is faded in after `run` made-up frames.

    A quarter period, and 4 ms more for each 10 ms of erasure after the first, 10 ms at most.
    """
    longer = 32 * scale * (2 * run.astype(np.int64) - 1)
    return np.asarray(np.minimum(pitch // 4 + longer, STEP * scale))
