"""A bridge for tests written in Python: callers, orders, the clock and the bill, all synchronous.

The same steps and expectations as in story files, on a bridge that runs in a thread of its own;
so a test needs no event loop and no plug-in for one. Knows the lab, nothing of pytest.
"""

import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from bridge.conference.api import Fact, LegState, LegView, Role
from bridge.errors import InputError
from bridge.lab.account import Account, contract_table
from bridge.lab.cast import Cast
from bridge.lab.checks import Judge
from bridge.lab.clips import known_pcm
from bridge.lab.evidence import Witness
from bridge.lab.expectations import Expect
from bridge.lab.host import Host
from bridge.lab.invoices import BillSeen
from bridge.lab.phones import Phone
from bridge.lab.reading import check_expect
from bridge.lab.runner import Lab, LabOptions, StoryRun
from bridge.lab.source import Source, suggestion
from bridge.lab.steps import StepReader
from bridge.lab.story import (
    CALL_ME_CODEC,
    STARTS_AT,
    CallerSpec,
    Session,
    Story,
    shared_numbers,
)
from bridge.lab.times import parse_instant
from bridge.lab.verdicts import StoryResult, Verdict
from bridge.lab.words import in_plain_words
from bridge.logs import set_up_logs

STOP_S: Final = 30.0
TEST: Final = Path("test")
Result = TypeVar("Result")


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine there and return its result, or raise what it raised."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._loop.close()


class Studio:
    """What stages share: a loop, the callers' RTP engine and a warm media worker."""

    def __init__(self, options: LabOptions | None = None) -> None:
        set_up_logs(quiet=True)
        self.loop = Loop()
        self.lab = self.loop.run(_open(options or LabOptions()))

    def close(self) -> None:
        """End everything."""
        self.loop.run(self.lab.close())
        self.loop.close()

    def stage(self, told_by: Path = TEST, /, **settings: Any) -> "Stage":
        """Return a fresh bridge; use it as a context manager. See `Stage` for the settings."""
        return Stage(self, settings, told_by)


async def _open(options: LabOptions) -> Lab:
    return Lab.open(options)


@dataclass(frozen=True, slots=True)
class Seen:
    """What an expectation found; true when it held. Its text says what was observed."""

    verdicts: tuple[Verdict, ...]

    def __bool__(self) -> bool:
        return all(verdict.ok for verdict in self.verdicts)

    def __repr__(self) -> str:
        return "; ".join(
            f"{one.name} {'held' if one.ok else 'did not hold'}: expected {one.expected}, "
            f"observed {one.observed}"
            for one in self.verdicts
        )


