"""RFC 4733 keys, against the scalar twin and rule by rule."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import dtmf, rtp
from bridge.media.dtmf import Key
from tests.bridge.media.rig import Rig, coded, packets_of, tone
from tests.oracle.dtmf_scalar import Listener

LEGS = 6


def take(
    events: dtmf.Events,
    arrivals: list[tuple[int, int, bytes]],
    *,
    tick: int,
    rate: NDArray[np.int64] | None = None,
) -> tuple[list[Key], rtp.Counters]:
    """Take event packets of (slot, ts, body)."""
    counters = rtp.Counters()
    head = struct.pack("!BBH", 0x80, 101, 0)
    bodies = [head + struct.pack("!II", ts, 1) + body for _, ts, body in arrivals]
    packets = packets_of([(body, 1, 0) for body in bodies])
    heads = rtp.parse(packets, counters)
    slot = np.array([slot for slot, _, _ in arrivals], np.int64)
    keys = dtmf.take(events, heads, slot, packets.data, tick=tick, counters=counters, rate=rate)
    return keys, counters


def body(code: int, duration: int, *, end: bool = False) -> bytes:
    return struct.pack("!BBH", code, 0x80 * end | 10, duration)


@pytest.mark.parametrize("seed", range(4))
def test_random_events_are_reported_as_by_the_scalar_twin(seed: int) -> None:
    """Presses with lost, doubled and reordered packets, over the wrap of timestamps."""
    rng = np.random.default_rng(seed)
    events = dtmf.Events.of(LEGS)
    twins = [Listener() for _ in range(LEGS)]
    said: list[tuple[int, str]] = []
    expected: list[tuple[int, str]] = []
    ts = (2**32 - 50_000 + rng.integers(0, 9_000, LEGS)).tolist()
    script: list[tuple[int, int, int, int, int, bool]] = []  # tick, slot, ts, code, dur, end
    for slot in range(LEGS):
        at = 0
        for _ in range(25):
            at += int(rng.integers(1, 40))
            ts[slot] += int(rng.integers(2_000, 9_000))
            code = int(rng.integers(0, 16))
            for n in range(1, 5):
                script.append((at + n, slot, ts[slot] % 2**32, code, 160 * n, False))
            ends = [(at + 5, slot, ts[slot] % 2**32, code, 800, True)] * 3
            script += ends
    script = [line for line in script if rng.random() > 0.45]
    for tick in range(max(line[0] for line in script) + 30):
        now = [line for line in script if line[0] == tick]
        rng.shuffle(now)
        arrivals = [(s, stamp, body(c, d, end=e)) for _, s, stamp, c, d, e in now]
        keys, _ = take(events, arrivals, tick=tick)
        said += [(key.slot, key.key) for key in keys]
        said += [(key.slot, key.key) for key in dtmf.time_out(events, LEGS, tick=tick)]
        for slot, twin in enumerate(twins):
            mine = sorted(
                (line for line in now if line[1] == slot),
                key=lambda line: ((line[2] - (2**32 - 60_000)) % 2**32, line[5]),
            )
            for _, _, stamp, code, duration, end in mine:
                expected += [(slot, k) for k in twin.hear(stamp, code, duration, end, tick)]
            expected += [(slot, k) for k in twin.time_out(tick, dtmf.LOST_END_TICKS)]
    for slot in range(LEGS):
        assert [k for s, k in said if s == slot] == [k for s, k in expected if s == slot], slot
    assert len(said) > 100


def test_every_key_has_its_code() -> None:
    events = dtmf.Events.of(LEGS)
    pressed = ""
    for code in range(16):
        keys, _ = take(events, [(0, 1_000 * code, body(code, 400, end=True))], tick=code)
        pressed += "".join(key.key for key in keys)
    assert pressed == "0123456789*#ABCD"


def test_event_is_told_once_however_often_its_end_comes() -> None:
    events = dtmf.Events.of(LEGS)
    keys, _ = take(events, [(2, 800, body(5, 160)), (2, 800, body(5, 320))], tick=0)
    assert keys == []
    keys, _ = take(events, [(2, 800, body(5, 480, end=True))] * 3, tick=1)
    assert keys == [Key(2, "5", 60)]
    for tick in (2, 3):
        assert take(events, [(2, 800, body(5, 480, end=True))], tick=tick)[0] == []
    assert dtmf.time_out(events, LEGS, tick=500) == []


def test_lost_end_times_out() -> None:
    events = dtmf.Events.of(LEGS)
    take(events, [(1, 800, body(11, 320))], tick=10)
    assert dtmf.time_out(events, LEGS, tick=10 + dtmf.LOST_END_TICKS) == []
    assert dtmf.time_out(events, LEGS, tick=11 + dtmf.LOST_END_TICKS) == [Key(1, "#", 40)]
    assert take(events, [(1, 800, body(11, 800, end=True))], tick=40)[0] == []


def test_same_key_twice_is_two_events() -> None:
    events = dtmf.Events.of(LEGS)
    arrivals = [(0, 800, body(1, 160)), (0, 4_000, body(1, 160, end=True))]
    keys, _ = take(events, arrivals, tick=0)
    assert keys == [Key(0, "1", 20), Key(0, "1", 20)]


@pytest.mark.parametrize(("rate", "steps"), [(None, 65_535), (6, 10_922), (6, 10_923), (2, 32_767)])
def test_a_key_held_for_longer_than_a_packet_can_say_is_one_key(
    rate: int | None, steps: int
) -> None:
    """RFC 4733 §2.5.1.3: the next segment's timestamp is where the one before is full."""
    events = dtmf.Events.of(LEGS)
    rates = None if rate is None else np.full(LEGS, rate)
    each = rate or 1
    first, ts = 2**32 - 20_000, 2**32 - 20_000
    for tick in range(3):  # three segments, on and on
        for duration in (160, 0xFFFF):
            assert take(events, [(3, ts, body(1, duration))], tick=tick, rate=rates)[0] == []
        ts = (ts + steps) % 2**32
    assert take(events, [(3, ts, body(1, 80 * each))], tick=4, rate=rates)[0] == []
    keys, _ = take(events, [(3, ts, body(1, 800 * each, end=True))], tick=5, rate=rates)
    assert keys == [Key(3, "1", ((ts - first) % 2**32 + 800) // 8)]
    other = (ts + 1_000) % 2**32
    keys, _ = take(events, [(3, other, body(1, 800 * each, end=True))], tick=6, rate=rates)
    assert keys == [Key(3, "1", 100)]


def test_another_key_at_the_end_of_a_segment_is_another_key() -> None:
    events = dtmf.Events.of(LEGS)
    take(events, [(0, 0, body(1, 0xFFFF))], tick=0)
    keys, _ = take(events, [(0, 0xFFFF, body(2, 160))], tick=1)
    assert keys == [Key(0, "1", 8_191)]


def test_bad_events_are_counted() -> None:
    events = dtmf.Events.of(LEGS)
    keys, counters = take(events, [(0, 1, b"\x01\x8a\x01"), (0, 2, body(16, 9, end=True))], tick=0)
    assert keys == []
    assert counters.totals == {"bad_event": 2}


def test_flood_of_events_is_bounded() -> None:
    events = dtmf.Events.of(LEGS)
    flood = [(3, 1_000 * n, body(n % 16, 100, end=True)) for n in range(40)]
    keys, counters = take(events, flood, tick=0)
    assert len(keys) == dtmf.EVENTS_PER_TICK
    assert counters.totals == {"event_overflow": 40 - dtmf.EVENTS_PER_TICK}


def test_audio_beneath_a_key_is_not_heard_by_others() -> None:
    """The caller's phone sends the tone in its audio, too; it stops before it is mixed."""
    rig = Rig()
    rig.add(0, group=1)
    rig.add(1, group=1)
    heard = []
    for n in range(40):
        packets = [rig.packet(0, n, coded(tone(700, n)))]
        if 10 <= n < 20:
            packets.append(rig.event(0, 5, ts=10 * 160, duration=(n - 9) * 160, end=n == 19))
        rig.tick(*packets)
        heard.append(int(np.abs(rig.heard(1)).max()))
    assert min(heard[2:10]) > 5_000
    assert max(heard[10:22]) == 0
    assert min(heard[26:]) > 5_000


def test_key_at_any_moment_mutes_until_its_audio_has_been_played() -> None:
    events = dtmf.Events.of(LEGS)
    take(events, [(4, 8_000, body(3, 1_600))], tick=100)
    play_ts = np.full(LEGS, 8_000, np.uint32)
    dtmf.mute(events, np.array([4]), play_ts, tick=100)
    assert events.mute_until.tolist() == [0, 0, 0, 0, 110 + dtmf.MUTE_TICKS, 0]
