"""Results for people (rich), for CI (JUnit XML) and for scripts (JSON lines); judges nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from rich.console import Console
from rich.markup import escape

from bridge.lab.verdicts import StoryResult
from bridge.units import NS_PER_S, utc_of

FACTS_SHOWN_MAX: Final = 60
_XML_FORBIDDEN: Final = {code: None for code in range(32) if code not in (9, 10, 13)}


def show(result: StoryResult, console: Console) -> None:
    """Print one story's result; a failed one with all that is known of it."""
    mark = "[green]ok  [/]" if result.ok else "[red]FAIL[/]"
    judged = [verdict for verdict in result.verdicts if verdict.applies]
    held = sum(verdict.ok for verdict in judged)
    others = len(result.verdicts) - len(judged)
    skipped = f", {others} not applicable" if others else ""
    console.print(
        f"{mark} {escape(str(result.story.file))}  {escape(result.story.scenario)}"
        f"  [dim]{held}/{len(judged)}{skipped}, {result.seconds:.1f} s[/]",
        soft_wrap=True,
    )
    for note in result.notes:
        console.print(f"     note: {escape(note)}", soft_wrap=True, highlight=False)
    if not result.ok:
        for line in evidence(result):
            console.print(f"     {escape(line)}", soft_wrap=True, highlight=False)
    if result.folder:
        console.print(f"     evidence: {escape(result.folder)}", soft_wrap=True, highlight=False)


def evidence(result: StoryResult) -> list[str]:
    """Return the lines that explain a failure: verdicts, SIP ladders, facts."""
    lines = []
    for verdict in result.failures():
        lines.append(f"{result.story.file}:{verdict.line}: {verdict.name}")
        lines.append(f"  expected: {verdict.expected}")
        lines.append(f"  observed: {verdict.observed}")
    if result.differs:
        lines.append(result.differs)
    if not any(verdict.applies for verdict in result.verdicts):
        lines.append("nothing was evaluated")
    for name, ladder in result.ladders.items():
        lines.append(f"SIP of {name}:" + ("" if ladder else " never dialled"))
        lines += [
            f"  {(rung.at_ns - result.began_ns) / NS_PER_S:8.3f} s  {rung.text}" for rung in ladder
        ]
    if result.late:
        lines.append(f"late ticks: {result.late}")
    lines.append(f"facts ({len(result.facts)}), conference time:")
    for fact in result.facts[:FACTS_SHOWN_MAX]:
        at = utc_of(fact.at).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        data = {k: v for k, v in fact.data.items() if k not in {"account", "session"}}
        lines.append(f"  {at}  {fact.type:<18} {fact.id}  {json.dumps(data)}")
    if len(result.facts) > FACTS_SHOWN_MAX:
        lines.append(f"  and {len(result.facts) - FACTS_SHOWN_MAX} more")
    return lines


def json_lines(results: Sequence[StoryResult]) -> str:
    """Return one JSON object a story, a line each."""
    return "".join(json.dumps(as_json(result), ensure_ascii=False) + "\n" for result in results)


def as_json(result: StoryResult) -> dict[str, Any]:
    """Return one story's result for scripts."""
    return {
        "file": str(result.story.file),
        "scenario": result.story.scenario,
        "rules": list(result.story.rules),
        "ok": result.ok,
        "differs": result.differs,
        "seconds": round(result.seconds, 3),
        "notes": list(result.notes),
        "late_ticks": result.late,
        "evidence": list(result.files),
        "verdicts": [verdict.as_json() for verdict in result.verdicts],
        "facts": [
            {"id": f.id, "type": f.type, "time": utc_of(f.at).isoformat(), "data": dict(f.data)}
            for f in result.facts
        ],
        "sip": {
            name: [
                {"at_s": round((rung.at_ns - result.began_ns) / NS_PER_S, 3), "text": rung.text}
                for rung in ladder
            ]
            for name, ladder in result.ladders.items()
        },
    }


def junit(results: Sequence[StoryResult]) -> str:
    """Return JUnit XML: a suite a run, a case a story, a failure with its evidence."""
    failed = sum(not result.ok for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name="tollbridge scenario",
        tests=str(len(results)),
        failures=str(failed),
        errors="0",
        skipped="0",
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_clean(str(result.story.file.with_suffix("")).replace("/", ".")),
            name=_clean(result.story.scenario),
            file=_clean(str(result.story.file)),
            time=f"{result.seconds:.3f}",
        )
        if not result.ok:
            failure = ElementTree.SubElement(case, "failure", message=_clean(result.reason))
            failure.text = _clean("\n".join(evidence(result)))
        if result.files:  # in the manner that Jenkins, GitLab and others show attachments
            out = ElementTree.SubElement(case, "system-out")
            out.text = _clean("\n".join(f"[[ATTACHMENT|{file}]]" for file in result.files))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(
        suites, encoding="unicode"
    )


def _clean(text: str) -> str:
    """Return text without the control characters that XML cannot hold."""
    return text.translate(_XML_FORBIDDEN)


def write(file: Path, text: str) -> None:
    """Write a report, making its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
