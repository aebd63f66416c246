"""`advance: to ...`: the moment that is meant, and nobody else's."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from bridge.conference.api import Fact, LegState
from bridge.lab.callers import Caller
from bridge.lab.clockwork import Clockwork
from bridge.lab.doing import StepFailed
from bridge.lab.host import Host
from bridge.lab.steps import AdvanceStep
from bridge.units import ConfMs


@dataclass
class Called:
    """All that the clock asks a caller for."""

    number: str


@dataclass
class Hosted:
    """A bridge with timers at which legs leave; only `legs` are known by their numbers."""

    legs: dict[str, str]
    leaves: dict[int, str]
    facts: list[Fact] = field(default_factory=list)
    clock_running: bool = False
    at: int = 0

    @property
    def bridge(self) -> "Hosted":
        return self

    def now(self) -> ConfMs:
        return ConfMs(self.at)

    def leg_of(self, number: str) -> str | None:
        return self.legs.get(number)

    def next_deadline_conf(self) -> ConfMs | None:
        return ConfMs(min(self.leaves)) if self.leaves else None

    async def advance_to(self, target: ConfMs) -> None:
        self.at = int(target)
        leg = self.leaves.pop(self.at)
        self.facts.append(Fact(f"{leg}/1", "leg.left", target, leg, {"reason": "waiting_timeout"}))


@dataclass
class Room:
    """All that the clock asks of a waiting room, and of who is in it."""

    waiting_since: int
    state: LegState = LegState.WAITING
    timeout_s: int = 300
    warning_s: int = 30
    keys_count: bool = True


@dataclass
class Waiting(Hosted):
    """One leg waits, or waited."""

    room: Room = field(default_factory=lambda: Room(0))

    @property
    def settings(self) -> "Waiting":
        return self

    @property
    def waiting_room(self) -> Room:
        return self.room

    def view_of(self, number: str) -> Room:
        return self.room

    async def advance_to(self, target: ConfMs) -> None:
        self.at = int(target)


async def test_the_clock_goes_to_the_warning_of_who_waits() -> None:
    host = Waiting({}, {}, room=Room(1_000))
    await clockwork(host).advance(to("ann.warning"))
    assert host.at == 271_000
    await clockwork(host).advance(to("ann.warning"))
    assert host.at == 271_000, "it is now"


@pytest.mark.parametrize("state", [LegState.JOINED, LegState.ANSWERED])
async def test_who_waits_no_more_is_not_warned(state: LegState) -> None:
    host = Waiting({}, {}, room=Room(1_000, state))
    with pytest.raises(StepFailed, match="ann does not wait: no warning will come"):
        await clockwork(host).advance(to("ann.warning"))
    assert host.at == 0, "the clock stands still"


async def test_a_warning_that_is_over_does_not_come_again() -> None:
    host = Waiting({}, {}, at=285_000)
    with pytest.raises(StepFailed, match="ann's warning was 15s ago"):
        await clockwork(host).advance(to("ann.warning"))


def clockwork(host: Hosted) -> Clockwork:
    people = {name: [Called(name)] for name in ("ann", "ben")}
    return Clockwork(cast(Host, host), cast("dict[str, list[Caller]]", people), {})


def to(moment: str) -> AdvanceStep:
    return AdvanceStep(line=1, text=f"advance: to {moment}", to=moment)


async def test_the_clock_stops_at_the_leaving_of_the_one_who_is_named() -> None:
    host = Hosted({"ann": "leg-a", "ben": "leg-b"}, {300: "leg-b", 500: "leg-a", 900: "leg-c"})
    await clockwork(host).advance(to("ann.left"))
    assert host.at == 500


async def test_who_never_called_does_not_leave_when_another_does() -> None:
    host = Hosted({"ben": "leg-b"}, {300: "leg-b"})
    with pytest.raises(StepFailed, match=r"leg\.left does not come: no timer is left"):
        await clockwork(host).advance(to("ann.left"))


async def test_an_event_without_a_name_is_anybodys() -> None:
    host = Hosted({}, {300: "leg-b", 500: "leg-a"})
    await clockwork(host).advance(to("leg.left"))
    assert host.at == 300
