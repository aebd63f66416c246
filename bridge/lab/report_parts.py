"""The parts of a story's card but sound: where everybody was, who heard whom, SIP, facts, bill."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup

from bridge.drawing import html, svg
from bridge.lab.audibility import ToneReport
from bridge.lab.callers import Rung
from bridge.lab.evidence import Evidence, SipSeen
from bridge.lab.expectations import DTMF
from bridge.lab.hearing import ABSENT_MS, Listened
from bridge.lab.verdicts import StoryResult, Verdict
from bridge.legstory.axis import clock_text
from bridge.legstory.build import RULES
from bridge.legstory.page import key_of, scale_of
from bridge.units import NS_PER_MS, NS_PER_S

SIP_ROWS_MAX: Final = 120
SAID_MAX: Final = 90
FACTS_MAX: Final = 200
LINES_MAX: Final = 200
BESIDE_SIP: Final = ("→ keys", "vanishes", "over")
"""What a caller's own ladder says beside the messages: shown between them."""


# --- where --------------------------------------------------------------------------------


def where(evidence: Evidence) -> Markup | None:
    """Return who was where on conference time, a lane a leg, under a lane of the story's steps."""
    axis = evidence.axis
    if axis is None or not evidence.legs:
        return None
    chart = svg.Chart("Who was where, on conference time", scale_of(axis.to_dict()))
    steps = []
    for step in evidence.steps:
        x = axis.x(_conf(evidence, step.from_ns), _real(evidence, step.from_ns))
        steps.append(svg.Bar(x, x, "mark", f"{step.line}", f"line {step.line}: {step.text}"))
    chart.lanes.append(svg.Lane("steps", steps))
    kinds: dict[str, None] = {}
    for leg in evidence.legs:
        shift = (leg["begun_ns"] - evidence.began_ns) / NS_PER_MS
        bars = []
        for span in (
            *leg["spans"],
            *({**one, "kind": "hold", "text": "on hold"} for one in leg["holds"]),
        ):
            x0, x1 = (_place(axis, span[end], shift) for end in ("from", "to"))
            kinds.setdefault(span["kind"])
            bars.append(svg.Bar(x0, x1, span["kind"], span["text"], span["text"]))
        left = leg["about"].get("left", "").replace("_", " ")
        if left and leg["spans"]:
            x = _place(axis, leg["spans"][-1]["to"], shift)
            bars.append(svg.Bar(x, x, "left", f"left: {left}", f"left: {left}"))
        chart.lanes.append(svg.Lane(leg["name"], bars))
    return html.join([chart.markup(), key_of(list(kinds))])


def _place(axis: Any, moment: Mapping[str, Any], shift: float) -> float:
    real = moment["real_ms"]
    return float(axis.x(moment["conf_ms"], None if real is None else real + shift))


def _real(evidence: Evidence, at_ns: int) -> float:
    return (at_ns - evidence.began_ns) / NS_PER_MS


def _conf(evidence: Evidence, at_ns: int) -> int:
    """Return conference time at a moment of the story, by its axis."""
    real = _real(evidence, at_ns)
    segments = evidence.axis.segments if evidence.axis else []
    inside = [one for one in segments if one.real0 <= real <= one.real1 and not one.jumps]
    if not inside:
        return evidence.begin_ms
    one = inside[-1]
    share = (real - one.real0) / (one.real1 - one.real0) if one.real1 > one.real0 else 0.0
    return round(one.conf0 + share * (one.conf1 - one.conf0))


# --- who heard whom -----------------------------------------------------------------------


def audibility(evidence: Evidence) -> Markup | None:
    """Return a matrix for each time that somebody listened: rows listen, columns speak."""
    groups: dict[int, list[Listened]] = {}
    for one in evidence.listened:
        groups.setdefault(one.line, []).append(one)
    tables = [_matrix(line, group) for line, group in groups.items()]
    return html.join(tables) if tables else None


def _matrix(line: int, group: Sequence[Listened]) -> Markup:
    speakers = list(
        dict.fromkeys(
            name for one in group if one.heard.hearing for name in one.heard.hearing.tones
        )
    )
    others = list(dict.fromkeys(name for one in group for name in _sounds_of(one, speakers)))
    measured = any(one.heard.measured for one in group)
    head = ("Listens", *(f"hears {name}" for name in (*speakers, *others)))
    rows = [
        (
            one.name,
            *(_cell(one, name) for name in speakers),
            *(_sound_cell(one, name) for name in others),
            *([_measured_cell(one)] if measured else []),
        )
        for one in group
    ]
    head = (*head, "Measured") if measured else head
    spans = [one.heard.to_ns - one.heard.from_ns for one in group]
    title = html.element("h4", f"Line {line}, {max(spans) / NS_PER_S:.1f} s of listening")
    table = html.table(head, rows, label=f"Who heard whom at line {line}", class_="matrix")
    return html.join([title, table])


