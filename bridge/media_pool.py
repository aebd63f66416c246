"""Control's media side: the workers that run, where each leg's messages go, and a worker's end.

A shell around `placement`: it starts workers, hands messages to the ones concerned, and starts
another for one that died. What a leg's end means is the server's business.
"""

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from bridge import prompts
from bridge.config import Settings
from bridge.errors import OperatingTrouble, WorkerLost
from bridge.frozen import frozen
from bridge.link import (
    ClipLoaded,
    CloseLeg,
    FromWorker,
    LegOpened,
    LegRefused,
    Levels,
    LinkGroup,
    Listen,
    OpenLeg,
    PlayToGroup,
    RecordingDone,
    SetGroup,
    StartRecording,
    Status,
    StopRecording,
    TakeDone,
    ToWorker,
)
from bridge.link_rows import Rows
from bridge.placement import Link, Placement
from bridge.units import FRAME_NS
from bridge.worker_link import MediaWorker, Told

RESTART_WAITS_S: Final = (0.0, 0.2, 1.0, 5.0)
"""Before each try to start a worker again; the last one for all further tries."""

log = structlog.get_logger(__name__)


@frozen
class WorkerEnd:
    """A worker died by itself: which one, why, and the numbers of the legs it took along."""

    worker: int
    reason: str
    legs: tuple[int, ...]


@dataclass(slots=True)
class _Recording:
    """A recording under way: its order, when it began, who writes tracks beside the recorder."""

    order: StartRecording
    began_ns: int
    beside: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Ending:
    """A recording that several workers are closing: which are not done, what the recorder said."""

    open: set[int]
    done: RecordingDone | None = None


