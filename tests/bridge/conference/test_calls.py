"""R14, D11: Call Me. The bridge dials; who presses 1 is let in; times are conference time."""

from dataclasses import replace

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegKind, LegState, Role
from bridge.conference.destinations import destination_of
from bridge.units import ConfMs, LegId, SessionId
from tests.bridge.conference.driver import (
    CONF0,
    MIN,
    PIN,
    PLAN,
    SID,
    SPEC,
    Bridge,
    S,
    on_command,
)

ANN = LegId("ann")
NUMBER = "+12125550111"
CONFIG = ConferenceConfig(call_me_countries=frozenset({"US", "FR"}))


def bridge_with(config: ConferenceConfig = CONFIG, *, started: bool = True) -> Bridge:
    bridge = Bridge(SPEC if started else on_command(), config)
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.notices.clear()
    return bridge


def call(bridge: Bridge, number: str = NUMBER, leg: LegId = ANN) -> None:
    bridge.step(api.CallMe(leg, SID, number, "Ann", "web"))


def ring(bridge: Bridge) -> None:
    """Call and let it ring."""
    call(bridge)
    bridge.step(api.LegReady(ANN))
    bridge.step(api.LegRinging(ANN))


def facts_of(bridge: Bridge) -> list[tuple[str, int]]:
    return [(name, at) for subject, name, at in bridge.story() if subject == "ann"]


def last(bridge: Bridge) -> dict[str, object]:
    return {"type": bridge.notices[-1].type, **bridge.notices[-1].data}


# --- the bills ----------------------------------------------------------------------------


def test_b10_rings_25_s_answered_40_s_without_pressing_1() -> None:
    bridge = bridge_with()
    ring(bridge)
    bridge.advance(25 * S)
    bridge.step(api.LegAnswered(ANN))
    bridge.advance(39_999)
    assert bridge.state("ann") is LegState.ASKED
    bridge.advance(MIN)
    assert facts_of(bridge) == [
        ("leg.answered", 25 * S),
        ("leg.identified", 25 * S),
        ("leg.left", 65 * S),
    ]
    assert bridge.left("ann") == ("not_accepted", 40 * S)
    assert ANN not in bridge.shell.mix
    assert last(bridge)["reason"] == "accept_timeout"


def test_b11_presses_1_after_5_s_and_stays_3_05_from_the_answer() -> None:
    bridge = bridge_with()
    ring(bridge)
    bridge.advance(20 * S)
    bridge.step(api.LegAnswered(ANN))
    assert bridge.hears("ann") == ("call-me",)
    bridge.advance(5 * S)
    bridge.keys("ann", "1")
    assert bridge.mixed() == {"ann", "olivia"}
    bridge.advance(180 * S)
    bridge.hang_up("ann")
    assert facts_of(bridge) == [
        ("leg.answered", 20 * S),
        ("leg.identified", 20 * S),
        ("leg.joined", 25 * S),
        ("leg.left", 205 * S),
    ]
    assert bridge.left("ann") == ("hung_up", 185_000)
    answered = next(fact for fact in bridge.facts("leg.answered") if fact.subject == "ann")
    assert answered.data == {
        "leg": "ann",
        "kind": "call_me",
        "country": "US",
        "did": NUMBER,
        "ani": NUMBER,
        "direction": "outbound",
    }


# --- ringing ------------------------------------------------------------------------------


def test_a_call_is_told_from_dialling_to_joining() -> None:
    bridge = bridge_with()
    ring(bridge)
    bridge.step(api.LegRinging(ANN))
    bridge.step(api.LegAnswered(ANN))
    bridge.keys("ann", "1")
    told = [n for n in bridge.notices if n.type.startswith("call_me.")]
    assert [n.type.removeprefix("call_me.") for n in told] == [
        "dialling",
        "ringing",
        "answered",
        "joined",
    ]
    assert {(n.leg, n.session, n.account) for n in told} == {(ANN, SID, "acme")}
    assert told[0].data == {
        "number": NUMBER,
        "name": "Ann",
        "attempt": 1,
        "by": "web",
        "reason": "order",
    }


def test_the_roster_shows_who_is_being_called() -> None:
    bridge = bridge_with()
    ring(bridge)
    view = bridge.view("ann")
    assert (view.state, view.session, view.display_name) == (LegState.DIALLED, SID, "Ann")
    assert (view.kind, view.country, view.ani) == (LegKind.CALL_ME, "US", NUMBER)
    assert facts_of(bridge) == []


@pytest.mark.parametrize(
    ("status", "outcome", "again"),
    [
        (486, "busy", True),
        (600, "busy", True),
        (480, "no_answer", True),
        (408, "no_answer", True),
        (603, "declined", False),
        (404, "failed", False),
        (None, "failed", False),
    ],
)
def test_what_comes_of_a_call_that_is_not_answered(
    status: int | None, outcome: str, again: bool
) -> None:
    bridge = bridge_with()
    ring(bridge)
    bridge.step(api.LegHungUp(ANN, "refused", status))
    assert last(bridge)["type"] == f"call_me.{outcome}"
    assert last(bridge)["again"] is again
    assert bridge.state("ann") is (LegState.RESTING if again else LegState.ENDED)
    assert facts_of(bridge) == []


