"""The `tollbridge` command. Every subcommand exits 0 / 1 / 2: fine / what was tested failed / bad
input or environment. It reads arguments and prints; what is done is done in the rooms below.
"""

import asyncio
import contextlib
import importlib.metadata
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from billing import BillingError
from bridge.errors import InputError, OperatingTrouble, TollbridgeError

EXIT_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2

app = typer.Typer(
    name="tollbridge",
    help="A telephone conference bridge to dial into, script, load and bill.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file with the bridge's settings.", dir_okay=False),
]


def main() -> None:
    """Run the command; the entry point of the distribution."""
    _mount()
    try:
        app()
    except InputError as fault:
        _fail(str(fault), EXIT_BAD_INPUT)
    except (OperatingTrouble, BillingError, OSError) as fault:
        _fail(str(fault), EXIT_BAD_INPUT)
    except TollbridgeError as fault:
        _fail(f"{fault.code}: {fault}", EXIT_FAILED)


def _mount() -> None:
    """Add the commands of the other rooms; their imports are paid only when they are asked for."""
    asked = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    mounts: dict[str, tuple[str, Callable[[], typer.Typer]]] = {
        "scenario": ("Run call stories from YAML files, check who hears whom and the bill.", _lab),
        "billing": ("Settle usage, print invoices, explain charges.", _billing),
        "session": ("Schedule and control sessions of a running bridge.", _session),
        "phone": ("Call with a softphone in the terminal; list and try sound devices.", _phone),
        "bench": ("Measure this machine; ratios in one run.", _bench),
    }
    for name, (text, load) in mounts.items():
        child = load() if asked == name else typer.Typer(no_args_is_help=True)
        app.add_typer(child, name=name, help=text)
    _mount_load(asked == "load")


def _lab() -> typer.Typer:
    from bridge.lab.cli import app as lab

    return lab


def _billing() -> typer.Typer:
    from billing.cli import app as billing

    return billing


def _session() -> typer.Typer:
    from bridge.session_cli import app as session

    return session


def _phone() -> typer.Typer:
    from bridge.phone.cli import app as phone

    return phone


def _bench() -> typer.Typer:
    from bridge.bench.cli import app as bench

    return bench


def _mount_load(asked: bool) -> None:
    """Add `load`, one command that brings no others."""
    text = "Load a SIP bridge with real calls and check all the time who hears whom."
    if asked:
        from bridge.lab.load.cli import EXAMPLES, load

        app.command(name="load", help=text, epilog=EXAMPLES)(load)
    else:
        app.command(name="load", help=text)(lambda: None)


def _fail(message: str, status: int) -> NoReturn:
    print(f"tollbridge: {message}", file=sys.stderr)
    raise SystemExit(status)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tollbridge {importlib.metadata.version('tollbridge')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: tollbridge serve --config bridge.toml")
def serve(
    config: ConfigOption = Path("bridge.toml"),
    json_log: Annotated[bool, typer.Option("--json-log", help="Log as JSON lines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings only.")] = False,
) -> None:
    """Run a bridge until Ctrl-C: prints the SIP address, the numbers and the codes to dial."""
    from bridge.config import load_settings
    from bridge.logs import set_up_logs
    from bridge.serve import run

    settings = load_settings(config)
    set_up_logs(as_json=json_log, quiet=quiet)
    stop = asyncio.Event()

    async def serving() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await run(settings, stop, typer.echo)

    asyncio.run(serving())


@app.command(epilog="Example: tollbridge demo --out out/demo")
def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the recording, invoice and summary.")
    ] = Path("out/demo"),
) -> None:
    """Show the main job in under a minute: dial in, wait, meet, be billed; on loopback."""
    from bridge.lab.demo import run
    from bridge.logs import set_up_logs

    set_up_logs(quiet=True)
    asyncio.run(run(out))


@app.command(
    epilog="Example: tollbridge listen s1 · tollbridge listen s1 --record mix.wav --seconds 60"
)
def listen(
    conference: Annotated[str, typer.Argument(help="A session's id, as `session list` shows it.")],
    url: Annotated[
        str, typer.Option("--url", envvar="TOLLBRIDGE_API_URL", help="Where the bridge's API is.")
    ] = "http://127.0.0.1:8080",
    token: Annotated[
        str,
        typer.Option("--token", envvar="TOLLBRIDGE_API_TOKEN", help="A token of an organizer."),
    ] = "",
    device: Annotated[
        str, typer.Option("--device", help="Number or part of the name, as `phone devices` lists.")
    ] = "",
    record: Annotated[
        Path | None, typer.Option("--record", help="Write it to this WAV file; needs no sound.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Listen for so long.")] = None,
) -> None:
    """Hear a conference of a running bridge live; nobody joins, and nobody is billed."""
    from rich.console import Console

    from bridge.phone import listen as live

    chosen: str | int | None = int(device) if device.isdigit() else device or None
    with contextlib.suppress(KeyboardInterrupt):
        live.listen(
            live.stream(url, token, conference),
            device=chosen,
            record=record,
            seconds=seconds,
            console=Console(),
        )


@app.command(epilog="Example: tollbridge doctor --config bridge.toml")
def doctor(config: ConfigOption = None) -> None:
    """Print the settings in force and what is wrong with them or with this machine."""
    from bridge.doctor import examine

    faults = examine(config, typer.echo)
    if faults:
        raise typer.Exit(EXIT_BAD_INPUT)


@app.command(epilog="Example: tollbridge explain leg-4f9k2m0a1b2c3d4e --config bridge.toml")
def explain(
    leg: Annotated[str, typer.Argument(help="A leg's id, as invoices and logs show it.")],
    config: ConfigOption = Path("bridge.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the story with its drawings to one HTML file.")
    ] = None,
) -> None:
    """Tell a leg's story: SIP, where it was, who was heard, losses, facts, and why it costs what.

    Reads the store and what the bridge keeps beside it, also while the bridge runs; what is not
    kept is said.
    """
    from rich.console import Console

    from bridge.config import load_settings
    from bridge.legstory import page, text
    from bridge.legstory.explain import story_from_store

    story = story_from_store(load_settings(config), leg)
    if html is not None:
        html.write_text(page.whole_page(story), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(story, indent=2, ensure_ascii=False))
    else:
        text.show(story, Console())


if __name__ == "__main__":
    main()
