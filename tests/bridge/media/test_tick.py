"""The plane tick by tick, without sockets: who hears whom, and what is counted."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media.rtp import ROUNDS_MAX
from bridge.media.shape import FRAME
from bridge.media.sources import source_of
from bridge.media.tick import LATCHES_MAX, SILENCE_EVERY
from bridge.units import FRAME_NS
from tests.bridge.media.rig import EVENT, Datagram, Rig, coded, tone


def conference(*, codecs: tuple[str, ...] = ("PCMU", "PCMU", "PCMA")) -> Rig:
    rig = Rig()
    for slot, codec in enumerate(codecs):
        rig.add(slot, codec, group=5)
    return rig


def said(rig: Rig, n: int, slots: tuple[int, ...] = (0, 1, 2)) -> list[Datagram]:
    return [
        rig.packet(slot, n, coded(tone(500 + 200 * slot, n), rig.codec[slot])) for slot in slots
    ]


def level(samples: NDArray[np.int16], hertz: float) -> float:
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / 8_000)
    return float(2 * abs((samples * turn).mean()))


def test_everybody_hears_the_others_and_not_himself() -> None:
    rig = conference()
    heard: dict[int, list[NDArray[np.int16]]] = {0: [], 1: [], 2: []}
    for n in range(30):
        rig.tick(*said(rig, n))
        for slot, frames in heard.items():
            frames.append(rig.heard(slot))
    for slot, frames in heard.items():
        whole = np.concatenate(frames[5:25])
        for other in range(3):
            tones = level(whole, 500 + 200 * other)
            assert tones < 120 if other == slot else tones > 7_000, (slot, other)


def test_one_talker_passes_bit_exact_through_the_plane() -> None:
    """Every code, in order, from the first packet on; also through a buffer that waits longer."""
    rig = conference(codecs=("PCMU", "PCMU"))
    rng = np.random.default_rng(8)
    sent = [rng.bytes(FRAME) for _ in range(50)]
    got = b""
    for n, payload in enumerate(sent):
        rig.tick(rig.packet(0, n, payload))
        got += rig.payload(1)
    rig.tick()
    assert got[FRAME:] == b"".join(sent[:-1])


@pytest.mark.parametrize("size", [80, 160, 240, 320, 400, 480, 120])
def test_any_ptime_passes_bit_exact(size: int) -> None:
    rig = conference(codecs=("PCMA", "PCMA"))
    rng = np.random.default_rng(size)
    stream = rng.bytes(size * 60)
    got, sent = b"", 0
    for tick in range(60 * size // FRAME - 4):
        packets = []
        while sent * size <= tick * FRAME:
            payload = stream[sent * size : (sent + 1) * size]
            packets.append(rig.packet(0, sent, payload, ts=sent * size))
            sent += 1
        rig.tick(*packets)
        got += rig.payload(1)
    found = got.find(stream[:FRAME])
    assert 0 <= found <= 2 * FRAME
    assert got[found:] == stream[: len(got) - found]


def test_odd_packets_of_one_leg_leave_the_others_alone() -> None:
    rig = conference()
    for n in range(6):
        halves = [
            rig.packet(2, 0, coded(np.full(80, 999, np.int16), "PCMA"), ts=160 * n + at)
            for at in (0, 80)
        ]
        rig.tick(*said(rig, n, (0, 1)), *halves)
    assert np.abs(rig.heard(2)).max() > 10_000
    assert "late" not in rig.plane.counters.totals


def test_half_received_frame_is_filled_with_made_up_samples() -> None:
    rig = conference(codecs=("PCMU", "PCMU"))
    level_ = coded(np.full(80, 4_000, np.int16))
    for n in range(20):
        halves = [rig.packet(0, 0, level_, ts=160 * n + at) for at in (0, 80)]
        rig.tick(*(halves[:1] if n in (8, 9) else halves))
        if n > 2:
            assert np.abs(rig.heard(1) - 4_000).max() < 200
    assert rig.count("patched") == 2


def test_d3_outside_any_group_there_is_no_energy_either_way() -> None:
    rig = conference()
    rig.add(3)
    rig.add(4, "PCMA")
    rng = np.random.default_rng(1)
    for n in range(20):
        loud = [rig.packet(slot, n, rng.bytes(FRAME)) for slot in (3, 4)]
        rig.tick(*said(rig, n, (0,)), *loud)
        assert set(rig.payload(3)) == {0xFF}
        assert set(rig.payload(4)) == {0xD5}
        assert set(rig.payload(0)) == {0xFF}
        if n:
            assert rig.payload(1) == coded(tone(500, n - 1))


def test_leg_that_leaves_its_group_is_out_with_the_next_tick() -> None:
    rig = conference()
    for n in range(4):
        rig.tick(*said(rig, n))
    rig.plane.set_group(0, -1)
    rig.tick(*said(rig, 4))
    assert set(rig.payload(0)) == {0xFF}
    assert level(rig.heard(1), 500) < 400


def test_muted_leg_hears_and_is_not_heard() -> None:
    rig = conference()
    rig.plane.muted[0] = True
    for n in range(6):
        rig.tick(*said(rig, n, (0, 1)))
    assert rig.payload(0) == coded(tone(700, 4))
    assert set(rig.payload(1)) == {0xFF}


def test_lost_frames_are_made_up_and_joined() -> None:
    rig = conference(codecs=("PCMU", "PCMU"))
    heard = []
    for n in range(40):
        rig.tick(*([] if n in (20, 21) else said(rig, n, (0,))))
        heard.append(rig.heard(1))
    assert rig.count("concealed") == 2
    levels = [level(frame, 500) for frame in heard]
    assert min(levels[2:]) > 4_000
    whole = np.concatenate(heard[2:]).astype(np.int64)
    assert np.abs(np.diff(whole)).max() < 5_500, "no click: the tone itself steps 3,100"


def test_leg_that_falls_silent_is_silent_after_60_ms() -> None:
    rig = conference(codecs=("PCMU", "PCMU"))
    for n in range(10):
        rig.tick(*said(rig, n, (0,)))
    heard = []
    for _ in range(6):
        rig.tick()
        heard.append(int(np.abs(rig.heard(1)).max()))
    assert heard[0] > 5_000
    assert heard[4:] == [0, 0]
    assert rig.count("concealed") == 3


def test_late_packet_makes_room_and_a_merge_takes_it_back() -> None:
    """Jitter comes and goes: the leg waits longer, then shorter again, unheard in silence."""
    rig = conference(codecs=("PCMU", "PCMU"))
    quiet = coded(np.full(FRAME, 20, np.int16))
    for n in range(1_200):
        burst = 10 <= n < 20
        arrivals = [] if burst else [n]
        if n == 20:
            arrivals = list(range(10, 21))
        rig.tick(*[rig.packet(0, k, quiet) for k in arrivals])
    behind = int(rig.plane.jitter.play_ts[0]) // FRAME
    assert rig.count("pulled_back") + rig.count("late") > 0
    assert 1_199 - behind < 10


def test_burst_of_one_leg_is_bounded() -> None:
    rig = conference()
    rig.tick(*[rig.packet(0, n, bytes(FRAME)) for n in range(ROUNDS_MAX + 7)])
    assert rig.count("burst") == 7


# --- sources --------------------------------------------------------------------------------


def test_strangers_are_counted() -> None:
    rig = conference()
    rig.tick(rig.packet(0, 0, bytes(FRAME), source=source_of("10.9.9.9", 5)))
    assert rig.count("unknown_source") == 1


def test_broken_packets_cost_the_others_nothing() -> None:
    rig = conference()
    for n in range(4):
        stranger = rig.packet(0, n, bytes(FRAME), source=source_of("10.9.9.9", 5))
        rig.tick((b"\x80\x00", rig.source(1), 0), stranger, *said(rig, n))
    assert rig.count("short") == 4
    assert rig.count("unknown_source") == 4
    assert level(rig.heard(0), 700) > 7_000


def test_wrong_types_are_counted_by_name() -> None:
    rig = conference()
    rig.plane.open_leg(3, port=0, expected=rig.source(3), numbers=(1, 2, 3), now_ns=0)
    rig.codec[3] = "PCMU"
    rig.remote(1, events=False)
    rig.tick(
        rig.packet(0, 0, bytes(FRAME), kind=8),
        rig.packet(0, 0, bytes(2), kind=13),
        rig.packet(1, 0, bytes(4), kind=EVENT),
        rig.packet(3, 0, bytes(FRAME)),
    )
    names = ("payload_type", "comfort_noise", "not_ready", "unknown_source")
    assert [rig.count(name) for name in names] == [2, 1, 1, 0]


def test_first_sound_packet_on_its_port_latches_an_unknown_leg() -> None:
    rig = Rig()
    rig.add(0, group=1, named=False, proven=False)
    rig.add(1, group=1)
    here = source_of("172.16.0.5", 6_000)
    rig.tick(rig.packet(0, 0, bytes(FRAME), source=here, kind=96))
    assert 0 not in rig.sent
    for n in range(3):
        rig.tick(rig.packet(0, n, coded(tone(500, n)), source=here))
    assert int(rig.plane.dest[0]) == here
    assert 0 in rig.sent
    assert rig.payload(1) == coded(tone(500, 1))
    rig.tick(rig.packet(0, 3, bytes(FRAME), source=source_of("172.16.0.6", 6_000)))
    assert int(rig.plane.dest[0]) == here
    assert rig.count("unknown_source") == 2


def test_leg_is_not_latched_before_its_remote_is_agreed() -> None:
    rig = Rig()
    rig.plane.open_leg(0, port=0, expected=0, numbers=(1, 2, 3), now_ns=0)
    rig.codec[0] = "PCMU"
    rig.tick(rig.packet(0, 0, bytes(FRAME)))
    assert rig.count("unknown_source") == 1
    assert int(rig.plane.latched[0]) == 0


def test_sdp_address_wins_over_who_was_first() -> None:
    rig = Rig()
    rig.add(0, group=1, proven=False)
    rig.add(1, group=1)
    first = source_of("172.16.0.5", 6_000)
    rig.tick(rig.packet(0, 0, bytes(FRAME), source=first))
    assert int(rig.plane.dest[0]) == first
    rig.tick(rig.packet(0, 1, bytes(FRAME)), rig.packet(0, 2, bytes(FRAME)))
    assert int(rig.plane.dest[0]) == rig.source(0)
    rig.tick(rig.packet(0, 3, bytes(FRAME), source=first))
    assert rig.count("unknown_source") == 1


def test_relatch_takes_a_new_source() -> None:
    rig = Rig()
    rig.add(0, group=1, named=False, proven=False)
    first, second = source_of("172.16.0.5", 6_000), source_of("172.16.0.6", 6_000)
    rig.tick(rig.packet(0, 0, bytes(FRAME), source=first))
    rig.remote(0, named=False, proven=False, relatch=True)
    rig.tick()
    assert rig.sent == {}
    rig.tick(rig.packet(0, 1, bytes(FRAME), source=second))
    assert int(rig.plane.dest[0]) == second


def test_looks_at_strangers_are_bounded() -> None:
    rig = Rig()
    rig.add(0, named=False, proven=False)
    kinds = [96] * LATCHES_MAX + [0]
    flood = [
        rig.packet(0, 0, bytes(FRAME), kind=kind, source=source_of(f"10.7.0.{n + 1}", 4_000))
        for n, kind in enumerate(kinds)
    ]
    rig.tick(*flood)
    assert int(rig.plane.latched[0]) == 0
    rig.tick(flood[-1])
    assert int(rig.plane.latched[0]) != 0


# --- time -----------------------------------------------------------------------------------


def test_silent_leg_is_told_once_with_its_last_packet() -> None:
    """D12; again only after it has spoken again."""
    rig = Rig(silence_ns=10 * FRAME_NS)
    rig.add(0)
    rig.add(1)
    rig.remote(1, sends=False)
    told = []
    for n in range(60):
        packets = said(rig, n, (0,)) if n in (0, 1, 2, 40) else []
        told += rig.tick(*packets).silent
    assert told == [(0, 3 * FRAME_NS), (0, 41 * FRAME_NS)]


@pytest.mark.parametrize(("sends", "hears"), [(False, True), (True, False), (False, False)])
def test_silence_begins_to_count_anew_after_hold(sends: bool, hears: bool) -> None:
    """D12: not while on hold, whether the phone says recvonly, sendonly or inactive."""
    rig = Rig(silence_ns=10 * FRAME_NS)
    rig.add(0)
    rig.remote(0, sends=sends, hears=hears)
    for _ in range(30):
        assert rig.tick().silent == []
    rig.remote(0)
    assert rig.tick().silent == []
    told = []
    for _ in range(9 + SILENCE_EVERY):
        told += rig.tick().silent
    assert told == [(0, 0)]


def test_slot_is_clean_for_its_next_leg() -> None:
    rig = conference()
    for n in range(5):
        rig.tick(*said(rig, n), rig.event(0, 5, ts=0, duration=100))
    rig.plane.muted[0] = True
    rig.plane.plays.start(0, (), token=1, loop=False)
    rig.plane.close_leg(0)
    assert rig.tick().keys == []
    assert set(rig.sent) == {1, 2}
    rig.add(0, group=5)
    result = rig.tick()
    assert result.keys == []
    assert result.played == []
    heads = struct.unpack("!BBHII", rig.sent[0][:12])
    assert heads[1:4] == (0x80, 100, 1_000)
    for n in range(3):
        rig.tick(*said(rig, n, (0,)))
    assert level(rig.heard(1), 500) > 5_000


def test_empty_plane_ticks() -> None:
    rig = Rig()
    result = rig.tick()
    assert rig.sent == {}
    assert result.pieces == []
