"""RTCP: reports as RFC 3550 lays them out, and reports that came, against a scalar reader."""

import struct

import numpy as np
import pytest

from bridge.media import rtcp, rtp
from bridge.media.shape import FRAME, HEADER_AT, ROW_BYTES
from bridge.media.sources import source_of
from bridge.units import NS_PER_MS, NS_PER_S
from tests.bridge.media.rig import Datagram, Rig, packets_of
from tests.oracle.rtcp_scalar import Compound, read

WALL_NS = 1_790_000_000 * NS_PER_S + NS_PER_S // 4
EVERY = rtcp.TURN_TICKS * rtcp.TURNS


def ssrc_of(rig: Rig, slot: int) -> int:
    """Return the SSRC that the bridge sends with, as a number."""
    return int(rig.plane.out.ssrc[slot].byteswap())


def reports(rig: Rig, wall_ns: int = WALL_NS) -> dict[int, Compound]:
    data = np.zeros((rtcp.TURN_LEGS_MAX, rtcp.REPORT_BYTES_MAX), np.uint8)
    written = rig.plane.write_reports(wall_ns, data)
    found = {}
    for row, leg in enumerate(written.legs.tolist()):
        seen = read(data[row, : written.length[row]].tobytes(), subpackets_max=9)
        assert seen is not None
        found[leg] = seen
    return found


def one_round(rig: Rig, *, speaking: tuple[int, ...] = (), lose: int = 0) -> dict[int, Compound]:
    """Run five seconds; return the report of each leg."""
    found: dict[int, Compound] = {}
    for _ in range(EVERY):
        n = rig.plane.tick_no
        said = [rig.packet(slot, n, bytes(FRAME)) for slot in speaking if not lose or n % lose]
        rig.tick(*said)
        for leg, seen in reports(rig).items():
            assert leg not in found
            found[leg] = seen
    return found


def take(rig: Rig, *datagrams: Datagram, arrived_ns: int = WALL_NS) -> None:
    packets = packets_of(list(datagrams))
    packets.stamp = rtp.stamps_of(np.full(len(datagrams), arrived_ns))
    rig.plane.take_reports(packets)


def at(slot: int, port: int = 4_001) -> int:
    return source_of(f"10.0.0.{slot + 1}", port)


def block(ssrc: int, *, fraction: int = 0, lost: int = 0, lsr: int = 0, dlsr: int = 0) -> bytes:
    return struct.pack("!IIIIII", ssrc, fraction << 24 | lost & 0xFFFFFF, 9, 33, lsr, dlsr)


def rr(ssrc: int, *blocks: bytes) -> bytes:
    head = struct.pack("!BBHI", 0x80 | len(blocks), 201, 1 + 6 * len(blocks), ssrc)
    return head + b"".join(blocks)


def sr(ssrc: int, ntp: int, *blocks: bytes) -> bytes:
    head = struct.pack("!BBHI", 0x80 | len(blocks), 200, 6 + 6 * len(blocks), ssrc)
    return head + struct.pack("!QIII", ntp, 1, 2, 3) + b"".join(blocks)


def test_each_leg_has_its_turn_once_in_five_seconds() -> None:
    rig = Rig()
    for slot in range(40):
        rig.add(slot)
    found = one_round(rig)
    assert sorted(found) == list(range(40))
    assert max(len(rtcp.due(tick, 40)) for tick in range(EVERY)) == 40 // rtcp.TURNS
    assert rig.count("rtcp_tx") == 40


def test_leg_that_is_sent_to_gets_a_sender_report() -> None:
    """The RTP timestamp is that of the frame sent at the wall clock told beside it."""
    rig = Rig()
    rig.add(0, group=1)
    rig.tick()
    seen = reports(rig)[0]
    assert seen.kinds == [200, 202]
    assert (seen.ssrc, seen.packets, seen.octets) == (ssrc_of(rig, 0), 1, FRAME)
    assert seen.rtp_ts == 1_000
    assert seen.ntp == (1_790_000_000 + 2_208_988_800) % 2**32 << 32 | 1 << 30
    assert seen.cname == "0" * 16 + f"{int(rig.plane.out.ssrc[0]).to_bytes(4, 'little').hex()}"
    assert seen.blocks == []


def test_leg_that_hears_nothing_gets_a_receiver_report_with_its_loss() -> None:
    rig = Rig()
    rig.add(0, hears=False)
    rig.add(1)
    one_round(rig, speaking=(0, 1), lose=4)
    found = one_round(rig, speaking=(0, 1), lose=4)
    assert found[0].kinds == [201, 202]
    assert found[1].kinds == [200, 202]
    for leg in (0, 1):
        [about] = found[leg].blocks
        assert about.ssrc == 1
        assert about.fraction in (63, 64, 65)
        assert about.highest >= 250
        assert abs(about.lost - about.highest / 4) <= 1
        assert about.jitter == 0


def test_block_says_when_the_last_sender_report_came() -> None:
    rig = Rig()
    rig.add(0)
    rig.tick(rig.packet(0, 1, bytes(FRAME)))
    take(rig, (sr(1, 0x1111_2222_3333_4444), at(0), 0), arrived_ns=WALL_NS - 500 * NS_PER_MS)
    [about] = reports(rig)[0].blocks
    assert (about.lsr, about.dlsr) == (0x2222_3333, 32_768)


