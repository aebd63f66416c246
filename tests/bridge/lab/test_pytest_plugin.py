"""The pytest plug-in as its users have it: another pytest run, with stories and Python tests."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.errors import InputError
from bridge.lab import pytest_plugin
from bridge.lab.stage import Stage, Studio
from bridge.lab.story import CallerSpec
from tests.held import RUNS_MAX, Watch, again_if_held

RUN_S = 240
"""Four bridges with all that is imported for them, one after the other; it took 110 s on a machine
that had five times as much to do as it could."""

pytestmark = pytest.mark.timeout(2 * RUN_S + 60)

HOLDS = """\
scenario: Nobody comes
session: {toll_free: [US]}
callers:
  ann: {via: toll-free, country: US}
steps:
  - ann: join
  - advance: 5m
expect:
  bill: {total: 0.00 USD, reasons: {never_started: 1}}
"""

IN_PYTHON = """\
import pytest


def test_three_are_billed(bridge, phone, conference, bill):
    olivia = phone("olivia", via="voip", role="organizer")
    ann = phone("ann", via="toll-free", country="US", number="+12125550111")
    ann.join()
    assert conference.waiting == ["ann"]
    olivia.join()
    assert bridge.expect(joined=["ann", "olivia"])
    assert olivia.hears("ann", but_not=["olivia"])
    bridge.advance("10m")
    assert str(bill().total) == "0.60"
    assert bridge.expect(sip={"ann": ["INVITE", 200, "ACK", "sends BYE"]}, metrics={"legs": 0})
    assert bridge.expect(exactly=["session.started", "session.ended"])


@pytest.mark.tollbridge(start="on_command", settings={"waiting_room.timeout_s": 60})
def test_a_bridge_of_ones_own(bridge, phone, conference):
    ann = phone("ann", via="toll-free", country="US")
    ann.join()
    bridge.advance("1m")
    assert bridge.expect(left={"ann": "waiting-timeout"})
    assert conference.waiting == []
    seen = bridge.expect(waiting=["ann"])
    assert not seen
    assert "waiting did not hold: expected ann" in repr(seen)
"""


FAILS = """\
import pytest


@pytest.mark.parametrize("path", ["a/b"])
def test_nobody_waits(bridge, phone, conference, path):
    phone("ann", via="toll-free", country="US").join()
    assert not bridge.expect(joined=["ann"])
    bridge.advance("1m")
    assert conference.waiting == []
