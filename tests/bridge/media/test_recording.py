"""Recordings: whole mixes, never shorter than the time that passed."""

import numpy as np
from numpy.typing import NDArray

from bridge.media.recording import BLOCK, Piece, Taps
from bridge.media.shape import FRAME
from tests.bridge.media.rig import Rig, coded

NOBODY = np.zeros((0, FRAME), np.int16)


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
    rig.plane.plays.start_group(4, ("beep",))
    pieces = []
    for n in range(3 * BLOCK // 2):
        levels = {0: 1_000, 1: 3_000, 2: 9_000}
        packets = [rig.packet(s, n, coded(np.full(FRAME, v, np.int16))) for s, v in levels.items()]
        pieces += rig.tick(*packets).pieces
    stopped = rig.plane.taps.stop(4)
    assert stopped is not None
    last, frames = stopped
    whole = assembled([*pieces, *last], frames)
    assert frames == 3 * BLOCK // 2
    assert set(whole[0].tolist()) == {100}
    assert set(whole[2:].ravel().tolist()) == {988 + 3_004}
    assert rig.plane.taps.stop(4) is None


def test_skipped_ticks_and_empty_groups_are_silence_of_the_right_length() -> None:
    taps = Taps()
    taps.start(1)
    total = np.full((1, FRAME), 40_000, np.int32)
    pieces = taps.gather({1: 0}, total, NOBODY, skipped=2)
    pieces += taps.gather({}, total, NOBODY, skipped=0)
    pieces += taps.gather({1: 0}, total, NOBODY, skipped=3)
    stopped = taps.stop(1)
    assert stopped is not None
    whole = assembled([*pieces, *stopped[0]], stopped[1])
    assert whole[:, 0].tolist() == [0, 0, 32_767, 0, 0, 0, 0, 32_767]


def test_ticks_missed_before_the_end_are_silence_at_the_end() -> None:
    """Who is held when the order to stop comes has not run the ticks in which it went on."""
    taps = Taps()
    taps.start(1)
    total = np.full((1, FRAME), 5, np.int32)
    taps.gather({1: 0}, total, NOBODY, skipped=0)
    stopped = taps.stop(1, missed=3)
    assert stopped is not None
    assert assembled(*stopped)[:, 0].tolist() == [5, 0, 0, 0]


def test_ticks_missed_before_the_beginning_are_none_of_it() -> None:
    taps = Taps()
    taps.start(1, frame=-3)
    total = np.full((1, FRAME), 5, np.int32)
    pieces = taps.gather({1: 0}, total, NOBODY, skipped=4)
    stopped = taps.stop(1)
    assert stopped is not None
    assert assembled([*pieces, *stopped[0]], stopped[1])[:, 0].tolist() == [0, 5]


def test_recordings_keep_their_own_when_others_begin_and_end() -> None:
    """Blocks change places; what was gathered, and where it belongs, goes along."""
    taps, dense = Taps(), {group: group for group in range(6)}
    began: dict[int, int] = {}
    found: dict[int, list[Piece]] = {group: [] for group in range(6)}
    rng = np.random.default_rng(3)
    for tick in range(400):
        for group in range(6):
            if rng.random() < 0.02 and taps.start(group):
                began[group] = tick
            elif rng.random() < 0.01 and (stopped := taps.stop(group)):
                whole = assembled([*found.pop(group), *stopped[0]], stopped[1])[:, 0]
                since = began.pop(group)
                assert whole.tolist() == [group + 10 * n for n in range(since, tick)]
                found[group] = []
        total = np.repeat((np.arange(6, dtype=np.int32) + 10 * tick)[:, None], FRAME, axis=1)
        for piece in taps.gather(dense, total, NOBODY, skipped=0):
            found[piece.group].append(piece)
    assert not any(taps.stop(group) is None for group in began)


def told(rig: Rig, n: int, levels: dict[int, int]) -> list[Piece]:
    """Run a tick in which each slot says one level."""
    packets = [rig.packet(s, n, coded(np.full(FRAME, v, np.int16))) for s, v in levels.items()]
    return rig.tick(*packets).pieces


def tracks_of(pieces: list[Piece], frames: int) -> dict[str, NDArray[np.int16]]:
    """Return the first sample of each frame of each track."""
    names = {piece.track for piece in pieces}
    return {name: assembled([p for p in pieces if p.track == name], frames)[:, 0] for name in names}


def test_each_leg_has_a_track_aligned_with_the_mix_and_silent_where_it_was_not_there() -> None:
    rig = Rig()
    rig.add(0)
    rig.add(1)
    rig.plane.set_group(0, 4, "ann")
    for n in range(6):
        told(rig, n, {0: 1_000, 1: 3_000})
    rig.plane.record(4, tracks=True)
    pieces: list[Piece] = []
    for n in range(6, 90):
        if n == 20:
            rig.plane.set_group(1, 4, "bob")
        elif n == 60:
            rig.plane.set_group(1, -1)
        elif n == 70:
            rig.plane.set_group(1, 4, "bob")
        pieces += told(rig, n, {0: 1_000, 1: 3_000})
    stopped = rig.plane.taps.stop(4)
    assert stopped is not None
    frames = stopped[1]
    assert frames == 84
    tracks = tracks_of([*pieces, *stopped[0]], frames)
    assert set(tracks) == {"", "ann", "bob"}
    assert (tracks["ann"] == 988).all()
    there = np.arange(6, 90)
    inside = ((there >= 20) & (there < 60)) | (there >= 70)
    assert ((tracks["bob"] == 3_004) == inside).all()
    assert (tracks[""] == np.where(inside, 988 + 3_004, 988)).all(), "the sum is the mix"


def test_a_muted_leg_and_a_waiting_one_leave_no_sound_in_any_track() -> None:
    rig = Rig()
    for slot in (0, 1, 2):
        rig.add(slot)
    rig.plane.set_group(0, 4, "ann")
    rig.plane.set_group(1, 4, "bob")
    rig.plane.muted[1] = True
    rig.plane.record(4, tracks=True)
    pieces = [p for n in range(60) for p in told(rig, n, {0: 1_000, 1: 3_000, 2: 9_000})]
    assert {piece.track for piece in pieces} == {"", "ann"}


def test_a_recording_without_tracks_has_none() -> None:
    rig = Rig()
    rig.add(0)
    rig.plane.set_group(0, 4, "ann")
    rig.plane.record(4)
    pieces = [p for n in range(60) for p in told(rig, n, {0: 1_000})]
    assert {piece.track for piece in pieces} == {""}


def test_tracks_keep_to_the_clock_when_ticks_are_skipped() -> None:
    rig = Rig()
    rig.add(0)
    rig.plane.set_group(0, 4, "ann")
    for n in range(6):
        told(rig, n, {0: 1_000})
    rig.plane.record(4, tracks=True)
    pieces = told(rig, 6, {0: 1_000})
    pieces += rig.tick(rig.packet(0, 10, coded(np.full(FRAME, 1_000, np.int16))), skipped=3).pieces
    pieces += told(rig, 11, {0: 1_000})
    stopped = rig.plane.taps.stop(4)
    assert stopped is not None
    assert stopped[1] == 6
    tracks = tracks_of([*pieces, *stopped[0]], 6)
    assert (tracks["ann"] != 0).tolist() == (tracks[""] != 0).tolist()
    assert tracks["ann"][1:4].tolist() == [0, 0, 0]
