"""The door itself: clocks, deadlines, and that a step does not look at every leg."""

from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, Instant, LegState
from bridge.conference.core import Conference
from bridge.conference.legs import Leg
from bridge.units import ConfMs, LegId, NowNs
from tests.bridge.conference.driver import CODE, CONF0, PLAN, SPEC, Bridge


class NoScan(dict[LegId, Leg]):
    """Legs that can be looked up, added and removed, but not gone through."""

    def __iter__(self) -> Iterator[LegId]:
        self._refuse()

    def values(self) -> Any:
        self._refuse()

    def items(self) -> Any:
        self._refuse()

    def keys(self) -> Any:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise AssertionError("a step went through all legs")


def test_no_step_goes_through_all_legs() -> None:
    bridge = Bridge()
    legs = NoScan()
    bridge.core._hall.legs = legs
    for name in ("ann", "bob", "cid"):
        bridge.join(name)
    bridge.keys("ann", "#*2")
    bridge.organizer("olivia")
    bridge.step(api.LegLost(LegId("bob"), CONF0))
    bridge.hang_up("olivia")
    bridge.advance(60 * 60_000)
    assert len(legs) == 0
    bridge.join("dan")
    with pytest.raises(AssertionError, match="went through"):
        bridge.core.roster()


def test_the_timers_of_many_legs_cost_no_more_entries_than_legs() -> None:
    bridge = Bridge(config=ConferenceConfig(participants_max=1_000))
    for number in range(300):
        bridge.voip(f"leg{number}")
    for _ in range(30):
        bridge.conf_ms += 1_000
        for number in range(300):
            bridge.keys(f"leg{number}", "5")
    hall = bridge.core._hall
    assert len(hall.conf) == 300
    assert len(hall.conf._heap) < 2_000
    assert bridge.effects.deadline_conf == CONF0 + 30_000 + 270_000


def test_deadlines_are_the_earliest_of_each_clock() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.advance(1_000)
    bridge.join("bob")
    bridge.dial("cid")
    assert bridge.effects.deadline_conf == CONF0 + 270_000
    assert bridge.effects.deadline_ns == bridge.now_ns + 20_000_000_000
    bridge.hang_up("ann")
    bridge.hang_up("cid")
    assert bridge.effects.deadline_conf == CONF0 + 271_000
    assert bridge.effects.deadline_ns is None


def test_a_tick_without_need_does_nothing() -> None:
    bridge = Bridge()
    bridge.join("ann")
    before = bridge.effects
    effects = bridge.step(api.Tick())
    assert (effects.facts, effects.commands) == ((), ())
    assert effects.deadline_conf == before.deadline_conf


def test_a_clock_that_goes_back_stands_still() -> None:
    core = Conference(ConferenceConfig(), PLAN, lambda: "x")
    later, earlier = Instant(NowNs(10), ConfMs(CONF0 + 5)), Instant(NowNs(3), CONF0)
    core.step(api.PutSession(SPEC), later)
    core.step(api.LegInvited(LegId("ann"), CODE, "", None), earlier)
    (fact,) = core.step(api.LegReady(LegId("ann")), earlier).facts
    assert fact.at == CONF0 + 5


def test_conference_timers_fire_before_the_event_that_came_too_late() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.conf_ms += 300_000
    bridge.keys("ann", "5")
    assert bridge.left("ann") == ("waiting_timeout", 300_000)
    assert bridge.state("ann") is LegState.ENDED


def test_both_clocks_may_be_due_in_one_step() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.dial("bob")
    bridge.keys("bob", CODE)
    bridge.now_ns += 3_000_000_000
    bridge.conf_ms += 400_000
    bridge.step(api.Tick())
    assert bridge.left("ann") == ("waiting_timeout", 300_000)
    assert bridge.story()[-1] == ("bob", "leg.waiting", 400_000)
