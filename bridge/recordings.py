"""Control's side of recordings: which group is being recorded to which file, and how long kept.

Knows files and the worker's answers; it decides nothing about when a conference is recorded.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from bridge.conference.api import StartMixRecording, StopMixRecording
from bridge.errors import OperatingTrouble
from bridge.link import RecordingDone, StartRecording, StopRecording, ToWorker
from bridge.service_settings import RecordingSettings

RECORDING_CLOSE_S: Final = 10.0
DAY_S: Final = 86_400

log = structlog.get_logger(__name__)


class Recordings:
    """The recordings under way, by the worker's number of the group."""

    def __init__(self, settings: RecordingSettings, to_worker: Callable[[ToWorker], None]) -> None:
        self._settings = settings
        self._to_worker = to_worker
        self._done: dict[int, asyncio.Future[RecordingDone]] = {}

    def carry_out(self, group: int, command: StartMixRecording | StopMixRecording) -> None:
        """Record a conference to a file of its own, `<session>/<occurrence>-<part>.wav`."""
        if isinstance(command, StopMixRecording):
            self._to_worker(StopRecording(group))
            return
        file = Path(self._settings.directory) / command.session
        file = file / f"{command.occurrence}-{command.part}.wav"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self.purge()
        except OSError as fault:
            log.error("recording.directory", path=str(file.parent), error=str(fault))
        self.start(group, file.resolve())

    def purge(self) -> int:
        """Delete what is older than its days of retention; return how many files that were."""
        oldest = time.time_ns() // 10**9 - self._settings.keep_days * DAY_S
        directory = Path(self._settings.directory)
        old = [file for file in directory.glob("*/*.wav") if file.stat().st_mtime < oldest]
        for file in old:
            file.unlink(missing_ok=True)
            log.info("recording.deleted", path=str(file))
        return len(old)

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
        if message.error:
            log.error("recording.failed", path=message.path, error=message.error)
        else:
            log.info("recording.closed", path=message.path, frames=message.frames)
        waiter = self._done.get(message.group)
        if waiter and not waiter.done():
            waiter.set_result(message)