class Stage:
    """A running bridge whose conference clock moves only by `advance` (D19).

    Settings, all optional: the keys of a story's `session` (`toll_free`, `start`, `access_code`,
    `organizer_pin`, `security_code`, `entry`, `participants_max`, `continue_minutes`) and of its
    `account` (`product`, `contract`, `time_zone`, `vat_country`), `contracts`, `starts_at` (aware
    datetime), and `settings`: keys of bridge.toml. `told_by` is whose evidence it is:
    `tests/test_calls.py::test_two_meet`.

    Raises:
        InputError: a setting that is unknown or impossible.
    """

    def __init__(self, studio: Studio, settings: Mapping[str, Any], told_by: Path = TEST) -> None:
        self._studio = studio
        self._story = _story_of(settings, told_by.name)
        self._story.tell_from(Source(told_by))
        self._folder: tempfile.TemporaryDirectory[str]
        self._run: StoryRun
        self._result: StoryResult
        self._witness: Witness
        self._behind = 0
        self._ended = False

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="tollbridge-stage-")
        with ExitStack() as undo:
            undo.callback(self._folder.cleanup)
            self._run = self._studio.loop.run(self._start())
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._studio.loop.run(self._stop())
        finally:
            self._folder.cleanup()

    async def _start(self) -> StoryRun:
        lab, folder = self._studio.lab, Path(self._folder.name)
        self._result = StoryResult(self._story, began_ns=time.monotonic_ns())
        self._witness = Witness(lab.engine, lab.options.keeping, self._result)
        await self._witness.begin()
        self._behind = (await lab.engine.counters())["late_ticks"]
        gateway = await Phone.open(CALL_ME_CODEC)
        host = await Host.start(
            self._story,
            folder,
            workers=lab.workers,
            ports=lab.options.ports,
            gateway=gateway.address,
        )
        cast = Cast(self._story, lab.engine, lab.agents, self._witness)
        return await StoryRun.prepare(cast, host, folder, gateway=gateway)

    async def _stop(self) -> None:
        for caller in self._run.cast.everybody:
            await caller.hang_up()
        await self._run.close()
        self._studio.lab.workers = await self._run.host.stop()

    # --- evidence -------------------------------------------------------------------------

    def keep(self, *, fault: str = "", line: int = 0) -> str:
        """Write what there is to see of a test that ends here, if that is kept; return the folder.

        `fault` says why it failed, in which `line`; "" that it passed. Callers and bridge are left
        as they are, so the evidence shows what was so when it failed.
        """
        self._studio.loop.run(self._keep(fault, line))
        return self._result.folder

    async def _keep(self, fault: str, line: int) -> None:
        run, result = self._run, self._result
        # A test may well want that something does not hold; what it insists on is where it fails.
        seen = [
            replace(one, applies=one.ok or bool(fault and one.line == line))
            for one in run.judge.verdicts
        ]
        said = fault or "it passes"
        result.verdicts = [*seen, Verdict(line, "test", not fault, "the test passes", said)]
        result.ladders, result.facts = run.cast.ladders(), tuple(run.host.facts)
        result.notes = self._studio.lab.agents.notes_of_story()
        behind = (await self._studio.lab.engine.counters())["late_ticks"] - self._behind
        result.late = f"{run.host.late_ticks()}; callers {behind}"
        await self._witness.ask(run.host, run.cast.everybody)
        await self._witness.close(
            run.cast.everybody, run.judge.listened, run.host.bridge.stories.clock
        )

    # --- callers and steps ----------------------------------------------------------------

    def phone(self, name: str, **spec: Any) -> "StagePhone":
        """Return a caller who has not dialled yet; `spec` as in a story's `callers`.

        Raises:
            InputError: an unknown key, or a caller that cannot be.
        """
        if name in self._story.callers:
            raise InputError("phone", name, "a name that no caller has yet")
        if "number" in spec:
            spec["from"] = spec.pop("number")
        try:
            self._story.callers[name] = CallerSpec.model_validate(spec)
        except ValidationError as error:
            raise _input_error(f"phone {name!r}", error) from None
        for _, text in shared_numbers(self._story.callers):
            number = self._story.callers.pop(name).number
            raise InputError("phone", number or name, f"a number of his own; {text}")
        self._studio.loop.run(self._run.add_caller(name))
        return StagePhone(self, name)

    def do(self, step: str | Mapping[str, Any]) -> None:
        """Carry out one step as a story writes it: `{"ann": "join"}`, `"cancel"`.

        Raises:
            InputError: it is no step.
            TollbridgeError: it could not be done.
        """
        source = Source(Path("step"))
        try:
            read = StepReader(source, tuple(self._story.callers)).read(step, ())
        except (ValueError, PydanticCustomError) as error:
            text = "; ".join(problem.message for problem in source.problems) or str(error)
            raise InputError("step", step, f"a step as stories write it; {text}") from None
        began_ns = self._run.judge.acted_ns = time.monotonic_ns()
        try:
            self._studio.loop.run(self._run.do(read))
        finally:
            self._witness.step(_line_of_test(), read.text, began_ns)

    def advance(self, time_or_moment: str) -> None:
        """Move the conference clock: `4m`, or to a moment: `to ann.warning`."""
        self.do({"advance": time_or_moment})

    def order(self, command: str) -> None:
        """Carry out an organizer's command: `start`, `lock`, `kick ann`, `mute all`."""
        self.do({"organizer": command})

    def expect(self, **what: Any) -> Seen:
        """Judge an `expect` of the story format, waiting a while for it; see docs/scenarios.md.

        >>> # assert bridge.expect(waiting=["ann"], olivia={"hears": ["hold-music"]})
        """
        try:
            expect = Expect.model_validate(what, context={"callers": tuple(self._story.callers)})
        except ValidationError as error:
            raise _input_error("expect", error) from None
        for name in (*(expect.waiting or ()), *(expect.hosting or ()), *(expect.joined or ())):
            if name not in self._story.callers:
                raise InputError("expect", name, "a phone of this test")
        source = Source(Path("expect"))
        check_expect(self._story, expect, source, (), known_pcm())
        if source.problems:
            text = "; ".join(problem.message for problem in source.problems)
            raise InputError("expect", what, f"what stories may expect; {text}")
        judge = self._run.judge
        before = len(judge.verdicts)
        line, began_ns = _line_of_test(), time.monotonic_ns()
        self._studio.loop.run(_judged(judge, expect, line))
        self._witness.step(line, f"expect {', '.join(what)}", began_ns)
        return Seen(tuple(judge.verdicts[before:]))

    # --- what is so -----------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """Where the bridge hears SIP over UDP."""
        host, port = self._run.host.sip_address
        return host, port

    @property
    def facts(self) -> Sequence[Fact]:
        """The committed facts, in order (D4)."""
        return tuple(self._run.host.facts)

    def legs(self) -> tuple[LegView, ...]:
        """Return every leg that is not over."""
        return self._run.host.roster()

    def names(self, state: LegState, role: Role | None = None) -> list[str]:
        """Return the callers whose legs are in a state, sorted."""
        host = self._run.host
        found = []
        for name, group in self._run.callers.items():
            views = [host.view_of(caller.number) for caller in group]
            if any(v and v.state is state and role in {None, v.role} for v in views):
                found.append(name)
        return sorted(found)

    def bill(self, month: str = "") -> BillSeen:
        """End everything that is open, so that all is final (D4), and return what it costs.

        `month` ("2026-02") picks one month of several.
        """
        return self._studio.loop.run(self._bill(month))

    async def _bill(self, month: str) -> BillSeen:
        if not self._ended:
            self._ended = True
            await self._run.end_everything()
        return await self._run.host.bill(month)


