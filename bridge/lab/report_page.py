"""The report of a run as one HTML file: failures first, each story with all that is known of it.

Puts the parts together; what they show is in `report_parts` and `report_sound`. Needs no network,
no script and no other file but the recordings that it links to.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from bridge.drawing import html
from bridge.lab import report_parts as parts
from bridge.lab.evidence import Evidence
from bridge.lab.report_sound import sound
from bridge.lab.verdicts import StoryResult, Verdict
from bridge.legstory import page as leg_page

FOLDER_MARK = "@@evidence-folder@@"
"""Stands in a card where links to the evidence begin: only the report knows where it lies."""

REASON_MAX = 200


def report(results: Sequence[StoryResult], *, beside: Path, took_s: float = 0.0) -> str:
    """Return the whole report; links to evidence are relative to the folder `beside`."""
    failed = [one for one in results if not one.ok]
    held = [one for one in results if one.ok]
    if len(results) == 1:
        under: Markup = html.element("p", results[0].story.scenario)
    else:
        took = f" in {took_s:.0f} s" if took_s else ""
        text = f"{len(held)} of {len(results)} stories held{took}, {len(failed)} failed."
        under = html.element("p", text)
    cards = [_placed(one, number, beside) for number, one in enumerate([*failed, *held])]
    if len(results) == 1 and held:  # nothing else is there to look at
        cards = [Markup(str(cards[0]).replace("<details>", '<details open="">', 1))]
    title = "Stories: all held" if not failed else f"Stories: {len(failed)} failed"
    body = html.join([*([_contents(failed, held)] if len(results) > 1 else []), *cards])
    return html.page(title, body, under=under)


def _contents(failed: Sequence[StoryResult], held: Sequence[StoryResult]) -> Markup:
    rows = [
        (
            _named(one, number),
            html.verdict(one.ok),
            *([one.reason[:REASON_MAX]] if failed else []),
            f"{one.seconds:.1f} s",
        )
        for number, one in enumerate([*failed, *held])
    ]
    head = ("Story", "Verdict", *(["First reason"] if failed else []), "Took")
    listed = html.table(head, rows, label="All stories, failures first", class_="short")
    return html.element("nav", listed, class_="card drawing", aria_label="All stories")


def _named(result: StoryResult, number: int) -> Markup:
    """Return a story's name as a link to its card, with its file."""
    link = html.element("a", result.story.scenario, href=f"#story-{number}")
    file = html.element("div", str(result.story.file), class_="dim")
    return html.join([link, file], "")


def _placed(result: StoryResult, number: int, beside: Path) -> Markup:
    """Return a story's card with its number, its links made relative to the report."""
    card_ = Markup(result.page.replace(FOLDER_MARK, quote(_relative(result, beside))))
    if result.differs:  # known once all have run
        differs = f"{result.story.scenario}: {result.differs}"
        card_ = html.join([html.element("p", differs, class_="fault"), card_])
    return html.element("div", card_, id=f"story-{number}")


def _relative(result: StoryResult, beside: Path) -> str:
    return os.path.relpath(result.folder or ".", beside)


def card(result: StoryResult, evidence: Evidence) -> Markup:
    """Return the card of one story."""
    story = result.story
    head = html.join(
        [
            html.verdict(result.ok),
            story.scenario,
            html.element("span", str(story.file), class_="dim"),
        ],
        " ",
    )
    content = html.join([_about(result), *_failures(result), *_sections(result, evidence)])
    inner = html.element("article", content)
    kind = f"card drawing {'held' if result.ok else 'failed'}"
    if result.ok:
        return html.element("section", html.opens(head, inner), class_=kind)
    return html.element("section", html.join([html.element("h2", head), inner]), class_=kind)


def _about(result: StoryResult) -> Markup:
    judged = [one for one in result.verdicts if one.applies]
    return html.pairs(
        [
            ("Proves", ", ".join(result.story.rules) or "no rule"),
            ("Expectations held", f"{sum(one.ok for one in judged)} of {len(judged)}"),
            ("Took", f"{result.seconds:.1f} s"),
            ("Late ticks", result.late or "not known"),
        ]
    )


def _failures(result: StoryResult) -> list[Markup]:
    """Return what did not hold, in plain words."""
    if not any(one.applies for one in result.verdicts):
        return [html.element("p", "Nothing was evaluated.", class_="fault")]
    return [_failure(one) for one in result.failures()]


def _failure(verdict: Verdict) -> Markup:
    head = html.element("h4", f"Line {verdict.line}: {verdict.name}")
    if "\n" in verdict.observed:
        lead = f"Expected: {verdict.expected}. Observed:"
        text = html.join([html.element("p", lead), html.lines_of(verdict.observed)])
    else:
        text = html.paragraphs(
            (f"Expected: {verdict.expected}", f"Observed: {verdict.observed}"),
        )
    return html.element("div", html.join([head, text]), class_="fault")


def _sections(result: StoryResult, evidence: Evidence) -> list[Markup]:
    """Return the parts that have something to show."""
    shown: list[tuple[str, Markup | None]] = [
        ("Who was where", parts.where(evidence)),
        ("Who heard whom", parts.audibility(evidence)),
        ("What each caller received, in real time", sound(evidence)),
        ("SIP", parts.ladder(evidence, result)),
        ("Facts", parts.facts(result, evidence)),
        ("The bill", parts.bill(evidence)),
        ("Every verdict", parts.verdicts(result.verdicts)),
        ("Recordings and packets", parts.recordings(evidence, FOLDER_MARK)),
    ]
    sections = [
        html.join([html.element("h3", title), body]) for title, body in shown if body is not None
    ]
    if evidence.legs:
        legs = [
            html.opens(f"The story of {one['name']} ({one['leg']})", leg_page.section(one))
            for one in evidence.legs
        ]
        more = evidence.legs_left_out
        left = (
            [html.element("p", f"{more} more legs have no story here.", class_="dim")]
            if more
            else []
        )
        sections.append(html.join([html.element("h3", "Leg by leg"), *legs, *left]))
    return sections
