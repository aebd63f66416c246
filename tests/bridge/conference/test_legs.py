"""The tables of a leg: every state and every event has its answer, or is our mistake."""

from dataclasses import replace
from itertools import product

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, Entry, LegKind, LegState
from bridge.conference.legs import (
    REACTIONS,
    TRANSITIONS,
    Leg,
    LegEvent,
    Move,
    Reaction,
)
from bridge.errors import IllegalTransition
from bridge.units import ConfMs, LegId
from tests.bridge.conference.driver import CODE, SID, SPEC, Bridge, Shell

ANN = LegId("ann")
EVENTS: dict[str, LegEvent] = {
    "invited": api.LegInvited(ANN, "join", "", None),
    "ready": api.LegReady(ANN),
    "abandoned": api.LegAbandoned(ANN),
    "confirmed": api.LegConfirmed(ANN),
    "key": api.LegKey(ANN, "5"),
    "odd key": api.LegKey(ANN, "!"),
    "played": api.LegPlayed(ANN, 10_000),
    "hung up": api.LegHungUp(ANN, "remote_bye"),
    "lost": api.LegLost(ANN, ConfMs(0)),
    "ringing": api.LegRinging(ANN),
    "picked up": api.LegAnswered(ANN),
    "named": api.LegNamed(ANN, ""),
    "held": api.LegHeld(ANN, held=True),
    "talked": api.LegTalked(ANN, talking=True),
}
CALLED = [LegState.DIALLED, LegState.RESTING, LegState.ASKED]
ILLEGAL = (
    {("invited", state) for state in LegState if state is not LegState.ENDED}
    | {
        (name, state)
        for name in ("ready", "abandoned")
        for state in (
            *CALLED,
            LegState.PROMPTED,
            LegState.SECURED,
            LegState.NAMING,
            LegState.WAITING,
            LegState.JOINED,
            LegState.LEAVING,
        )
    }
    | {("ready", LegState.ANSWERED)}
)
LAST = {"hung up", "lost"}


def called_leg_in(state: LegState) -> Bridge:
    bridge = Bridge(config=ConferenceConfig(call_me_countries=frozenset({"US"})))
    bridge.step(api.CallMe(ANN, SID, "+12125550111", "Ann", "web"))
    bridge.step(api.LegReady(ANN))
    if state is LegState.RESTING:
        bridge.step(api.LegHungUp(ANN, "refused", 486))
    elif state is LegState.ASKED:
        bridge.step(api.LegAnswered(ANN))
    assert bridge.state("ann") is state
    return bridge


def leg_in(state: LegState) -> Bridge:
    if state in CALLED:
        return called_leg_in(state)
    bridge = Bridge(
        replace(
            SPEC,
            security_code="2580" if state is LegState.SECURED else "",
            entry=Entry.NAME if state is LegState.NAMING else None,
        )
    )
    bridge.invite("ann", kind=LegKind.VOIP)
    if state is LegState.INVITED:
        return bridge
    bridge.step(api.LegReady(ANN))
    if state is LegState.ANSWERED:
        return bridge
    bridge.step(api.LegConfirmed(ANN))
    keys = {
        LegState.PROMPTED: "",
        LegState.SECURED: f"{CODE}#",
        LegState.NAMING: f"{CODE}#",
        LegState.WAITING: f"{CODE}#",
        LegState.JOINED: f"{CODE}#*771144#",
        LegState.LEAVING: "1#2#3#",
        LegState.ENDED: "",
    }
    bridge.keys("ann", keys[state])
    if state is LegState.ENDED:
        bridge.hang_up("ann")
        bridge.shell = Shell()  # leg ids are never used again, but in this table
    assert bridge.state("ann") is state
    return bridge


@pytest.mark.parametrize(("name", "state"), list(product(EVENTS, LegState)))
def test_every_event_in_every_state_is_answered_or_our_mistake(name: str, state: LegState) -> None:
    bridge = leg_in(state)
    event = EVENTS[name]
    facts = len(bridge.facts())
    if (name, state) in ILLEGAL:
        with pytest.raises(IllegalTransition):
            bridge.step(event)
        assert bridge.state("ann") is state
        assert len(bridge.facts()) == facts
        return
    bridge.step(event)
    expected = state
    if state is LegState.RESTING:
        pass  # all of it is of the try before
    elif (name, state) == ("picked up", LegState.DIALLED):
        expected = LegState.ASKED
    elif name in LAST or (name == "abandoned" and state is not LegState.ENDED):
        expected = LegState.ENDED
    elif (name, state) == ("confirmed", LegState.ANSWERED):
        expected = LegState.PROMPTED
    elif (name, state) == ("ready", LegState.INVITED):
        expected = LegState.ANSWERED
    elif (name, state) == ("invited", LegState.ENDED):
        expected = LegState.INVITED
    elif state is LegState.NAMING and name in ("key", "named"):
        expected = LegState.WAITING
    assert bridge.state("ann") is expected


