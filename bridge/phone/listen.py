"""`tollbridge listen`: a conference's live mix, from the API of a running bridge, to ear or file.

Knows the API's stream and sound; no PJSIP and no leg: nobody joins, and nobody is billed.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import numpy as np
from rich.console import Console
from rich.text import Text

from bridge.errors import InputError, OperatingTrouble, RemoteFault
from bridge.phone.screen import Screen, bar
from bridge.phone.softphone import Levels
from bridge.phone.soundcard import SoundCard, rate_of
from bridge.phone.values import Samples
from bridge.phone.wav import WavFile

RATE_HZ: Final = 8_000
HEADER_BYTES: Final = 44
CONNECT_S: Final = 5.0
SILENCE_S: Final = 5.0
"""The bridge sends silence too: a stream without bytes for so long is a dead bridge."""

CARD_RATES_HZ: Final = (16_000, 8_000, 48_000, 32_000)
"""Whole multiples of the mix's rate."""


class ListenRefused(RemoteFault):
    """The bridge does not let one listen; the message is its reason."""

    code = "listen_refused"


def stream(url: str, token: str, session: str) -> Iterator[bytes]:
    """Yield a session's live mix as it comes, 16-bit little-endian at 8 kHz.

    Raises:
        InputError: there is no token.
        ListenRefused: the bridge refuses, or nobody is in the session.
        OperatingTrouble: no bridge is there, or it has gone.
    """
    if not token:
        raise InputError("--token", "", "a token of an organizer, or TOLLBRIDGE_API_TOKEN")
    path = f"{url.rstrip('/')}/api/v1/sessions/{quote(session, safe='')}/audio"
    headers = {"Authorization": f"Bearer {token}"}
    timeout = httpx.Timeout(CONNECT_S, read=SILENCE_S)
    skip = HEADER_BYTES
    try:
        with httpx.stream("GET", path, headers=headers, timeout=timeout, trust_env=False) as answer:
            if not answer.is_success:
                answer.read()
                raise ListenRefused(_reason(answer))
            for data in answer.iter_bytes():
                yield data[skip:]
                skip = max(skip - len(data), 0)
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        raise OperatingTrouble(f"{url}: {fault}: is the bridge running?") from None


def _reason(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['code']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"answered {answer.status_code}, not a bridge's answer"


def listen(
    pieces: Iterator[bytes],
    *,
    device: str | int | None,
    record: Path | None,
    seconds: float | None,
    console: Console,
) -> float:
    """Play a live mix, or write it to a file, until it ends; return how many seconds it was.

    A named device is used beside a file; without either name it goes to the default one.

    Raises:
        InputError: there is no sound, and no file was asked for.
    """
    levels = Levels()
    got = 0
    screen, begun = Screen(console), time.monotonic()

    def line() -> Text:
        text = Text(f"listening {int(time.monotonic() - begun):5d} s  ")
        return text.append(bar(levels.heard), "green").append(f" {levels.heard:4.0f} dBFS  Ctrl-C")

    with contextlib.ExitStack() as stack:
        sinks: list[Callable[[Samples], None]] = [levels.hear]
        if record is not None:
            sinks.append(stack.enter_context(WavFile(record, RATE_HZ)).write)
        if record is None or device is not None:
            sinks.append(_loudspeaker(stack, device))
        stack.callback(lambda: _report(screen, got, levels))
        stack.enter_context(screen.meters(line))
        for samples in _whole(pieces):
            for sink in sinks:
                sink(samples)
            got += len(samples)
            if seconds is not None and got >= seconds * RATE_HZ:
                break
    return got / RATE_HZ


def _report(screen: Screen, got: int, levels: Levels) -> None:
    if got:
        screen.tell(f"{got / RATE_HZ:.1f} s, loudest {levels.heard_max:.0f} dBFS")


def _loudspeaker(
    stack: contextlib.ExitStack, device: str | int | None
) -> Callable[[Samples], None]:
    rate_hz = rate_of(device, rates_hz=CARD_RATES_HZ, microphone=False)
    card = stack.enter_context(SoundCard(rate_hz, device, None))
    times = rate_hz // RATE_HZ
    return lambda samples: card.write(faster(samples, times))


def faster(samples: Samples, times: int) -> Samples:
    """Return samples at a whole multiple of their rate, with straight lines between them.

    >>> faster(np.array([0, 10, 20], np.int16), 2).tolist()
    [0, 5, 10, 15, 20, 20]
    """
    at = np.arange(len(samples) * times) / times
    return np.round(np.interp(at, np.arange(len(samples)), samples)).astype(np.int16)


def _whole(pieces: Iterator[bytes]) -> Iterator[Samples]:
    """Yield what comes as samples; a piece may end in the middle of one."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2").astype(np.int16)
