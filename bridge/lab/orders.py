"""Orders to a process that carries callers' voices, and its answers; knows no order's meaning.

Each order has a number and is answered under it, in whatever sequence; what comes under number 0
was not asked for.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Collection
from multiprocessing.connection import Connection
from typing import Any, Final

from bridge.errors import OperatingTrouble

END_TIMEOUT_S: Final = 5.0
ENDED: Final = "the process of the callers' voices has ended"


class EngineLost(OperatingTrouble):
    """The process with the callers' voices did not start, or has ended."""

    code = "engine_lost"


def spawn(
    module: str, *, cores: Collection[int] = ()
) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start `python -m module FD`, on `cores` if there are any; return it and our end.

    It is in a session of its own: Ctrl-C is ours to answer, and its end follows from that.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    if cores:
        os.sched_setaffinity(process.pid, cores)
    return process, Connection(ours.detach())


def _refuse(value: Any) -> None:
    """Take what nobody asked for where nobody listens for it."""
    raise AssertionError(f"an answer without a question: {value!r}")


class OrderLink:
    """Our end of a running process; needs the running loop."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        connection: Connection,
        on_unasked: Callable[[Any], None] = _refuse,
    ) -> None:
        self.process = process
        self._connection = connection
        self._on_unasked = on_unasked
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection.fileno(), self._read)

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
                asked.set_exception(EngineLost(ENDED))
        self._asked.clear()

    async def ask(self, order: str, *args: object) -> Any:
        """Give an order and return its answer.

        Raises:
            EngineLost: the process has ended.
        """
        number = next(self._numbers)
        asked = self._loop.create_future()
        self._asked[number] = asked
        try:
            self._connection.send((number, order, args))
        except OSError as error:
            del self._asked[number]
            raise EngineLost(f"{ENDED}: {error}") from error
        return await asked

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
