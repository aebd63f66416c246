"""The HTML report: failures first and in plain words, one file, escaped, links that lead there."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from bridge.conference.api import Fact
from bridge.drawing import sound
from bridge.lab.audibility import Hearing, ToneReport
from bridge.lab.callers import Rung
from bridge.lab.cli import TEMPLATE
from bridge.lab.evidence import Done, Evidence, SipSeen, clear, folder_name
from bridge.lab.expectations import Audio
from bridge.lab.hearing import Heard, Listened
from bridge.lab.reading import load_story
from bridge.lab.report_page import card, report
from bridge.lab.story import Story
from bridge.lab.tracks import Track
from bridge.lab.verdicts import StoryResult, Verdict
from bridge.lab.voice import sine
from bridge.legstory.axis import Axis
from bridge.legstory.build import leg_story
from bridge.legstory.sipline import SipLine
from bridge.units import NS_PER_S, ConfMs
from tests.bridge.drawing.test_drawing import Tags
from tests.bridge.legstory.test_story import CONF, EXPLANATION, diary

BAD = "<img src=x onerror=alert(1)>"
BEGAN_NS = 50 * NS_PER_S


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Return a story whose sentence wants to be an element."""
    file = tmp_path / "a [story].yaml"
    file.write_text(TEMPLATE.replace("Two callers meet and hear each other", f"'{BAD}'"))
    return load_story(file)


def tone(dbfs: float) -> ToneReport:
    return ToneReport(median_dbfs=dbfs, peak_dbfs=dbfs, gap_ms=0, missing=0.0)


def listened() -> Iterator[Listened]:
    hearing = Hearing(1.0, -16.0, -16.0, 0.0, {"ann": tone(-120), "olivia": tone(-16.4)}, {})
    faults = ("olivia is heard",)
    heard = Heard(False, "olivia is heard", faults, hearing, {}, BEGAN_NS, BEGAN_NS + NS_PER_S)
    late = "olivia is heard 240 ms late"
    gauged = dataclasses.replace(heard, faults=(late,), measured=(late, "packets of 20 ms"))
    yield Listened(
        10,
        "ann",
        Audio.model_validate({"hears": "olivia", "delay": "200ms", "packets": "20ms"}),
        gauged,
    )
    bare = Heard(True, "packets of 20 ms", measured=("packets of 20 ms",))
    yield Listened(11, "ann", Audio.model_validate({"packets": "20ms"}), bare)
    yield Listened(9, "ann", Audio(not_hears=("olivia", "dtmf")), heard)
    quiet = Heard(False, "ann is not heard", ("ann is not heard",), hearing)
    yield Listened(9, "olivia", Audio(hears=("ann",)), quiet)


def evidence() -> Evidence:
    leg = leg_story("leg-1", diary(), EXPLANATION)
    leg |= {"name": "ann", "begun_ns": BEGAN_NS + NS_PER_S}
    return Evidence(
        began_ns=BEGAN_NS,
        axis=Axis.of(
            [(0.0, CONF), (9_000.0, CONF + 300_000)], running=False, end=(11_000.0, CONF + 300_000)
        ),
        begin_ms=CONF,
        steps=[Done(8, f"ann: join {BAD}", BEGAN_NS, BEGAN_NS + NS_PER_S)],
        listened=list(listened()),
        sip=[
            SipSeen("ann", BEGAN_NS, CONF, True, SipLine(f"INVITE sip:{BAD}", "1 INVITE", "", ""))
        ],
        legs=[leg],
    )


def result_of(story: Story, *, ok: bool) -> StoryResult:
    verdict = Verdict(9, "ann", ok, "does not hear olivia", f"olivia is heard {BAD}")
    fact = Fact("leg-1/1", "leg.answered", ConfMs(CONF), "leg-1", {"leg": "leg-1", "ani": BAD})
    golden = Verdict(1, "bill.golden", ok, "a.bill.json", "--- golden\n+++ now\n-0.42\n+0.30")
    return StoryResult(
        story,
        [verdict, golden],
        facts=(fact,),
        ladders={"ann": [Rung(BEGAN_NS + 10, "→ keys 482913#")]},
        began_ns=BEGAN_NS,
        seconds=1.5,
    )


def drawn(result: StoryResult, more: Evidence | None = None) -> StoryResult:
    result.page = str(card(result, more or evidence()))
    return result


def test_failures_come_first_with_what_was_expected_and_observed(
    story: Story, tmp_path: Path
) -> None:
    held, failed = drawn(result_of(story, ok=True)), drawn(result_of(story, ok=False))
    text = report([held, failed], beside=tmp_path, took_s=7)
    assert "1 of 2 stories held in 7 s, 1 failed." in text
    assert text.index('class="card drawing failed"') < text.index('class="card drawing held"')
    assert "<h4>Line 9: ann</h4>" in text
    assert "Expected: does not hear olivia" in text
    assert "Expected: a.bill.json. Observed:" in text
    assert "-0.42\n+0.30" in text


