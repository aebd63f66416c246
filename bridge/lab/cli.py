"""`tollbridge scenario …`: reads arguments, prints, and exits 0, 1 or 2; does nothing itself.

0: every expectation held. 1: one failed. 2: a file or the environment is wrong; nothing was run.
"""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console

from bridge.errors import InputError
from bridge.lab import reports
from bridge.lab.crew import JOBS_MAX, run_parallel
from bridge.lab.evidence import Keeping, clear
from bridge.lab.foreign import Foreign
from bridge.lab.report_page import report
from bridge.lab.runner import Lab, LabOptions
from bridge.lab.schema import story_schema
from bridge.lab.selection import find_files, load_all, select, with_tags
from bridge.lab.story import Story
from bridge.lab.verdicts import StoryResult, unequal
from bridge.logs import set_up_logs
from bridge.units import NS_PER_S

EXIT_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2

app = typer.Typer(
    help="Run call stories from YAML files, check who hears whom and the bill.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Paths = Annotated[list[Path], typer.Argument(help="Story files, or folders of them.")]
Expression = Annotated[
    str, typer.Option("-k", help="Only stories whose path, sentence, rules or tags match.")
]

Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="Only stories with this tag; may be repeated.")
]

HtmlReport = Annotated[Path | None, typer.Option(help="Write one HTML report of all stories here.")]
Evidence = Annotated[
    str,
    typer.Option(
        help="Folder for report, recordings and packets of each story that fails; '' keeps none."
    ),
]
Keep = Annotated[bool, typer.Option(help="Keep those of the stories that hold, too.")]

TEMPLATE: Final = """\
scenario: Two callers meet and hear each other
rules: [R4, D5]
session: {toll_free: [US], start: on_join}
callers:
  olivia: {via: voip, role: organizer}
  ann:    {via: toll-free, country: US}
steps:
  - ann: join
  - expect: {waiting: [ann]}
  - olivia: join
  - expect: {joined: [ann, olivia]}
  - expect: {olivia: {hears: [ann], not_hears: [olivia]}, ann: {hears: [olivia]}}
  - advance: 10m
expect:
  events: [leg.waiting, session.started, leg.left, session.ended]
  bill: {minutes: {toll_free: 10}, total: 0.60 USD, reasons: {billable: 1, included: 1}}
"""


def _stories(paths: list[Path], expression: str, tags: Sequence[str] = ()) -> list[Story]:
    """Return the stories that are meant, or print what is wrong with them and exit 2."""
    stories, faults = load_all(find_files(paths))
    if faults:
        for fault in faults:
            typer.echo(fault, err=True)
        raise typer.Exit(EXIT_BAD_INPUT)
    picked = select(with_tags(stories, tags), expression)
    if not picked:
        raise InputError("-k", expression, "an expression that picks at least one story")
    return picked


@app.command(epilog="Example: tollbridge scenario run scenarios/ --junit out/junit.xml")
def run(
    paths: Paths,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write JSON lines here, a story each.")
    ] = None,
    expression: Expression = "",
    clock: Annotated[
        Literal["frozen", "real"],
        typer.Option(
            help="`real` lets conference time run: `advance` then waits, and golden bills are not"
            " compared."
        ),
    ] = "frozen",
    tag: Tags = None,
    jobs: Annotated[
        int, typer.Option(min=1, max=JOBS_MAX, help="Run so many stories at the same time.")
    ] = 1,
    repeat: Annotated[
        int, typer.Option(min=1, max=1_000, help="Run each story so often; all must be equal.")
    ] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Draw the order of stories, and what networks lose, from it.")
    ] = None,
    update_golden: Annotated[
        bool,
        typer.Option(help="Keep each bill that a story expects beside it as `<story>.bill.json`."),
    ] = False,
    html: HtmlReport = None,
    evidence: Evidence = "out/evidence",
    keep: Keep = False,
    target: Annotated[
        str | None,
        typer.Option(help="A bridge that is not ours, sip:1000@host:port: audio and SIP only."),
    ] = None,
    target_keys: Annotated[
        str | None, typer.Option(help="With --target: what is keyed once answered, '1234#'.")
    ] = None,
) -> None:
    """Run stories; exit 0 when all held, 1 when one failed, 2 when a file is wrong."""
    if target_keys is not None and target is None:
        raise InputError("--target-keys", target_keys, "--target, whose callers key them")
    stories = _stories(paths, expression, tag or ()) * repeat
    if seed is not None:
        random.Random(seed).shuffle(stories)
    options = LabOptions(
        clock_running=clock == "real",
        update_golden=update_golden,
        seed=seed or 0,
        keeping=_keeping(evidence, keep=keep, pages=html is not None),
        foreign=None if target is None else Foreign.of(target, target_keys),
    )
    results, took_s = _run(stories, jobs, options)
    if junit is not None:
        reports.write(junit, reports.junit(results))
    if json_file is not None:
        reports.write(json_file, reports.json_lines(results))
    if html is not None:
        reports.write(html, report(results, beside=html.parent, took_s=took_s))
    if not all(result.ok for result in results):
        raise typer.Exit(EXIT_FAILED)


