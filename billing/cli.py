"""`tollbridge billing`: facts in, settlement, invoices, explanations; decides nothing itself."""

import codecs
import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from billing.cli_admin import admin
from billing.clikit import (
    EXIT_FAILED,
    AccountOption,
    ConfigOption,
    JsonOption,
    MonthOption,
    SellerOption,
    StoreOption,
    opened,
)
from billing.errors import BillingInputError
from billing.page import Page, invoice_page
from billing.paper import to_html, to_pdf, to_plain
from billing.words import LANGUAGES

app = typer.Typer(no_args_is_help=True, help="Settle usage, print invoices, explain charges.")
app.add_typer(admin)


class Format(StrEnum):
    """How an invoice or a report is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    HTML = "html"
    PDF = "pdf"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print it.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Write to a file; PDF always does.", metavar="FILE")
]
LanguageOption = Annotated[
    str | None,
    typer.Option("--language", help="en, fr, it, de, es, pt or nl (text, HTML and PDF)."),
]


@app.command(epilog="Example: tollbridge billing invoice --account acme --month 2026-02")
def invoice(
    account: AccountOption,
    month: MonthOption,
    style: FormatOption = Format.TEXT,
    seller: SellerOption = None,
    out: OutOption = None,
    language: LanguageOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the invoice of a month: as finalized, or as a draft of what is known now.

    A month with several sellers prints one invoice after the other (JSON: a list); HTML and PDF
    want --seller then. Text has every leg, in English; with --language it is the page as HTML and
    PDF have it.
    """
    with opened(store, config) as billing:
        _check(style, out, language)
        if seller is not None or style in (Format.HTML, Format.PDF):
            found = [billing.invoice(account, month, seller)]
        else:
            found = billing.invoices(account, month)
        if style is Format.TEXT and language is not None:
            _put("\n".join(to_plain(invoice_page(one, language)) for one in found), out)
        elif style is Format.TEXT:
            _put("\n".join(one.to_text() for one in found), out)
        elif style is Format.CSV:
            _put("".join(one.to_csv() for one in found), out)
        elif style is Format.JSON:
            texts = [one.to_json() for one in found]
            _put((texts[0] if len(texts) == 1 else "[" + ",\n".join(texts) + "]") + "\n", out)
        else:
            _print(invoice_page(found[0], language), style, out)


@app.command(epilog="Example: tollbridge billing usage --account acme --month 2026-02")
def usage(
    account: AccountOption,
    month: MonthOption,
    style: FormatOption = Format.TEXT,
    out: OutOption = None,
    language: LanguageOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Report who used the account in a month, when, how long and how they joined."""
    with opened(store, config) as billing:
        _check(style, out, language)
        report = billing.usage(account, month)
        if style is Format.TEXT and language is not None:
            _put(to_plain(report.page(language)), out)
        elif style in (Format.HTML, Format.PDF):
            _print(report.page(language), style, out)
        else:
            texts = {Format.TEXT: report.to_text, Format.CSV: report.to_csv}
            _put(texts.get(style, lambda: report.to_json() + "\n")(), out)


@app.command(epilog="Example: tollbridge billing finalize --account acme --month 2026-02")
def finalize(
    account: AccountOption,
    month: MonthOption,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Finalize a month that is over: number its invoices; they never change after."""
    with opened(store, config) as billing:
        found = billing.finalize(account, month)
        for one in found:
            typer.echo(f"{one.number} {one.seller.name} {one.total} {one.currency}")
        if not found:
            typer.echo("nothing to invoice")


@app.command(epilog="Example: tollbridge billing close")
def close(store: StoreOption = None, config: ConfigOption = None) -> None:
    """Finalize every month whose grace period is over, and mail what waits for it."""
    failed = False
    with opened(store, config) as billing:
        for one in billing.close_due():
            typer.echo(f"{one.number} {one.account.id} {one.total} {one.currency}")
        for mail in billing.mail_due():
            typer.echo(f"{mail.number} to {mail.to}: {mail.error or 'sent'}")
            failed = failed or bool(mail.error)
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog="Example: tollbridge billing ingest facts.ndjson --store sqlite:///usage.db")
def ingest(
    files: Annotated[list[Path], typer.Argument(help="NDJSON of CloudEvents; - is stdin.")],
    as_json: JsonOption = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Store facts from files; what cannot be one is set aside (see `problems`).

    The store is created when it is not there. Exit code 1 when anything was set aside.
    """
    with opened(store, config, create=True, bulk=True) as billing:
        for path in files:
            if str(path) != "-" and not path.is_file():
                raise BillingInputError("FILE", str(path), "a file that exists, or -")
        report = billing.ingest_lines(_lines(files))
        billing.settle()
        counts = {
            "accepted": report.accepted,
            "duplicates": report.duplicates,
            "problems": report.problems,
        }
        if as_json:
            typer.echo(json.dumps(counts))
        else:
            several = "" if report.duplicates == 1 else "s"
            aside = f"{report.problems} set aside" + (" (see problems)" if report.problems else "")
            typer.echo(
                f"{report.accepted} accepted, {report.duplicates} duplicate{several}, {aside}"
            )
    if report.problems:
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog="Example: tollbridge billing explain leg-4f9k2m")
def explain(
    leg: Annotated[str, typer.Argument(help="Leg id.")],
    as_json: JsonOption = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Print a leg's facts, its settlement and the arithmetic of its charges."""
    with opened(store, config) as billing:
        found = billing.explain(leg)
        typer.echo(found.to_json() if as_json else found.to_text().rstrip("\n"))


def _check(style: Format, out: Path | None, language: str | None) -> None:
    if style is Format.PDF and out is None:
        raise BillingInputError("--out", None, "a file to write the PDF to")
    if language is not None and language not in LANGUAGES:
        raise BillingInputError("--language", language, f"one of {', '.join(LANGUAGES)}")


def _put(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8", newline="")


def _print(page: Page, style: Format, out: Path | None) -> None:
    if style is Format.HTML:
        _put(to_html(page), out)
    else:
        assert out is not None, "checked before"
        out.write_bytes(to_pdf(page))


def _lines(files: list[Path]) -> Iterator[bytes]:
    for path in files:
        if str(path) == "-":
            yield from sys.stdin.buffer
        else:
            with path.open("rb") as file:
                yield next(file, b"").removeprefix(codecs.BOM_UTF8)  # some editors write one
                yield from file
