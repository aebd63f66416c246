"""Stories in parallel, repeated, by tag, and with the bill kept beside them."""

import json
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from bridge.errors import InputError
from bridge.lab import crew, reports
from bridge.lab.cli import TEMPLATE, app
from bridge.lab.golden import difference, golden_file
from bridge.lab.report_page import report
from bridge.lab.runner import Lab, LabOptions
from bridge.lab.selection import load_checked, with_tags
from bridge.lab.story import Story
from bridge.lab.verdicts import StoryResult, Verdict, unequal
from tests.held import again_if_held

RUNNER = CliRunner()


def written(tmp_path: Path, name: str, text: str) -> Path:
    file = tmp_path / name
    file.write_text(text)
    return file


@again_if_held
def test_two_jobs_report_every_story_in_order_and_fail_the_run_for_one(tmp_path: Path) -> None:
    files = [
        written(tmp_path, "a.yaml", TEMPLATE),
        written(tmp_path, "b.yaml", TEMPLATE.replace("0.60 USD", "0.61 USD")),
        written(tmp_path, "c.yaml", TEMPLATE),
    ]
    lines = tmp_path / "lines.jsonl"
    result = RUNNER.invoke(app, ["run", str(tmp_path), "--jobs", "2", "--json", str(lines)])
    assert result.exit_code == 1, result.output
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["file"] for row in rows] == [str(file) for file in files]
    assert [row["ok"] for row in rows] == [True, False, True]
    failed = [verdict for verdict in rows[1]["verdicts"] if not verdict["ok"]]
    assert [(verdict["name"], verdict["observed"]) for verdict in failed] == [
        ("bill.total", "0.60 USD")
    ]
    assert rows[0]["facts"]
    assert rows[0]["sip"]["ann"]


def test_each_job_has_ports_of_its_own_for_a_crowd_of_five_hundred() -> None:
    assert crew.PORTS_PER_JOB >= 2 * 1_000
    assert crew.PORTS_PER_JOB % 2 == 0
    assert crew.PORTS_FIRST + crew.JOBS_MAX * crew.PORTS_PER_JOB <= crew.PORTS_END < 65_536


def test_a_job_that_dies_fails_its_story_and_another_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = load_checked(written(tmp_path, "a.yaml", TEMPLATE))
    monkeypatch.setattr(crew, "_work", dies_at_the_first)
    monkeypatch.setenv("DIED", str(tmp_path / "died"))
    done = crew.run_parallel([story, story], 1, LabOptions(), lambda _: None)
    assert [result.ok for result in done] == [False, True]
    assert done[0].failures()[0].observed == "the process of this story ended with -9"


def dies_at_the_first(connection: Connection, options: LabOptions) -> None:
    """Die when the first story comes; at the second, in a new process, say that it held."""
    mark = Path(os.environ["DIED"])
    connection.recv()
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    story = Story.model_validate({"scenario": "any", "callers": {"ann": {"via": "voip"}}})
    connection.send(StoryResult(story, [Verdict(1, "x", True, "", "")]))
    connection.recv()


def test_runs_of_one_story_must_have_equal_verdicts_and_bills(tmp_path: Path) -> None:
    story = load_checked(written(tmp_path, "a.yaml", TEMPLATE))
    total = Verdict(9, "bill.total", True, "0.60 USD", "0.60 USD")
    heard = Verdict(8, "ann", True, "hears ben", "-16 dBFS")
    first = StoryResult(story, [heard, total])
    same = StoryResult(story, [Verdict(8, "ann", True, "hears ben", "-17 dBFS"), total])
    assert unequal([first, same]) == []
    other = StoryResult(story, [heard, Verdict(9, "bill.total", True, "0.60 USD", "0.61 USD")])
    assert "0.61 USD" in unequal([first, other])[0]
    assert unequal([first, StoryResult(story, [heard])])


