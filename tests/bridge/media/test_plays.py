"""What plays to legs and groups, and what comes after."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import tones
from bridge.media.plays import ADDED_FRAMES_MAX, GROUP_CLIPS_MAX, SPARE_FRAMES, Clips, Plays
from bridge.media.shape import FRAME
from tests.bridge.media.rig import Rig, coded, tone


def ramp(frames: float, level: int) -> NDArray[np.int16]:
    return np.full(int(frames * FRAME), level, np.int16)


CLIPS = {"one": ramp(2, 1_000), "two": ramp(1.5, 2_000), "none": ramp(0, 0), "beep": ramp(3, 500)}


def rig() -> Rig:
    made = Rig(CLIPS)
    made.add(0, group=1)
    made.add(1, "PCMA", group=1)
    return made


def levels(made: Rig, slot: int, ticks: int) -> list[int]:
    """Return the first sample, rounded, of what a leg hears for some ticks."""
    got = []
    for _ in range(ticks):
        made.tick()
        got.append(round(int(made.heard(slot)[0]), -2))
    return got


def test_clips_are_padded_to_frames() -> None:
    clips = Clips(CLIPS)
    first, end = clips.span["two"]
    assert end - first == 2 * FRAME
    assert clips.linear(np.array([end - FRAME]))[0, -1] == 0


def test_list_plays_in_order_then_says_so_once() -> None:
    made = rig()
    assert made.plane.plays.start(0, ("one", "none", "two"), token=9, loop=False) == []
    assert levels(made, 0, 4) == [1_000, 1_000, 2_000, 2_000]
    assert made.tick().played == [(0, 9)]
    assert made.tick().played == []
    assert made.heard(0)[0] == 0


def test_loop_goes_on_until_it_is_stopped_and_says_nothing() -> None:
    made = rig()
    made.plane.plays.start(1, ("one", "two"), token=9, loop=True)
    assert levels(made, 1, 6) == [1_000, 1_000, 2_000, 2_000, 1_000, 1_000]
    made.plane.plays.stop(1)
    result = made.tick()
    assert result.played == []
    assert made.heard(1)[0] == 8, "A-law has no zero"


def test_replaced_play_says_nothing() -> None:
    made = rig()
    made.plane.plays.start(0, ("one",), token=1, loop=False)
    made.tick()
    made.plane.plays.start(0, ("two",), token=2, loop=False)
    done = [made.tick().played for _ in range(4)]
    assert done == [[], [], [(0, 2)], []]


def test_unknown_clips_are_named_and_left_out() -> None:
    made = rig()
    assert made.plane.plays.start(0, ("what", "one"), token=1, loop=False) == ["what"]
    assert levels(made, 0, 1) == [1_000]


def test_play_of_nothing_ends_at_once_even_as_a_loop() -> None:
    made = rig()
    made.plane.plays.start(0, ("none",), token=1, loop=True)
    assert made.tick().played == [(0, 1)]


def test_leg_hears_its_clip_alone_and_is_heard_meanwhile() -> None:
    """D3: the conference is not beneath the prompt."""
    made = rig()
    for n in range(4):
        made.tick(made.packet(1, n, coded(tone(700, n), "PCMA")))
    assert np.abs(made.heard(0)).max() > 5_000
    made.plane.plays.start(0, ("one",), token=1, loop=False)
    made.tick(
        made.packet(1, 4, coded(tone(700, 4), "PCMA")), made.packet(0, 0, coded(tone(500, 0)))
    )
    assert set(made.heard(0).tolist()) == {988}
    made.tick(
        made.packet(1, 5, coded(tone(700, 5), "PCMA")), made.packet(0, 1, coded(tone(500, 1)))
    )
    assert np.abs(made.heard(1)).max() > 5_000


def test_group_clip_is_mixed_into_what_everybody_hears() -> None:
    made = rig()
    made.add(2, group=2)
    assert made.plane.plays.start_group(1, ("beep",)) == ""
    assert made.plane.plays.start_group(1, ("what",)) == "unknown_clip"
    heard = []
    for n in range(5):
        made.tick(made.packet(0, n, coded(np.full(FRAME, 3_000, np.int16))))
        heard.append([round(int(made.heard(slot)[0]), -2) for slot in range(3)])
    assert heard[0] == [500, 500, 0]
    assert heard[2] == [500, 3_500, 0]
    assert heard[3] == [0, 3_000, 0]


def test_clip_of_a_group_without_legs_runs_on_unheard() -> None:
    plays = Plays(Clips(CLIPS), 4)
    plays.start_group(7, ("beep",))
    assert len(plays.group_frames({}, 1)[0]) == 0
    group, frame = plays.group_frames({7: 3}, 1)
    assert group.tolist() == [3]
    assert frame[0, 0] == 500
    plays.group_frames({}, 1)
    assert len(plays.group_frames({7: 3}, 1)[0]) == 0


def test_clip_keeps_to_the_clock_when_ticks_are_skipped() -> None:
    made = rig()
    made.plane.plays.start(0, ("one", "two"), token=1, loop=False)
    made.plane.plays.start_group(1, ("beep",))
    made.tick(skipped=1)
    assert levels(made, 0, 1) == [2_000]
    assert round(int(made.heard(1)[0]), -2) == 500
    assert levels(made, 1, 1) == [0]


def test_a_clip_that_is_added_plays_like_any_other() -> None:
    clips = Clips(CLIPS)
    before = len(clips.samples)
    assert clips.add("news", ramp(1.5, 3_000))
    start, end = clips.span["news"]
    assert end - start == 2 * FRAME
    assert clips.linear(np.array([start]))[0, 0] == 3_000
    assert clips.linear(np.array([end - FRAME]))[0, -1] == 0
    encoded = clips.encoded(np.array([0], np.uint8), np.array([start]))
    assert encoded.tobytes() == coded(ramp(1, 3_000))
    assert len(clips.samples) == before, "no array is made anew while legs play"


def test_added_clips_make_way_for_later_ones() -> None:
    clips = Clips(CLIPS)
    long = ramp(ADDED_FRAMES_MAX, 100)
    names = [f"clip-{n}" for n in range(SPARE_FRAMES // ADDED_FRAMES_MAX)]
    assert all(clips.add(name, long) for name in names)
    assert clips.add("third", ramp(1, 200))
    assert set(clips.span) == {*CLIPS, *names[1:], "third"}
    assert clips.add("third", ramp(1, 300))
    start, _ = clips.span["third"]
    assert clips.linear(np.array([start]))[0, 0] == 300


def test_what_is_empty_or_too_long_is_not_added() -> None:
    clips = Clips(CLIPS)
    assert not clips.add("empty", ramp(0, 0))
    assert not clips.add("long", ramp(ADDED_FRAMES_MAX + 1, 1))
    assert set(clips.span) == set(CLIPS)


def group_levels(plays: Plays, ticks: int) -> list[int]:
    """Return what group 1 hears of clips, frame by frame; 0 for nothing."""
    heard = []
    for _ in range(ticks):
        _, frames = plays.group_frames({1: 0}, 1)
        heard.append(int(frames[0, 0]) if len(frames) else 0)
    return heard


def test_what_is_said_to_a_group_comes_one_after_the_other() -> None:
    plays = Plays(Clips(CLIPS), 4)
    plays.start_group(1, ("one", "two"))
    plays.start_group(1, ("beep",))
    lengths = {name: -(-len(clip) // FRAME) for name, clip in CLIPS.items()}
    levels = group_levels(plays, sum(lengths[n] for n in ("one", "two", "beep")) + 1)
    expected = [CLIPS[n][0] for n in ("one", "two", "beep") for _ in range(lengths[n])]
    assert levels == [int(level) for level in expected] + [0]


def test_what_would_come_too_late_for_a_group_is_left_out() -> None:
    plays = Plays(Clips(CLIPS), 4)
    answers = [plays.start_group(1, ("beep",)) for _ in range(GROUP_CLIPS_MAX + 1)]
    assert answers == [""] * GROUP_CLIPS_MAX + ["group_play_full"]


@pytest.mark.parametrize("hear", [False, True])
def test_a_key_is_heard_by_others_only_where_keys_are_passed_on(hear: bool) -> None:
    made = Rig(tones.clips())
    for slot in (0, 1):
        made.add(slot, group=1)
    made.plane.hear_keys = hear
    loud = []
    for n in range(30):
        packets = [made.packet(1, n, coded(np.zeros(FRAME, np.int16)))]
        if n == 10:
            packets.append(made.event(0, 5, ts=1_600, duration=800, end=True))
        made.tick(*packets)
        loud.append(np.abs(made.heard(1).astype(int)).max() > 1_000)
    assert any(loud) is hear


def test_an_in_band_key_passes_where_keys_are_passed_on() -> None:
    for hear in (False, True):
        made = Rig(tones.clips())
        for slot in (0, 1):
            made.add(slot, group=1)
        made.remote(0, events=False)
        made.plane.hear_keys = hear
        tone_of_5 = np.tile(tones.clips()["key/5"], 4)[: 15 * FRAME].reshape(-1, FRAME)
        loud = 0
        for n in range(30):
            samples = tone_of_5[n - 10] if 10 <= n < 25 else np.zeros(FRAME, np.int16)
            made.tick(made.packet(0, n, coded(samples)), made.packet(1, n, coded(samples * 0)))
            loud += int(np.abs(made.heard(1).astype(int)).max() > 1_000)
        assert loud >= 14 if hear else loud <= 2
