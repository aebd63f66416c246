"""Who excuses a failure: a machine that was seen to hold this process, and nothing else."""

import os
import subprocess
import sys

import pytest

from tests.held import HELD_MS, RUNS_MAX, Watch, again_if_held

HOLD_MS = 150
HOLD = f"""\
import os, signal, time
os.kill({{pid}}, signal.SIGSTOP)
time.sleep({HOLD_MS / 1_000})
os.kill({{pid}}, signal.SIGCONT)
"""


def hold() -> None:
    """Have this process stopped for a while by another."""
    subprocess.run([sys.executable, "-c", HOLD.format(pid=os.getpid())], check=True)


def test_a_watch_sees_that_its_process_was_stopped() -> None:
    with Watch() as watch:
        hold()
    assert watch.held
    assert HOLD_MS - 20 < watch.late_ms < 60 * HOLD_MS


def test_a_watch_leaves_the_cores_of_others_as_they_were() -> None:
    before = os.sched_getaffinity(0)
    words = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
    with Watch():
        assert os.sched_getaffinity(0) == before
        assert int(subprocess.run(words, capture_output=True, check=True).stdout) == len(before)
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(("held", "runs"), [(False, 1), (True, RUNS_MAX)])
async def test_a_failure_is_measured_again_only_where_a_hold_was(
    monkeypatch: pytest.MonkeyPatch, held: bool, runs: int
) -> None:
    late_ms = HELD_MS + 1 if held else HELD_MS - 1
    monkeypatch.setattr(Watch, "_sleep_on", lambda watch, _: setattr(watch, "late_ms", late_ms))
    ran: list[str] = []

    @again_if_held
    def fails(name: str) -> None:
        ran.append(name)
        assert name == "another", f"failure {len(ran)}"

    @again_if_held
    async def fails_too(name: str) -> None:
        fails.__wrapped__(name)  # type: ignore[attr-defined] # as functools.wraps leaves it

    with pytest.raises(AssertionError, match=f"failure {runs}"):
        fails("sync")
    ran.clear()
    with pytest.raises(AssertionError, match=f"failure {runs}"):
        await fails_too("async")
    assert ran == ["async"] * runs


def test_a_second_measurement_that_is_right_is_enough_and_errors_are_no_measurements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Watch, "_sleep_on", lambda watch, _: setattr(watch, "late_ms", 99.0))
    ran: list[int] = []

    @again_if_held
    def right_at_last() -> None:
        ran.append(1)
        assert len(ran) == 2

    @again_if_held
    def breaks() -> None:
        ran.append(1)
        raise OSError("broken")

    right_at_last()
    assert len(ran) == 2
    with pytest.raises(OSError, match="broken"):
        breaks()
    assert len(ran) == 3
