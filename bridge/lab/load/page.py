"""The report of a load test as one page with plots over time; nothing is loaded from elsewhere."""

import itertools
import shlex
from collections import defaultdict
from collections.abc import Sequence

from markupsafe import Markup

from bridge.drawing.html import (
    NOTHING,
    element,
    join,
    listed,
    opens,
    page,
    pairs,
    table,
    verdict,
)
from bridge.lab.load.book import percentiles
from bridge.lab.load.mos import mos
from bridge.lab.load.plots import Line, plot
from bridge.lab.load.report import describe, headline, rows
from bridge.lab.load.run import Result, seconds_since
from bridge.lab.load.worst import WorstLeg
from bridge.legstory import page as leg_page


def to_html(result: Result, command: Sequence[str]) -> str:
    """Return the report as one page that needs nothing else."""
    plan = result.plan
    title = f"Load test: {plan.participants} callers in {plan.conferences} conferences"
    faults = [describe(plan, fault) for fault in result.summary.examples]
    body = join(
        [
            _card("Verdict", _verdict(result), class_="held" if result.ok else "failed"),
            _card("Steps", _steps(result)) if result.searched else NOTHING,
            _card("Over time", element("div", _plots(result), class_="plots")),
            _card("Figures", table(["", ""], rows(result.summary), label="Figures")),
            _card("Faults heard, the first of them", listed(faults)) if faults else NOTHING,
            _card("Worst legs", _worst(result)) if result.worst else NOTHING,
        ]
    )
    said = join([f"Profile {plan.profile}. ", element("code", shlex.join(command))], "")
    return page(title, body, under=element("p", said))


def _card(title: str, content: Markup, *, class_: str = "") -> Markup:
    head = element("h2", title)
    return element("section", join([head, content]), class_=f"card drawing {class_}".rstrip())


def _verdict(result: Result) -> Markup:
    s = result.summary
    facts = [
        ("calls connected", f"{s.connected} of {s.calls}"),
        ("set-up p99", f"{s.setup_ms.get('p99', 0):g} ms"),
        ("packets a second, least of a caller", f"{s.least_pps:g}"),
        ("lost", f"{s.loss:g} %"),
        ("voices due", f"{s.voices}"),
        ("missing, wrong, own", f"{s.missing}, {s.wrong}, {s.own}"),
        ("delay p50", f"{s.delay_ms.get('p50', 0):g} ms"),
        ("MOS estimate, worst caller", f"{s.mos_min:g}"),
    ]
    said = element("p", join([verdict(result.ok), headline(result)], " "))
    broken = listed(result.broken) if result.broken else NOTHING
    return join([said, broken, pairs(facts)])


def _steps(result: Result) -> Markup:
    lines = [
        (
            str(step.participants),
            f"{step.summary.pps_mean:g}",
            f"{step.summary.loss:g} %",
            f"{step.summary.setup_ms.get('p99', 0):g} ms",
            f"{step.summary.bridge_cores:g}",
            join([verdict(not step.broken), "; ".join(step.broken)], " "),
        )
        for step in result.steps
    ]
    head = ("callers", "packets/s", "lost", "set-up p99", "bridge's cores", "")
    return table(head, lines, label="Steps")


def _worst(result: Result) -> Markup:
    """Return the worst legs in one table, and each one's story: the bridge's or his caller's."""
    head = ("Caller", "Among the worst in", "Called at", "Set-up", "Packets/s", "Lost", "Late")
    lines = [
        (
            f"{leg.caller} (conference {leg.conference}, seat {leg.seat})",
            "; ".join(leg.reasons),
            f"{seconds_since(result, leg.dialled_ns):.1f} s",
            "none" if leg.setup_ms is None else f"{leg.setup_ms:.0f} ms",
            f"{leg.pps:g}",
            f"{leg.lost_percent:g} %",
            f"{leg.late_percent:g} %",
            f"{leg.gaps}",
            f"{leg.jitter_ms:.1f} ms",
        )
        for leg in result.worst
    ]
    stories = [_story(result, leg) for leg in result.worst]
    listed_ = table((*head, "Gaps", "Jitter"), lines, label="Worst legs")
    return join([listed_, *stories])


