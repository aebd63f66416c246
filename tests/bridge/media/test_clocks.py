"""RTP clocks of several rates on one measure."""

import numpy as np

from bridge.media.clocks import Clocks, to_steps


def test_legs_at_8_khz_are_left_as_they_are() -> None:
    clocks = Clocks.of(4)
    ts = np.array([7, 2**32 - 1], np.uint32)
    assert to_steps(clocks, ts, np.array([0, 3])) is ts
    assert not clocks.mixed


def test_every_frame_is_160_steps_also_where_the_clock_wraps() -> None:
    """2^32 is no multiple of 6: a mere division would jump there."""
    rng = np.random.default_rng(1)
    clocks = Clocks.of(4)
    clocks.set_rate(1, 6)
    clocks.set_rate(2, 2)
    slot = np.array([0, 1, 2])
    rate = np.array([1, 6, 2])
    first = np.array([2**32 - 400, 2**32 - 2_000, 2**32 - 900])
    seen = []
    order = np.arange(60) + rng.integers(-2, 3, 60)  # some out of order
    for n in order.tolist():
        ts = ((first + n * 160 * rate) % 2**32).astype(np.uint32)
        seen.append(to_steps(clocks, ts, slot))
    steps = np.array(seen).astype(np.int64)
    moved = (steps - steps[0] + 2**31) % 2**32 - 2**31
    assert (moved == ((order - order[0]) * 160)[:, None]).all()


def test_several_packets_of_a_leg_at_once_keep_their_distances() -> None:
    clocks = Clocks.of(2)
    clocks.set_rate(1, 6)
    ts = np.array([960_000, 960_000 + 960, 960_000 + 1_920], np.uint32)
    got = to_steps(clocks, ts, np.array([1, 1, 1]))
    assert (got - got[0]).tolist() == [0, 160, 320]
    later = to_steps(clocks, np.array([960_000 + 2_880], np.uint32), np.array([1]))
    assert (later - got[:1]).tolist() == [480]


def test_a_new_rate_begins_a_new_count() -> None:
    clocks = Clocks.of(2)
    clocks.set_rate(0, 6)
    assert clocks.mixed
    to_steps(clocks, np.array([4_000_000_000], np.uint32), np.array([0]))
    clocks.set_rate(0, 2)
    before = to_steps(clocks, np.array([5], np.uint32), np.array([0]))
    after = to_steps(clocks, np.array([5 + 320], np.uint32), np.array([0]))
    assert int(after[0] - before[0]) == 160
    clocks.set_rate(0, 1)
    assert not clocks.mixed
