"""Audibility on synthetic signals: what the verdict of every audio check rests on."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.lab.audibility import Window, analyse
from bridge.lab.sounds import Pcm, SoundReport, take_out
from bridge.lab.voice import FULL_SCALE, decode, encode, level_dbfs, sine
from bridge.prompts import load
from bridge.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

SECOND = SAMPLE_RATE_HZ
TONES = {"ann": 440, "ben": 510, "cat": 580, "dan": 620}


def mixed(*parts: NDArray[np.int16]) -> Pcm:
    total: NDArray[np.int64] = np.sum([part.astype(np.int64) for part in parts], axis=0)
    return total.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def through_g711(pcm: Pcm, codec: str = "PCMU") -> Pcm:
    return decode(encode(pcm, codec), codec)


def whole(pcm: Pcm) -> Window:
    return Window(pcm, np.ones(len(pcm) // FRAME_SAMPLES, bool))


def with_holes(pcm: Pcm, frames: list[int]) -> Window:
    present = np.ones(len(pcm) // FRAME_SAMPLES, bool)
    present[frames] = False
    return Window(pcm * np.repeat(present, FRAME_SAMPLES), present)


def music(seconds: float, seed: int = 7) -> Pcm:
    """Notes of a scale, a quarter of a second each, 440 Hz among them."""
    rng = np.random.default_rng(seed)
    scale = [392, 440, 494, 523, 587, 659]
    notes = [sine(int(rng.choice(scale)), SECOND // 4, dbfs=-18) for _ in range(int(seconds * 4))]
    return np.concatenate(notes)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_a_speaker_is_heard_and_nobody_else_through_g711_noise(codec: str) -> None:
    hearing = analyse(whole(through_g711(sine(510, SECOND), codec)), TONES)
    assert hearing.heard() == ("ben",)
    assert hearing.tones["ben"].median_dbfs == pytest.approx(-16, abs=0.3)
    assert all(hearing.tones[name].absent for name in ("ann", "cat", "dan"))


def test_three_speakers_are_told_apart_at_tones_of_40_hz() -> None:
    pcm = through_g711(mixed(sine(440, SECOND), sine(580, SECOND), sine(620, SECOND)))
    hearing = analyse(whole(pcm), TONES)
    assert hearing.heard() == ("ann", "cat", "dan")
    assert hearing.tones["ben"].absent


def test_a_leak_40_db_under_the_speaker_is_found() -> None:
    pcm = through_g711(mixed(sine(440, SECOND), sine(580, SECOND, dbfs=-48)))
    assert not analyse(whole(pcm), TONES).tones["cat"].absent


def test_a_short_leak_of_a_fifth_of_a_second_is_found() -> None:
    pcm = sine(440, 2 * SECOND)
    leak = np.zeros_like(pcm)
    leak[8_000:9_600] = sine(580, 1_600)
    assert not analyse(whole(through_g711(mixed(pcm, leak))), TONES).tones["cat"].absent


def test_a_neighbour_who_begins_to_speak_is_no_leak_of_another() -> None:
    for begins in range(4_000, 6_000, 133):
        pcm = sine(440, SECOND)
        other = sine(510, SECOND)
        other[:begins] = 0
        report = analyse(whole(through_g711(mixed(pcm, other))), TONES).tones
        assert report["cat"].absent, (begins, str(report["cat"]))
        assert report["dan"].absent, (begins, str(report["dan"]))


def test_a_weak_voice_is_neither_heard_nor_absent() -> None:
    report = analyse(whole(sine(440, SECOND, dbfs=-35)), TONES).tones["ann"]
    assert not report.heard
    assert not report.absent


def test_one_lost_frame_is_a_gap_of_20_ms_of_the_tone() -> None:
    hearing = analyse(with_holes(through_g711(sine(440, SECOND)), [20]), TONES)
    assert hearing.tones["ann"].gap_ms == 20
    assert hearing.tones["ann"].heard
    assert hearing.lost == pytest.approx(1 / 50)


def test_a_long_hole_is_measured_and_spoils_the_voice() -> None:
    report = analyse(with_holes(sine(440, SECOND), list(range(20, 27))), TONES).tones["ann"]
    assert report.gap_ms == 140
    assert not report.heard


def test_a_gap_of_one_voice_among_others_is_his_alone() -> None:
    ben = sine(510, SECOND)
    ben[20 * FRAME_SAMPLES : 25 * FRAME_SAMPLES] = 0
    report = analyse(whole(through_g711(mixed(sine(440, SECOND), ben))), TONES).tones
    assert report["ben"].gap_ms == 100
    assert report["ann"].gap_ms == 0


def test_a_phase_jump_is_no_gap() -> None:
    pcm = np.concatenate([sine(440, SECOND // 2), sine(440, SECOND // 2, start=9)])
    assert analyse(whole(pcm), TONES).tones["ann"].gap_ms == 0


def test_random_loss_of_a_tenth_is_counted_frame_by_frame() -> None:
    rng = np.random.default_rng(3)
    lost = np.flatnonzero(rng.random(200) < 0.1)
    hearing = analyse(with_holes(through_g711(sine(440, 4 * SECOND)), list(lost)), TONES)
    assert hearing.tones["ann"].missing == pytest.approx(len(lost) / 200, abs=0.02)


def test_clipped_speech_is_still_attributed() -> None:
    loud = (sine(440, SECOND, dbfs=-4).astype(np.int32) * 2).clip(-32_768, 32_767).astype(np.int16)
    report = analyse(whole(through_g711(loud)), TONES).tones
    assert report["ann"].heard
    assert all(report[name].absent for name in ("ben", "cat", "dan"))


def test_eight_clipping_speakers_are_all_heard() -> None:
    tones = {f"c{n}": 440 + 70 * n for n in range(9)}
    pcm = mixed(*(sine(tones[f"c{n}"], SECOND) for n in range(8)))
    assert analyse(whole(through_g711(pcm)), tones).heard() == tuple(f"c{n}" for n in range(8))


def test_hold_music_is_found_at_any_place_and_its_440_hz_are_nobody() -> None:
    clip = music(20)
    pcm = through_g711(np.concatenate([clip, clip])[5 * SECOND + 77 :][: 2 * SECOND])
    hearing = analyse(whole(pcm), TONES, {"hold-music": clip, "greeting": music(3, seed=8)})
    assert hearing.sounds["hold-music"].share > 0.98
    assert hearing.sounds["greeting"].share < 0.1
    assert all(tone.absent for tone in hearing.tones.values())
    assert not hearing.silent


def test_hold_music_that_starts_again_is_found_on_both_sides() -> None:
    clip = music(5)
    pcm = through_g711(np.concatenate([clip[-SECOND:], clip[:SECOND]]))
    assert analyse(whole(pcm), TONES, {"hold-music": clip}).sounds["hold-music"].share > 0.95


def test_a_voice_over_the_hold_music_is_both_music_and_leak() -> None:
    clip = music(20)
    pcm = through_g711(mixed(clip[SECOND : 3 * SECOND], sine(580, 2 * SECOND)))
    hearing = analyse(whole(pcm), TONES, {"hold-music": clip})
    assert hearing.sounds["hold-music"].share > 0.9
    assert hearing.heard() == ("cat",)
    assert hearing.tones["ben"].absent


def test_a_short_sound_is_found_once_and_taken_out() -> None:
    beep = sine(580, SECOND // 4, dbfs=-20)
    pcm = np.zeros(2 * SECOND, np.int16)
    pcm[SECOND : SECOND + len(beep)] = beep
    noise = np.random.default_rng(1).integers(-20, 20, len(pcm)).astype(np.int16)
    hearing = analyse(whole(through_g711(mixed(pcm, noise))), TONES, {"entry": beep})
    assert hearing.sounds["entry"].of_sound == pytest.approx(1, abs=0.1)
    assert hearing.tones["cat"].absent


def test_a_prompt_that_was_heard_in_part_says_how_much() -> None:
    prompt = music(2, seed=5)
    pcm = np.concatenate([prompt[SECOND:], np.zeros(SECOND, np.int16)])
    report = analyse(whole(through_g711(pcm)), TONES, {"warning": prompt}).sounds["warning"]
    assert report.of_sound == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("tone_hz", range(440, 2_600, 210))
def test_no_callers_tone_is_taken_for_a_sound_of_the_bridge(tone_hz: int) -> None:
    pcm = through_g711(sine(tone_hz, SECOND))
    _, found = take_out(pcm.astype(np.float64), load())
    assert not any(one.frames.any() for one in found.values())
    assert analyse(whole(pcm), {"ann": tone_hz}, load()).heard() == ("ann",)


@pytest.mark.parametrize(
    ("name", "start"),
    [("hold-music", 0), ("hold-music", 5), ("hold-music", 11), ("greeting", 0), ("waiting", 1)],
)
def test_a_leak_10_db_under_a_voice_is_found_in_any_sound_of_the_bridge(
    name: str, start: int
) -> None:
    clips = load()
    part = clips[name][start * SECOND + 77 :][: 2 * SECOND]
    tones = {"eve": 440, "dan": 580}
    clean = analyse(whole(through_g711(part)), tones, clips)
    assert all(tone.absent for tone in clean.tones.values())
    leak = analyse(whole(through_g711(mixed(part, sine(440, len(part), dbfs=-26)))), tones, clips)
    assert not leak.tones["eve"].absent
    assert leak.tones["dan"].absent


def test_prompts_of_one_speaker_are_not_taken_for_each_other() -> None:
    clips = load()
    for name in ("greeting", "waiting", "bad-code", "not-offered"):
        hearing = analyse(whole(through_g711(clips[name])), TONES, clips)
        found = {other for other, one in hearing.sounds.items() if one.matched_ms}
        assert found == {name}
        assert all(tone.absent for tone in hearing.tones.values())


def test_a_prompt_with_skipped_frames_is_still_taken_out() -> None:
    clips = load()
    frames = through_g711(clips["greeting"])[: 200 * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    holes = [40, 55, 58, 60]
    heard = np.delete(frames, [80, 120, 122], axis=0)
    for hole in holes:
        heard = np.insert(heard, hole, 0, axis=0)
    hearing = analyse(whole(heard.reshape(-1)), TONES, clips)
    assert all(tone.absent for tone in hearing.tones.values()), hearing.tones


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_silence_is_silent_through_both_codecs(codec: str) -> None:
    hearing = analyse(whole(through_g711(np.zeros(SECOND, np.int16), codec)), TONES)
    assert hearing.silent
    assert hearing.heard() == ()


def test_nothing_received_is_lost_and_nobody_not_silence() -> None:
    empty = Window(np.zeros(0, np.int16), np.zeros(0, bool))
    hearing = analyse(empty, TONES, {"hold-music": music(5)})
    assert not hearing.silent
    assert hearing.lost == 1.0
    assert all(tone.absent and not tone.heard for tone in hearing.tones.values())
    assert hearing.tones["ann"].gap_ms == 0
    assert hearing.sounds["hold-music"].matched_ms == 0


def test_the_last_part_of_a_window_is_its_newest_frames() -> None:
    window = whole(np.arange(SECOND, dtype=np.int16))
    assert window.last(0.04).pcm[0] == SECOND - 2 * FRAME_SAMPLES
    assert window.last(9).seconds == 1
    assert window.last(0).seconds == 0


def test_level_of_a_full_scale_sine_is_0_dbfs() -> None:
    assert level_dbfs(sine(1_000, SECOND, dbfs=0)) == pytest.approx(0, abs=0.01)
    assert level_dbfs(np.zeros(0, np.int16)) == -120


def test_reports_read_like_measurements() -> None:
    hearing = analyse(whole(sine(440, SECOND)), TONES)
    assert str(hearing.tones["ann"]) == "-16 dBFS (peak -16, gap 0 ms)"
    assert str(SoundReport(240)) == "240 ms matched, 0% of it"


def test_a_short_sound_before_the_silence_is_no_silence() -> None:
    frames = 300
    pcm = np.zeros(frames * FRAME_SAMPLES, np.int16)
    present = np.ones(frames, np.bool_)
    assert analyse(Window(pcm, present), {}).silent
    pcm[:800] = sine(700, 800, dbfs=-30.0)  # a tenth of a second in six
    hearing = analyse(Window(pcm, present), {})
    assert not hearing.silent
    assert hearing.level_dbfs < -45
    assert hearing.peak_dbfs > -31


def test_a_dead_line_is_no_silence() -> None:
    frames = 50
    pcm = np.zeros(frames * FRAME_SAMPLES, np.int16)
    present = np.zeros(frames, np.bool_)
    assert not analyse(Window(pcm, present), {}).silent
    present[:26] = True
    assert analyse(Window(pcm, present), {}).silent
