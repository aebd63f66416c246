"""An account: who calls, and whether he is registered. Makes calls, and is told of those that come.

In a pool the account exists in each process that a call of its needs; it registers in the first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from bridge.phone.call import Call, Line
from bridge.phone.values import AccountConfig, CallRefused, PhoneTrouble

REGISTER_S: Final = 10.0


class Account:
    """Made by `Endpoint.account` or `Pool.account`; use it with `async with`.

    Attributes:
        registered: whether the registrar knows it now.
    """

    def __init__(
        self,
        config: AccountConfig,
        first_line: Callable[[], Awaitable[Line]],
        free_line: Callable[[], Awaitable[Line]],
    ) -> None:
        self.config = config
        self.registered = False
        self._first_line, self._free_line = first_line, free_line
        self._numbers: dict[Line, int] = {}
        self._opening = asyncio.Lock()
        self._answer: asyncio.Future[tuple[int, str]] | None = None
        self._come: asyncio.Queue[Call] = asyncio.Queue()
        self._calls: set[Call] = set()

    async def __aenter__(self) -> Self:
        """Open it; with a registrar, wait for its answer.

        Raises:
            CallRefused: the registrar refuses, with its status.
            PhoneTrouble: it does not answer, or a URI is none.
        """
        self._answer = asyncio.get_running_loop().create_future()
        await self._on(await self._first_line())
        if self.config.registrar:
            await self._registration(self._answer)
        return self

    async def _registration(self, answer: asyncio.Future[tuple[int, str]]) -> None:
        try:
            status, reason = await asyncio.wait_for(answer, REGISTER_S)
        except TimeoutError:
            await self._close()
            text = f"{self.config.registrar}: no answer to REGISTER in {REGISTER_S:.0f} s"
            raise PhoneTrouble(text) from None
        if status // 100 != 2:
            await self._close()
            raise CallRefused(f"register at {self.config.registrar}", status, reason)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up the calls that are left, unregister, close."""
        await self._close()

    async def _close(self) -> None:
        for call in list(self._calls):
            await call.hang_up()
        numbers, self._numbers = self._numbers, {}
        for line, number in numbers.items():
            try:
                await line.order("close_account", number)
            except PhoneTrouble:  # the line has gone
                continue
            finally:
                line.router.detach(number)

    def call(self, uri: str) -> Call:
        """Return a call to a SIP URI; `async with` dials it."""
        return Call(uri, dial=self._dial)

    async def _dial(self, call: Call) -> None:
        line = await self._free_line()
        number = next(line.router.numbers)
        call.put_on(line, number)
        uri = self.config.over_its_transport(call.uri)
        with ExitStack() as undo:
            undo.callback(call.leave)
            await line.order("dial", number, await self._on(line), uri)
            undo.pop_all()
        self._keep(call)

    async def calls(self) -> AsyncIterator[Call]:
        """Yield the calls that come: they ring (180) until `answer`, `hang_up`, or they give up."""
        while True:
            yield await self._come.get()

    def _keep(self, call: Call) -> None:
        self._calls = {one for one in self._calls if one.ended is None} | {call}

    async def _on(self, line: Line) -> int:
        """Return the account's number on a line, opening it there when it is not."""
        async with self._opening:
            if line not in self._numbers:
                number = next(line.router.numbers)
                config = replace(self.config, registrar="") if self._numbers else self.config
                line.router.attach(number, lambda notice: self._told(line, notice))
                await line.order("open_account", number, config)
                self._numbers[line] = number
            return self._numbers[line]

    def _told(self, line: Line, notice: tuple[Any, ...]) -> None:
        what, *rest = notice
        if what == "incoming":
            number, uri, called = rest
            call = Call(uri, called=called)
            call.put_on(line, number)
            self._keep(call)
            self._come.put_nowait(call)
        else:
            status, reason, self.registered = rest
            if self._answer is not None and not self._answer.done():
                self._answer.set_result((status, reason))
