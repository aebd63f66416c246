"""D20: PINs and controls of legs that were let in, with the real times of keys."""

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegKind, LegState, Role, SessionSpec
from bridge.units import LegId, SessionId
from tests.bridge.conference.driver import CODE, PIN, SID, Bridge, on_command

ANN = LegId("ann")


def is_organizer(bridge: Bridge) -> bool:
    return bridge.view("ann").role is Role.ORGANIZER


# --- the PIN window -----------------------------------------------------------------------


@pytest.mark.parametrize(("pause", "inside"), [(0, True), (9.999, True), (10, False)])
def test_the_window_is_open_for_ten_seconds(pause: float, inside: bool) -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.pause(pause)
    bridge.keys("ann", f"*{PIN}#")
    assert is_organizer(bridge) is inside


def test_a_hash_alone_closes_the_window() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.keys("ann", "#")
    assert bridge.hears("ann") == ("hold-music",)
    bridge.keys("ann", "*2")
    assert bridge.view("ann").muted
    bridge.keys("ann", f"*{PIN}#")
    assert not is_organizer(bridge)


@pytest.mark.parametrize("kind", [LegKind.TOLL_FREE, LegKind.TOLL, LegKind.VOIP])
def test_every_leg_that_keyed_a_code_has_the_window(kind: LegKind) -> None:
    bridge = Bridge()
    bridge.organizer("ann", kind=kind)
    assert is_organizer(bridge)


def test_the_window_is_open_in_a_started_conference_too() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.dial("ann")
    bridge.keys("ann", f"{CODE}#*{PIN}#")
    assert bridge.state("ann") is LegState.JOINED
    assert is_organizer(bridge)


def test_a_lone_control_in_the_window_acts_after_a_pause() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.keys("ann", "*2")
    bridge.pause(1.4)
    assert not bridge.view("ann").muted
    bridge.pause(0.1)
    assert bridge.view("ann").muted
    assert bridge.hears("ann") == ("muted",)


def test_a_control_and_more_keys_in_the_window_is_a_pin() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.keys("ann", "*2")
    bridge.pause(1.4)
    bridge.keys("ann", "345#")
    assert not bridge.view("ann").muted
    assert bridge.hears("ann") == ("bad-pin",)


def test_a_pin_without_its_hash_is_taken_after_a_pause() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.keys("ann", f"*{PIN}")
    bridge.pause(2.9)
    assert not is_organizer(bridge)
    bridge.pause(0.1)
    assert is_organizer(bridge)


def test_the_window_is_over_when_the_pin_was_right() -> None:
    bridge = Bridge(on_command())
    bridge.organizer("ann")
    bridge.keys("ann", "*1")
    assert bridge.state("ann") is LegState.JOINED


# --- star zero ----------------------------------------------------------------------------


@pytest.mark.parametrize("started", [False, True])
def test_star_zero_and_the_pin_always_works(started: bool) -> None:
    bridge = Bridge()
    if started:
        bridge.organizer("olivia")
    bridge.join("ann")
    bridge.pause(60)
    bridge.keys("ann", f"*0{PIN}#")
    assert is_organizer(bridge)


def test_star_zero_works_within_the_window() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.keys("ann", f"*0{PIN}#")
    assert is_organizer(bridge)


@pytest.mark.parametrize("keys", ["*0123#", "*00123#"])
def test_a_pin_that_begins_with_zero_is_right_in_either_reading(keys: str) -> None:
    bridge = Bridge(SessionSpec(SID, "acme", CODE, "0123"))
    bridge.join("ann", kind=LegKind.TOLL)
    bridge.keys("ann", keys)
    assert is_organizer(bridge)


def test_outside_the_window_there_is_one_reading() -> None:
    bridge = Bridge(SessionSpec(SID, "acme", CODE, "0123"))
    bridge.join("ann", kind=LegKind.TOLL)
    bridge.pause(11)
    bridge.keys("ann", "*0123#")
    assert not is_organizer(bridge)
    bridge.keys("ann", "*00123#")
    assert is_organizer(bridge)


# --- wrong PINs ---------------------------------------------------------------------------


def test_three_wrong_pins_and_no_more_are_heard() -> None:
    bridge = Bridge()
    bridge.join("ann")
    for tries in range(1, 4):
        bridge.keys("ann", "*999999#")
        assert bridge.prompts("ann").count("bad-pin") == tries
        bridge.played("ann")
        assert bridge.hears("ann") == ("hold-music",)
    for keys in (f"*{PIN}#", f"*0{PIN}#", "*999999#"):
        bridge.keys("ann", keys)
    assert bridge.prompts("ann").count("bad-pin") == 3
    assert bridge.state("ann") is LegState.WAITING
    assert not is_organizer(bridge)


