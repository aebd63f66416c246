"""D2: {organizer, participant, participant} in every order, by every policy: one outcome."""

from itertools import permutations

import pytest

from bridge.conference import api
from bridge.conference.api import LegState, Role, StartPolicy
from bridge.units import LegId
from tests.bridge.conference.driver import MIN, SPEC, Bridge, on_command

ORDERS = sorted(permutations(("olivia", "ann", "bob")))
POLICIES = list(StartPolicy)


def come(order: tuple[str, ...], policy: StartPolicy) -> Bridge:
    """Let the three come a minute apart; by command the start comes a minute after the last."""
    bridge = Bridge(SPEC if policy is StartPolicy.ON_JOIN else on_command())
    for name in order:
        if name == "olivia":
            bridge.organizer(name)
        else:
            bridge.join(name)
        bridge.advance(MIN)
    if policy is StartPolicy.ON_COMMAND:
        bridge.keys("olivia", "*1")
    return bridge


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("order", ORDERS)
def test_all_three_meet(order: tuple[str, ...], policy: StartPolicy) -> None:
    bridge = come(order, policy)
    assert bridge.mixed() == {"olivia", "ann", "bob"}
    assert {view.state for view in bridge.core.roster()} == {LegState.JOINED}
    assert bridge.view("olivia").role is Role.ORGANIZER
    assert len(bridge.facts("session.started")) == len(bridge.facts("organizer.joined")) == 1


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("order", ORDERS)
def test_each_joins_at_the_start_or_when_coming_later(
    order: tuple[str, ...], policy: StartPolicy
) -> None:
    bridge = come(order, policy)
    came = {name: place * MIN for place, name in enumerate(order)}
    start = came["olivia"] if policy is StartPolicy.ON_JOIN else 3 * MIN
    times = {(subject, name): at for subject, name, at in bridge.story()}
    assert times["s1.o1", "session.started"] == start
    assert times["s1.o1", "organizer.joined"] == came["olivia"]
    for name in order:
        assert times[name, "leg.joined"] == max(came[name], start)
        waited = came[name] < start or name == "olivia"
        assert ((name, "leg.waiting") in times) is waited


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("leaving", ORDERS)
def test_each_may_leave_in_any_order(
    order: tuple[str, ...], leaving: tuple[str, ...], policy: StartPolicy
) -> None:
    bridge = come(order, policy)
    for name in leaving:
        bridge.step(api.LegHungUp(LegId(name), "remote_bye"))
    bridge.advance(30 * MIN)
    came = {name: place * MIN for place, name in enumerate(order)}
    for name in order:
        assert bridge.left(name) == ("hung_up", 3 * MIN - came[name])
    assert [f.data["reason"] for f in bridge.facts("session.ended")] == ["room_empty"]
    assert bridge.effects.deadline_conf is None


@pytest.mark.parametrize("control", ["lock", "lecture"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("order", ORDERS)
def test_lock_and_lecture_hold_for_whoever_comes_after_them(
    order: tuple[str, ...], policy: StartPolicy, control: str
) -> None:
    """The organizer locks, or lectures, as soon as there; who came before is in either way."""
    bridge = Bridge(SPEC if policy is StartPolicy.ON_JOIN else on_command())
    for name in order:
        if name == "olivia":
            bridge.organizer(name)
            bridge.keys(name, "*7" if control == "lock" else "*8")
        else:
            bridge.join(name)
    if policy is StartPolicy.ON_COMMAND:
        bridge.keys("olivia", "*1")
    before = set(order[: order.index("olivia") + 1])
    inside = before if control == "lock" else set(order)
    assert bridge.mixed() == inside
    assert bridge.shell.muted == (set() if control == "lock" else set(order) - {"olivia"})
    for name in set(order) - inside:
        bridge.played(name)
        assert bridge.left(name)[0] == "locked"
