"""A conference bridge that is not ours: PJSIP answers every call and mixes them.

    python -m tests.peers.pjsip_bridge

Prints `port` and its port, then serves until standard input ends. Four calls at most, as PJSIP is
built. Each call is connected to every other one in PJSIP's own mixer, and to none with itself. A
call to `nobody` is refused with 404.
"""

import asyncio
import sys
from contextlib import suppress

from bridge.phone import Account, Call, CallRefused, Endpoint, PhoneTrouble

REFUSED_USER = "nobody"


async def take_calls(conference: Account) -> None:
    """Take every call."""
    there: list[Call] = []
    async for call in conference.calls():
        if f"sip:{REFUSED_USER}@" in call.called:
            await call.hang_up(404)
            continue
        with suppress(PhoneTrouble, CallRefused):  # gave up while it rang
            await call.answer()
            there = [other for other in there if other.ended is None]
            for other in there:
                await call.connect(other)
            there.append(call)


async def serve() -> None:
    async with (
        Endpoint() as endpoint,
        endpoint.account("sip:conference@127.0.0.1") as conference,
    ):
        taking = asyncio.create_task(take_calls(conference))
        print("port", endpoint.address.rpartition(":")[2], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        taking.cancel()


if __name__ == "__main__":
    asyncio.run(serve())