def test_a_run_that_differs_fails_in_every_report(tmp_path: Path) -> None:
    story = load_checked(written(tmp_path, "a.yaml", TEMPLATE))
    runs = [
        StoryResult(story, [Verdict(9, "bill.lines", True, "x", seen)], page="<p>card</p>")
        for seen in ("x", "y", "x")
    ]
    said = "runs differ: line 9: bill.lines held (x), and now line 9: bill.lines held (y)"
    assert unequal(runs) == [f"{story.file}: {said}"]
    assert [one.ok for one in runs] == [True, False, True]
    assert runs[1].reason == said
    suite = ElementTree.fromstring(reports.junit(runs)).find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "1"
    assert [one.get("message") for one in suite.iter("failure")] == [said]
    rows = [json.loads(line) for line in reports.json_lines(runs).splitlines()]
    assert [(row["ok"], row["differs"]) for row in rows] == [(True, ""), (False, said), (True, "")]
    page = report(runs, beside=tmp_path)
    assert "2 of 3 stories held, 1 failed." in page
    assert page.count(said) == 2, "among all stories, and above its card"


@again_if_held
async def test_a_bill_is_kept_beside_the_story_and_compared(tmp_path: Path) -> None:
    story = load_checked(written(tmp_path, "a.yaml", TEMPLATE))
    golden = golden_file(story.file)
    for update in (True, False):
        lab = Lab.open(LabOptions(update_golden=update))
        try:
            result = await lab.run(story)
        finally:
            await lab.close()
        assert result.ok
        assert "bill.golden" in [verdict.name for verdict in result.verdicts]
    golden.write_text(golden.read_text().replace('"amount": "0.60"', '"amount": "0.66"'))
    lab = Lab.open()
    try:
        result = await lab.run(story)
    finally:
        await lab.close()
    (failure,) = result.failures()
    assert failure.name == "bill.golden"
    assert '-        "amount": "0.66",' in failure.observed
    assert '+        "amount": "0.60",' in failure.observed


@again_if_held
async def test_a_bill_that_is_kept_is_compared_whatever_the_story_expects(tmp_path: Path) -> None:
    text = TEMPLATE[: TEMPLATE.index("  bill:")]
    story = load_checked(written(tmp_path, "a.yaml", text))
    golden = golden_file(story.file)
    lab = Lab.open(LabOptions(update_golden=True))
    try:
        first = await lab.run(story)
        golden.write_text("[]\n")
        lab.options = LabOptions()
        second = await lab.run(story)
    finally:
        await lab.close()
    assert first.ok
    assert first.notes == ("no a.bill.json is kept: it expects no bill at its end",)
    assert [verdict.name for verdict in second.failures()] == ["bill.golden"]
    assert second.notes == ()


@again_if_held
async def test_a_story_that_fails_gives_no_bill_to_keep(tmp_path: Path) -> None:
    wrong = TEMPLATE.replace("0.60 USD", "0.61 USD")
    story = load_checked(written(tmp_path, "a.yaml", wrong))
    lab = Lab.open(LabOptions(update_golden=True))
    try:
        result = await lab.run(story)
    finally:
        await lab.close()
    assert [verdict.name for verdict in result.failures()] == ["bill.total"]
    assert not golden_file(story.file).exists()


def test_a_long_difference_is_cut() -> None:
    assert difference("a\n", "a\n") == ""
    text = difference("\n".join(map(str, range(100))), "\n".join(map(str, range(100, 200))))
    assert text.endswith("lines more")


def test_tags_pick_stories_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    tagged = TEMPLATE.replace("rules:", "tags: [slow]\nrules:")
    stories = [
        load_checked(written(tmp_path, "a.yaml", TEMPLATE)),
        load_checked(written(tmp_path, "b.yaml", tagged)),
    ]
    assert with_tags(stories, []) == stories
    assert with_tags(stories, ["slow"]) == stories[1:]
    with pytest.raises(InputError, match="slow"):
        with_tags(stories, ["slwo"])
