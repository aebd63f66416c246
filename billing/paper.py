"""Printing a page as HTML or PDF; decides nothing about what is on it.

The PDF needs the extra `tollbridge[pdf]` (typst); its template gets the page as data, so no text
of a customer can be taken for markup.
"""

import json
from importlib.resources import files

from billing.errors import BillingError
from billing.page import Page, as_data


class PdfMissing(BillingError):
    """The PDF printer is not installed."""

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
    printed: bytes = typst.compile(template, sys_inputs={"page": data}, format="pdf")
    return printed
