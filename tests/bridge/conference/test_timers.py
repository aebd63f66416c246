"""Timers are values in a heap; stale entries never fire and never pile up."""

from bridge.conference.timers import STALE_MAX, Alarm, TimerKey, TimerQueue

A = TimerKey(Alarm.WAITING, "a")
B = TimerKey(Alarm.WAITING, "b")


def test_timers_fire_in_order_of_time_then_of_arming() -> None:
    queue = TimerQueue()
    queue.arm(B, 20)
    queue.arm(A, 20)
    queue.arm(TimerKey(Alarm.EMPTY, "a"), 10)
    assert len(queue) == 3
    assert queue.next_due() == 10
    assert queue.pop_due(9) is None
    assert queue.pop_due(20) == (10, TimerKey(Alarm.EMPTY, "a"))
    assert queue.pop_due(20) == (20, B)
    assert queue.pop_due(20) == (20, A)
    assert queue.pop_due(20) is None
    assert queue.next_due() is None


def test_a_timer_armed_again_moves() -> None:
    queue = TimerQueue()
    queue.arm(A, 10)
    queue.arm(A, 30)
    assert queue.next_due() == 30
    queue.arm(A, 5)
    assert queue.pop_due(40) == (5, A)
    assert queue.pop_due(40) is None


def test_a_timer_disarmed_never_fires() -> None:
    queue = TimerQueue()
    queue.arm(A, 10)
    queue.disarm(A)
    queue.disarm(B)
    assert len(queue) == 0
    assert queue.pop_due(100) is None


def test_stale_entries_are_bounded() -> None:
    queue = TimerQueue()
    queue.arm(B, 1_000_000)
    for due in range(10 * STALE_MAX):
        queue.arm(A, due)
    assert len(queue._heap) <= 2 * len(queue) + STALE_MAX
    assert queue.pop_due(10 * STALE_MAX) == (10 * STALE_MAX - 1, A)
    assert queue.next_due() == 1_000_000
