"""The bridge's side of bills B1 to B6: which facts it states, at which times to the millisecond."""

from bridge.conference import api
from bridge.conference.api import LegKind
from tests.bridge.conference.driver import MIN, SID, Bridge, S, on_command


def test_b1_three_toll_free_legs_of_ten_minutes_and_an_organizer_on_voip() -> None:
    bridge = Bridge()
    bridge.organizer("olivia", kind=LegKind.VOIP)
    for name in ("ann", "bob", "cid"):
        bridge.join(name)
    bridge.advance(10 * MIN)
    for name in ("ann", "bob", "cid", "olivia"):
        bridge.hang_up(name)
    for name in ("ann", "bob", "cid"):
        assert bridge.left(name) == ("hung_up", 600_000)
    assert [f.data["kind"] for f in bridge.facts("leg.answered")] == ["voip"] + ["toll_free"] * 3
    assert [f.data["country"] for f in bridge.facts("leg.answered")] == ["", "US", "US", "US"]
    bridge.advance(30 * MIN)
    assert bridge.story()[-1] == ("s1.o1", "session.ended", 40 * MIN)
    assert bridge.facts("session.ended")[0].data == {
        "occurrence": "s1.o1",
        "session": "s1",
        "account": "acme",
        "reason": "room_empty",
        "started": True,
    }


def test_b2_two_legs_time_out_in_the_waiting_room_and_the_session_is_cancelled() -> None:
    bridge = Bridge()
    bridge.join("ann")
    bridge.join("bob")
    bridge.advance(6 * MIN)
    bridge.step(api.CancelSession(SID, "api"))
    assert bridge.left("ann") == ("waiting_timeout", 300_000)
    assert bridge.left("bob") == ("waiting_timeout", 300_000)
    assert bridge.story() == [
        ("ann", "leg.answered", 0),
        ("ann", "leg.identified", 0),
        ("ann", "leg.waiting", 0),
        ("bob", "leg.answered", 0),
        ("bob", "leg.identified", 0),
        ("bob", "leg.waiting", 0),
        ("ann", "leg.left", 300_000),
        ("bob", "leg.left", 300_000),
        ("s1.o1", "session.cancelled", 360_000),
    ]


def late_organizer(kind: LegKind) -> Bridge:
    bridge = Bridge(on_command())
    bridge.join("ann")
    bridge.advance(4 * MIN)
    bridge.organizer("olivia", kind=kind)
    bridge.advance(2 * MIN)
    bridge.hang_up("olivia")
    bridge.step(api.CancelSession(SID, "olivia"))
    return bridge


def test_b3_who_waited_is_in_the_occurrence_that_an_organizer_joined_but_never_started() -> None:
    bridge = late_organizer(LegKind.TOLL_FREE)
    assert bridge.story() == [
        ("ann", "leg.answered", 0),
        ("ann", "leg.identified", 0),
        ("ann", "leg.waiting", 0),
        ("olivia", "leg.answered", 240_000),
        ("olivia", "leg.identified", 240_000),
        ("olivia", "leg.waiting", 240_000),
        ("s1.o1", "organizer.joined", 240_000),
        ("ann", "leg.left", 300_000),
        ("olivia", "leg.left", 360_000),
        ("s1.o1", "session.cancelled", 360_000),
    ]
    assert bridge.left("ann") == ("waiting_timeout", 300_000)
    assert bridge.left("olivia") == ("hung_up", 120_000)
    assert {f.data["occurrence"] for f in bridge.facts("leg.left")} == {"s1.o1"}


def test_b4_the_same_with_the_organizer_on_voip() -> None:
    bridge = late_organizer(LegKind.VOIP)
    assert bridge.left("ann") == ("waiting_timeout", 300_000)
    assert bridge.left("olivia") == ("hung_up", 120_000)
    kinds = {f.subject: f.data["kind"] for f in bridge.facts("leg.answered")}
    assert kinds == {"ann": "toll_free", "olivia": "voip"}


def test_b5_three_kinds_of_legs_with_their_durations() -> None:
    bridge = Bridge()
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.join("ann")
    bridge.join("bob", "FR", LegKind.TOLL)
    bridge.advance(61 * S)
    bridge.hang_up("ann")
    bridge.advance(19 * MIN - S)
    bridge.hang_up("bob")
    bridge.advance(10 * MIN)
    bridge.hang_up("olivia")
    assert bridge.left("ann") == ("hung_up", 61_000)
    assert bridge.left("bob") == ("hung_up", 1_200_000)
    assert bridge.left("olivia") == ("hung_up", 1_800_000)
    kinds = {f.subject: (f.data["kind"], f.data["country"]) for f in bridge.facts("leg.answered")}
    assert kinds == {"ann": ("toll_free", "US"), "bob": ("toll", "FR"), "olivia": ("voip", "")}


def test_b6_milliseconds_are_kept() -> None:
    bridge = Bridge()
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.join("ann", "FR")
    bridge.join("bob", "DE")
    bridge.advance(599_999)
    bridge.hang_up("bob")
    bridge.advance(901)
    bridge.hang_up("ann")
    assert bridge.left("ann") == ("hung_up", 600_900)
    assert bridge.left("bob") == ("hung_up", 599_999)
