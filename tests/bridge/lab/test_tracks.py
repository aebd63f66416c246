"""Recordings made of captured packets: on real time, by RTP timestamp, whoever sent them."""

import struct
import wave
from pathlib import Path

import numpy as np

from bridge.lab.capture import CAPTURE_BYTES_MAX, Capture, Packet
from bridge.lab.tracks import tracks_of, write_wav
from bridge.lab.voice import encode, sine
from bridge.units import FRAME_SAMPLES, NS_PER_MS, NS_PER_S

OWN, BRIDGE = ("127.0.0.1", 5_004), ("127.0.0.1", 40_000)
SPOKEN = sine(440, 50 * FRAME_SAMPLES)


def packet(
    number: int, *, ts0: int = 1_000, kind: int = 0, sent: bool = True, late_ms: int = 0
) -> Packet:
    codes = encode(SPOKEN[number * FRAME_SAMPLES :][:FRAME_SAMPLES], "PCMU").tobytes()
    ts = (ts0 + number * FRAME_SAMPLES) % (1 << 32)
    head = struct.pack("!BBHII", 0x80, kind, number, ts, 7)
    at_ns = 2 * NS_PER_S + (20 * number + late_ms) * NS_PER_MS
    return Packet(at_ns, OWN, BRIDGE, sent, head + codes)


def test_frames_lie_where_their_timestamps_say_however_unevenly_they_came() -> None:
    order = [0, 2, 1, 3, 5]  # one is missing, two were overtaken
    packets = [packet(number, late_ms=13 * (number % 2)) for number in order]
    (track,) = tracks_of(packets, {5_004: "ann"}, began_ns=NS_PER_S).values()
    assert track.starts_s == 1.0
    assert track.packets == 5
    assert len(track.pcm) == 6 * FRAME_SAMPLES
    for number in range(6):
        frame = track.pcm[number * FRAME_SAMPLES :][:FRAME_SAMPLES].astype(int)
        wanted = SPOKEN[number * FRAME_SAMPLES :][:FRAME_SAMPLES] * (number in order)
        assert np.abs(frame - wanted).max() < 600, number


def test_a_timestamp_that_wraps_goes_on_and_one_that_jumps_begins_where_it_came() -> None:
    wrapping = [packet(number, ts0=(1 << 32) - 2 * FRAME_SAMPLES) for number in range(5)]
    (track,) = tracks_of(wrapping, {5_004: "ann"}, began_ns=2 * NS_PER_S).values()
    assert len(track.pcm) == 5 * FRAME_SAMPLES
    jumping = [packet(0), packet(1, ts0=900_000), packet(2, ts0=900_000)]
    (track,) = tracks_of(jumping, {5_004: "ann"}, began_ns=2 * NS_PER_S).values()
    assert len(track.pcm) == 3 * FRAME_SAMPLES


def test_sent_and_received_are_apart_and_events_strangers_and_rubbish_are_left_out() -> None:
    packets = [
        packet(0),
        packet(0, sent=False),
        packet(1, kind=101),
        packet(0)._replace(local=("127.0.0.1", 9)),
        packet(0)._replace(payload=b"short"),
        packet(0)._replace(payload=b"\x00" * 40),
    ]
    tracks = tracks_of(packets, {5_004: "ann"}, began_ns=0)
    assert {key: one.packets for key, one in tracks.items()} == {
        ("ann", True): 1,
        ("ann", False): 1,
    }


def test_a_recording_is_a_wav_file_of_that_length(tmp_path: Path) -> None:
    (track,) = tracks_of([packet(0), packet(1)], {5_004: "ann"}, began_ns=0).values()
    write_wav(tmp_path / "a.wav", track)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 8_000, 320)


def test_a_capture_keeps_what_there_is_room_for_and_says_how_much_was_left_out() -> None:
    capture = Capture()
    capture.add(packet(0))
    assert capture.take() == ([], 0), "nothing before it began"
    capture.begin()
    big = packet(0)._replace(payload=bytes(CAPTURE_BYTES_MAX // 2))
    for _ in range(3):
        capture.add(big)
    packets, left_out = capture.take()
    assert (len(packets), left_out) == (1, 2)
    capture.add(big)
    assert capture.take() == ([], 0)
