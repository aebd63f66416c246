"""What ticks goes before other programs, where that is allowed."""

import os
import threading

import pytest

from bridge import priority


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def test_to_ask_changes_nothing() -> None:
    before = niceness()
    allowed = priority.may_go_first()
    assert niceness() == before
    assert allowed == (os.geteuid() == 0) or not allowed  # containers take it from root


def test_a_thread_goes_first_alone() -> None:
    before, inside = niceness(), []

    def run() -> None:
        allowed = priority.go_first()
        inside.append((allowed, niceness()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    ((allowed, nice),) = inside
    assert nice == (before + priority.NICE if allowed else before)
    assert niceness() == before


def test_who_may_not_goes_on_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "nice", refuse)
    assert not priority.go_first()
    assert not priority.may_go_first()
