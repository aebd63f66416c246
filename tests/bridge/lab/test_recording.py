"""A caller's timeline: places by RTP timestamp, holes where nothing came."""

import numpy as np
import pytest

from bridge.lab.recording import JUMP_FRAMES_MAX, Recording
from bridge.lab.voice import encode, sine
from bridge.units import FRAME_NS, FRAME_SAMPLES

START_NS = 1_000_000_000
CODES = encode(sine(440, 100 * FRAME_SAMPLES), "PCMU").tobytes()


def put(recording: Recording, frame: int, *, late_ns: int = 0, frames: int = 1) -> None:
    recording.put(
        ts=(4_294_960_000 + frame * FRAME_SAMPLES) % (1 << 32),
        ssrc=5,
        payload_type=0,
        payload=CODES[frame * FRAME_SAMPLES : (frame + frames) * FRAME_SAMPLES],
        now_ns=START_NS + frame * FRAME_NS + late_ns,
    )


def span(first: int, last: int) -> tuple[int, int]:
    return START_NS + first * FRAME_NS, START_NS + last * FRAME_NS


def test_frames_lie_by_timestamp_over_its_wrap_whatever_order_they_came_in() -> None:
    recording = Recording()
    for frame in (0, 1, 3, 2, 4, 5, *range(6, 60)):
        put(recording, frame)
    window = recording.window(*span(0, 60))
    assert window.present.all()
    expected = np.abs(window.pcm.astype(int) - sine(440, 60 * FRAME_SAMPLES).astype(int))
    assert expected.max() < 200


def test_a_lost_frame_is_silent_and_absent() -> None:
    recording = Recording()
    for frame in set(range(50)) - {20}:
        put(recording, frame)
    window = recording.window(*span(10, 40))
    assert list(np.flatnonzero(~window.present)) == [10]
    assert not window.pcm[10 * FRAME_SAMPLES : 11 * FRAME_SAMPLES].any()


def test_one_late_frame_does_not_shift_the_others() -> None:
    recording = Recording()
    for frame in range(50):
        put(recording, frame, late_ns=15_000_000 if frame == 20 else 0)
    assert recording.window(*span(10, 40)).present.all()


def test_packets_of_40_ms_fill_two_frames() -> None:
    recording = Recording()
    for frame in range(0, 50, 2):
        put(recording, frame, frames=2)
    assert recording.window(*span(10, 40)).present.all()


def test_a_stream_that_stopped_leaves_the_rest_absent() -> None:
    recording = Recording()
    for frame in range(30):
        put(recording, frame)
    assert list(np.flatnonzero(~recording.window(*span(20, 40)).present)) == list(range(10, 20))


def test_nothing_received_is_all_absent() -> None:
    window = Recording().window(*span(0, 50))
    assert len(window.present) == 50
    assert not window.present.any()
    assert not window.pcm.any()


@pytest.mark.parametrize("far", [3 * JUMP_FRAMES_MAX, -3 * JUMP_FRAMES_MAX])
def test_a_new_timestamp_base_goes_on_in_time(far: int) -> None:
    recording = Recording()
    for frame in range(20):
        put(recording, frame)
    for frame in range(20, 50):
        recording.put(
            ts=(frame + far) * FRAME_SAMPLES % (1 << 32),
            ssrc=5,
            payload_type=0,
            payload=CODES[:FRAME_SAMPLES],
            now_ns=START_NS + frame * FRAME_NS,
        )
    assert recording.window(*span(5, 45)).present.all()


def test_the_ring_keeps_the_newest() -> None:
    recording = Recording(ring_frames=30)
    for frame in range(80):
        put(recording, frame)
    assert recording.window(*span(55, 79)).present.all()
    assert not recording.window(*span(10, 40)).present.any()


def test_a_law_is_decoded_as_a_law() -> None:
    recording = Recording()
    codes = encode(sine(440, FRAME_SAMPLES), "PCMA").tobytes()
    recording.put(ts=0, ssrc=1, payload_type=8, payload=codes, now_ns=START_NS)
    pcm = recording.window(*span(0, 1)).pcm
    assert np.abs(pcm.astype(int) - sine(440, FRAME_SAMPLES)).max() < 200
