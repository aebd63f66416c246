"""Control's side of the link to one media worker process; knows messages, decides nothing.

Nothing is lost when the socket is full: messages wait in a queue and leave in order.
"""

import asyncio
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from bridge import link
from bridge.errors import WorkerLost

_STOP_S: Final = 5.0
_BUFFER_BYTES: Final = 1 << 20
_T = TypeVar("_T")


Told = Callable[[link.LegOpened | link.LegRefused | WorkerLost], None]
"""Is told what became of the order for a leg."""


class MediaWorker:
    """A media worker that runs. Use `start`; call everything from one event loop.

    Attributes:
        pid: of the worker process.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        sock: socket.socket,
        on_message: Callable[[link.FromWorker], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self.pid = process.pid
        self._process, self._socket = process, sock
        self._on_message, self._on_lost = on_message, on_lost
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._opening: dict[int, Told] = {}
        self._resetting: deque[asyncio.Future[None]] = deque()
        self._loading: dict[str, asyncio.Future[link.ClipLoaded]] = {}
        self._capturing: deque[asyncio.Future[link.CaptureDone]] = deque()
        self._closed = self._writing = False
        self._loop.add_reader(sock, self._read)
        self._watch = self._loop.create_task(self._watched(), name=f"media worker {self.pid}")

    @classmethod
    async def start(
        cls,
        settings: link.WorkerSettings,
        on_message: Callable[[link.FromWorker], None],
        on_lost: Callable[[str], None],
        prompts_dir: Path | None = None,
        *,
        own_prompts: Path | None = None,
        cpu: int | None = None,
    ) -> "MediaWorker":
        """Start a worker process and wait until `settings` are in force.

        `on_message` gets what the worker says of itself; answers to `open_leg` and `reset` go to
        who asked. `on_lost` is called once, with the reason, when the worker ends unasked.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        ours.setblocking(False)
        arguments = ["-m", "bridge.worker", "--fd", str(theirs.fileno())]
        if prompts_dir is not None:
            arguments += ["--prompts", str(prompts_dir)]
        if own_prompts is not None:
            arguments += ["--own-prompts", str(own_prompts)]
        if cpu is not None:
            arguments += ["--cpu", str(cpu)]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                # Rings are laid out for all slots there can be: huge pages would fill them up.
                # The one matrix product, of tones, must not wake a thread on another's core.
                env={
                    **os.environ,
                    "NUMPY_MADVISE_HUGEPAGE": "0",
                    "OPENBLAS_NUM_THREADS": "1",
                },
            )
        worker = cls(process, ours, on_message, on_lost)
        await worker.reset(settings)
        return worker

    def hand_over(
        self, on_message: Callable[[link.FromWorker], None], on_lost: Callable[[str], None]
    ) -> None:
        """Report to somebody else from now on: a warm worker for the next bridge."""
        self._on_message, self._on_lost = on_message, on_lost

    def send(self, message: link.ToWorker) -> None:
        """Send a message; a worker that is lost gets nothing any more."""
        if self._closed:
            return
        self._queue.append(link.encode(message))
        if len(self._queue) == 1:
            self._write()

    async def reset(self, settings: link.WorkerSettings) -> None:
        """Close every leg, group and recording and put new settings in force."""
        self._need()
        future: asyncio.Future[None] = self._loop.create_future()
        self._resetting.append(future)
        self.send(link.Reset(settings))
        await future
        self._need()  # it may have said that it is ready and died, both in one reading

    async def open_leg(self, order: link.OpenLeg) -> link.LegOpened | link.LegRefused:
        """Get a slot and a port for a leg."""
        future: asyncio.Future[link.LegOpened | link.LegRefused] = self._loop.create_future()
        self.ask_leg(order, partial(_tell, future))
        return await future

    def ask_leg(self, order: link.OpenLeg, told: Told) -> None:
        """Have a slot and a port taken for a leg; `told` gets the answer, in a later turn.

        For many calls a second: a task for each, with a future in it, takes four turns of the loop.
        """
        if self._closed:
            self._loop.call_soon(told, WorkerLost(f"media worker {self.pid} has ended"))
            return
        self._opening[order.leg_no] = told
        self.send(order)

    async def load_clip(self, name: str, path: Path) -> link.ClipLoaded:
        """Make a WAV file playable under a name; one load of a name at a time."""
        self._need()
        future: asyncio.Future[link.ClipLoaded] = self._loop.create_future()
        self._loading[name] = future
        self.send(link.LoadClip(name, str(path)))
        return await future

    async def stop_capture(self, path: str) -> link.CaptureDone:
        """Have the packets since `StartCapture` written, or forgotten with "" as `path`."""
        self._need()
        future: asyncio.Future[link.CaptureDone] = self._loop.create_future()
        self._capturing.append(future)
        self.send(link.StopCapture(path))
        return await future

    async def stop(self) -> None:
        """End the worker: it closes its files and goes when its socket closes."""
        self._shut("stopped")
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            self._process.kill()
        await self._watch

    # --- inside ---------------------------------------------------------------------------

    def _need(self) -> None:
        if self._closed:
            raise WorkerLost(f"media worker {self.pid} has ended")

    def _read(self) -> None:
        """Take every message that is there."""
        while not self._closed:
            try:
                data = self._socket.recv(link.MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self._lost("its control socket closed")
                return
            self._take(link.decode(data))

    def _take(self, message: link.ToWorker | link.FromWorker) -> None:
        """Give an answer to who asked, anything else to `on_message`."""
        if isinstance(message, link.ResetDone) and self._resetting:
            _set(self._resetting.popleft(), None)
        elif isinstance(message, link.CaptureDone) and self._capturing:
            _set(self._capturing.popleft(), message)
        elif isinstance(message, link.ClipLoaded) and message.name in self._loading:
            _set(self._loading.pop(message.name), message)
        elif (
            isinstance(message, link.LegOpened | link.LegRefused)
            and message.leg_no in self._opening
        ):
            self._opening.pop(message.leg_no)(message)
        else:
            assert isinstance(message, link.FromWorker), "the worker sends only its own messages"
            self._on_message(message)

    def _write(self) -> None:
        """Send from the queue until the socket is full; go on when it is not."""
        while self._queue:
            try:
                self._socket.send(self._queue[0])
            except BlockingIOError:
                if not self._writing:
                    self._writing = True
                    self._loop.add_writer(self._socket, self._write)
                return
            except ConnectionError:
                self._lost("its control socket closed")
                return
            self._queue.popleft()
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._socket)

    async def _watched(self) -> None:
        code = await self._process.wait()
        self._lost(f"exit code {code}")

    def _lost(self, reason: str) -> None:
        if self._shut(reason):
            self._on_lost(reason)

    def _shut(self, reason: str) -> bool:
        """Close the socket and fail who waits; return whether that was still to do."""
        if self._closed:
            return False
        self._closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._queue.clear()
        waiting: list[asyncio.Future[Any]] = [
            *self._resetting,
            *self._loading.values(),
            *self._capturing,
        ]
        lost = WorkerLost(f"media worker {self.pid}: {reason}")
        for told in self._opening.values():
            self._loop.call_soon(told, lost)
        self._resetting.clear()
        self._opening.clear()
        self._loading.clear()
        self._capturing.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(lost)
        return True


def _set(future: "asyncio.Future[_T]", value: _T) -> None:
    """Answer, unless who asked has gone."""
    if not future.done():
        future.set_result(value)


def _tell(
    future: "asyncio.Future[link.LegOpened | link.LegRefused]",
    answer: link.LegOpened | link.LegRefused | WorkerLost,
) -> None:
    """Answer who waits for a leg's port."""
    if isinstance(answer, WorkerLost):
        if not future.done():
            future.set_exception(answer)
    else:
        _set(future, answer)
