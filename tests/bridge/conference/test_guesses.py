"""Guessing codes and PINs: slower with each wrong one, told of, and locked out for a time."""

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegKind, LegState, Role
from bridge.conference.guard import SOURCES_MAX, Guard
from bridge.units import LegId, NowNs
from tests.bridge.conference.driver import CODE, PIN, PLAN, SID, SPEC, Bridge

S = 1_000_000_000
SLOW = ConferenceConfig(guard_delay_ns=S, code_tries=9)
STRICT = ConferenceConfig(guard_source_tries=4, guard_session_tries=6, guard_lockout_ns=300 * S)
ANN = LegId("ann")
HOST = "192.0.2.7"


def call(bridge: Bridge, leg: str, user: str = "join", source: str = HOST) -> None:
    """Call from an address that counts, as far as the code prompt or the waiting room."""
    bridge.step(api.LegInvited(LegId(leg), user, "", None, source=source))
    if bridge.state(leg) is LegState.INVITED:
        bridge.step(api.LegReady(LegId(leg)))
        bridge.step(api.LegConfirmed(LegId(leg)))


def refused(bridge: Bridge) -> list[tuple[str, int]]:
    return [(c.leg, c.status) for c in bridge.commands if isinstance(c, api.RefuseLeg)]


# --- slower -------------------------------------------------------------------------------


def test_each_wrong_code_makes_the_next_answer_slower() -> None:
    bridge = Bridge(config=SLOW)
    call(bridge, "ann")
    bridge.keys("ann", "111111#")
    assert bridge.hears("ann") == ("bad-code",), "the first is answered at once"
    for seconds in (1, 2, 4, 8, 8):
        before = bridge.prompts("ann").count("bad-code")
        bridge.keys("ann", "111111#")
        bridge.pause(seconds - 0.001)
        assert bridge.prompts("ann").count("bad-code") == before
        bridge.pause(0.001)
        assert bridge.prompts("ann").count("bad-code") == before + 1


def test_a_right_code_after_a_wrong_one_is_as_slow_so_that_time_tells_nothing() -> None:
    bridge = Bridge(config=SLOW)
    call(bridge, "ann")
    bridge.keys("ann", f"111111#{CODE}#")
    assert bridge.state("ann") is LegState.PROMPTED
    bridge.pause(1)
    assert bridge.state("ann") is LegState.WAITING


def test_keys_pressed_meanwhile_are_taken_after_it() -> None:
    bridge = Bridge(config=SLOW)
    call(bridge, "ann")
    bridge.keys("ann", f"111111#222222#{CODE}#*{PIN}#*2")
    bridge.pause(1)
    assert bridge.state("ann") is LegState.PROMPTED
    bridge.pause(2)
    assert bridge.state("ann") is LegState.WAITING
    assert bridge.view("ann").role is Role.PARTICIPANT, "the PIN waits too"
    bridge.pause(2)
    assert bridge.view("ann").role is Role.ORGANIZER
    assert bridge.view("ann").muted


def test_a_leg_that_hangs_up_meanwhile_is_over_and_the_next_call_is_slow() -> None:
    bridge = Bridge(config=SLOW)
    call(bridge, "ann")
    bridge.keys("ann", "111111#222222#")
    bridge.hang_up("ann")
    assert bridge.effects.deadline_ns is None
    call(bridge, "bob")
    bridge.keys("bob", f"{CODE}#")
    assert bridge.state("bob") is LegState.PROMPTED
    bridge.pause(1)
    assert bridge.state("bob") is LegState.WAITING
    call(bridge, "cid", source="192.0.2.8")
    bridge.keys("cid", f"{CODE}#")
    assert bridge.state("cid") is LegState.WAITING, "another source is not slowed down"


def test_guesses_are_forgotten_after_a_time_without_any() -> None:
    bridge = Bridge(config=SLOW)
    call(bridge, "ann")
    bridge.keys("ann", "111111#")
    bridge.hang_up("ann")
    bridge.pause(600)
    call(bridge, "bob")
    bridge.keys("bob", f"{CODE}#")
    assert bridge.state("bob") is LegState.WAITING


def test_silence_and_an_empty_code_are_no_guess() -> None:
    bridge = Bridge(config=SLOW)
    call(bridge, "ann")
    bridge.pause(20)
    bridge.keys("ann", "#")
    assert bridge.notices == []
    bridge.keys("ann", f"{CODE}#")
    assert bridge.state("ann") is LegState.WAITING


# --- told ---------------------------------------------------------------------------------


def test_each_guess_is_told_of_and_never_what_was_guessed() -> None:
    bridge = Bridge(config=ConferenceConfig(guard_source_tries=9))
    call(bridge, "ann")
    bridge.keys("ann", "111111#")
    call(bridge, "bob", user="222222")
    bridge.keys("ann", f"{CODE}#*999999#")
    first, second, third = bridge.notices
    common = {"source": f"ip:{HOST}", "reason": "wrong"}
    assert first.data == {"what": "code", "way": "keys", "guesses": 1, **common}
    assert (first.leg, first.session) == (ANN, None)
    assert second.data == {"what": "code", "way": "uri", "guesses": 2, **common}
    assert (second.leg, second.session) == (None, None)
    assert third.data == {"what": "pin", "way": "keys", "guesses": 3, **common}
    assert (third.leg, third.session, third.account) == (ANN, SID, "acme")
    assert {notice.type for notice in bridge.notices} == {"code.guessed"}


