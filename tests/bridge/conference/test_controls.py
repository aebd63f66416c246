"""R18: the controls of a conference by key and by order: one state, one notice for each change."""

from dataclasses import replace

import pytest

from bridge.conference import api
from bridge.conference.api import KEYS_DEFAULT, ConferenceConfig, LegKind, LegState, Role
from bridge.units import ConfMs, LegId
from tests.bridge.conference.driver import CODE, PIN, SID, SPEC, Bridge, on_command

ANN, BOB, OLIVIA = LegId("ann"), LegId("bob"), LegId("olivia")


def conference(*, started: bool = True) -> Bridge:
    """An organizer and two participants, in the conference or waiting for its start."""
    bridge = Bridge(SPEC if started else on_command())
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.voip("ann")
    bridge.voip("bob")
    bridge.notices.clear()
    return bridge


def notice_data(bridge: Bridge, name: str) -> dict[str, object]:
    (found,) = [notice for notice in bridge.notices if notice.type == name]
    assert found.session == SID
    assert found.account == "acme"
    assert found.at == ConfMs(bridge.conf_ms)
    return dict(found.data)


# --- mute ---------------------------------------------------------------------------------


def test_a_mute_is_told_once_with_who_and_why() -> None:
    bridge = conference()
    bridge.keys("ann", "*2")
    assert notice_data(bridge, "participant.muted") == {"by": "participant", "reason": "self"}
    bridge.step(api.MuteLeg(ANN, muted=True, by="web"))
    assert bridge.told() == [("participant.muted", ANN)]
    bridge.step(api.MuteLeg(ANN, muted=False, by="web"))
    assert notice_data(bridge, "participant.unmuted") == {"by": "web", "reason": "organizer"}


def test_star_5_mutes_everybody_but_organizers_and_unmutes_them() -> None:
    bridge = conference()
    bridge.keys("olivia", "*5")
    assert bridge.shell.muted == {ANN, BOB}
    assert bridge.told() == [
        ("mute_all.on", None),
        ("participant.muted", ANN),
        ("participant.muted", BOB),
    ]
    assert bridge.tones()[-1] == "all-muted"
    bridge.keys("olivia", "*5")
    assert bridge.shell.muted == set()
    assert bridge.told("mute_all.off", "participant.unmuted") == [
        ("mute_all.off", None),
        ("participant.unmuted", ANN),
        ("participant.unmuted", BOB),
    ]


def test_under_mute_all_a_participant_may_unmute_himself_until_it_is_said_again() -> None:
    bridge = conference()
    bridge.step(api.MuteAll(SID, muted=True, by="web"))
    bridge.keys("ann", "*2")
    assert bridge.shell.muted == {BOB}
    bridge.notices.clear()
    bridge.step(api.MuteAll(SID, muted=True, by="web"))
    assert bridge.told() == [("participant.muted", ANN)]


@pytest.mark.parametrize("started", [False, True])
def test_who_comes_under_mute_all_starts_muted(started: bool) -> None:
    bridge = conference(started=started)
    bridge.step(api.MuteAll(SID, muted=True, by="web"))
    bridge.voip("cid")
    assert bridge.view("cid").muted
    bridge.step(api.StartSession(SID, "web"))
    assert "cid" in bridge.shell.muted
    bridge.keys("cid", f"*0{PIN}#")
    assert bridge.view("cid").role is Role.ORGANIZER
    assert "cid" not in bridge.shell.muted


def test_what_a_participant_did_himself_stays_when_he_becomes_organizer() -> None:
    bridge = conference()
    bridge.keys("ann", "*2")
    bridge.step(api.MuteAll(SID, muted=True, by="web"))
    bridge.keys("ann", f"*0{PIN}#")
    assert ANN in bridge.shell.muted


def test_before_the_start_who_mutes_all_hears_so_alone() -> None:
    bridge = conference(started=False)
    bridge.keys("olivia", "*5")
    assert bridge.hears("olivia") == ("all-muted",)
    bridge.keys("olivia", "*5")
    assert bridge.hears("olivia") == ("all-unmuted",)
    assert "all-muted" not in bridge.tones()


# --- lecture ------------------------------------------------------------------------------


