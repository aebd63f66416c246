"""Units and the conference clock (D19)."""

import doctest
from datetime import UTC, datetime

import pytest

import bridge.errors
import bridge.link
import bridge.units
from bridge.clock import MOVES_MAX, ConferenceClock
from bridge.units import NS_PER_S, ConfMs, NowNs, conf_ms_of, utc_of


@pytest.mark.parametrize("module", [bridge.units, bridge.link, bridge.errors])
def test_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]  # a module is an object


def test_conference_time_and_utc_are_inverse() -> None:
    for millis in (0, 1, 999, 1_000, 1_767_225_600_501):
        assert conf_ms_of(utc_of(ConfMs(millis))) == millis
    assert utc_of(conf_ms_of(datetime(2026, 3, 1, tzinfo=UTC))) == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_running_clock_moves_with_monotonic_time() -> None:
    clock = ConferenceClock(ConfMs(1_000), NowNs(5 * NS_PER_S))
    assert clock.at(NowNs(5 * NS_PER_S)) == 1_000
    assert clock.at(NowNs(7 * NS_PER_S + 1_500_000)) == 3_001
    assert clock.real_ns_until(ConfMs(4_000), NowNs(7 * NS_PER_S)) == NS_PER_S
    assert clock.real_ns_until(ConfMs(2_000), NowNs(7 * NS_PER_S)) == 0


def test_a_standing_clock_moves_only_by_advance() -> None:
    clock = ConferenceClock(ConfMs(1_000), NowNs(0), running=False)
    assert clock.at(NowNs(60 * NS_PER_S)) == 1_000
    assert clock.real_ns_until(ConfMs(1_001), NowNs(0)) is None
    assert clock.real_ns_until(ConfMs(1_000), NowNs(0)) == 0
    clock.advance_to(ConfMs(301_000), NowNs(60 * NS_PER_S))
    assert clock.at(NowNs(61 * NS_PER_S)) == 301_000


def test_a_moment_in_the_past_has_the_conference_time_of_that_moment() -> None:
    """D12: a lost leg is billed to its last packet, though the clock was advanced meanwhile."""
    clock = ConferenceClock(ConfMs(0), NowNs(0), running=False)
    clock.advance_to(ConfMs(120_000), NowNs(10))
    clock.advance_to(ConfMs(300_000), NowNs(20))
    assert [clock.at(NowNs(t)) for t in (9, 10, 19, 20, 99)] == [
        0,
        120_000,
        120_000,
        300_000,
        300_000,
    ]


def test_the_clock_never_goes_back() -> None:
    clock = ConferenceClock(ConfMs(5), NowNs(0), running=False)
    with pytest.raises(AssertionError):
        clock.advance_to(ConfMs(4), NowNs(1))


def test_the_clock_forgets_its_oldest_moves_only() -> None:
    clock = ConferenceClock(ConfMs(0), NowNs(0), running=False)
    for step in range(1, MOVES_MAX + 10):
        clock.advance_to(ConfMs(step), NowNs(step))
    assert clock.at(NowNs(MOVES_MAX)) == MOVES_MAX
    assert clock.at(NowNs(0)) == 10  # the oldest remembered
