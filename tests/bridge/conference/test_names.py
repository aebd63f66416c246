"""R18: recorded names, at the door, when somebody comes or goes, and in the roll call."""

from dataclasses import replace

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, Entry, LegKind, LegState
from bridge.units import LegId
from tests.bridge.conference.driver import CODE, PIN, SID, SPEC, Bridge

ANN = LegId("ann")
NAMED = replace(SPEC, entry=Entry.NAME)


def meet() -> Bridge:
    """Olivia is in the conference and has said her name."""
    bridge = Bridge(NAMED)
    bridge.join("olivia", kind=LegKind.VOIP)
    bridge.say_name("olivia")
    bridge.keys("olivia", f"*{PIN}#")
    bridge.commands.clear()
    return bridge


def test_a_name_is_asked_for_recorded_and_heard_when_its_leg_comes_and_goes() -> None:
    bridge = meet()
    bridge.join("ann")
    assert bridge.state("ann") is LegState.NAMING
    assert bridge.hears("ann") == ("say-name", "beep-in")
    assert bridge.mixed() == {"olivia"}
    bridge.say_name("ann")
    assert bridge.mixed() == {"olivia", "ann"}
    assert bridge.tones() == ["clip/name/ann", "has-joined"]
    assert bridge.view("ann").named
    bridge.hang_up("ann")
    assert bridge.tones()[2:] == ["clip/name/ann", "has-left"]


def test_who_says_nothing_is_let_in_and_a_tone_is_heard() -> None:
    bridge = meet()
    bridge.join("ann")
    bridge.say_name("ann", said=False)
    assert bridge.mixed() == {"olivia", "ann"}
    assert bridge.tones() == ["beep-in"]
    assert not bridge.view("ann").named


def test_pound_ends_the_prompt_and_then_the_name() -> None:
    bridge = meet()
    bridge.join("ann")
    bridge.keys("ann", "#")
    assert bridge.hears("ann") == ()
    assert bridge.commands[-1:] == [api.RecordName(ANN, "clip/name/ann", 4_000_000_000)]
    bridge.keys("ann", "#")
    assert bridge.commands[-1:] == [api.StopName(ANN)]
    assert bridge.state("ann") is LegState.NAMING
    bridge.step(api.LegNamed(ANN, "clip/name/ann"))
    assert bridge.state("ann") is LegState.JOINED


def test_who_keys_on_is_let_in_without_a_name_and_his_keys_count() -> None:
    bridge = Bridge(NAMED)
    bridge.dial("olivia")
    bridge.keys("olivia", f"{CODE}#*{PIN}#")
    assert bridge.mixed() == {"olivia"}
    assert bridge.view("olivia").role is api.Role.ORGANIZER
    bridge.join("ann")
    bridge.played("ann")
    bridge.keys("ann", "*2")
    bridge.pause(2)
    assert bridge.view("ann").muted
    effects = bridge.step(api.LegNamed(ANN, "clip/name/ann"))
    assert effects.commands == (), "what was said is not wanted any more"


def test_nobody_waits_for_a_media_plane_that_does_not_answer() -> None:
    bridge = Bridge(NAMED)
    bridge.join("ann")
    bridge.played("ann")
    bridge.pause(5.9)
    assert bridge.state("ann") is LegState.NAMING
    bridge.pause(0.2)
    assert bridge.state("ann") is LegState.WAITING


def test_a_conference_locked_meanwhile_is_locked() -> None:
    bridge = meet()
    bridge.join("ann")
    bridge.step(api.LockSession(SID, locked=True, by="web"))
    bridge.say_name("ann")
    assert bridge.hears("ann") == ("locked",)
    assert bridge.tones() == []


def test_the_roll_call_says_the_names_after_the_number_and_never_before_the_start() -> None:
    bridge = Bridge(replace(NAMED, start=api.StartPolicy.ON_COMMAND))
    for name in ("ann", "bob"):
        bridge.join(name)
        bridge.say_name(name, said=name == "ann")
    bridge.keys("ann", "#3")
    bridge.pause(11)
    assert bridge.hears("ann") == ("people", "n-2"), "who waits hears nobody (D3)"
    bridge.join("olivia", kind=LegKind.VOIP)
    bridge.say_name("olivia")
    bridge.keys("olivia", f"*{PIN}#*1")
    bridge.pause(2)
    bridge.keys("bob", "#3")
    assert bridge.hears("bob") == ("people", "n-3", "clip/name/olivia", "clip/name/ann")


def test_a_callee_who_presses_1_is_asked_for_his_name() -> None:
    bridge = Bridge(NAMED, ConferenceConfig(call_me_countries=frozenset({"US"})))
    bridge.step(api.CallMe(ANN, SID, "+12125550111", "Ann", "web"))
    bridge.step(api.LegReady(ANN))
    bridge.step(api.LegAnswered(ANN))
    bridge.keys("ann", "1")
    assert bridge.state("ann") is LegState.NAMING
    bridge.say_name("ann")
    assert bridge.state("ann") is LegState.WAITING


def test_the_session_says_how_and_the_bridge_where_it_says_nothing() -> None:
    for mine, bridges, heard in (
        (None, Entry.TONE, ["beep-in", "beep-out"]),
        (Entry.NOTHING, Entry.TONE, []),
        (Entry.TONE, Entry.NOTHING, ["beep-in", "beep-out"]),
    ):
        bridge = Bridge(replace(SPEC, entry=mine), ConferenceConfig(entry=bridges))
        bridge.organizer("olivia")
        bridge.commands.clear()
        bridge.join("ann")
        bridge.hang_up("ann")
        assert bridge.tones() == heard


def test_a_leg_that_ends_while_it_says_its_name_leaves_nothing() -> None:
    bridge = Bridge(NAMED)
    bridge.join("ann")
    bridge.played("ann")
    bridge.hang_up("ann")
    assert bridge.core.roster() == ()
    assert bridge.effects.deadline_ns is None
