"""How legs leave and occurrences end: D6, D12, D17, cancel, end, windows."""

from dataclasses import replace

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegKind, LegState, Role
from bridge.units import ConfMs, LegId, OccurrenceId, SessionId
from tests.bridge.conference.driver import CONF0, MIN, PIN, SID, SPEC, Bridge, S, on_command

ANN, OLIVIA = LegId("ann"), LegId("olivia")


def started(config: ConferenceConfig | None = None) -> Bridge:
    """An organizer on VoIP and a toll-free participant, ten minutes into the conference."""
    bridge = Bridge(config=config)
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.join("ann")
    bridge.advance(10 * MIN)
    return bridge


# --- D6: occurrences ----------------------------------------------------------------------


def test_an_occurrence_closes_after_thirty_empty_minutes() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.advance(MIN)
    bridge.hang_up("ann")
    bridge.advance(30 * MIN - 1)
    assert bridge.facts("session.ended") == []
    bridge.advance(1)
    (ended,) = bridge.facts("session.ended")
    assert ended.at == CONF0 + 31 * MIN
    assert (ended.data["reason"], ended.data["started"]) == ("room_empty", False)
    assert bridge.effects.deadline_conf is None
    bridge.join("bob")
    assert bridge.view("bob").occurrence == "s1.o2"


def test_who_comes_back_within_thirty_minutes_finds_the_same_occurrence() -> None:
    bridge = started()
    bridge.hang_up("ann")
    bridge.hang_up("olivia")
    bridge.advance(29 * MIN)
    bridge.join("bob")
    assert bridge.view("bob").occurrence == "s1.o1"
    assert bridge.state("bob") is LegState.JOINED
    bridge.advance(29 * MIN)
    bridge.hang_up("bob")
    bridge.advance(2 * MIN - 1)
    assert bridge.facts("session.ended") == []


def test_an_empty_occurrence_may_close_at_once() -> None:
    bridge = Bridge(config=ConferenceConfig(empty_close_ms=0))
    bridge.join("ann")
    bridge.hang_up("ann")
    assert [fact.type for fact in bridge.facts()][-2:] == ["leg.left", "session.ended"]
    bridge.join("bob")
    assert bridge.view("bob").occurrence == "s1.o2"


def test_a_leg_that_was_never_let_in_keeps_the_occurrence_open_while_it_is_there() -> None:
    bridge = Bridge()
    bridge.join("ann", "GB")
    bridge.advance(40 * MIN)
    assert bridge.facts("session.ended") == []
    bridge.pause(15)
    assert bridge.left("ann") == ("not_offered", 40 * MIN)
    bridge.advance(30 * MIN)
    assert bridge.facts("session.ended")[0].at == CONF0 + 70 * MIN


# --- end and cancel -----------------------------------------------------------------------


def test_end_lets_every_leg_leave_then_ends_the_session() -> None:
    bridge = started()
    bridge.step(api.EndSession(SID, "olivia"))
    assert bridge.story()[-3:] == [
        ("olivia", "leg.left", 600_000),
        ("ann", "leg.left", 600_000),
        ("s1.o1", "session.ended", 600_000),
    ]
    assert bridge.left("ann") == bridge.left("olivia") == ("session_ended", 600_000)
    ended = bridge.facts("session.ended")[0].data
    assert (ended["reason"], ended["started"]) == ("organizer", True)
    assert bridge.effects.commands == (
        api.LeaveMix(OLIVIA),
        api.HangUpLeg(OLIVIA, "session_ended"),
        api.LeaveMix(ANN),
        api.HangUpLeg(ANN, "session_ended"),
    )
    assert bridge.effects.deadline_conf is None


def test_a_room_may_be_used_again_after_its_end() -> None:
    bridge = started()
    bridge.step(api.EndSession(SID, "api"))
    bridge.join("bob")
    assert bridge.state("bob") is LegState.WAITING
    assert bridge.view("bob").occurrence == "s1.o2"


def test_end_of_what_never_started() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.step(api.EndSession(SID, "api"))
    assert bridge.left("ann") == ("session_ended", 0)
    assert bridge.facts("session.ended")[0].data["started"] is False


def test_end_is_refused_where_nothing_is_open() -> None:
    bridge = Bridge()
    bridge.step(api.EndSession(SID, "api"))
    bridge.step(api.EndSession(SessionId("s9"), "api"))
    assert bridge.refusals() == ["not_open", "unknown_session"]


def test_cancel_sends_who_waits_away() -> None:
    bridge = Bridge(on_command())
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.advance(MIN)
    bridge.step(api.CancelSession(SID, "olivia"))
    assert bridge.story()[-3:] == [
        ("ann", "leg.left", 60_000),
        ("olivia", "leg.left", 60_000),
        ("s1.o1", "session.cancelled", 60_000),
    ]
    assert bridge.left("ann") == ("session_cancelled", 60_000)
    assert bridge.facts("session.cancelled")[0].data == {
        "occurrence": "s1.o1",
        "session": "s1",
        "account": "acme",
        "by": "olivia",
    }
    assert bridge.facts("session.ended") == []


