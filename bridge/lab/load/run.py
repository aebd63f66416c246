"""One load test from its first call to its last: starts what it needs, waits, judges, ends it.

Progress is told to a `Watcher`; what is printed is not decided here.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.errors import OperatingTrouble
from bridge.lab.load.book import Book, Summary, never_settled, summarise
from bridge.lab.load.calls import Calls, number_of
from bridge.lab.load.engine import EngineSettings
from bridge.lab.load.host import OwnBridge, plan_for
from bridge.lab.load.limits import Limits
from bridge.lab.load.link import EngineLink
from bridge.lab.load.listening import Listening
from bridge.lab.load.plan import LoadPlan, address_of
from bridge.lab.load.usage import Cores, Meter, kept_to
from bridge.lab.load.worst import WorstLeg, worst_legs
from bridge.lab.phones import Phone
from bridge.legstory.build import Story
from bridge.units import NS_PER_S

KEYED_S: Final = 5.0
"""Until a caller has keyed, and has been in for a whole second after he settled."""

Watcher = Callable[["Load", str], None]
"""Told each second, and at each change of stage ("calling", "load", "hanging up")."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a search for the capacity."""

    participants: int
    summary: Summary
    broken: tuple[str, ...]


@dataclass(slots=True)
class Result:
    """What a load test found.

    Attributes:
        steps: of a search for the capacity, in order; `capacity` is the last that held, else 0.
        interrupted: it was stopped before its time.
        ours: the bridge was started for the run.
        worst: the legs that were worst in something; `stories` of them, by caller, as our own
            bridge tells them when it is asked.
    """

    plan: LoadPlan
    summary: Summary
    broken: list[str]
    book: Book
    began_ns: int
    loaded_ns: int
    ended_ns: int
    interrupted: bool = False
    steps: list[Step] = field(default_factory=list)
    searched: bool = False
    ours: bool = False
    worst: list[WorstLeg] = field(default_factory=list)
    stories: dict[int, Story] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return self.capacity > 0 if self.searched else not self.broken

    @property
    def capacity(self) -> int:
        """The largest number of participants that held."""
        held = [step.participants for step in self.steps if not step.broken]
        return max(held, default=0)


