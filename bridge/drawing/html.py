"""HTML as escaped pieces: tables, badges, things that open, and a whole page in one file.

`Markup` is text that is HTML already; everything else is escaped when it is put into one.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from markupsafe import Markup, escape

STYLE: Final = Path(__file__).parent / "drawing.css"

Text = str | Markup

NOTHING: Final = Markup("")

_PAGE: Final = Markup("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body class="paper">
<a class="skip" href="#main">Skip to the content</a>
<header><h1>{title}</h1>{under}</header>
<main id="main" tabindex="-1">
{body}
</main>
</body>
</html>
""")


@cache
def style() -> Markup:
    """Return the style sheet; it is ours, so it is HTML already."""
    return Markup(STYLE.read_text(encoding="utf-8"))


def page(title: str, body: Markup, *, under: Text = "") -> str:
    """Return a whole page that needs no other file and no network; `under` stands in its head."""
    return str(_PAGE.format(title=title, style=style(), body=body, under=under))


def join(pieces: Iterable[Text], between: str = "\n") -> Markup:
    """Return pieces one after the other.

    >>> join(["a < b", Markup("<hr>")], " ")
    Markup('a &lt; b <hr>')
    """
    return Markup(between).join(pieces)


def element(name: str, content: Text = "", **attributes: object) -> Markup:
    """Return one element; `class_` is class, `aria_label` is aria-label, None leaves one out.

    >>> element("p", "1 < 2", class_="dim")
    Markup('<p class="dim">1 &lt; 2</p>')
    """
    shown = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), shown, content)


def badge(text: str, kind: str) -> Markup:
    """Return a short word in colour; `kind` is good, bad, wait or plain."""
    return element("span", text, class_=f"badge {kind}")


def verdict(ok: bool) -> Markup:
    """Return whether something held, as a word that can also be told apart without colour."""
    return badge("held", "good") if ok else badge("failed", "bad")


def opens(summary: Text, body: Text, *, now: bool = False, id_: str | None = None) -> Markup:
    """Return something that opens with a click or a key; `now`: it is open already."""
    head = element("summary", summary)
    inner = join([head, body])
    return element("details", inner, id=id_, open="" if now else None)


def scrolls(content: Text, label: str) -> Markup:
    """Return something wide that scrolls by itself, also with the keyboard, on a small screen."""
    return element("div", content, class_="wide", tabindex=0, role="region", aria_label=label)


def table(
    head: Sequence[Text],
    rows: Iterable[Sequence[Text]],
    *,
    label: str,
    class_: str | None = None,
) -> Markup:
    """Return a table whose first column names its rows."""
    top = join((element("th", one, scope="col") for one in head), "")
    lines = [
        join([element("th", row[0], scope="row"), *(element("td", one) for one in row[1:])], "")
        for row in rows
    ]
    body = join(element("tr", line) for line in lines)
    inner = join([element("thead", element("tr", top)), element("tbody", body)])
    return scrolls(element("table", inner, class_=class_), label)


def pairs(items: Iterable[tuple[Text, Text]]) -> Markup:
    """Return names and what they are, as a list of descriptions."""
    rows = (element("div", join([element("dt", k), element("dd", v)], "")) for k, v in items)
    return element("dl", join(rows), class_="facts")


def paragraphs(lines: Iterable[Text], class_: str | None = None) -> Markup:
    """Return lines as paragraphs."""
    return join(element("p", line, class_=class_) for line in lines)


def listed(lines: Iterable[Text], class_: str | None = None) -> Markup:
    """Return lines as a list."""
    return element("ul", join(element("li", line) for line in lines), class_=class_)


def lines_of(text: str) -> Markup:
    """Return text with its line breaks kept."""
    return element("pre", escape(text))
