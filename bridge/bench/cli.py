"""`tollbridge bench`: measures this machine and prints ratios taken in one run."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bridge.errors import InputError
from bridge.media.shape import LEGS_MAX

app = typer.Typer(no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Talkers = Annotated[int, typer.Option(min=2, max=LEGS_MAX, help="Legs that talk.")]


class BenchCodec(StrEnum):
    """Codecs that can be measured."""

    PCMU = "PCMU"
    G722 = "G722"
    L16 = "L16"
    OPUS = "OPUS"


def _there(codec: BenchCodec) -> str:
    """Return a codec's name.

    Raises:
        InputError: its library is not installed.
    """
    from bridge.media.codecs import missing_library

    if missing := missing_library(codec):
        raise InputError(
            f"--codec {codec}", f"no module {missing}", "pip install 'tollbridge[wideband]'"
        )
    return str(codec)


@app.callback()
def _root() -> None:
    pass


@app.command(epilog="Example: tollbridge bench media --participants 1000 --json")
def media(
    participants: Annotated[int, typer.Option(min=2, max=4_000, help="Legs that talk.")] = 1_000,
    conferences: Annotated[int, typer.Option(min=0, help="0: one for each ten legs.")] = 0,
    seconds: Annotated[float, typer.Option(min=1, help="How long each half is measured.")] = 2.5,
    pairs: Annotated[int, typer.Option(min=1, help="Floor and bridge take turns so often.")] = 11,
    codec: Annotated[BenchCodec, typer.Option(help="What everybody talks in.")] = BenchCodec.PCMU,
    as_json: JsonOption = False,
) -> None:
    """Compare the media worker with a bare batched echo of the same packets (the floor)."""
    from bridge.bench.media import run

    groups = conferences or max(participants // 10, 1)
    name = _there(codec)
    result = run(participants, groups, seconds, pairs=pairs, codec=name)
    _tell(
        result,
        f"{participants} {name} legs in {groups} conferences, {pairs} pairs",
        as_json=as_json,
    )


@app.command(epilog="Example: tollbridge bench growth --legs 200,1000,2000 --json")
def growth(
    legs: Annotated[str, typer.Option(help="Numbers of legs.")] = "200,500,1000,2000,3000,4000",
    conferences: Annotated[int, typer.Option(min=0, help="0: one for each ten legs.")] = 0,
    seconds: Annotated[float, typer.Option(min=1, help="How long each is measured.")] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Show how the CPU of a leg, and the tick, change with the number of legs."""
    from bridge.bench.growth import run

    try:
        numbers = tuple(int(word) for word in legs.split(","))
    except ValueError:
        raise typer.BadParameter(f"{legs!r}: expected numbers with commas between") from None
    if not all(2 <= number <= LEGS_MAX for number in numbers):
        raise typer.BadParameter(f"{legs!r}: expected numbers from 2 to {LEGS_MAX}")
    result = run(numbers, seconds, conferences=conferences)
    title = f"everybody talks, {seconds:g} s each"
    _tell(result, title, as_json=as_json, rows=result["rows"])


@app.command(epilog="Example: tollbridge bench room --participants 2000 --pairs 8 --json")
def room(
    participants: Annotated[int, typer.Option(min=20, max=4_000, help="Legs that talk.")] = 2_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long each turn is measured.")] = 2.0,
    pairs: Annotated[int, typer.Option(min=1, help="One and many take turns so often.")] = 8,
    as_json: JsonOption = False,
) -> None:
    """Compare one conference of all legs with conferences of ten, in turns on one worker."""
    from bridge.bench.room import run

    result = run(participants, seconds, pairs=pairs)
    _tell(result, f"{participants} legs in one conference, and in tens", as_json=as_json)


