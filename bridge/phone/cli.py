"""`tollbridge phone …`: reads arguments, prints, and exits 0, 1 or 2.

0: the call was answered. 1: it was refused, or nothing came back. 2: wrong use, or no sound.
"""

import asyncio
import getpass
import json
import signal
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from bridge.errors import InputError
from bridge.phone import library, wav
from bridge.phone.call import Call
from bridge.phone.endpoint import Endpoint
from bridge.phone.pool import PROCESSES_MAX
from bridge.phone.screen import Screen, meter_line, typed
from bridge.phone.softphone import Levels, Softphone, Sources, host_of, local_address, uri_of
from bridge.phone.soundcard import devices as list_devices
from bridge.phone.soundcard import rate_of
from bridge.phone.values import (
    FRAME_MS,
    AccountConfig,
    Answered,
    CallEvent,
    Ended,
    KeyReceived,
    Media,
    MediaChanged,
    PhoneConfig,
    Ringing,
    Samples,
    Statistics,
)

EXIT_FAILED: Final = 1
FILE_RATE_HZ: Final = 16_000
"""Of what is heard, when neither a file nor a sound card says otherwise."""

CODECS: Final = "PCMU,PCMA"
"""Not G722: PJSIP sends it 6 dB too low, and hears it 6 dB too loud, until something clips."""

AUDIBLE_DBFS: Final = -50.0

