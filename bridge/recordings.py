"""Control's side of recordings: which group is being recorded to which file.

Knows files and the worker's answers; it decides nothing about when a conference is recorded.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from bridge import recording_files
from bridge.conference.api import StartMixRecording, StopMixRecording
from bridge.errors import OperatingTrouble
from bridge.link import RecordingDone, StartRecording, StopRecording, ToWorker
from bridge.service_settings import RecordingSettings

RECORDING_CLOSE_S: Final = 10.0

log = structlog.get_logger(__name__)


class Recordings:
    """The recordings under way, by the worker's number of the group."""

    def __init__(self, settings: RecordingSettings, to_worker: Callable[[ToWorker], None]) -> None:
        """Begin with none. Raises `InputError` when the format's library is not installed."""
        recording_files.check(settings)
        self._settings = settings
        self._to_worker = to_worker
        self._done: dict[int, asyncio.Future[RecordingDone]] = {}
        self._ours: set[str] = set()  # paths that a conference is recorded to
        self._encoding: set[asyncio.Task[None]] = set()

    def carry_out(self, group: int, command: StartMixRecording | StopMixRecording) -> None:
        """Record a conference to a file of its own, `<session>/<occurrence>-<part>.wav`."""
        if isinstance(command, StopMixRecording):
            self._to_worker(StopRecording(group))
            return
        file = Path(self._settings.directory) / command.session
        file = file / f"{command.occurrence}-{command.part}.wav"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            log.error("recording.directory", path=str(file.parent), error=str(fault))
        path = file.resolve()
        self._ours.add(str(path))
        self.start(group, path, tracks=self._settings.tracks)

    def start(self, group: int, path: Path, *, tracks: bool = False) -> None:
        """Record a group's whole mix from now on, and each leg by itself if so wished."""
        self._done[group] = asyncio.get_running_loop().create_future()
        self._to_worker(StartRecording(group, str(path), tracks))

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
        """Take the worker's word that a recording's files are closed."""
        if message.error:
            log.error("recording.failed", path=message.path, error=message.error)
        else:
            log.info("recording.closed", path=message.path, frames=message.frames)
        waiter = self._done.get(message.group)
        if waiter and not waiter.done():
            waiter.set_result(message)
        ours = message.path in self._ours
        self._ours.discard(message.path)
        if ours and not message.error and self._settings.format != "wav":
            task = asyncio.get_running_loop().create_task(self._encode(Path(message.path)))
            self._encoding.add(task)
            task.add_done_callback(self._encoding.discard)

    async def _encode(self, mix: Path) -> None:
        """Make a recording's files what the settings want; one that fails stays WAV."""
        for path in await asyncio.to_thread(lambda: list(recording_files.tracks_of(mix))):
            try:
                await asyncio.to_thread(recording_files.encoded, path, self._settings.format)
            except (OSError, RuntimeError) as fault:
                log.error("recording.not_encoded", path=str(path), error=str(fault))
