"""`tollbridge billing problems`: what was set aside, what to choose between, what was decided."""

import json
from typing import Annotated, Any

import typer

from billing.clikit import (
    EXIT_FAILED,
    ConfigOption,
    JsonOption,
    StoreOption,
    opened,
)
from billing.decisions import Clash, Decision
from billing.errors import BillingInputError
from billing.ingest import ID_REUSED_REASON
from billing.problems import Problem

work = typer.Typer()


def _number(about: str) -> Any:
    return typer.Option(help=about, metavar="NO")


@work.command(epilog="Example: tollbridge billing problems --show 7, then --accept 7 or --keep 7")
def problems(
    show: Annotated[int | None, _number("Show the versions that contradict each other.")] = None,
    accept: Annotated[int | None, _number("Let the newer version hold; settle again.")] = None,
    keep: Annotated[int | None, _number("Let the older version hold; settle again.")] = None,
    dismiss: Annotated[int | None, _number("Close one without charging it.")] = None,
    note: Annotated[str, typer.Option(help="Why, and who: kept with the decision.")] = "",
    retry: Annotated[bool, typer.Option("--retry", help="Try all of them again first.")] = False,
    decided: Annotated[bool, typer.Option("--decided", help="List the decisions instead.")] = False,
    as_json: JsonOption = False,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """List what was set aside instead of being charged, and work it off.

    Exit code 1 when there is any left. What a decision changes in a finalized month becomes an
    adjustment of the next invoice; what was decided against is kept, and coming again it is a
    duplicate.
    """
    given = [n for n in (show, accept, keep, dismiss) if n is not None]
    with opened(store, config) as billing:
        if len(given) + retry + decided > 1:
            raise BillingInputError("problems", None, "one of the options at a time")
        if show is not None:
            found = billing.clashes(show)
            typer.echo(
                json.dumps([_as_json(c) for c in found], indent=2) if as_json else _clashes(found)
            )
            typer.echo(
                f"choose: --keep {show} (the older) or --accept {show} (the newer)", err=True
            )
            return
        if decided:
            _print_decisions(billing.decisions(), as_json)
            return
        if retry:
            billing.retry_problems()
        elif dismiss is not None:
            billing.dismiss_problem(dismiss, note=note)
        elif given:
            billing.choose(given[0], newer=accept is not None, note=note)
        left = billing.problems()
        if as_json:
            typer.echo(json.dumps([problem._asdict() for problem in left], indent=2))
        else:
            _print_problems(left)
    if left:
        raise typer.Exit(EXIT_FAILED)


def _print_problems(found: list[Problem]) -> None:
    for problem in found:
        what = problem.leg or problem.event[:60]
        shown = "" if problem.reason == ID_REUSED_REASON else f"  [{what}]"
        typer.echo(_visible(f"{problem.no:>6}  {problem.reason}: {problem.detail}{shown}"))
    if not found:
        typer.echo("no problems")


def _visible(text: str) -> str:
    """Write a line of anybody's text so that a terminal shows it and does nothing else.

    >>> _visible("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _as_json(clash: Clash) -> dict[str, Any]:
    versions = [{"facts": list(v.ids), "says": dict(v.says)} for v in clash.versions]
    return {"about": clash.about, "versions": versions}


def _clashes(found: list[Clash]) -> str:
    """Write the versions beside each other, the older left."""
    rows: list[str] = []
    for clash in found:
        last = len(clash.versions) - 1
        heads = ["older", *["between"] * (last - 1), "newer"]
        columns = [
            [head, ", ".join(version.ids), *version.says.values()]
            for head, version in zip(heads, clash.versions, strict=True)
        ]
        names = ["", "fact", *clash.versions[0].says]
        table = [names, *columns]
        widths = [max(len(_visible(cell)) for cell in column) for column in table]
        rows.append(clash.about)
        for line in zip(*table, strict=True):
            cells = (_visible(cell).ljust(width) for cell, width in zip(line, widths, strict=True))
            rows.append(f"  {'  '.join(cells)}".rstrip())
    return "\n".join(rows)


def _print_decisions(found: list[Decision], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([decision._asdict() for decision in found], indent=2))
        return
    for d in found:
        note = f", {d.note}" if d.note else ""
        typer.echo(f"{d.decided_at}  problem {d.problem}: {d.what} {d.fact}{note}")
        if d.event:
            typer.echo(f"    against {d.event}")
    if not found:
        typer.echo("no decisions")
