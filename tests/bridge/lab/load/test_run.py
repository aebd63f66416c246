"""Real calls against a real bridge; bridges with a fault fail, and the report names it.

Faults that are patched in stand in `tests/mutants`. The crowds are small: how many a bridge
carries is measured, not tested.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bridge.lab.load.calls import number_of
from bridge.lab.load.host import OwnBridge
from bridge.lab.load.limits import Limits
from bridge.lab.load.plan import LoadPlan
from bridge.lab.load.run import Load, Result, run
from tests.held import again_if_held
from tests.mutants.launcher import WORKER_FAULTS
from tests.mutants.served import SEND_FAULTS

PLAN = LoadPlan(
    participants=20, conferences=2, rate=50, duration_s=11, settle_s=3.0, sample=20, churn_rate=4
)


async def ran(
    plan: LoadPlan, *, fault: str = "", step: int = 0, stories: bool = False
) -> tuple[Result, list[str]]:
    """Return what a run found, and its stages in order."""
    stages: list[str] = []

    def watch(load: Load, stage: str) -> None:
        if stage not in stages:
            stages.append(stage)
        assert load.stage == stage

    command = ("-m", "tests.mutants.served", fault) if fault else ("-m", "bridge.cli")
    result = await run(
        plan, Limits(), asyncio.Event(), watch, step=step, stories=stories, bridge_command=command
    )
    return result, stages


@again_if_held
async def test_a_bridge_that_is_right_passes_and_is_measured() -> None:
    result, stages = await ran(PLAN, stories=True)
    found = result.summary
    # On a machine that has no time for it a bridge skips ticks: then some ears are not judged.
    assert not [line for line in result.broken if "holes" not in line]
    assert stages == ["calling", "load", "hanging up"]
    assert (found.calls, found.connected, found.dropped) == (20, 20, {})
    assert found.setup_ms["p50"] > 0
    assert found.judged > 0
    assert found.voices == 9 * found.judged
    assert (found.missing, found.wrong, found.own) == (0, 0, 0)
    assert 30 < (found.pps_least or 0) <= 51
    assert found.unsettled == 0
    assert found.bridge_cores > 0
    assert 10 < found.delay_ms["p50"] < 1_000
    assert found.mos_min > 2
    assert result.ours
    assert result.worst[-1].reasons[-1].startswith("set-up"), "somebody always was let in last"
    for leg in result.worst:
        story = result.stories[leg.caller]
        assert story["about"]["number"] == number_of(leg.caller)
        assert [one["text"].split()[0] for one in story["sip"]][:2] == ["INVITE", "200"]
        assert [one["type"] for one in story["facts"]][-1] in ("leg.left", "session.ended")


@pytest.mark.long  # ten seconds and more for each fault
@pytest.mark.parametrize(
    ("fault", "what"),
    [("conferences_cross", "wrong"), ("every_fifth_alone", "missing"), ("own_voice", "own")],
)
async def test_a_bridge_with_a_fault_fails_by_its_name(fault: str, what: str) -> None:
    result, _ = await ran(PLAN, fault=fault)
    assert not result.ok
    found = result.summary
    counts = {"wrong": found.wrong, "missing": found.missing, "own": found.own}
    # Of strangers in the mix one may by chance have the tone that is the listener's own.
    assert counts[what] > 9 * sum(count for name, count in counts.items() if name != what)
    words = {"wrong": "wrong voices", "missing": "voices missing", "own": "own voices heard"}
    assert any(line.startswith(words[what]) for line in result.broken), result.broken
    assert {*SEND_FAULTS, *WORKER_FAULTS} >= {fault}


@pytest.mark.long  # a bridge and a crowd that leaves and comes back
@again_if_held
async def test_who_leaves_and_comes_back_all_the_time_is_heard_when_he_must_be() -> None:
    plan = LoadPlan(
        participants=20, conferences=2, duration_s=12, settle_s=2.0, profile="churn", churn_rate=3
    )
    result, _ = await ran(plan)
    assert not result.broken
    assert result.book.hung_up > 10
    assert result.summary.calls > 25


@pytest.mark.long  # two steps
@again_if_held
async def test_a_search_for_the_capacity_adds_callers_step_by_step() -> None:
    plan = LoadPlan(
        participants=20,
        conferences=2,
        duration_s=4,
        settle_s=3.0,
        profile="listen",
        one_by_one=True,
    )
    result, _ = await ran(plan, step=10)
    assert [step.participants for step in result.steps] == [10, 20]
    assert result.capacity == 20
    assert [step.summary.calls for step in result.steps] == [10, 10]


async def test_a_bridge_with_more_sessions_than_a_pipe_can_name_still_serves() -> None:
    own = await OwnBridge.start(LoadPlan(participants=1_000, conferences=500), frozenset())
    await own.stop()
    assert own.process.returncode == 0, "it was killed, since it waited for its banner to be read"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "bridge.cli", "load", *words]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "shout"], "--profile: 'shout': expected talk, listen or churn"),
        (["--min-mos", "nan"], "--min-mos: 'nan': expected a number"),
        (["--max-loss", "nan"], "--max-loss: 'nan': expected a number"),
        (["--codec", "G729"], "--codec: 'G729': expected PCMU or PCMA"),
        (["--target", "nowhere"], "--target: 'nowhere': expected sip:USER@HOST"),
        (["--participants", "20", "--conferences", "15"], "--conferences: 15: expected 1 to 10"),
        (["--html", "no/such/folder/a.html"], "--html: 'no/such/folder/a.html': expected a file"),
    ],
)
def test_bad_options_are_refused_before_anything_starts(words: Sequence[str], said: str) -> None:
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_calls_that_nobody_answers_fail_the_run(tmp_path: Path) -> None:
    """A port where no bridge is: ICMP says so at once, SIP asks again until its own time is up."""
    words = ["--target", "sip:{conference}@127.0.0.1:9", "--participants", "2", "--duration", "1"]
    process = subprocess.Popen(
        command(*words, "--json", str(tmp_path / "out.json")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert "calling" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)  # it does not wait for the answers either
    out, _ = process.communicate(timeout=45)
    assert process.returncode == 1
    assert "stopped early" in out
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["interrupted"]
    assert not written["ok"]
