"""Expected packets take a short way that ends where the long way does, whatever comes."""

from collections.abc import Callable
from dataclasses import fields
from ipaddress import IPv4Address
from typing import Any

import numpy as np
import pytest

from bridge.media import rtp
from bridge.media.arrivals import WAY, Arrivals
from bridge.media.plays import Clips
from bridge.media.shape import CELLS, ROW_BYTES
from bridge.media.sources import source_of
from bridge.media.steady import ByArrays
from bridge.media.tick import Plane, Remote
from bridge.units import FRAME_NS
from tests.bridge.media.compiling import compiled
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


@pytest.fixture(scope="module", params=["numpy", "installed", "undefined steps crash"])
def way(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Plane], Arrivals]:
    """The reference; what is used here; and that in C with every undefined step a crash."""
    if request.param == "numpy":
        return lambda plane: ByArrays(plane.legs)
    if request.param == "installed":
        return lambda plane: WAY(plane.legs)
    library = compiled(
        tmp_path_factory.mktemp("c"), "-O1", "-fsanitize=undefined", "-fno-sanitize-recover"
    )
    from bridge.media.steady_c import OneByOne

    return lambda plane: OneByOne(plane.legs, library)


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
        if field.name not in ("decoded", "ring", "known"):  # scratch; and what is not played
            assert np.array_equal(mine, theirs), field.name


@pytest.mark.parametrize("seed", range(3))
def test_short_way_ends_where_the_long_way_ends(
    seed: int, way: Callable[[Plane], Arrivals]
) -> None:
    rng = np.random.default_rng(seed)
    short, long = Rig(), Twin()
    short.plane.arrivals = way(short.plane)
    expecting = Rig()
    expecting.plane.arrivals = ByArrays(expecting.plane.legs)
    for rig in (short, long, expecting):
        for slot in range(LEGS):
            rig.add(slot, "PCMA" if slot % 2 else "PCMU", group=slot // 3)
    taken = 0
    for number, packets in enumerate(sent(rng, short)):
        skipped = int(number % 97 == 50)
        waits = rng.integers(0, FRAME_NS, len(packets)).tolist()
        results = [
            rig.tick(*packets, skipped=skipped, waits_ns=waits if seed else None)
            for rig in (short, long, expecting)
        ]
        assert results[0] == results[1] == results[2]
        assert short.sent == long.sent
        assert np.array_equal(short.plane.steady.here, expecting.plane.steady.here)
        for name in ("head", "ts", "first", "rest"):
            mine, theirs = (getattr(rig.plane.steady, name) for rig in (short, expecting))
            assert np.array_equal(mine, theirs), name
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


def test_whose_a_packet_is_does_not_depend_on_the_way(way: Callable[[Plane], Arrivals]) -> None:
    """Neither on who came after whom before, nor on places of the table that were taken."""
    legs, count, rng = 1_500, 3_000, np.random.default_rng(5)
    hosts, ports = rng.integers(1, 2**32, count).tolist(), rng.integers(0, 3, count)
    names = [(str(IPv4Address(host)), 4_000 + host % 7) for host in hosts]
    source = np.array([source_of(*name) for name in names], np.uint64)
    plane = Plane(Clips({}), silence_ns=10**9, legs_max=2_048)

    def open_leg(leg: int) -> None:
        """Open a leg that has been heard."""
        expected = int(source[leg])
        plane.open_leg(leg, port=int(ports[leg]), expected=expected, numbers=(leg, 0, 0), now_ns=0)
        plane.set_remote(leg, Remote("PCMU", 0, 101, expected, proven=True), 0)
        plane.latched[leg] = expected

    for leg in range(legs):
        open_leg(leg)
    assert len(plane.sources.table.more) > 20
    arrivals = way(plane)
    length = np.zeros((count, 16), np.uint32)[:, 3]
    for turn in range(6):
        order = rng.permutation(count) if turn % 2 else np.sort(rng.integers(0, count, count))
        packets = rtp.Packets(
            np.zeros((count, ROW_BYTES), np.uint8),
            length,
            np.zeros(count, np.int32),
            np.repeat(source[order], 2)[::2],  # apart, as the kernel lays them out
            ports[order],
        )
        wanted = np.where(plane.open[order % 2_048] & (order < legs), order, -1)
        assert np.array_equal(plane.sources.find(packets.port, packets.source), wanted)
        rest, slot = arrivals.take(packets, turn, count=legs)
        assert np.array_equal(rest, np.arange(count))
        assert np.array_equal(slot, wanted)
        assert not plane.steady.here.any()
        for leg in range(turn, legs, 7):  # what is over is nobody's; the table is laid out anew
            (plane.close_leg if plane.open[leg] else open_leg)(leg)


def test_arrays_stay_where_the_way_in_c_found_them() -> None:
    rig = Rig()
    if WAY is ByArrays:
        pytest.skip("the loops in C were not compiled")
    for slot in range(LEGS):
        rig.add(slot)
    for packets in sent(np.random.default_rng(0), rig)[:50]:
        rig.tick(*packets)
    assert rig.plane.arrivals.up_to_date()  # type: ignore[attr-defined] # of `OneByOne`


def test_a_table_that_points_nowhere_is_an_error(way: Callable[[Plane], Arrivals]) -> None:
    rig = Rig()
    rig.add(0)
    rig.plane.sources.table.slots[rig.plane.sources.table.slots == 0] = 1_000
    arrivals = way(rig.plane)
    packets = rtp.Packets(
        np.zeros((1, ROW_BYTES), np.uint8), np.zeros(1, np.uint32), np.zeros(1, np.int32),
        np.array([rig.source(0)], np.uint64), np.zeros(1, np.int64),
    )  # fmt: skip
    with pytest.raises(IndexError, match=r"outside the legs|out of bounds"):
        arrivals.take(packets, 0, count=1)


def test_nothing_came(way: Callable[[Plane], Arrivals]) -> None:
    rig = Rig()
    rig.add(0)
    empty = np.zeros(0, np.int64)
    packets = rtp.Packets(
        np.zeros((0, ROW_BYTES), np.uint8), empty.astype(np.uint32), empty.astype(np.int32),
        empty.astype(np.uint64), empty,
    )  # fmt: skip
    rest, slot = way(rig.plane).take(packets, 0, count=1)
    assert not len(rest)
    assert not len(slot)


def test_a_packet_of_nothing_is_not_what_a_silent_leg_is_expected_to_send(
    way: Callable[[Plane], Arrivals],
) -> None:
    """Nothing is expected, which is written as zeros: zeros are no RTP (version 0)."""
    rig = Rig()
    rig.add(0)
    for n in range(3):
        rig.tick(rig.packet(0, n, bytes(160)))
    rig.plane.steady.forget(0)
    body, source, port = rig.packet(0, 3, bytes(160))
    rig.plane.arrivals = way(rig.plane)
    rig.tick((bytes(4) + body[4:], source, port))
    assert not rig.plane.steady.here[0]
    assert rig.count("bad_version") == 1
