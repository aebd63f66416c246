"""What `tollbridge doctor` looks at: the settings in force, and whether the machine allows them."""

import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bridge.config import SessionSettings, Settings, load_settings
from bridge.errors import InputError, StoreUnavailable
from bridge.media import samples
from bridge.media.codecs import missing_library
from bridge.metering import Outbox
from bridge.net.sip_tls import valid_until
from bridge.priority import NICE, may_go_first
from bridge.prompts import check
from bridge.sip_side import tls_of
from bridge.store_lock import StoreLock

PROMPTS: Final = Path(__file__).parent / "prompts"
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
HIDDEN: Final = frozenset({"organizer_pin"})


def examine(config: Path | None, say: Callable[[str], None]) -> list[str]:
    """Print what is in force and what is wrong; return the faults."""
    if config is None and Path("bridge.toml").exists():
        config = Path("bridge.toml")
    say(f"settings from {config or 'the defaults'} and the environment")
    try:
        settings = load_settings(config)
    except InputError as error:
        faults = str(error).splitlines()
        for line in faults:
            say(f"  wrong  {line}")
        return faults
    for line in _in_force(settings):
        say(f"  {line}")
    say("this machine")
    faults = []
    for name, fault in _checks(settings):
        say(f"  {'wrong ' if fault else 'fine  '} {name}{': ' + fault if fault else ''}")
        faults += [fault] if fault else []
    return faults


def _in_force(settings: Settings) -> Iterator[str]:
    for section, value in settings:
        if isinstance(value, list):
            for item in value:
                hidden = HIDDEN if isinstance(item, SessionSettings) else frozenset()
                yield f"[[{section}]] {item.model_dump(mode='json', exclude=set(hidden))}"
        else:
            for key, setting in value:
                yield f"{section}.{key} = {setting!r}"


def _checks(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "Linux, for batched sockets", "" if sys.platform == "linux" else sys.platform
    yield f"SIP port {settings.sip.listen}", _bind(*settings.sip.address)
    yield from _tls(settings)
    yield f"RTP address {settings.rtp.address}", _bind(settings.rtp.address, 0)
    if settings.web_listens:
        yield f"web address {settings.web.listen}", _bind(*settings.web.address, tcp=True)
    yield f"store {settings.store.outbox_url}", _store(settings)
    prompts = sorted(PROMPTS.rglob("*.wav"))
    yield f"{len(prompts)} prompts and sounds", "" if prompts else f"none in {PROMPTS}"
    if settings.prompts.own:
        yield f"own prompts in {settings.prompts.directory}", _own_prompts(settings.prompts.own)
    yield "receive buffer of sockets", _receive_buffer()
    cores = len(os.sched_getaffinity(0))
    workers = settings.rtp.workers_count
    short = "more workers than cores: they take each other's time" if workers > cores else ""
    yield f"{cores} cores, {workers} media {'worker' if workers == 1 else 'workers'}", short
    numpy = f"numpy, slower ({samples.WHY_NUMPY})"
    yield f"media loops: {'compiled' if samples.LOOPS == 'c' else numpy}", ""
    waits = f"wait for other programs; root, CAP_SYS_NICE or LimitNICE={NICE} would change that"
    yield f"media workers {f'go first (nice {NICE})' if may_go_first() else waits}", ""
    yield _codecs(settings), ""
    for extra, module in (
        ("wideband", "G722"),
        ("phone", "pjsua2"),
        ("pdf", "typst"),
        ("nats", "nats"),
    ):
        found = importlib.util.find_spec(module) is not None
        yield f"extra tollbridge[{extra}]: {'installed' if found else 'not installed'}", ""


def _tls(settings: Settings) -> Iterator[tuple[str, str]]:
    sip = settings.sip
    if not sip.tls:
        yield "SIP over TLS: off", ""
        return
    yield f"SIP over TLS {sip.tls}", _bind(*sip.tls_address, tcp=True)
    try:
        tls_of(settings)
        until = valid_until(Path(sip.tls_certificate))
    except InputError as error:
        yield "certificate of TLS", str(error)
        return
    fault = "it has expired: phones refuse it" if until <= datetime.now(UTC) else ""
    yield f"certificate {sip.tls_certificate}, valid until {until:%Y-%m-%d %H:%M} UTC", fault


def _codecs(settings: Settings) -> str:
    """Say which codecs are offered, and which are not for want of a library."""
    lacking = {name: missing_library(name.upper()) for name in settings.rtp.codecs}
    there = [name for name, module in lacking.items() if not module]
    gone = [f"{name} (no module {module})" for name, module in lacking.items() if module]
    without = f"; not {', '.join(gone)}: pip install 'tollbridge[wideband]'" if gone else ""
    return f"codecs offered: {', '.join(there)}{without}"


def _bind(host: str, port: int, *, tcp: bool = False) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as probe:
            probe.bind((host, port))
    except OSError as fault:
        return f"cannot be bound: {fault.strerror}"
    return ""


def _store(settings: Settings) -> str:
    try:
        StoreLock(settings.store.outbox_url).release()
        Outbox(settings.store.outbox_url, "doctor").close()
    except StoreUnavailable as fault:
        return str(fault).removeprefix(f"{settings.store.outbox_url}: ")
    return ""


def _own_prompts(directory: Path) -> str:
    try:
        check(directory)
    except InputError as fault:
        return str(fault)
    return ""


def _receive_buffer() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for option in (getattr(socket, "SO_RCVBUFFORCE", 33), socket.SO_RCVBUF):
            try:
                probe.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER_BYTES)
            except PermissionError:
                continue
        got = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if got >= RECEIVE_BUFFER_BYTES:
        return ""
    return (
        f"{got} bytes: bursts of packets may be lost above some hundred legs; as root:"
        f" sysctl net.core.rmem_max={RECEIVE_BUFFER_BYTES}"
    )
