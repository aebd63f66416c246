"""Plans: who sits where, what is dialled, and bad options refused by name."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from bridge.config import parse_settings
from bridge.errors import InputError
from bridge.lab.load.host import CODE_FIRST, configuration, plan_for
from bridge.lab.load.plan import LoadPlan, address_of


def test_conferences_fill_at_the_same_pace_organizers_first() -> None:
    plan = LoadPlan(participants=10, conferences=3)
    assert [plan.place(caller) for caller in range(5)] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]


def test_a_search_fills_them_one_after_the_other() -> None:
    plan = LoadPlan(participants=10, conferences=3, one_by_one=True)
    conference, seat = plan.places()
    assert np.bincount(conference).tolist() == [4, 3, 3]
    assert seat.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2]


def test_a_foreign_bridge_is_dialled_by_the_callers_own_uri_and_keys() -> None:
    plan = LoadPlan(
        participants=4,
        conferences=2,
        target="sip:join{seat}@127.0.0.1:5080",
        keys="{conference:04}#",
        organizer_keys="*{conference}#",
        first=600,
    ).checked()
    assert [plan.uri(caller) for caller in (0, 3)] == [
        "sip:join0@127.0.0.1:5080",
        "sip:join1@127.0.0.1:5080",
    ]
    assert [plan.digits(caller) for caller in (1, 3)] == ["*601#", "0601#"]


def test_the_voices_of_a_conference_never_clip() -> None:
    for talkers in (1, 5, 10, 20):
        plan = LoadPlan(participants=200, conferences=2, talkers=talkers)
        assert plan.amplitude * max(talkers - 1, 1) < 32_768
    assert LoadPlan(profile="listen").amplitude == pytest.approx(32_768 * 10 ** (-16 / 20))


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"conferences": 11}, "--conferences: 11: expected 1 to 10"),
        ({"conferences": 0}, "--conferences: 0"),
        ({"target": "tel:5"}, "--target: 'tel:5': expected sip:USER@HOST"),
        ({"target": "sip:a@127.0.0.1:x"}, "--target"),
        ({"target": "sip:{room}@127.0.0.1"}, "--target: 'sip:{room}@127.0.0.1': expected {conf"),
        ({"target": "sip:{conference@127.0.0.1"}, "--target"),
        ({"target": "sip:{conference.real}@127.0.0.1"}, "--target"),
        ({"target": "sip:a@no.such.host.invalid"}, "--target"),
        ({"keys": "12 3"}, "--keys: '12 3': expected digits"),
        ({"organizer_keys": "{0}"}, "--organizer-keys"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_option(
    more: dict[str, object], named: str
) -> None:
    with pytest.raises(InputError) as refused:
        LoadPlan(participants=20, **{"conferences": 2, **more}).checked()  # type: ignore[arg-type]
    assert named in str(refused.value)


def test_a_uri_without_a_port_goes_to_5060() -> None:
    assert address_of("sip:1@127.0.0.1") == ("127.0.0.1", 5_060)


def test_the_own_bridge_has_a_session_for_each_conference_and_room_for_all() -> None:
    plan = LoadPlan(participants=1_400, conferences=2)
    settings = parse_settings(tomllib.loads(configuration(plan, Path("load.db"))))
    assert len(settings.session) == 2
    assert settings.conference.participants_max == 700
    dialled = plan_for(plan, 5_070)
    codes = [session.access_code for session in settings.session]
    assert codes == [str(CODE_FIRST), str(CODE_FIRST + 1)]
    assert dialled.uri(1) == f"sip:{codes[1]}@127.0.0.1:5070"
    assert dialled.digits(0) == f"*0{settings.session[0].organizer_pin}#"
    assert dialled.digits(2) == ""
