"""A leg's story as HTML with its drawings: the same in a report and on the live page."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from bridge.drawing import html, svg
from bridge.legstory.axis import clock_text
from bridge.legstory.text import began_at, lanes_of, working_of

ABOUT: Final = {
    "via": "Joined by",
    "number": "Number",
    "dialled": "Dialled",
    "from": "SIP came from",
    "left": "Left",
}
KINDS: Final = {
    "prompt": "answered",
    "waiting": "waiting",
    "hosting": "hosting, not started",
    "joined": "in the conference",
    "hold": "on hold",
    "talk": "talks",
    "heard": "is heard",
    "lost": "packets lost or late",
}
SAMPLES_SHOWN: Final = 40


def whole_page(story: Mapping[str, Any]) -> str:
    """Return the story as a page of its own, in one file."""
    body = html.element("section", section(story), class_="card drawing")
    return html.page(f"The story of {story['who']}", body, under=html.element("p", story["leg"]))


def section(story: Mapping[str, Any]) -> Markup:
    """Return the story; a `drawing` must be around it."""
    began = began_at(story)
    said = {key: text.replace("_", " ") for key, text in story["about"].items()}
    about = [(label, said[key]) for key, label in ABOUT.items() if key in said]
    return html.join(
        [
            html.pairs([("Leg", story["leg"]), ("Began", began), *about]),
            html.paragraphs(story["notes"], "note"),
            chart(story),
            html.element("h4", "SIP, by conference time and real time"),
            _ladder(story),
            html.element("h4", "Media"),
            _media(story),
            html.element("h4", "Facts"),
            _facts(story["facts"]),
            html.element("h4", "What it costs, and why"),
            html.lines_of("\n".join(working_of(story))),
            html.paragraphs((f"Not kept: {text}" for text in story["not_kept"]), "dim"),
        ]
    )


def chart(story: Mapping[str, Any]) -> Markup:
    """Return the lanes of a story on its axis of conference time, and the key to their colours."""
    lanes = lanes_of(story)
    drawn = svg.Chart(f"Where {story['who']} was, on conference time", scale_of(story["axis"]))
    for name, bars in lanes:
        shown = [svg.Bar(x0, x1, kind, text, text or KINDS[kind]) for x0, x1, kind, text in bars]
        drawn.lanes.append(svg.Lane(name, shown))
    marks = [svg.Bar(one["x"], one["x"], "mark", _short(one), _mark(one)) for one in story["marks"]]
    if marks:
        drawn.lanes.append(svg.Lane("prompts, controls", marks))
    used = dict.fromkeys(kind for _, bars in lanes for _, _, kind, _ in bars)
    return html.join([drawn.markup(), key_of(list(used))])


def scale_of(axis: Mapping[str, Any]) -> svg.Scale:
    """Return an axis as a drawing takes it."""
    ticks = [(x, text) for x, text in axis["ticks"]]
    breaks = [(x0, x1, text) for x0, x1, text in axis["breaks"]]
    return svg.Scale(ticks, breaks, "conference time")


def key_of(kinds: Sequence[str]) -> Markup:
    """Return what the colours of bars mean."""
    boxes = [
        html.join(
            [
                Markup(
                    '<svg class="swatch" viewBox="0 0 14 10" width="14" height="10" '
                    'aria-hidden="true"><rect class="bar {}" width="14" height="10"/></svg>'
                ).format(kind),
                KINDS.get(kind, kind),
            ],
            " ",
        )
        for kind in kinds
    ]
    return html.element(
        "p", html.join((html.element("span", box) for box in boxes), " "), class_="key"
    )


def _mark(mark: Mapping[str, Any]) -> str:
    return f"{clock_text(mark['since_ms'])} {mark['what']} {mark['text']}".strip()


def _short(mark: Mapping[str, Any]) -> str:
    """Return a mark's text as there is room for it: the clips that are played, or what it was."""
    return str(mark["text"].split(" again")[0] if mark["what"] == "plays" else mark["what"])


def _ladder(story: Mapping[str, Any]) -> Markup:
    if not story["sip"]:
        return html.element("p", "Nothing is kept.", class_="dim")
    arrows = [
        svg.Arrow(
            at=clock_text(one["since_ms"]),
            also=f"{one['real_ms'] / 1_000:.3f} s",
            source=1 if one["sent"] else 0,
            target=0 if one["sent"] else 1,
            text=" · ".join(filter(None, (one["text"], one["media"], one["reason"]))),
            title=one["cseq"],
            kind="bad" if one["text"][:1] in "456" and one["text"][:3].isdigit() else "",
        )
        for one in story["sip"]
    ]
    return svg.ladder([story["who"], "bridge"], arrows, label=f"SIP of {story['who']}")


def _media(story: Mapping[str, Any]) -> Markup:
    agreed = [
        (
            clock_text(one["since_ms"]),
            one["codec"],
            one["remote"] or "no address",
            "yes" if one["sends"] else "no",
            "yes" if one["hears"] else "no",
            "yes" if one["proven"] else "not yet" if number < len(story["media"]) - 1 else "no",
        )
        for number, one in enumerate(story["media"])
    ]
    head = ("At", "Codec", "It receives at", "It sends", "It wants to hear", "Address proven")
    tables = [html.table(head, agreed, label="What was offered and agreed")] if agreed else []
    samples = [
        (
            clock_text(one["since_ms"]),
            str(one["lost"]),
            str(one["late"]),
            f"{one['jitter_ms']:.1f} ms",
            "not known" if one["round_trip_ms"] is None else f"{one['round_trip_ms']:.1f} ms",
            f"{one['far_lost_share']:.1%}",
        )
        for one in story["quality"][-SAMPLES_SHOWN:]
    ]
    head = ("At", "Lost", "Late", "Jitter", "Round trip", "Lost by the other side")
    if samples:
        tables.append(html.table(head, samples, label="RTCP's reports"))
    return html.join(tables) if tables else html.element("p", "Nothing is kept.", class_="dim")


def _facts(facts: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [
        (
            clock_text(one["since_ms"]),
            one["type"],
            ", ".join(f"{key} {value}" for key, value in one["data"].items() if key != "leg"),
            one["id"],
        )
        for one in facts
    ]
    return html.table(("At", "Fact", "What it says", "Id"), rows, label="Facts")
