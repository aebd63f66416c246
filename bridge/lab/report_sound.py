"""What each caller received as waves and spectrograms, all on the story's one real-time axis."""

from typing import Final

from markupsafe import Markup

from bridge.drawing import html, svg
from bridge.drawing.sound import MISSING, outline, spectrogram_uri
from bridge.lab.evidence import Evidence
from bridge.lab.tracks import Track
from bridge.units import NS_PER_S

WAVE: Final = 44
SPECTRUM: Final = 64
GAP: Final = 14
FULL: Final = 32_768
CALLERS_MAX: Final = 12
TICKS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300)


def sound(evidence: Evidence) -> Markup | None:
    """Return the picture of what callers received; None when no packets were kept."""
    received = {name: one for (name, sent), one in evidence.tracks.items() if not sent}
    shown = dict(list(received.items())[:CALLERS_MAX])
    if not shown:
        return None
    begin = min(one.starts_s for one in shown.values())
    end = max(one.starts_s + one.seconds for one in shown.values())
    length = max(end - begin, 0.1)
    height = svg.TOP + len(shown) * (WAVE + SPECTRUM + GAP) + 24
    canvas = svg.Canvas(svg.WIDTH, height, "What each caller received, in real time")
    svg.draw_scale(canvas, _scale(begin, length), bottom=height - 8)
    _steps(canvas, evidence, begin, length, height)
    missing = False
    for number, (name, track) in enumerate(shown.items()):
        y = svg.TOP + 16 + number * (WAVE + SPECTRUM + GAP)
        missing |= not _row(canvas, name, track, y=y, begin=begin, length=length)
        _listening(canvas, evidence, name, y=y, begin=begin, length=length)
    pieces = [canvas.markup()]
    pieces.append(
        html.element(
            "p",
            "Wave and spectrogram, 0 to 4 kHz. Boxes are where the story listened: green as "
            "expected, red not. Numbers are lines of the story.",
            class_="dim",
        )
    )
    if missing:
        pieces.append(html.element("p", f"There are no spectrograms: {MISSING}", class_="note"))
    return html.join(pieces)


def _scale(begin: float, length: float) -> svg.Scale:
    step = next((step for step in TICKS if length / step <= 12), TICKS[-1])
    first = int(-(-begin // step)) * step
    times = range(first, int(begin + length) + 1, step)
    return svg.Scale([((at - begin) / length, f"{at} s") for at in times], name="real time")


def _steps(
    canvas: svg.Canvas, evidence: Evidence, begin: float, length: float, height: float
) -> None:
    free = 0.0
    for step in evidence.steps:
        x = ((step.from_ns - evidence.began_ns) / NS_PER_S - begin) / length
        if not 0 <= x <= 1:
            continue
        at = svg.place(x)
        canvas.line(at, svg.TOP + 2, at, height - 8, class_="life")
        if at >= free:
            inside = at + 20 < svg.WIDTH
            place, anchor = (at + 2, "start") if inside else (at - 2, "end")
            canvas.text(place, svg.TOP + 10, str(step.line), class_="tick", anchor=anchor)
            free = at + 20


def _row(
    canvas: svg.Canvas, name: str, track: Track, *, y: float, begin: float, length: float
) -> bool:
    """Draw one caller; return whether there is a spectrogram."""
    x0 = svg.place((track.starts_s - begin) / length)
    width = max(svg.place((track.starts_s + track.seconds - begin) / length) - x0, 1.0)
    canvas.text(4, y + WAVE / 2 + 4, name)
    middle = y + WAVE / 2
    low, high = outline(track.pcm, int(width))
    scale = WAVE / 2 / FULL
    step = width / len(low)
    points: list[tuple[float, float]] = []
    # bound: as many columns as the drawing has
    for column, (bottom, top) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        x = x0 + column * step
        points += [(x, middle - top * scale), (x, middle - bottom * scale)]
    canvas.path(points, class_="wave")
    uri = spectrogram_uri(track.pcm, int(width))
    if uri is None:
        return False
    canvas.image(x0, y + WAVE, width, SPECTRUM, uri=uri)
    for text, at in (("4 kHz", y + WAVE + 9), ("0", y + WAVE + SPECTRUM)):
        canvas.text(svg.LEFT - 6, at, text, class_="tick", anchor="end")
    return True


def _listening(
    canvas: svg.Canvas, evidence: Evidence, name: str, *, y: float, begin: float, length: float
) -> None:
    for one in evidence.listened:
        if one.name != name or not one.heard.to_ns:
            continue
        x0, x1 = (
            svg.place(((at - evidence.began_ns) / NS_PER_S - begin) / length)
            for at in (one.heard.from_ns, one.heard.to_ns)
        )
        title = f"line {one.line}: {one.heard.observed}"
        kind = "listened met" if one.heard.ok else "listened unmet"
        canvas.rect(x0, y, x1 - x0, WAVE + SPECTRUM, class_=kind, title=title)
