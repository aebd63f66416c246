"""Filling what playout lacks: made-up frames, joints and holes; knows rings, nothing of RTP.

The samples come from `conceal`; here is which leg needs which of them in this tick.
"""

import numpy as np
from numpy.typing import NDArray

from bridge.media import conceal, jitter
from bridge.media.masks import any_of
from bridge.media.played import Played
from bridge.media.rtp import Counters
from bridge.media.shape import FRAME

_PEAK = 32_767


def fill(
    state: jitter.Jitter, played: Played, pitch: NDArray[np.int64], counters: Counters
) -> None:
    """Make up the frames that are missing, and join made-up and received ones.

    `pitch`, (L,) int64, keeps the pitch period of each leg's last erasure.
    """
    if len(played.merged):
        row = jitter.own(state, played, played.merged)
        weight = (np.arange(FRAME, dtype=np.float32) + 1) / (FRAME + 1)
        now = state.ring[row].astype(np.float32)
        later = state.ring[jitter.next_cell(state, played.merged)]
        state.ring[row] = now + (later - now) * weight
    if len(played.patched):
        _patch(state, played, played.patched, counters)
    legs = played.made_up
    if len(legs):
        counters.add("concealed", len(legs) - len(played.holds))
        past = jitter.history(state, legs)
        run = state.run[legs].astype(np.int64)
        first = run == 1
        pitch[legs[first]] = conceal.pitch_of(past[first])
        made = conceal.extrapolate(past, pitch[legs], (run - 1) * FRAME, FRAME)
        row = jitter.own(state, played, legs)
        state.ring[row] = np.clip(made, -_PEAK, _PEAK)
        kept = np.setdiff1d(legs, played.holds, assume_unique=True)
        jitter.keep(state, kept, state.ring[played.cell[kept]])
    if len(played.resumed):
        _resume(state, played, pitch)


def _resume(state: jitter.Jitter, played: Played, pitch: NDArray[np.int64]) -> None:
    """Fade received frames in over what would have been made up."""
    legs, run = played.resumed, played.resumed_run
    past = jitter.history(state, legs)
    over = conceal.overlap_of(pitch[legs], run)[:, None]
    count = int(over.max())
    start = run.astype(np.int64) * FRAME
    made = conceal.extrapolate(past, pitch[legs], start, count)
    weight = np.clip((np.arange(count) + 1) / (over + 1), 0, 1).astype(np.float32)
    row = jitter.own(state, played, legs)
    frame = state.ring[row, :count]
    state.ring[row, :count] = np.clip(made + (frame - made) * weight, -_PEAK, _PEAK)


def _patch(
    state: jitter.Jitter, played: Played, legs: NDArray[np.intp], counters: Counters
) -> None:
    """Fill the holes of half-received frames with made-up samples."""
    hole = state.ring[played.cell[legs]] == jitter.MISSING
    which = hole.any(axis=1)
    if not any_of(which):
        return
    legs, hole = legs[which], hole[which]
    counters.add("patched", len(legs))
    row = jitter.own(state, played, legs)
    frame = state.ring[row]
    known = np.concatenate([jitter.history(state, legs), np.where(hole, 0, frame)], axis=1)
    began = hole.argmax(axis=1)[:, None]
    past = np.take_along_axis(known, began + np.arange(conceal.HISTORY), axis=1)
    pitch = conceal.pitch_of(past)
    made = conceal.extrapolate(past, pitch, np.zeros(len(legs), np.int64), FRAME)
    made = np.take_along_axis(made, np.maximum(np.arange(FRAME) - began, 0), axis=1)
    state.ring[row] = np.where(hole, np.clip(made, -_PEAK, _PEAK), frame)
    jitter.keep(state, legs, state.ring[row])
