"""`tollbridge load`: reads arguments, shows progress, prints the report, exits 0, 1 or 2.

0: everything held. 1: a limit broke. 2: bad input, or what is needed could not be started.
"""

import asyncio
import json
import math
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from bridge.errors import InputError
from bridge.lab.load import options, report
from bridge.lab.load.book import summarise
from bridge.lab.load.limits import Limits
from bridge.lab.load.page import to_html
from bridge.lab.load.plan import LoadPlan, Profile
from bridge.lab.load.run import Load, Result, run
from bridge.logs import set_up_logs

EXIT_FAILED: Final = 1
DURATION_S: Final = 60.0
STEP_DURATION_S: Final = 10.0
CHURN_S: Final = 20.0
"""How long a call lasts in profile `churn` unless --churn-rate says otherwise."""

PLAIN_EVERY_S: Final = 5
"""Progress where nobody can watch a table that changes: a line so often."""

WORST_SHOWN: Final = 3
SEARCH_LOSS_MAX: Final = 1.0
SEARCH_PPS_MIN: Final = 49.0

EXAMPLES: Final = """\
Example: tollbridge load --participants 1000 --conferences 100 --html load.html

tollbridge load --conferences 20 --participants 200 --target 'sip:{conference}@192.0.2.7'

tollbridge load --participants 4000 --conferences 400 --find-capacity --step 250
"""


def load(
    context: typer.Context,
    participants: options.Participants = 1_000,
    conferences: options.Conferences = 0,
    rate: options.Rate = 50.0,
    duration: options.Duration = None,
    codec: options.Codec = "PCMU",
    profile: options.Profile = "talk",
    talkers: options.Talkers = 10,
    churn_rate: options.ChurnRate = 0.0,
    target: options.Target = "",
    keys: options.Keys = "",
    organizer_keys: options.OrganizerKeys = "",
    first: options.First = 1,
    settle: options.Settle = 4.0,
    sample: options.Sample = 50,
    json_file: options.JsonFile = None,
    html: options.Html = None,
    find_capacity: options.FindCapacity = False,
    step: options.Step = 200,
    max_failures: options.MaxFailures = 0,
    max_missing: options.MaxMissing = 0,
    max_wrong: options.MaxWrong = 0,
    max_one_way: options.MaxOneWay = 0,
    max_setup_p99_ms: options.MaxSetupP99Ms = None,
    max_loss: options.MaxLoss = None,
    max_gap_ms: options.MaxGapMs = None,
    max_delay_p95_ms: options.MaxDelayP95Ms = None,
    min_mos: options.MinMos = None,
    min_pps: options.MinPps = None,
) -> None:
    """Load a SIP bridge with real calls and check all the time who hears whom.

    Exit code 0: everything held; 1: a limit broke; 2: bad input, or nothing to load.
    """
    _are_numbers(context.params)
    plan, limits = _plan(context.params), _limits(context.params)
    _can_write("--json", json_file)
    _can_write("--html", html)
    result = _run(plan, limits, step if find_capacity else 0, stories=html is not None)
    _print(result, json_file)
    if json_file is not None:
        _write(json_file, json.dumps(report.to_json(result)))
    if html is not None:
        _write(html, to_html(result, ["tollbridge", *sys.argv[1:]]))
    if not result.ok:
        raise typer.Exit(EXIT_FAILED)