def _story(result: Result, leg: WorstLeg) -> Markup:
    """Return what there is to read of a leg."""
    calls = f"{leg.calls} call{'s' if leg.calls != 1 else ''}, {leg.received} packets received"
    unheard = [f"nobody heard him in {leg.unheard} turns"] if leg.unheard else []
    heard = [describe(result.plan, fault) for fault in leg.faults]
    own = listed([calls, *unheard, *heard])
    told = result.stories.get(leg.caller)
    if told is not None:
        more = leg_page.section(told)
    elif result.ours:
        more = element("p", "The bridge has no story of this call.", class_="dim")
    else:
        text = "What the bridge saw of this call is not known: it is not ours."
        more = element("p", text, class_="dim")
    named = told["leg"] if told else "his own side"
    return opens(f"The story of caller {leg.caller} ({named})", join([own, more]))


def _plots(result: Result) -> Markup:
    seconds, delay = result.book.seconds, result.summary.delay_ms.get("p50", 0.0)

    def line(name: str, key: str, *, steady: bool = False) -> Line:
        return Line(
            name,
            [
                (seconds_since(result, row["at_ns"]), float(row.get(key, 0.0)))
                for row in seconds
                if row["at_ns"] <= result.ended_ns and (row["steady"] or not steady)
            ],
        )

    losses, scores = [], []
    for before, row in itertools.pairwise(seconds):
        gone, late = row["lost"] - before["lost"], row["late"] - before["late"]
        share = gone / max(row["packets"] + gone, 1)
        if row["steady"] and row["at_ns"] <= result.ended_ns:
            at = seconds_since(result, row["at_ns"])
            losses.append((at, 100 * share))
            scores.append((at, mos(min(share + late / max(row["packets"], 1), 1), delay)))
    figures = [
        ("Callers", [line("in a call", "sending"), line("settled", "steady")], 1),
        ("Set-up, ms", _setups(result), 1),
        (
            "Packets a second of a caller",
            [line("mean", "pps_mean", steady=True), line("least", "pps_min", steady=True)],
            60,
        ),
        ("Lost, %", [Line("lost", losses)], 1),
        ("Faults in the ears examined", _faults(result), 1),
        ("Delay through the bridge, ms", _delays(result), 50),
        ("Longest gap between two packets, ms", [line("gap", "gap_ms_max", steady=True)], 50),
        ("MOS estimate", [Line("mean", scores)], 5),
        (
            "Cores",
            [
                line("bridge", "bridge_cores"),
                line("callers' RTP", "cpu_cores"),
                line("callers' SIP, verdicts", "sip_cores"),
            ],
            1,
        ),
    ]
    end = max(seconds_since(result, result.ended_ns), 1.0)
    return join(plot(title, lines, end=end, least_top=top) for title, lines, top in figures)


def _setups(result: Result) -> list[Line]:
    grouped: dict[int, list[float]] = defaultdict(list)
    for call in result.book.calls:
        if call.setup_ms is not None:
            grouped[int(seconds_since(result, call.dialled_ns))].append(call.setup_ms)
    figures = {at: percentiles(values) for at, values in sorted(grouped.items())}
    return [
        Line(name, [(float(at), figure[name]) for at, figure in figures.items()])
        for name in ("p50", "max")
    ]


def _faults(result: Result) -> list[Line]:
    return [
        Line(
            what,
            [
                (
                    seconds_since(result, heard.at_ns),
                    float(sum(fault.what == what for fault in heard.faults)),
                )
                for heard in sorted(result.book.ears, key=lambda heard: heard.at_ns)
                if heard.at_ns <= result.ended_ns
            ],
        )
        for what in ("missing", "wrong", "own")
    ]


def _delays(result: Result) -> list[Line]:
    figures = [
        (seconds_since(result, heard.at_ns), percentiles(heard.delays_ms))
        for heard in sorted(result.book.ears, key=lambda heard: heard.at_ns)
        if heard.delays_ms and heard.at_ns <= result.ended_ns
    ]
    return [Line(name, [(at, figure[name]) for at, figure in figures]) for name in ("p50", "max")]
