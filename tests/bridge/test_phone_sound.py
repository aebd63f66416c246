"""The microphone and ear of a PJSIP phone: frames in and out, without PJSIP."""

import numpy as np

from bridge.phone.sound import LIVE_FRAMES_KEPT, LIVE_FRAMES_MAX, Sound
from bridge.phone.values import Samples, Statistics

FRAME = 160


def ramp(count: int, start: int = 1) -> Samples:
    return np.arange(start, start + count).astype(np.int16)


def said(sound: Sound, frames: int) -> list[int]:
    data = b"".join(sound.next_frame() for _ in range(frames))
    return [int(sample) for sample in np.frombuffer(data, "<i2")]


def test_a_clip_is_said_once_filled_with_silence_and_told() -> None:
    sound, done = Sound(FRAME), []
    sound.play(ramp(200), loop=False, done=lambda: done.append("said"))
    assert said(sound, 1) == list(range(1, 161))
    assert not done
    assert said(sound, 2) == [*range(161, 201), *[0] * 280]
    assert done == ["said"]


def test_a_repeated_clip_has_no_seam_also_when_it_is_shorter_than_a_frame() -> None:
    sound = Sound(FRAME)
    sound.play(ramp(100), loop=True, done=lambda: None)
    assert said(sound, 5) == [*range(1, 101)] * 8
    sound.play(ramp(200), loop=True, done=lambda: None)
    assert said(sound, 5) == [*range(1, 201)] * 4


def test_another_clip_gives_the_one_before_up_and_tells_who_waits_for_it() -> None:
    sound, done = Sound(FRAME), []
    sound.play(ramp(200), loop=False, done=lambda: done.append("first"))
    sound.play(ramp(160, 1_000), loop=False, done=lambda: done.append("second"))
    assert done == ["first"]
    assert said(sound, 1) == list(range(1_000, 1_160))
    assert done == ["first", "second"]
    sound.play(ramp(0), loop=False, done=lambda: done.append("nothing"))
    assert done[-1] == "nothing"


def test_live_audio_of_any_size_is_cut_into_frames() -> None:
    sound = Sound(FRAME)
    sound.write(ramp(100))
    assert said(sound, 1) == [0] * FRAME
    sound.write(ramp(100, 101))
    assert said(sound, 2) == [*range(1, 161), *[0] * FRAME]
    assert sound.missing == 1  # it flowed, and then there was nothing


def test_live_audio_that_comes_too_fast_is_dropped_oldest_first() -> None:
    sound = Sound(FRAME)
    sound.write(ramp(FRAME * (LIVE_FRAMES_MAX + 1)))
    assert sound.dropped == LIVE_FRAMES_MAX + 1 - LIVE_FRAMES_KEPT
    last = FRAME * (LIVE_FRAMES_MAX + 1)
    assert said(sound, LIVE_FRAMES_KEPT)[-1] == last


def test_a_muted_phone_says_silence_while_the_clip_goes_on() -> None:
    sound = Sound(FRAME)
    sound.play(ramp(480), loop=False, done=lambda: None)
    sound.muted = True
    assert said(sound, 1) == [0] * FRAME
    sound.muted = False
    assert said(sound, 1) == list(range(161, 321))


def test_what_was_heard_is_kept_by_the_time_it_came() -> None:
    sound, blocks = Sound(FRAME), []
    sound.listen(lambda at_ns, data: blocks.append((at_ns, len(data))))
    for number in range(3):
        sound.take(ramp(FRAME, number).tobytes())
    times = [at_ns for at_ns, _ in blocks]
    heard = sound.heard(times[1], times[2] + 1)
    assert heard.at_ns == times[1]
    assert heard.samples.tolist() == [*range(1, 161), *range(2, 162)]
    assert not len(sound.heard(0, times[0]).samples)
    sound.clear()
    assert not len(sound.heard(0, times[2] + 1).samples)


def test_figures_of_streams_of_one_call_are_summed() -> None:
    first = Statistics(codec="PCMU/8000", sent=10, received=8, lost=2, jitter_ms=3.0, seconds=1.0)
    later = Statistics(codec="PCMA/8000", sent=5, received=5, jitter_ms=1.0, seconds=2.0)
    both = first.followed_by(later)
    assert (both.codec, both.sent, both.received, both.lost) == ("PCMA/8000", 15, 13, 2)
    assert (both.jitter_ms, both.seconds) == (1.0, 2.0)
    assert both.loss == 2 / 15
    assert first.followed_by(Statistics(seconds=5.0)).sent == 10  # on hold: no stream
    assert Statistics().loss == 0
