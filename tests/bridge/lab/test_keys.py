"""RFC 4733 keys, frame by frame."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from multiprocessing import Pipe

import pytest

from bridge.lab.keys import HELD_FRAMES, KeySender
from bridge.lab.rtp_engine import Engine
from bridge.units import FRAME_NS


def frames_of(digits: str) -> list[tuple[int, bool, int, bool, int]]:
    """Return (event, end, duration, marker, ts_back) of each packet until all is sent."""
    sender = KeySender()
    sender.press(digits, 7)
    result = []
    while sender.busy:
        packet, _ = sender.next_frame()
        if packet is not None:
            event, flags, duration = struct.unpack("!BBH", packet.payload)
            result.append((event, bool(flags & 0x80), duration, packet.marker, packet.ts_back))
    return result


def test_a_key_grows_and_ends_three_times_at_one_timestamp() -> None:
    assert frames_of("#") == [
        (11, False, 160, True, 0),
        (11, False, 320, False, 160),
        (11, True, 480, False, 320),
        (11, True, 480, False, 480),
        (11, True, 480, False, 640),
    ]


def test_keys_follow_each_other_with_a_frame_of_voice_between() -> None:
    sender = KeySender()
    sender.press("12", 7)
    packets = [sender.next_frame() for _ in range(12)]
    assert [packet is None for packet, _ in packets] == [*[False] * 5, True, *[False] * 5, True]
    assert [order for _, order in packets] == [*[0] * 11, 7]
    assert not sender.busy


def test_all_sixteen_keys_have_their_event_numbers() -> None:
    events = [event for event, _, _, marker, _ in frames_of("0123456789*#ABCD") if marker]
    assert events == list(range(16))


@contextmanager
def sending(ptime_ms: int) -> Iterator[tuple[Engine, int, socket.socket]]:
    """Give an engine that is not run, a row of it, and the socket that the row sends to."""
    ours, theirs = Pipe()
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(2)
    engine = Engine(theirs)
    row, _, _ = engine.do_open("127.0.0.1", 10, ptime_ms)
    host, port = receiver.getsockname()
    engine.do_remote(row, host, port, "PCMU", 0, 101)
    try:
        yield engine, row, receiver
    finally:
        engine.do_close(row)
        for one in (ours, theirs, receiver):
            one.close()


def test_a_late_engine_does_not_make_two_keys_of_one() -> None:
    """RFC 4733 §2.3: all packets of one key have one timestamp, however late the sender is."""
    with sending(20) as (engine, row, receiver):
        engine.do_press(row, "7", 1)
        due_ns = 0
        for late_frames in (0, 50, 0, 0, 0, 0):
            due_ns = engine._keep_pace(due_ns + late_frames * FRAME_NS, due_ns)
        packets = [receiver.recv(200) for _ in range(5)]
    keys = [packet for packet in packets if packet[1] & 0x7F == 101]
    assert len(keys) == 5
    assert len({packet[4:8] for packet in keys}) == 1
    assert engine.counters["late_ticks"] == 50


@pytest.mark.parametrize("ptime_ms", [10, 30])
def test_an_engine_that_makes_up_for_late_ticks_sends_in_sequence(ptime_ms: int) -> None:
    """Some of its packets are due between ticks: the next tick's do not go before them."""
    with sending(ptime_ms) as (engine, _, receiver):
        for _ in range(6):
            engine.tick()
        receiver.setblocking(False)
        packets: list[bytes] = []
        while len(packets) < 120 // ptime_ms:
            engine._arrive()
            with suppress(BlockingIOError):
                packets.append(receiver.recv(200))
    numbers = [int.from_bytes(packet[2:4]) for packet in packets]
    assert [(b - a) % 65_536 for a, b in pairwise(numbers)] == [1] * (len(numbers) - 1)


@pytest.mark.parametrize(
    ("frames", "done"),
    [(0, False), (HELD_FRAMES - 1, False), (HELD_FRAMES, True), (HELD_FRAMES + 1, True)],
)
def test_a_key_that_the_other_side_hung_up_on_was_sent_once_its_end_was(
    frames: int, done: bool
) -> None:
    sender = KeySender()
    sender.press("2", 7)
    sender.press("34", 8)
    for _ in range(frames):
        sender.next_frame()
    assert sender.drop() == [(7, done), (8, False)]
    assert not sender.busy
