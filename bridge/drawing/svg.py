"""Drawings as SVG, escaped, coloured by class: a canvas, a chart of lanes, a ladder of messages.

Sizes are in units of the drawing; the page scales it. Knows no bridge: lanes, spans and arrows
are told in plain values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from bridge.drawing.html import join, scrolls

WIDTH: Final = 960
LEFT: Final = 150
"""Room for the names of lanes."""

RIGHT: Final = 14
LANE: Final = 30
TOP: Final = 30
CHARACTER: Final = 6.3
"""Usual width of a letter of the small text, to know what fits."""


class Canvas:
    """A drawing under way; `markup` is the whole of it."""

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width = width
        self.height = height
        self._label = label
        self._pieces: list[Markup] = []

    def rect(
        self, x: float, y: float, width: float, height: float, *, class_: str, title: str = ""
    ) -> None:
        """Draw a box; `title` is said when one points at it."""
        text = Markup("<title>{}</title>").format(title) if title else ""
        self._pieces.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">{}</rect>'
            ).format(class_, x, y, max(width, 0.8), height, text)
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, *, class_: str) -> None:
        """Draw a line."""
        self._pieces.append(
            Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
                class_, x1, y1, x2, y2
            )
        )

    def text(
        self, x: float, y: float, text: str, *, class_: str = "label", anchor: str = "start"
    ) -> None:
        """Write a text."""
        self._pieces.append(
            Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
                class_, x, y, anchor, text
            )
        )

    def path(self, points: Sequence[tuple[float, float]], *, class_: str) -> None:
        """Draw a line through points."""
        if points:
            shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            self._pieces.append(Markup('<polyline class="{}" points="{}"/>').format(class_, shown))

    def image(self, x: float, y: float, width: float, height: float, *, uri: str) -> None:
        """Put a picture in, stretched to the place it gets."""
        self._pieces.append(
            Markup(
                '<image x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"'
                ' preserveAspectRatio="none" href="{}"/>'
            ).format(x, y, width, height, uri)
        )

    def markup(self) -> Markup:
        """Return the drawing; on a small screen it scrolls by itself."""
        drawn = Markup(
            '<svg viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" height="{1:.0f}" role="img"'
            ' aria-label="{2}">\n{3}\n</svg>'
        ).format(self.width, self.height, self._label, join(self._pieces))
        return scrolls(drawn, self._label)


@dataclass(frozen=True, slots=True)
class Bar:
    """Part of a lane, from `x0` to `x1` in [0, 1] of the axis; a mark when both are equal.

    Attributes:
        kind: its colour: one of the bars of drawing.css.
        text: written inside when it fits; beside a mark, when the next one leaves room.
        title: said when one points at it.
    """

    x0: float
    x1: float
    kind: str
    text: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of a chart: a name and its bars."""

    name: str
    bars: Sequence[Bar] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """What stands under a chart: `ticks` at places in [0, 1], `breaks` where time jumps."""

    ticks: Sequence[tuple[float, str]]
    breaks: Sequence[tuple[float, float, str]] = ()
    name: str = ""


@dataclass(slots=True)
class Chart:
    """Lanes over one axis."""

    label: str
    scale: Scale
    lanes: list[Lane] = field(default_factory=list)

    def markup(self) -> Markup:
        """Return the chart as a drawing."""
        height = TOP + LANE * max(len(self.lanes), 1) + 8
        canvas = Canvas(WIDTH, height, self.label)
        draw_scale(canvas, self.scale, bottom=height - 8)
        for number, lane in enumerate(self.lanes):
            _draw_lane(canvas, lane, TOP + LANE * number)
        return canvas.markup()


def place(x: float) -> float:
    """Return where a place of the axis, in [0, 1], is on a drawing."""
    return LEFT + x * (WIDTH - LEFT - RIGHT)


def draw_scale(canvas: Canvas, scale: Scale, *, bottom: float) -> None:
    """Draw the axis on top of a drawing: its ticks, and where time jumps."""
    for x0, x1, label in scale.breaks:
        canvas.rect(
            place(x0), TOP - 6, place(x1) - place(x0), bottom - TOP + 6, class_="jump", title=label
        )
    labels = [
        (min(place(x) - _long(text) / 2, WIDTH - _long(text) - 2), text) for x, text in scale.ticks
    ]
    free, last = 0.0, labels[-1][0] if labels else 0.0
    for (x, text), (begin, _) in zip(scale.ticks, labels, strict=True):
        canvas.line(place(x), TOP - 6, place(x), bottom, class_="grid")
        # A label that would run into the one before, or into the last of all, is left out.
        if begin >= free and (begin + _long(text) + 8 <= last or begin == last):
            canvas.text(begin, TOP - 12, text, class_="tick")
            free = begin + _long(text) + 8
    if scale.name:
        canvas.text(4, TOP - 12, scale.name, class_="tick")


