"""RTP that leaves: sequence, timestamps, marker, order by port."""

import struct

import numpy as np
import pytest

from bridge.media import outgoing
from bridge.media.shape import FRAME, HEADER_AT
from tests.bridge.media.rig import Rig, coded


def head(rig: Rig, slot: int) -> tuple[int, int, int, int, int]:
    first, kind, seq, ts, ssrc = struct.unpack("!BBHII", rig.sent[slot][:12])
    return first, kind, seq, ts, ssrc


def test_stream_runs_on_from_its_first_packet() -> None:
    rig = Rig()
    rig.add(0, "PCMA")
    heads = []
    for _ in range(4):
        rig.tick()
        heads.append(head(rig, 0))
    ssrc = heads[0][4]
    assert int.from_bytes(ssrc.to_bytes(4, "big"), "little") == 7_000
    assert heads == [
        (0x80, 0x88, 100, 1_000, ssrc),
        (0x80, 8, 101, 1_160, ssrc),
        (0x80, 8, 102, 1_320, ssrc),
        (0x80, 8, 103, 1_480, ssrc),
    ]


def test_skipped_ticks_show_in_the_timestamp_and_not_in_the_sequence() -> None:
    rig = Rig()
    rig.add(0)
    rig.tick()
    rig.tick(skipped=3)
    assert head(rig, 0)[2:4] == (101, 1_000 + 4 * FRAME)


def test_numbers_wrap() -> None:
    rig = Rig()
    rig.add(0)
    rig.plane.out.seq[0], rig.plane.out.ts[0] = 65_535, 2**32 - 100
    rig.tick()
    rig.tick()
    assert head(rig, 0)[2:4] == (0, 60)


def test_stream_that_paused_begins_with_a_marker_true_to_the_clock() -> None:
    rig = Rig()
    rig.add(0)
    rig.tick()
    rig.remote(0, hears=False)
    rig.tick()
    assert rig.sent == {}
    rig.remote(0)
    rig.tick()
    assert head(rig, 0)[1:4] == (0x80, 101, 1_000 + 2 * FRAME)
    rig.tick()
    assert head(rig, 0)[1] == 0


def test_rows_lie_by_port() -> None:
    out = outgoing.Outgoing.of(8)
    sends = np.array([1, 1, 0, 1, 1, 1, 0, 0], np.bool_)
    port = np.array([5, 2, 2, 5, 2, 9, 9, 9])
    outgoing.arrange(out, sends, port)
    assert out.slots.tolist() == [1, 4, 0, 3, 5]
    assert out.ports == [(2, 0, 2), (5, 2, 2), (9, 4, 1)]


def odd_packets(rig: Rig) -> list[tuple[int, bytes]]:
    """Return (slot, packet) of the odd rows of this tick."""
    out = rig.plane.out
    return [
        (slot, out.odd_data[row, HEADER_AT : HEADER_AT + length].tobytes())
        for row, (slot, length) in enumerate(
            zip(out.odd_slots.tolist(), out.odd_length.tolist(), strict=True)
        )
    ]


@pytest.mark.parametrize("ptime_ms", [10, 30, 40, 50, 60])
def test_packets_are_as_long_as_the_other_side_asked(ptime_ms: int) -> None:
    """The same samples as at 20 ms, in packets of another length, stamped by their first sample."""
    rig = Rig()
    for slot in range(3):
        rig.add(slot, group=1)
    rig.remote(1, ptime_ms=ptime_ms)
    rng = np.random.default_rng(ptime_ms)
    plain, odd = b"", b""
    next_seq, size = 100, ptime_ms * 8
    for n in range(60):
        rig.tick(rig.packet(0, n, coded(rng.integers(-9_000, 9_000, FRAME).astype(np.int16))))
        plain += rig.payload(2)
        for slot, packet in odd_packets(rig):
            first, kind, seq, ts, ssrc = struct.unpack("!BBHII", packet[:12])
            assert (slot, first, seq, ssrc >> 24) == (1, 0x80, next_seq, 7_001 & 0xFF)
            assert kind >> 7 == (seq == 100)
            assert ts == 1_000 + len(odd)
            assert len(packet) == 12 + size
            odd, next_seq = odd + packet[12:], next_seq + 1
        assert len(plain) - size < len(odd) <= len(plain)
    assert odd == plain[: len(odd)]
    assert rig.plane.out.sent[1] == next_seq - 100
    assert rig.plane.out.octets[1] == len(odd)


def test_packet_length_may_change_in_a_call() -> None:
    rig = Rig()
    rig.add(0)
    rig.remote(0, ptime_ms=60)
    rig.tick()
    rig.tick()
    rig.remote(0, ptime_ms=20)
    rig.tick()
    assert head(rig, 0)[1:4] == (0x80, 100, 1_000 + 2 * FRAME)
    assert odd_packets(rig) == []
    rig.remote(0, ptime_ms=40)
    rig.tick()
    rig.tick()
    assert [len(packet) for _, packet in odd_packets(rig)] == [12 + 320]
    assert rig.plane.out.odd_ports == [(0, 0, 1)]


def test_ticks_that_were_skipped_show_in_long_packets_too() -> None:
    rig = Rig()
    rig.add(0)
    rig.remote(0, ptime_ms=40)
    rig.tick()
    rig.tick(skipped=2)
    [(_, packet)] = odd_packets(rig)
    assert struct.unpack("!BBHII", packet[:12])[3] == 1_000 + 2 * FRAME