def test_a_guess_that_a_pause_ended_counts() -> None:
    bridge = Bridge()
    bridge.join("ann")
    for _ in range(3):
        bridge.keys("ann", "*9999")
        bridge.pause(3)
    bridge.keys("ann", f"*0{PIN}#")
    assert not is_organizer(bridge)


def test_a_wrong_pin_in_the_conference_leaves_the_leg_in_it() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.join("ann")
    bridge.keys("ann", "*0999999#")
    assert bridge.hears("ann") == ("bad-pin",)
    bridge.played("ann")
    assert bridge.mixed() == {"ann", "olivia"}
    effects = bridge.step(api.LegKey(ANN, "5"))
    assert effects.commands == ()


def test_the_pin_of_another_session_is_wrong() -> None:
    bridge = Bridge()
    bridge.step(api.PutSession(SessionSpec(SessionId("s2"), "acme", "555000", "123456")))
    bridge.join("ann")
    bridge.keys("ann", "*123456#")
    assert not is_organizer(bridge)


# --- controls -----------------------------------------------------------------------------


@pytest.mark.parametrize("started", [False, True])
def test_star_2_mutes_and_unmutes_oneself(started: bool) -> None:
    bridge = Bridge()
    if started:
        bridge.organizer("olivia")
    bridge.voip("ann")
    bridge.keys("ann", "*2")
    assert bridge.shell.muted == {"ann"}
    assert bridge.hears("ann") == ("muted",)
    assert bridge.view("ann").muted
    bridge.keys("ann", "*2")
    assert bridge.shell.muted == set()
    assert bridge.hears("ann") == ("unmuted",)


def test_star_hash_helps() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.keys("ann", "*#")
    assert bridge.hears("ann") == ("help",)
    bridge.played("ann")
    assert bridge.hears("ann") == ("hold-music",)


def test_a_participant_has_no_hash_2() -> None:
    bridge = Bridge()
    bridge.voip("ann")
    bridge.keys("ann", "#2")
    assert bridge.state("ann") is LegState.WAITING


@pytest.mark.parametrize("keys", ["*4", "*6", "#0", "#7", "*7", "12345", "A", "D"])
def test_keys_that_are_no_control_do_nothing(keys: str) -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.voip("ann")
    before = bridge.core.roster()
    commands = len(bridge.commands)
    bridge.keys("ann", keys)
    assert bridge.core.roster() == before
    assert len(bridge.commands) == commands


def test_a_star_and_then_nothing_is_forgotten() -> None:
    bridge = Bridge()
    bridge.voip("ann")
    bridge.keys("ann", "*")
    bridge.pause(3)
    bridge.keys("ann", "2")
    assert not bridge.view("ann").muted
    assert bridge.effects.deadline_ns is None


def test_keys_begun_by_a_leg_that_hung_up_are_forgotten() -> None:
    bridge = Bridge()
    bridge.voip("ann")
    bridge.keys("ann", "*")
    bridge.hang_up("ann")
    assert bridge.effects.deadline_ns is None
    bridge.pause(5)
    assert bridge.core.roster() == ()


# --- by order -----------------------------------------------------------------------------


def test_a_leg_may_be_muted_by_order_and_is_not_told() -> None:
    bridge = Bridge()
    bridge.voip("ann")
    first = bridge.step(api.MuteLeg(ANN, muted=True))
    assert first.commands == (api.SetLegMuted(ANN, muted=True),)
    second = bridge.step(api.MuteLeg(ANN, muted=True))
    assert second.commands == ()
    bridge.keys("ann", "*2")
    assert not bridge.view("ann").muted


def test_a_leg_muted_before_it_is_let_in_joins_muted() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.dial("ann")
    bridge.step(api.MuteLeg(ANN, muted=True))
    assert bridge.effects.commands == ()
    bridge.keys("ann", f"{CODE}#")
    assert bridge.shell.muted == {"ann"}


def test_mute_of_who_is_not_there_or_leaving_is_refused() -> None:
    bridge = Bridge(config=ConferenceConfig(code_tries=1))
    bridge.step(api.MuteLeg(ANN, muted=True))
    bridge.dial("ann")
    bridge.keys("ann", "1#")
    bridge.step(api.MuteLeg(ANN, muted=True))
    assert bridge.refusals() == ["unknown_leg", "leg_leaving"]