@pytest.mark.parametrize(
    ("name", "state"), list(product(["confirmed", "key", "odd key", "played"], LegState))
)
def test_what_means_nothing_changes_nothing(name: str, state: LegState) -> None:
    """Repeated ACKs, stale plays and odd keys leave no trace; a known key may be kept."""
    bridge = leg_in(state)
    before = bridge.core.roster()
    effects = bridge.step(EVENTS[name])
    if name == "confirmed" and state is LegState.ANSWERED:
        assert effects.commands
        return
    if name == "key" and state is LegState.NAMING:
        return  # who keys on is let in without a name
    assert effects.facts == ()
    assert bridge.core.roster() == before
    if name != "key":
        assert effects.commands == ()


@pytest.mark.parametrize("state", list(LegState))
def test_an_unknown_leg_is_a_named_no_op(state: LegState) -> None:
    bridge = leg_in(state)
    other = LegId("nobody")
    for event in (
        api.LegReady(other),
        api.LegAbandoned(other),
        api.LegConfirmed(other),
        api.LegKey(other, "1"),
        api.LegPlayed(other, 1),
        api.LegHungUp(other, "remote_bye"),
        api.LegLost(other, ConfMs(0)),
        api.LegRinging(other),
        api.LegAnswered(other),
        api.LegNamed(other, "clip/x"),
        api.LegHeld(other, held=True),
        api.LegTalked(other, talking=True),
    ):
        effects = bridge.step(event)
        assert (effects.facts, effects.commands) == ((), ())


@pytest.mark.parametrize(("state", "move"), list(product(LegState, Move)))
def test_moves_follow_the_table(state: LegState, move: Move) -> None:
    leg = Leg(ANN, LegKind.VOIP, "", state=state)
    target = TRANSITIONS[state].get(move)
    if target is None:
        with pytest.raises(IllegalTransition):
            leg.move(move)
        assert leg.state is state
    else:
        leg.move(move)
        assert leg.state is target


def test_tables_name_every_state_and_every_remote_event() -> None:
    assert set(TRANSITIONS) == set(REACTIONS) == set(LegState)
    remote = {
        api.LegConfirmed,
        api.LegKey,
        api.LegPlayed,
        api.LegHungUp,
        api.LegLost,
        api.LegRinging,
        api.LegAnswered,
        api.LegNamed,
        api.LegHeld,
        api.LegTalked,
    }
    for state in LegState:
        assert remote <= set(REACTIONS[state])
    used = {reaction for row in REACTIONS.values() for reaction in row.values()}
    assert used == set(Reaction)


def test_a_mistake_of_the_server_loses_no_fact_of_a_timer() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.join("bob")
    bridge.step(api.LegKey(LegId("bob"), "5"))
    bridge.conf_ms += 300_000
    bridge.step(api.MuteLeg(LegId("nobody"), muted=True))
    assert bridge.left("ann") == ("waiting_timeout", 300_000)

    bridge = Bridge()
    bridge.join("ann")
    bridge.invite("bob")
    bridge.conf_ms += 300_000
    with pytest.raises(IllegalTransition):
        bridge.invite("bob")
    bridge.step(api.Tick())
    assert bridge.left("ann") == ("waiting_timeout", 300_000)


def test_the_roster_shows_a_leg_as_it_is() -> None:
    bridge = Bridge()
    bridge.step(api.LegInvited(ANN, CODE, "ann", None, display_name="Ann"))
    bridge.step(api.LegReady(ANN))
    bridge.advance(5)
    bridge.step(api.LegConfirmed(ANN))
    view = bridge.view("ann")
    assert (view.leg, view.kind, view.country, view.ani) == ("ann", LegKind.VOIP, "", "ann")
    assert (view.session, view.occurrence, view.display_name) == (SID, "s1.o1", "Ann")
    assert view.answered_at is not None
    assert view.waiting_since == view.answered_at + 5
    assert view.joined_at is None
    assert bridge.core.sessions() == (SPEC,)