def test_round_trip_is_what_is_left_after_the_other_sides_delay() -> None:
    rig = Rig()
    rig.add(0)
    rig.tick()
    sent = reports(rig)[0].ntp >> 16 & 0xFFFF_FFFF
    ours = ssrc_of(rig, 0)
    answer = rr(5, block(1), block(ours, fraction=64, lost=-3, lsr=sent, dlsr=65_536))
    take(rig, (answer, at(0), 0), arrived_ns=WALL_NS + 1_125 * NS_PER_MS)
    state = rig.plane.reports
    assert state.rtt_ns[0] == 125 * NS_PER_MS
    assert (state.far_fraction[0], state.far_lost[0], state.far_jitter[0]) == (64, -3, 33)
    take(rig, (rr(5, block(ours, lsr=sent, dlsr=9 << 16)), at(0), 0))
    assert state.rtt_ns[0] == 0, "clocks that are a little off: never negative"
    take(rig, (rr(5, block(ours)), at(0), 0))
    assert state.rtt_ns[0] == 0, "without an SR of ours there is nothing to measure"


def test_sender_is_known_by_address_or_by_stream_and_host() -> None:
    rig = Rig()
    for slot in range(3):
        rig.add(slot)
    rig.tick(rig.packet(1, 0, bytes(FRAME), ssrc=77))
    ours = ssrc_of(rig, 1)
    take(rig, (rr(struct.unpack("<I", struct.pack("!I", 5))[0], block(ours, lost=1)), at(1), 0))
    assert rig.plane.reports.far_lost[1] == 1
    take(rig, (rr(77, block(ours, lost=2)), at(1, 9_000), 0))
    assert rig.plane.reports.far_lost[1] == 2
    for stranger in (rr(77, block(ours, lost=3)), rr(78, block(ours, lost=3))):
        take(rig, (stranger, at(2, 9_000), 0))
    assert rig.plane.reports.far_lost[1] == 2
    assert rig.count("rtcp_unknown") == 2


def test_before_anybody_is_heard_strangers_are_strangers() -> None:
    rig = Rig()
    take(rig, (rr(1), at(0), 0))
    assert rig.count("rtcp_unknown") == 1


def test_new_leg_knows_nothing_of_the_last() -> None:
    rig = Rig()
    rig.add(0)
    take(rig, (sr(1, 2**40, block(ssrc_of(rig, 0), fraction=9, lsr=1)), at(0), 0))
    rig.plane.close_leg(0)
    rig.add(0)
    state = rig.plane.reports
    assert (state.sr_stamp[0], state.rtt_ns[0], state.far_fraction[0]) == (0, -1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\x80\xc9\x00\x00",
        b"\x80\xc9\x00\x01",
        rr(1)[:-1],
        b"\x40" + rr(1)[1:],
        b"\xa0" + rr(1)[1:],
        b"\x80\xca" + rr(1)[2:],
        rr(1) + b"\x80\xc7\x00\x00",
        rr(1) + b"\x00\xca\x00\x00",
        rr(1) + b"\x80\xca\x00\x05",
        rr(1) * (rtcp.SUBPACKETS_MAX + 1),
        bytes([0x80, 201, 0xFF, 0xFF]) + bytes(20),
    ],
)
def test_unsound_compounds_are_counted_and_left_out(wrong: bytes) -> None:
    rig = Rig()
    rig.add(0)
    take(rig, (wrong, at(0), 0))
    assert rig.count("rtcp_bad") == 1
    assert read(wrong, subpackets_max=rtcp.SUBPACKETS_MAX) is None


def test_any_compound_is_read_as_the_scalar_twin_reads_it() -> None:
    rng = np.random.default_rng(6)
    rig = Rig()
    for slot in range(8):
        rig.add(slot)
    ours = [ssrc_of(rig, slot) for slot in range(8)]
    for _ in range(400):
        slot = int(rng.integers(8))
        parts = [
            block(ours[slot] if rng.random() < 0.5 else 4, fraction=f, lost=f - 99, lsr=f << 16)
            for f in rng.integers(0, 256, int(rng.integers(0, 4))).tolist()
        ]
        body = sr(1, int(rng.integers(2**62)), *parts) if rng.random() < 0.5 else rr(1, *parts)
        body += b"".join(rr(1, block(ours[slot], fraction=7)) for _ in range(rng.integers(0, 3)))
        if rng.random() < 0.5:
            mangled = bytearray(body)
            mangled[rng.integers(len(body))] ^= 1 << rng.integers(8)
            body = bytes(mangled[: rng.integers(len(body) + 1)] if rng.random() < 0.3 else mangled)
        body = body[: ROW_BYTES - HEADER_AT]
        before = rig.count("rtcp_bad")
        take(rig, (body, at(slot), 0))
        seen = read(body, subpackets_max=rtcp.SUBPACKETS_MAX)
        assert (rig.count("rtcp_bad") == before) == (seen is not None)
        about = [b for b in seen.blocks if b.ssrc == ours[slot]] if seen else []
        state = rig.plane.reports
        if seen and 200 in seen.kinds and seen.ntp:
            assert state.sr_stamp[slot] == seen.ntp >> 16 & 0xFFFF_FFFF
        if about:
            assert state.far_fraction[slot] == about[-1].fraction
            assert state.far_lost[slot] == about[-1].lost
            assert state.far_jitter[slot] == about[-1].jitter


def test_neighbouring_ports_wrap_and_keep_the_host() -> None:
    odd = np.array([source_of("10.1.2.3", 4_095), source_of("10.1.2.3", 65_535)], np.uint64)
    up = rtcp.neighbour(odd, 1)
    assert int(up[0]) == source_of("10.1.2.3", 4_096)
    assert rtcp.neighbour(up, -1).tolist() == odd.tolist()
