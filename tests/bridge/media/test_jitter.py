"""The jitter buffer against its scalar twin, and the rules it follows."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import g711, jitter, rtp
from bridge.media.shape import CELLS, FRAME, PCMU
from tests.bridge.media.rig import packets_of
from tests.oracle.jitter_scalar import Buffer

LEGS = 8


def datagram(seq: int, ts: int, ssrc: int, codes: bytes) -> bytes:
    head = bytes([0x80, 0]) + (seq & 0xFFFF).to_bytes(2, "big")
    return head + (ts & 0xFFFF_FFFF).to_bytes(4, "big") + ssrc.to_bytes(4, "big") + codes


class Both:
    """The array buffer of several legs and a scalar twin of each, fed the same."""

    def __init__(self) -> None:
        self.state = jitter.Jitter.of(LEGS)
        self.twins = [Buffer() for _ in range(LEGS)]
        self.counters = rtp.Counters()
        self.tick_no = 0

    def insert(self, arrivals: list[tuple[int, bytes]], waits: list[int] | None = None) -> None:
        """Insert packets of (slot, datagram), in order; rounds as the plane makes them.

        `waits` says of each how long before the tick it came, in samples.
        """
        waits = [0] * len(arrivals) if waits is None else waits
        waiting = [(slot, body, was) for (slot, body), was in zip(arrivals, waits, strict=True)]
        while waiting:
            seen: set[int] = set()
            turn: list[tuple[int, bytes, int]] = []
            later: list[tuple[int, bytes, int]] = []
            for slot, body, was in waiting:
                (later if slot in seen else turn).append((slot, body, was))
                seen.add(slot)
            packets = packets_of([(body, 1, 0) for _, body, _ in turn])
            heads = rtp.parse(packets, rtp.Counters())
            heads.waits = np.array([was for _, _, was in turn], np.int32)
            jitter.insert(
                self.state,
                heads,
                np.array([slot for slot, _, _ in turn], np.int64),
                packets.data,
                codec=np.zeros(len(turn), np.uint8),
                counters=self.counters,
            )
            for slot, body, was in turn:
                samples = g711.DECODE[PCMU][np.frombuffer(body[12:], np.uint8)].tolist()
                ts = int.from_bytes(body[4:8], "big")
                self.twins[slot].insert(ts, body[8:12], samples, waits=was)
            waiting = later

    def tick(self) -> list[list[int | None] | None]:
        """Play a tick on both, compare, and return the frames received."""
        played = jitter.playout(self.state, LEGS)
        kept = np.setdiff1d(played.made_up, played.holds)
        jitter.keep(self.state, kept, np.zeros((len(kept), FRAME), np.int16))
        frames: list[list[int | None] | None] = []
        resumed = dict(zip(played.resumed.tolist(), played.resumed_run.tolist(), strict=True))
        silence = len(self.state.stamp)
        for slot, twin in enumerate(self.twins):
            expected = twin.tick(self.tick_no, slot)
            cell = int(played.cell[slot])
            got = self.state.ring[cell].tolist() if cell != silence else None
            holes = got is not None and jitter.MISSING in got
            assert not holes or slot in played.patched
            frame = None if got is None else [None if s == jitter.MISSING else s for s in got]
            where = f"slot {slot}, tick {self.tick_no}"
            assert frame == expected.frame, where
            assert (slot in played.made_up) == expected.made_up, where
            assert (slot in played.holds) == expected.held, where
            assert resumed.get(slot, 0) == expected.resumed, where
            assert (slot in played.merged) == expected.merged, where
            frames.append(frame)
        jitter.advance(self.state, LEGS, played, tick=self.tick_no)
        for slot, twin in enumerate(self.twins):
            if twin.started:
                assert self.state.play_ts[slot] == twin.play_ts, f"slot {slot}"
        self.tick_no += 1
        return frames

    def check_counts(self) -> None:
        total = sum((Counter(twin.counts) for twin in self.twins), Counter())
        assert self.counters.totals == dict(total)


def random_codes(rng: np.random.Generator, size: int, *, quiet: bool) -> bytes:
    codes = rng.integers(0, 256, size).astype(np.uint8)
    return bytes((codes | 0x70 if quiet else codes).tobytes())


@pytest.mark.parametrize("seed", range(6))
def test_random_streams_play_as_in_the_scalar_twin(seed: int) -> None:
    """Loss, jitter, duplicates, ptimes, bursts, jumps, pauses, new streams, drift."""
    rng = np.random.default_rng(seed)
    both = Both()
    ptimes = [80, 160, 160, 240, 320, 480, 120, 160]
    clocks = [1.0, 1.0, 1.002, 1.0, 0.998, 1.0, 1.0, 1.0]
    ts = rng.integers(0, 2**32, LEGS).tolist()
    ssrc = list(range(1, LEGS + 1))
    due = rng.random(LEGS).tolist()
    on_way: list[tuple[float, int, bytes]] = []
    for tick in range(900):
        for slot in range(LEGS):
            while due[slot] <= tick:
                size = ptimes[slot]
                body = datagram(
                    0, ts[slot], ssrc[slot], random_codes(rng, size, quiet=tick % 90 > 60)
                )
                late = float(rng.random() * (2.5 if slot % 2 else 0.4))
                for _ in range(1 + (rng.random() < 0.03)):
                    if rng.random() > 0.05:
                        on_way.append((due[slot] + late, slot, body))
                ts[slot] = (ts[slot] + size) % 2**32
                due[slot] += size / FRAME * clocks[slot]
                if rng.random() < 0.003:
                    ts[slot] = (ts[slot] + int(rng.choice([4_000, 90_000, -90_000, 77]))) % 2**32
                if rng.random() < 0.003:
                    due[slot] += float(rng.random() * 12)
                if rng.random() < 0.002:
                    ssrc[slot] += 100
        now = sorted(item for item in on_way if item[0] <= tick)
        on_way = [item for item in on_way if item[0] > tick]
        waits = [min(round((tick - at) * FRAME), FRAME) for at, *_ in now]
        both.insert([(slot, body) for _, slot, body in now], waits)
        both.tick()
    both.check_counts()
    names = {"late", "pulled_back", "resync", "duplicate"}
    assert names <= set(both.counters.totals)


class Stream:
    """One leg, slot 0: sends numbered frames and says what was played."""

    def __init__(self) -> None:
        self.both = Both()
        self.codes = [random_codes(np.random.default_rng(n), FRAME, quiet=True) for n in range(900)]

    def tick(self, *numbers: int) -> int | None:
        """Receive these frames, then play; return the number of the frame played."""
        self.both.insert([(0, datagram(n, n * FRAME, 9, self.codes[n])) for n in numbers])
        return self.number(self.both.tick()[0])

    def number(self, frame: list[int | None] | None) -> int | None:
        decoded = [g711.DECODE[PCMU][np.frombuffer(c, np.uint8)].tolist() for c in self.codes[:60]]
        return None if frame is None else decoded.index(frame)


def test_first_packet_waits_one_tick() -> None:
    stream = Stream()
    assert [stream.tick(n) for n in range(4)] == [None, 0, 1, 2]


def test_reordered_and_duplicate_packets_play_once_in_order() -> None:
    stream = Stream()
    got = [stream.tick(*some) for some in ([0], [2, 1], [1, 2], [4, 3], [5], [6])]
    assert got == [None, 0, 1, 2, 3, 4]
    assert stream.both.counters.totals["duplicate"] == 2
    assert "late" not in stream.both.counters.totals


def test_packet_that_comes_late_makes_the_leg_wait_and_nothing_is_lost() -> None:
    stream = Stream()
    got = [stream.tick(*some) for some in ([0], [1], [], [], [2, 3], [4], [5])]
    assert got == [None, 0, 1, None, 2, 3, 4]
    assert stream.both.counters.totals == {"pulled_back": 1}


def test_late_packet_is_counted_not_played() -> None:
    """Frame 2 comes when 3 has been played: it is left out, and the leg waits two ticks more."""
    stream = Stream()
    got = [stream.tick(*some) for some in ([0], [1], [3], [4], [5], [6, 2], [7], [8], [9])]
    assert got == [None, 0, 1, None, 3, None, None, 4, 5]
    assert stream.both.counters.totals["late"] == 1
    assert stream.both.state.late.tolist() == [1, *[0] * (LEGS - 1)]
    stream.both.state.open_leg(0)
    assert not stream.both.state.late.any(), "the next leg in this row begins at nought"


def test_lost_packet_is_made_up_and_the_next_comes_in_time() -> None:
    stream = Stream()
    assert [stream.tick(*some) for some in ([0], [1], [], [3], [4])] == [None, 0, 1, None, 3]


def test_pause_costs_nothing() -> None:
    """Silence suppression: the timestamps go on, the stream resumes on time."""
    stream = Stream()
    for n in range(4):
        stream.tick(n)
    for _ in range(30):
        stream.tick()
    assert [stream.tick(n) for n in range(34, 38)] == [None, 34, 35, 36]


@pytest.mark.parametrize("jump", [FRAME * (CELLS + 5), -FRAME * 60, 2**31 - 5, 123_457])
def test_timestamp_jump_starts_anew(jump: int) -> None:
    both = Both()
    codes = random_codes(np.random.default_rng(0), FRAME, quiet=False)
    for n in range(5):
        both.insert([(0, datagram(n, n * FRAME, 9, codes))])
        both.tick()
    for n in range(5, 10):
        both.insert([(0, datagram(n, n * FRAME + jump, 9, codes))])
        frame = both.tick()[0]
        assert (frame is None) == (n == 5)
    assert both.counters.totals == {"resync": 1}


@pytest.mark.parametrize(("waits", "frames"), [(0, 1), (135, 1), (136, 0), (160, 0)])
def test_a_stream_whose_packets_come_just_after_a_tick_waits_for_the_next_alone(
    waits: int, frames: int
) -> None:
    """And keeps to it: no wish for another frame follows, and none to take one out."""
    both = Both()
    for n in range(3 * jitter.WINDOW):
        moved = (n % 3 - 1) * 40 if waits else 0  # 5 ms to and fro, but for the first
        came = min(max(waits + moved * (n > 0), 0), FRAME)
        both.insert([(0, datagram(n, n * FRAME, 9, LOUD))], [came])
        assert both.state.play_ts[0] == (n - frames) * FRAME % 2**32
        both.tick()
    assert both.state.wish[0] == 0
    assert not both.counters.totals


def test_packets_that_are_early_no_more_make_the_stream_wait_longer() -> None:
    """In silence, a window after; before, nothing is lost."""
    both = Both()
    for n in range(3 * jitter.WINDOW):
        waits = 140 if n < 5 else jitter.WAITS_MIN - 1
        both.insert([(0, datagram(n, n * FRAME, 9, b"\xff" * FRAME))], [waits])
        both.tick()
    assert n * FRAME - int(both.state.play_ts[0]) == 0  # one frame waits, as in any stream


@pytest.mark.parametrize("ppm", [-200, 200])
def test_drift_is_absorbed_without_growing_delay(ppm: int) -> None:
    """Five minutes: 60 ms of drift, in a talker who pauses now and then."""
    both = Both()
    sent, played, slacks = 0, 0, []
    for tick in range(15_000):
        due = int((tick + 0.5) * (1 + ppm * 1e-6))
        arrivals = []
        while sent <= due:
            quiet = sent % 100 < 20
            arrivals.append(
                (0, datagram(sent, sent * FRAME, 9, b"\xff" * FRAME if quiet else LOUD))
            )
            sent += 1
        both.insert(arrivals)
        slacks.append(sent - int(both.state.play_ts[0]) // FRAME)
        played += both.tick()[0] is not None
    assert max(slacks[10:]) <= 4
    assert min(slacks[10:]) >= 1
    assert played >= 15_000 - 20
    assert "resync" not in both.counters.totals


LOUD = bytes(np.tile(np.array([0x10, 0x90], np.uint8), FRAME // 2).tobytes())


def test_frame_is_taken_out_by_force_when_it_is_never_silent() -> None:
    both = Both()
    merged = 0
    ahead = 4  # from the first tick on, packets come four frames earlier than they need to
    both.insert([(0, datagram(0, 0, 9, LOUD))])
    both.tick()
    for tick in range(1, 1_800):
        burst = range(1, ahead + 1) if tick == 1 else [tick + ahead - 1]
        both.insert([(0, datagram(n, n * FRAME, 9, LOUD)) for n in burst])
        before = int(both.state.play_ts[0])
        both.tick()
        merged += (int(both.state.play_ts[0]) - before) // FRAME == 2
    assert merged >= 1


def test_history_is_what_was_played_before_the_gap() -> None:
    stream = Stream()
    for n in range(6):
        stream.tick(n)
    state = stream.both.state
    stream.tick()  # plays 5
    stream.tick()  # nothing: the gap begins
    past: NDArray[np.float32] = jitter.history(state, np.array([0]))
    wanted = [g711.DECODE[PCMU][np.frombuffer(stream.codes[n], np.uint8)] for n in (3, 4, 5)]
    assert (past[0] == np.concatenate(wanted)).all()


def test_own_row_is_kept_once_given() -> None:
    stream = Stream()
    stream.tick(0)
    stream.both.insert([(0, datagram(1, FRAME, 9, stream.codes[1]))])
    state = stream.both.state
    played = jitter.playout(state, LEGS)
    before = state.ring[played.cell[0]].copy()
    row = jitter.own(state, played, np.array([0]))
    assert (state.ring[row[0]] == before).all()
    state.ring[row[0]] = 7
    again = jitter.own(state, played, np.array([0]))
    assert again.tolist() == row.tolist()
    assert (state.ring[again[0]] == 7).all()


def test_skipped_ticks_pass_over_what_they_would_have_played() -> None:
    stream = Stream()
    for n in range(5):
        stream.tick(n)
    stream.both.insert([(0, datagram(n, n * FRAME, 9, stream.codes[n])) for n in (5, 6, 7)])
    jitter.skip(stream.both.state, LEGS, 2)
    stream.both.twins[0].play_ts += 2 * FRAME
    assert stream.tick() == 6
