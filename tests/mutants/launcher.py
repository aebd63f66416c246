"""Runs stories on a bridge with one fault patched in; only the tests have it."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from billing import quantity
from billing.settings import DEFAULT_PRODUCTS
from bridge.conference import keypad, prompts
from bridge.conference.api import ConferenceCommand, ConferenceConfig, EnterMix, LegState
from bridge.conference.hall import Hall
from bridge.conference.legs import Leg
from bridge.conference.occurrences import Occurrence
from bridge.config import Settings
from bridge.lab.evidence import Keeping
from bridge.lab.runner import Lab, LabOptions
from bridge.lab.selection import load_checked
from bridge.lab.verdicts import StoryResult
from bridge.server import Bridge
from bridge.sip import compose
from bridge.sip.transactions import Transactions
from bridge.units import OccurrenceId
from tests.mutants.worker import FAULT

WORKER_FAULTS = (
    *("own_voice", "waiting_hears", "keys_leak"),
    *("quieter", "wraps", "holes", "late", "ptime_ignored"),
)


@contextmanager
def fault(name: str) -> Iterator[None]:
    """Have one fault in everything that starts meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        if name in WORKER_FAULTS:
            patch.setenv(FAULT, name)
            patch.setattr("bridge.worker_link.asyncio.create_subprocess_exec", mutant_worker)
        else:
            CONTROL_FAULTS[name](patch)
        yield


real_exec = asyncio.create_subprocess_exec


async def mutant_worker(program: str, *arguments: str, **more: Any) -> asyncio.subprocess.Process:
    """Start the media worker that has the fault, in place of the real one."""
    changed = ["tests.mutants.worker" if one == "bridge.worker" else one for one in arguments]
    assert changed != list(arguments), "the worker is started by its module's name"
    return await real_exec(program, *changed, **more)


def minutes_rounded_down(patch: pytest.MonkeyPatch) -> None:
    """A part minute is dropped instead of counted (D7)."""

    def down(seconds: int, *, minimum_s: int, increment_s: int) -> int:
        return seconds // increment_s * increment_s

    patch.setattr(quantity, "billed_seconds", down)
    patch.setattr("billing.settlement.billed_seconds", down)


def usf_on_integrated(patch: pytest.MonkeyPatch) -> None:
    """The integrated product is taxed as a telecommunications service (R16)."""
    taxed = tuple(product.model_copy(update={"tax": "usf"}) for product in DEFAULT_PRODUCTS)
    patch.setattr("billing.cards.DEFAULT_PRODUCTS", taxed)


def six_minutes(patch: pytest.MonkeyPatch) -> None:
    """Who waits is sent away a minute late (R5)."""
    real = Settings.conference_config

    def late(settings: Settings) -> ConferenceConfig:
        return replace(real(settings), waiting_timeout_ms=360_000)

    patch.setattr(Settings, "conference_config", late)


def roll_call_misses_one(patch: pytest.MonkeyPatch) -> None:
    """`#3` says one person fewer than there are (R18)."""

    def short(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
        people = sum(one.state is LegState.JOINED for one in occurrence.admitted.values())
        hall.play(leg, prompts.PEOPLE, *prompts.number(people - 1))

    patch.setattr(keypad, "CONTROLS", {**keypad.CONTROLS, "roll_call": short})


def recording_starts_early(patch: pytest.MonkeyPatch) -> None:
    """The recording begins with the first who joins, not with the organizer's command."""
    started: dict[OccurrenceId, Path] = {}
    wanted: dict[OccurrenceId, Path] = {}
    starting: list[asyncio.Future[None]] = []
    real_start, real_stop, real_carry = (
        Bridge.start_recording,
        Bridge.stop_recording,
        Bridge._carry_out,
    )

    def carry_out(bridge: Bridge, command: ConferenceCommand) -> None:
        real_carry(bridge, command)
        if isinstance(command, EnterMix) and command.occurrence not in started:
            path = Path(bridge.settings.store.outbox_url.removeprefix("sqlite:///") + ".wav")
            started[command.occurrence] = path
            starting.append(asyncio.ensure_future(real_start(bridge, command.occurrence, path)))

    async def start(bridge: Bridge, occurrence: OccurrenceId, path: Path) -> None:
        wanted[occurrence] = path

    async def stop(bridge: Bridge, occurrence: OccurrenceId) -> Any:
        done = await real_stop(bridge, occurrence)
        await asyncio.to_thread(shutil.copy, started[occurrence], wanted[occurrence])
        return done

    patch.setattr(Bridge, "_carry_out", carry_out)
    patch.setattr(Bridge, "start_recording", start)
    patch.setattr(Bridge, "stop_recording", stop)


def merged_is_new(patch: pytest.MonkeyPatch) -> None:
    """The same INVITE over another way is taken for another call (RFC 3261 §8.2.2.2)."""
    patch.setattr(Transactions, "is_merged", lambda *_: False)


def bye_says_nothing(patch: pytest.MonkeyPatch) -> None:
    """Who is sent away is not told why."""
    patch.setattr(compose, "reason_header", lambda _: ())


CONTROL_FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "minutes_rounded_down": minutes_rounded_down,
    "usf_on_integrated": usf_on_integrated,
    "six_minutes": six_minutes,
    "roll_call_misses_one": roll_call_misses_one,
    "recording_starts_early": recording_starts_early,
    "merged_is_new": merged_is_new,
    "bye_says_nothing": bye_says_nothing,
}


async def run_with(name: str, file: Path, keeping: Keeping) -> StoryResult:
    """Run one story on a bridge that has the fault `name`; its evidence is kept."""
    with fault(name):
        lab = Lab.open(LabOptions(keeping=keeping))
        try:
            return await lab.run(load_checked(file))
        finally:
            await lab.close()
