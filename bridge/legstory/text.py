"""A leg's story as text for a terminal: rich, in the width there is; reads the plain structure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bridge.legstory.axis import clock_text
from bridge.units import ConfMs, utc_of

NAMES: Final = 16
WIDTH_MAX: Final = 120
FILL: Final[Mapping[str, tuple[str, str]]] = {
    "prompt": ("░", "white"),
    "waiting": ("▒", "yellow"),
    "hosting": ("▓", "magenta"),
    "joined": ("█", "green"),
    "hold": ("─", "white"),
    "talk": ("▄", "cyan"),
    "heard": ("▄", "blue"),
    "lost": ("!", "red"),
}
"""How a kind of bar is drawn; told apart without colour too."""


def show(story: Mapping[str, Any], console: Console) -> None:
    """Print a story."""
    began = began_at(story)
    console.print(f"[bold]leg {escape(story['leg'])}[/]  {escape(story['who'])}, from {began}")
    about = ", ".join(f"{key} {value}" for key, value in story["about"].items() if value)
    console.print(escape(about), style="dim", soft_wrap=True)
    for note in story["notes"]:
        console.print(f"• {escape(note)}", soft_wrap=True)
    _chart(story, console)
    _ladder(story, console)
    _facts(story, console)
    _media(story, console)
    _cents(story, console)
    for text in story["not_kept"]:
        console.print(f"Not kept: {escape(text)}", style="yellow", soft_wrap=True)


def began_at(story: Mapping[str, Any]) -> str:
    """Return when a story's axis begins, in conference time."""
    return f"{utc_of(ConfMs(story['axis']['begin_ms'])):%Y-%m-%d %H:%M:%S} UTC"


def lanes_of(story: Mapping[str, Any]) -> list[tuple[str, list[tuple[float, float, str, str]]]]:
    """Return the lanes of a story's chart: name, and bars as from, to, kind, text."""
    lanes = [("where", [_bar(one, one["kind"], one["text"]) for one in story["spans"]])]
    if story["holds"]:
        lanes.append(("on hold", [_bar(one, "hold", "on hold") for one in story["holds"]]))
    if story["talk"]:
        lanes.append(("talks", [_bar(one, "talk", "") for one in story["talk"]]))
    for other in story["heard"]:
        bars = [_bar(one, "heard", "") for one in other["spans"]]
        lanes.append((f"hears {other['name']}", bars))
    if any(one["lost"] > 0 or one["late"] for one in story["quality"]):
        lanes.append(("lost, late", list(_loss_bars(story["quality"]))))
    return lanes


def _bar(span: Mapping[str, Any], kind: str, text: str) -> tuple[float, float, str, str]:
    return span["from"]["x"], span["to"]["x"], kind, text


def _loss_bars(samples: Sequence[Mapping[str, Any]]) -> Iterator[tuple[float, float, str, str]]:
    """Yield the stretches between two reports in which packets were lost or late."""
    x, lost, late = 0.0, 0, 0
    for one in samples:
        more_lost, more_late = max(one["lost"] - lost, 0), one["late"] - late
        if more_lost or more_late:
            yield x, one["x"], "lost", f"{more_lost} lost, {more_late} late"
        x, lost, late = one["x"], max(one["lost"], lost), one["late"]


def _chart(story: Mapping[str, Any], console: Console) -> None:
    width = min(console.width, WIDTH_MAX) - NAMES - 1
    if width < 20:
        return
    for name, bars in lanes_of(story):
        cells = [" "] * width
        for x0, x1, kind, _ in bars:
            fill, colour = FILL[kind]
            first, last = int(x0 * (width - 1)), max(round(x1 * (width - 1)), int(x0 * (width - 1)))
            for cell in range(first, last + 1):
                cells[cell] = f"[{colour}]{fill}[/]"
        console.print(f"{escape(name[:NAMES]):<{NAMES}} {''.join(cells)}", soft_wrap=True)
    console.print(f"{'':<{NAMES}} {_ticks(story, width)}", style="dim", soft_wrap=True)
    used = dict.fromkeys(kind for _, bars in lanes_of(story) for _, _, kind, _ in bars)
    key = "  ".join(f"{FILL[kind][0]} {kind}" for kind in used)
    console.print(f"{'':<{NAMES}} {key}", style="dim", soft_wrap=True)


def _ticks(story: Mapping[str, Any], width: int) -> str:
    row = ""
    for x, text in story["axis"]["ticks"]:
        at = min(round(x * (width - 1)), width - len(text))
        if at >= len(row) + bool(row):
            row = f"{row:<{at}}{text}"
    return row


def _ladder(story: Mapping[str, Any], console: Console) -> None:
    console.print("[bold]SIP[/], by conference time and by real time since the leg began")
    for one in story["sip"]:
        arrow = "←" if one["sent"] else "→"
        more = "; ".join(filter(None, (one["cseq"], one["media"], one["reason"])))
        console.print(
            f"  {clock_text(one['since_ms']):>9} {one['real_ms'] / 1_000:9.3f} s  {arrow} bridge  "
            f"{escape(one['text'])}  [dim]{escape(more)}[/]",
            soft_wrap=True,
            highlight=False,
        )
    if not story["sip"]:
        console.print("  nothing is kept", style="dim")


def _facts(story: Mapping[str, Any], console: Console) -> None:
    console.print("[bold]facts[/]")
    for one in story["facts"]:
        data = " ".join(f"{key}={value}" for key, value in one["data"].items() if key != "leg")
        console.print(
            f"  {clock_text(one['since_ms']):>9}  {one['type']:<18} {escape(data)}",
            soft_wrap=True,
            highlight=False,
        )


def _media(story: Mapping[str, Any], console: Console) -> None:
    if story["quality"]:
        table = Table("at", "lost", "late", "jitter", "round trip", "lost by the other side")
        for one in story["quality"][-12:]:
            trip = one["round_trip_ms"]
            table.add_row(
                clock_text(one["since_ms"]),
                str(one["lost"]),
                str(one["late"]),
                f"{one['jitter_ms']:.1f} ms",
                "not known" if trip is None else f"{trip:.1f} ms",
                f"{one['far_lost_share']:.1%}",
            )
        console.print("[bold]media[/], totals of RTCP's reports, the latest")
        console.print(table)


def _cents(story: Mapping[str, Any], console: Console) -> None:
    console.print("[bold]what it costs[/]")
    for line in working_of(story):
        console.print(f"  {escape(line)}", soft_wrap=True, highlight=False)


def working_of(story: Mapping[str, Any]) -> list[str]:
    """Return the working of each cent as lines."""
    lines = [story["open"]] if story["open"] else []
    for one in story["cents"]:
        parts = len(story["cents"]) > 1
        lines.append(
            (f"part {one['part']}, {one['month']}: " if parts else "")
            + f"{one['duration_ms']} ms, {one['billable_seconds']} whole seconds"
            + (f", {one['billed_seconds']} s by {one['increment']}" if one["working"] else "")
            + f": {one['rule']}"
        )
        if one["working"]:
            lines.append(f"  {one['working']} {one['currency']} ({one['invoice']})")
        elif one["reason"] != "billable":
            lines.append("  0: nothing is charged")
    return lines or ["nothing is settled yet"]
