"""The heap of deadlines."""

import pytest

from bridge.sip import timers as module
from bridge.sip.timers import Timer, TimerOwner, Timers
from bridge.units import NowNs


def pop_all(timers: Timers, now_ns: int) -> list[tuple[TimerOwner, Timer]]:
    found = []
    while due := timers.pop_due(NowNs(now_ns)):
        found.append(due)
    return found


def test_timers_go_off_in_the_order_of_their_deadlines_and_not_early() -> None:
    timers, a, b = Timers(), TimerOwner(), TimerOwner()
    timers.arm(a, Timer.A, 20)
    timers.arm(b, Timer.B, 10)
    timers.arm(a, Timer.B, 10)
    assert timers.deadline_ns() == 10
    assert timers.pop_due(NowNs(9)) is None
    assert pop_all(timers, 20) == [(b, Timer.B), (a, Timer.B), (a, Timer.A)]
    assert timers.deadline_ns() is None
    assert len(timers) == 0


def test_arming_again_moves_a_timer() -> None:
    timers, owner = Timers(), TimerOwner()
    timers.arm(owner, Timer.A, 10)
    timers.arm(owner, Timer.A, 30)
    assert len(timers) == 1
    assert pop_all(timers, 29) == []
    assert pop_all(timers, 30) == [(owner, Timer.A)]


def test_disarmed_timers_never_go_off() -> None:
    timers, owner = Timers(), TimerOwner()
    timers.arm(owner, Timer.A, 10)
    timers.arm(owner, Timer.B, 11)
    timers.disarm(owner, Timer.D)
    timers.disarm_all(owner)
    assert owner.timers == {}
    assert pop_all(timers, 99) == []


def test_the_heap_is_swept_when_most_of_it_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEAD_TIMERS_MAX", 10)
    timers, keep = Timers(), TimerOwner()
    timers.arm(keep, Timer.J, 5_000)
    for at_ns in range(1_000):
        owner = TimerOwner()
        timers.arm(owner, Timer.A, at_ns + 10_000)
        timers.disarm(owner, Timer.A)
    assert len(timers._heap) < 30
    assert len(timers) == 1
    assert pop_all(timers, 5_000) == [(keep, Timer.J)]
