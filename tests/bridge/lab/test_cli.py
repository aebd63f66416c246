"""`tollbridge scenario`: exit codes, reports, selection; a real bridge for what must fail."""

import json
import re
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from bridge.errors import InputError
from bridge.lab.cli import TEMPLATE, app
from bridge.lab.selection import find_files, load_all, select
from bridge.lab.voice import level_dbfs
from bridge.prompts import read_wav
from tests.held import unheld

RUNNER = CliRunner()
SCENARIOS = Path("scenarios")

FAILS = """\
scenario: Two callers who cannot hear themselves, with a wrong bill
rules: [D5]
session: {toll_free: [US]}
callers:
  olivia: {via: voip, role: organizer}
  ann:    {via: toll-free, country: US}
steps:
  - [olivia, ann]: join
  - expect: {ann: {not_hears: [olivia]}}
  - expect: {ann: {hears: [olivia]}}
  - ben: join
  - advance: 61s
expect:
  events: [session.started, session.cancelled]
  bill: {minutes: {toll_free: 1}, total: 0.06 USD}
"""


def written(tmp_path: Path, name: str, text: str) -> Path:
    file = tmp_path / name
    file.write_text(text)
    return file


def test_what_does_not_hold_fails_with_its_reason_and_exit_1(tmp_path: Path) -> None:
    file = written(tmp_path, "fails.yaml", FAILS.replace("  - ben: join\n", ""))
    reports = tmp_path / "out" / "junit.xml", tmp_path / "out" / "lines.jsonl"
    arguments = ["run", str(file), "--junit", str(reports[0]), "--json", str(reports[1])]
    page, folder = tmp_path / "out" / "report.html", tmp_path / "kept"
    arguments += ["--html", str(page), "--evidence", str(folder)]
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 1, result.output
    lines = [json.loads(line) for line in reports[1].read_text().splitlines()]
    failed = {verdict["name"]: verdict for verdict in lines[0]["verdicts"] if not verdict["ok"]}
    assert set(failed) == {"ann", "events", "bill.minutes", "bill.total"}
    assert failed["ann"]["line"] == 9
    assert failed["ann"]["observed"].startswith("olivia is heard")
    assert failed["bill.total"]["observed"] == "0.12 USD"
    assert failed["events"]["observed"].startswith("no session.cancelled after the first 1")
    case = ElementTree.parse(reports[0]).getroot().find("testsuite/testcase")
    assert case is not None
    failure = case.find("failure")
    assert failure is not None
    assert failure.text is not None
    assert "SIP of ann" in failure.text
    assert "leg.joined" in failure.text
    kept = folder / f"{tmp_path.name}-fails"
    names = sorted(one.name for one in kept.iterdir())
    assert names == [
        *("ann.received.wav", "ann.sent.wav", "olivia.received.wav", "olivia.sent.wav"),
        *("packets.pcapng", "report.html"),
    ]
    assert sorted(Path(one).name for one in lines[0]["evidence"]) == names
    assert f"evidence: {kept}" in result.output.replace("\n", "")
    attached = case.findtext("system-out") or ""
    assert f"[[ATTACHMENT|{kept / 'packets.pcapng'}]]" in attached
    assert_sound(kept)
    assert_page(page.read_text(), kept, beside=page.parent)


def assert_sound(kept: Path) -> None:
    """Ann says 540 Hz or so and hears olivia: both recordings hold what they are called after."""
    sent, received = (read_wav(kept / f"ann.{way}.wav") for way in ("sent", "received"))
    assert min(len(sent), len(received)) > 8_000
    assert level_dbfs(sent[-4_000:]) == pytest.approx(-16, abs=1)
    assert level_dbfs(received[-4_000:]) == pytest.approx(-16, abs=2)


def assert_page(text: str, kept: Path, *, beside: Path) -> None:
    for said in (
        "olivia is heard",
        "must not be heard",
        "left: hung up",
        "INVITE sip:",
        "120 s x 0.06/min = 0.12",
        "Leg by leg",
        "What each caller received",
    ):
        assert said in text, said
    link = re.search(r'href="([^"]*packets.pcapng)"', text)
    assert link is not None
    assert (beside / unquote(link[1])).resolve() == kept / "packets.pcapng"


def test_the_template_of_new_is_a_story_that_holds(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    assert RUNNER.invoke(app, ["new", str(file)]).exit_code == 0
    assert file.read_text() == TEMPLATE
    result = unheld(
        lambda: RUNNER.invoke(app, ["run", str(file)]),
        lambda done: done.exit_code == 0,
        lambda done: done.output,
    )
    assert result.exit_code == 0, result.output
    assert isinstance(RUNNER.invoke(app, ["new", str(file)]).exception, InputError)


def test_a_wrong_file_is_told_with_its_line_and_exit_2_before_anything_runs(
    tmp_path: Path,
) -> None:
    bad = written(tmp_path, "bad.yaml", FAILS)
    written(tmp_path, "good.yaml", TEMPLATE)
    for command in ("run", "check"):
        result = RUNNER.invoke(app, [command, str(tmp_path)])
        assert result.exit_code == 2
        assert f"{bad}:11: unknown step or caller 'ben'" in result.output


def test_check_list_and_schema_read_without_running() -> None:
    assert RUNNER.invoke(app, ["check", str(SCENARIOS)]).exit_code == 0
    listed = RUNNER.invoke(app, ["list", str(SCENARIOS), "-k", "b1_ or b3_"]).output
    assert [line.split("  ")[0] for line in listed.splitlines()] == [
        "scenarios/billing/b1_three_toll_free_for_ten_minutes.yaml",
        "scenarios/billing/b3_late_organizer_on_toll_free.yaml",
    ]
    as_json = RUNNER.invoke(app, ["list", str(SCENARIOS), "--json", "-k", "b1_"]).output
    assert json.loads(as_json)["rules"][-1] == "B1"
    assert json.loads(RUNNER.invoke(app, ["schema"]).output)["properties"]["scenario"]


def test_paths_that_hold_no_story_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists"):
        find_files([tmp_path / "nothing"])
    with pytest.raises(InputError, match="yaml"):
        find_files([tmp_path])
    result = RUNNER.invoke(app, ["list", str(SCENARIOS), "-k", "no_such_word"])
    assert isinstance(result.exception, InputError)


@pytest.mark.parametrize(
    ("expression", "picked"),
    [
        ("", {"a", "b"}),
        ("waits", {"a"}),
        ("not waits", {"b"}),
        ("r5 or r6", {"a", "b"}),
        ("r5 and not (waits or meets)", set()),
        ("(r6)", {"b"}),
    ],
)
def test_expressions_pick_by_words(tmp_path: Path, expression: str, picked: set[str]) -> None:
    text = TEMPLATE.replace("[R4, D5]", "[R5]").replace("Two callers meet", "Ann waits")
    other = TEMPLATE.replace("[R4, D5]", "[R6]").replace("Two callers meet", "Ben meets")
    files = [written(tmp_path, "a.yaml", text), written(tmp_path, "b.yaml", other)]
    stories, faults = load_all(files)
    assert faults == []
    assert {story.file.stem for story in select(stories, expression)} == picked


@pytest.mark.parametrize("expression", ["and", "(r5", "r5)", "not", "r5 or"])
def test_expressions_that_cannot_be_read_are_refused(tmp_path: Path, expression: str) -> None:
    stories, _ = load_all([written(tmp_path, "a.yaml", TEMPLATE)])
    with pytest.raises(InputError):
        select(stories, expression)
