"""The thread that commits facts in groups, so that the event loop never waits for a disk.

Jobs are committed in the order they came, many in one transaction when they pile up. A job that
answers a call may fail: the call is then refused and nothing of it is written. Every other fact is
true already, so it stays in front of the queue until the store takes it; nothing is lost.

A fault of another kind is one of ours: then jobs are committed one by one, and what alone cannot
be written while the store takes the rest goes into the log, whole. The thread lives on.
"""

import asyncio
import json
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from bridge.conference.api import Fact
from bridge.errors import StoreUnavailable
from bridge.frozen import frozen
from bridge.logs import in_one_write
from bridge.metering import Elapsed, Outbox, cloud_event
from bridge.units import LegId

JOBS_MAX: Final = 500
"""Jobs in one transaction."""

LINGER_S: Final = 0.01
"""How long a commit waits for more jobs while they come so fast that the last one had several.

A commit costs as much CPU for ten jobs as for two: most of it is the disk's. At 200 calls a second
this takes a third of the cost of their facts away, and answers come 5 ms later on average.
"""

RETRY_S: Final = 0.2
CLOSE_TRIES_MAX: Final = 10

log = structlog.get_logger(__name__)


@frozen
class Job:
    """Facts of one step, committed together.

    Attributes:
        done: called on the event loop with None, or with why the job was refused.
        refusable: the leg that is refused when the store does not take the job; None for facts
            that must be written in the end.
    """

    facts: tuple[Fact, ...]
    done: Callable[[StoreUnavailable | None], None]
    refusable: LegId | None = None
    checkpoints: tuple[Elapsed, ...] = ()


Attempt = Callable[[Callable[[], object]], Exception | None]
"""Does something and returns what it raised, whatever that was."""


class Committer:
    """Owns the thread; `submit` from the event loop, `close` when all legs are gone.

    Attributes:
        not_written: facts that the store will never hold; they are in the log.
    """

    def __init__(
        self, outbox: Outbox, loop: asyncio.AbstractEventLoop, *, attempt: Attempt
    ) -> None:
        self.not_written = 0
        self._outbox = outbox
        self._loop = loop
        self._attempt = attempt
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._backlog: deque[Job] = deque()
        self._refused: set[str] = set()
        self._trouble = ""
        self._failures = 0
        self._closed = False
        self._dead = False
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Why facts are not written now, "" while they are."""
        ended = not (self._closed or self._thread.is_alive())
        return "the thread that commits facts has ended" if ended else self._trouble

    def submit(self, job: Job) -> None:
        """Queue a job; its `done` is called on the event loop, in the order of submission."""
        self._jobs.put(job)
        if not (self._thread.is_alive() or self._dead):
            self._bury(StoreUnavailable(self.trouble or "the store is closed"))

    async def close(self) -> None:
        """Commit what is queued, then end the thread."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def abandon(self) -> None:
        """End the thread as a kill would: what is queued is never written (D13)."""
        self._dead = True
        await self.close()

    def _run(self) -> None:
        closing = False
        while not (closing and not self._backlog):
            closing = self._collect(closing, wait_s=RETRY_S if self._failures else None)
            if self._dead:
                return
            fault = self._attempt(lambda: self._commit(tuple(self._backlog)))
            if fault is None:
                self._backlog.clear()
                self._failures, self._trouble = 0, ""
                continue
            self._failures += 1
            self._trouble = f"{type(fault).__name__}: {fault}"
            if again := self._attempt(partial(self._on_fault, fault)):
                log.critical("store.fault", waiting=len(self._backlog), exc_info=again)
            if closing and self._failures >= CLOSE_TRIES_MAX:
                self._give_up()

    def _collect(self, closing: bool, wait_s: float | None) -> bool:
        """Move queued jobs into the backlog; wait for one when there is nothing else to do."""
        backlog = self._backlog
        try:
            if closing:
                threading.Event().wait(wait_s or 0)
                return True
            job = self._jobs.get(timeout=wait_s)
            if self._busy:
                time.sleep(LINGER_S)
            while job is not None:
                backlog.append(job)
                if len(backlog) >= JOBS_MAX:
                    return False
                job = self._jobs.get_nowait()
        except queue.Empty:
            return False
        return True

    def _commit(self, jobs: Sequence[Job]) -> None:
        facts = [fact for job in jobs for fact in job.facts if fact.subject not in self._refused]
        checkpoints = [checkpoint for job in jobs for checkpoint in job.checkpoints]
        self._busy = len(jobs) > 1
        if facts or checkpoints or self._failures:  # after a fault nothing at all is a trial
            self._outbox.commit(facts, checkpoints)
        self._tell([(job, None) for job in jobs])

    def _on_fault(self, fault: Exception) -> None:
        if isinstance(fault, StoreUnavailable):
            log.error("store.unavailable", waiting=len(self._backlog), error=str(fault))
            self._refuse(fault)
        else:
            first = fault if self._failures == 1 else None
            log.critical("store.fault", waiting=len(self._backlog), exc_info=first)
            self._sift()

    def _sift(self) -> None:
        """Commit jobs one by one, to find out whether some of them or the store is at fault."""
        jobs, faulty = tuple(self._backlog), []
        for job in jobs:
            fault = self._attempt(partial(self._commit, (job,)))
            if isinstance(fault, StoreUnavailable):
                self._refuse(fault)
                return
            if fault is None:
                self._backlog.remove(job)
            else:
                faulty.append((job, fault))
        takes = self._attempt(lambda: self._outbox.commit((), ()))
        for job, fault in faulty:
            self._give_back(job, fault, for_good=takes is None)

    def _give_back(self, job: Job, fault: Exception, *, for_good: bool) -> None:
        """Refuse the call of a job, or put into the log what the store will never take of it."""
        if job.refusable is not None:
            self._refused.add(str(job.refusable))
            refusal = StoreUnavailable(f"{type(fault).__name__}: {fault}")
            self._tell([(job, refusal)])
        elif for_good:
            self._into_log(job)
            self._tell([(job, None)])
        else:
            return
        self._backlog.remove(job)

    def _refuse(self, fault: StoreUnavailable) -> None:
        """Give the calls that can still be refused back; keep the facts that are true."""
        backlog = self._backlog
        refused = [job for job in backlog if job.refusable is not None]
        self._refused.update(str(job.refusable) for job in refused)
        kept = [job for job in backlog if job.refusable is None and job.facts]
        backlog.clear()
        backlog.extend(kept)
        self._tell([(job, fault) for job in refused])

    def _bury(self, fault: StoreUnavailable) -> None:
        """Do without the thread: refuse what can be, and put the rest into the log."""
        while not self._jobs.empty():
            if job := self._jobs.get():
                self._backlog.append(job)
        while self._backlog:
            job = self._backlog.popleft()
            if job.refusable is None:
                self._into_log(job)
            self._tell([(job, fault if job.refusable else None)])

    def _give_up(self) -> None:
        for job in self._backlog:
            self._into_log(job)
        self._backlog.clear()

    def _into_log(self, job: Job) -> None:
        """Put facts that no store takes into the log, whole, so that they can be ingested later."""
        for fact in job.facts:
            self.not_written += 1
            event = json.dumps(cloud_event(fact, self._outbox.source), default=repr)
            log.critical("store.fact_not_written", cloud_event=event)

    def _tell(self, results: list[tuple[Job, StoreUnavailable | None]]) -> None:
        if results and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_call_all, results)


def _call_all(results: list[tuple[Job, StoreUnavailable | None]]) -> None:
    with in_one_write():  # a line for each fact
        for job, fault in results:
            job.done(fault)
