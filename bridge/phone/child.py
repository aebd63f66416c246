"""One process of a pool: a `Driver` whose orders come, and whose notices go, over a socket.

Runs as `python -m bridge.phone.child FD`; ends when the socket closes, with all calls hung up.
"""

import asyncio
import contextlib
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from bridge.errors import InputError, TollbridgeError
from bridge.phone.driver import Driver
from bridge.phone.router import Notice, Router
from bridge.phone.values import CallRefused, PhoneTrouble


class _Sender(Router):
    """Sends every notice to the pool."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def notify(self, number: int, notice: Notice) -> None:
        with contextlib.suppress(OSError):  # the pool has gone: the reader sees that too
            self._connection.send(("notice", number, notice))


def packed(error: TollbridgeError) -> tuple[type[TollbridgeError], tuple[Any, ...]]:
    """Return an error as its class and arguments, which cross to the other process."""
    if isinstance(error, InputError):
        return InputError, (error.place, error.value, error.expected)
    if isinstance(error, CallRefused):
        return CallRefused, (error.what, error.status, error.reason)
    return type(error), (str(error),)


class Child:
    """The process's end of the socket."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver = Driver(connection.recv(), _Sender(connection))
        self._over = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Carry out orders until the pool closes its end."""
        loop = asyncio.get_running_loop()
        try:
            await self._answered(0, self._driver.start())
            loop.add_reader(self._connection.fileno(), self._on_readable)
            await self._over.wait()
            loop.remove_reader(self._connection.fileno())
        finally:
            for task in self._work:
                task.cancel()
            await asyncio.gather(*self._work, return_exceptions=True)
            await self._driver.close()

    def _on_readable(self) -> None:
        try:
            while self._connection.poll():
                number, name, args = self._connection.recv()
                task = asyncio.ensure_future(
                    self._answered(number, self._driver.order(name, *args))
                )
                self._work.add(task)
                task.add_done_callback(self._work.discard)
        except (EOFError, OSError):
            self._over.set()

    async def _answered(self, number: int, work: Any) -> None:
        """Do one order and send its answer, or why there is none."""
        answer: tuple[int, Any, Any]
        try:
            answer = (number, None, await work)
        except TollbridgeError as error:
            answer = (number, packed(error), None)
        except (AttributeError, TypeError, ValueError) as error:  # an order that is none
            answer = (number, (PhoneTrouble, (f"{type(error).__name__}: {error}",)), None)
        with contextlib.suppress(OSError):
            self._connection.send(("answer", *answer))


async def _serve(connection: Connection) -> None:
    await Child(connection).serve()


def main() -> None:
    """Run one process of a pool on the socket that the pool handed over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pool's business
    asyncio.run(_serve(Connection(int(sys.argv[1]))))


if __name__ == "__main__":
    main()