def test_a_wrong_code_in_a_uri_is_a_guess_and_404_and_a_name_is_none() -> None:
    bridge = Bridge(config=STRICT)
    call(bridge, "ann", user="222222")
    call(bridge, "bob", user="bob")
    did = PLAN.did("US", LegKind.TOLL_FREE)
    assert did is not None
    call(bridge, "cid", user=did.e164)
    assert refused(bridge) == [("ann", 404), ("bob", 404), ("cid", 403)]
    assert bridge.told() == [("code.guessed", None)]


def test_a_trunks_caller_is_told_by_his_number() -> None:
    bridge = Bridge(config=STRICT)
    bridge.dial("ann")
    bridge.keys("ann", "111111#")
    assert bridge.notices[0].data["source"] == "tel:+1212555ann"


# --- locked out ---------------------------------------------------------------------------


def test_a_source_that_guessed_too_often_is_locked_out_for_a_time() -> None:
    bridge = Bridge(config=STRICT)
    for name in ("a", "b", "c", "d"):
        call(bridge, name, user="222222")
    assert bridge.told()[-1] == ("code.locked_out", None)
    assert bridge.notices[-1].data == {
        "of": "source",
        "source": f"ip:{HOST}",
        "for_s": 300,
        "reason": "guesses",
    }
    call(bridge, "e", user=CODE)
    call(bridge, "f", user="222222")
    call(bridge, "g")
    assert refused(bridge)[-3:] == [("e", 404), ("f", 404), ("g", 403)]
    assert len(bridge.notices) == 5, "who is locked out is counted no further"
    call(bridge, "h", user=CODE, source="192.0.2.8")
    assert bridge.state("h") is LegState.WAITING
    bridge.pause(299)
    call(bridge, "i", user=CODE)
    assert bridge.state("i") is LegState.ENDED
    bridge.pause(1)
    call(bridge, "j", user=CODE)
    assert bridge.state("j") is LegState.WAITING


def test_a_lock_out_within_a_call_ends_it_and_a_right_code_is_none() -> None:
    bridge = Bridge(config=STRICT)
    call(bridge, "ann")
    call(bridge, "bob")
    call(bridge, "cid", user=CODE)
    bridge.keys("ann", "1#2#")
    bridge.keys("bob", "1#2#")
    assert bridge.state("bob") is LegState.LEAVING
    assert bridge.hears("bob") == ("too-many-tries",)
    bridge.keys("ann", f"{CODE}#")
    assert bridge.state("ann") is LegState.LEAVING
    bridge.keys("cid", f"*0{PIN}#")
    assert bridge.view("cid").role is Role.PARTICIPANT


def test_a_sessions_pin_is_locked_for_everybody_when_it_is_guessed_at() -> None:
    bridge = Bridge(config=STRICT)
    for number in range(3):
        name = f"leg{number}"
        call(bridge, name, user=CODE, source=f"192.0.2.{number}")
        bridge.keys(name, "*0999999#*0888888#")
    assert bridge.told("code.locked_out") == [("code.locked_out", LegId("leg2"))]
    data = bridge.notices[-1].data
    assert (data["of"], bridge.notices[-1].session) == ("session", SID)
    call(bridge, "olivia", user=CODE, source="192.0.2.9")
    bridge.keys("olivia", f"*0{PIN}#")
    assert bridge.view("olivia").role is Role.PARTICIPANT
    assert bridge.hears("olivia") == ("bad-pin",)
    bridge.pause(300)
    bridge.keys("olivia", f"*0{PIN}#")
    assert bridge.view("olivia").role is Role.ORGANIZER


def test_without_limits_nobody_is_locked_out_or_slowed_down() -> None:
    bridge = Bridge(SPEC)
    for number in range(50):
        call(bridge, f"leg{number}", user="222222")
    call(bridge, "ann", user=CODE)
    assert bridge.state("ann") is LegState.WAITING


# --- the guard ----------------------------------------------------------------------------


def test_who_guessed_longest_ago_is_forgotten_first() -> None:
    guard = Guard(ConferenceConfig(guard_delay_ns=1))
    for number in range(SOURCES_MAX + 1):
        guard.miss(f"ip:{number}", NowNs(0), limit=0)
    assert guard.delay_ns("ip:0", NowNs(1)) == 0
    assert guard.delay_ns("ip:1", NowNs(1)) == 1


def test_a_lock_out_holds_as_long_as_it_says_whatever_is_forgotten() -> None:
    config = ConferenceConfig(guard_forget_ns=10, guard_lockout_ns=100)
    guard = Guard(config)
    assert guard.miss("x", NowNs(0), limit=1) == (1, True)
    assert guard.is_locked("x", NowNs(99))
    assert not guard.is_locked("x", NowNs(100))


@pytest.mark.parametrize("guesses", [1, 5, 40])
def test_a_delay_never_exceeds_its_bound(guesses: int) -> None:
    guard = Guard(ConferenceConfig(guard_delay_ns=S, guard_delay_max_ns=5 * S))
    for _ in range(guesses):
        guard.miss("x", NowNs(0), limit=0)
    assert guard.delay_ns("x", NowNs(1)) == min(S << (guesses - 1), 5 * S)
