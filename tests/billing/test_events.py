"""Reading a fact at a glance gives what reading it attribute by attribute gives (issue 3)."""

import copy
import json
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import events as module
from billing.events import BadEvent, Fact, parse_fact, read_fact
from tests.billing.facts import Event, Story


def one_of_each_type() -> list[Event]:
    story = Story()
    story.organizer(0)
    story.started(0)
    story.leg("leg-a", 0, 60_000)
    story.leg("leg-v", 0, 60_000, kind="voip")
    story.leg("leg-x", 0, 1_000, let_in=False, identified=False, reason="wrong_code")
    story.ended(120_000)
    story.cancelled(120_000)
    return story.events


EVENTS = one_of_each_type()
ODD: list[Any] = [
    *[None, True, 0, -1, 1.0, 10**30, "", "x", '"', '\\"', "\x00", "\ud800", "\u0663", "a\u200b"],
    *["x" * 512, "x" * 513, [], {}, ["leg.left"], {"a": 1}, "toll_free", "voip", "US", "XX"],
    *["leg-a/1", "leg-a/01", "/1", "leg-a/100", "leg-a/1000001", "1.0", "2026-02-10T14:00:00Z"],
    *["2026-02-30T14:00:00.000Z", "2026-02-10T24:00:00.000Z", "2026-02-10T14:00:00.00\u0661Z"],
    *["2026-02-10 14:00:00.000Z", "1999-02-10T14:00:00.000Z", "2026-02-10T14:00:00,000Z"],
]


def told(read: Any, event: object) -> Fact | tuple[str, str]:
    try:
        fact: Fact = read(event)
    except BadEvent as bad:
        return bad.reason, bad.detail
    return fact


def both_agree(event: object) -> None:
    text = json.dumps(event)
    try:
        parsed = orjson.loads(text)
    except ValueError:
        return  # no JSON: nothing is read
    assert told(parse_fact, text) == told(read_fact, parsed)


def test_what_a_bridge_writes_is_read_at_a_glance() -> None:
    for event in EVENTS:
        glance = module._usual(json.loads(json.dumps(event)))
        nowhere = event["data"].get("session", "") is None
        assert (glance is None) == nowhere, event
        both_agree(event)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    st.sampled_from(EVENTS),
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from([*EVENTS[0], "traceparent", *EVENTS[2]["data"], *EVENTS[-1]["data"]]),
            st.sampled_from([*ODD, ...]),
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_no_glance_accepts_what_a_look_refuses(
    event: Event, changes: list[tuple[bool, str, Any]]
) -> None:
    changed = copy.deepcopy(event)
    for inside, key, value in changes:
        place = changed["data"] if inside and isinstance(changed.get("data"), dict) else changed
        if value is ...:
            place.pop(key, None)
        else:
            place[key] = value
    both_agree(changed)


def test_every_attribute_with_every_odd_value_is_told_alike() -> None:
    for event in EVENTS:
        for inside in (False, True):
            for key in (*event["data"], "name", "charge_code") if inside else (*event, "extra"):
                for value in ODD:
                    changed = copy.deepcopy(event)
                    (changed["data"] if inside else changed)[key] = value
                    both_agree(changed)
