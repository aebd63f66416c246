"""What a session says for itself: how many, how long without organizer; and what legs are told."""

from dataclasses import replace

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegState
from bridge.units import LegId
from tests.bridge.conference.driver import MIN, SPEC, Bridge, S

ANN = LegId("ann")


def test_a_session_may_be_smaller_than_the_bridge_allows_and_never_larger() -> None:
    for mine, limit, fits in ((2, 500, 2), (None, 2, 2), (9, 2, 2)):
        bridge = Bridge(
            replace(SPEC, participants_max=mine), ConferenceConfig(participants_max=limit)
        )
        for name in ("ann", "bob", "cid"):
            bridge.join(name)
        states = [bridge.state(name) for name in ("ann", "bob", "cid")]
        assert states.count(LegState.WAITING) == fits
        assert bridge.hears("cid") == ("full",)


def test_a_session_goes_on_without_organizer_for_as_long_as_it_says() -> None:
    bridge = Bridge(replace(SPEC, continue_ms=5 * MIN))
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.hang_up("olivia")
    bridge.advance(4 * MIN)
    assert bridge.tones()[-1] == "continue-warning"
    bridge.advance(MIN)
    assert bridge.left("ann") == ("organizer_gone", 5 * MIN)


def test_zero_minutes_end_it_at_once_but_not_after_pound_2() -> None:
    for keys, left in (("", True), ("#2", False)):
        bridge = Bridge(replace(SPEC, continue_ms=0))
        bridge.join("ann")
        bridge.organizer("olivia")
        if keys:
            bridge.pause(11)
            bridge.keys("olivia", keys)
        else:
            bridge.hang_up("olivia")
        assert (bridge.state("ann") is LegState.ENDED) is left


def test_the_time_may_be_changed_while_it_runs_also_to_one_that_is_over() -> None:
    bridge = Bridge(SPEC)
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.hang_up("olivia")
    bridge.advance(10 * MIN)
    bridge.step(api.PutSession(replace(SPEC, continue_ms=20 * MIN)))
    bridge.advance(9 * MIN + 59 * S)
    assert bridge.state("ann") is LegState.JOINED
    bridge.step(api.PutSession(replace(SPEC, continue_ms=MIN)))
    assert bridge.left("ann")[0] == "organizer_gone"


def test_an_organizer_who_is_back_is_gone_anew_later() -> None:
    bridge = Bridge(replace(SPEC, continue_ms=5 * MIN))
    bridge.join("ann")
    bridge.organizer("olivia")
    bridge.hang_up("olivia")
    bridge.organizer("oscar")
    bridge.step(api.PutSession(replace(SPEC, continue_ms=MIN)))
    bridge.advance(30 * MIN)
    assert bridge.state("ann") is LegState.JOINED


def test_hold_and_talk_are_told_once_a_change_and_shown() -> None:
    bridge = Bridge()
    bridge.organizer("olivia")
    bridge.join("ann")
    for event in (
        api.LegTalked(ANN, talking=True),
        api.LegTalked(ANN, talking=True),
        api.LegHeld(ANN, held=True),
        api.LegHeld(ANN, held=True),
    ):
        bridge.step(event)
    assert bridge.view("ann").talking
    assert bridge.view("ann").held
    bridge.step(api.LegTalked(ANN, talking=False))
    bridge.step(api.LegHeld(ANN, held=False))
    assert bridge.told() == [
        ("speaker.changed", ANN),
        ("participant.held", ANN),
        ("speaker.changed", ANN),
        ("participant.resumed", ANN),
    ]
    assert bridge.notices[0].data == {"by": "participant", "reason": "voice", "talking": True}


def test_who_waits_talks_to_nobody() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.step(api.LegTalked(ANN, talking=True))
    assert bridge.told() == []
    assert not bridge.view("ann").talking
