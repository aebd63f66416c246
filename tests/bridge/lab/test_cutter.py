"""Packets of every ptime: no sample lost or doubled, each at its timestamp and its time."""

import numpy as np
import pytest

from bridge.lab.cutter import PTIMES_MS, Cutter
from bridge.units import FRAME_NS, NS_PER_MS

FRAMES = 30
WRAPS = (1 << 32) - 160 * 7
"""The timestamps begin again at 0 within these frames."""


@pytest.mark.parametrize("ptime_ms", PTIMES_MS)
@pytest.mark.parametrize("steps", [1, 6])
def test_the_packets_of_a_ptime_hold_all_that_was_said(ptime_ms: int, steps: int) -> None:
    cutter, said = Cutter(ptime_ms), np.arange(FRAMES * 160, dtype=np.int16)
    sent = []
    for n in range(FRAMES):
        ts = (WRAPS + n * 160 * steps) % (1 << 32)
        for piece in cutter.add(ts, said[n * 160 : (n + 1) * 160], steps):
            sent.append((piece, n * FRAME_NS + piece.late_ns))
    assert {len(piece.samples) for piece, _ in sent} == {8 * ptime_ms}
    whole = np.concatenate([piece.samples for piece, _ in sent])
    assert np.array_equal(whole, said[: len(whole)])
    assert len(said) - len(whole) < 8 * ptime_ms
    for number, (piece, at_ns) in enumerate(sent):
        assert piece.ts == (WRAPS + number * 8 * ptime_ms * steps) % (1 << 32)
        assert at_ns - sent[0][1] == number * ptime_ms * NS_PER_MS


def test_what_does_not_follow_begins_anew() -> None:
    cutter, frame = Cutter(30), np.zeros(160, np.uint8)
    assert cutter.add(0, frame, 1) == []
    assert [piece.ts for piece in cutter.add(160, frame, 1)] == [0]  # 10 ms are held
    assert cutter.add(960, frame, 1) == []  # keys were sent between
    assert [piece.ts for piece in cutter.add(1_120, frame, 1)] == [960]
