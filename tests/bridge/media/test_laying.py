"""Packets laid out to send: compiled, with numpy, and one at a time give the same to the bit."""

from dataclasses import fields
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import samples_c, samples_numpy
from bridge.media.senders import Senders
from bridge.media.shape import FRAME, PAYLOAD_AT
from tests.bridge.media.guard import GUARD, guarded, unharmed

LEGS: Final = 40


def senders(rng: np.random.Generator, count: int) -> Senders:
    ts, sent, octets = (rng.integers(2**32 - 200, 2**32, LEGS, np.uint32) for _ in range(3))
    return Senders(
        rng.permutation(LEGS)[:count].astype(np.int64),
        rng.integers(0, 2**8, count, np.uint32) << np.uint32(16) | np.uint32(0x8000_0000),
        rng.integers(2**16 - 2, 2**16, LEGS, np.uint16),
        ts,
        sent,
        octets,
    )


def packet(legs: Senders, row: int, payload: NDArray[np.uint8]) -> bytes:
    """Return a packet by RFC 3550 §5.1, but for the SSRC, which lies there already."""
    leg = legs.slots[row]
    first = int(legs.kind[row]) | int(legs.seq[leg])
    return first.to_bytes(4, "big") + int(legs.ts[leg]).to_bytes(4, "big") + payload.tobytes()


@pytest.mark.parametrize("count", [0, 1, 7, LEGS])
def test_packets_are_laid_out_alike(c: samples_c.Loops, count: int) -> None:
    """Rows are those of `outgoing`; what lies beside and what is nobody's row stays as it was."""
    rng = np.random.default_rng(count)
    codes = rng.integers(0, 256, (LEGS + 9, FRAME), np.uint8)
    pick = rng.integers(0, LEGS + 9, LEGS)
    rows, around = guarded((LEGS, PAYLOAD_AT + FRAME), np.uint8)
    wanted, _ = guarded((LEGS, PAYLOAD_AT + FRAME), np.uint8)
    mine, theirs = (
        senders(np.random.default_rng(3), count),
        senders(np.random.default_rng(3), count),
    )
    for _ in range(3):  # sequence numbers and counts go round
        made = [packet(mine, row, codes[pick[leg]]) for row, leg in enumerate(mine.slots)]
        c.lay(rows, mine, codes, pick)
        samples_numpy.lay(wanted, theirs, codes, pick)
        assert (rows == wanted).all()
        assert unharmed(around)
        assert [bytes(row[4:12]) + bytes(row[16:]) for row in rows[:count]] == made
        assert (rows[count:] == GUARD & 0xFF).all()
        for field in fields(mine):
            if field.name == "known":
                continue
            assert (getattr(mine, field.name) == getattr(theirs, field.name)).all(), field.name


@pytest.mark.parametrize(("name", "index"), [("slots", LEGS), ("slots", -1), ("pick", 99)])
def test_a_packet_of_nobody_or_of_no_frame_is_refused(
    c: samples_c.Loops, name: str, index: int
) -> None:
    legs, codes = senders(np.random.default_rng(0), 3), np.zeros((4, FRAME), np.uint8)
    pick = np.zeros(LEGS, np.int64)
    rows, around = guarded((3, PAYLOAD_AT + FRAME), np.uint8)
    if name == "slots":
        legs.slots[2] = index
    else:
        pick[legs.slots[2]] = index
    with pytest.raises(IndexError, match="row 2 of 3"):
        c.lay(rows, legs, codes, pick)
    with pytest.raises(TypeError, match="4 packets into rows"):
        c.lay(rows, senders(np.random.default_rng(0), 4), codes, pick)
    assert unharmed(around)