def _sounds_of(one: Listened, speakers: Sequence[str]) -> Iterator[str]:
    """Yield the sounds that were asked for or heard, and silence where that was asked."""
    yield from (name for name in (*one.audio.hears, *one.audio.not_hears) if name not in speakers)
    if one.audio.silence:
        yield "silence"
    found = {**(one.heard.hearing.sounds if one.heard.hearing else {}), **one.heard.prompts}
    yield from (name for name, sound in found.items() if sound.matched_ms > ABSENT_MS)


def _cell(one: Listened, name: str) -> Markup:
    """Return one listener's level of one speaker, and whether it is as it must be."""
    tone = one.heard.hearing.tones.get(name) if one.heard.hearing else None
    level = _level(tone)
    if name in one.audio.hears:
        ok = not any(fault.startswith(f"{name} is ") for fault in one.heard.faults)
        return _judged(level, ok, "must be heard")
    if name in one.audio.not_hears:
        return _judged(level, f"{name} is heard" not in one.heard.faults, "must not be heard")
    if f"{name} hears himself" in one.heard.faults:
        return _judged(level, name != one.name, "must not be heard")
    return html.element("span", level, class_="dim")


def _measured_cell(one: Listened) -> Markup:
    """Return what was measured beyond who is heard, each with whether it is as it must be."""
    return html.listed(
        _judged(text, text not in one.heard.faults, "") for text in one.heard.measured
    )


def _sound_cell(one: Listened, name: str) -> Markup:
    if name == "silence":
        if not one.audio.silence:
            return html.NOTHING
        hearing = one.heard.hearing
        peak = f"up to {hearing.peak_dbfs:.0f} dB" if hearing else "not measured"
        return _judged(peak, bool(hearing and hearing.silent), "must be silent")
    if name == DTMF:
        leaks = [fault for fault in one.heard.faults if "tones of keys" in fault]
        return _judged(leaks[0] if leaks else "none", not leaks, "must not be heard")
    sounds = {**(one.heard.hearing.sounds if one.heard.hearing else {}), **one.heard.prompts}
    found = sounds.get(name)
    text = f"{found.matched_ms} ms" if found and found.matched_ms > ABSENT_MS else "not heard"
    if name in one.audio.hears:
        return _judged(text, f"{name} is not heard" not in one.heard.faults, "must be heard")
    if name in one.audio.not_hears:
        return _judged(text, f"{name} is heard" not in one.heard.faults, "must not be heard")
    return html.element("span", text, class_="dim")


def _level(tone: ToneReport | None) -> str:
    if tone is None:
        return "not measured"
    if tone.absent:
        return "silent"
    gap = f", {tone.gap_ms} ms gap" if tone.gap_ms else ""
    return f"{tone.median_dbfs:.0f} dB{gap}"


def _judged(text: str, ok: bool, wanted: str) -> Markup:
    mark = html.element("span", "✓" if ok else "✗", class_="met" if ok else "unmet")
    said = html.element("span", wanted, class_="dim" if ok else "unmet")
    return html.join([mark, text, said], " ")


# --- SIP ----------------------------------------------------------------------------------


def ladder(evidence: Evidence, result: StoryResult) -> Markup | None:
    """Return all callers' SIP in one ladder, with keys between; times of both clocks."""
    names = list(dict.fromkeys([*result.ladders, *(one.name for one in evidence.sip)]))
    rows = [(one.at_ns, _message(evidence, names, one)) for one in evidence.sip]
    seen = {one.name for one in evidence.sip}
    for name, rungs in result.ladders.items():
        for rung in rungs:
            if name not in seen or rung.text.startswith(BESIDE_SIP):
                conf = _conf(evidence, rung.at_ns) if evidence.axis else None
                rows.append((rung.at_ns, _own(evidence, names, name, rung, conf)))
    if not rows:
        return None
    rows.sort(key=lambda row: row[0])
    shown = [arrow for _, arrow in rows[:SIP_ROWS_MAX]]
    label = "SIP between callers and bridge"
    drawn = svg.ladder([*names, "bridge"], shown, label=label)
    more = len(rows) - len(shown)
    return html.join(
        [drawn, html.element("p", f"{more} more are in the packets.")] if more else [drawn]
    )


def _message(evidence: Evidence, names: Sequence[str], one: SipSeen) -> svg.Arrow:
    column, bridge = names.index(one.name), len(names)
    said = " · ".join(filter(None, (one.line.text, one.line.media, one.line.reason)))
    return svg.Arrow(
        at=_conf_text(evidence, one.conf_ms),
        also=f"{(one.at_ns - evidence.began_ns) / NS_PER_S:.3f} s",
        source=column if one.sent else bridge,
        target=bridge if one.sent else column,
        text=said if len(said) < SAID_MAX else said[: SAID_MAX - 1] + "…",
        kind="bad" if one.line.text[:1] in "456" and one.line.text[:3].isdigit() else "",
    )


