"""An operator chooses between contradictory facts: on record, settled again, adjusted (D14)."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from billing import Billing
from billing.cli import app
from billing.errors import BillingInputError
from billing.times import parse_time_ms
from tests.billing.facts import Event, Story, twice_in_any_order
from tests.billing.test_problems import MINUTE, one_leg, reasons

APRIL_MS = parse_time_ms("2026-04-10T00:00:00Z")


def total(billing: Billing, month: str = "2026-02") -> str:
    return str(billing.invoice("acme", month).total)


def numbers(billing: Billing, reason: str) -> list[int]:
    return [problem.no for problem in billing.problems() if problem.reason == reason]


def left_of(story: Story) -> Event:
    return next(e for e in story.events if e["type"] == "leg.left")


def two_versions() -> tuple[Story, Event]:
    """A leg of a minute, and its end once more: of the same id, after three minutes."""
    story = one_leg()
    story.events[-1]["time"] = "2026-02-10T14:05:00.000Z"
    left = left_of(story)
    data = {**left["data"], "duration_ms": 3 * MINUTE}
    return story, {**left, "time": "2026-02-10T14:03:00.000Z", "data": data}


@pytest.mark.parametrize(("newer", "amount"), [(False, "0.06"), (True, "0.18")])
@pytest.mark.parametrize("batches", [True, False])
def test_the_version_chosen_holds_and_the_other_is_a_duplicate_from_then_on(
    billing: Billing, newer: bool, amount: str, batches: bool
) -> None:
    story, other = two_versions()
    for events in [story.events, [other]] if batches else [[*story.events, other]]:
        billing.ingest(events)
        billing.settle()
    assert total(billing) == "0.00"
    (number,) = numbers(billing, "id_reused")
    (clash,) = billing.clashes(number)
    assert [dict(version.says)["data.duration_ms"] for version in clash.versions] == [
        "60000",
        "180000",
    ]
    billing.choose(number, newer=newer, note="asked the carrier")
    assert (reasons(billing), total(billing)) == ([], amount)
    for events in (twice_in_any_order(story.events, 1), [other, other]):
        report = billing.ingest(events)
        assert (report.accepted, report.problems) == (0, 0)
    assert billing.settle() == 0
    assert billing.replay()[1:] == (0, 0)
    assert (reasons(billing), total(billing)) == ([], amount)
    (decision,) = billing.decisions()
    against = left_of(story) if newer else other
    assert json.loads(decision.event) == against
    assert (decision.fact, decision.note) == ("leg-a/5", "asked the carrier")
    assert decision.what == ("accepted" if newer else "kept")


def test_a_third_version_is_a_problem_again(billing: Billing) -> None:
    story, other = two_versions()
    billing.ingest([*story.events, other])
    billing.choose(numbers(billing, "id_reused")[0], newer=True)
    third = {**other, "data": {**other["data"], "duration_ms": 1_000}}
    assert billing.ingest([third]).problems == 1
    billing.settle()
    assert sorted(reasons(billing)) == ["contradictory_facts", "id_reused"]
    assert total(billing) == "0.00"


def test_two_open_versions_hold_the_leg_until_both_are_decided(billing: Billing) -> None:
    story, other = two_versions()
    third = {**other, "data": {**other["data"], "duration_ms": 2 * MINUTE}}
    billing.ingest([*story.events, other, third])
    billing.settle()
    first, second = numbers(billing, "id_reused")
    held = numbers(billing, "contradictory_facts")[0]
    with pytest.raises(BillingInputError, match=f"decided first: problem {first}, {second}"):
        billing.clashes(held)
    billing.choose(first, newer=True)
    assert total(billing) == "0.00"
    billing.choose(second, newer=False)
    assert (reasons(billing), total(billing)) == ([], "0.18")


@pytest.mark.parametrize(("newer", "amount"), [(False, "0.06"), (True, "0.12")])
def test_of_two_answers_one_is_struck_and_missed_by_nobody(
    billing: Billing, newer: bool, amount: str
) -> None:
    """The newer begins a minute earlier, so that the leg would be of two minutes."""
    story = one_leg()
    left = left_of(story)
    twin = {**left, "id": "leg-a/6", "time": "2026-02-10T14:02:00.000Z"}
    twin["data"] = {**left["data"], "duration_ms": 2 * MINUTE}
    billing.ingest(twice_in_any_order(story.events, 3))
    billing.ingest([twin])
    billing.settle()
    (number,) = numbers(billing, "contradictory_facts")
    (clash,) = billing.clashes(number)
    assert [version.ids for version in clash.versions] == [("leg-a/5",), ("leg-a/6",)]
    billing.choose(number, newer=newer)
    assert (reasons(billing), total(billing)) == ([], amount)
    billing.ingest(twice_in_any_order([*story.events, twin], 4))
    assert billing.settle() == 0
    assert billing.replay()[1:] == (0, 0)
    assert total(billing) == amount
    struck = "leg-a/5" if newer else "leg-a/6"
    assert billing.explain("leg-a").struck == {struck: "struck"}
    assert "(struck)" in billing.explain("leg-a").to_text()


@pytest.mark.parametrize("newer", [False, True])
def test_of_two_places_the_chosen_one_holds_for_all_facts(billing: Billing, newer: bool) -> None:
    story = one_leg()
    moved = next(e for e in story.events if e["type"] == "leg.joined")
    moved["data"] = {**moved["data"], "session": "s2", "occurrence": "s2.o1"}
    elsewhere = Story(session="s2", occurrence="s2.o1")
    elsewhere.organizer(0)
    elsewhere.ended(2 * MINUTE)
    rest = [e for e in story.events if e is not moved]
    billing.ingest([*rest, *elsewhere.events])
    billing.ingest([moved])
    billing.settle()
    (number,) = numbers(billing, "contradictory_facts")
    (clash,) = billing.clashes(number)
    assert [dict(v.says)["session"] for v in clash.versions] == ["s1", "s2"]
    billing.choose(number, newer=newer)
    assert reasons(billing) == []
    line = billing.invoice("acme", "2026-02").of("usage")[0]
    assert (line.session, line.amount_micros) == ("s2" if newer else "s1", 60_000)
    assert billing.replay()[1:] == (0, 0)


def test_a_leg_whose_chosen_place_is_still_going_on_is_no_problem_any_more(
    billing: Billing,
) -> None:
    story = one_leg()
    left = left_of(story)
    left["data"] = {**left["data"], "session": "s2", "occurrence": "s2.o1"}
    billing.ingest(story.events)
    billing.settle()
    billing.choose(numbers(billing, "contradictory_facts")[0], newer=True)
    assert (reasons(billing), total(billing)) == ([], "0.00")
    assert "not final" in billing.explain("leg-a").to_text()
    elsewhere = Story(session="s2", occurrence="s2.o1")
    elsewhere.organizer(0)
    elsewhere.ended(2 * MINUTE)
    billing.ingest(elsewhere.events)
    billing.settle()
    assert (reasons(billing), total(billing)) == ([], "0.06")


def test_a_contradiction_of_the_occurrence_is_decided_for_all_its_legs(billing: Billing) -> None:
    story = one_leg()
    story.leg("leg-b", 0, MINUTE)
    story.fact("session.started", 1_000, by="leg-org")
    story.events[-1]["data"]["session"] = "s9"
    billing.ingest(story.events)
    billing.settle()
    held = numbers(billing, "contradictory_facts")
    assert len(held) == 2
    billing.choose(held[1], newer=False)
    assert (reasons(billing), total(billing)) == ([], "0.12")


def test_a_decision_after_finalizing_becomes_an_adjustment(billing: Billing) -> None:
    story, other = two_versions()
    billing.ingest(story.events)
    billing.settle()
    first = billing.finalize("acme", "2026-02", at_ms=APRIL_MS)[0]
    assert str(first.total) == "0.06"
    billing.ingest([other])
    billing.settle()
    billing.choose(numbers(billing, "id_reused")[0], newer=True)
    march = billing.finalize("acme", "2026-03", at_ms=APRIL_MS)[0]
    (line,) = march.of("adjustment")
    assert (str(march.total), line.working) == ("0.12", "0.18 due - 0.06 invoiced")
    assert str(billing.invoice("acme", "2026-02").total) == "0.06"


def test_what_leaves_no_choice_is_refused(billing: Billing) -> None:
    billing.ingest(one_leg(country="BR").events)
    billing.settle()
    (number,) = numbers(billing, "no_rate")
    with pytest.raises(BillingInputError, match="'no_rate' is none"):
        billing.choose(number, newer=True)
    with pytest.raises(BillingInputError, match="an open problem"):
        billing.clashes(99)
    billing.dismiss_problem(number, note="test call")
    (decision,) = billing.decisions()
    assert (decision.what, decision.fact, decision.note) == ("dismissed", "leg-a", "test call")


def test_a_fact_that_changed_its_subject_can_only_be_kept(billing: Billing) -> None:
    story = one_leg()
    odd = {**left_of(story), "type": "session.cancelled"}
    odd["data"] = {"session": "s1", "account": "acme", "occurrence": "leg-a"}
    billing.ingest([*story.events, odd])
    (number,) = numbers(billing, "id_reused")
    with pytest.raises(BillingInputError, match="older version kept"):
        billing.choose(number, newer=True)
    billing.choose(number, newer=False)
    assert (reasons(billing), total(billing)) == ([], "0.06")


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["problems", *words])


def test_the_command_shows_both_and_takes_one(sqlite_url: str, tmp_path: Path) -> None:
    from tests.billing.conftest import ACME, C1

    story, other = two_versions()
    with Billing(sqlite_url) as opened:
        opened.configure([C1], [ACME])
        opened.ingest([*story.events, other])
    where = ("--store", sqlite_url)
    listed = run(*where, "--json")
    assert listed.exit_code == 1
    number = next(p["no"] for p in json.loads(listed.stdout) if p["reason"] == "id_reused")
    shown = run(*where, "--show", str(number))
    assert shown.exit_code == 0
    assert "data.duration_ms" in shown.stdout
    assert [line.split() for line in shown.stdout.splitlines()][1] == ["older", "newer"]
    assert run(*where, "--show", str(number), "--keep", str(number)).exit_code == 2
    done = run(*where, "--accept", str(number), "--note", "the carrier says so")
    assert (done.exit_code, done.stdout) == (0, "no problems\n")
    assert "accepted leg-a/5, the carrier says so" in run(*where, "--decided").stdout
    assert json.loads(run(*where, "--decided", "--json").stdout)[0]["what"] == "accepted"
