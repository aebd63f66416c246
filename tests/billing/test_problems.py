"""Bad input is set aside with a reason, never charged, never lost (issue 3, bad input)."""

import json
from typing import Any

import pytest

from billing import AccountConfig, Billing
from tests.billing.conftest import C1
from tests.billing.facts import Event, Story, event
from tests.billing.test_bills import b1

MINUTE = 60_000


def one_leg(**leg: Any) -> Story:
    story = Story()
    story.organizer(0)
    story.leg("leg-a", 0, MINUTE, **leg)
    story.ended(2 * MINUTE)
    return story


def reasons(billing: Billing) -> list[str]:
    return [problem.reason for problem in billing.problems()]


GOOD = b1().events[0]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (7, "not_an_event"),
        ({}, "missing_attribute"),
        ({**GOOD, "specversion": "0.3"}, "bad_specversion"),
        ({**GOOD, "type": "leg.sang"}, "unknown_type"),
        ({**GOOD, "type": ["leg.left"]}, "unknown_type"),
        ({**GOOD, "id": "leg-org"}, "bad_id"),
        ({**GOOD, "id": "leg-org/0"}, "bad_id"),
        ({**GOOD, "id": "leg-org/01"}, "bad_id"),
        ({**GOOD, "id": "leg-org/9999999"}, "bad_id"),
        ({**GOOD, "id": "leg-other/1"}, "bad_id"),
        ({**GOOD, "id": "leg-org/\u0663"}, "bad_id"),
        ({**GOOD, "subject": "leg-other"}, "bad_id"),
        ({**GOOD, "id": 5}, "bad_data"),
        ({**GOOD, "source": "x" * 513}, "bad_data"),
        ({**GOOD, "source": "nul\x00"}, "bad_data"),
        ({**GOOD, "source": "half\ud800"}, "bad_data"),
        ({**GOOD, "time": "yesterday"}, "bad_time"),
        ({**GOOD, "time": "2026-02-10T14:00:00"}, "bad_time"),
        ({**GOOD, "time": "2026-02-30T14:00:00Z"}, "bad_time"),
        ({**GOOD, "time": "1970-01-01T00:00:00Z"}, "bad_time"),
        ({**GOOD, "time": 1_770_000_000}, "bad_time"),
        ({**GOOD, "data": "text"}, "bad_data"),
        ({**GOOD, "data": {**GOOD["data"], "kind": "fax"}}, "unknown_kind"),
        (
            {**GOOD, "data": {**GOOD["data"], "kind": "toll_free", "country": "XX"}},
            "unknown_country",
        ),
        ({**GOOD, "data": {**GOOD["data"], "kind": "toll", "country": ""}}, "unknown_country"),
        ({**GOOD, "data": {**GOOD["data"], "direction": "sideways"}}, "bad_data"),
        ({**GOOD, "data": {**GOOD["data"], "ani": None}}, "bad_data"),
        ({**GOOD, "data": {**GOOD["data"], "name": 5}}, "bad_data"),
        ({**GOOD, "data": {**GOOD["data"], "x": "y" * 20_000}}, "bad_data"),
        ({**GOOD, "data": {**GOOD["data"], "x": "\x00"}}, "bad_data"),
        ({**GOOD, "data": {**GOOD["data"], "x": {1, 2}}}, "bad_data"),
    ],
)
def test_what_cannot_be_a_fact_is_set_aside_once(billing: Billing, bad: Any, reason: str) -> None:
    for _ in range(2):
        assert billing.ingest([bad]).problems == 1
    assert reasons(billing) == [reason]
    assert billing.settle() == 0


@pytest.mark.parametrize("duration", [-1, 1.5, "60000", True, None, 10**12, 10**30])
def test_a_duration_that_cannot_be_is_set_aside(billing: Billing, duration: object) -> None:
    story = one_leg()
    left = next(e for e in story.events if e["type"] == "leg.left")
    left["data"]["duration_ms"] = duration
    assert billing.ingest(story.events).problems == 1
    assert reasons(billing) in (["bad_duration"], ["bad_data"])
    assert billing.settle() == 0  # the leg has not left
    assert str(billing.invoice("acme", "2026-02").total) == "0.00"


def test_text_that_is_not_json_is_set_aside(billing: Billing) -> None:
    lines: list[str | bytes] = [b"{", b"\xff\xfe", "[" * 100_000, json.dumps(GOOD), '{"data": NaN}']
    report = billing.ingest_lines(lines)
    assert (report.accepted, report.problems) == (1, 4)
    assert set(reasons(billing)) == {"not_json"}


def held(billing: Billing, events: list[Event]) -> list[str]:
    billing.ingest(events)
    billing.settle()
    assert billing.invoice("acme", "2026-02").of("usage") == []
    assert billing.settle() == 0
    return reasons(billing)


def test_a_leg_that_ends_before_it_begins_is_set_aside(billing: Billing) -> None:
    story = one_leg()
    left = next(e for e in story.events if e["type"] == "leg.left")
    left["time"] = "2026-02-10T13:59:00.000Z"
    assert held(billing, story.events) == ["ends_before_it_begins"]


def test_a_leg_longer_than_its_own_times_is_set_aside(billing: Billing) -> None:
    story = one_leg()
    left = next(e for e in story.events if e["type"] == "leg.left")
    left["data"]["duration_ms"] = MINUTE + 1
    assert held(billing, story.events) == ["longer_than_its_times"]