def test_cancel_of_what_started_ends_it_first() -> None:
    bridge = started()
    bridge.step(api.CancelSession(SID, "api"))
    assert [fact.type for fact in bridge.facts()][-4:] == [
        "leg.left",
        "leg.left",
        "session.ended",
        "session.cancelled",
    ]
    assert bridge.facts("session.ended")[0].data["reason"] == "cancelled"
    assert bridge.mixed() == set()


def test_cancel_without_an_occurrence_has_one_for_its_fact() -> None:
    bridge = Bridge()
    effects = bridge.step(api.CancelSession(SID, "api"))
    (fact,) = effects.facts
    assert (fact.id, fact.type, fact.subject) == ("s1.o1/1", "session.cancelled", "s1.o1")
    assert effects.deadline_conf is None


def test_cancel_after_everybody_left_is_of_the_same_occurrence() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.hang_up("ann")
    bridge.advance(10 * MIN)
    bridge.step(api.CancelSession(SID, "api"))
    assert bridge.facts("session.cancelled")[0].subject == "s1.o1"
    bridge.advance(60 * MIN)
    assert bridge.facts("session.ended") == []


def test_a_cancelled_session_is_unknown_to_callers_and_orders() -> None:
    bridge = Bridge()
    bridge.step(api.CancelSession(SID, "api"))
    assert bridge.core.sessions() == ()
    bridge.join("ann")
    assert bridge.hears("ann") == ("bad-code",)
    for order in (
        api.CancelSession(SID, "api"),
        api.EndSession(SID, "api"),
        api.PutSession(SPEC),
        api.CancelSession(SessionId("s9"), "api"),
    ):
        bridge.step(order)
    assert bridge.refusals() == [*["session_cancelled"] * 3, "unknown_session"]


def test_a_leg_that_hears_why_it_must_go_goes_for_that_reason_when_all_end() -> None:
    bridge = Bridge()
    bridge.join("ann", "GB")
    bridge.step(api.EndSession(SID, "api"))
    assert bridge.left("ann") == ("not_offered", 0)
    assert bridge.effects.commands == (api.HangUpLeg(ANN, "not_offered"),)
    assert bridge.effects.deadline_ns is None


# --- windows ------------------------------------------------------------------------------

WINDOW = replace(SPEC, opens=CONF0, closes=ConfMs(CONF0 + 60 * MIN))


def test_at_the_end_of_its_window_everyone_leaves() -> None:
    bridge = Bridge(WINDOW)
    bridge.organizer("olivia")
    bridge.join("ann")
    bridge.advance(2 * 60 * MIN)
    assert bridge.left("ann") == ("session_ended", 60 * MIN)
    assert bridge.story()[-1] == ("s1.o1", "session.ended", 60 * MIN)
    ended = bridge.facts("session.ended")[0].data
    assert (ended["reason"], ended["started"]) == ("window_closed", True)


def test_a_session_with_a_window_has_one_occurrence_until_its_end() -> None:
    """D4: its outcome is final when the window closes; only standing rooms end by emptiness."""
    bridge = Bridge(WINDOW)
    bridge.join("ann")
    bridge.hang_up("ann")
    bridge.advance(50 * MIN)
    bridge.organizer("olivia")
    assert bridge.view("olivia").occurrence == "s1.o1"
    bridge.hang_up("olivia")
    bridge.advance(10 * MIN)
    assert [f.data["reason"] for f in bridge.facts("session.ended")] == ["window_closed"]


def test_a_window_may_be_moved_while_people_are_there() -> None:
    bridge = Bridge(WINDOW)
    bridge.organizer("olivia")
    bridge.step(api.PutSession(replace(WINDOW, closes=ConfMs(CONF0 + 90 * MIN))))
    bridge.advance(90 * MIN - 1)
    assert bridge.state("olivia") is LegState.JOINED
    bridge.advance(1)
    assert bridge.left("olivia") == ("session_ended", 90 * MIN)


def test_a_window_moved_into_the_past_closes_now() -> None:
    bridge = Bridge(WINDOW)
    bridge.organizer("olivia")
    bridge.advance(10 * MIN)
    effects = bridge.step(
        api.PutSession(replace(WINDOW, opens=None, closes=ConfMs(CONF0 + 5 * MIN)))
    )
    assert [fact.type for fact in effects.facts] == ["leg.left", "session.ended"]
    assert bridge.left("olivia") == ("session_ended", 10 * MIN)