class MediaPool:
    """The media workers of one bridge. Use from one event loop.

    Attributes:
        ends: how many workers have died since start.
        starts: how many have been started or taken over; a new one has heard of no clip.
        statuses: what each worker last said of itself.
    """

    def __init__(
        self,
        settings: Settings,
        on_message: Callable[[FromWorker], None],
        on_end: Callable[[WorkerEnd], None],
        warm: Sequence[MediaWorker] = (),
    ) -> None:
        self._settings = settings
        self._on_message, self._on_end = on_message, on_end
        self._warm = list(warm)
        self._workers: list[MediaWorker | None] = [None] * settings.rtp.workers_count
        self._placement = Placement(settings.rtp.worker_legs, [False] * len(self._workers))
        self._links = tempfile.TemporaryDirectory(prefix="tollbridge-links-")
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._recorded: dict[int, _Recording] = {}
        self._ending: dict[int, _Ending] = {}
        self._levels: dict[int, Rows] = {}
        self.statuses = [Status(now_ns=0) for _ in self._workers]
        self.ends = self.starts = 0

    # --- life -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Start every worker, or take over those that are warm.

        Raises:
            WorkerLost: a worker ended before it was ready.
            InputError: an operator's own prompt that cannot be played.
        """
        if own := self._settings.prompts.own:
            prompts.check(own)
        starting = (self._start_one(index) for index in range(len(self._workers)))
        faults = [one for one in await asyncio.gather(*starting, return_exceptions=True) if one]
        if faults:
            await self.stop()
            raise faults[0]
        surplus, self._warm = self._warm, []
        for worker in surplus:
            await worker.stop()

    async def stop(self, *, keep: bool = False) -> tuple[MediaWorker, ...]:
        """End the workers; with `keep` return them running, for the next bridge."""
        self._stopping.set()
        # Whoever is being started is started, and then stopped: no process is left behind.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        running = tuple(worker for worker in self._workers if worker is not None)
        if not keep:
            await asyncio.gather(*(worker.stop() for worker in running))
        self._links.cleanup()
        return running if keep else ()

    async def _start_one(self, index: int) -> None:
        settings = self._settings.worker_settings(index, self._links.name)
        said, lost = partial(self._said, index), partial(self._lost, index)
        if self._warm:
            worker = self._warm.pop()
            worker.hand_over(said, lost)
            await worker.reset(settings)
        else:
            worker = await MediaWorker.start(
                settings, said, lost, own_prompts=self._settings.prompts.own
            )
        self._workers[index] = worker
        self._placement.up[index] = True
        self.starts += 1

    @property
    def workers(self) -> tuple[MediaWorker, ...]:
        """The workers that run."""
        return tuple(worker for worker in self._workers if worker is not None)

    @property
    def load(self) -> tuple[int, ...]:
        """Legs of each worker."""
        return tuple(self._placement.load)

    @property
    def up(self) -> tuple[bool, ...]:
        """Which workers run."""
        return tuple(self._placement.up)

    # --- legs and messages ----------------------------------------------------------------

    def open(self, order: OpenLeg, session: str | None, told: Told) -> None:
        """Get a slot and a port for a leg, on its session's worker if that is known and has room.

        `told` gets the answer, in a later turn of the loop: `WorkerLost` where no worker runs that
        has room, or it died meanwhile.
        """
        index = self._placement.place(order.leg_no, session)
        worker = None if index is None else self._workers[index]
        if worker is None:
            fault = WorkerLost("no media worker has room: being restarted, or full")
            asyncio.get_running_loop().call_soon(told, fault)
            return
        worker.ask_leg(order, partial(self._on_opened, order.leg_no, told))

    def _on_opened(
        self, number: int, told: Told, answer: LegOpened | LegRefused | WorkerLost
    ) -> None:
        """Pass on what became of a leg; one that got no port is on no worker."""
        if not isinstance(answer, LegOpened):
            self._tell(self._placement.remove(number))
        told(answer)

    def worker_of(self, number: int) -> int | None:
        """Return which worker a leg is on, None when it is on none."""
        return self._placement.worker_of(number)

    def identify(self, number: int, session: str) -> None:
        """Say which session a leg has keyed."""
        self._placement.identify(number, session)

    def send(self, message: ToWorker) -> None:
        """Hand a message to the worker, or workers, that it concerns; who is lost gets nothing."""
        match message:
            case SetGroup(number, group):
                # Links first: a leg's first frame in its group is heard by all of it.
                index = self._placement.worker_of(number)
                self._tell(self._placement.enter(number, group))
                self._record_tracks(group)
                self._to(index, message)
            case CloseLeg(number):
                self._to(self._placement.worker_of(number), message)
                self._tell(self._placement.remove(number))
            case PlayToGroup(group):
                for index in self._placement.workers_of(group):
                    self._to(index, message)
            case Listen(group):
                self._listen(group, message)
            case StartRecording():
                self._record(message)
            case StopRecording(group):
                self._stop_recording(group, message)
            case _:
                leg = getattr(message, "leg_no", None)
                assert isinstance(leg, int), "what is left is for one leg"
                self._to(self._placement.worker_of(leg), message)

    async def load_clip(self, name: str, path: Path) -> ClipLoaded:
        """Make a WAV file playable on every worker; the first trouble is everybody's."""
        answers = await asyncio.gather(*(one.load_clip(name, path) for one in self.workers))
        return next((answer for answer in answers if answer.error), ClipLoaded(name))

    def _listen(self, group: int, message: Listen) -> None:
        """Have one worker tell a group's mix: linked ones hear each other, so any of them may."""
        first = next(iter(self._placement.workers_of(group)), 0)
        for index in range(len(self._workers)):
            self._to(index, replace(message, on=message.on and index == first))

    def _record(self, message: StartRecording) -> None:
        index, links = self._placement.record(message.group)
        self._tell(links)
        if index is None:
            self._on_message(RecordingDone(message.group, message.path, 0, "worker_lost"))
            return
        self._recorded.setdefault(message.group, _Recording(message, time.monotonic_ns()))
        self._to(index, message)
        self._record_tracks(message.group)

    def _record_tracks(self, group: int) -> None:
        """Have the other workers that have legs of a recorded group write the tracks of theirs."""
        recording = self._recorded.get(group)
        if recording is None or not recording.order.tracks:
            return
        passed = (time.monotonic_ns() - recording.began_ns) // FRAME_NS
        order = replace(recording.order, mix=False, frame=passed)
        for index in self._placement.workers_of(group):
            if index not in (self._placement.recorders.get(group), *recording.beside):
                recording.beside.add(index)
                self._to(index, order)

    def _stop_recording(self, group: int, message: StopRecording) -> None:
        index, links = self._placement.end_recording(group)
        began = self._recorded.pop(group, None)
        if index is None:
            path = began.order.path if began else ""
            self._on_message(RecordingDone(group, path, 0, "not_recording"))
            return
        for other in sorted(began.beside) if began else ():
            self._to(other, message)
        if began and began.beside:
            self._ending[group] = _Ending({index, *began.beside})
        self._to(index, message)
        self._tell(links)

    def _on_recorded(self, index: int, message: RecordingDone) -> None:
        """Pass on that a recording is complete once the tracks beside it are too."""
        ending = self._ending.get(message.group)
        if ending is None or index not in ending.open:
            if message.mix:
                self._on_message(message)
            return
        ending.open.discard(index)
        if message.mix:
            ending.done = message
        elif message.error:
            log.error("recording.tracks", path=message.path, error=message.error)
        self._end_if_complete(message.group, ending)

    def _end_if_complete(self, group: int, ending: "_Ending") -> None:
        if not ending.open:
            del self._ending[group]
            self._on_message(ending.done or RecordingDone(group, "", 0, "worker_lost"))

    def _tell(self, links: Sequence[Link]) -> None:
        for link in links:
            self._to(link.worker, LinkGroup(link.group, link.peers))

    def _to(self, index: int | None, message: ToWorker) -> None:
        worker = None if index is None else self._workers[index]
        if worker is not None:
            worker.send(message)

    # --- from workers ---------------------------------------------------------------------

    def status(self) -> Status:
        """Return what all workers say together: sums of what they count, the worst tick times."""
        counters: Counter[str] = Counter()
        counts_of = [status.tick_counts for status in self.statuses if status.tick_counts]
        ticks: dict[str, float] = {}
        for status in self.statuses:
            counters.update(status.counters)
            for name, value in status.tick_ms.items():
                ticks[name] = max(ticks.get(name, 0.0), value)
        return Status(
            now_ns=max(status.now_ns for status in self.statuses),
            counters=dict(counters),
            tick_ms=ticks,
            tick_counts=[sum(counts) for counts in zip(*counts_of, strict=True)],
            tick_sum_ms=sum(status.tick_sum_ms for status in self.statuses),
            ticks=sum(status.ticks for status in self.statuses),
            late_ticks=sum(status.late_ticks for status in self.statuses),
        )

    def _said(self, index: int, message: FromWorker) -> None:
        if isinstance(message, Status):
            self.statuses[index] = replace(message, last_packet_ns=[], quality=[])
        elif isinstance(message, Levels):  # each says those of its own legs only
            self._levels[index] = message.dbfs
            message = Levels([row for levels in self._levels.values() for row in levels])
        elif isinstance(message, TakeDone) and message.frames and len(self._workers) > 1:
            self._spawn(self._share(index, message))
            return
        elif isinstance(message, RecordingDone):
            self._on_recorded(index, message)
            return
        self._on_message(message)

    async def _share(self, index: int, taken: TakeDone) -> None:
        """Make what a leg said a clip of the other workers too, then tell of it."""
        path = Path(self._links.name) / f"{taken.leg_no}.wav"
        others = [one for one in self.workers if one is not self._workers[index]]
        answers = await asyncio.gather(
            *(one.load_clip(taken.clip, path) for one in others), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException) or answer.error:
                log.warning("clip.not_shared", clip=taken.clip, error=str(answer))
        path.unlink(missing_ok=True)
        self._on_message(taken)

    def _lost(self, index: int, reason: str) -> None:
        """Tell of a worker's end, and start another in its place."""
        if self._workers[index] is None or self._stopping.is_set():
            return
        self._workers[index] = None
        self._levels.pop(index, None)
        self.ends += 1
        numbers, links = self._placement.lose(index)
        log.error("worker.lost", worker=index, reason=reason, legs=len(numbers))
        self._tell(links)
        self._on_end(WorkerEnd(index, reason, tuple(numbers)))
        for group, ending in list(self._ending.items()):
            ending.open.discard(index)
            self._end_if_complete(group, ending)
        for recording in self._recorded.values():
            recording.beside.discard(index)
        for group in [g for g in self._recorded if g not in self._placement.recorders]:
            self._record_on(group)
        self._spawn(self._restart(index))

    def _record_on(self, group: int) -> None:
        """Go on with the recording of a group whose recorder has died, in a file beside the first.

        A group that has died as well has nothing more to record.
        """
        began = self._recorded.pop(group)
        path = Path(began.order.path)
        for other in sorted(began.beside):  # they begin anew with it
            self._to(other, StopRecording(group))
        if not self._placement.workers_of(group):
            self._on_message(RecordingDone(group, str(path), 0, "worker_lost"))
            return
        following = path.with_name(f"{path.stem}+{self.ends}{path.suffix}")
        log.warning("recording.continued", path=str(following), instead_of=str(path))
        self.send(replace(began.order, path=str(following)))

    async def _restart(self, index: int) -> None:
        tries = 0
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                wait_s = RESTART_WAITS_S[min(tries, len(RESTART_WAITS_S) - 1)]
                await asyncio.wait_for(self._stopping.wait(), wait_s)
                return
            tries += 1
            try:
                await self._start_one(index)
            except (OperatingTrouble, OSError) as fault:
                log.error("worker.not_started", worker=index, tries=tries, error=str(fault))
                self._workers[index] = None
            else:
                log.info("worker.restarted", worker=index, tries=tries)
                return

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
