"""From the INVITE to the access code: who may dial what, and three tries for the code."""

from dataclasses import replace

import pytest

from bridge.conference import admission, api
from bridge.conference.api import (
    ConferenceConfig,
    LegKind,
    LegState,
    SessionSpec,
)
from bridge.conference.legs import TYPE_AHEAD_MAX
from bridge.units import ConfMs, LegId, SessionId
from tests.bridge.conference.driver import (
    CODE,
    CONF0,
    MIN,
    PIN,
    PLAN,
    SID,
    SPEC,
    Bridge,
)

ANN = LegId("ann")
US = "+18002345678"


def invite(bridge: Bridge, user: str, trunk: str | None = None) -> object:
    (command,) = bridge.step(api.LegInvited(ANN, user, "+12125550111", trunk)).commands
    return command


# --- what may be dialled ------------------------------------------------------------------


def test_a_number_from_a_trunk_is_a_leg_of_its_kind_and_country() -> None:
    bridge = Bridge()
    assert invite(bridge, US, "carrier") == api.OpenMedia(ANN)
    view = bridge.view("ann")
    assert (view.kind, view.country, view.ani) == (LegKind.TOLL_FREE, "US", "+12125550111")
    assert (view.state, view.answered_at) == (LegState.INVITED, None)


def test_a_number_from_elsewhere_is_forbidden() -> None:
    assert invite(Bridge(), US) == api.RefuseLeg(ANN, 403, "Forbidden")


@pytest.mark.parametrize("user", ["", "999999", "JOIN2", f"{CODE}1", "+15005550000", "*", "j%6fin"])
@pytest.mark.parametrize("trunk", [None, "carrier"])
def test_anything_else_is_not_found(user: str, trunk: str | None) -> None:
    bridge = Bridge()
    assert invite(bridge, user, trunk) == api.RefuseLeg(ANN, 404, "Not Found")
    assert bridge.core.roster() == ()


@pytest.mark.parametrize("user", ["join", "Join", CODE])
@pytest.mark.parametrize("trunk", [None, "carrier"])
def test_join_and_an_access_code_are_voip(user: str, trunk: str | None) -> None:
    bridge = Bridge()
    assert invite(bridge, user, trunk) == api.OpenMedia(ANN)
    assert bridge.view("ann").kind is LegKind.VOIP


def test_there_is_a_limit_of_legs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "LEGS_MAX", 1)
    bridge = Bridge()
    bridge.invite("bob")
    assert invite(bridge, "join") == api.RefuseLeg(ANN, 503, "Service Unavailable")


# --- answer -------------------------------------------------------------------------------


def test_the_answer_is_a_fact_with_all_that_billing_needs() -> None:
    bridge = Bridge()
    invite(bridge, US, "carrier")
    bridge.advance(250)
    effects = bridge.step(api.LegReady(ANN))
    assert effects.commands == (api.AnswerLeg(ANN),)
    (fact,) = effects.facts
    assert (fact.id, fact.type, fact.at) == ("ann/1", "leg.answered", CONF0 + 250)
    assert fact.data == {
        "leg": "ann",
        "kind": "toll_free",
        "country": "US",
        "did": US,
        "ani": "+12125550111",
        "direction": "inbound",
    }


def test_the_facts_of_a_voip_leg_do_not_tell_its_code() -> None:
    bridge = Bridge()
    bridge.voip("ann")
    bridge.hang_up("ann")
    assert all(CODE not in str(fact) for fact in bridge.facts())


def test_a_call_cancelled_before_the_answer_leaves_nothing() -> None:
    bridge = Bridge()
    invite(bridge, US, "carrier")
    effects = bridge.step(api.LegHungUp(ANN, "cancelled"))
    assert (effects.facts, effects.commands) == ((), ())
    assert bridge.core.roster() == ()
    effects = bridge.step(api.LegReady(ANN))
    assert (effects.facts, effects.commands) == ((), ())


@pytest.mark.parametrize("ready", [False, True], ids=["no port", "fact not written"])
def test_a_leg_that_could_not_be_answered_is_forgotten(ready: bool) -> None:
    bridge = Bridge()
    invite(bridge, US, "carrier")
    if ready:
        bridge.step(api.LegReady(ANN))
    effects = bridge.step(api.LegAbandoned(ANN))
    assert (effects.facts, effects.commands) == ((), ())
    assert bridge.core.roster() == ()


