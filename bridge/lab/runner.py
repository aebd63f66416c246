"""Runs stories: carries out each step on a fresh bridge and has every expectation judged.

The conference clock stands still and moves only by `advance`, so a bill is the same each time;
with a running clock `advance` waits. When a story ends, everything still open is ended, so that
the outcome is final before the bill is read.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bridge.conference.api import (
    KickLeg,
    LegState,
    LegView,
    MuteLeg,
    Role,
)
from bridge.errors import InputError, OperatingTrouble, RemoteFault
from bridge.lab.callers import Caller
from bridge.lab.cast import Cast
from bridge.lab.checks import Judge
from bridge.lab.clockwork import Clockwork
from bridge.lab.doing import (
    ORDERS,
    StepFailed,
    all_of,
    do_alone,
    gateway_of,
    or_failed,
    refusal,
    refused,
)
from bridge.lab.evidence import Keeping, Witness
from bridge.lab.foreign import Foreign, ForeignRun
from bridge.lab.golden import difference, golden_file, golden_text
from bridge.lab.hearing import Listened
from bridge.lab.host import BY, Host
from bridge.lab.phones import Phone
from bridge.lab.pjsip_callers import Agents
from bridge.lab.rtp import RtpEngine
from bridge.lab.steps import (
    DIALS,
    AddNumbersStep,
    AdvanceStep,
    CallerStep,
    CallMeStep,
    CancelStep,
    ExpectStep,
    FinalizeStep,
    KillStep,
    MigrateStep,
    OrganizerStep,
    RemoveTollFreeStep,
    RestartStep,
    Step,
    TogetherStep,
    WaitStep,
    acts,
)
from bridge.lab.story import Story
from bridge.lab.verdicts import StoryResult, Verdict, add_unreached, final_line
from bridge.units import MS_PER_S, ConfMs
from bridge.worker_link import MediaWorker

ADMITTED_S: Final = 15.0
LEFT_S: Final = 10.0
KEYS_TAKEN_S: Final = 0.3
"""After keys were sent: until the last one has gone through worker and core."""

AT_ONCE_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class LabOptions:
    """How stories are run.

    Attributes:
        clock_running: conference time runs by itself (`--clock real`).
        update_golden: write the bill beside the story instead of comparing it.
        seed: what bad networks lose and delay is drawn from it.
        ports: the bridge's RTP ports, first and last; None is what the configuration says.
        foreign: a bridge that is not ours, instead of one that is started.
        keeping: what evidence is kept of the runs; None keeps none.
    """

    clock_running: bool = False
    update_golden: bool = False
    seed: int = 0
    ports: tuple[int, int] | None = None
    foreign: Foreign | None = None
    keeping: Keeping | None = None


@dataclass(slots=True)
class Lab:
    """What stories share: the RTP engine and the warm media workers."""

    engine: RtpEngine
    options: LabOptions = LabOptions()
    agents: Agents = field(default_factory=Agents)
    workers: tuple[MediaWorker, ...] = ()

    @classmethod
    def open(cls, options: LabOptions | None = None) -> "Lab":
        """Start the RTP engine; the worker starts with the first bridge."""
        return cls(RtpEngine.start(), options or LabOptions())

    async def close(self) -> None:
        """End the engine and the worker."""
        self.engine.stop()
        await self.agents.close()
        for worker in self.workers:
            await worker.stop()

    async def run(self, story: Story) -> StoryResult:
        """Run one story and return its verdicts; what goes wrong is a verdict too."""
        result = StoryResult(story, began_ns=time.monotonic_ns())
        with tempfile.TemporaryDirectory(prefix="tollbridge-story-") as folder:
            await or_failed(self._run_in(Path(folder), result), result)
        result.seconds = (time.monotonic_ns() - result.began_ns) / 1e9
        return result

    async def _run_in(self, folder: Path, result: StoryResult) -> None:
        story = result.story
        options = self.options
        witness = Witness(self.engine, options.keeping, result)
        await witness.begin()
        cast = Cast(story, self.engine, self.agents, witness, options.seed)
        if options.foreign is not None:
            foreign = ForeignRun(cast, result)
            await or_failed(foreign.run(options.foreign), result)
            await witness.close(cast.everybody, foreign.listened)
            return
        seen = await or_failed(self._on_our_bridge(cast, folder, result), result)
        listened, clock = seen or ((), None)
        await witness.close(cast.everybody, listened, clock)

    async def _on_our_bridge(
        self, cast: Cast, folder: Path, result: StoryResult
    ) -> tuple[Sequence[Listened], object]:
        """Run a story on a fresh bridge; return what was heard, and the bridge's clock.

        Whatever goes wrong, ports, sockets and media workers are given back.
        """
        options = self.options
        async with AsyncExitStack() as undo:
            gateway = await gateway_of(cast.story)
            if gateway is not None:
                undo.callback(gateway.close)
            host = await self._host(cast.story, folder, gateway)
            before = (await self.engine.counters())["late_ticks"]
            undo.push_async_callback(self._stop, host, result, before)
            undo.push_async_callback(cast.close)
            run = await StoryRun.prepare(cast, host, folder, gateway=gateway)
            result.verdicts = run.judge.verdicts
            try:
                await or_failed(run.all_steps(), result)
                if not options.clock_running:
                    await run.golden(update=options.update_golden)
            finally:
                result.ladders = cast.ladders()
                add_unreached(result)
                result.notes = tuple(run.notes)
                await cast.witness.ask(host, cast.everybody)
        return run.judge.listened, host.bridge.stories.clock

    async def _host(self, story: Story, folder: Path, gateway: Phone | None) -> Host:
        """Start a bridge on the warm media workers, which it then has."""
        workers, self.workers = self.workers, ()
        async with AsyncExitStack() as undo:
            for worker in workers:
                undo.push_async_callback(worker.stop)
            host = await Host.start(
                story,
                folder,
                clock_running=self.options.clock_running,
                workers=workers,
                ports=self.options.ports,
                gateway=gateway.address if gateway else None,
            )
            undo.pop_all()
        return host

    async def _stop(self, host: Host, result: StoryResult, late_before: int) -> None:
        """Stop a story's bridge and take its media workers back."""
        result.notes = (*result.notes, *self.agents.notes_of_story())
        result.facts = tuple(host.facts)
        behind = (await self.engine.counters())["late_ticks"] - late_before
        result.late = f"{host.late_ticks()}; callers {behind}"
        self.workers = await host.stop()


