"""Pieces of pages: whatever is put in is escaped, drawings are whole, sound becomes pictures."""

import builtins
import doctest
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

from bridge.drawing import html, sound, svg
from bridge.lab.voice import sine

BAD = "<script>alert('\"&')</script>"


class Tags(HTMLParser):
    """Counts elements; a page in which one is not closed is no page of ours."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(html).failed == 0


def test_nothing_that_is_put_into_a_page_becomes_an_element() -> None:
    body = html.join(
        [
            html.table((BAD,), [(BAD, BAD)], label=BAD),
            html.pairs([(BAD, BAD)]),
            html.opens(BAD, BAD),
            html.listed([BAD]),
            html.lines_of(BAD),
            html.badge(BAD, "good"),
            html.element("a", BAD, href=BAD),
        ]
    )
    text = html.page(BAD, body, under=BAD)
    assert "script" not in Tags(text).seen
    assert text.count("&lt;script&gt;") >= 13
    assert "http" not in text, "no network"


def test_a_chart_says_its_lanes_and_texts_and_is_whole_xml() -> None:
    chart = svg.Chart(
        BAD, svg.Scale([(0, "0:00"), (0.001, "0:01"), (1, "1:00")], [(0.2, 0.4, BAD)])
    )
    chart.lanes.append(
        svg.Lane(BAD, [svg.Bar(0, 0.5, "joined", "in"), svg.Bar(1, 1, "left", "left")])
    )
    texts = texts_of(chart.markup())
    assert {"in", "left", "0:00", "1:00"} <= texts
    assert "0:01" not in texts, "a label that would run into the last one is left out"


def test_a_mark_has_its_text_where_the_next_one_leaves_room() -> None:
    near = [svg.Bar(x, x, "mark", text) for x, text in ((0.1, "first"), (0.11, "second"))]
    chart = svg.Chart("x", svg.Scale([]), [svg.Lane("marks", near)])
    assert texts_of(chart.markup()) == {"marks", "second"}


def test_the_last_label_of_an_axis_stands_before_those_that_run_into_it() -> None:
    scale = svg.Scale([(0.0, "0:00"), (0.97, "4:59.999"), (0.98, "5:00")])
    assert texts_of(svg.Chart("x", scale).markup()) == {"0:00", "5:00"}


def test_a_ladder_has_a_row_a_message_between_its_parties() -> None:
    arrows = [
        svg.Arrow("0:00", 0, 1, BAD, also="0.1 s"),
        svg.Arrow("0:01", 1, 1, "keys 5", kind="own"),
    ]
    drawn = svg.ladder(["ann", "bridge"], arrows, label="SIP")
    assert {"ann", "bridge", BAD, "0.1 s", "keys 5"} <= texts_of(drawn)
    assert {"conference", "real time"} <= texts_of(drawn), "two clocks, each named"


def texts_of(drawn: Markup) -> set[str]:
    root = ElementTree.fromstring(str(drawn))
    return {one.text or "" for one in root.iter("text")}


def test_an_outline_holds_the_peaks_of_each_column() -> None:
    pcm = np.array([0, 5, -9, 2, 7, -1], np.int16)
    low, high = sound.outline(pcm, 3)
    assert low.tolist() == [0, -9, -1]
    assert high.tolist() == [5, 2, 7]
    assert [len(one) for one in sound.outline(pcm[:0], 50)] == [50, 50]


def test_a_tone_is_one_line_of_a_spectrogram_at_its_frequency() -> None:
    picture = sound.spectrogram(sine(1_000, 8_000), 40)
    assert picture.shape == (sound.WINDOW // 2, 40)
    rows = picture[:, 5:35].argmax(axis=0)
    assert set(((128 - rows) * 8_000 / sound.WINDOW).tolist()) == {1_000.0}
    assert picture[:, 20].max() == pytest.approx(-16, abs=1)


def test_a_spectrogram_is_a_small_png_and_none_without_matplotlib(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("matplotlib")
    uri = sound.spectrogram_uri(sine(1_000, 80_000), 800)
    assert uri is not None
    assert uri.startswith("data:image/png;base64,iVBOR")
    assert len(uri) < 60_000
    real = builtins.__import__

    def no_matplotlib(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    assert sound.spectrogram_uri(sine(1_000, 800), 80) is None