def test_in_lecture_mode_participants_are_heard_only_with_the_floor() -> None:
    bridge = conference()
    bridge.keys("olivia", "*8")
    assert bridge.told() == [
        ("lecture.on", None),
        ("participant.muted", ANN),
        ("participant.muted", BOB),
    ]
    assert bridge.tones()[-1] == "lecture-on"
    bridge.keys("ann", "*2")
    assert bridge.hears("ann") == ("lecture-muted",)
    assert bridge.shell.muted == {ANN, BOB}
    bridge.keys("ann", "*9")
    assert bridge.hears("ann") == ("hand-raised",)
    assert bridge.view("ann").hand_raised
    bridge.notices.clear()
    bridge.step(api.MuteLeg(ANN, muted=False, by="web"))
    assert bridge.told() == [
        ("participant.hand_lowered", ANN),
        ("participant.unmuted", ANN),
    ]
    assert notice_data(bridge, "participant.hand_lowered") == {"by": "web", "reason": "floor"}
    assert bridge.view("ann").floor
    bridge.keys("ann", "*2*2")
    assert bridge.shell.muted == {BOB}
    bridge.step(api.MuteLeg(ANN, muted=True, by="web"))
    bridge.keys("ann", "*2")
    assert bridge.shell.muted == {ANN, BOB}


def test_the_end_of_a_lecture_unmutes_whom_it_muted_and_lowers_hands() -> None:
    bridge = conference()
    bridge.keys("bob", "*2")
    bridge.keys("olivia", "*8")
    bridge.keys("ann", "*9")
    bridge.notices.clear()
    bridge.keys("olivia", "*8")
    assert bridge.told() == [
        ("lecture.off", None),
        ("participant.hand_lowered", ANN),
        ("participant.unmuted", ANN),
    ]
    assert bridge.shell.muted == {BOB}
    assert bridge.tones()[-1] == "lecture-off"


def test_mute_all_and_lecture_end_each_by_itself() -> None:
    bridge = conference()
    bridge.step(api.MuteAll(SID, muted=True, by="web"))
    bridge.step(api.SetLecture(SID, on=True, by="web"))
    bridge.step(api.MuteAll(SID, muted=False, by="web"))
    assert bridge.shell.muted == {ANN, BOB}
    bridge.step(api.MuteLeg(ANN, muted=False, by="web"))
    bridge.step(api.MuteAll(SID, muted=True, by="web"))
    assert bridge.shell.muted == {ANN, BOB}
    assert not bridge.view("ann").floor
    bridge.step(api.MuteLeg(ANN, muted=False, by="web"))
    bridge.step(api.MuteAll(SID, muted=False, by="web"))
    assert bridge.shell.muted == {BOB}
    bridge.step(api.SetLecture(SID, on=False, by="web"))
    assert bridge.shell.muted == {BOB}, "he was muted by mute-all before the lecture"


def test_a_lecture_that_ends_leaves_mute_all_in_force() -> None:
    bridge = conference()
    bridge.step(api.SetLecture(SID, on=True, by="web"))
    bridge.step(api.MuteAll(SID, muted=True, by="web"))
    bridge.step(api.SetLecture(SID, on=False, by="web"))
    assert bridge.shell.muted == {ANN, BOB}
    bridge.keys("ann", "*2")
    assert bridge.shell.muted == {BOB}


@pytest.mark.parametrize("started", [False, True])
def test_who_comes_late_to_a_lecture_starts_muted(started: bool) -> None:
    bridge = conference(started=started)
    bridge.keys("olivia", "*8")
    bridge.voip("cid")
    assert bridge.view("cid").muted
    assert (bridge.hears("cid") == ("lecture-muted",)) is started
    bridge.step(api.StartSession(SID, "web"))
    assert bridge.shell.muted == {ANN, BOB, "cid"}
    assert bridge.mixed() == {ANN, BOB, OLIVIA, "cid"}


def test_a_lecture_is_told_once() -> None:
    bridge = conference()
    for _ in range(2):
        bridge.step(api.SetLecture(SID, on=True, by="web"))
    assert bridge.told("lecture.on") == [("lecture.on", None)]


