"""Plots over time as inline SVG: lines, axes, a legend; knows nothing of what it draws."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 520
HEIGHT: Final = 200
LEFT: Final = 52
RIGHT: Final = 12
TOP: Final = 12
BOTTOM: Final = 24
TICKS: Final = 4
COLOURS: Final = ("#2563eb", "#d97706", "#be123c", "#059669")
POINTS_MAX: Final = 600
"""More are joined, by the largest of each group: nothing that stands out is lost."""


Scale = Callable[[float], float]
"""A value to its place on the page."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: (seconds, value) in order of time."""

    name: str
    points: Sequence[tuple[float, float]]


def plot(title: str, lines: Sequence[Line], *, end: float, least_top: float = 1.0) -> str:
    """Return a figure; time ends at `end` seconds, values at `least_top` or above."""
    shown = [Line(line.name, _thinned(line.points)) for line in lines if line.points]
    if not shown:
        return ""
    top = nice(max(least_top, *(max(v for _, v in line.points) for line in shown)))

    def x(at: float) -> float:
        return round(LEFT + at / end * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)

    parts = [_grid(top, end, x, y)]
    for line, colour in zip(shown, COLOURS, strict=False):
        path = " ".join(f"{x(at)},{y(value)}" for at, value in line.points)
        parts.append(f'<polyline points="{path}" stroke="{colour}"/>')
        if len(line.points) == 1:
            at, value = line.points[0]
            parts.append(f'<circle cx="{x(at)}" cy="{y(value)}" r="3" fill="{colour}"/>')
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(line.name)}</span>'
        for line, colour in zip(shown, COLOURS, strict=False)
    )
    return (
        f"<figure><figcaption><b>{escape(title)}</b>{legend}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _grid(top: float, end: float, x: Scale, y: Scale) -> str:
    parts = []
    for number in range(TICKS + 1):
        value, at = top * number / TICKS, end * number / TICKS
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value)}" y2="{y(value)}"/>'
            f'<text x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value:g}</text>'
            f'<text x="{x(at)}" y="{HEIGHT - 6}" text-anchor="middle">{at:.0f} s</text>'
        )
    return "".join(parts)


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
