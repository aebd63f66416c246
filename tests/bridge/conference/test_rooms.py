"""Waiting room, organizers and start: D1, D2, D3, with numbers for time."""

from dataclasses import replace

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, Entry, LegKind, LegState, Role, StartPolicy
from bridge.units import LegId, OccurrenceId, SessionId
from tests.bridge.conference.driver import CODE, CONF0, MIN, PIN, SID, SPEC, Bridge, S, on_command

ANN, BOB, OLIVIA = LegId("ann"), LegId("bob"), LegId("olivia")


# --- D1: inactivity -----------------------------------------------------------------------


def test_a_waiting_leg_is_warned_and_ends_after_five_minutes() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.advance(269_999)
    assert "waiting-warning" not in bridge.prompts("ann")
    bridge.advance(1)
    assert bridge.hears("ann") == ("waiting-warning",)
    bridge.played("ann")
    assert bridge.hears("ann") == ("hold-music",)
    bridge.advance(29_999)
    assert bridge.state("ann") is LegState.WAITING
    bridge.advance(1)
    assert bridge.left("ann") == ("waiting_timeout", 300_000)
    assert bridge.effects.commands == (api.HangUpLeg(ANN, "waiting_timeout"),)


def test_a_late_step_ends_the_wait_at_its_own_time() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.advance(1 * MIN)
    bridge.join("bob")
    effects = bridge.jump(20 * MIN)
    assert [(f.subject, f.at - CONF0) for f in effects.facts] == [
        ("ann", 300_000),
        ("bob", 360_000),
    ]
    assert bridge.left("bob") == ("waiting_timeout", 300_000)


def test_timers_due_in_one_jump_fire_in_the_order_of_their_times() -> None:
    bridge = Bridge()
    bridge.join("ann")
    effects = bridge.jump(40 * MIN)
    assert [(f.type, f.at - CONF0) for f in effects.facts] == [
        ("leg.left", 300_000),
        ("session.ended", 300_000 + 30 * MIN),
    ]
    assert [type(command) for command in effects.commands] == [api.PlayPrompts, api.HangUpLeg]


def test_real_time_alone_never_ends_a_wait() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.pause(3_600)
    assert bridge.state("ann") is LegState.WAITING


@pytest.mark.parametrize("key", list("0123456789*#ABCD"))
def test_any_key_goes_on_waiting(key: str) -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.advance(280_000)
    assert bridge.hears("ann") == ("waiting-warning",)
    bridge.keys("ann", key)
    assert bridge.hears("ann") == ("hold-music",)
    bridge.advance(269_999)
    assert bridge.prompts("ann").count("waiting-warning") == 1
    bridge.advance(1)
    assert bridge.prompts("ann").count("waiting-warning") == 2
    bridge.advance(30_000)
    assert bridge.left("ann") == ("waiting_timeout", 580_000)


def test_keys_need_not_count() -> None:
    bridge = Bridge(config=ConferenceConfig(waiting_keys_count=False))
    bridge.join("ann")
    bridge.advance(280_000)
    bridge.keys("ann", "5")
    assert bridge.hears("ann") == ("hold-music",)
    bridge.advance(20_000)
    assert bridge.left("ann") == ("waiting_timeout", 300_000)


@pytest.mark.parametrize("warning_ms", [0, 60_000, 90_000])
def test_a_warning_that_cannot_come_before_the_end_does_not_come(warning_ms: int) -> None:
    config = ConferenceConfig(waiting_timeout_ms=60_000, waiting_warning_ms=warning_ms)
    bridge = Bridge(config=config)
    bridge.join("ann")
    bridge.advance(60_000)
    assert bridge.left("ann") == ("waiting_timeout", 60_000)
    assert "waiting-warning" not in bridge.prompts("ann")


def test_without_a_timeout_a_leg_waits_for_ever() -> None:
    bridge = Bridge(config=ConferenceConfig(waiting_timeout_ms=0))
    bridge.join("ann")
    bridge.keys("ann", "5")
    bridge.advance(24 * 60 * MIN)
    assert bridge.state("ann") is LegState.WAITING


def test_the_wait_ends_also_while_an_organizer_is_there_but_never_the_organizers() -> None:
    bridge = Bridge(on_command())
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.advance(60 * MIN)
    assert bridge.left("ann") == ("waiting_timeout", 300_000)
    assert bridge.state("olivia") is LegState.WAITING
    assert "waiting-warning" not in bridge.prompts("olivia")
    bridge.keys("olivia", "5")
    bridge.advance(60 * MIN)
    assert bridge.state("olivia") is LegState.WAITING


