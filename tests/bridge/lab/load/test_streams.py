"""Reception of a crowd agrees with one caller counted by hand."""

import numpy as np
import pytest

from bridge.lab.load.streams import Streams, rounds
from tests.oracle.streams_scalar import Reception

CALLERS = 7


@pytest.mark.parametrize("seed", range(5))
def test_arrays_agree_with_packets_counted_one_by_one(seed: int) -> None:
    draw = np.random.default_rng(seed)
    streams = Streams(CALLERS)
    each = [Reception() for _ in range(CALLERS)]
    seq, ts = draw.integers(0, 65_536, CALLERS), draw.integers(0, 1 << 31, CALLERS)
    ssrc = draw.integers(0, 1 << 32, CALLERS)
    now_ns = 10**9
    for _ in range(400):
        now_ns += int(draw.choice([20, 20, 20, 90])) * 1_000_000
        packets = []
        for caller in range(CALLERS):
            if draw.random() < 0.01:  # the bridge restarts its stream
                ssrc[caller] = draw.integers(0, 1 << 32)
                ts[caller] += draw.integers(0, 1 << 20)
            for _ in range(int(draw.choice([0, 1, 1, 2]))):
                step = int(draw.choice([1, 1, 1, 2, -1]))
                seq[caller] = (seq[caller] + step) % 65_536
                ts[caller] += 160
                packets.append((caller, int(seq[caller]), int(ts[caller]), int(ssrc[caller])))
        draw.shuffle(packets)
        at_ns = now_ns + draw.integers(0, 5_000_000, len(packets))
        if packets:
            who, numbers, stamps, sources = (
                np.array(c, np.int64) for c in zip(*packets, strict=True)
            )
            streams.take(who, numbers, stamps, sources, at_ns)
        for (caller, number, stamp, source), came in zip(packets, at_ns.tolist(), strict=True):
            each[caller].take(number, stamp, source, came)
    for name in ("received", "lost", "late", "gaps", "gap_ns", "jitter"):
        wanted = [getattr(one, name) for one in each]
        assert getattr(streams, name).tolist() == pytest.approx(wanted), name
    assert streams.losses().tolist() == [one.losses() for one in each]


def test_a_new_call_is_no_loss() -> None:
    streams = Streams(1)

    def packets(first: int, ssrc: int) -> None:
        for number in range(first, first + 3):
            take_one(streams, seq=number, ssrc=ssrc)

    packets(100, ssrc=1)
    streams.begin(0)
    packets(60_000, ssrc=1)
    assert (streams.received[0], streams.lost[0], streams.losses()[0]) == (6, 0, 0)


def take_one(streams: Streams, *, seq: int, ssrc: int) -> None:
    one = np.array([0])
    streams.take(one, one + seq, one + 160 * seq, one + ssrc, one + seq * 20_000_000)


def test_what_was_missing_in_a_stream_that_is_over_stays_counted() -> None:
    streams = Streams(1)
    for seq in (1, 2, 5):
        take_one(streams, seq=seq, ssrc=1)
    take_one(streams, seq=9_000, ssrc=2)
    assert (streams.lost[0], streams.losses()[0]) == (2, 0)


def test_rounds_keep_the_order_of_arrival() -> None:
    caller = np.array([3, 1, 3, 2, 3, 1])
    assert [one.tolist() for one in rounds(caller)] == [[1, 3, 0], [5, 2], [4]]
    assert rounds(caller[:0]) == []
