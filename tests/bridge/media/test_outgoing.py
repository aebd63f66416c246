"""RTP that leaves: sequence, timestamps, marker, order by port."""

import struct

import numpy as np

from bridge.media import outgoing
from bridge.media.shape import FRAME
from tests.bridge.media.rig import Rig


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
