"""Control's side of live mixes: who follows which group, and what its worker hears of it.

Nobody who is slow holds anybody up: each follower has a few blocks waiting, and loses the oldest.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Final

from bridge.link import Listen, MixHeard, ToWorker

BLOCKS_MAX: Final = 20
"""Two seconds wait for a slow follower."""

LOOK_S: Final = 1.0
"""How often a follower sees whether the conference is still open, and on which worker."""


class Listening:
    """The followers of each group, by the worker's number of the group."""

    def __init__(self, to_worker: Callable[[ToWorker], None]) -> None:
        self._to_worker = to_worker
        self._followers: dict[int, list[asyncio.Queue[bytes]]] = {}

    def on_heard(self, message: MixHeard) -> None:
        """Give 100 ms of a mix to all who follow it."""
        data = base64.b64decode(message.samples)
        for queue in self._followers.get(message.group, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(data)

    async def follow(self, group: int, is_open: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Yield a group's mix from now on, 16-bit little-endian at 8 kHz, while `is_open`."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(BLOCKS_MAX)
        self._followers.setdefault(group, []).append(queue)
        loop = asyncio.get_running_loop()
        look_at = loop.time()
        try:
            while True:
                if loop.time() >= look_at:
                    if not is_open():
                        return
                    self._to_worker(Listen(group, True))  # it may have moved to another worker
                    look_at = loop.time() + LOOK_S
                try:
                    async with asyncio.timeout_at(look_at):
                        data = await queue.get()
                except TimeoutError:
                    continue
                yield data
        finally:
            left = self._followers[group]
            left.remove(queue)
            if not left:
                del self._followers[group]
                self._to_worker(Listen(group, False))