def test_a_worker_lost_before_the_answer_refuses_the_call() -> None:
    bridge = Bridge()
    invite(bridge, US, "carrier")
    effects = bridge.step(api.LegLost(ANN, CONF0, "worker_lost"))
    assert effects.commands == (api.RefuseLeg(ANN, 503, "Service Unavailable"),)
    assert effects.facts == ()


def test_a_missing_ack_is_its_own_reason() -> None:
    bridge = Bridge()
    invite(bridge, US, "carrier")
    bridge.step(api.LegReady(ANN))
    bridge.advance(32_000)
    effects = bridge.step(api.LegHungUp(ANN, "no_ack"))
    assert bridge.left("ann") == ("no_ack", 32_000)
    assert effects.commands == ()
    data = bridge.facts("leg.left")[0].data
    assert [data[key] for key in ("session", "account", "occurrence")] == [None, None, None]


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("remote_bye", "hung_up"),
        ("cancelled", "hung_up"),
        ("bad_answer", "hung_up"),
        ("session_expired", "session_expired"),
        ("worker_lost", "worker_lost"),
    ],
)
def test_the_causes_of_sip_become_reasons_of_facts(cause: str, reason: str) -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.step(api.LegHungUp(ANN, cause))
    assert bridge.left("ann") == (reason, 0)


# --- the code -----------------------------------------------------------------------------


def test_a_caller_is_greeted_once_the_ack_came() -> None:
    bridge = Bridge()
    invite(bridge, US, "carrier")
    bridge.step(api.LegReady(ANN))
    assert bridge.hears("ann") == ()
    bridge.step(api.LegConfirmed(ANN))
    assert bridge.hears("ann") == ("greeting",)
    assert bridge.state("ann") is LegState.PROMPTED


def test_the_first_key_stops_the_prompt() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    assert bridge.step(api.LegKey(ANN, "4")).commands == (api.StopPrompts(ANN),)
    assert bridge.step(api.LegKey(ANN, "8")).commands == ()


def test_a_prompt_that_is_over_needs_no_stop() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.played("ann")
    assert bridge.step(api.LegKey(ANN, "4")).commands == ()


def test_the_right_code_identifies_and_lets_in_at_once() -> None:
    bridge = Bridge()
    bridge.join("ann")
    assert [fact.type for fact in bridge.facts()] == [
        "leg.answered",
        "leg.identified",
        "leg.waiting",
    ]
    membership = {"leg": "ann", "session": "s1", "account": "acme", "occurrence": "s1.o1"}
    assert [fact.data for fact in bridge.facts()[1:]] == [membership, membership]


def test_a_code_keyed_before_the_ack_counts() -> None:
    bridge = Bridge()
    invite(bridge, US, "carrier")
    bridge.step(api.LegReady(ANN))
    bridge.keys("ann", f"{CODE}#*{PIN}#*2")
    assert bridge.state("ann") is LegState.ANSWERED
    bridge.step(api.LegConfirmed(ANN))
    assert bridge.state("ann") is LegState.JOINED
    assert bridge.view("ann").role is api.Role.ORGANIZER
    assert bridge.view("ann").muted


def test_type_ahead_has_a_limit() -> None:
    bridge = Bridge()
    invite(bridge, US, "carrier")
    bridge.step(api.LegReady(ANN))
    bridge.keys("ann", "*" * TYPE_AHEAD_MAX + f"{CODE}#")
    bridge.step(api.LegConfirmed(ANN))
    assert bridge.state("ann") is LegState.PROMPTED
    bridge.keys("ann", f"{CODE}#")
    assert bridge.state("ann") is LegState.WAITING


def test_keys_ahead_of_a_leg_that_is_sent_away_are_dropped() -> None:
    bridge = Bridge()
    invite(bridge, US, "carrier")
    bridge.step(api.LegReady(ANN))
    bridge.keys("ann", f"1#2#3#{CODE}#")
    bridge.step(api.LegConfirmed(ANN))
    assert bridge.state("ann") is LegState.LEAVING


