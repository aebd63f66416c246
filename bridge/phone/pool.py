"""More PJSIP phones than a process may have: a pool of processes behind `Endpoint`'s interface.

The first process is asked how many calls its build of PJSIP allows; another is started when all
are in use. A process that dies ends its calls, and nothing else.
"""

import asyncio
import contextlib
import itertools
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

from bridge.phone import library
from bridge.phone.account import Account
from bridge.phone.call import Line
from bridge.phone.router import Router
from bridge.phone.values import AccountConfig, NoLineFree, PhoneConfig, PhoneTrouble

PROCESSES_MAX: Final = 16
END_S: Final = 8.0


class _Process:
    """One process, as a line for calls."""

    def __init__(self, config: PhoneConfig) -> None:
        ours, theirs = socket.socketpair()
        self.router = Router()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bridge.phone.child", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.pid = self._process.pid
        self._connection = Connection(ours.detach())
        self._loop = asyncio.get_running_loop()
        self._started = self._asked[0] = self._loop.create_future()
        self._connection.send(config)
        self._loop.add_reader(self._connection.fileno(), self._on_readable)
        self.alive = True

    async def start(self) -> None:
        """Wait until PJSIP runs there; raise why it does not."""
        await self._started

    async def order(self, name: str, *args: object) -> object:
        """Carry out an order there."""
        number = next(self._numbers)
        asked = self._asked[number] = self._loop.create_future()
        try:
            self._connection.send((number, name, args))
        except OSError:
            del self._asked[number]
            raise PhoneTrouble(f"{name}: the phone's process has ended") from None
        return await asked

    def _on_readable(self) -> None:
        try:
            while self._connection.poll():
                what, number, *rest = self._connection.recv()
                if what == "notice":
                    self.router.notify(number, rest[0])
                else:
                    self._on_answer(number, *rest)
        except (EOFError, OSError):
            self._lost("the phone's process has ended")

    def _on_answer(self, number: int, error: Any, value: Any) -> None:
        asked = self._asked.pop(number, None)
        if asked is None or asked.done():
            return
        if error is None:
            asked.set_result(value)
        else:
            made, args = error
            asked.set_exception(made(*args))

    def _lost(self, why: str) -> None:
        if not self.alive:
            return
        self.alive = False
        if not self._loop.is_closed():
            self._loop.remove_reader(self._connection.fileno())
        self._connection.close()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(PhoneTrouble(why))
        self._asked.clear()
        self.router.lost(why)

    def let_go(self) -> None:
        """Close the socket: the process hangs up and ends by that."""
        self._lost("the pool is closed")

    async def ended(self) -> int:
        """Wait for the process's end, and return how it ended."""
        return await asyncio.to_thread(self._wait)

    def _wait(self) -> int:
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Pool:
    """PJSIP phones in processes of their own; the same interface as `Endpoint`.

    Attributes:
        ended: how the processes ended, once the pool is closed: 0 is well.
    """

    def __init__(
        self, config: PhoneConfig | None = None, *, processes_max: int = PROCESSES_MAX
    ) -> None:
        self.ended: list[int] = []
        self._config = config or PhoneConfig()
        self._processes_max = processes_max
        self._processes: list[_Process] = []
        self._each = 0
        self._closed = False
        self._choosing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Start the first process.

        Raises:
            InputError: the wheel `pjsua2-python` is missing, or the configuration is wrong.
        """
        library.need("phone pool")
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            self._each = await self._capacity_of(await self._new_process())
            undo.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up everything, end the processes."""
        await self.close()

    async def close(self) -> None:
        """Do what leaving the context does; more than once does no harm."""
        self._closed = True
        processes, self._processes = self._processes, []
        for process in processes:
            process.let_go()
        self.ended += await asyncio.gather(*(process.ended() for process in processes))

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that run now."""
        return [process.pid for process in self._alive()]

    def account(self, account: str | AccountConfig) -> Account:
        """Return an account, by its URI alone or with all its settings; open by `async with`."""
        config = AccountConfig(account) if isinstance(account, str) else account
        return Account(config, self._first_line, self._free_line)

    async def capacity(self) -> int:
        """Return how many calls at a time the whole pool allows."""
        return self._each * self._processes_max

    async def _capacity_of(self, process: _Process) -> int:
        answer = await process.order("capacity")
        assert isinstance(answer, int)
        return answer

    async def _first_line(self) -> Line:
        async with self._choosing:
            alive = self._alive()
            return alive[0] if alive else await self._new_process()

    async def _free_line(self) -> Line:
        async with self._choosing:
            for process in self._alive():
                if process.router.taken < self._each:
                    return process
            return await self._new_process()

    def _alive(self) -> list[_Process]:
        return [process for process in self._processes if process.alive]

    async def _new_process(self) -> _Process:
        if self._closed:
            raise PhoneTrouble("the pool is closed")
        if len(self._alive()) >= self._processes_max:
            text = f"{self._processes_max} processes of {self._each} phones each are all in calls"
            raise NoLineFree(text)
        process = _Process(self._config)
        self._processes.append(process)
        await process.start()
        return process
