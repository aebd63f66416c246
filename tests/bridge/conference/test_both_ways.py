"""Each control by key and by order: one state and one notice, whichever way it comes (R18)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge.conference import api
from bridge.conference.api import KEYS_DEFAULT, ConferenceConfig, StartPolicy
from bridge.units import LegId
from tests.bridge.conference.driver import PIN, SID, SPEC, Bridge

ANN, OLIVIA = LegId("ann"), LegId("olivia")
CONFIG = ConferenceConfig(recording=True)

Order = Callable[[bool], api.ConferenceEvent]

CONTROLS: dict[str, tuple[str, Order, str]] = {
    "mute": ("ann", lambda on: api.MuteLeg(ANN, on, by="api:web"), "participant.{muted,unmuted}"),
    "raise_hand": (
        "ann",
        lambda on: api.RaiseHand(ANN, on, by="api:web"),
        "participant.{hand_raised,hand_lowered}",
    ),
    "mute_all": ("olivia", lambda on: api.MuteAll(SID, on, by="api:web"), "mute_all.{on,off}"),
    "lock": (
        "olivia",
        lambda on: api.LockSession(SID, on, by="api:web"),
        "conference.{locked,unlocked}",
    ),
    "lecture": ("olivia", lambda on: api.SetLecture(SID, on, by="api:web"), "lecture.{on,off}"),
    "record": (
        "olivia",
        lambda on: api.RecordSession(SID, on, by="api:web"),
        "recording.{started,stopped}",
    ),
}
KEYS_ONLY = {"help", "roll_call", "leave"}
"""What only a phone needs: the page shows the roster, and who sits at it can just go."""


def conference(policy: StartPolicy = StartPolicy.ON_JOIN) -> Bridge:
    """Ann, bob and olivia, organizer, are there; nobody's PIN window is open."""
    bridge = Bridge(replace(SPEC, start=policy), CONFIG)
    for name in ("ann", "bob", "olivia"):
        bridge.join(name)
    bridge.pause(11)
    bridge.keys("olivia", f"*0{PIN}#")
    bridge.notices.clear()
    bridge.commands.clear()
    return bridge


def state(bridge: Bridge) -> object:
    """Return all that anybody sees of a conference, and what the media plane was told."""
    shell = bridge.shell
    return (
        [replace(view, language="en") for view in bridge.core.roster()],
        bridge.core.occurrences(),
        shell.mix,
        shell.muted,
        shell.recorded,
        bridge.story(),
    )


def names_of(pattern: str) -> list[str]:
    """Return the two notices of a control, of on and of off."""
    head, _, both = pattern.partition("{")
    return [head + name for name in both.rstrip("}").split(",")]


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_the_same_by_key_and_by_order_on_and_off(name: str) -> None:
    who, order, pattern = CONTROLS[name]
    by_key, by_order = conference(), conference()
    for on, told in zip((True, False), names_of(pattern), strict=True):
        by_key.keys(who, KEYS_DEFAULT[name])
        by_order.step(order(on))
        assert state(by_key) == state(by_order)
        for bridge in (by_key, by_order):
            mine = [notice for notice in bridge.notices if notice.type == told]
            assert len(mine) == 1, "one change is one notice"
            assert mine[0].data["reason"]
            assert mine[0].data["by"]
        assert [n.type for n in by_key.notices] == [n.type for n in by_order.notices]
        before = len(by_order.notices)
        by_order.step(order(on))
        assert len(by_order.notices) == before, "what changes nothing tells nothing"


def test_the_start_is_the_same_by_key_and_by_order() -> None:
    by_key, by_order = conference(StartPolicy.ON_COMMAND), conference(StartPolicy.ON_COMMAND)
    by_key.keys("olivia", KEYS_DEFAULT["start"])
    by_order.step(api.StartSession(SID, by="organizer"))
    assert state(by_key) == state(by_order)
    assert by_key.mixed() == {"ann", "bob", "olivia"}


def test_pound_2_and_a_kick_let_the_organizer_go_and_the_conference_goes_on() -> None:
    by_key, by_order = conference(), conference()
    by_key.keys("olivia", KEYS_DEFAULT["leave"])
    by_order.step(api.KickLeg(OLIVIA, by="api:web"))
    for bridge in (by_key, by_order):
        assert bridge.mixed() == {"ann", "bob"}
        assert bridge.facts("session.ended") == []


def test_every_key_has_its_order_or_needs_none() -> None:
    assert set(KEYS_DEFAULT) == {*CONTROLS, *KEYS_ONLY, "start"}


def done(bridge: Bridge) -> list[object]:
    """Return what came of a key, but for prompts that give way to hold music."""
    return [
        command
        for command in bridge.commands
        if not isinstance(command, api.StopPrompts)
        and not (isinstance(command, api.PlayPrompts) and command.loop)
    ]


@pytest.mark.parametrize("name", sorted(KEYS_DEFAULT))
def test_every_key_may_be_mapped_anew_and_the_old_one_does_nothing(name: str) -> None:
    config = ConferenceConfig(recording=True, keys={**KEYS_DEFAULT, name: "#9"})
    who = CONTROLS[name][0] if name in CONTROLS else "olivia"
    policy = StartPolicy.ON_COMMAND if name == "start" else StartPolicy.ON_JOIN

    def ready() -> Bridge:
        bridge = Bridge(replace(SPEC, start=policy), config)
        for one in ("ann", "olivia"):
            bridge.join(one)
        bridge.pause(11)
        bridge.keys("olivia", f"*0{PIN}#")
        bridge.commands.clear()
        return bridge

    old, new = ready(), ready()
    old.keys(who, KEYS_DEFAULT[name])
    assert done(old) == []
    new.keys(who, "#9")
    assert done(new) != []


def test_every_notice_says_why() -> None:
    """A long story with every kind of notice there is in a conference."""
    bridge = Bridge(SPEC, replace(CONFIG, guard_source_tries=3, guard_session_tries=2))
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.pause(11)
    for keys in ("*5", "*5", "*7", "*7", "*8", "*8", "*3", "*3"):
        bridge.keys("olivia", keys)
    bridge.keys("ann", "*9*9*2*2*0111111#*0222222#")
    for event in (
        api.LegHeld(ANN, held=True),
        api.LegHeld(ANN, held=False),
        api.LegTalked(ANN, talking=True),
        api.SetVolume(ANN, 6, "api:web"),
        api.Announce(SID, "people", "api:web"),
        api.Announce(SID, "people", "api:web", leg=ANN),
    ):
        bridge.step(event)
    assert len({notice.type for notice in bridge.notices}) >= 17
    assert [n.type for n in bridge.notices if not n.data.get("reason")] == []