def _long(text: str) -> float:
    return len(text) * CHARACTER


def _draw_lane(canvas: Canvas, lane: Lane, y: float) -> None:
    canvas.line(LEFT, y + LANE - 2, WIDTH - RIGHT, y + LANE - 2, class_="grid")
    room = int((LEFT - 12) / CHARACTER)
    name = lane.name if len(lane.name) <= room else lane.name[: room - 1] + "…"
    canvas.text(4, y + 18, name)
    marks = sorted(place(bar.x0) for bar in lane.bars if bar.x1 <= bar.x0)
    for bar in lane.bars:
        x0, x1 = place(bar.x0), place(bar.x1)
        if bar.x1 <= bar.x0:
            canvas.rect(x0 - 1, y + 2, 2, LANE - 8, class_=f"bar {bar.kind}", title=bar.title)
            before = max((at for at in marks if at < x0), default=0.0)
            after = min((at for at in marks if at > x0), default=float(WIDTH))
            inside = any(one.x0 < bar.x0 <= one.x1 for one in lane.bars)
            _draw_note(canvas, bar.text, x0, y, room=(before, after), inside=inside)
            continue
        canvas.rect(x0, y + 4, x1 - x0, LANE - 12, class_=f"bar {bar.kind}", title=bar.title)
        if bar.text and len(bar.text) * CHARACTER + 8 <= x1 - x0:
            canvas.text(x0 + 5, y + 17, bar.text, class_=f"on {bar.kind}")


def _draw_note(
    canvas: Canvas, text: str, x: float, y: float, *, room: tuple[float, float], inside: bool
) -> None:
    """Write beside a mark, where there is room between its neighbours; `inside` a bar or not."""
    length = 8 + len(text) * CHARACTER
    if x + length <= room[1]:
        canvas.text(x + 5, y + 17, text, class_="tick")
    elif x - length >= room[0] and room[1] == WIDTH:
        canvas.text(x - 5, y + 17, text, class_="on" if inside else "tick", anchor="end")


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message of a ladder.

    Attributes:
        at: when, as people read it; `also` is a second time beside it.
        source, target: columns, from 0; equal for something that happened at one party.
    """

    at: str
    source: int
    target: int
    text: str
    also: str = ""
    kind: str = ""
    title: str = ""


def ladder(parties: Sequence[str], arrows: Sequence[Arrow], *, label: str) -> Markup:
    """Return a ladder of messages: a column a party, a row a message, both times at the left."""
    step, left = 30.0, 170.0
    height = 44 + step * max(len(arrows), 1)
    gap = (WIDTH - left - 90) / max(len(parties) - 1, 1)
    canvas = Canvas(WIDTH, height, label)
    columns = [left + 45 + gap * number for number in range(len(parties))]
    for x, name in zip(columns, parties, strict=True):
        canvas.text(x, 18, name, class_="party", anchor="middle")
        canvas.line(x, 26, x, height - 4, class_="life")
    for x, clock in ((4, "conference"), (84, "real time")):
        canvas.text(x, 18, clock, class_="tick")
    for number, arrow in enumerate(arrows):
        y = 52 + step * number
        canvas.text(4, y, arrow.at, class_="tick")
        canvas.text(84, y, arrow.also, class_="tick dim")
        _draw_arrow(canvas, arrow, columns, y)
    return canvas.markup()


def _draw_arrow(canvas: Canvas, arrow: Arrow, columns: Sequence[float], y: float) -> None:
    start, end = columns[arrow.source], columns[arrow.target]
    if start == end:
        canvas.rect(start - 4, y - 9, 8, 8, class_=f"dot {arrow.kind}", title=arrow.title)
        right = start > WIDTH * 0.6
        canvas.text(
            start - 10 if right else start + 10,
            y,
            arrow.text,
            class_=f"said {arrow.kind}",
            anchor="end" if right else "start",
        )
        return
    step = 7 if end > start else -7
    canvas.line(start, y, end, y, class_=f"arrow {arrow.kind}")
    canvas.path([(end - step, y - 4), (end, y), (end - step, y + 4)], class_=f"arrow {arrow.kind}")
    half = len(arrow.text) * CHARACTER / 2
    middle = min((start + end) / 2, WIDTH - 2 - half)
    canvas.text(middle, y - 5, arrow.text, class_=f"said {arrow.kind}", anchor="middle")