"""


def pytest_in(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True)
class Run:
    folder: Path
    code: int
    output: str

    def kept(self, name: str) -> Path:
        return self.folder / "out" / "evidence" / f"{self.folder.name}-{name}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "holds.scenario.yaml").write_text(HOLDS)
    (folder / "fails.scenario.yaml").write_text(HOLDS.replace("0.00 USD", "0.30 USD"))
    (folder / "test_python.py").write_text(IN_PYTHON)
    (folder / "test_fails.py").write_text(FAILS)
    (folder / "out" / "evidence" / f"{folder.name}-holds.scenario").mkdir(parents=True)
    (folder / "out" / "evidence" / f"{folder.name}-holds.scenario" / "report.html").touch()
    for _ in range(RUNS_MAX):
        with Watch() as watch:
            code, output = pytest_in(folder, "-v", "--junitxml", "junit.xml")
        if ("3 passed" in output and "2 failed" in output) or not watch.held:
            break
    return Run(folder, code, output)


def test_stories_and_python_tests_run_side_by_side(run: Run) -> None:
    output = run.output
    assert run.code == 1, output
    assert "3 passed" in output
    assert "2 failed" in output
    assert "holds.scenario.yaml::Nobody comes PASSED" in output


def test_a_story_that_fails_shows_its_evidence(run: Run) -> None:
    output = run.output
    assert "fails.scenario.yaml:8: bill.total" in output
    assert "expected: 0.30 USD" in output
    assert "observed: 0.00 USD" in output
    assert "Traceback" not in output


def test_what_fails_leaves_report_recordings_and_packets_and_the_failure_says_where(
    run: Run,
) -> None:
    for name in ("fails.scenario", "test_fails-test_nobody_waits-a-b"):
        folder = run.kept(name)
        files = {"ann.received.wav", "ann.sent.wav", "packets.pcapng", "report.html"}
        assert {one.name for one in folder.iterdir()} == files
        assert str(folder) in run.output
        assert f'name="evidence" value="{folder}"' in (run.folder / "junit.xml").read_text()
    assert not run.kept("holds.scenario").exists(), "it held, and what was there is older"


def test_the_report_of_a_test_has_its_steps_by_line_and_what_it_asked(run: Run) -> None:
    text = (run.kept("test_fails-test_nobody_waits-a-b") / "report.html").read_text()
    lines = FAILS.splitlines()
    failed = next(number for number, line in enumerate(lines, 1) if "waiting == []" in line)
    advanced = next(number for number, line in enumerate(lines, 1) if "advance" in line)
    assert f"Line {failed}: test" in text
    assert "assert [&#39;ann&#39;] == []" in text
    assert f"line {advanced}: advance: 1m" in text
    assert "SIP between callers and bridge" in text
    assert "Who was where, on conference time" in text


@again_if_held
def test_what_passes_is_kept_when_asked_and_nothing_where_no_folder_is(tmp_path: Path) -> None:
    (tmp_path / "test_python.py").write_text(FAILS.replace("conference.waiting == []", "True"))
    code, output = pytest_in(tmp_path, "--tollbridge-keep", "--tollbridge-evidence=kept")
    assert code == 0, output
    (folder,) = (tmp_path / "kept").iterdir()
    text = (folder / "report.html").read_text()
    assert ">did not hold</span>" in text, "the test went on, so that is no failure"
    assert "Stories: all held" in text
    (tmp_path / "test_python.py").write_text(FAILS)
    code, output = pytest_in(tmp_path, "--tollbridge-evidence=")
    assert code == 1, output
    assert not (tmp_path / "out").exists()


def test_a_bad_file_is_told_with_its_line_when_it_is_collected(tmp_path: Path) -> None:
    (tmp_path / "bad.scenario.yaml").write_text(HOLDS.replace("ann: join", "an: join"))
    code, output = pytest_in(tmp_path, "--collect-only")
    assert code == 2
    assert "bad.scenario.yaml:6: unknown step or caller 'an', did you mean 'ann'?" in output


@pytest.mark.parametrize(("workers", "legs"), [(1, 2_500), (2, 2_500), (8, 1_500), (40, 300)])
def test_each_process_has_ports_of_its_own(
    monkeypatch: pytest.MonkeyPatch, workers: int, legs: int
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", str(workers))
    last = pytest_plugin.PORTS_FIRST - 1
    for worker in range(workers):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{worker}")
        first, end = pytest_plugin._ports()
        assert (first, end - first + 1) == (last + 1, 2 * legs)
        last = end
    assert last < pytest_plugin.PORTS_END


@pytest.fixture
def stage() -> Stage:
    studio = object.__new__(Studio)  # never started: only what is refused is tried
    return Stage(studio, {"start": "on_command"})


def test_unknown_settings_are_refused_by_name() -> None:
    studio = object.__new__(Studio)
    with pytest.raises(InputError, match="bridge: 'toll': expected one of toll_free, start"):
        Stage(studio, {"toll": ["US"]})
    with pytest.raises(InputError, match=r"bridge\.start: 'maybe'"):
        Stage(studio, {"start": "maybe"})
    with pytest.raises(InputError, match=r"'strat': expected one of .*, did you mean 'start'"):
        Stage(studio, {"strat": "on_join"})
    with pytest.raises(InputError, match="starts_at: 'soon': expected a time; 'soon' is no time"):
        Stage(studio, {"starts_at": "soon"})
    with pytest.raises(InputError, match=r"starts_at: .*: expected a time with its UTC offset"):
        Stage(studio, {"starts_at": datetime(2026, 2, 10)})
    with pytest.raises(InputError, match=r"bridge\.currency: 'USX'"):
        Stage(studio, {"contracts": {"mine": {"currency": "USX"}}})


def test_conference_time_begins_when_a_test_says() -> None:
    studio = object.__new__(Studio)
    begins = 1_769_921_940_000
    for given in ("2026-01-31T23:59-05:00", datetime(2026, 2, 1, 4, 59, tzinfo=UTC)):
        assert Stage(studio, {"starts_at": given})._story.begins == begins


def test_impossible_callers_and_steps_are_refused(stage: Stage) -> None:
    with pytest.raises(InputError, match="phone 'ann'"):
        stage.phone("ann", via="toll-free")
    stage._story.callers["zoe"] = CallerSpec.model_validate({"via": "voip", "from": "anonymous"})
    with pytest.raises(InputError, match="ann calls from anonymous, as zoe does"):
        stage.phone("ann", via="toll", country="US", number="anonymous")
    assert "ann" not in stage._story.callers
    with pytest.raises(InputError, match="unknown step or caller 'ben'"):
        stage.do({"ben": "join"})
    with pytest.raises(InputError, match="expect: 'ben': expected a phone of this test"):
        stage.expect(waiting=["ben"])
    with pytest.raises(InputError, match="unknown caller 'ben'"):
        stage.expect(sip={"ben": ["INVITE"]})
    with pytest.raises(InputError, match="unknown caller 'ben'"):
        stage.expect(left={"ben": "kicked"})
    with pytest.raises(InputError, match="unknown metric 'leg', did you mean 'legs'"):
        stage.expect(metrics={"leg": 3})
