"""`tollbridge billing`: facts in, settlement, invoices, explanations; decides nothing itself."""

import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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

app = typer.Typer(no_args_is_help=True, help="Settle usage, print invoices, explain charges.")


class Format(StrEnum):
    """How an invoice is printed."""

    JSON = "json"
    TEXT = "text"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print it.")]


@app.command(epilog="Example: tollbridge billing invoice --account acme --month 2026-02")
def invoice(
    account: AccountOption,
    month: MonthOption,
    style: FormatOption = Format.TEXT,
    seller: SellerOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the invoice of a month: as finalized, or as a draft of what is known now.

    A month with several sellers prints one invoice after the other (JSON: a list).
    """
    with opened(store, config) as billing:
        if seller is not None:
            found = [billing.invoice(account, month, seller)]
        else:
            found = billing.invoices(account, month)
        if style is Format.TEXT:
            typer.echo("\n".join(one.to_text() for one in found), nl=False)
        elif len(found) == 1:
            typer.echo(found[0].to_json())
        else:
            typer.echo("[" + ",\n".join(one.to_json() for one in found) + "]")


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
    """Finalize every month whose grace period is over."""
    with opened(store, config) as billing:
        for one in billing.close_due():
            typer.echo(f"{one.number} {one.account.id} {one.total} {one.currency}")


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
            typer.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    if report.problems:
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog="Example: tollbridge billing settle")
def settle(store: StoreOption = None, config: ConfigOption = None) -> None:
    """Take in the outbox and settle what is final; other commands do so by themselves."""
    with opened(store, config) as billing:
        typer.echo(f"{len(billing.accounts())} accounts, nothing left to settle")


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


def _lines(files: list[Path]) -> Iterator[bytes]:
    for path in files:
        if str(path) == "-":
            yield from sys.stdin.buffer
        else:
            with path.open("rb") as file:
                yield from file