def test_nobody_is_timed_out_after_the_start() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.advance(299_999)
    bridge.organizer("olivia")
    bridge.advance(60 * MIN)
    assert bridge.state("ann") is LegState.JOINED


# --- D3: nothing else ---------------------------------------------------------------------


def test_a_waiting_leg_hears_prompts_then_music() -> None:
    bridge = Bridge()
    bridge.join("ann")
    assert bridge.hears("ann") == ("pin", "waiting")
    bridge.played("ann")
    play = bridge.shell.playing[ANN]
    assert (play.prompts, play.loop) == (("hold-music",), True)
    bridge.step(api.LegPlayed(ANN, play.token))
    assert bridge.effects.commands == ()


def test_nobody_who_waits_enters_a_mix() -> None:
    bridge = Bridge(on_command())
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.join("bob")
    bridge.advance(4 * MIN)
    assert not any(isinstance(c, api.EnterMix | api.PlayToMix) for c in bridge.commands)


def test_what_was_muted_while_waiting_is_muted_after_the_start() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.keys("ann", "#*2")
    assert bridge.hears("ann") == ("muted",)
    bridge.played("ann")
    assert bridge.hears("ann") == ("hold-music",)
    bridge.organizer("olivia")
    assert bridge.shell.muted == {"ann"}
    of_ann = [c for c in bridge.effects.commands if getattr(c, "leg", "") == "ann"]
    assert of_ann == [
        api.SetLegMuted(ANN, muted=True),
        api.EnterMix(ANN, OccurrenceId("s1.o1")),
        api.StopPrompts(ANN),
    ]
    bridge.keys("ann", "*2")
    assert bridge.shell.muted == set()


# --- D2: organizer and start --------------------------------------------------------------


def test_the_first_organizer_starts_the_session_and_everyone_joins() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.join("bob")
    bridge.advance(2 * MIN)
    bridge.organizer("olivia")
    assert bridge.story()[-5:] == [
        ("s1.o1", "organizer.joined", 120_000),
        ("s1.o1", "session.started", 120_000),
        ("olivia", "leg.joined", 120_000),
        ("ann", "leg.joined", 120_000),
        ("bob", "leg.joined", 120_000),
    ]
    occurrence = {"occurrence": "s1.o1", "session": "s1", "account": "acme"}
    assert bridge.facts("organizer.joined")[0].data == {**occurrence, "leg": "olivia"}
    assert bridge.facts("session.started")[0].data == {**occurrence, "by": "organizer"}
    assert [f.data["role"] for f in bridge.facts("leg.joined")] == [
        "organizer",
        "participant",
        "participant",
    ]
    assert bridge.mixed() == {"ann", "bob", "olivia"}
    assert all(bridge.hears(name) == () for name in ("ann", "bob", "olivia"))
    assert bridge.tones() == ["beep-in"]
    assert bridge.view("ann").joined_at == CONF0 + 120_000


def test_on_command_an_organizer_hosts_and_is_told_how_to_start() -> None:
    bridge = Bridge(on_command())
    bridge.join("ann")
    bridge.organizer("olivia")
    assert bridge.hears("olivia") == ("organizer-welcome", "start-hint")
    bridge.played("olivia")
    assert bridge.hears("olivia") == ("hold-music",)
    view = bridge.view("olivia")
    assert (view.state, view.role) == (LegState.WAITING, Role.ORGANIZER)
    assert bridge.facts("session.started") == []
    assert len(bridge.facts("organizer.joined")) == 1


@pytest.mark.parametrize("way", ["key", "order"])
def test_on_command_a_key_or_an_order_starts(way: str) -> None:
    bridge = Bridge(on_command())
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.advance(30 * S)
    if way == "key":
        bridge.keys("olivia", "*1")
    else:
        bridge.step(api.StartSession(SID, "dashboard"))
    (started,) = bridge.facts("session.started")
    assert started.data["by"] == ("organizer" if way == "key" else "dashboard")
    assert started.at == CONF0 + 30_000
    assert bridge.mixed() == {"ann", "olivia"}
    bridge.keys("olivia", "*1")
    assert len(bridge.facts("session.started")) == 1


def test_a_participant_cannot_start() -> None:
    bridge = Bridge(on_command())
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.keys("ann", "#*1")
    assert bridge.facts("session.started") == []


