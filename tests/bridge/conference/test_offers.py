"""D16: numbers that a session does not offer, and a conference that is full (R18)."""

from dataclasses import replace

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegKind, LegState
from tests.bridge.conference.driver import SPEC, Bridge, on_command


def test_a_toll_free_number_that_is_not_offered_is_let_go() -> None:
    bridge = Bridge()
    bridge.join("ann", "GB")
    assert bridge.hears("ann") == ("not-offered",)
    bridge.advance(3_000)
    bridge.played("ann")
    assert [fact.type for fact in bridge.facts()] == ["leg.answered", "leg.identified", "leg.left"]
    assert bridge.left("ann") == ("not_offered", 3_000)
    assert bridge.facts("leg.left")[0].data["occurrence"] == "s1.o1"


def test_toll_and_voip_are_always_offered() -> None:
    bridge = Bridge()
    bridge.join("ann", "GB", LegKind.TOLL)
    bridge.join("bob", kind=LegKind.VOIP)
    assert (bridge.state("ann"), bridge.state("bob")) == (LegState.WAITING, LegState.WAITING)


def test_an_account_switched_off_offers_no_toll_free_until_switched_on() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.step(api.SetTollFree("acme", enabled=False))
    bridge.join("bob")
    bridge.join("cid", kind=LegKind.TOLL)
    assert bridge.hears("bob") == ("not-offered",)
    assert (bridge.state("ann"), bridge.state("cid")) == (LegState.WAITING, LegState.WAITING)
    bridge.step(api.SetTollFree("acme", enabled=True))
    bridge.join("dan")
    assert bridge.state("dan") is LegState.WAITING


def test_switching_one_account_off_leaves_others_alone() -> None:
    bridge = Bridge()
    bridge.step(api.SetTollFree("other", enabled=False))
    bridge.join("ann")
    assert bridge.state("ann") is LegState.WAITING


def test_numbers_may_change_at_any_time_and_running_legs_stay() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.step(api.PutSession(replace(SPEC, toll_free=frozenset({"GB"}))))
    bridge.join("bob")
    bridge.join("cid", "GB")
    assert bridge.state("ann") is LegState.WAITING
    assert bridge.state("bob") is LegState.LEAVING
    assert bridge.state("cid") is LegState.WAITING


def test_a_full_conference_lets_nobody_in() -> None:
    bridge = Bridge(on_command(), config=ConferenceConfig(participants_max=2))
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.join("bob")
    assert bridge.hears("bob") == ("full",)
    bridge.hang_up("ann")
    bridge.join("cid")
    assert bridge.state("cid") is LegState.WAITING
    bridge.played("bob")
    assert bridge.left("bob") == ("full", 0)
    assert "leg.waiting" not in {f.type for f in bridge.facts() if f.subject == "bob"}