@dataclass(slots=True)
class Load:
    """A load test under way."""

    plan: LoadPlan
    calls: Calls
    engine: EngineLink
    listening: Listening
    stop: asyncio.Event
    watcher: Watcher

    def __post_init__(self) -> None:
        """Have each second told."""
        self.listening.each_second = lambda: self.watcher(self, self.stage)

    @property
    def stage(self) -> str:
        """What the run is at."""
        return self.listening.stage

    @property
    def book(self) -> Book:
        """What is written down so far."""
        return self.listening.book

    def enter(self, stage: str) -> None:
        """Say that another stage begins."""
        self.listening.stage = stage
        self.watcher(self, stage)

    async def hold(self, seconds: float) -> None:
        """Wait under load, churning if that is the profile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        if self.plan.profile == "churn":
            await self.calls.churn(self.stop, until, seed=len(self.book.calls))
        try:
            await asyncio.wait_for(self.stop.wait(), max(until - loop.time(), 0))
        except TimeoutError:
            return


async def run(
    plan: LoadPlan,
    limits: Limits,
    stop: asyncio.Event,
    watcher: Watcher,
    *,
    step: int = 0,
    stories: bool = False,
    bridge_command: tuple[str, ...] = ("-m", "bridge.cli"),
) -> Result:
    """Carry out a plan; with `step`, add so many callers at a time until a limit breaks.

    With `stories` a bridge of our own is asked for those of the worst legs, once it has ended.

    Raises:
        InputError: the plan cannot be carried out.
        OperatingTrouble: bridge or callers could not be started.
    """
    plan.checked()
    cores = Cores() if plan.target else Cores.shared_out()
    own = None if plan.target else await OwnBridge.start(plan, cores.bridge, command=bridge_command)
    try:
        with kept_to(cores.callers):
            if own is not None:
                plan = plan_for(plan, own.port)
            async with _load(plan, stop, watcher, cores) as load:
                load.listening.meter = None if own is None else Meter(own.process.pid)
                result = await (_search(load, limits, step) if step else _whole(load, limits))
        result.ours = own is not None
        if own is not None and stories:
            await own.end()
            calls = {one.caller: (number_of(one.caller), one.dialled_ns) for one in result.worst}
            result.stories = await asyncio.to_thread(own.stories, calls)
        return result
    finally:
        if own is not None:
            await own.stop()


@asynccontextmanager
async def _load(
    plan: LoadPlan, stop: asyncio.Event, watcher: Watcher, cores: Cores
) -> AsyncIterator[Load]:
    host, listening = local_host(plan), Listening()
    engine = await EngineLink.start(
        engine_settings(plan, host), listening.take, cores=cores.callers
    )
    phone = await Phone.open(plan.codec, host=host)
    try:
        calls = Calls(plan, phone, engine, await engine.addresses(), listening.book)
        yield Load(plan, calls, engine, listening, stop, watcher)
    finally:
        phone.close()
        engine.close()


async def _whole(load: Load, limits: Limits) -> Result:
    """Let everybody in, hold, let everybody go."""
    plan, began_ns = load.plan, time.monotonic_ns()
    load.enter("calling")
    await load.calls.dial(range(plan.participants), load.stop)
    loaded_ns = time.monotonic_ns()
    load.enter("load")
    await load.hold(plan.duration_s)
    ended_ns = time.monotonic_ns()
    await load.listening.done()
    totals = await load.engine.totals()
    interrupted = load.stop.is_set()
    load.enter("hanging up")
    await load.calls.hang_up()
    summary = summarise(load.book, began_ns, ended_ns, totals=totals)
    summary.unsettled = _unsettled(load, totals, ended_ns)
    return Result(
        plan=plan,
        summary=summary,
        broken=limits.broken(summary),
        book=load.book,
        began_ns=began_ns,
        loaded_ns=loaded_ns,
        ended_ns=ended_ns,
        interrupted=interrupted,
        worst=worst_legs(load.book, totals, plan),
    )


async def _search(load: Load, limits: Limits, step: int) -> Result:
    """Add callers, hold and judge, until something breaks or all are in."""
    plan, began_ns = load.plan, time.monotonic_ns()
    steps: list[Step] = []
    inside = 0
    while inside < plan.participants and not load.stop.is_set():
        since_ns = time.monotonic_ns()
        added = range(inside, min(inside + step, plan.participants))
        load.enter(f"calling up to {added.stop}")
        await load.calls.dial(added, load.stop)
        inside = added.stop
        load.enter(f"load of {inside}")
        await load.hold(plan.settle_s + plan.duration_s)
        if load.stop.is_set():
            break
        await load.listening.done()
        summary = summarise(load.book, since_ns, time.monotonic_ns())
        if summary.failures:  # an organizer's may be among them
            totals = await load.engine.totals()
            summary.unsettled = _unsettled(load, totals, time.monotonic_ns())
        steps.append(Step(inside, summary, tuple(limits.broken(summary))))
        if steps[-1].broken:
            break
    ended_ns = time.monotonic_ns()
    interrupted = load.stop.is_set()
    totals = await load.engine.totals()
    load.enter("hanging up")
    await load.calls.hang_up()
    summary = summarise(load.book, began_ns, ended_ns, totals=totals)
    summary.unsettled = _unsettled(load, totals, ended_ns)
    return Result(
        plan=plan,
        summary=summary,
        broken=list(steps[-1].broken) if steps else [],
        book=load.book,
        began_ns=began_ns,
        loaded_ns=began_ns,
        ended_ns=ended_ns,
        interrupted=interrupted,
        steps=steps,
        searched=True,
        worst=worst_legs(load.book, totals, plan),
    )


def _unsettled(load: Load, totals: dict[str, Any], until_ns: int) -> int:
    """Return how many callers nobody listened to though they were connected for long enough."""
    before_ns = until_ns - int((load.plan.settle_s + KEYED_S) * NS_PER_S)
    return never_settled(load.book, totals["steady_seconds"], before_ns)


def engine_settings(plan: LoadPlan, host: str) -> EngineSettings:
    """Return what a plan's callers need, `host` being this machine as the bridge sees it."""
    conference, seat = plan.places()
    return EngineSettings(
        host=host,
        conference=conference,
        seat=seat,
        talkers=plan.talkers_now,
        codec=plan.codec,
        amplitude=plan.amplitude,
        sample=plan.sample,
    )


def local_host(plan: LoadPlan) -> str:
    """Return this machine's address as the target sees it.

    Raises:
        OperatingTrouble: no way there.
    """
    target = address_of(plan.uri(0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(target)  # sends nothing
        except OSError as error:
            raise OperatingTrouble(f"{target.host}: {error.strerror}") from error
        host: str = probe.getsockname()[0]
        return host


def seconds_since(result: Result, at_ns: int) -> float:
    """Return a time as seconds since the first call."""
    return (at_ns - result.began_ns) / NS_PER_S