def _own(
    evidence: Evidence, names: Sequence[str], name: str, rung: Rung, conf: int | None
) -> svg.Arrow:
    """Return what a caller noted himself; a message when his phone's packets were not seen."""
    column, bridge = names.index(name), len(names)
    message = rung.text[:2] in ("→ ", "← ") and not rung.text.startswith(BESIDE_SIP)
    sent = rung.text.startswith("→")
    return svg.Arrow(
        at=_conf_text(evidence, conf),
        also=f"{(rung.at_ns - evidence.began_ns) / NS_PER_S:.3f} s",
        source=bridge if message and not sent else column,
        target=bridge if message and sent else column,
        text=rung.text.removeprefix("→ ").removeprefix("← "),
        kind="" if message else "own",
    )


def _conf_text(evidence: Evidence, conf_ms: int | None) -> str:
    if conf_ms is None or evidence.axis is None:
        return ""
    return clock_text(conf_ms - evidence.axis.begin)


# --- facts, bill, verdicts, files ---------------------------------------------------------


def facts(result: StoryResult, evidence: Evidence) -> Markup | None:
    """Return the facts in their order, on conference time."""
    names = {leg["leg"]: leg["name"] for leg in evidence.legs}
    rows = [
        (
            clock_text(fact.at - evidence.begin_ms),
            fact.type,
            names.get(str(fact.data.get("leg", fact.subject)), fact.subject),
            ", ".join(
                f"{key} {value}"
                for key, value in fact.data.items()
                if key not in ("leg", "account", "session", "occurrence")
                and value not in ("", None)
            ),
            fact.id,
        )
        for fact in result.facts[:FACTS_MAX]
    ]
    if not rows:
        return None
    table = html.table(("At", "Fact", "Of", "What it says", "Id"), rows, label="Facts")
    more = len(result.facts) - len(rows)
    return html.join([table, html.element("p", f"and {more} more")] if more else [table])


def bill(evidence: Evidence) -> Markup | None:
    """Return each invoice with the working of its lines, and what was free and why."""
    if not evidence.invoices:
        return None
    names = {leg["leg"]: leg["name"] for leg in evidence.legs}
    return html.join(_invoice(one, names) for one in evidence.invoices)


def _invoice(invoice: Mapping[str, Any], names: Mapping[str, str]) -> Markup:
    currency = invoice["currency"]
    title = f"{invoice['month']}, {invoice['seller']}: {invoice['total']} {currency}"
    charged = [
        (
            names.get(line["leg"], line["leg"] or line["kind"]),
            f"{line['kind']} {line['country']}".strip(),
            f"{line['duration_ms'] / 1_000:.3f} s".replace(".000", ""),
            f"{line['billable_seconds']} s, by {line['increment']}: {line['billed_seconds']} s",
            line["working"],
            RULES.get(line["reason"], line["reason"]),
        )
        for line in invoice["lines"][:LINES_MAX]
    ]
    head = ("Leg", "Joined by", "Lasted", "Seconds", f"Working, {currency}", "Rule")
    pieces = [html.element("h4", title)]
    if charged:
        pieces.append(html.table(head, charged, label=f"Lines of {title}"))
    taxes = [
        f"{tax['name']}: {tax['working']} = {tax['amount']} {currency}" for tax in invoice["taxes"]
    ]
    free = [
        f"{one['legs']} {one['kind'].replace('_', ' ')}, {one['seconds']} s: 0.00, "
        f"{RULES.get(one['reason'], one['reason'])}"
        for one in invoice["free"]
    ]
    pieces.append(html.listed([*taxes, *free]))
    return html.join(pieces)


def verdicts(given: Sequence[Verdict]) -> Markup | None:
    """Return every verdict, in the order of evaluation."""
    if not given:
        return None
    rows = [
        (
            f"{one.line}",
            one.name,
            _badge(one),
            one.expected,
            html.lines_of(one.observed) if "\n" in one.observed else one.observed,
        )
        for one in given
    ]
    return html.table(("Line", "What", "Verdict", "Expected", "Observed"), rows, label="Verdicts")


def _badge(verdict: Verdict) -> Markup:
    if verdict.applies:
        return html.verdict(verdict.ok)
    return html.badge("not applicable" if verdict.ok else "did not hold", "plain")


def recordings(evidence: Evidence, folder: str) -> Markup | None:
    """Return links to what was written, recordings with something to play them."""
    if not evidence.files:
        return None
    items = []
    for name, file in evidence.files.items():
        link = f"{folder}/{quote(file.name)}"
        anchor = html.element("a", file.name, href=link)
        if file.suffix == ".wav":
            player = html.element(
                "audio", "", controls="", preload="none", src=link, aria_label=name
            )
            items.append(html.join([name, player, anchor], " "))
        else:
            items.append(html.join(["SIP and RTP of every caller, for Wireshark:", anchor], " "))
    if evidence.left_out:
        items.append(
            Markup("{} packets were left out: the capture was full.").format(evidence.left_out)
        )
    if evidence.lost:
        items.append(Markup("Not there: {}.").format(evidence.lost))
    return html.listed(items)
