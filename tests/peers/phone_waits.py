"""A user of the phone library who closes something while an order of his still waits.

    python -m tests.peers.phone_waits CASE

Prints what the waiting order said, and exits 0, unless PJSIP aborts.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from bridge.phone import Account, Endpoint, PhoneConfig
from bridge.phone.driver import LINGER_S
from bridge.phone.refuser import Refuser
from tests.peers.sip_wire import HOST

PLACES: Final = 1


class Deaf(asyncio.DatagramProtocol):
    """Takes each call and never answers a BYE, so that PJSIP keeps the call's place."""

    async def open(self) -> str:
        """Return its URI."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(HOST, 0))
        self._port = self._transport.get_extra_info("sockname")[1]
        return f"sip:deaf@{HOST}:{self._port}"

    def close(self) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, source: Any) -> None:
        if not data.startswith(b"INVITE "):
            return
        head = data.decode().partition("\r\n\r\n")[0].split("\r\n")[1:]
        names = ("via:", "from:", "call-id:", "cseq:")
        copied = [line for line in head if line.lower().startswith(names)]
        copied += [f"{line};tag=d" for line in head if line.lower().startswith("to:")]
        media = f"c=IN IP4 {HOST}\r\nt=0 0\r\nm=audio 40999 RTP/AVP 0\r\n"
        sdp = f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\n{media}"
        copied += [f"Contact: <sip:deaf@{HOST}:{self._port}>", "Content-Type: application/sdp"]
        copied += [f"Content-Length: {len(sdp)}"]
        answer = "\r\n".join(["SIP/2.0 200 OK", *copied]) + "\r\n\r\n" + sdp
        self._transport.sendto(answer.encode(), source)


async def leave_no_place(account: Account, uri: str) -> None:
    """End a call whose place is not free yet, and let what lingers for its BYE pass."""
    async with account.call(uri) as call:
        await call.answered()
    await asyncio.sleep(LINGER_S)


class User:
    """One account, and a peer that keeps a place from him."""

    def __init__(self) -> None:
        self.endpoint = Endpoint(PhoneConfig(calls_max=PLACES))
        self.account = self.endpoint.account(f"sip:ann@{HOST}")

    async def open(self) -> None:
        await self.endpoint.__aenter__()
        await self.account.__aenter__()
        self.uri = await Deaf().open()

    async def fill(self) -> None:
        await leave_no_place(self.account, self.uri)

    async def dial(self) -> str:
        async with self.account.call(self.uri):
            return "a call where there was no place"

    async def count(self) -> str:
        return f"counted {await self.endpoint.capacity()}"

    async def close(self) -> None:
        await self.endpoint.close()

    async def close_account(self) -> None:
        await self.account.__aexit__(None, None, None)

    async def close_and_give_up(self) -> None:
        """Cancel `close` at its first wait: PJSIP goes at once, whatever is under way."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.close)
            closing = asyncio.ensure_future(self.endpoint.close())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)


async def waits(user: User, order: Awaitable[str], closing: Callable[[], Awaitable[None]]) -> str:
    """Return what an order says that waits while something is closed."""
    waiting = asyncio.ensure_future(order)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await closing()
    (said,) = await asyncio.gather(waiting, return_exceptions=True)
    await user.close()
    return f"{type(said).__name__}: {said}"


async def uncounted(user: User) -> str:
    """Close for good while the calls that count are out, and nobody refuses them."""
    Refuser.refuse = lambda self: None  # type: ignore[method-assign]  # a network that halts
    return await waits(user, user.count(), user.close_and_give_up)


async def live(case: str) -> str:
    user = User()
    await user.open()
    if case != "capacity, not refused":
        await user.fill()
    match case:
        case "dial":
            return await waits(user, user.dial(), user.close)
        case "dial, close cancelled":
            return await waits(user, user.dial(), user.close_and_give_up)
        case "dial, account closed":
            return await waits(user, user.dial(), user.close_account)
        case "capacity":
            return await waits(user, user.count(), user.close)
        case "capacity, close cancelled":
            return await waits(user, user.count(), user.close_and_give_up)
        case "capacity, not refused":
            return await uncounted(user)
        case _:
            raise ValueError(case)


if __name__ == "__main__":
    print(asyncio.run(live(sys.argv[1])))
