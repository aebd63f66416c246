"""The lab's end of the RTP engine: orders to the process that carries the callers' voices."""

import asyncio
import itertools
import socket
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final, Self

import numpy as np

from bridge.errors import OperatingTrouble
from bridge.lab.audibility import Window
from bridge.lab.capture import Packet
from bridge.lab.network import Impairment
from bridge.lab.spoken import samples_said
from bridge.lab.words import Voice
from bridge.sip.api import RemoteMedia

END_TIMEOUT_S: Final = 5.0


class EngineLost(OperatingTrouble):
    """The RTP engine's process has ended."""

    code = "rtp_engine_lost"


@dataclass(frozen=True, slots=True)
class RtpPort:
    """A caller's row in the engine, and where he receives."""

    row: int
    host: str
    port: int


class RtpEngine:
    """A running engine process. Orders are answered in about one frame."""

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection) -> None:
        self._process = process
        self._connection = connection
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection.fileno(), self._on_answer)

    @classmethod
    def start(cls) -> Self:
        """Start the process; needs the running loop."""
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge.lab.rtp_engine", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        return cls(process, Connection(ours.detach()))

    def _on_answer(self) -> None:
        try:
            while self._connection.poll():
                number, result = self._connection.recv()
                asked = self._asked.pop(number, None)
                if asked is not None and not asked.done():
                    asked.set_result(result)
        except (EOFError, OSError):
            self._loop.remove_reader(self._connection.fileno())
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(EngineLost("the RTP engine has ended"))
            self._asked.clear()

    async def _order(self, order: str, *args: object) -> Any:
        number = next(self._numbers)
        asked = self._loop.create_future()
        self._asked[number] = asked
        try:
            self._connection.send((number, order, args))
        except OSError as error:
            raise EngineLost(f"the RTP engine has ended: {error}") from error
        return await asked

    async def open(self, *, host: str = "127.0.0.1", ring_frames: int = 0) -> RtpPort:
        """Give a caller a port; `ring_frames` limits how much of what he hears is kept."""
        return RtpPort(*await self._order("open", host, ring_frames))

    async def connect(self, port: RtpPort, remote: RemoteMedia) -> None:
        """Send to what offer and answer agreed on."""
        host, number = remote.address or ("", 0)
        dtmf = -1 if remote.dtmf_payload_type is None else remote.dtmf_payload_type
        codec = remote.codec
        await self._order("remote", port.row, host, number, codec.name, codec.payload_type, dtmf)

    async def speak(self, port: RtpPort, voice: Voice) -> None:
        """Change what the caller says.

        Raises:
            InputError: a voice whose file cannot be said.
        """
        if voice.sound:
            await self._order("sound", port.row, samples_said(voice).tobytes())
        else:
            await self._order("voice", port.row, voice.tone_hz or 0)

    async def impair(self, port: RtpPort, impairment: Impairment, seed: str) -> None:
        """Send the caller's packets over a bad network from now on."""
        await self._order("impair", port.row, impairment, seed)

    async def send(self, port: RtpPort, on: bool) -> None:
        """Stop or resume the caller's packets."""
        await self._order("sending", port.row, on)

    async def press(self, port: RtpPort, digits: str) -> bool:
        """Send keys; return whether they went out, once the last one has."""
        return bool(await self._order("press", port.row, digits))

    async def window(self, port: RtpPort, from_ns: int, to_ns: int) -> Window:
        """Return what the caller received in a span of monotonic time."""
        pcm, present, rate_hz = await self._order("window", port.row, from_ns, to_ns)
        return Window(np.frombuffer(pcm, np.int16), np.frombuffer(present, np.bool_), rate_hz)

    async def close(self, port: RtpPort) -> None:
        """End the caller's stream."""
        await self._order("close", port.row)

    async def begin_capture(self) -> None:
        """Have every single caller's packets kept from now on."""
        await self._order("begin_capture")

    async def end_capture(self, *, wanted: bool) -> tuple[list[Packet], int]:
        """Keep no more; return the packets kept since, and how many there was no room for.

        Nothing when they are not `wanted`.
        """
        packets, left_out = await self._order("end_capture", wanted)
        return packets, left_out

    async def counters(self) -> dict[str, int]:
        """Return the engine's totals."""
        return dict(await self._order("counters"))

    def stop(self) -> None:
        """Close the control socket; the process ends by that."""
        self._loop.remove_reader(self._connection.fileno())
        self._connection.close()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
