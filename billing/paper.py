"""Printing a page as HTML, PDF or plain text; decides nothing about what is on it.

The PDF needs the extra `tollbridge[pdf]` (typst); its template gets the page as data, so no text
of a customer can be taken for markup.
"""

import json
from importlib.resources import files

from billing.errors import BillingError
from billing.page import RIGHT, Page, as_data


class PdfMissing(BillingError):
    """The PDF printer is not installed, or cannot print this."""

    code = "pdf_missing"


def to_html(page: Page) -> str:
    """Print a page as one self-contained HTML document."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("billing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(page=page)


def to_pdf(page: Page) -> bytes:
    """Print a page as PDF."""
    try:
        import typst
    except ModuleNotFoundError:
        raise PdfMissing("PDF needs typst: pip install 'tollbridge[pdf]'") from None
    template = files("billing").joinpath("templates/page.typ").read_bytes()
    data = json.dumps(as_data(page))
    try:
        printed: bytes = typst.compile(template, sys_inputs={"page": data}, format="pdf")
    except typst.TypstError as error:
        raise PdfMissing(f"typst: {error}") from error
    return printed


def to_plain(page: Page) -> str:
    """Print a page as plain text, for a terminal or the body of a mail."""
    rows = [f"{page.kind}: {page.title}", "", *page.sender, ""]
    rows += [*page.receiver, ""] if page.receiver else []
    rows += [f"{name}: {value}" for name, value in page.facts]
    rows += ["", page.note] if page.note else []
    for table in page.tables:
        rows += ["", table.title, *_columns([table.columns, *table.rows], table.aligned)]
    if page.total:
        rows += ["", *_columns([*page.totals, page.total], ["left", RIGHT])]
    return "\n".join(row.rstrip() for row in rows) + "\n"


def _columns(rows: list[list[str]], aligned: list[str]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(aligned))]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if side == RIGHT else cell.ljust(width)
            for cell, width, side in zip(row, widths, aligned, strict=True)
        )
        for row in rows
    ]