def test_a_busy_number_is_tried_again_as_often_as_configured() -> None:
    bridge = bridge_with(replace(CONFIG, call_me_retries=2, call_me_retry_after_ms=30 * S))
    call(bridge)
    for attempt in (1, 2, 3):
        assert bridge.state("ann") is LegState.INVITED
        bridge.step(api.LegReady(ANN))
        bridge.step(api.LegRinging(ANN))
        bridge.step(api.LegHungUp(ANN, "refused", 486))
        assert (last(bridge)["attempt"], last(bridge)["again"]) == (attempt, attempt < 3)
        bridge.advance(30 * S)
    assert bridge.state("ann") is LegState.ENDED
    assert bridge.told("call_me.ringing") == [("call_me.ringing", ANN)] * 3
    bridge.advance(10 * MIN)
    assert [c for c in bridge.commands if isinstance(c, api.DialLeg)] == [
        api.DialLeg(ANN, NUMBER, "Ann")
    ] * 3


def test_ringing_is_timed_by_the_conference_clock() -> None:
    bridge = bridge_with(replace(CONFIG, call_me_retries=0))
    ring(bridge)
    bridge.pause(1_000)
    bridge.advance(44_999)
    assert bridge.state("ann") is LegState.DIALLED
    bridge.advance(1)
    assert bridge.state("ann") is LegState.ENDED
    assert api.CancelDial(ANN) in bridge.commands
    assert (last(bridge)["type"], last(bridge)["reason"]) == ("call_me.no_answer", "ring_timeout")
    effects = bridge.step(api.LegAnswered(ANN))
    assert (effects.facts, effects.commands) == ((), ())


def test_what_is_late_of_a_given_up_try_does_not_touch_the_next() -> None:
    bridge = bridge_with(replace(CONFIG, call_me_retry_after_ms=1))
    ring(bridge)
    bridge.advance(45 * S)
    assert bridge.state("ann") is LegState.RESTING
    bridge.step(api.LegHungUp(ANN, "local_bye"))
    bridge.advance(1)
    bridge.step(api.LegHungUp(ANN, "local_bye"))
    bridge.step(api.LegLost(ANN, ConfMs(CONF0)))
    assert bridge.state("ann") is LegState.INVITED
    bridge.step(api.LegReady(ANN))
    bridge.step(api.LegAnswered(ANN))
    assert bridge.state("ann") is LegState.ASKED


@pytest.mark.parametrize("far", ["media", "ringing"])
def test_a_call_that_cannot_be_made_fails(far: str) -> None:
    bridge = bridge_with()
    call(bridge)
    if far == "media":
        bridge.step(api.LegAbandoned(ANN))
    else:
        bridge.step(api.LegReady(ANN))
        bridge.step(api.LegLost(ANN, ConfMs(CONF0), cause="worker_lost"))
        assert api.CancelDial(ANN) in bridge.commands
    assert last(bridge)["type"] == "call_me.failed"
    assert bridge.state("ann") is LegState.ENDED


@pytest.mark.parametrize("far", ["media", "ringing", "resting"])
@pytest.mark.parametrize("order", [api.EndSession(SID, "web"), api.CancelSession(SID, "web")])
def test_calls_are_given_up_with_their_session(far: str, order: api.ConferenceEvent) -> None:
    bridge = bridge_with()
    call(bridge)
    if far != "media":
        bridge.step(api.LegReady(ANN))
    if far == "resting":
        bridge.step(api.LegHungUp(ANN, "refused", 486))
    bridge.step(order)
    assert bridge.state("ann") is LegState.ENDED
    assert (api.CancelDial(ANN) in bridge.commands) is (far != "resting")
    assert bridge.effects.deadline_conf is None


def test_a_call_may_be_given_up_by_order() -> None:
    bridge = bridge_with()
    ring(bridge)
    bridge.step(api.KickLeg(ANN, "web"))
    assert bridge.effects.commands == (api.CancelDial(ANN),)
    assert facts_of(bridge) == []


# --- acceptance ---------------------------------------------------------------------------


def test_an_answering_machine_never_joins() -> None:
    bridge = bridge_with()
    ring(bridge)
    bridge.step(api.LegAnswered(ANN))
    bridge.played("ann")
    bridge.keys("ann", "234567890*#")
    assert bridge.hears("ann") == ("call-me",)
    assert bridge.prompts("ann") == ["call-me", "call-me"]
    assert ANN not in bridge.shell.mix
    bridge.step(api.LegPlayed(ANN, 1))
    assert bridge.prompts("ann") == ["call-me", "call-me"], "that play was replaced"


