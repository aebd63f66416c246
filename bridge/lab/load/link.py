"""Orders to the process that carries a crowd's voices, and what it says unasked."""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Collection
from multiprocessing.connection import Connection
from typing import Any, Final, Self

from bridge.errors import OperatingTrouble
from bridge.lab.load.ears import Capture
from bridge.lab.load.engine import EngineSettings
from bridge.lab.load.wire import destination_of
from bridge.sip.api import Address, RemoteMedia

END_TIMEOUT_S: Final = 5.0

Unasked = Callable[[Capture | dict[str, Any]], None]
"""Told of each sample, and of each second."""


class CrowdLost(OperatingTrouble):
    """The process with the callers' voices did not start, or has ended."""

    code = "load_engine_lost"


class EngineLink:
    """A running engine process."""

    def __init__(
        self, process: subprocess.Popen[bytes], connection: Connection, on_unasked: Unasked
    ) -> None:
        self.process = process
        self._connection = connection
        self._on_unasked = on_unasked
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection.fileno(), self._read)

    @classmethod
    async def start(
        cls, settings: EngineSettings, on_unasked: Unasked, *, cores: Collection[int] = ()
    ) -> Self:
        """Start the process, on `cores` if there are any.

        Raises:
            CrowdLost: its sockets could not be opened.
        """
        ours, theirs = socket.socketpair()
        process = _spawn(theirs, cores)
        connection = Connection(ours.detach())
        connection.send(settings)
        try:
            _, fault = await asyncio.to_thread(connection.recv)
        except (EOFError, OSError):
            fault = "the process of the callers' voices has ended"
        if fault:
            connection.close()
            process.wait(END_TIMEOUT_S)
            raise CrowdLost(str(fault))
        return cls(process, connection, on_unasked)

    def _read(self) -> None:
        try:
            while self._connection.poll():
                number, value = self._connection.recv()
                asked = self._asked.pop(number, None)
                if not number:
                    self._on_unasked(value)
                elif asked is not None and not asked.done():
                    asked.set_result(value)
        except (EOFError, OSError):
            self._lost()

    def _lost(self) -> None:
        self._loop.remove_reader(self._connection.fileno())
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(CrowdLost("the process of the callers' voices has ended"))
        self._asked.clear()

    async def _order(self, order: str, *args: object) -> Any:
        number = next(self._numbers)
        asked = self._loop.create_future()
        self._asked[number] = asked
        try:
            self._connection.send((number, order, args))
        except OSError as error:
            raise CrowdLost(f"the process of the callers' voices has ended: {error}") from error
        return await asked

    async def addresses(self) -> list[Address]:
        """Return where each caller receives."""
        return [Address(*one) for one in await self._order("addresses")]

    async def connect(self, caller: int, remote: RemoteMedia, steady_ns: int) -> None:
        """Let a caller speak to what was agreed; he is judged from `steady_ns` on."""
        await self._order("connect", caller, *_wire_of(remote), steady_ns)

    async def retarget(self, caller: int, remote: RemoteMedia) -> None:
        """Let a caller go on with what a re-INVITE changed."""
        await self._order("retarget", caller, *_wire_of(remote))

    async def steady(self, caller: int, steady_ns: int) -> None:
        """Judge a caller from another time on."""
        await self._order("steady", caller, steady_ns)

    async def press(self, caller: int, digits: str) -> bool:
        """Send keys; return whether they went out, once the last one has."""
        return bool(await self._order("press", caller, digits))

    async def stop_caller(self, caller: int) -> None:
        """End a caller's stream."""
        await self._order("stop", caller)

    async def totals(self) -> dict[str, Any]:
        """Return what each caller received in all."""
        return dict(await self._order("totals"))

    def close(self) -> None:
        """Close the control socket; the process ends by that."""
        with contextlib.suppress(ValueError, OSError):
            self._loop.remove_reader(self._connection.fileno())
        self._connection.close()
        try:
            self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _wire_of(remote: RemoteMedia) -> tuple[int, int, int]:
    """Return destination, payload type and that of telephone-event, -1 when not agreed."""
    dtmf = -1 if remote.dtmf_payload_type is None else remote.dtmf_payload_type
    return destination_of(remote.address), remote.codec.payload_type, dtmf


def _spawn(theirs: socket.socket, cores: Collection[int]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge.lab.load.engine", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        start_new_session=True,  # Ctrl-C is ours to answer
    )
    theirs.close()
    if cores:
        os.sched_setaffinity(process.pid, cores)
    return process
