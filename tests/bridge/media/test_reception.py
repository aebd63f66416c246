"""Loss and jitter of RFC 3550, against a scalar twin and by hand."""

import numpy as np
from numpy.typing import NDArray

from bridge.media.reception import Reception, clock_of, look, samples_of, update
from bridge.media.rtp import Headers
from tests.oracle.reception_scalar import Source

LEGS = 8


def heads(seq: list[int], ts: list[int], ssrc: list[int]) -> Headers:
    nothing = np.zeros(len(seq), np.int64)
    return Headers(
        nothing,
        nothing.astype(np.uint8),
        np.array(seq).astype(np.uint16),
        np.array(ts).astype(np.uint32),
        np.array(ssrc).astype(np.uint32),
        nothing,
        nothing,
        np.zeros(len(seq), np.bool_),
    )


def one(state: Reception, seq: int, ts: int, arrived: int, *, ssrc: int = 5) -> None:
    update(
        state,
        heads([seq], [ts], [ssrc]),
        np.array([3]),
        arrived=np.array([arrived]).astype(np.uint32),
        audio=np.array([True]),
    )


def said(state: Reception, rows: NDArray[np.int64]) -> list[tuple[int, ...]]:
    seen = look(state, rows)
    columns = (seen.fraction, seen.lost, seen.highest, seen.jitter)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_every_leg_agrees_with_its_scalar_twin_on_any_stream() -> None:
    rng = np.random.default_rng(3550)
    state, twins = Reception.of(LEGS), [Source() for _ in range(LEGS)]
    seq, ssrc = rng.integers(0, 65_536, LEGS), np.arange(LEGS) + 10
    for n in range(6_000):
        rows = np.flatnonzero(rng.random(LEGS) < 0.9)
        seq[rows] += np.where(rng.random(len(rows)) < 0.05, rng.integers(-30, 60, len(rows)), 1)
        seq[rows] += (rng.random(len(rows)) < 0.003) * rng.integers(0, 65_536, len(rows))
        ssrc[rows] += rng.random(len(rows)) < 0.001
        seq %= 65_536
        ts = n * 160 + rng.integers(-40, 40, len(rows)) + 70_000 * (rng.random(len(rows)) < 0.01)
        arrived = n * 160 + rng.integers(0, 200, len(rows))
        audio = rng.random(len(rows)) < 0.95
        wrapped = arrived.astype(np.uint32)
        update(
            state,
            heads(seq[rows].tolist(), (ts % 2**32).tolist(), ssrc[rows].tolist()),
            rows,
            arrived=wrapped,
            audio=audio,
        )
        for k, leg in enumerate(rows.tolist()):
            twins[leg].packet(
                int(seq[leg]),
                int(ts[k]) % 2**32,
                int(ssrc[leg]),
                arrived=int(wrapped[k]),
                audio=bool(audio[k]),
            )
        if n % 250 == 249:
            every = np.arange(LEGS)
            assert said(state, every) == [twin.report() for twin in twins]
            lost = sum(twin.lost_before + max(twin.lost(), 0) for twin in twins)
            assert state.lost() == lost > 0


def test_loss_is_told_since_the_last_report_and_since_the_beginning() -> None:
    state = Reception.of(LEGS)
    for seq in [*range(65_500, 65_536), *range(0, 39), *range(64, 164)]:
        one(state, seq, seq * 160, seq * 160)
    assert said(state, np.array([3])) == [(25 * 256 // 200, 25, 65_536 + 163, 0)]
    for seq in range(164, 264):
        one(state, seq, seq * 160, seq * 160)
    assert said(state, np.array([3])) == [(0, 25, 65_536 + 263, 0)]


def test_duplicates_make_loss_negative_and_its_fraction_zero() -> None:
    state = Reception.of(LEGS)
    for seq in (7, 7, 7):
        one(state, seq, 0, 0)
    assert said(state, np.array([3])) == [(0, -2, 7, 0)]
    assert state.lost() == 0


def test_jitter_is_the_smoothed_change_of_transit_time() -> None:
    """Packets that are by turns 0 and 80 samples late: 16 J tends to 16 times 80."""
    state = Reception.of(LEGS)
    for seq in range(400):
        one(state, seq, seq * 160, seq * 160 + 80 * (seq % 2))
    assert said(state, np.array([3]))[0][3] in (79, 80)


def test_lone_jump_is_not_counted_and_a_second_in_a_row_begins_anew() -> None:
    state = Reception.of(LEGS)
    for seq in (10, 11, 40_000, 12):
        one(state, seq, 0, 0)
    assert said(state, np.array([3])) == [(0, 0, 12, 0)]
    for seq in (50_000, 50_001):
        one(state, seq, 0, 0)
    assert said(state, np.array([3])) == [(0, 0, 50_001, 0)]


def test_what_a_leg_lost_stays_in_the_total_when_it_is_gone() -> None:
    state = Reception.of(LEGS)
    for seq in (10, 15):
        one(state, seq, 0, 0)
    one(state, 900, 0, 0, ssrc=6)
    one(state, 902, 0, 0, ssrc=6)
    assert state.lost() == 5
    state.open_leg(3)
    state.open_leg(3)
    assert state.lost() == 5


def test_clock_of_samples_wraps() -> None:
    assert samples_of(np.array([2**32 * 125_000 + 125_000])).tolist() == [1]


def test_clocks_of_samples_agree_on_what_a_wall_clock_shows() -> None:
    """Nanoseconds since 1970 times eight do not fit into 64 bits."""
    for ns in (1_780_000_000_123_456_789, 9_000_000_000_000_000_000):
        assert samples_of(np.array([ns])).tolist() == [int(clock_of(ns))]
        assert samples_of(np.array([ns - 17_000_000])) + 136 == clock_of(ns)