def test_who_hangs_up_instead_of_accepting_has_not_accepted() -> None:
    bridge = bridge_with()
    ring(bridge)
    bridge.step(api.LegAnswered(ANN))
    bridge.advance(3 * S)
    bridge.hang_up("ann")
    assert bridge.left("ann") == ("not_accepted", 3 * S)
    assert (last(bridge)["type"], last(bridge)["reason"]) == ("call_me.declined", "hung_up")
    assert not bridge.told("call_me.joined")


def test_before_the_start_a_called_leg_waits_as_any_other() -> None:
    bridge = bridge_with(started=False)
    ring(bridge)
    bridge.step(api.LegAnswered(ANN))
    bridge.keys("ann", "1")
    assert bridge.state("ann") is LegState.WAITING
    bridge.keys("ann", f"*0{PIN}#*1")
    assert bridge.view("ann").role is Role.ORGANIZER
    assert bridge.state("ann") is LegState.JOINED


def test_a_call_may_open_the_occurrence() -> None:
    bridge = Bridge(SPEC, CONFIG)
    ring(bridge)
    assert bridge.core.occurrences() == ()
    bridge.step(api.LegAnswered(ANN))
    (view,) = bridge.core.occurrences()
    assert view.participants == 0
    bridge.keys("ann", "1")
    assert bridge.state("ann") is LegState.WAITING


@pytest.mark.parametrize("reason", ["locked", "full"])
def test_who_accepts_too_late_is_told_so(reason: str) -> None:
    bridge = bridge_with(replace(CONFIG, participants_max=2))
    ring(bridge)
    bridge.step(api.LegAnswered(ANN))
    if reason == "locked":
        bridge.step(api.LockSession(SID, locked=True, by="web"))
    else:
        bridge.voip("bob")
    bridge.keys("ann", "1")
    assert bridge.hears("ann") == (reason,)
    bridge.played("ann")
    assert bridge.left("ann")[0] == reason


def test_a_called_leg_that_was_moved_is_no_call_any_more() -> None:
    bridge = bridge_with()
    team = replace(SPEC, id=SessionId("s2"), access_code="555000")
    bridge.step(api.PutSession(team))
    ring(bridge)
    bridge.step(api.LegAnswered(ANN))
    bridge.keys("ann", "1")
    bridge.step(api.MoveLeg(ANN, team.id, "web"))
    bridge.step(api.EndSession(SID, "web"))
    assert bridge.state("ann") is LegState.WAITING


# --- whom the bridge may call ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (NUMBER, ""),
        ("+33142685300", ""),
        ("+33 6 12 34 56 78", ""),
        ("+19002345678", "premium_number"),
        ("+33891123456", "premium_number"),
        ("+4930123456", "country_not_allowed"),
        ("+18002345678", "number_not_allowed"),
        ("+870773111632", "country_not_allowed"),
        ("2125550111", "bad_number"),
        ("+1212", "bad_number"),
        ("join", "bad_number"),
        ("", "bad_number"),
    ],
)
def test_only_phones_in_allowed_countries_are_called(number: str, fault: str) -> None:
    bridge = bridge_with()
    call(bridge, number)
    assert bridge.refusals() == ([fault] if fault else [])
    assert (bridge.state("ann") is LegState.ENDED) is bool(fault)


def test_the_bridge_does_not_call_itself() -> None:
    own = PLAN.did("US", LegKind.TOLL)
    assert own is not None
    assert destination_of(own.e164, {"US"}, PLAN).fault == "number_not_allowed"


def test_calls_that_cannot_be() -> None:

    bridge = bridge_with(replace(CONFIG, participants_max=2))
    call(bridge)
    call(bridge)
    bridge.step(api.CallMe(LegId("x"), SessionId("s9"), NUMBER, "", "web"))
    bridge.step(api.LockSession(SID, locked=True, by="web"))
    call(bridge, leg=LegId("bob"))
    bridge.step(api.LockSession(SID, locked=False, by="web"))
    bridge.voip("cid")
    call(bridge, leg=LegId("bob"))
    late = replace(SPEC, id=SessionId("s4"), access_code="555222", opens=ConfMs(CONF0 + MIN))
    bridge.step(api.PutSession(late))
    bridge.step(api.CallMe(LegId("x"), late.id, NUMBER, "", "web"))
    assert bridge.refusals() == [
        "leg_in_use",
        "unknown_session",
        "locked",
        "full",
        "session_closed",
    ]
    off = Bridge(SPEC)
    call(off)
    assert off.refusals() == ["call_me_off"]


def test_one_of_two_calls_may_be_given_up() -> None:
    bridge = bridge_with()
    call(bridge)
    call(bridge, leg=LegId("bob"))
    bridge.step(api.KickLeg(ANN, "web"))
    assert bridge.state("bob") is LegState.INVITED
    bridge.step(api.EndSession(SID, "web"))
    assert bridge.state("bob") is LegState.ENDED