app = typer.Typer(
    no_args_is_help=True,
    help="Call with a softphone in the terminal: microphone, loudspeaker, keys, statistics.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

DeviceOption = Annotated[
    str, typer.Option("--device", help="Number or part of the name, as `phone devices` lists.")
]
WavOption = Annotated[
    Path | None, typer.Option("--wav", help="Say this WAV file instead of the microphone.")
]
RecordOption = Annotated[
    Path | None, typer.Option("--record", help="Write what is heard to this WAV file.")
]
SecondsOption = Annotated[
    float | None, typer.Option("--seconds", min=0.1, help="Hang up after so long.")
]


@app.command(
    "call",
    epilog="Example: tollbridge phone call 482913 · "
    "tollbridge phone call sip:join@127.0.0.1:5060 --keys 482913# --wav hello.wav --record out.wav",
)
def call_(
    target: Annotated[str, typer.Argument(help="A SIP URI, or a number or code at --via.")],
    via: Annotated[str, typer.Option(help="Where numbers are dialled: host:port.")] = (
        "127.0.0.1:5060"
    ),
    name: Annotated[str, typer.Option("--as", help="Who calls: the user of From.")] = "",
    register: Annotated[
        bool, typer.Option("--register", help="Register first; needs a password.")
    ] = False,
    password: Annotated[
        str,
        typer.Option(envvar="TOLLBRIDGE_PHONE_PASSWORD", help="For digest; better by environment."),
    ] = "",
    tcp: Annotated[bool, typer.Option("--tcp", help="SIP over TCP.")] = False,
    codecs: Annotated[str, typer.Option(help="Offered, best first; G722 is wideband.")] = CODECS,
    keys: Annotated[str, typer.Option(help="Press these once answered.")] = "",
    device: DeviceOption = "",
    wav_file: WavOption = None,
    record: RecordOption = None,
    seconds: SecondsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Call; keys that are typed are pressed, m mutes, h holds, q hangs up."""
    library.need("phone call")
    uri = uri_of(target, via)
    sources = _sources(device, wav_file, record)
    account = AccountConfig(
        f"sip:{name or _user()}@{host_of(uri)}",
        registrar=f"sip:{host_of(uri)}" if register else "",
        password=password,
        tcp=tcp,
    )
    config = PhoneConfig(
        host=local_address(uri), codecs=tuple(codecs.split(",")), rate_hz=sources.rate_hz
    )
    screen = Screen(Console(stderr=as_json))
    counted = asyncio.run(_call(screen, config, account, uri, sources, keys=keys, seconds=seconds))
    if as_json:
        typer.echo(json.dumps({"uri": uri, **asdict(counted)}))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # nobody's process
        return "softphone"


def _sources(device: str, wav_file: Path | None, record: Path | None) -> Sources:
    """Return where sound comes from and goes to.

    A file that is said takes the place of the card, unless one is named. Where there is no card,
    a recording can still be made.
    """
    clip: Samples | None = None
    rate_hz = FILE_RATE_HZ
    if wav_file is not None:
        clip, rate_hz = wav.read(wav_file)
    if wav_file is not None and not device:
        return Sources(rate_hz, clip=clip, record=record)
    chosen: str | int | None = int(device) if device.isdigit() else device or None
    try:
        card_hz = rate_of(chosen)
    except InputError as fault:
        if record is None or device:
            raise
        typer.echo(f"no sound card, silence is said: {fault}", err=True)
        return Sources(rate_hz, clip=clip, record=record)
    return Sources(
        rate_hz if clip is not None else card_hz,
        clip=clip, card=True, device=chosen, record=record,
    )  # fmt: skip


async def _call(
    screen: Screen,
    config: PhoneConfig,
    account: AccountConfig,
    uri: str,
    sources: Sources,
    *,
    keys: str,
    seconds: float | None,
) -> Statistics:
    async with Endpoint(config) as endpoint, endpoint.account(account) as who:
        if account.registrar:
            screen.tell(f"registered as {account.uri}")
        screen.tell(f"calling {uri}")
        async with who.call(uri) as call:
            phone = Softphone(call, sources, screen.tell)
            async with _shown(screen, phone):
                await _answered(call, phone)
                for key in keys:
                    phone.take(key)
                await phone.talk(seconds)
        counted = await call.statistics()
        _report(screen, call, counted, phone.levels)
    return counted


async def _answered(call: Call, phone: Softphone) -> None:
    """Wait for the answer, or until the person gives up."""
    answer = asyncio.ensure_future(call.answered())
    quits = asyncio.ensure_future(phone.hanging_up.wait())
    await asyncio.wait([answer, quits], return_when=asyncio.FIRST_COMPLETED)
    quits.cancel()
    if not answer.done():
        answer.cancel()
        raise InputError("phone call", "hung up", "patience until the call is answered")
    answer.result()


@asynccontextmanager
async def _shown(screen: Screen, phone: Softphone) -> AsyncIterator[None]:
    """Show a call and take keys until it is over; Ctrl-C hangs up."""
    loop = asyncio.get_running_loop()
    begun = time.monotonic()

    async def watch() -> None:
        async for event in phone.call.events():
            if line := _said(event):
                screen.tell(line)

    def line() -> Text:
        state = "muted" if phone.muted else phone.call.media.value
        return meter_line(
            "ringing" if state == "none" else state, time.monotonic() - begun, phone.levels
        )

    watching = asyncio.ensure_future(watch())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, phone.hanging_up.set)
    try:
        with typed(phone.take), screen.meters(line):
            yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        watching.cancel()


def _said(event: CallEvent) -> str:
    match event:
        case Ringing(status, reason):
            return f"{status} {reason}"
        case Answered():
            return "answered"
        case MediaChanged(Media.HELD_BY_PEER):
            return "put on hold by the other side"
        case KeyReceived(key):
            return f"the other side pressed {key}"
        case Ended(status, reason):
            return f"over: {status} {reason}".rstrip()
        case _:
            return ""


def _report(screen: Screen, call: Call, counted: Statistics, levels: Levels) -> None:
    ended = call.ended
    if ended is not None:
        screen.tell(f"over after {counted.seconds:.1f} s ({ended.status} {ended.reason})")
    screen.tell(
        f"{counted.codec}: {counted.sent} packets sent, {counted.received} received, "
        f"{counted.lost} lost ({counted.loss:.1%}), {counted.reordered} reordered, "
        f"{counted.peer_lost} of ours lost"
    )
    screen.tell(
        f"jitter {counted.jitter_ms:.1f} ms, round trip {counted.round_trip_ms:.1f} ms; loudest: "
        f"said {levels.said_max:.0f} dBFS, heard {levels.heard_max:.0f} dBFS"
    )


@app.command(epilog="Example: tollbridge phone devices")
def devices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """List the sound devices; * is where sound goes when none is named."""
    found = list_devices()
    if not found:
        raise InputError("sound", "no devices", "a sound card, or PulseAudio and its ALSA plug-in")
    for one in found:
        if as_json:
            typer.echo(json.dumps(asdict(one)))
        else:
            mark = "*" if one.default else " "
            typer.echo(
                f"{mark}{one.number:3d}  {one.inputs:2d} in {one.outputs:2d} out  {one.name}"
            )


@app.command("echo-test", epilog="Example: tollbridge phone echo-test --seconds 10")
def echo_test(
    device: DeviceOption = "",
    wav_file: WavOption = None,
    record: RecordOption = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long.")] = 10.0,
    delay: Annotated[
        float, typer.Option(min=0.0, max=5.0, help="Seconds until you hear it.")
    ] = 1.0,
) -> None:
    """Hear yourself: a call over loopback to a phone that says back what it hears; no bridge."""
    library.need("phone echo-test")
    sources = _sources(device, wav_file, record)
    screen = Screen(Console())
    screen.tell(f"say something: you hear it {delay:.1f} s later, for {seconds:.0f} s")
    levels = asyncio.run(_echo(screen, sources, seconds, delay))
    if levels.said_max > AUDIBLE_DBFS and levels.heard_max <= AUDIBLE_DBFS:
        screen.tell("nothing came back")
        raise typer.Exit(EXIT_FAILED)
    if levels.said_max <= AUDIBLE_DBFS:
        screen.tell("nothing was said: is this the right microphone, and is it on?")
        raise typer.Exit(EXIT_FAILED)
    screen.tell("it came back: microphone, codec, SIP, RTP and loudspeaker work")


async def _echo(screen: Screen, sources: Sources, seconds: float, delay: float) -> Levels:
    async with (
        Endpoint(PhoneConfig(codecs=("PCMU",), rate_hz=sources.rate_hz)) as endpoint,
        endpoint.account("sip:you@127.0.0.1") as you,
        endpoint.account("sip:echo@127.0.0.1") as echo,
    ):
        answering = asyncio.ensure_future(_say_back(echo.calls(), round(delay * 1_000 / FRAME_MS)))
        async with you.call(f"sip:echo@{endpoint.address}") as call:
            phone = Softphone(call, sources, screen.tell)
            async with _shown(screen, phone):
                await call.answered()
                await phone.talk(seconds)
        answering.cancel()
        _report(screen, call, await call.statistics(), phone.levels)
    return phone.levels


async def _say_back(calls: AsyncIterator[Call], frames: int) -> None:
    """Answer one call, and say what it says `frames` later."""
    async for call in calls:
        await call.answer()
        waiting: deque[Samples] = deque()
        async for block in call.audio():
            waiting.append(block.samples)
            if len(waiting) > frames:
                await call.write(waiting.popleft())


@app.command(epilog="Example: tollbridge phone capacity")
def capacity(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count how many calls at a time this build of PJSIP allows: call until it refuses."""
    library.need("phone capacity")
    cap, version = asyncio.run(_capacity())
    pool = cap * PROCESSES_MAX
    if as_json:
        typer.echo(json.dumps({"pjsip": version, "process": cap, "pool": pool}))
        return
    text = f"PJSIP {version}: {cap} calls at a time in a process; "
    typer.echo(f"{text}a pool of {PROCESSES_MAX} processes: {pool}")


async def _capacity() -> tuple[int, str]:
    async with Endpoint(PhoneConfig()) as endpoint:
        return await endpoint.capacity(), endpoint.version