@app.command(epilog="Example: tollbridge bench quality --seeds 6 --json")
def quality(
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each case with loss or jitter.")] = 6,
    codec: Annotated[BenchCodec, typer.Option(help="What is spoken in.")] = BenchCodec.PCMU,
    as_json: JsonOption = False,
) -> None:
    """Judge speech through the media plane by PESQ, against the codec alone."""
    from bridge.bench.quality import run

    result = run(seeds, _there(codec))
    title = f"{result['codec']}, {result['speech_s']} s of speech, {seeds} seeds"
    _tell(result, title, as_json=as_json, rows=result["cases"])


@app.command(epilog="Example: tollbridge bench delay --participants 200 --json")
def delay(
    participants: Annotated[int, typer.Option(min=2, max=400, help="Legs, in pairs.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="How long it is measured.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Measure the delay that the bridge adds, and how evenly packets leave."""
    from bridge.bench.delay import run

    result = run(participants, seconds)
    _tell(result, f"{participants} legs in pairs, one of each talks", as_json=as_json)


@app.command(epilog="Example: tollbridge bench host --seconds 60 --json")
def host(
    seconds: Annotated[float, typer.Option(min=0.1, help="How long it is watched.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Tell how late a sleeping process is woken on the worker's core: what no tick can better."""
    from bridge.bench.host import run

    _tell(run(seconds), f"Sleeps of a millisecond for {seconds:g} s", as_json=as_json)


@app.command(epilog="Example: tollbridge bench flood --participants 1000 --json")
def flood(
    participants: Talkers = 1_000,
    rate: Annotated[int, typer.Option(min=1, help="Packets a second that are nobody's.")] = 100_000,
    seconds: Annotated[float, typer.Option(min=2, help="How long it is measured.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Flood a port of a worker under load, and measure what the others notice."""
    from bridge.bench.flood import run

    result = run(participants, rate, seconds)
    _tell(result, f"{participants} legs, and {rate} packets a second of strangers", as_json=as_json)


@app.command(epilog="Example: tollbridge bench setup --rate 200 --seconds 60 --json")
def setup(
    rate: Annotated[float, typer.Option(min=1, max=5_000, help="Calls a second.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="How long they come.")] = 60.0,
    overload: Annotated[
        float, typer.Option(min=0, max=100, help="Then so many times the rate; 0: not at all.")
    ] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Measure what a whole call costs, INVITE to BYE with its facts committed."""
    from bridge.bench.setup import run

    result = run(rate, seconds, overload=overload)
    _tell(result, f"{rate:g} calls a second for {seconds:g} s", as_json=as_json)


@app.command(epilog="Example: tollbridge bench stages --participants 1000 --json")
def stages(
    participants: Talkers = 1_000,
    ticks: Annotated[int, typer.Option(min=10, help="How many are averaged.")] = 500,
    codec: Annotated[BenchCodec, typer.Option(help="What everybody talks in.")] = BenchCodec.PCMU,
    pause_ms: Annotated[
        float, typer.Option(min=0, max=100, help="Sleep before each tick; in life it is about 14.")
    ] = 0.0,
    beside_numpy: Annotated[
        bool,
        typer.Option("--beside-numpy", help="Take turns with numpy instead of compiled loops."),
    ] = False,
    halt: Annotated[
        int, typer.Option(min=0, max=50, help="Ticks for which then nothing comes for anybody.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Show where the CPU time of a tick goes, without the kernel's part."""
    from bridge.bench.stages import run

    name = _there(codec)
    result = run(participants, ticks, name, pause_ms=pause_ms, beside_numpy=beside_numpy, halt=halt)
    loops = {result["loops"]: result} | ({"numpy": result["numpy"]} if beside_numpy else {})
    rows: Rows = []
    for name in ("all", *result["stages_ms"]):
        rows.append({"stage": name})
        for kind, found in loops.items():
            mean = {"all": found["tick_ms"], **found["stages_ms"]}
            least = {"all": found["tick_ms_least"], **found["stages_ms_least"]}
            rows[-1] |= {f"ms, {kind}": mean.get(name, 0), f"least, {kind}": least.get(name, 0)}
    title = f"A tick of {participants} {codec} legs, {pause_ms:g} ms of sleep before it"
    _tell(result, title, as_json=as_json, rows=rows)
    if halt and not as_json:
        typer.echo(f"ms of ticks in which nothing comes, and of the next: {result['halted_ms']}")


@app.command(epilog="Example: tollbridge bench churn --participants 1000 --rate 100 --json")
def churn(
    participants: Annotated[int, typer.Option(min=2, max=3_000, help="Legs that talk.")] = 1_000,
    rate: Annotated[int, typer.Option(min=1, max=500, help="Joins and leaves a second.")] = 100,
    seconds: Annotated[float, typer.Option(min=2, help="How long each half is measured.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Let legs join and leave beside those who talk, and measure what the ticks notice."""
    from bridge.bench.churn import run

    result = run(participants, rate, seconds)
    _tell(result, f"{participants} legs, and {rate} joins and leaves a second", as_json=as_json)


@app.command(epilog="Example: tollbridge bench peers --participants 200 --json")
def peers(
    participants: Annotated[int, typer.Option(min=2, max=1_000, help="Callers that talk.")] = 200,
    conferences: Annotated[int, typer.Option(min=0, help="0: one for each ten callers.")] = 0,
    seconds: Annotated[float, typer.Option(min=2, help="How long each is measured.")] = 8.0,
    pairs: Annotated[int, typer.Option(min=1, help="The two take turns so often.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Measure Debian's Janus AudioBridge beside this bridge: same callers, same cores, in turn."""
    from bridge.bench.peers import run
    from bridge.logs import set_up_logs

    set_up_logs(quiet=True)
    result = run(participants, conferences or max(participants // 10, 1), seconds, pairs=pairs)
    groups = f"{result['participants']} callers in {result['conferences']} conferences"
    title = f"{groups}; Janus takes {result['ratio']} times the CPU"
    _tell(result, title, as_json=as_json, rows=result["rows"], beside=True)


@app.command(epilog="Example: tollbridge bench billing --legs 1000000 --growth")
def billing(
    legs: Annotated[
        int, typer.Option(min=20, help="How many; 1000000 have 3,150,000 facts.")
    ] = 100_000,
    with_growth: Annotated[
        bool, typer.Option("--growth", help="10,000 legs first, and what a leg costs against them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take in, settle, rate and invoice that many legs on SQLite, and do it all again.

    A million legs take some three minutes of one core, 1 GB of memory and 4 GB of disk (TMPDIR).
    """
    from billing.bench import growth, run

    if not with_growth:
        _tell(run(legs), f"{legs:,} legs on SQLite, one core", as_json=as_json)
        return
    result = growth(legs)
    if as_json:
        typer.echo(json.dumps(result))
        return
    _tell(result["few"], "10,000 legs on SQLite, one core")
    _tell(result["many"], f"{legs:,} legs, the same")
    typer.echo(f"a leg costs {result['growth']} times what it costs among 10,000 (CPU)")


Rows = list[dict[str, Any]]


def _tell(
    result: dict[str, Any],
    title: str,
    *,
    as_json: bool = False,
    rows: Rows | None = None,
    beside: bool = False,
) -> None:
    """Print what was measured: all of it as JSON, or a table of it, or of its `rows`.

    Rows are printed one under the other, or `beside` each other, named by their first value.
    """
    if as_json:
        typer.echo(json.dumps(result))
    elif rows is None:
        pairs = Table(title=title, show_header=False)
        for key, value in result.items():
            pairs.add_row(key, _cell(value))
        Console().print(pairs)
    else:
        Console().print((_columns if beside else _lines)(title, rows))


def _lines(title: str, rows: Rows) -> Table:
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _columns(title: str, rows: Rows) -> Table:
    head, *names = rows[0]
    table = Table("", *(_cell(row[head]) for row in rows), title=title)
    for name in names:
        table.add_row(name, *(_cell(row[name]) for row in rows))
    return table


def _cell(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)
