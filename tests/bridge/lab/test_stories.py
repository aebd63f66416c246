"""Every story in `scenarios/` holds on a real bridge: real SIP, real RTP, a real database."""

import gc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bridge.lab.crew import run_parallel
from bridge.lab.reports import evidence
from bridge.lab.runner import LabOptions
from bridge.lab.selection import load_checked
from bridge.lab.stage import Studio
from bridge.lab.verdicts import StoryResult, unequal
from bridge.logs import set_up_logs
from tests.held import RUNS_MAX, unheld, was_held

FILES = sorted(Path("scenarios").rglob("*.yaml"))
BILLS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B12")
REPEATED = (
    "scenarios/billing/b1_three_toll_free_for_ten_minutes.yaml",
    "scenarios/billing/b3_late_organizer_on_toll_free.yaml",
    "scenarios/audio/three_callers_hear_each_other.yaml",
)
JOBS = 2


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    """Return what every story that this process runs has in common: callers, a warm worker."""
    gc.collect()
    gc.freeze()  # what pytest has collected: to look it through takes longer than a caller waits
    made = Studio()
    yield made
    made.close()
    gc.unfreeze()


def told(studio: Studio, file: Path) -> StoryResult:
    """Run a story, again each time that it fails while its worker is kept from its ticks."""
    set_up_logs(quiet=True)
    story = load_checked(file)
    return unheld(
        lambda: studio.loop.run(studio.lab.run(story)),
        lambda result: result.ok,
        lambda result: "\n".join(evidence(result)),
    )


def test_only_a_worker_that_was_held_excuses_a_story() -> None:
    for late, excused in (
        ("media worker 21 of 1000; callers 0", True),
        ("media worker 20 of 1000; callers 0", False),
        ("media worker 0 of 0; callers 9", False),
        ("not known; callers 900", False),
    ):
        assert was_held(late) == excused
        runs = iter([f"{late}: {number}" for number in range(9)])
        last = unheld(partial(next, runs), lambda _: False, str)
        assert last == f"{late}: {RUNS_MAX - 1 if excused else 0}"
    runs = iter(["media worker 9 of 9; first", "media worker 9 of 9; fine", "another"])
    assert "fine" in unheld(partial(next, runs), lambda run: "fine" in run, str)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_story_holds(studio: Studio, file: Path) -> None:
    result = told(studio, file)
    assert result.ok, "\n" + "\n".join(evidence(result))


def repeated(times: int) -> None:
    stories = [load_checked(Path(file)) for file in REPEATED] * times
    done = run_parallel(stories, JOBS, LabOptions(), lambda _: None)
    failed = [line for result in done if not result.ok for line in evidence(result)]
    assert not failed, "\n".join(failed)
    assert unequal(done) == []


@pytest.mark.long
def test_b1_b3_and_three_callers_are_the_same_each_time() -> None:
    repeated(10)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_b1_b3_and_three_callers_are_the_same_fifty_times() -> None:
    repeated(50)


def test_every_bill_worked_by_hand_has_a_story() -> None:
    proven = {rule for file in FILES for rule in load_checked(file).rules}
    assert set(BILLS) <= proven
    assert {"D1", "D3", "D12", "D19", "R19"} <= proven
