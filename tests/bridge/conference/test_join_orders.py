"""D2: {organizer, participant, participant} in every order, by every policy: one outcome."""

from itertools import permutations

import pytest

from bridge.conference import api
from bridge.conference.api import LegState, Role, StartPolicy
from bridge.units import LegId
from tests.bridge.conference.driver import MIN, SID, SPEC, Bridge, on_command

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


CONTROL_KEYS = {"lock": "*7", "lecture": "*8", "none": ""}


def control_order(control: str) -> api.ConferenceEvent | None:
    """Return the order that does what the key does."""
    match control:
        case "lock":
            return api.LockSession(SID, locked=True, by="api:web")
        case "lecture":
            return api.SetLecture(SID, on=True, by="api:web")
    return None


def switch(bridge: Bridge, control: str, way: str) -> None:
    """Have the organizer use a control by key, or the page by order."""
    if way == "key":
        bridge.keys("olivia", CONTROL_KEYS[control])
    elif order := control_order(control):
        bridge.step(order)


@pytest.mark.parametrize("way", ["key", "order"])
@pytest.mark.parametrize("when", ["with the organizer", "after everybody"])
@pytest.mark.parametrize("control", sorted(CONTROL_KEYS))
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("order", ORDERS)
def test_whoever_comes_when_under_lock_lecture_or_nothing(
    order: tuple[str, ...], policy: StartPolicy, control: str, when: str, way: str
) -> None:
    """Who came before the control is in either way; who comes after it meets it at the door."""
    bridge = Bridge(SPEC if policy is StartPolicy.ON_JOIN else on_command())
    for name in order:
        if name != "olivia":
            bridge.join(name)
            continue
        bridge.organizer(name)
        if when == "with the organizer":
            switch(bridge, control, way)
    if when == "after everybody":
        switch(bridge, control, way)
    if policy is StartPolicy.ON_COMMAND:
        bridge.keys("olivia", "*1")
    shut_out: set[str] = set()
    if control == "lock" and when == "with the organizer":
        shut_out = set(order[order.index("olivia") + 1 :])
    inside = set(order) - shut_out
    assert bridge.mixed() == inside
    assert bridge.shell.muted == (set(order) - {"olivia"} if control == "lecture" else set())
    for name in shut_out:
        assert bridge.hears(name) == ("locked",)
        bridge.played(name)
        assert bridge.left(name)[0] == "locked"
        mine = {fact.type for fact in bridge.facts() if fact.subject == name}
        assert mine == {"leg.answered", "leg.identified", "leg.left"}, "not_admitted (D5)"
    assert len(bridge.facts("session.started")) == 1
    told = [n.type for n in bridge.notices if n.type in ("conference.locked", "lecture.on")]
    assert len(told) == (control != "none")
    view = bridge.core.occurrences()[0]
    assert (view.locked, view.lecture) == (control == "lock", control == "lecture")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("order", ORDERS)
def test_who_is_given_the_floor_is_heard_whatever_the_order_of_coming(
    order: tuple[str, ...], policy: StartPolicy
) -> None:
    bridge = come(order, policy)
    bridge.step(api.SetLecture(SID, on=True, by="api:web"))
    bridge.step(api.MuteLeg(LegId("bob"), muted=False, by="api:web"))
    assert bridge.shell.muted == {"ann"}
    bridge.step(api.SetLecture(SID, on=False, by="api:web"))
    assert bridge.shell.muted == set()
