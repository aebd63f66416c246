"""Expected packets take a short way that ends where the long way does, whatever comes."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from bridge.media.shape import CELLS
from bridge.units import FRAME_NS
from tests.bridge.media.rig import EVENT, Datagram, Rig

LEGS = 6
TICKS = 400
SIZES = (160, 160, 160, 240, 160, 80)
"""Bytes of each leg's packets."""


class Twin(Rig):
    """A plane that expects nothing: every packet goes the long way."""

    def tick(
        self, *datagrams: Datagram, skipped: int = 0, waits_ns: list[int] | None = None
    ) -> Any:
        self.plane.steady.head[:] = self.plane.steady.first[:] = 0
        return super().tick(*datagrams, skipped=skipped, waits_ns=waits_ns)


def sent(rng: np.random.Generator, rig: Rig) -> list[list[Datagram]]:
    """Return what comes in each tick: jitter, loss, duplicates, jumps, keys, other payloads."""
    ticks: list[list[tuple[float, Datagram]]] = [[] for _ in range(TICKS + 10)]
    for slot, size in enumerate(SIZES):
        seq, ts, ssrc, at = 65_400, 2**32 - 9_000, slot + 1, float(rng.random())
        while at < TICKS:
            if rng.random() < 0.004:
                ts += int(rng.integers(1, 100_000))
            if rng.random() < 0.004:
                seq, ssrc = int(rng.integers(65_536)), ssrc + 10
            if rng.random() < 0.004:
                at += float(rng.integers(1, 20))  # silence suppression
            kind = EVENT if rng.random() < 0.01 else None
            body = b"\x05\x0a\x01\x40" if kind else rng.bytes(size)
            packet = rig.packet(slot, seq, body, ts=ts, kind=kind, ssrc=ssrc)
            late = at + (rng.random() * 3 if rng.random() < 0.1 else 0)
            for _ in range(2 if rng.random() < 0.02 else 1):
                if rng.random() > 0.02:
                    ticks[int(late)].append((late, packet))
            seq, ts, at = (seq + 1) % 65_536, ts + size, at + size / 160
    return [[packet for _, packet in sorted(tick, key=lambda pair: pair[0])] for tick in ticks]


def same(one: Any, other: Any) -> None:
    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name not in ("decoded", "ring"):  # scratch; and what is not played
            assert np.array_equal(mine, theirs), field.name


@pytest.mark.parametrize("seed", range(3))
def test_short_way_ends_where_the_long_way_ends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    short, long = Rig(), Twin()
    for rig in (short, long):
        for slot in range(LEGS):
            rig.add(slot, "PCMA" if slot % 2 else "PCMU", group=slot // 3)
    taken = 0
    for number, packets in enumerate(sent(rng, short)):
        skipped = int(number % 97 == 50)
        waits = rng.integers(0, FRAME_NS, len(packets)).tolist()
        results = [
            rig.tick(*packets, skipped=skipped, waits_ns=waits if seed else None)
            for rig in (short, long)
        ]
        assert results[0] == results[1]
        assert short.sent == long.sent
        assert short.plane.counters == long.plane.counters
        same(short.plane.jitter, long.plane.jitter)
        same(short.plane.reception, long.plane.reception)
        assert np.array_equal(short.plane.last_ns, long.plane.last_ns)
        taken += int(np.count_nonzero(short.plane.steady.here))
    assert taken > TICKS  # the short way was gone, and often
    assert short.plane.jitter.play_cell.max() < CELLS


def test_a_packet_that_is_not_quite_the_expected_one_goes_the_long_way() -> None:
    rig = Rig()
    rig.add(0)
    for n in range(3):
        rig.tick(rig.packet(0, n, bytes(160)))
        assert rig.plane.steady.here[0] == (n > 0)
    head, source, port = rig.packet(0, 3, bytes(160))
    wrong = {
        "marker": (head[:1] + b"\x80" + head[2:], source, port),
        "padding": (b"\xa0" + head[1:-1] + b"\x04", source, port),
        "longer": (head + b"\0", source, port),
        "other stream": rig.packet(0, 3, bytes(160), ssrc=9),
        "later": rig.packet(0, 4, bytes(160)),
    }
    for name, datagram in wrong.items():
        rig.plane.steady.here[0] = False
        rig.tick(datagram)
        assert not rig.plane.steady.here[0], name


def test_new_terms_are_expected_anew() -> None:
    """After a re-INVITE the old payload type must not be taken for audio."""
    rig = Rig()
    rig.add(0)
    for n in range(3):
        rig.tick(rig.packet(0, n, bytes(160)))
    rig.remote(0, "PCMA")
    rig.tick(rig.packet(0, 3, bytes(160), kind=0))
    assert rig.count("payload_type") == 1
