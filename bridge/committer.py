"""The thread that commits facts in groups, so that the event loop never waits for a disk.

Jobs are committed in the order they came, many in one transaction when they pile up. A job that
answers a call may fail: the call is then refused and nothing of it is written. Every other fact is
true already, so it stays in front of the queue until the store takes it; nothing is lost.
"""

import asyncio
import json
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from bridge.conference.api import Fact
from bridge.errors import StoreUnavailable
from bridge.frozen import frozen
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


class Committer:
    """Owns the thread; `submit` from the event loop, `close` when all legs are gone."""

    def __init__(self, outbox: Outbox, loop: asyncio.AbstractEventLoop) -> None:
        self._outbox = outbox
        self._loop = loop
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._refused: set[str] = set()
        self._dead = False
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; its `done` is called on the event loop, in the order of submission."""
        self._jobs.put(job)

    async def close(self) -> None:
        """Commit what is queued, then end the thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def abandon(self) -> None:
        """End the thread as a kill would: what is queued is never written (D13)."""
        self._dead = True
        await self.close()

    def _run(self) -> None:
        backlog: deque[Job] = deque()
        closing = False
        failures = 0
        while not (closing and not backlog):
            closing = self._collect(backlog, closing, wait_s=RETRY_S if failures else None)
            if self._dead:
                return
            try:
                self._commit(backlog)
                failures = 0
            except StoreUnavailable as fault:
                failures += 1
                log.error("store.unavailable", waiting=len(backlog), error=str(fault))
                self._refuse(backlog, fault)
                if closing and failures >= CLOSE_TRIES_MAX:
                    self._give_up(backlog)

    def _collect(self, backlog: deque[Job], closing: bool, wait_s: float | None) -> bool:
        """Move queued jobs into the backlog; wait for one when there is nothing else to do."""
        try:
            if closing:
                threading.Event().wait(wait_s or 0)
                return True
            job = self._jobs.get(timeout=wait_s if backlog else None)
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

    def _commit(self, backlog: deque[Job]) -> None:
        facts = [fact for job in backlog for fact in job.facts if fact.subject not in self._refused]
        checkpoints = [checkpoint for job in backlog for checkpoint in job.checkpoints]
        self._busy = len(backlog) > 1
        if facts or checkpoints:
            self._outbox.commit(facts, checkpoints)
        self._tell([(job, None) for job in backlog])
        backlog.clear()

    def _refuse(self, backlog: deque[Job], fault: StoreUnavailable) -> None:
        """Give the calls that can still be refused back; keep the facts that are true."""
        refused = [job for job in backlog if job.refusable is not None]
        self._refused.update(str(job.refusable) for job in refused)
        kept = [job for job in backlog if job.refusable is None and job.facts]
        backlog.clear()
        backlog.extend(kept)
        self._tell([(job, fault) for job in refused])

    def _give_up(self, backlog: deque[Job]) -> None:
        """Put facts that no disk takes into the log, whole, so that they can be ingested later."""
        for fact in (fact for job in backlog for fact in job.facts):
            event = json.dumps(cloud_event(fact, self._outbox.source))
            log.critical("store.fact_not_written", cloud_event=event)
        backlog.clear()

    def _tell(self, results: list[tuple[Job, StoreUnavailable | None]]) -> None:
        if results and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_call_all, results)


def _call_all(results: list[tuple[Job, StoreUnavailable | None]]) -> None:
    for job, fault in results:
        job.done(fault)
