"""Plots over time: lines, axes and a legend on the canvas that all drawings use."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from bridge.drawing.html import NOTHING, element, join
from bridge.drawing.svg import Canvas

WIDTH: Final = 520
HEIGHT: Final = 200
LEFT: Final = 52
RIGHT: Final = 16
TOP: Final = 12
BOTTOM: Final = 24
DASH: Final = 6
TICKS: Final = 4
CURVES: Final = ("first", "second", "third")
"""Classes of a plot's lines: their colours are in the style sheet."""

POINTS_MAX: Final = 600
"""More are joined, by the largest of each group: nothing that stands out is lost."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: (seconds, value) in order of time."""

    name: str
    points: Sequence[tuple[float, float]]


def plot(title: str, lines: Sequence[Line], *, end: float, least_top: float = 1.0) -> Markup:
    """Return a figure; time ends at `end` seconds, values at `least_top` or above."""
    shown = [Line(line.name, _thinned(line.points)) for line in lines if line.points]
    if not shown:
        return NOTHING
    assert len(shown) <= len(CURVES), title
    top = nice(max(least_top, *(max(v for _, v in line.points) for line in shown)))
    canvas = Canvas(WIDTH, HEIGHT, title)

    def x(at: float) -> float:
        return LEFT + min(at / end, 1.0) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    for number in range(TICKS + 1):
        value, at = top * number / TICKS, end * number / TICKS
        canvas.line(LEFT, y(value), WIDTH - RIGHT, y(value), class_="grid")
        canvas.text(LEFT - 6, y(value) + 4, f"{value:g}", class_="tick", anchor="end")
        canvas.text(x(at), HEIGHT - 6, f"{round(at, 1):g} s", class_="tick", anchor="middle")
    for line, curve in zip(shown, CURVES, strict=False):
        points = [(x(at), y(value)) for at, value in line.points]
        if len(points) == 1:  # a dash: a line without length is not drawn
            points = [(points[0][0] + side, points[0][1]) for side in (0, DASH)]
        canvas.path(points, class_=f"curve {curve}")
    legend = join(
        element("span", join([element("i", class_=curve), line.name], ""))
        for line, curve in zip(shown, CURVES, strict=False)
    )
    caption = element("figcaption", join([element("b", title), legend], " "))
    return element("figure", join([caption, canvas.markup()]))


def nice(value: float) -> float:
    """Return the next of 1, 2, 4, 5, 6, 8 times a power of ten: quarters of it are short.

    >>> nice(0.03), nice(47.0), nice(1001.0)
    (0.04, 50.0, 2000.0)
    """
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    step = next(step for step in (1, 2, 4, 5, 6, 8, 10) if step * power >= value * 0.999_999)
    return float(f"{step * power:.12g}")


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    group = -(-len(points) // POINTS_MAX)
    if group <= 1:
        return points
    return [
        max(points[first : first + group], key=lambda point: point[1])
        for first in range(0, len(points), group)
    ]
