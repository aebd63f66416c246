"""`tollbridge billing push` and `dead-letters`: the sinks, and what they refused for good."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from billing.clikit import EXIT_FAILED, ConfigOption, JsonOption, StoreOption, opened
from billing.dead_letters import DROPPED, DeadLetter
from billing.errors import BillingInputError

outlets = typer.Typer()

SinkOption = Annotated[str | None, typer.Option("--sink", help="Only this one.", metavar="ID")]


@outlets.command(epilog="Example: tollbridge billing push --sink meter")
def push(
    sink: SinkOption = None,
    again: Annotated[
        bool, typer.Option("--from-start", help="Send it everything again, with the same ids.")
    ] = False,
    as_json: JsonOption = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Send the configured sinks what they have not acknowledged.

    Exit code 1 if one is down, or has refused events for good (see `dead-letters`).
    """
    with opened(store, config) as billing:
        if again:
            if sink is None:
                raise BillingInputError("--from-start", None, "--sink with it")
            billing.rewind(sink)
        _finish(billing.push(sink=sink), as_json)


@outlets.command(
    "dead-letters", epilog="Example: tollbridge billing dead-letters --resend --sink meter"
)
def dead_letters(
    sink: SinkOption = None,
    resend: Annotated[bool, typer.Option("--resend", help="Send them again, in order.")] = False,
    drop: Annotated[
        int | None, typer.Option(help="Give one up; it stays on record.", metavar="NO")
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """List events that a sink refused for good, and those of the same session behind them.

    Exit code 1 when a sink has any.
    """
    with opened(store, config) as billing:
        if resend and drop is not None:
            raise BillingInputError("--drop", drop, "it without --resend")
        if resend:
            _finish(billing.push_dead_letters(sink=sink), as_json)
            return
        if drop is not None:
            billing.drop_dead_letter(drop)
        found = billing.dead_letters(sink)
        if as_json:
            typer.echo(json.dumps([_as_json(letter) for letter in found], indent=2))
        else:
            _list(found)
    if any(letter.state != DROPPED for letter in found):
        raise typer.Exit(EXIT_FAILED)


def _list(found: list[DeadLetter]) -> None:
    for letter in found:
        said = f": {letter.error}" if letter.error else ""
        typer.echo(
            f"{letter.no:>6}  {letter.sink}  {letter.state:<7}  {letter.id}, "
            f"{letter.tries} x, last {letter.last_at}{said}"
        )
    if not found:
        typer.echo("no dead letters")


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    return {**letter._asdict(), "event": json.loads(letter.event)}


def _finish(found: list[Any], as_json: bool) -> None:
    """Print how far the sinks are; exit code 1 unless all have everything."""
    if as_json:
        typer.echo(json.dumps([asdict(state) for state in found], indent=2))
    else:
        for state in found:
            error = f", {state.error}, again at {state.retry_at}" if state.error else ""
            dead = f", {state.dead} refused or behind one (dead-letters)" if state.dead else ""
            typer.echo(f"{state.id}: {state.sent} sent{dead}{error}")
        if not found:
            typer.echo("no sinks are configured")
    if any(state.error or state.dead for state in found):
        raise typer.Exit(EXIT_FAILED)