def test_before_the_start_who_switches_lecture_hears_so_alone() -> None:
    bridge = conference(started=False)
    bridge.keys("olivia", "*8")
    assert bridge.hears("olivia") == ("lecture-on",)
    bridge.keys("olivia", "*8")
    assert bridge.hears("olivia") == ("lecture-off",)


# --- hands --------------------------------------------------------------------------------


def test_star_9_raises_and_lowers_ones_hand_and_an_organizer_has_none() -> None:
    bridge = conference()
    bridge.keys("ann", "*9*9")
    assert bridge.told() == [
        ("participant.hand_raised", ANN),
        ("participant.hand_lowered", ANN),
    ]
    assert bridge.hears("ann") == ("hand-lowered",)
    bridge.keys("olivia", "*9")
    assert not bridge.view("olivia").hand_raised
    bridge.step(api.RaiseHand(BOB, raised=True, by="web"))
    bridge.step(api.RaiseHand(BOB, raised=True, by="web"))
    assert bridge.told("participant.hand_raised") == [
        ("participant.hand_raised", ANN),
        ("participant.hand_raised", BOB),
    ]
    bridge.step(api.RaiseHand(OLIVIA, raised=True))
    bridge.dial("cid")
    bridge.step(api.RaiseHand(LegId("cid"), raised=True))
    bridge.step(api.RaiseHand(LegId("dan"), raised=True))
    assert bridge.refusals() == ["no_participant", "no_participant", "unknown_leg"]


# --- lock ---------------------------------------------------------------------------------


@pytest.mark.parametrize("started", [False, True])
def test_who_keys_the_right_code_of_a_locked_conference_is_not_let_in(started: bool) -> None:
    bridge = conference(started=started)
    bridge.keys("olivia", "*7")
    assert bridge.hears("olivia") == ("now-locked",)
    assert notice_data(bridge, "conference.locked")["by"] == "organizer"
    bridge.dial("cid")
    bridge.keys("cid", f"{CODE}#")
    assert bridge.state("cid") is LegState.LEAVING
    assert bridge.hears("cid") == ("locked",)
    bridge.played("cid")
    assert bridge.left("cid")[0] == "locked"
    types = [fact.type for fact in bridge.facts() if fact.subject == "cid"]
    assert types == ["leg.answered", "leg.identified", "leg.left"]
    bridge.keys("olivia", "*7")
    assert bridge.hears("olivia") == ("now-unlocked",)
    bridge.voip("dan")
    assert bridge.state("dan") is (LegState.JOINED if started else LegState.WAITING)


def test_a_lock_is_told_once_and_ends_when_the_room_is_empty() -> None:
    bridge = conference()
    for _ in range(2):
        bridge.step(api.LockSession(SID, locked=True, by="web"))
    assert bridge.told() == [("conference.locked", None)]
    for name in ("ann", "bob", "olivia"):
        bridge.hang_up(name)
    assert notice_data(bridge, "conference.unlocked")["by"] == "room_empty"
    bridge.voip("cid")
    assert bridge.state("cid") is LegState.JOINED


# --- volume, announcements, roll call, help -----------------------------------------------


def test_a_volume_is_set_within_bounds_and_told_once() -> None:
    bridge = conference()
    for gain_db in (-12, -12, 21, -41):
        bridge.step(api.SetVolume(ANN, gain_db, "web"))
    assert bridge.shell.gain == {ANN: -12}
    assert bridge.view("ann").gain_db == -12
    data = notice_data(bridge, "participant.modified")
    assert data == {"by": "web", "reason": "volume", "gain_db": -12}
    bridge.invite("cid")
    bridge.step(api.SetVolume(LegId("cid"), 3, "web"))
    bridge.step(api.SetVolume(LegId("dan"), 3, "web"))
    assert bridge.refusals() == ["bad_volume", "bad_volume", "not_answered", "unknown_leg"]