@dataclass(slots=True)
class StoryRun:
    """One story under way.

    Attributes:
        keyed_at: conference time of each caller's last key: his waiting time counts from there.
        notes: what was not done that was asked for.
    """

    cast: Cast
    host: Host
    folder: Path
    judge: Judge
    gateway: Phone | None = None
    keyed_at: dict[str, ConfMs] = field(default_factory=dict)
    cancelled: bool = False
    killed: bool = False
    notes: list[str] = field(default_factory=list)

    @classmethod
    async def prepare(
        cls, cast: Cast, host: Host, folder: Path, *, gateway: Phone | None = None
    ) -> "StoryRun":
        """Give every caller his phone; nobody dials yet.

        Behind `gateway` are the phones that Call Me calls.
        """
        judge = Judge(host, cast, acted_ns=time.monotonic_ns())
        run = cls(cast, host, folder, judge, gateway)
        for name in cast.story.callers:
            await run.add_caller(name)
        if any(expect.metrics for expect in cast.story.expects()):
            await host.metrics_known()
            await asyncio.to_thread(host.watch_metrics)
        return run

    async def add_caller(self, name: str) -> None:
        """Give one of the story's callers, or a crowd, a phone and a voice."""
        spec = self.story.callers[name]
        await self.cast.add(name, self.host.target(spec), gateway=self.gateway)
        if spec.agent == "pjsip":
            self.cast.witness.watch_bridge(self.host)

    @property
    def story(self) -> Story:
        """What is run."""
        return self.cast.story

    @property
    def callers(self) -> dict[str, list[Caller]]:
        """All callers by name; a crowd has several."""
        return self.cast.callers

    async def all_steps(self) -> None:
        """Carry out the steps, end what is open, judge the outcome."""
        for step in self.story.steps:
            await self._guarded(step)
        await self.end_everything()
        if self.story.expect is not None:
            await self.judge.judge(self.story.expect, final_line(self.story))
        await self.judge.settle()

    async def _guarded(self, step: Step) -> None:
        """Do one step; when it cannot be done that is a failed verdict, and the story goes on."""
        began_ns = time.monotonic_ns()
        if acts(step):
            self.judge.acted_ns = began_ns
        try:
            await self.do(step)
        except (RemoteFault, OperatingTrouble, InputError) as failure:
            verdict = Verdict(step.line, step.text, False, "the step is done", str(failure))
            self.judge.verdicts.append(verdict)
        self.cast.witness.step(step.line, step.text, began_ns)

    async def do(self, step: Step) -> None:
        """Carry out one step, or raise why it could not be."""
        match step:
            case ExpectStep():
                await self.judge.judge(step.expect, step.line)
            case CallerStep():
                await self._callers_do(step)
            case TogetherStep():
                await all_of([self._callers_do(one) for one in step.steps])
            case AdvanceStep():
                await Clockwork(self.host, self.callers, self.keyed_at).advance(step)
            case WaitStep():
                await asyncio.sleep(step.for_ms / MS_PER_S)
            case OrganizerStep():
                await self._organizer(step)
            case CallMeStep(who=who):
                caller = self.callers[who][0]
                refused(await self.host.call_me(caller.number, who))
                await caller.rings()
            case CancelStep():
                self.cancelled = True
                refused(await self.host.cancel())
            case AddNumbersStep():
                refused(await self.host.add_numbers(step.countries))
            case RemoveTollFreeStep():
                refused(await self.host.remove_toll_free())
            case MigrateStep(at=at, product=product, contract=contract):
                await self.host.migrate(at=at, product=product, contract=contract)
            case FinalizeStep():
                await self.host.finalize(step.month)
            case KillStep(what="control"):
                self.killed = True
                await self.host.kill_control()
            case KillStep():
                await self.host.kill_workers()
            case RestartStep():
                await self.host.restart(killed=self.killed)
                self.killed = False

    # --- callers --------------------------------------------------------------------------

    async def _callers_do(self, step: CallerStep) -> None:
        gate = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(name: str, caller: Caller) -> None:
            async with gate:
                await self._caller_does(name, caller, step)

        await all_of([one(name, c) for name in step.who for c in self.callers[name]])

    async def _caller_does(self, name: str, caller: Caller, step: CallerStep) -> None:
        match step.verb:
            case "join":
                await self._join(name, caller)
            case "is refused":
                status, observed = await refusal(caller)
                ok = status == step.status
                self.judge.note(step.line, f"{caller.name} is refused", ok, step.status, observed)
            case "mute":
                await self._mute(name, caller)
            case _:
                await do_alone(caller, step)
        if step.verb == "press":
            await self._keyed(name)
        if step.verb in {"hang up", *DIALS[1:]} and not await self.host.wait_for(
            lambda: self._is_over(caller), LEFT_S
        ):
            raise StepFailed(f"{caller.name} hung up and his leg is still there")

    async def _join(self, name: str, caller: Caller) -> None:
        """Dial, key, and wait until the bridge has decided: let in, or sent away."""
        organizer = self.story.callers[name].role == "organizer"
        await caller.join()

        def decided() -> bool:
            view = self.host.view_of(caller.number)
            if view is None:
                return self.host.leg_of(caller.number) is not None
            let_in = view.state in {LegState.WAITING, LegState.JOINED, LegState.LEAVING}
            return let_in and (not organizer or view.role is Role.ORGANIZER)

        if not await self.host.wait_for(decided, ADMITTED_S):
            view = self.host.view_of(caller.number)
            where = view.state.value if view else "nowhere"
            raise StepFailed(f"{caller.name} is {where} {ADMITTED_S:.0f} s after he keyed the code")

    async def _keyed(self, name: str) -> None:
        await asyncio.sleep(KEYS_TAKEN_S)
        self.keyed_at[name] = self.host.now()

    async def _mute(self, name: str, caller: Caller) -> None:
        def muted() -> bool:
            view = self.host.view_of(caller.number)
            return view is not None and view.muted

        if muted():
            raise StepFailed(f"{caller.name} is muted already: `press *2` unmutes him")
        await caller.mute()
        await self._keyed(name)
        if not await self.host.wait_for(muted, LEFT_S):
            raise StepFailed(f"{caller.name} keyed *2 and is not muted")

    def _is_over(self, caller: Caller) -> bool:
        leg = self.host.leg_of(caller.number)
        left = {fact.subject for fact in self.host.facts if fact.type == "leg.left"}
        return leg is None or leg in left

    # --- the organizer's commands -----------------------------------------------------------

    async def _organizer(self, step: OrganizerStep) -> None:
        match step.verb:
            case "end":
                await self._stop_recording()
                refused(await self.host.end())
            case "record":
                await self._record()
            case "kick":
                for view in self._views(step.who):
                    refused(await self.host.order(KickLeg(view.leg, BY)))
            case "mute" | "unmute":
                muted = step.verb == "mute"
                for view in self._views(step.who):
                    refused(await self.host.order(MuteLeg(view.leg, muted=muted)))
            case verb:
                refused(await self.host.order(ORDERS[verb]))

    def _views(self, name: str) -> Sequence[LegView]:
        views = [self.host.view_of(caller.number) for caller in self.callers[name]]
        there = [view for view in views if view is not None]
        if not there:
            raise StepFailed(f"{name} has no leg")
        return there

    async def _record(self) -> None:
        file = self.folder / "recording.wav"
        await self.host.start_recording(file)
        self.judge.recording = file

    async def _stop_recording(self) -> None:
        if self.judge.recording is not None:
            await self.host.stop_recording()

    # --- the end ------------------------------------------------------------------------------

    async def end_everything(self) -> None:
        """End what is still open, so that the outcome is final (D4)."""
        await self._stop_recording()
        for caller in self.cast.everybody:
            await caller.hang_up()
        await self.host.wait_for(
            lambda: all(self._is_over(c) or c.ended is None for c in self.cast.everybody), LEFT_S
        )
        if not self.cancelled:
            await self.host.end()
        if not await self.host.wait_for(lambda: not self.host.roster(), LEFT_S):
            left = ", ".join(f"{view.ani} {view.state.value}" for view in self.host.roster())
            line = final_line(self.story)
            self.judge.note(line, "end of the story", False, "every leg is over", left)

    async def golden(self, *, update: bool) -> None:
        """Compare the bill with the one that is kept beside the story, or keep this one.

        Where none is kept yet, a story that expects no bill at its end is given none: what it
        costs was never looked at. Its result says so.
        """
        file = golden_file(self.story.file)
        there = await asyncio.to_thread(file.exists)
        if update and not there and not self.story.expects_bill():
            self.notes.append(f"no {file.name} is kept: it expects no bill at its end")
            update = False
        if not (there or update):
            return
        seen = golden_text(await self.host.invoices())
        if update and all(verdict.ok for verdict in self.judge.verdicts):
            await asyncio.to_thread(file.write_text, seen, encoding="utf-8")
            there = True
        if not there:  # a story that fails gives no bill to keep
            return
        wanted = await asyncio.to_thread(file.read_text, encoding="utf-8")
        text = difference(wanted, seen)
        self.judge.note(1, "bill.golden", not text, file.name, text or "the same")

    async def close(self) -> None:
        """Give ports and sockets back."""
        await self.cast.close()
        if self.gateway is not None:
            self.gateway.close()