def test_whatever_a_story_a_caller_or_a_message_says_stays_text(
    story: Story, tmp_path: Path
) -> None:
    text = report([drawn(result_of(story, ok=False))], beside=tmp_path)
    tags = Tags(text).seen
    assert "img" not in tags
    assert "script" not in tags
    assert text.count("&lt;img") >= 6
    for outside in ("http:", "https:", "//cdn", "@import", "url("):
        assert outside not in text, outside


def test_the_matrix_says_who_was_heard_by_whom_and_what_should_have_been(story: Story) -> None:
    text = drawn(result_of(story, ok=False)).page
    assert (
        '<span class="unmet">✗</span> -16 dB <span class="unmet">must not be heard</span>' in text
    )
    assert '<span class="unmet">✗</span> silent <span class="unmet">must be heard</span>' in text
    assert '<span class="met">✓</span> none <span class="dim">must not be heard</span>' in text


def test_the_matrix_says_what_was_measured_and_which_of_it_is_not_as_it_must_be(
    story: Story,
) -> None:
    text = drawn(result_of(story, ok=False)).page
    late = '<span class="unmet">✗</span> olivia is heard 240 ms late'
    assert late in text
    assert text.count('<span class="met">✓</span> packets of 20 ms') == 2
    assert '<span class="unmet">✗</span> -16 dB <span class="unmet">must be heard</span>' in text


def test_who_was_where_the_ladder_and_the_leg_are_told_on_conference_time(story: Story) -> None:
    text = drawn(result_of(story, ok=False)).page
    assert "left: waiting timeout" in text
    assert "5:00 of conference time pass at once" in text
    assert "keys 482913#" in text
    assert "The story of ann (leg-1)" in text
    assert "300 s x 0.06/min = 0.30 USD" in text


def test_a_phone_whose_packets_nobody_saw_has_the_ladder_that_it_noted(story: Story) -> None:
    more, result = evidence(), result_of(story, ok=False)
    result.ladders["ben"] = [Rung(BEGAN_NS, "→ INVITE sip:ben"), Rung(BEGAN_NS + 5, "← 486")]
    text = drawn(result, more).page
    assert ">INVITE sip:ben<" in text
    assert ">486<" in text


def test_what_callers_received_is_drawn_and_without_matplotlib_that_is_said(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = evidence()
    more.tracks = {
        ("ann", False): Track(sine(440, 16_000), 0.5, 100),
        ("ann", True): Track(np.zeros(9, np.int16), 0, 1),
    }
    pytest.importorskip("matplotlib")
    text = drawn(result_of(story, ok=False), more).page
    assert "data:image/png;base64," in text
    assert 'class="listened unmet"' in text
    monkeypatch.setattr("bridge.lab.report_sound.spectrogram_uri", lambda *_: None)
    text = drawn(result_of(story, ok=False), more).page
    assert "data:image" not in text
    assert 'class="wave"' in text
    assert sound.MISSING in text.replace("&#39;", "'")


def test_links_lead_to_the_evidence_from_wherever_the_report_lies(
    story: Story, tmp_path: Path
) -> None:
    folder = tmp_path / "kept" / folder_name(story.file)
    more = evidence()
    more.files = {"ann sent": folder / "ann.sent.wav", "packets": folder / "packets.pcapng"}
    result = result_of(story, ok=False)
    result.folder = str(folder)
    drawn(result, more)
    for beside in (tmp_path / "out", folder):
        links = re.findall(r'href="([^"]*)"', report([result], beside=beside))
        lead = [(beside / unquote(link)).resolve() for link in links]
        assert folder / "packets.pcapng" in lead
        assert folder / "ann.sent.wav" in lead


def test_a_bridge_that_is_not_ours_leaves_what_its_callers_saw(story: Story) -> None:
    more = dataclasses.replace(evidence(), axis=None, legs=(), begin_ms=0)
    more.sip = [dataclasses.replace(one, conf_ms=None) for one in more.sip]
    text = drawn(result_of(story, ok=True), more).page
    assert "INVITE" in text
    assert "Who was where" not in text


def test_only_what_earlier_runs_of_the_same_stories_left_is_removed(
    story: Story, tmp_path: Path
) -> None:
    where = tmp_path / "kept"
    names = (
        folder_name(story.file),
        f"{folder_name(story.file)}.2",
        "other-story",
        f"{folder_name(story.file)}-mine",
    )
    for name in names:
        (where / name).mkdir(parents=True)
        (where / name / "report.html").write_text("x")
    (where / f"{folder_name(story.file)}.3").mkdir()
    clear(where, [story.file])
    assert sorted(one.name for one in where.iterdir()) == sorted(
        [*names[2:], f"{folder_name(story.file)}.3"]
    )
    clear(tmp_path / "nothing", [story.file])