def test_a_window_that_closes_after_the_organizer_ended_the_session_ends_nothing_more() -> None:
    bridge = Bridge(WINDOW)
    bridge.organizer("olivia")
    bridge.step(api.EndSession(SID, "olivia"))
    assert bridge.effects.deadline_conf is None
    bridge.advance(61 * MIN)
    assert len(bridge.facts("session.ended")) == 1


def test_a_window_taken_away_lets_who_is_there_stay() -> None:
    bridge = Bridge(WINDOW)
    bridge.organizer("olivia")
    bridge.step(api.PutSession(SPEC))
    bridge.advance(61 * MIN)
    assert bridge.state("olivia") is LegState.JOINED


def test_a_window_taken_away_makes_a_standing_room() -> None:
    bridge = Bridge(WINDOW)
    bridge.join("ann")
    bridge.hang_up("ann")
    bridge.advance(10 * MIN)
    bridge.step(api.PutSession(SPEC))
    bridge.advance(20 * MIN)
    (ended,) = bridge.facts("session.ended")
    assert (ended.data["reason"], ended.at) == ("room_empty", CONF0 + 30 * MIN)


# --- D17: the organizer is gone -----------------------------------------------------------


def test_a_conference_goes_on_for_an_hour_without_its_organizer() -> None:
    bridge = started()
    bridge.hang_up("olivia")
    bridge.advance(59 * MIN - 1)
    assert "continue-warning" not in bridge.tones()
    bridge.advance(1)
    assert bridge.tones()[-1] == "continue-warning"
    bridge.advance(MIN - 1)
    assert bridge.state("ann") is LegState.JOINED
    bridge.advance(1)
    assert bridge.left("ann") == ("organizer_gone", 70 * MIN)
    assert bridge.story()[-2:] == [
        ("ann", "leg.left", 70 * MIN),
        ("s1.o1", "session.ended", 70 * MIN),
    ]
    ended = bridge.facts("session.ended")[0].data
    assert (ended["reason"], ended["started"]) == ("organizer_gone", True)


@pytest.mark.parametrize("minutes", [30, 59.5])
def test_an_organizer_who_comes_back_keeps_it_going(minutes: float) -> None:
    bridge = started()
    bridge.hang_up("olivia")
    bridge.advance(round(minutes * MIN))
    bridge.organizer("oscar")
    bridge.advance(3 * 60 * MIN)
    assert bridge.state("ann") is LegState.JOINED
    bridge.hang_up("oscar")
    bridge.advance(60 * MIN)
    assert bridge.left("ann")[0] == "organizer_gone"
    assert bridge.tones().count("continue-warning") == (2 if minutes > 59 else 1)


def test_one_of_two_organizers_may_leave() -> None:
    bridge = started()
    bridge.organizer("oscar")
    bridge.hang_up("olivia")
    bridge.advance(2 * 60 * MIN)
    assert bridge.state("ann") is LegState.JOINED


def test_a_conference_may_end_at_once_with_its_organizer() -> None:
    bridge = started(ConferenceConfig(organizer_gone_ms=0))
    bridge.hang_up("olivia")
    assert [(f.subject, f.type) for f in bridge.facts()][-3:] == [
        ("olivia", "leg.left"),
        ("ann", "leg.left"),
        ("s1.o1", "session.ended"),
    ]
    assert bridge.left("ann") == ("organizer_gone", 600_000)
    assert bridge.left("olivia") == ("hung_up", 600_000)


@pytest.mark.parametrize("gone_ms", [0, 60 * MIN])
def test_hash_2_lets_the_organizer_leave_and_the_conference_goes_on(gone_ms: int) -> None:
    bridge = started(ConferenceConfig(organizer_gone_ms=gone_ms))
    bridge.keys("olivia", "#2")
    assert bridge.left("olivia") == ("hung_up", 600_000)
    assert api.HangUpLeg(OLIVIA, "hung_up") in bridge.commands
    bridge.advance(60 * MIN - 1)
    assert bridge.state("ann") is LegState.JOINED
    bridge.advance(1)
    assert bridge.left("ann") == ("organizer_gone", 70 * MIN)


@pytest.mark.parametrize("warning_ms", [0, 5 * MIN, 6 * MIN])
def test_no_warning_when_none_fits(warning_ms: int) -> None:
    config = ConferenceConfig(organizer_gone_ms=5 * MIN, organizer_gone_warning_ms=warning_ms)
    bridge = started(config)
    bridge.hang_up("olivia")
    bridge.advance(5 * MIN)
    assert bridge.left("ann") == ("organizer_gone", 15 * MIN)
    assert "continue-warning" not in bridge.tones()


