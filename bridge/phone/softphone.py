"""A call of one person: microphone or file in, loudspeaker or file out, keys, mute, hold, levels.

Knows the phone library and sound; prints nothing. `Screen` shows it, `cli` starts it.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from bridge.errors import InputError
from bridge.phone.call import Call
from bridge.phone.soundcard import SoundCard
from bridge.phone.values import KEYS, CallRefused, PhoneTrouble, Samples
from bridge.phone.wav import WavFile

SILENT_DBFS: Final = -90.0
FULL_SCALE: Final = 32_768
SIP_PORT: Final = 5_060


@dataclass(slots=True)
class Levels:
    """How loud it is now, and at the most so far, in dBFS against a full-scale sine."""

    said: float = SILENT_DBFS
    heard: float = SILENT_DBFS
    said_max: float = SILENT_DBFS
    heard_max: float = SILENT_DBFS

    def say(self, samples: Samples) -> None:
        """Take what is said."""
        self.said = level_dbfs(samples)
        self.said_max = max(self.said_max, self.said)

    def hear(self, samples: Samples) -> None:
        """Take what is heard."""
        self.heard = level_dbfs(samples)
        self.heard_max = max(self.heard_max, self.heard)


def level_dbfs(samples: Samples) -> float:
    """Return the power of samples in dBFS; 0 is a sine of full scale, -90 silence.

    >>> level_dbfs(np.zeros(160, np.int16))
    -90.0
    """
    power = (
        float(np.mean(samples.astype(np.float64) ** 2)) * 2 / FULL_SCALE**2 if len(samples) else 0
    )
    return max(10 * float(np.log10(max(power, 1e-12))), SILENT_DBFS)


@dataclass(slots=True)
class Sources:
    """Where sound comes from and goes to.

    Attributes:
        clip: said from the answer on, instead of what a microphone hears; None is no file.
        card: rate and device of a sound card; None is none.
        record: where what is heard is written.
    """

    rate_hz: int
    clip: Samples | None = None
    card: bool = False
    device: str | int | None = None
    record: Path | None = None


@dataclass(slots=True)
class Softphone:
    """One call and what a person does in it.

    Attributes:
        tell: told each thing that happens, as a line for people.
    """

    call: Call
    sources: Sources
    tell: Callable[[str], None]
    levels: Levels = field(default_factory=Levels)
    muted: bool = False
    held: bool = False
    hanging_up: asyncio.Event = field(default_factory=asyncio.Event)
    _keys: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def take(self, key: str) -> None:
        """Take a key of the terminal: 0-9 * # A-D are pressed, m h q do what `help` says."""
        if key in KEYS or key in "mh":
            self._keys.put_nowait(key)
        elif key == "q":
            self.hanging_up.set()
        elif key == "?":
            self.tell("0-9 * # A-D: press · m: mute · h: hold · q: hang up")

    async def talk(self, seconds: float | None = None) -> None:
        """Be in the call until either side hangs up, or `seconds` are over."""
        works: list[Coroutine[None, None, None]] = [self._obey(), self._say(), self._over(seconds)]
        with contextlib.ExitStack() as stack:
            works.append(self._hear(self._sinks(stack)))
            tasks = [asyncio.ensure_future(work) for work in works]
            try:
                await tasks[2]
            finally:
                for task in tasks:
                    task.cancel()
                done = await asyncio.gather(*tasks, return_exceptions=True)
        for fault in done:
            if isinstance(fault, Exception):
                raise fault

    async def _over(self, seconds: float | None) -> None:
        works: tuple[Coroutine[None, None, object], ...]
        works = self.hanging_up.wait(), self.call.over()
        ends = [asyncio.ensure_future(work) for work in works]
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    def _sinks(self, stack: contextlib.ExitStack) -> list[Callable[[Samples], None]]:
        sinks: list[Callable[[Samples], None]] = [self.levels.hear]
        if self.sources.record is not None:
            sinks.append(
                stack.enter_context(WavFile(self.sources.record, self.sources.rate_hz)).write
            )
        if self.sources.card:
            loop = asyncio.get_running_loop()

            def on_frame(samples: Samples) -> None:  # in PortAudio's thread
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(self._on_microphone, samples)

            card = SoundCard(self.sources.rate_hz, self.sources.device, on_frame)
            sinks.append(stack.enter_context(card).write)
        return sinks

    def _on_microphone(self, samples: Samples) -> None:
        if self.sources.clip is None:
            self.levels.say(samples)
            self.call.write_soon(samples)

    async def _say(self) -> None:
        clip = self.sources.clip
        if clip is None:
            return
        playing = asyncio.ensure_future(self.call.play(clip))
        frame = self.sources.rate_hz // 50
        with contextlib.suppress(PhoneTrouble):  # the call is over
            for at in range(0, len(clip), frame):  # the meter, as the file is said
                self.levels.say(clip[at : at + frame])
                await asyncio.wait([playing], timeout=0.02)
            await playing
        self.levels.said = SILENT_DBFS
        self.tell("the file is said")

    async def _hear(self, sinks: list[Callable[[Samples], None]]) -> None:
        async for block in self.call.audio():
            for sink in sinks:
                sink(block.samples)

    async def _obey(self) -> None:
        while True:
            key = await self._keys.get()
            while key[-1] in KEYS and not self._keys.empty():  # keys typed meanwhile go together
                key += self._keys.get_nowait()
            try:
                for one in re.findall(r"[mh]|[^mh]+", key):
                    await self._do(one)
            except (PhoneTrouble, CallRefused) as fault:
                self.tell(str(fault))

    async def _do(self, key: str) -> None:
        if key == "m":
            await self.call.mute(not self.muted)
            self.muted = not self.muted
            self.tell("muted" if self.muted else "not muted any more")
        elif key == "h":
            await (self.call.resume() if self.held else self.call.hold())
            self.held = not self.held
            self.tell("on hold" if self.held else "resumed")
        else:
            await self.call.press(key)
            self.tell(f"pressed {key}")


def uri_of(target: str, via: str) -> str:
    """Return the SIP URI of what a person dials: a URI as it is, else a number at `via`.

    >>> uri_of("482913", "127.0.0.1:5060"), uri_of("sip:join@example.org", "x")
    ('sip:482913@127.0.0.1:5060', 'sip:join@example.org')
    """
    if target.startswith("sip:"):
        return target
    if not target or any(letter in target for letter in " @<>;:"):
        raise InputError("phone call", target, "a SIP URI, or a number, code or name to dial")
    return f"sip:{target}@{via}"


def host_of(uri: str) -> str:
    """Return host and port of a SIP URI, as they stand in it.

    >>> host_of("sip:join@[::1]:5070;transport=tcp"), host_of("sip:example.org")
    ('[::1]:5070', 'example.org')
    """
    return uri.removeprefix("sip:").rpartition("@")[2].partition(";")[0].partition("?")[0]


def local_address(uri: str) -> str:
    """Return this machine's address towards the host of a SIP URI.

    Raises:
        InputError: the host is not known, or there is no way to it.
    """
    place = host_of(uri)
    host, port = place, SIP_PORT
    if not place.endswith("]") and ":" in place:
        host, _, digits = place.rpartition(":")
        if not digits.isdigit() or not 0 < int(digits) < 65_536:
            raise InputError("phone call", uri, "a port from 1 to 65535")
        port = int(digits)
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # sends nothing: it only chooses the way
            return str(probe.getsockname()[0])
    except OSError as error:
        raise InputError("phone call", uri, f"a host that can be reached: {error}") from None
