"""The commands: what they print, and what they refuse."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from billing import bench
from bridge.bench import delay, growth, host, media, peers, quality, room, stages
from bridge.bench.cli import app

RUNNER = CliRunner()
COST: dict[str, Any] = {
    "cores": 0.5,
    "tick_ms": {"p50": 1.0, "p99": 2.0, "max": 3.0},
    "ticks": 50,
    "late_ticks": 0,
    "rx_pps_min": 50.0,
    "callers_late_ms": 1,
    "stolen_ms": 0,
    "rss_kb_per_leg": 30.0,
}


async def cheaper_in_number(participants: int, conferences: int, seconds: float) -> dict[str, Any]:
    assert conferences == participants // 10
    assert seconds == 1.0
    return COST | {"cores": participants / 1_000 if participants < 500 else participants / 2_000}


def test_growth_compares_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "bridge", cheaper_in_number)
    args = ["growth", "--legs", "200,1000", "--seconds", "1"]
    rows = json.loads(RUNNER.invoke(app, [*args, "--json"]).stdout)["rows"]
    assert [row["leg_core_milli"] for row in rows] == [1.0, 0.5]
    assert [row["to_first"] for row in rows] == [1.0, 0.5]
    assert "to_first" in RUNNER.invoke(app, args, env={"COLUMNS": "200"}).stdout


@pytest.mark.parametrize("legs", ["many", "200,", "1", "5000"])
def test_growth_refuses_what_is_no_number_of_legs(legs: str) -> None:
    assert RUNNER.invoke(app, ["growth", "--legs", legs]).exit_code == 2


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_each_command_prints_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    case = {"case": "clean", "pesq": 4.321}
    found = {"codec": "PCMU", "speech_s": 1, "cases": [case]}
    monkeypatch.setattr(quality, "run", lambda _seeds, _codec: found)
    assert "4.321" in RUNNER.invoke(app, ["quality", *flags]).stdout
    monkeypatch.setattr(room, "run", lambda _legs, _seconds, *, pairs: {"ratio_to_many": pairs})
    assert "7" in RUNNER.invoke(app, ["room", "--pairs", "7", *flags]).stdout
    monkeypatch.setattr(host, "run", lambda _seconds: {"latest_ms": 9.75})
    assert "9.75" in RUNNER.invoke(app, ["host", *flags]).stdout
    monkeypatch.setattr(delay, "run", lambda _legs, _seconds: {"delay_ms": {"p50": 23.5}})
    assert "23.5" in RUNNER.invoke(app, ["delay", *flags]).stdout
    monkeypatch.setattr(media, "run", lambda *_args, **_named: {"ratio_to_floor": 1.234})
    assert "1.234" in RUNNER.invoke(app, ["media", *flags]).stdout
    timed = {"tick_ms": 1.5, "tick_ms_least": 1.25, "stages_ms": {"mix": 0.625}}
    timed["stages_ms_least"] = {"mix": 0.375}
    both = timed | {"loops": "c", "numpy": timed | {"stages_ms": {"mix": 1.125}}}
    monkeypatch.setattr(stages, "run", lambda *_args, **_named: both)
    printed = RUNNER.invoke(app, ["stages", *flags], env={"COLUMNS": "200"}).stdout
    assert all(text in printed for text in ("0.625", "0.375", "1.25"))
    args = ["stages", "--pause-ms", "14", "--beside-numpy", *flags]
    assert "1.125" in RUNNER.invoke(app, args, env={"COLUMNS": "200"}).stdout
    monkeypatch.setattr(stages, "run", lambda *_args, **_named: both | {"halted_ms": [0.0625]})
    assert "0.0625" in RUNNER.invoke(app, ["stages", "--halt", "1", *flags]).stdout
    rows = [{"": "tollbridge", "cores": 0.25}, {"": "Janus", "cores": 0.875}]
    both = {"participants": 20, "conferences": 2, "ratio": 3.5, "rows": rows}
    monkeypatch.setattr(peers, "run", lambda *_args, **_named: both)
    said = RUNNER.invoke(app, ["peers", *flags]).stdout
    assert all(text in said for text in ("Janus", "0.25", "0.875"))


def test_billing_prints_what_a_leg_costs_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.bench.SMALL_LEGS", 20)
    monkeypatch.setattr("billing.bench._apart", lambda legs, _: bench.run(legs))
    found = json.loads(RUNNER.invoke(app, ["billing", "--legs", "40", "--growth", "--json"]).stdout)
    assert (found["few"]["facts"], found["many"]["facts"]) == (63, 126)
    assert RUNNER.invoke(app, ["billing", "--legs", "10"]).exit_code == 2
