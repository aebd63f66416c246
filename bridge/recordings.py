"""Control's side of recordings: which group is being recorded to which file.

Knows the worker's answers; it decides nothing about when a conference is recorded.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.errors import OperatingTrouble
from bridge.link import RecordingDone, StartRecording, StopRecording, ToWorker

RECORDING_CLOSE_S: Final = 10.0


class Recordings:
    """The recordings under way, by the worker's number of the group."""

    def __init__(self, to_worker: Callable[[ToWorker], None]) -> None:
        self._to_worker = to_worker
        self._done: dict[int, asyncio.Future[RecordingDone]] = {}

    def start(self, group: int, path: Path) -> None:
        """Record a group's whole mix from now on."""
        self._done[group] = asyncio.get_running_loop().create_future()
        self._to_worker(StartRecording(group, str(path)))

    async def stop(self, group: int) -> RecordingDone:
        """Close a recording and return what it holds.

        Raises:
            OperatingTrouble: the file could not be written.
        """
        self._to_worker(StopRecording(group))
        done = await asyncio.wait_for(self._done[group], RECORDING_CLOSE_S)
        if done.error:
            raise OperatingTrouble(f"{done.path}: {done.error}")
        return done

    def on_done(self, message: RecordingDone) -> None:
        """Take the worker's word that a file is closed."""
        waiter = self._done.get(message.group)
        if waiter and not waiter.done():
            waiter.set_result(message)
