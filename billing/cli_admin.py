"""`tollbridge billing` for operators: rates, migration, export, replay."""

import json
from typing import Annotated, Any

import typer

from billing.cli_problems import work
from billing.cli_sinks import outlets
from billing.clikit import (
    EXIT_FAILED,
    AccountOption,
    ConfigOption,
    JsonOption,
    StoreOption,
    opened,
)

admin = typer.Typer()
admin.add_typer(work)
admin.add_typer(outlets)


@admin.command(epilog="Example: tollbridge billing rates --account acme --at 2026-03-01")
def rates(
    account: AccountOption,
    at: Annotated[
        str | None, typer.Option("--at", help="Date or time; now when not given.")
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the contract, product and rate card in force for an account at an instant."""
    with opened(store, config) as billing:
        found = billing.rates(account, at)
        if as_json:
            typer.echo(json.dumps(found, indent=2))
            return
        typer.echo(
            f"{found['account']}: contract {found['contract']}, {found['label']} by "
            f"{found['seller']}, {found['currency']}, {found['increment']}"
        )
        for rate in found["rates"]:
            extra = f", connect fee {rate['connect_fee']}" if rate["connect_fee"] != "0.00" else ""
            for tier in rate["tiers"]:
                extra += f", {tier['rate']} above {tier['above_minutes']} min"
            typer.echo(f"  {rate['kind']:<10} {rate['key']:<6} {rate['rate']}/min{extra}")
        for kind, minutes in found["included_minutes"].items():
            typer.echo(f"  {kind:<10} {minutes} min a month included")
        if found["monthly_minimum"] != "0.00":
            typer.echo(f"  monthly minimum {found['monthly_minimum']}")


@admin.command(
    epilog="Example: tollbridge billing migrate --account acme --at 2026-03-10 "
    "--product integrated --contract c1"
)
def migrate(
    account: AccountOption,
    at: Annotated[str, typer.Option("--at", help="Date (local midnight) or time with offset.")],
    product: Annotated[str | None, typer.Option("--product", help="The product after.")] = None,
    contract: Annotated[str | None, typer.Option("--contract", help="The contract after.")] = None,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Move an account to another product or contract at an instant; sessions go on."""
    with opened(store, config) as billing:
        billing.migrate(account, at, product=product, contract=contract)
        for version in billing.history(account):
            typer.echo(
                f"{version['valid_from'] or 'the beginning':<24}  {version['product']:<10}  "
                f"{version['contract']:<10}  {version['note']}, {version['recorded_at']}"
            )


@admin.command(epilog="Example: tollbridge billing export --since 2026-02-01 > settled.ndjson")
def export(
    since: Annotated[
        str | None, typer.Option("--since", help="Date (UTC) or time; from the start if absent.")
    ] = None,
    facts: Annotated[bool, typer.Option("--facts", help="The facts instead.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Print usage.settled events, exactly as charged, as NDJSON of CloudEvents."""
    with opened(store, config) as billing:
        for event in billing.export(settled=not facts, since=since):
            typer.echo(json.dumps(event, separators=(",", ":")))


@admin.command(epilog="Example: tollbridge billing replay")
def replay(
    as_json: JsonOption = False, store: StoreOption = None, config: ConfigOption = None
) -> None:
    """Fold and settle every stored fact again; it must change nothing. Exit code 1 if it did."""
    with opened(store, config, bulk=True) as billing:
        total, mended, changed = billing.replay()
        counts: dict[str, Any] = {"facts": total, "mended": mended, "changed": changed}
        if as_json:
            typer.echo(json.dumps(counts))
        else:
            typer.echo(f"{total} facts replayed, {mended} mended, {changed} legs changed")
    if mended or changed:
        raise typer.Exit(EXIT_FAILED)
