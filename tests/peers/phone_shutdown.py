"""A user of the phone library who ends things in an order that chance picks, then exits.

    python -m tests.peers.phone_shutdown SEED

Exits 0 when the program ended as Python programs do; whatever PJSIP aborts or a signal kills is
another exit code. 3 is an exception of the user's own that went through the library.
"""

import asyncio
import contextlib
import gc
import random
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np

from bridge.phone import Account, Call, Endpoint, PhoneTrouble

OWN_EXIT = 3
Work = Callable[[], Coroutine[Any, Any, None]]


class OwnFault(Exception):
    """What user code raises."""


class User:
    """Two accounts that call each other, and what may be done to them."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.endpoint = Endpoint()
        self.accounts: list[Account] = []
        self.calls: list[Call] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.kept: list[object] = []

    async def open(self) -> None:
        await self.endpoint.__aenter__()
        for name in ("ann", "ben"):
            account = self.endpoint.account(f"sip:{name}@{self.endpoint.address}")
            await account.__aenter__()
            self.accounts.append(account)
        answering = asyncio.ensure_future(self.answer())
        self.tasks.append(answering)
        for _ in range(self.chance.randint(1, 2)):
            call = self.accounts[0].call(f"sip:ben@{self.endpoint.address}")
            await call.__aenter__()
            self.calls.append(call)
            self.tasks.append(asyncio.ensure_future(self.listen(call)))
            if self.chance.random() < 0.7:
                await call.answered()
                await call.play(np.full(800, 1_000, np.int16), loop=True)

    async def answer(self) -> None:
        async for call in self.accounts[1].calls():
            self.calls.append(call)
            with contextlib.suppress(PhoneTrouble):
                await call.answer()

    async def listen(self, call: Call) -> None:
        with contextlib.suppress(PhoneTrouble):
            async for block in call.audio():
                self.kept[:] = [block]
                await asyncio.sleep(0.001)

    def deeds(self) -> list[Work]:
        deeds: list[Work] = [self.close_endpoint, self.collect, self.wait, self.press]
        deeds += [self.close_call, self.close_call, self.close_account, self.cancel, self.hold]
        return deeds

    async def close_endpoint(self) -> None:
        await self.endpoint.close()

    async def close_account(self) -> None:
        await self.chance.choice(self.accounts).__aexit__(None, None, None)

    async def close_call(self) -> None:
        await self.chance.choice(self.calls).__aexit__(None, None, None)

    async def cancel(self) -> None:
        self.chance.choice(self.tasks).cancel()

    async def collect(self) -> None:
        del self.calls[1:]
        gc.collect()

    async def wait(self) -> None:
        await asyncio.sleep(self.chance.random() / 5)

    async def press(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.calls[0].press("12#"), self.chance.random() / 3)

    async def hold(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.calls[0].hold(), self.chance.random() / 3)

    async def live(self) -> None:
        """Do some things in some order; then end the program in some way."""
        await self.open()
        for deed in self.chance.sample(self.deeds(), self.chance.randint(0, 6)):
            print(deed.__name__, file=sys.stderr)
            with contextlib.suppress(PhoneTrouble):
                await deed()
        end = self.chance.choice(["return", "raise", "exit", "close", "cancelled"])
        print(end, file=sys.stderr)
        if end == "raise":
            raise OwnFault
        if end == "exit":
            sys.exit(0)
        if end == "close":
            await self.endpoint.close()
        if end == "cancelled":
            closing = asyncio.ensure_future(self.endpoint.close())
            await asyncio.sleep(self.chance.random() / 10)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)


def main() -> None:
    chance = random.Random(int(sys.argv[1]))
    for _ in range(chance.choice((1, 1, 2))):  # often another one in the same process
        try:
            asyncio.run(User(chance).live())
        except OwnFault as fault:
            if chance.random() < 0.5:
                sys.last_value = fault  # as an interactive session does: its frames live on
            if chance.random() < 0.5:
                sys.exit(OWN_EXIT)


if __name__ == "__main__":
    main()
