"""Moving a leg to another conference of its account: what it leaves behind, and its facts."""

from dataclasses import replace

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegKind, LegState, Role, SessionSpec
from bridge.units import ConfMs, LegId, SessionId
from tests.bridge.conference.driver import CONF0, MIN, PIN, SID, SPEC, Bridge, on_command

ANN, OLIVIA = LegId("ann"), LegId("olivia")
TEAM = SessionSpec(SessionId("s2"), "acme", "555000", "123456")
ALIEN = SessionSpec(SessionId("s3"), "other", "555111", "123456")


def two(config: ConferenceConfig | None = None, team: SessionSpec = TEAM) -> Bridge:
    """A started conference of olivia and ann, and a second one that pia started."""
    bridge = Bridge(SPEC, config)
    bridge.step(api.PutSession(team))
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.voip("ann")
    bridge.voip("pia", "555000")
    bridge.keys("pia", "*0123456#")
    bridge.notices.clear()
    return bridge


def move(bridge: Bridge, leg: str = "ann", to: str = "s2") -> None:
    bridge.step(api.MoveLeg(LegId(leg), SessionId(to), "web"))


def test_a_moved_leg_is_in_the_other_conference_and_in_no_other() -> None:
    bridge = two()
    move(bridge)
    view = bridge.view("ann")
    assert (view.session, view.state) == ("s2", LegState.JOINED)
    assert bridge.shell.mix[ANN] == bridge.shell.mix[LegId("pia")] != bridge.shell.mix[OLIVIA]
    (notice,) = bridge.notices
    assert (notice.type, notice.leg, notice.session) == ("participant.moved", ANN, SID)
    assert notice.data == {"by": "web", "reason": "order", "from": "s1", "to": "s2"}
    assert bridge.tones()[-2:] == ["beep-out", "beep-in"]


def test_its_facts_stay_those_of_where_it_was_identified() -> None:
    bridge = two()
    bridge.advance(MIN)
    move(bridge)
    bridge.advance(MIN)
    bridge.hang_up("ann")
    facts = [fact for fact in bridge.facts() if fact.subject == "ann"]
    assert [fact.type for fact in facts] == [
        "leg.answered",
        "leg.identified",
        "leg.joined",
        "leg.left",
    ]
    assert {(fact.data["session"], fact.data["account"]) for fact in facts[1:]} == {("s1", "acme")}
    assert len({fact.data["occurrence"] for fact in facts[1:]}) == 1
    assert bridge.left("ann") == ("hung_up", 2 * MIN)


def test_a_leg_moved_before_the_start_waits_until_the_other_starts() -> None:
    bridge = two(team=on_command(TEAM))
    bridge.advance(MIN)
    move(bridge)
    assert bridge.state("ann") is LegState.WAITING
    assert ANN not in bridge.shell.mix
    bridge.keys("pia", "*1")
    assert ANN in bridge.shell.mix
    types = [fact.type for fact in bridge.facts() if fact.subject == "ann"]
    assert types.count("leg.joined") == types.count("leg.waiting") == 1


def test_a_waiting_leg_may_be_moved_to_where_people_talk_or_wait() -> None:
    bridge = Bridge(on_command())
    bridge.step(api.PutSession(TEAM))
    bridge.voip("ann")
    bridge.advance(MIN)
    move(bridge)
    assert bridge.state("ann") is LegState.WAITING
    assert [f.type for f in bridge.facts()].count("leg.waiting") == 1
    bridge.advance(4 * MIN)
    assert bridge.state("ann") is LegState.WAITING, "its time began anew"
    bridge.voip("pia", "555000")
    bridge.keys("pia", "*0123456#")
    assert bridge.mixed() == {"ann", "pia"}


def test_a_moved_organizer_is_a_participant_and_his_conference_goes_on_without_him() -> None:
    bridge = two()
    move(bridge, "olivia")
    assert bridge.view("olivia").role is Role.PARTICIPANT
    assert bridge.effects.deadline_conf == CONF0 + 59 * MIN
    bridge.keys("olivia", "*0123456#")
    assert bridge.view("olivia").role is Role.ORGANIZER
    bridge.keys("ann", f"*0{PIN}#")
    assert bridge.effects.deadline_conf is None


def test_lecture_and_mute_all_stay_behind_and_what_one_did_goes_along() -> None:
    bridge = two()
    bridge.step(api.SetLecture(SID, on=True, by="web"))
    bridge.keys("ann", "*9")
    move(bridge)
    assert ANN not in bridge.shell.muted
    assert not bridge.view("ann").hand_raised
    bridge.keys("ann", "*2")
    bridge.step(api.MuteAll(TEAM.id, muted=True, by="web"))
    bridge.step(api.SetLecture(SID, on=False, by="web"))
    move(bridge, to="s1")
    assert ANN in bridge.shell.muted


def test_a_move_to_where_one_is_does_nothing() -> None:
    bridge = two()
    before = len(bridge.commands)
    move(bridge, to="s1")
    assert (bridge.notices, len(bridge.commands)) == ([], before)


def test_moves_that_cannot_be() -> None:
    bridge = two(ConferenceConfig(participants_max=2))
    bridge.step(api.PutSession(ALIEN))
    late = replace(TEAM, id=SessionId("s4"), access_code="555222", opens=ConfMs(CONF0 + MIN))
    bridge.step(api.PutSession(late))
    bridge.dial("cid")
    move(bridge, "nobody")
    move(bridge, to="s9")
    move(bridge, "cid")
    move(bridge, to="s3")
    move(bridge, to="s4")
    bridge.step(api.LockSession(TEAM.id, locked=True, by="web"))
    move(bridge)
    bridge.step(api.LockSession(TEAM.id, locked=False, by="web"))
    bridge.voip("bob", "555000")
    move(bridge)
    assert bridge.refusals() == [
        "unknown_leg",
        "unknown_session",
        "not_let_in",
        "other_account",
        "session_closed",
        "locked",
        "full",
    ]
    assert bridge.mixed() == {"ann", "olivia", "pia", "bob"}


@pytest.mark.parametrize("gain_db", [-6, 6])
def test_a_volume_goes_along(gain_db: int) -> None:
    bridge = two()
    bridge.step(api.SetVolume(ANN, gain_db, "web"))
    move(bridge)
    assert bridge.view("ann").gain_db == gain_db