def test_an_announcement_goes_to_all_or_to_one() -> None:
    bridge = conference()
    bridge.step(api.Announce(SID, "clip/tea", "web"))
    assert bridge.tones()[-1] == "clip/tea"
    bridge.step(api.Announce(SID, "alone", "web", leg=ANN))
    assert bridge.hears("ann") == ("alone",)
    assert bridge.told() == [("announcement.played", None), ("announcement.played", ANN)]
    assert bridge.notices[-1].data == {"by": "web", "reason": "order", "prompt": "alone"}
    bridge.step(api.Announce(SID, "nonsense", "web"))
    bridge.step(api.Announce(SID, "alone", "web", leg=LegId("dan")))
    assert bridge.refusals() == ["unknown_prompt", "unknown_leg"]


def test_an_announcement_to_all_needs_somebody_in_the_conference() -> None:
    bridge = conference(started=False)
    bridge.step(api.Announce(SID, "alone", "web"))
    bridge.step(api.Announce(SID, "alone", "web", leg=ANN))
    assert bridge.refusals() == ["nobody_there"]
    assert bridge.hears("ann") == ("alone",)


@pytest.mark.parametrize("started", [False, True])
def test_hash_3_says_how_many_are_present(started: bool) -> None:
    bridge = conference(started=started)
    bridge.keys("ann", "#3")
    assert bridge.hears("ann") == ("people", "n-3")


def test_who_comes_late_may_hear_how_many_are_there() -> None:
    bridge = Bridge(config=ConferenceConfig(entry_count=True))
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.voip("ann")
    assert bridge.hears("ann") == ("people", "n-2")


def test_help_tells_each_what_he_may_do() -> None:
    bridge = conference()
    bridge.keys("ann", "*#")
    bridge.keys("olivia", "*#")
    assert bridge.hears("ann") == ("help",)
    assert bridge.hears("olivia") == ("help-organizer",)


# --- who may, and by which keys -----------------------------------------------------------


@pytest.mark.parametrize("keys", ["*1", "*5", "*7", "*8", "#2"])
def test_an_organizers_controls_do_nothing_on_another_phone(keys: str) -> None:
    bridge = conference()
    commands = len(bridge.commands)
    bridge.keys("ann", keys)
    assert bridge.notices == []
    assert len(bridge.commands) == commands
    assert bridge.state("ann") is LegState.JOINED


def test_keys_may_be_mapped_anew_and_switched_off() -> None:
    keys = {**KEYS_DEFAULT, "mute": "*6", "lock": "", "lecture": "#7"}
    bridge = Bridge(config=ConferenceConfig(keys=keys))
    bridge.organizer("olivia", kind=LegKind.VOIP)
    bridge.keys("olivia", "*2*7*6")
    assert bridge.told() == [("participant.muted", OLIVIA)]
    bridge.keys("olivia", "#7")
    assert bridge.told("lecture.on") == [("lecture.on", None)]


@pytest.mark.parametrize(
    "order",
    [
        api.LockSession(SID, locked=True, by="web"),
        api.SetLecture(SID, on=True, by="web"),
        api.MuteAll(SID, muted=True, by="web"),
        api.Announce(SID, "alone", "web"),
        api.EndSession(SID, "web"),
    ],
)
def test_orders_need_an_open_occurrence_of_a_known_session(order: api.ConferenceEvent) -> None:
    bridge = Bridge()
    bridge.step(order)
    bridge.step(api.CancelSession(SID, "web"))
    bridge.step(order)
    other = Bridge(None)
    other.step(order)
    refused = bridge.refusals() + other.refusals()
    assert refused == ["not_open", "session_cancelled", "unknown_session"]


def test_the_page_sees_each_open_occurrence() -> None:
    bridge = conference()
    bridge.keys("olivia", "*7*8*5")
    (view,) = bridge.core.occurrences()
    assert view == api.OccurrenceView(
        session=SID,
        occurrence=view.occurrence,
        account="acme",
        started=True,
        locked=True,
        lecture=True,
        mute_all=True,
        participants=3,
        organizers=1,
    )
    bridge.step(api.EndSession(SID, "web"))
    assert bridge.core.occurrences() == ()


def test_a_mute_before_the_code_belongs_to_no_session() -> None:
    bridge = Bridge()
    bridge.dial("ann")
    bridge.step(api.MuteLeg(ANN, muted=True))
    (notice,) = bridge.notices
    assert (notice.session, notice.account) == (None, None)
    assert replace(notice, type="") != notice
