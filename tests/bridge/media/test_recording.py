"""Recordings: whole mixes, never shorter than the time that passed."""

import numpy as np
from numpy.typing import NDArray

from bridge.media.recording import BLOCK, Piece, Taps
from bridge.media.shape import FRAME
from tests.bridge.media.rig import Rig, coded


def assembled(pieces: list[Piece], frames: int) -> NDArray[np.int16]:
    """Put pieces where they belong, as the writer does."""
    out = np.zeros((frames, FRAME), np.int16)
    for piece in pieces:
        part = piece.samples.reshape(-1, FRAME)
        out[piece.frame : piece.frame + len(part)] = part
    return out


def test_recording_holds_the_whole_mix_of_its_group_only() -> None:
    rig = Rig({"beep": np.full(FRAME, 100, np.int16)})
    for slot, group in ((0, 4), (1, 4), (2, 9)):
        rig.add(slot, group=group)
    rig.tick()
    assert rig.plane.taps.start(4)
    assert not rig.plane.taps.start(4)
    rig.plane.plays.start_group(4, "beep")
    pieces = []
    for n in range(3 * BLOCK // 2):
        levels = {0: 1_000, 1: 3_000, 2: 9_000}
        packets = [rig.packet(s, n, coded(np.full(FRAME, v, np.int16))) for s, v in levels.items()]
        pieces += rig.tick(*packets).pieces
    stopped = rig.plane.taps.stop(4)
    assert stopped is not None
    piece, frames = stopped
    whole = assembled([*pieces, piece], frames)
    assert frames == 3 * BLOCK // 2
    assert set(whole[0].tolist()) == {100}
    assert set(whole[2:].ravel().tolist()) == {988 + 3_004}
    assert rig.plane.taps.stop(4) is None


def test_skipped_ticks_and_empty_groups_are_silence_of_the_right_length() -> None:
    taps = Taps()
    taps.start(1)
    total = np.full((1, FRAME), 40_000, np.int32)
    pieces = taps.gather({1: 0}, total, skipped=2)
    pieces += taps.gather({}, total, skipped=0)
    pieces += taps.gather({1: 0}, total, skipped=3)
    stopped = taps.stop(1)
    assert stopped is not None
    whole = assembled([*pieces, stopped[0]], stopped[1])
    assert whole[:, 0].tolist() == [0, 0, 32_767, 0, 0, 0, 0, 32_767]