class StagePhone:
    """One caller, or a crowd, of a `Stage`."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage, self.name = stage, name

    def do(self, what: str) -> None:
        """Do what a story's step says: `join`, `say tone 900 for 2s`, `is refused 404`."""
        self._stage.do({self.name: what})

    def join(self) -> None:
        """Dial, key code and PIN, and wait until let in."""
        self.do("join")

    def dial(self) -> None:
        """Dial and key nothing."""
        self.do("dial")

    def press(self, keys: str) -> None:
        """Key digits by RFC 4733."""
        self.do(f"press {keys}")

    def hang_up(self) -> None:
        """End the call with BYE."""
        self.do("hang up")

    def hears(self, *names: str, but_not: Sequence[str] = ()) -> Seen:
        """Listen: whether he hears these callers and sounds, and never those."""
        audio: dict[str, Any] = {"hears": list(names)} if names else {}
        if but_not:
            audio["not_hears"] = list(but_not)
        return self._stage.expect(**{self.name: audio})

    def hears_silence(self) -> Seen:
        """Listen: whether packets come and nothing is heard in them."""
        return self._stage.expect(**{self.name: {"silence": True}})


async def _judged(judge: Judge, expect: Expect, line: int) -> None:
    await judge.judge(expect, line)
    await judge.settle()


def _line_of_test() -> int:
    """Return the line that called this module: the nearest frame that is not of it."""
    frame = sys._getframe()
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_lineno


def _story_of(settings: Mapping[str, Any], name: str) -> Story:
    """Return the story of a stage, without callers and steps."""
    rest = dict(settings)

    def taken(keys: Sequence[str]) -> dict[str, Any]:
        return {key: rest.pop(key) for key in keys if key in rest}

    try:
        session = Session.model_validate(taken(list(Session.model_fields)))
        account = Account.model_validate(taken(list(Account.model_fields)))
        contracts = {
            name: contract_table(name, table) for name, table in rest.pop("contracts", {}).items()
        }
    except ValidationError as error:
        raise _input_error("bridge", error) from None
    except PydanticCustomError as error:
        raise InputError("contracts", settings["contracts"], error.message()) from None
    overrides = rest.pop("settings", {})
    starts_at = _starts_at(rest.pop("starts_at", STARTS_AT))
    if rest:
        known = [*Session.model_fields, *Account.model_fields, "contracts", "settings", "starts_at"]
        word = next(iter(rest))
        near = suggestion(word, known)
        raise InputError("bridge", word, f"one of {', '.join(known)}{near}")
    return Story.model_construct(
        scenario=name,
        session=session,
        account=account,
        contracts=contracts,
        settings=overrides,
        starts_at=starts_at,
        callers={},
    )


def _input_error(place: str, error: ValidationError) -> InputError:
    """Return all faults as one error, the first one's value in it."""
    faults = error.errors()
    where = ".".join(str(part) for part in (place, *faults[0]["loc"]))
    text = "; ".join(in_plain_words(details) for details in faults)
    return InputError(where, faults[0]["input"], f"what stories write there; {text}")


def _starts_at(given: datetime | str) -> datetime:
    """Return when conference time begins, given as in a story or as an aware datetime."""
    try:
        if isinstance(given, str):
            return parse_instant(given)
        if given.tzinfo is not None:
            return given
    except ValueError as error:
        raise InputError("starts_at", given, f"a time; {error}") from None
    raise InputError("starts_at", given, "a time with its UTC offset")