def _plan(given: Mapping[str, Any]) -> LoadPlan:
    """Return the plan that the options say.

    Raises:
        InputError: it cannot be carried out.
    """
    participants, search = given["participants"], given["find_capacity"]
    return LoadPlan(
        participants=participants,
        conferences=given["conferences"] or max(participants // 10, 1),
        rate=given["rate"],
        duration_s=given["duration"] or (STEP_DURATION_S if search else DURATION_S),
        codec=_one_of("--codec", given["codec"].upper(), ("PCMU", "PCMA")),
        profile=_profile(given["profile"]),
        talkers=given["talkers"],
        target=given["target"],
        keys=given["keys"],
        organizer_keys=given["organizer_keys"],
        first=given["first"],
        settle_s=given["settle"],
        sample=given["sample"],
        churn_rate=given["churn_rate"] or min(given["rate"], participants / CHURN_S),
        one_by_one=search,
    ).checked()


def _limits(given: Mapping[str, Any]) -> Limits:
    """Return the limits that the options say; a search for the capacity has two of its own."""
    loss, pps = given["max_loss"], given["min_pps"]
    if given["find_capacity"]:
        loss = SEARCH_LOSS_MAX if loss is None else loss
        pps = SEARCH_PPS_MIN if pps is None else pps
    return Limits(
        failures_max=given["max_failures"],
        missing_max=given["max_missing"],
        wrong_max=given["max_wrong"],
        one_way_max=given["max_one_way"],
        setup_p99_ms_max=given["max_setup_p99_ms"],
        loss_max=loss,
        gap_ms_max=given["max_gap_ms"],
        delay_p95_ms_max=given["max_delay_p95_ms"],
        mos_min=given["min_mos"],
        pps_min=pps,
    )


def _are_numbers(given: Mapping[str, Any]) -> None:
    """Refuse what is no number: nothing is above it or below, so no limit of it ever breaks."""
    for name, value in given.items():
        if isinstance(value, float) and math.isnan(value):
            raise InputError(f"--{name.replace('_', '-')}", "nan", "a number")


def _profile(word: str) -> Profile:
    match word:
        case "talk" | "listen" | "churn":
            return word
        case _:
            raise InputError("--profile", word, "talk, listen or churn")


def _one_of(option: str, word: str, known: tuple[str, ...]) -> str:
    if word not in known:
        raise InputError(option, word, " or ".join(known))
    return word


def _can_write(option: str, path: Path | None) -> None:
    """Say that a report cannot be written before the run, not after it."""
    if path is None or str(path) == "-":
        return
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(option, str(path), "a file in a folder that exists")


def _write(path: Path, text: str) -> None:
    if str(path) == "-":
        typer.echo(text)
    else:
        path.write_text(text + "\n", encoding="utf-8")


def _run(plan: LoadPlan, limits: Limits, step: int, *, stories: bool) -> Result:
    """Carry the plan out; Ctrl-C ends it early and in order, a second one at once."""
    set_up_logs(quiet=True)
    stop = asyncio.Event()
    console = Console(stderr=True)

    async def running() -> Result:
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            stop.set()
            loop.remove_signal_handler(signal.SIGINT)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        if not console.is_terminal:
            return await run(plan, limits, stop, _Lines(console), step=step, stories=stories)
        with Live(console=console, auto_refresh=False, transient=True) as live:

            def show(now: Load, _: str) -> None:
                live.update(board(now), refresh=True)

            return await run(plan, limits, stop, show, step=step, stories=stories)

    return asyncio.run(running())


class _Lines:
    """Progress in lines: one for each stage, and one each few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seconds = -1

    def __call__(self, now: Load, stage: str) -> None:
        """Print a line if it is time for one."""
        seconds = len(now.book.seconds)
        new = not seconds or now.book.seconds[-1].get("stage") != stage
        if not new and (seconds == self._seconds or seconds % PLAIN_EVERY_S):
            return
        self._seconds = seconds
        figures = " · ".join(f"{name} {value}" for name, value in progress(now))
        self._console.print(f"{seconds:>4} s  {stage}: {figures}", highlight=False, soft_wrap=True)


def progress(now: Load) -> list[tuple[str, str]]:
    """Return what is known now, as names and values."""
    book, plan = now.book, now.plan
    last: dict[str, Any] = book.seconds[-1] if book.seconds else {}
    s = summarise(book, 0, 1 << 62)
    setup = f"{s.setup_ms['p50']:g}, p99 {s.setup_ms['p99']:g} ms" if s.setup_ms else "-"
    return [
        ("in", f"{len(now.calls.up)} of {plan.participants}"),
        ("failed", str(s.calls - s.connected)),
        ("dropped", str(sum(s.dropped.values()))),
        ("set-up p50", setup),
        ("packets/s", f"{last.get('pps_mean', 0):g} (least {last.get('pps_min', 0)})"),
        ("lost", f"{s.loss:g} %"),
        ("voices", f"{s.voices}, missing {s.missing}, wrong {s.wrong}, own {s.own}"),
        ("delay", f"{s.delay_ms['p50']:g} ms" if s.delay_ms else "-"),
        ("MOS", f"{s.mos:g}" if s.judged else "-"),
        ("cores", f"bridge {last.get('bridge_cores', 0):g}, callers {last.get('cpu_cores', 0):g}"),
    ]


def board(now: Load) -> Table:
    """Return the table that is shown while a run goes on."""
    plan = now.plan
    title = f"{plan.participants} callers in {plan.conferences} conferences, {plan.profile}"
    table = Table(title=f"{title}: {now.stage}", show_header=False, min_width=60)
    table.add_row("time", f"{len(now.book.seconds)} s (Ctrl-C ends it with the report)")
    for name, value in progress(now):
        table.add_row(name, value)
    return table


def _print(result: Result, json_file: Path | None) -> None:
    """Print the report; beside JSON on standard output it goes to standard error."""
    console = Console(stderr=json_file is not None and str(json_file) == "-", highlight=False)
    passed = "PASSED" if result.ok else "FAILED"
    table = Table(title=f"{passed}: {report.headline(result)}", show_header=False)
    for name, value in report.rows(result.summary):
        table.add_row(name, value)
    console.print(table)
    for step in result.steps:
        said = "; ".join(step.broken) or "held"
        console.print(f"{step.participants} participants: {said}", markup=False, soft_wrap=True)
    for line in result.broken if not result.searched else ():
        console.print(f"broken: {line}", style="red", markup=False, soft_wrap=True)
    for leg in result.worst[:WORST_SHOWN]:
        text = f"worst: {report.describe_leg(leg)}"
        console.print(text, style="dim", markup=False, soft_wrap=True)
    for fault in result.summary.examples[:5]:
        console.print(report.describe(result.plan, fault), markup=False, soft_wrap=True)
