"""R12: a conference is recorded from its start, never its waiting room, and everybody is told."""

import pytest

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, LegKind
from bridge.units import OccurrenceId
from tests.bridge.conference.driver import MIN, PIN, SID, SPEC, Bridge, on_command

ON = ConferenceConfig(recording=True, recording_on=True)
CAN = ConferenceConfig(recording=True)
HERE = OccurrenceId("s1.o1")


def tapes(bridge: Bridge) -> list[object]:
    kinds = (api.StartMixRecording, api.StopMixRecording)
    return [command for command in bridge.commands if isinstance(command, kinds)]


def told(bridge: Bridge) -> list[tuple[str, object, object]]:
    return [
        (n.type, n.data["reason"], n.data["part"])
        for n in bridge.notices
        if n.type.startswith("recording.")
    ]


def test_it_begins_with_the_start_and_ends_with_the_session() -> None:
    bridge = Bridge(on_command(), ON)
    bridge.voip("ann")
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.advance(MIN)
    assert tapes(bridge) == [], "nothing of the waiting room is in it"
    bridge.keys("olivia", "*1")
    assert tapes(bridge) == [api.StartMixRecording(HERE, SID, 1)]
    assert bridge.tones()[-1] == "recording-on"
    assert bridge.core.occurrences()[0].recording
    bridge.step(api.EndSession(SID, "web"))
    assert tapes(bridge)[1:] == [api.StopMixRecording(HERE)]
    assert told(bridge) == [
        ("recording.started", "session_started", 1),
        ("recording.stopped", "session_ended", 1),
    ]


def test_who_joins_a_recorded_conference_is_told() -> None:
    bridge = Bridge(SPEC, ON)
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.voip("ann")
    assert bridge.hears("ann") == ("recorded",)


def test_star_3_switches_it_and_everybody_hears_so() -> None:
    bridge = Bridge(SPEC, CAN)
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.voip("ann")
    assert bridge.hears("ann") == ()
    bridge.keys("ann", "*3")
    assert tapes(bridge) == []
    bridge.keys("olivia", "*3")
    bridge.keys("olivia", "*3")
    bridge.keys("olivia", "*3")
    assert bridge.tones()[-3:] == ["recording-on", "recording-off", "recording-on"]
    assert told(bridge) == [
        ("recording.started", "key", 1),
        ("recording.stopped", "key", 1),
        ("recording.started", "key", 2),
    ]


def test_switched_on_while_waiting_it_begins_with_the_start() -> None:
    bridge = Bridge(on_command(), CAN)
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.keys("olivia", "*3")
    assert bridge.hears("olivia") == ("recording-on",)
    bridge.keys("olivia", "*3")
    assert bridge.hears("olivia") == ("recording-off",)
    bridge.step(api.RecordSession(SID, on=True, by="web"))
    assert told(bridge) == []
    bridge.keys("olivia", "*1")
    assert tapes(bridge) == [api.StartMixRecording(HERE, SID, 1)]


def test_an_order_that_changes_nothing_is_told_of_once() -> None:
    bridge = Bridge(SPEC, CAN)
    bridge.organizer("olivia", kind=LegKind.VOIP)
    for _ in range(2):
        bridge.step(api.RecordSession(SID, on=True, by="web"))
    assert told(bridge) == [("recording.started", "order", 1)]
    for _ in range(2):
        bridge.step(api.RecordSession(SID, on=False, by="web"))
    assert told(bridge)[1:] == [("recording.stopped", "order", 1)]


def test_an_empty_room_is_not_recorded_and_who_comes_begins_the_next_part() -> None:
    bridge = Bridge(SPEC, ON)
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.hang_up("olivia")
    bridge.advance(MIN)
    bridge.voip("ann")
    assert bridge.hears("ann") == ("recorded", "alone")
    bridge.keys("ann", f"*0{PIN}#")
    assert told(bridge) == [
        ("recording.started", "session_started", 1),
        ("recording.stopped", "room_empty", 1),
        ("recording.started", "joined", 2),
    ]


@pytest.mark.parametrize("order", [False, True])
def test_without_a_directory_nothing_is_recorded(order: bool) -> None:
    bridge = Bridge(SPEC, ConferenceConfig(recording_on=True))
    bridge.organizer("olivia", kind=LegKind.VOIP)
    if order:
        bridge.step(api.RecordSession(SID, on=True, by="web"))
        bridge.step(api.EndSession(SID, "web"))
        bridge.step(api.RecordSession(SID, on=True, by="web"))
        assert bridge.refusals() == ["recording_off", "not_open"]
    else:
        bridge.keys("olivia", "*3")
    assert (tapes(bridge), told(bridge)) == ([], [])
