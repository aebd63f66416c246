"""What the host takes of a core: what was slept too long is counted, and nothing stays changed."""

import os
import time

import pytest

from bridge.bench import host


def test_sleeps_that_were_too_long_are_counted_by_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getaffinity(0), os.sched_getscheduler(0)
    now, sleeps = 0, 0

    def sleep(seconds: float) -> None:
        nonlocal now, sleeps
        over_ms = {3: 2, 5: 7, 8: 25}.get(sleeps, 0)
        sleeps += 1
        now += round(seconds * 1e9) + over_ms * 1_000_000

    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    result = host.run(0.05)
    assert result["wakes"] == 16
    assert [result[f"late_{ms}_ms"] for ms in (1, 5, 10)] == [3, 2, 1]
    assert result["latest_ms"] == 25
    assert result["stolen_ms"] >= 0
    assert (os.sched_getaffinity(0), os.sched_getscheduler(0)) == before


def test_without_the_right_to_real_time_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    result = host.run(0.05)
    assert not result["real_time"]
    assert 0 < result["wakes"] <= 50
