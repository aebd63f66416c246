"""R18: an optional security code of a session, asked for after its access code."""

from dataclasses import replace

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegKind, LegState
from bridge.units import LegId
from tests.bridge.conference.driver import CODE, MIN, PIN, SID, SPEC, Bridge

SECRET = "2580"
SAFE = replace(SPEC, security_code=SECRET)
ANN = LegId("ann")


def test_it_is_asked_for_after_the_access_code_and_lets_in() -> None:
    bridge = Bridge(SAFE)
    bridge.join("ann")
    assert bridge.state("ann") is LegState.SECURED
    assert bridge.hears("ann") == ("security",)
    assert [fact.type for fact in bridge.facts()] == ["leg.answered", "leg.identified"]
    bridge.keys("ann", f"{SECRET}#")
    assert bridge.state("ann") is LegState.WAITING


def test_all_keys_may_be_pressed_ahead() -> None:
    bridge = Bridge(SAFE)
    bridge.dial("olivia")
    bridge.keys("olivia", f"{CODE}#{SECRET}#*{PIN}#")
    assert bridge.mixed() == {"olivia"}


def test_who_dials_the_code_itself_is_asked_as_well() -> None:
    bridge = Bridge(SAFE)
    bridge.voip("ann")
    assert bridge.state("ann") is LegState.SECURED
    bridge.keys("ann", f"{SECRET}#")
    assert bridge.state("ann") is LegState.WAITING


def test_who_is_called_is_not_asked_for_it_was_the_organizer_who_chose_him() -> None:
    config = ConferenceConfig(call_me_countries=frozenset({"US"}))
    bridge = Bridge(SAFE, config)
    bridge.step(api.CallMe(ANN, SID, "+12125550111", "Ann", "web"))
    bridge.step(api.LegReady(ANN))
    bridge.step(api.LegAnswered(ANN))
    bridge.keys("ann", "1")
    assert bridge.state("ann") is LegState.WAITING


def test_three_wrong_ones_and_the_leg_is_not_admitted() -> None:
    bridge = Bridge(SAFE)
    bridge.join("ann")
    bridge.keys("ann", "1111#")
    assert bridge.hears("ann") == ("bad-security",)
    bridge.keys("ann", "2222#")
    bridge.keys("ann", "3333#")
    assert bridge.state("ann") is LegState.LEAVING
    bridge.played("ann")
    assert bridge.left("ann")[0] == "wrong_code"
    types = {fact.type for fact in bridge.facts() if fact.subject == "ann"}
    assert not types & {"leg.waiting", "leg.joined"}, "settles as not_admitted (D5)"


def test_who_keys_nothing_is_asked_again_and_then_let_go() -> None:
    bridge = Bridge(SAFE)
    bridge.join("ann")
    for _ in range(3):
        assert bridge.hears("ann") == ("security",)
        bridge.pause(20)
    bridge.played("ann")
    assert bridge.left("ann")[0] == "no_code"


def test_a_star_means_no_language_here() -> None:
    bridge = Bridge(SAFE)
    bridge.join("ann")
    bridge.keys("ann", f"*{SECRET}#")
    assert bridge.state("ann") is LegState.WAITING
    assert bridge.view("ann").language == "en"


def test_guessing_it_is_told_slowed_down_and_locks_the_session_out() -> None:
    config = ConferenceConfig(
        code_tries=9, guard_session_tries=2, guard_delay_ns=1_000_000_000, guard_source_tries=0
    )
    bridge = Bridge(SAFE, config)
    bridge.join("ann")
    bridge.keys("ann", "1111#")
    bridge.keys("ann", "2222#")
    assert bridge.state("ann") is LegState.SECURED
    assert len(bridge.told()) == 1, "the second answer is late"
    bridge.pause(1)
    assert bridge.told() == [
        ("code.guessed", ANN),
        ("code.guessed", ANN),
        ("code.locked_out", ANN),
    ]
    assert bridge.notices[0].data["what"] == "security"
    assert SECRET not in str(bridge.notices)
    bridge.join("bob")
    bridge.keys("bob", f"{SECRET}#")
    assert bridge.state("bob") is LegState.SECURED, "nothing is right while it is locked out"
    bridge.pause(301)
    bridge.join("cid")
    bridge.keys("cid", f"{SECRET}#")
    assert bridge.state("cid") is LegState.WAITING


@pytest.mark.parametrize("code", ["12", "12a4", "1" * 21])
def test_a_code_that_nobody_could_key_is_refused(code: str) -> None:
    bridge = Bridge(None)
    bridge.step(api.PutSession(replace(SPEC, security_code=code)))
    assert bridge.refusals() == ["bad_security_code"]


def test_it_may_be_changed_and_taken_away_while_somebody_is_asked() -> None:
    bridge = Bridge(SAFE)
    bridge.join("ann")
    bridge.step(api.PutSession(replace(SPEC, security_code="1470")))
    bridge.keys("ann", f"{SECRET}#")
    assert bridge.state("ann") is LegState.SECURED
    bridge.step(api.PutSession(SPEC))
    bridge.keys("ann", "9#")
    assert bridge.state("ann") is LegState.WAITING


def test_a_lock_a_cancel_and_a_hang_up_find_who_is_asked() -> None:
    bridge = Bridge(SAFE)
    for name in ("ann", "bob"):
        bridge.join(name)
    bridge.step(api.LockSession(SID, locked=True, by="web"))
    bridge.keys("ann", f"{SECRET}#")
    assert bridge.hears("ann") == ("locked",)
    bridge.step(api.CancelSession(SID, by="web"))
    assert bridge.left("bob")[0] == "session_cancelled"
    assert bridge.core.roster() == ()
    bridge.advance(MIN)
    assert bridge.effects.deadline_ns is None


def test_toll_free_that_is_not_offered_is_said_before_anything_is_asked() -> None:
    bridge = Bridge(replace(SAFE, toll_free=frozenset()))
    bridge.join("ann", kind=LegKind.TOLL_FREE)
    assert bridge.hears("ann") == ("not-offered",)