def _keeping(folder: str, *, keep: bool, pages: bool) -> Keeping | None:
    """Return what is kept of the runs; None when nothing is and no page shows it."""
    if not folder and not pages:
        return None
    return Keeping(Path(folder) if folder else None, everything=keep, pages=pages)


def _run(stories: list[Story], jobs: int, options: LabOptions) -> tuple[list[StoryResult], float]:
    """Run stories, print each as it comes and the sum; return the results and seconds taken."""
    set_up_logs(quiet=True)
    console = Console(highlight=False)
    if options.keeping is not None and options.keeping.folder is not None:
        clear(options.keeping.folder, [story.file for story in stories])
    began_ns = time.monotonic_ns()
    if jobs > 1 and len(stories) > 1:
        results = run_parallel(stories, jobs, options, lambda one: reports.show(one, console))
    else:
        results = asyncio.run(run_all(stories, console, options))
    took_s = (time.monotonic_ns() - began_ns) / NS_PER_S
    for line in unequal(results):
        console.print(line, style="red", markup=False, soft_wrap=True)
    held = sum(result.ok for result in results)
    console.print(f"{held} of {len(results)} stories held, {took_s:.0f} s")
    return results, took_s


async def run_all(stories: list[Story], console: Console, options: LabOptions) -> list[StoryResult]:
    """Run stories one after the other on a warm lab, printing each result as it comes."""
    lab = Lab.open(options)
    results = []
    try:
        for story in stories:
            result = await lab.run(story)
            results.append(result)
            reports.show(result, console)
    finally:
        await lab.close()
    return results


@app.command(epilog="Example: tollbridge scenario check scenarios/")
def check(paths: Paths) -> None:
    """Read stories without running them; exit 2 and say where when something is wrong."""
    stories = _stories(paths, "")
    typer.echo(f"{len(stories)} stories can be run")


@app.command("list", epilog="Example: tollbridge scenario list scenarios/ -k waiting")
def list_(
    paths: Paths,
    expression: Expression = "",
    tag: Tags = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """List stories: file, sentence and the rules they prove."""
    for story in _stories(paths, expression, tag or ()):
        if as_json:
            row = {"file": str(story.file), "scenario": story.scenario, "rules": story.rules}
            typer.echo(json.dumps(row, ensure_ascii=False))
        else:
            typer.echo(f"{story.file}  {story.scenario}  [{', '.join(story.rules)}]")


@app.command(epilog="Example: tollbridge scenario schema > story.schema.json")
def schema() -> None:
    """Print the JSON Schema of story files, for editors."""
    typer.echo(json.dumps(story_schema(), indent=2))


@app.command(epilog="Example: tollbridge scenario new scenarios/my_story.yaml")
def new(path: Annotated[Path, typer.Argument(help="The file to write.")]) -> None:
    """Write a story to start from; an existing file is left alone (exit 2)."""
    if path.exists():
        raise InputError("scenario new", str(path), "a file that does not exist yet")
    reports.write(path, TEMPLATE)
    typer.echo(f"{path}: run it with `tollbridge scenario run {path}`")
