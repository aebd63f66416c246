"""The grid of ticks: what is late, what is skipped, and when packets leave."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from bridge.units import FRAME_NS, NS_PER_MS
from bridge.worker_grid import LATE_NS, LATEST, LEAD_MAX_NS, Grid, TickTimes

TENTH_MS = NS_PER_MS // 10


def left(grid: Grid, took_ns: int) -> int:
    """Run a tick whose work takes `took_ns`; return when its packets leave, after it was due."""
    due = grid.due_ns
    grid.begin(due)
    return took_ns + grid.hold_ns(due + took_ns)


def test_ticks_are_on_one_grid_and_late_ones_are_counted() -> None:
    grid = Grid(5)
    assert grid.due_ns == FRAME_NS
    assert grid.begin(FRAME_NS + LATE_NS) == 0
    assert (grid.ticks, grid.late, grid.due_ns) == (1, 0, 2 * FRAME_NS)
    assert [grid.missed(n * FRAME_NS - 1) for n in (1, 3, 4, 5)] == [0, 0, 1, 2]
    assert grid.begin(4 * FRAME_NS + LATE_NS + 1) == 2
    assert (grid.ticks, grid.late, grid.due_ns) == (4, 3, 5 * FRAME_NS)


def test_packets_leave_at_one_phase_however_long_the_work_takes() -> None:
    grid = Grid(0)
    works = [9, 14, 8, 14, 10, 9, 13, 8] * 50
    leaving = [left(grid, took * TENTH_MS) for took in works][100:]
    assert min(leaving) > 13 * TENTH_MS
    assert max(leaving) <= 14 * TENTH_MS


def test_one_long_tick_hardly_moves_the_phase() -> None:
    grid = Grid(0)
    for _ in range(100):
        left(grid, NS_PER_MS)
    assert left(grid, 2 * NS_PER_MS) == 2 * NS_PER_MS
    assert left(grid, NS_PER_MS) <= NS_PER_MS + TENTH_MS


def test_phase_follows_the_work_when_that_has_become_shorter() -> None:
    grid = Grid(0)
    for _ in range(40):
        left(grid, 2 * NS_PER_MS)
    leaving = [left(grid, NS_PER_MS) for _ in range(400)]
    assert NS_PER_MS <= leaving[-1] < NS_PER_MS + TENTH_MS
    assert max(a - b for a, b in pairwise(leaving)) < TENTH_MS


def test_work_that_is_too_long_sends_at_once_and_moves_no_phase() -> None:
    grid = Grid(0)
    left(grid, NS_PER_MS)
    lead = grid.lead_ns
    assert left(grid, LEAD_MAX_NS + 1) == LEAD_MAX_NS + 1
    assert grid.lead_ns == lead


def test_times_of_ticks_are_told_by_interval_and_counted_by_bucket_for_ever() -> None:
    times = TickTimes((1.0, 5.0))
    for took_ms in (0.5, 1.0, 2.0, 9.0):
        times.add(took_ms)
    assert times.counts == [2, 1, 1]
    assert times.interval() == {"p50": 1.5, "p99": pytest.approx(8.79), "max": 9.0}
    for _ in range(LATEST + 1):  # more than are kept
        times.add(3.0)
    assert times.interval() == {"p50": 3.0, "p99": 3.0, "max": 3.0}
    assert sum(times.counts) == LATEST + 5
    assert times.sum_ms == pytest.approx(12.5 + 3 * (LATEST + 1))


@pytest.mark.parametrize("count", [1, 2, 3, 49, 50, 51, 3_001])
def test_shares_of_an_interval_are_numpys_percentiles(count: int) -> None:
    times = TickTimes((1.0,))
    took = np.random.default_rng(count).gamma(2.0, 3.0, count)
    for took_ms in took.tolist():
        times.add(took_ms)
    p50, p99 = np.percentile(took, (50, 99))
    wanted = {"p50": p50, "p99": p99, "max": took.max()}
    assert times.interval() == pytest.approx(wanted, rel=1e-12)


def test_an_interval_is_told_without_importing_anything() -> None:
    """An import in the loop is a late tick: 12 ms for what `np.percentile` wants at first."""
    told = (
        "import sys; from bridge.worker_grid import TickTimes; times = TickTimes((1.0,));"
        "times.add(2.0); before = set(sys.modules); times.interval();"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