def test_code_and_pin_may_be_keyed_in_one_go() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.keys("ann", f"{CODE}#*{PIN}#")
    assert bridge.state("ann") is LegState.JOINED


def test_three_wrong_codes_end_the_leg_after_a_prompt() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    for attempt in ("111111#", "#"):
        bridge.keys("ann", attempt)
        assert bridge.hears("ann") == ("bad-code",)
        assert bridge.state("ann") is LegState.PROMPTED
    bridge.keys("ann", "*482914#")
    assert bridge.hears("ann") == ("too-many-tries",)
    assert bridge.state("ann") is LegState.LEAVING
    assert bridge.facts("leg.left") == []
    bridge.advance(4_000)
    bridge.keys("ann", f"{CODE}#")
    bridge.played("ann")
    assert bridge.left("ann") == ("wrong_code", 4_000)
    assert bridge.effects.commands == (api.HangUpLeg(ANN, "wrong_code"),)
    assert bridge.core.roster() == ()
    assert bridge.effects.deadline_ns is None


def test_a_last_prompt_that_is_never_reported_over_is_over_after_a_time() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.keys("ann", "1#2#3#")
    bridge.pause(14.9)
    assert bridge.state("ann") is LegState.LEAVING
    bridge.pause(0.1)
    assert bridge.left("ann") == ("wrong_code", 0)


def test_who_hangs_up_during_the_last_prompt_left_for_its_reason() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.keys("ann", "1#2#3#")
    bridge.advance(1_000)
    bridge.hang_up("ann")
    assert bridge.left("ann") == ("wrong_code", 1_000)
    assert bridge.effects.commands == ()
    bridge.pause(20)
    assert len(bridge.facts("leg.left")) == 1


def test_who_is_lost_during_the_last_prompt_left_for_its_reason() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.keys("ann", "1#2#3#")
    bridge.advance(1_000)
    bridge.step(api.LegLost(ANN, ConfMs(CONF0 + 400)))
    assert bridge.left("ann") == ("wrong_code", 400)


def test_a_stale_token_does_not_end_the_last_prompt() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    greeting = bridge.shell.tokens[ANN]
    bridge.keys("ann", "1#2#3#")
    bridge.step(api.LegPlayed(ANN, greeting))
    assert bridge.state("ann") is LegState.LEAVING


def test_silence_is_a_try_and_ends_as_no_code() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    for _ in range(2):
        bridge.pause(19.9)
        before = len(bridge.prompts("ann"))
        bridge.pause(0.1)
        assert bridge.prompts("ann")[before:] == ["greeting"]
    bridge.pause(20)
    assert bridge.hears("ann") == ("no-code",)
    bridge.played("ann")
    assert bridge.left("ann") == ("no_code", 0)


def test_the_time_for_the_first_key_is_counted_from_the_end_of_the_prompt() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.pause(6)
    bridge.played("ann")
    bridge.pause(19.9)
    assert bridge.prompts("ann") == ["greeting"]
    bridge.pause(0.1)
    assert bridge.prompts("ann") == ["greeting", "greeting"]


def test_a_code_without_its_hash_is_taken_after_a_pause() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.keys("ann", "482")
    bridge.pause(2.9)
    bridge.keys("ann", "913")
    bridge.pause(2.9)
    assert bridge.state("ann") is LegState.PROMPTED
    bridge.pause(0.1)
    assert bridge.state("ann") is LegState.WAITING


def test_part_of_a_code_and_a_pause_is_a_wrong_code() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.keys("ann", "48291")
    bridge.pause(3)
    assert bridge.hears("ann") == ("bad-code",)
    bridge.keys("ann", "1#1#")
    bridge.played("ann")
    assert bridge.left("ann") == ("wrong_code", 0)


def test_a_star_clears_what_was_keyed_of_a_code() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.keys("ann", f"99*{CODE}#")
    assert bridge.state("ann") is LegState.WAITING


def test_a_star_and_then_nothing_waits_for_a_whole_first_key() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.keys("ann", "99*")
    bridge.pause(19.9)
    assert bridge.prompts("ann") == ["greeting"]
    bridge.pause(0.1)
    assert bridge.prompts("ann") == ["greeting", "greeting"]