def test_a_warning_is_not_played_to_nobody() -> None:
    bridge = Bridge(config=ConferenceConfig(organizer_gone_ms=5 * MIN))
    bridge.organizer("olivia")
    bridge.hang_up("olivia")
    bridge.advance(10 * MIN)
    assert bridge.facts("session.ended")[0].data["reason"] == "organizer_gone"
    assert bridge.facts("session.ended")[0].at == CONF0 + 5 * MIN
    assert "continue-warning" not in bridge.tones()


def test_an_empty_room_closes_before_the_hour_without_organizer() -> None:
    bridge = started()
    bridge.hang_up("olivia")
    bridge.hang_up("ann")
    bridge.advance(60 * MIN)
    (ended,) = bridge.facts("session.ended")
    assert (ended.data["reason"], ended.at) == ("room_empty", CONF0 + 40 * MIN)


@pytest.mark.parametrize("way", ["hang up", "key"])
def test_an_organizer_who_leaves_before_the_start_ends_nothing(way: str) -> None:
    config = ConferenceConfig(organizer_gone_ms=0, waiting_timeout_ms=0)
    bridge = Bridge(on_command(), config=config)
    bridge.join("ann")
    bridge.organizer("olivia")
    if way == "key":
        bridge.keys("olivia", "#2")
    else:
        bridge.hang_up("olivia")
    assert bridge.left("olivia") == ("hung_up", 0)
    bridge.advance(3 * 60 * MIN)
    assert bridge.state("ann") is LegState.WAITING


def test_a_kicked_organizer_is_gone_too() -> None:
    bridge = started(ConferenceConfig(organizer_gone_ms=0))
    bridge.step(api.KickLeg(OLIVIA, "api"))
    assert bridge.left("olivia") == ("kicked", 600_000)
    assert bridge.left("ann") == ("organizer_gone", 600_000)


# --- D12: lost legs -----------------------------------------------------------------------


def test_a_lost_leg_left_at_its_last_packet() -> None:
    bridge = started()
    bridge.advance(30 * S)
    effects = bridge.step(api.LegLost(ANN, ConfMs(CONF0 + 600_123)))
    (fact,) = effects.facts
    assert (fact.type, fact.at) == ("leg.left", CONF0 + 600_123)
    assert bridge.left("ann") == ("rtp_timeout", 600_123)
    assert effects.commands == (
        api.LeaveMix(ANN),
        api.HangUpLeg(ANN, "rtp_timeout"),
        api.PlayToMix(OccurrenceId("s1.o1"), ("beep-out",)),
    )


def test_a_lost_leg_has_no_negative_duration() -> None:
    bridge = Bridge()
    bridge.advance(MIN)
    bridge.join("ann")
    bridge.advance(30 * S)
    bridge.step(api.LegLost(ANN, CONF0))
    assert bridge.left("ann") == ("rtp_timeout", 0)
    assert bridge.facts("leg.left")[0].at == CONF0 + MIN


def test_a_lost_leg_is_not_billed_beyond_now() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.advance(30 * S)
    bridge.step(api.LegLost(ANN, ConfMs(CONF0 + MIN), "worker_lost"))
    assert bridge.left("ann") == ("worker_lost", 30_000)


def test_a_lost_organizer_is_gone_from_the_noticing_on() -> None:
    bridge = started()
    bridge.advance(30 * S)
    bridge.step(api.LegLost(OLIVIA, ConfMs(CONF0 + 600_000)))
    bridge.advance(60 * MIN)
    assert bridge.left("ann") == ("organizer_gone", 600_000 + 30_000 + 60 * MIN)


# --- kick ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("prompted", "kicked"),
        ("waiting", "kicked"),
        ("joined", "kicked"),
        ("leaving", "wrong_code"),
    ],
)
def test_kick_ends_a_leg_wherever_it_is(stage: str, reason: str) -> None:
    bridge = Bridge()
    bridge.dial("ann")
    keys = {"waiting": "482913#", "joined": f"482913#*{PIN}#", "leaving": "1#2#3#"}
    bridge.keys("ann", keys.get(stage, ""))
    bridge.step(api.KickLeg(ANN, "api"))
    assert bridge.left("ann") == (reason, 0)
    assert bridge.effects.commands[-1] == api.HangUpLeg(ANN, reason)
    bridge.step(api.KickLeg(ANN, "api"))
    assert bridge.refusals() == ["unknown_leg"]


def test_kick_before_the_answer_refuses_the_call() -> None:
    bridge = Bridge()
    bridge.invite("ann")
    effects = bridge.step(api.KickLeg(ANN, "api"))
    assert effects.commands == (api.RefuseLeg(ANN, 480, "Temporarily Unavailable"),)
    assert effects.facts == ()


def test_roles_of_who_left_do_not_stay() -> None:
    bridge = started()
    bridge.hang_up("olivia")
    bridge.join("olivia2", kind=LegKind.VOIP)
    assert bridge.view("olivia2").role is Role.PARTICIPANT