def test_a_leg_noticed_late_is_billed_to_its_last_packet(billing: Billing) -> None:
    """D12: the fact may come later than the end it tells."""
    story = one_leg()
    left = next(e for e in story.events if e["type"] == "leg.left")
    left["data"]["duration_ms"] = 31_000
    billing.ingest(story.events)
    billing.settle()
    line = billing.invoice("acme", "2026-02").of("usage")[0]
    assert (line.billed_seconds, line.billable_seconds) == (60, 31)


def test_a_clock_that_went_back_is_set_aside(billing: Billing) -> None:
    story = one_leg()
    joined = next(e for e in story.events if e["type"] == "leg.joined")
    joined["time"] = "2026-02-10T13:00:00.000Z"
    assert held(billing, story.events) == ["clock_went_back"]


@pytest.mark.parametrize("first", [0, 1])
def test_contradictory_facts_are_set_aside_in_either_order(billing: Billing, first: int) -> None:
    story = one_leg()
    answered = next(e for e in story.events if e["type"] == "leg.answered")
    twin = {**answered, "id": "leg-a/6", "time": "2026-02-10T14:00:30.000Z"}
    pair = [answered, twin]
    rest = [e for e in story.events if e is not answered]
    billing.ingest([pair[first]])
    assert held(billing, [*rest, pair[1 - first]]) == ["contradictory_facts"]


@pytest.mark.parametrize("batches", [True, False])
def test_an_id_used_twice_is_set_aside_until_somebody_decides(
    billing: Billing, batches: bool
) -> None:
    story = one_leg()
    left = next(e for e in story.events if e["type"] == "leg.left")
    other = {**left, "data": {**left["data"], "duration_ms": 1}}
    if batches:
        billing.ingest(story.events)
        billing.settle()
        assert str(billing.invoice("acme", "2026-02").total) == "0.06"
        report = billing.ingest([other])
    else:
        report = billing.ingest([*story.events, other])
    assert report.problems == 1
    billing.settle()
    assert sorted(reasons(billing)) == ["contradictory_facts", "id_reused"]
    assert str(billing.invoice("acme", "2026-02").total) == "0.00"
    number = next(p.no for p in billing.problems() if p.reason == "id_reused")
    billing.dismiss_problem(number)
    assert billing.problems() == []
    assert str(billing.invoice("acme", "2026-02").total) == "0.06"


@pytest.mark.parametrize("missing", range(8))
def test_a_leg_with_a_fact_missing_is_never_charged_wrongly(billing: Billing, missing: int) -> None:
    story = one_leg()
    story.fact("session.cancelled", 3 * MINUTE, by="api")
    lost = story.events.pop(missing)
    billing.ingest(story.events)
    billing.settle()
    if lost["type"] not in ("leg.left", "session.cancelled", "session.ended"):
        assert reasons(billing) == ["missing_facts"]
    if lost["type"] != "session.cancelled":
        assert str(billing.invoice("acme", "2026-02").total) == "0.00"
    billing.ingest([lost])
    billing.settle()
    assert billing.problems() == []
    assert str(billing.invoice("acme", "2026-02").total) == "0.06"


def test_an_unknown_account_waits_until_it_is_configured(billing: Billing) -> None:
    billing.ingest(b1("newco").events)
    billing.settle()
    assert reasons(billing) == ["unknown_account"] * 4
    assert billing.retry_problems().accepted == 0
    assert reasons(billing) == ["unknown_account"] * 4
    billing.configure([], [AccountConfig(id="newco", contract="c1")])
    billing.settle()
    assert billing.problems() == []
    assert str(billing.invoice("newco", "2026-02").total) == "1.80"


def test_a_country_without_a_rate_waits_until_it_has_one(billing: Billing) -> None:
    billing.ingest(one_leg(country="BR").events)
    billing.settle()
    assert reasons(billing) == ["no_rate"]
    billing.configure([C1.model_copy(update={"toll_free": {**C1.toll_free, "BR": "0.50"}})], [])
    billing.settle()
    assert billing.problems() == []
    assert str(billing.invoice("acme", "2026-02").total) == "0.50"


def test_a_dismissed_problem_stays_uncharged(billing: Billing) -> None:
    billing.ingest(one_leg(country="BR").events)
    billing.settle()
    problem = billing.problems()[0]
    assert (problem.leg, problem.reason) == ("leg-a", "no_rate")
    billing.dismiss_problem(problem.no)
    assert billing.problems() == []
    assert str(billing.invoice("acme", "2026-02").total) == "0.00"
    assert "set aside: no_rate" in billing.explain("leg-a").to_text()


def test_a_leg_nobody_knows_is_not_admitted_and_on_no_invoice(billing: Billing) -> None:
    story = Story()
    story.leg("leg-x", 0, MINUTE, identified=False, let_in=False, reason="wrong_code")
    billing.ingest(story.events)
    assert billing.settle() == 1
    assert billing.explain("leg-x").parts[0]["reason"] == "not_admitted"
    assert billing.invoice("acme", "2026-02").free == ()


def test_a_call_me_that_rang_in_vain_costs_nothing(billing: Billing) -> None:
    left = {"leg": "leg-r", "reason": "not_accepted", "duration_ms": 0}
    place = {"session": None, "account": None, "occurrence": None}
    billing.ingest([event("leg-r", 1, "leg.left", 1_770_732_000_000, **left, **place)])
    assert billing.settle() == 1
    assert billing.explain("leg-r").parts[0]["reason"] == "not_answered"
    assert billing.problems() == []