def test_the_number_of_tries_is_configuration() -> None:
    bridge = Bridge(config=ConferenceConfig(code_tries=1))
    bridge.dial("ann")
    bridge.keys("ann", "1#")
    assert bridge.state("ann") is LegState.LEAVING


# --- a code that was dialled --------------------------------------------------------------


def test_a_leg_that_dialled_the_code_is_let_in_once_the_ack_came() -> None:
    bridge = Bridge()
    bridge.voip("ann")
    assert bridge.state("ann") is LegState.WAITING
    assert bridge.prompts("ann") == ["waiting"]


def test_a_leg_that_dialled_the_code_has_no_pin_window_but_star_zero() -> None:
    bridge = Bridge()
    bridge.voip("ann")
    bridge.keys("ann", f"*{PIN}#")
    assert bridge.state("ann") is LegState.WAITING
    bridge.keys("ann", f"*0{PIN}#")
    assert bridge.state("ann") is LegState.JOINED


def test_keys_before_the_ack_of_a_leg_that_dialled_the_code_count() -> None:
    bridge = Bridge()
    invite(bridge, CODE)
    bridge.step(api.LegReady(ANN))
    bridge.keys("ann", f"*0{PIN}#")
    bridge.step(api.LegConfirmed(ANN))
    assert bridge.view("ann").role is api.Role.ORGANIZER


def test_a_dialled_code_whose_session_is_gone_by_the_ack_is_wrong() -> None:
    bridge = Bridge()
    invite(bridge, CODE)
    bridge.step(api.LegReady(ANN))
    bridge.step(api.CancelSession(SID, "api"))
    bridge.step(api.LegConfirmed(ANN))
    assert bridge.hears("ann") == ("bad-code",)
    bridge.played("ann")
    assert bridge.left("ann") == ("wrong_code", 0)


# --- the time window ----------------------------------------------------------------------

WINDOW = replace(SPEC, opens=ConfMs(CONF0 + 10 * MIN), closes=ConfMs(CONF0 + 20 * MIN))


@pytest.mark.parametrize(
    ("at", "inside"),
    [(0, False), (599_999, False), (600_000, True), (1_199_999, True), (1_200_000, False)],
)
def test_a_code_is_accepted_inside_its_window_only(at: int, inside: bool) -> None:
    bridge = Bridge(WINDOW)
    bridge.advance(at)
    bridge.join("ann")
    assert (bridge.state("ann") is LegState.WAITING) is inside
    assert inside or bridge.hears("ann") == ("bad-code",)
    bridge.step(api.LegInvited(LegId("bob"), CODE, "", None))
    assert (bridge.state("bob") is LegState.INVITED) is inside


def test_a_dialled_code_is_wrong_when_the_window_closed_before_the_ack() -> None:
    bridge = Bridge(WINDOW)
    bridge.advance(20 * MIN - 1)
    invite(bridge, CODE)
    bridge.step(api.LegReady(ANN))
    bridge.advance(1)
    bridge.step(api.LegConfirmed(ANN))
    assert bridge.hears("ann") == ("bad-code",)


# --- many of them -------------------------------------------------------------------------


def test_sessions_do_not_mix() -> None:
    other = SessionSpec(SessionId("s2"), "other", "555000", "123456")
    bridge = Bridge()
    bridge.step(api.PutSession(other))
    bridge.organizer("olivia")
    bridge.dial("ann", kind=LegKind.TOLL)
    bridge.keys("ann", f"555000#*{PIN}#")
    assert bridge.state("ann") is LegState.WAITING
    assert bridge.view("ann").occurrence == "s2.o2"
    bridge.keys("ann", "*123456#")
    assert bridge.shell.mix == {"olivia": "s1.o1", "ann": "s2.o2"}


def test_every_did_of_the_plan_may_be_dialled() -> None:
    bridge = Bridge()
    for kind, countries in (
        (LegKind.TOLL_FREE, PLAN.toll_free_countries),
        (LegKind.TOLL, PLAN.toll_countries),
    ):
        for country in countries:
            bridge.invite(f"{kind.value}-{country}", country, kind)
    assert len(bridge.core.roster()) == len(PLAN.toll_free_countries) + len(PLAN.toll_countries)
