"""The report of a load test as one page with plots over time; nothing is loaded from elsewhere."""

import itertools
import shlex
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from typing import Final

from bridge.lab.load.book import percentiles
from bridge.lab.load.mos import mos
from bridge.lab.load.plots import Line, plot
from bridge.lab.load.report import describe, headline, rows
from bridge.lab.load.run import Result, seconds_since

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1f2430;--soft:#5b6270;--line:#d9dde5;--card:#fff;
--page:#f5f6f9;--good:#047857;--bad:#be123c}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaf0;--soft:#a3abba;--line:#353b48;--card:#1c2029;
--page:#13161d;--good:#34d399;--bad:#fb7185}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0}
main{max-width:1120px;margin:0 auto;padding:24px 16px 48px}
h1{font-size:22px;margin:0}h2{font-size:16px;margin:28px 0 8px}
.verdict{font-size:18px;font-weight:600;margin:4px 0 0}
.good{color:var(--good)}.bad{color:var(--bad)}
code,.soft{color:var(--soft)}code{font-size:13px;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:12px;
margin:20px 0}
.card,figure,table{background:var(--card);border:1px solid var(--line);border-radius:8px}
.card{padding:10px 14px}.card b{display:block;font-size:21px}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:12px}
figure{margin:0;padding:10px 12px 4px}figcaption{display:flex;gap:14px;flex-wrap:wrap}
figcaption span{color:var(--soft);font-size:13px}
figcaption i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--soft)}
svg .grid{stroke:var(--line)}svg polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}
table{border-collapse:collapse;width:100%;overflow:hidden}td,th{padding:6px 12px;text-align:left;
border-top:1px solid var(--line);vertical-align:top}tr:first-child>*{border-top:0}
th{font-weight:500;color:var(--soft);white-space:nowrap}li{margin:2px 0}
"""


def to_html(result: Result, command: Sequence[str]) -> str:
    """Return the report as one page that needs nothing else."""
    plan, summary = result.plan, result.summary
    verdict = f'<p class="verdict {"good" if result.ok else "bad"}">{escape(headline(result))}</p>'
    broken = "".join(f"<li>{escape(line)}</li>" for line in result.broken)
    examples = "".join(f"<li>{escape(describe(plan, fault))}</li>" for fault in summary.examples)
    table = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows(summary)
    )
    title = f"{plan.participants} callers in {plan.conferences} conferences, {plan.profile}"
    return "".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>Load test: {escape(title)}</title><style>{STYLE}</style><main>",
            f"<h1>Load test: {escape(title)}</h1>{verdict}",
            f"<ul class='bad'>{broken}</ul>" if broken else "",
            f"<p><code>{escape(shlex.join(command))}</code></p>",
            f"<div class='cards'>{_cards(result)}</div>",
            _steps(result),
            f"<h2>Over time</h2><div class='plots'>{_plots(result)}</div>",
            f"<h2>Figures</h2><table>{table}</table>",
            f"<h2>Faults heard, the first of them</h2><ul>{examples}</ul>" if examples else "",
            "</main></html>",
        ]
    )


def _cards(result: Result) -> str:
    s = result.summary
    faults = s.missing + s.wrong + s.own
    cards = [
        ("calls connected", f"{s.connected} / {s.calls}"),
        ("set-up p99", f"{s.setup_ms.get('p99', 0):g} ms"),
        ("packets a second", f"{s.pps_least or s.pps_mean:g}"),
        ("lost", f"{s.loss:g} %"),
        ("voices due", f"{s.voices}"),
        ("missing, wrong, own", f"{faults}"),
        ("delay p50", f"{s.delay_ms.get('p50', 0):g} ms"),
        ("MOS, worst caller", f"{s.mos_min:g}"),
    ]
    return "".join(
        f"<div class='card'><b>{escape(value)}</b><span class='soft'>{escape(name)}</span></div>"
        for name, value in cards
    )


def _steps(result: Result) -> str:
    if not result.searched:
        return ""
    lines = "".join(
        f"<tr><td>{step.participants}</td><td>{step.summary.pps_mean:g}</td>"
        f"<td>{step.summary.loss:g} %</td><td>{step.summary.setup_ms.get('p99', 0):g} ms</td>"
        f"<td>{step.summary.bridge_cores:g}</td>"
        f"<td class='{'bad' if step.broken else 'good'}'>"
        f"{escape('; '.join(step.broken)) or 'held'}</td></tr>"
        for step in result.steps
    )
    head = (
        "<th>callers</th><th>packets/s</th><th>lost</th><th>set-up p99</th><th>cores</th><th></th>"
    )
    return f"<h2>Steps</h2><table><tr>{head}</tr>{lines}</table>"


def _plots(result: Result) -> str:
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
    return "".join(plot(title, lines, end=end, least_top=top) for title, lines, top in figures)


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
