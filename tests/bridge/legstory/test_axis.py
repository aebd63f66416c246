"""The axis of a leg's story: conference time that runs, stands still or jumps (D19)."""

import doctest
from itertools import pairwise

import pytest

from bridge.legstory import axis, shelf, sipline
from bridge.legstory.axis import JUMPS_SHARE, Axis

TEN = 36_000_000
"""Ten o'clock, conference time."""


@pytest.mark.parametrize("module", [axis, shelf, sipline])
def test_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]  # a module is an object


def test_a_running_clock_is_a_straight_line_whether_real_times_are_known_or_not() -> None:
    line = Axis.of([(0.0, TEN)], running=True, end=(60_000.0, TEN + 60_000))
    assert [line.x(TEN + ms) for ms in (0, 15_000, 60_000)] == [0, 0.25, 1]
    assert line.x(TEN + 15_000, 15_000.0) == 0.25
    assert line.breaks() == []
    assert line.ticks()[0] == (0.0, "0:00")
    assert (0.5, "0:30") in line.ticks()


def test_a_jump_of_a_standing_clock_has_width_and_says_how_much_passed() -> None:
    line = Axis.of(
        [(0.0, TEN), (4_000.0, TEN + 240_000)], running=False, end=(8_000.0, TEN + 240_000)
    )
    assert [(round(x0, 3), round(x1, 3)) for x0, x1, _ in line.breaks()] == [
        (round((1 - JUMPS_SHARE) / 2, 3), round((1 + JUMPS_SHARE) / 2, 3))
    ]
    assert line.breaks()[0][2].startswith("4:00 ")
    assert line.x(TEN, 2_000.0) == pytest.approx((1 - JUMPS_SHARE) / 4), "real time has width"
    assert line.x(TEN + 120_000) == pytest.approx(0.5), "half of what was jumped over"
    assert line.x(TEN + 240_000, 8_000.0) == 1
    assert {"0:00", "4:00", "+2 s"} <= {text for _, text in line.ticks()}


def test_a_fact_stands_in_the_stretch_of_its_own_time_however_late_it_was_told() -> None:
    """Timers of one jump fire in a row; their facts are told when they are on disk."""
    moves = [(0.0, TEN), (1_000.0, TEN + 60_000), (1_001.0, TEN + 120_000)]
    line = Axis.of(moves, running=False, end=(2_000.0, TEN + 120_000))
    first = line.x(TEN + 60_000, 1_005.0)
    assert first == pytest.approx(line.breaks()[0][1], abs=0.001)
    assert first < line.x(TEN + 120_000, 1_005.0)


def test_places_never_go_back_and_stay_on_the_axis() -> None:
    moves = [(0.0, TEN), (500.0, TEN + 30_000), (700.0, TEN + 30_500)]
    line = Axis.of(moves, running=False, end=(900.0, TEN + 31_000))
    places = [line.x(TEN + ms) for ms in range(-1_000, 40_000, 250)]
    assert all(0 <= first <= last <= 1 for first, last in pairwise(places))


def test_a_leg_without_any_length_has_an_axis_too() -> None:
    line = Axis.of([(0.0, TEN)], running=True, end=(0.0, TEN))
    assert line.x(TEN) == 0
    assert line.ticks() == [(0.0, "0:00")]
