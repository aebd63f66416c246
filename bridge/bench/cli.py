"""`tollbridge bench`: measures this machine and prints ratios taken in one run."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.callback()
def _root() -> None:
    pass


@app.command(epilog="Example: tollbridge bench media --participants 1000 --json")
def media(
    participants: Annotated[int, typer.Option(min=2, max=4_000, help="Legs that talk.")] = 1_000,
    conferences: Annotated[int, typer.Option(min=0, help="0: one for each ten legs.")] = 0,
    seconds: Annotated[float, typer.Option(min=1, help="How long each half is measured.")] = 5.0,
    pairs: Annotated[int, typer.Option(min=1, help="Floor and bridge take turns so often.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Compare the media worker with a bare batched echo of the same packets (the floor)."""
    from bridge.bench.media import run

    groups = conferences or max(participants // 10, 1)
    result = run(participants, groups, seconds, pairs=pairs)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(f"{participants} legs in {groups} conferences, {pairs} pairs", result)


def _print(title: str, result: dict[str, object]) -> None:
    table = Table(title=title, show_header=False)
    for key, value in result.items():
        table.add_row(key, json.dumps(value) if isinstance(value, dict) else str(value))
    Console().print(table)
