"""Steps the conference core: gives it both clocks, commits its facts, then lets its commands go.

Facts are committed before the commands beside them are carried out, and commands go out in the
order of their steps. It knows no SIP and no media: what a command does is the server's business.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from bridge.clock import ConferenceClock
from bridge.committer import Committer, Job
from bridge.conference.api import (
    ConferenceCommand,
    ConferenceEffects,
    ConferenceEvent,
    Fact,
    Instant,
    LegInvited,
    LegReady,
    Notice,
    Tick,
)
from bridge.conference.core import Conference
from bridge.errors import StoreUnavailable
from bridge.metering import Elapsed
from bridge.units import NS_PER_MS, NS_PER_S, ConfMs, LegId, NowNs

COMMIT_WAIT_S: Final = 60.0
FACTS_KEPT_MAX: Final = 200_000
"""Committed facts kept in memory for rosters and tests; the store has them all."""

Watcher = Callable[[Fact | Notice], None]
"""Told of what became true and of what changed."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Batch:
    """The commands and notices of one step, held back until its facts are committed."""

    commands: tuple[ConferenceCommand, ...]
    facts: tuple[Fact, ...]
    notices: tuple[Notice, ...]
    committed: bool


class Stepper:
    """One conference core on one event loop.

    Attributes:
        facts: committed facts since start, in order.
        clock: conference time (D19).
    """

    def __init__(
        self,
        conference: Conference,
        clock: ConferenceClock,
        *,
        carry_out: Callable[[ConferenceCommand], None],
        refuse: Callable[[LegId, StoreUnavailable], None],
        guard: Callable[[Callable[[], object]], None],
    ) -> None:
        self.conference = conference
        self.clock = clock
        self.facts: list[Fact] = []
        self.committer: Committer | None = None
        self.changed = asyncio.Event()
        self._carry_out = carry_out
        self._refuse = refuse
        self._guard = guard
        self._batches: deque[_Batch] = deque()
        self._watchers: list[Watcher] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._effects = ConferenceEffects()
        self._stopped = False

    def step(self, event: ConferenceEvent) -> tuple[ConferenceCommand, ...]:
        """Step the core; return its commands, which are carried out once its facts are on disk."""
        now = now_ns()
        effects = self.conference.step(event, Instant(now, self.clock.at(now)))
        self._effects = effects
        self._arm()
        if effects.facts or effects.commands or effects.notices:
            batch = _Batch(
                effects.commands, effects.facts, effects.notices, committed=not effects.facts
            )
            self._batches.append(batch)
            if isinstance(event, LegInvited) and batch.committed:
                # Nothing of a new leg can be in the queue: while the store takes no facts, the
                # call is not to wait behind them, but to be refused.
                self._batches.rotate(1)
            if effects.facts:
                self._submit(batch, event.leg if isinstance(event, LegReady) else None)
        self._flush()
        return effects.commands

    def checkpoint(self, checkpoints: tuple[Elapsed, ...]) -> None:
        """Write how long open legs are known to have lasted (D13)."""
        if checkpoints and self.committer:
            self.committer.submit(Job((), lambda _: None, checkpoints=checkpoints))

    @property
    def next_deadline_conf(self) -> ConfMs | None:
        """When the conference clock's next timer is due; None when nothing waits."""
        return self._effects.deadline_conf

    @property
    def idle(self) -> bool:
        """Whether every fact so far is on disk and every command carried out."""
        return not self._batches

    def now_conf(self) -> ConfMs:
        """Return conference time."""
        return self.clock.at(now_ns())

    async def advance_to(self, target: ConfMs) -> None:
        """Move the conference clock, firing every timer on its way in order (D19)."""
        while (due := self.next_deadline_conf) is not None and due <= target:
            self.clock.advance_to(max(due, self.now_conf()), now_ns())
            self.step(Tick())
        self.clock.advance_to(max(target, self.now_conf()), now_ns())
        self._arm()
        await self.committed()

    async def committed(self) -> None:
        """Wait until every fact so far is on disk and the commands beside it are carried out."""
        await self.wait_for(lambda: self.idle, COMMIT_WAIT_S)

    async def wait_for(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something holds; false when it did not in time. Looked at on each change."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not predicate():
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), max(deadline - loop.time(), 0))
            except TimeoutError:
                return predicate()
        return True

    async def close(self) -> None:
        """Commit what is queued, then end the timer and the committer."""
        await self.committed()
        self._stopped = True
        if self._timer:
            self._timer.cancel()
        if self.committer:
            await self.committer.close()

    async def vanish(self) -> None:
        """Stop as a kill would: what waits is neither written nor carried out (D13)."""
        self._stopped = True
        if self._timer:
            self._timer.cancel()
        if self.committer:
            await self.committer.abandon()
        self._batches.clear()

    def _submit(self, batch: _Batch, refusable: LegId | None) -> None:
        assert self.committer, "facts before the store is open"
        self.committer.submit(
            Job(batch.facts, lambda fault: self._on_done(batch, refusable, fault), refusable)
        )

    def _on_done(
        self, batch: _Batch, refusable: LegId | None, fault: StoreUnavailable | None
    ) -> None:
        batch.committed = True
        if fault and refusable:
            batch.commands, batch.facts, batch.notices = (), (), ()
            self._refuse(refusable, fault)
        self._flush()

    def _flush(self) -> None:
        """Carry out what is committed, in order, up to the first batch that is not."""
        while self._batches and self._batches[0].committed:
            batch = self._batches.popleft()
            for fact in batch.facts:
                log.info(fact.type, id=fact.id, **fact.data)
            self.facts.extend(batch.facts)
            for fact in batch.facts:
                self.tell(fact)
            for notice in batch.notices:
                self.tell(notice)
            for command in batch.commands:
                self._carry_out(command)
        del self.facts[:-FACTS_KEPT_MAX]
        self.changed.set()

    def subscribe(self, watcher: Watcher) -> Callable[[], None]:
        """Tell `watcher` of every fact once it is on disk, and of every notice, in their order.

        Return what ends that. A watcher that raises is logged and hears the next one.
        """
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    def tell(self, event: Fact | Notice) -> None:
        """Tell every watcher of something now."""
        for watcher in tuple(self._watchers):
            self._guard(partial(watcher, event))

    def _arm(self) -> None:
        """Have the one timer go off by whichever of the two clocks' deadlines comes first.

        One that goes off earlier stays: it finds nothing due and sets the next.
        """
        now = now_ns()
        wait_ns: int | None = None
        if self._effects.deadline_ns is not None:
            wait_ns = max(self._effects.deadline_ns - now, 0)
        if self._effects.deadline_conf is not None:
            ahead_ns = self.clock.real_ns_until(self._effects.deadline_conf, now)
            if ahead_ns is not None and (wait_ns is None or ahead_ns < wait_ns):
                wait_ns = ahead_ns
        if wait_ns is None or self._stopped:
            return
        if self._timer is not None:
            if self._timer_ns <= now + wait_ns:
                return
            self._timer.cancel()
        self._timer_ns = now + wait_ns
        self._timer = asyncio.get_running_loop().call_later(wait_ns / NS_PER_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._guard(lambda: self.step(Tick()))


def conf_ms_now() -> ConfMs:
    """Return the wall clock as conference time: the anchor of a clock that runs."""
    return ConfMs(time.time_ns() // NS_PER_MS)


def now_ns() -> NowNs:
    """Return the monotonic clock."""
    return NowNs(time.monotonic_ns())