def test_a_start_by_order_is_refused_with_its_reason() -> None:
    bridge = Bridge(on_command())
    bridge.step(api.StartSession(SID, "api"))
    bridge.join("ann")
    bridge.step(api.StartSession(SID, "api"))
    bridge.organizer("olivia")
    bridge.step(api.StartSession(SID, "api"))
    bridge.step(api.StartSession(SID, "api"))
    bridge.step(api.StartSession(SessionId("s9"), "api"))
    bridge.step(api.CancelSession(SID, "api"))
    bridge.step(api.StartSession(SID, "api"))
    assert bridge.refusals() == [
        "no_organizer",
        "no_organizer",
        "already_started",
        "unknown_session",
        "session_cancelled",
    ]


def test_an_organizer_who_left_cannot_be_started_with() -> None:
    bridge = Bridge(on_command())
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.hang_up("olivia")
    bridge.step(api.StartSession(SID, "api"))
    assert bridge.refusals() == ["no_organizer"]


def test_a_second_organizer_is_fine() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.organizer("oscar")
    assert [f.data["leg"] for f in bridge.facts("organizer.joined")] == ["olivia", "oscar"]
    assert len(bridge.facts("session.started")) == 1
    assert [f.data["role"] for f in bridge.facts("leg.joined")] == ["organizer", "participant"]
    assert bridge.view("oscar").role is Role.ORGANIZER


def test_an_organizer_whose_pin_comes_late_changes_role_where_it_is() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.join("oscar")
    bridge.pause(60)
    before = len(bridge.facts())
    bridge.keys("oscar", f"*0{PIN}#")
    assert [fact.type for fact in bridge.facts()[before:]] == ["organizer.joined"]
    assert bridge.mixed() == {"olivia", "oscar"}
    bridge.keys("oscar", f"*0{PIN}#")
    assert len(bridge.facts("organizer.joined")) == 2


def test_a_policy_changed_while_hosting_counts_for_the_next_organizer() -> None:
    bridge = Bridge(on_command())
    bridge.organizer("olivia")
    bridge.step(api.PutSession(replace(SPEC, start=StartPolicy.ON_JOIN)))
    assert bridge.facts("session.started") == []
    bridge.organizer("oscar")
    assert bridge.mixed() == {"olivia", "oscar"}


# --- joining what is started --------------------------------------------------------------


def test_who_comes_after_the_start_joins_at_once_with_a_tone() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.advance(MIN)
    bridge.join("ann")
    assert bridge.state("ann") is LegState.JOINED
    assert bridge.view("ann").waiting_since is None
    assert bridge.story()[-1] == ("ann", "leg.joined", 60_000)
    assert bridge.tones() == ["beep-in", "beep-in"]
    assert bridge.hears("ann") == ()


def test_who_joins_a_started_conference_alone_is_told_so() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    assert "alone" not in bridge.prompts("olivia")
    bridge.hang_up("olivia")
    bridge.advance(MIN)
    bridge.join("ann")
    assert bridge.hears("ann") == ("alone",)
    bridge.played("ann")
    bridge.join("bob")
    assert "alone" not in bridge.prompts("bob")
    assert bridge.prompts("ann") == ["greeting", "alone"]


def test_who_is_being_sent_away_is_no_company() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.hang_up("olivia")
    bridge.join("bob", "GB")
    bridge.join("ann")
    assert bridge.state("bob") is LegState.LEAVING
    assert bridge.hears("ann") == ("alone",)


def test_a_key_stops_a_prompt_in_the_conference() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.hang_up("olivia")
    bridge.voip("ann", CODE)
    assert bridge.hears("ann") == ("alone",)
    bridge.keys("ann", "5")
    assert bridge.hears("ann") == ()
    assert bridge.effects.commands == (api.StopPrompts(ANN),)


def test_leaving_a_conference_is_heard_by_who_stays_only() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.join("ann")
    effects = bridge.step(api.LegHungUp(ANN, "remote_bye"))
    assert effects.commands == (
        api.LeaveMix(ANN),
        api.PlayToMix(OccurrenceId("s1.o1"), ("beep-out",)),
    )
    assert bridge.step(api.LegHungUp(OLIVIA, "remote_bye")).commands == (api.LeaveMix(OLIVIA),)


def test_tones_may_be_switched_off() -> None:
    bridge = Bridge(config=ConferenceConfig(entry=Entry.NOTHING))
    bridge.organizer("olivia")
    bridge.join("ann")
    bridge.hang_up("ann")
    assert bridge.tones() == []


def test_a_toll_leg_and_a_voip_leg_meet() -> None:
    bridge = Bridge()
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.join("ann", "FR", LegKind.TOLL)
    assert bridge.mixed() == {"ann", "olivia"}
