"""Finalized months never change; what comes later is a line of the next invoice (D14, D15)."""

import threading
from pathlib import Path

import pytest

from billing import AccountConfig, Billing, BillingSettings, ContractConfig
from billing.errors import (
    BillingInputError,
    ConfigConflict,
    MissingFactor,
    MonthNotOver,
    SeveralSellers,
)
from billing.settings import SinkConfig
from billing.times import parse_time_ms
from tests.billing.conftest import ACME, C1
from tests.billing.facts import Story
from tests.billing.test_bills import b1

MINUTE = 60_000


def late_leg(minutes: int = 4) -> Story:
    story = Story(session="s2", occurrence="s2.late", begins="2026-02-20T15:00:00.000Z")
    story.organizer(0)
    story.leg("leg-late", 0, minutes * MINUTE)
    story.ended(minutes * MINUTE)
    return story


def march() -> Story:
    story = Story(session="s3", occurrence="s3.march", begins="2026-03-20T15:00:00.000Z")
    story.organizer(0)
    story.leg("leg-march", 0, 10 * MINUTE)
    story.ended(10 * MINUTE)
    return story


def test_a_late_fact_is_an_adjustment_on_the_next_invoice(billing: Billing) -> None:
    billing.ingest(b1().events)
    before = billing.finalize("acme", "2026-02")[0].to_dict()
    billing.ingest(late_leg().events)
    billing.ingest(march().events)
    billing.settle()
    after = billing.invoice("acme", "2026-02")
    assert after.to_dict() == before
    draft = billing.invoice("acme", "2026-03")
    assert [(a.leg, a.month, a.amount_micros) for a in draft.of("adjustment")] == [
        ("leg-late", 202602, 240_000)
    ]
    assert str(draft.total) == "0.84"
    final = billing.finalize("acme", "2026-03")[0]
    assert final.to_dict()["adjustments"] == draft.to_dict()["adjustments"]
    assert billing.invoice("acme", "2026-02").status == "adjusted"
    assert billing.invoice("acme", "2026-04").of("adjustment") == []
    assert billing.finalize("acme", "2026-03") == [final]


def test_what_was_charged_too_much_is_given_back(billing: Billing) -> None:
    """A contradiction that comes to light after finalization takes the charge back."""
    story = b1()
    billing.ingest(story.events)
    billing.finalize("acme", "2026-02")
    twin = next(e for e in story.events if e["id"] == "leg-a/1")
    billing.ingest([{**twin, "id": "leg-a/6", "time": "2026-02-10T14:05:00.000Z"}])
    billing.settle()
    draft = billing.invoice("acme", "2026-03")
    assert [(a.leg, a.amount_micros) for a in draft.of("adjustment")] == [("leg-a", -600_000)]
    assert str(draft.total) == "-0.60"


def test_ovi_usf_is_adjusted_with_its_charges(billing: Billing) -> None:
    billing.configure([], [AccountConfig(id="acme", contract="ovi", product="ovi")])
    billing.ingest(b1(anis=("+12125550111", "+13125550111", "+14155550111")).events)
    assert str(billing.finalize("acme", "2026-02")[0].total) == "3.75"
    billing.ingest(late_leg(10).events)
    billing.settle()
    amounts = {a.key: a.amount_micros for a in billing.invoice("acme", "2026-03").of("adjustment")}
    assert amounts.pop("usf:2026Q1") == 370_000  # 37.6 % of 3.00 is 1.12; 0.75 was invoiced
    assert list(amounts.values()) == [1_000_000]


def test_numbers_have_no_gaps_for_each_seller(billing: Billing) -> None:
    accounts = [ACME.model_copy(update={"id": name}) for name in ("a1", "a2", "a3")]
    accounts.append(AccountConfig(id="o1", contract="ovi", product="ovi"))
    billing.configure([], accounts)
    for account in accounts:
        story = b1(account.id)
        for event in story.events:
            event["source"] = f"/tollbridge/{account.id}"
        billing.ingest(story.events)
    found = billing.close_due(at_ms=parse_time_ms("2026-03-10T00:00:00Z"))
    assert [i.number for i in found] == ["EU-000001", "EU-000002", "EU-000003", "EA-000001"]
    assert billing.close_due(at_ms=parse_time_ms("2026-03-10T00:00:00Z")) == []


def test_months_close_by_themselves_after_the_grace_period(billing: Billing) -> None:
    billing.configure([], [], BillingSettings(grace_days=5))
    billing.ingest(b1().events)
    assert billing.close_due(at_ms=parse_time_ms("2026-03-06T04:59:59Z")) == []
    assert len(billing.close_due(at_ms=parse_time_ms("2026-03-06T05:00:00Z"))) == 1


def test_a_month_that_is_not_over_or_not_next_is_refused(billing: Billing) -> None:
    billing.ingest([*b1().events, *march().events])
    with pytest.raises(MonthNotOver, match="not over"):
        billing.finalize("acme", "2026-02", at_ms=parse_time_ms("2026-03-01T04:59:59Z"))
    with pytest.raises(MonthNotOver, match="finalize 2026-02 first"):
        billing.finalize("acme", "2026-03")
    assert billing.finalize("acme", "2026-01") == []


def test_two_processes_finalizing_at_once_make_one_invoice(
    billing: Billing, store_url: str
) -> None:
    billing.ingest(b1().events)
    numbers: list[str | None] = []

    def close() -> None:
        with Billing(store_url) as other:
            numbers.extend(i.number for i in other.finalize("acme", "2026-02"))

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers == ["EU-000001"] * 4
    assert len(billing.invoice("acme", "2026-02").lines) == 3


def test_two_processes_ingesting_and_settling_at_once_bill_once(
    billing: Billing, store_url: str
) -> None:
    events = [*b1().events, *late_leg().events]
    for index in range(30):
        story = Story(session=f"s{index}", occurrence=f"s{index}.x")
        story.organizer(0)
        story.leg(f"leg-{index}", 0, MINUTE)
        story.ended(MINUTE)
        events += story.events

    def work(order: int) -> None:
        with Billing(store_url) as other:
            for event in events[::order]:
                other.ingest([event])
                other.settle()

    threads = [threading.Thread(target=work, args=(order,)) for order in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    invoice = billing.invoice("acme", "2026-02")
    assert len(invoice.of("usage")) == 34
    assert str(invoice.total) == "3.84"
    assert billing.replay() == (len(events), 0, 0)
    stream = list(billing.export())
    assert len({event["id"] for event in stream}) == len(stream)


def test_an_undated_change_after_finalization_is_refused(billing: Billing) -> None:
    billing.ingest(b1().events)
    billing.finalize("acme", "2026-02")
    dearer = C1.model_copy(update={"toll_free": {"US": "0.10"}})
    with pytest.raises(ConfigConflict, match="2026-02 is invoiced"):
        billing.configure([dearer], [])
    assert str(billing.invoice("acme", "2026-02").total) == "1.80"
    billing.configure([], [ACME.model_copy(update={"name": "Acme, Inc.", "language": "fr"})])
    billing.configure([C1.model_copy(update={"toll_free": {**C1.toll_free, "GB": "0.05"}})], [])


def test_a_dated_change_of_rates_in_a_finalized_month_is_adjusted(billing: Billing) -> None:
    billing.ingest(b1().events)
    billing.finalize("acme", "2026-02")
    dearer = C1.model_copy(update={"toll_free": {"US": "0.10"}, "valid_from": "2026-02-05"})
    billing.configure([dearer], [])
    billing.settle()
    draft = billing.invoice("acme", "2026-03")
    assert sum(a.amount_micros for a in draft.of("adjustment")) == 1_200_000


def test_migration_by_api_is_on_record_and_splits_a_running_leg(billing: Billing) -> None:
    billing.configure(
        [], [AccountConfig(id="acme", contract="ovi", product="ovi", time_zone="America/New_York")]
    )
    billing.migrate("acme", "2026-02-10", product="integrated", contract="c1")
    story = Story(begins="2026-02-10T04:50:00.000Z")
    story.organizer(0)
    story.leg("leg-a", 0, 20 * MINUTE)
    story.ended(21 * MINUTE)
    billing.ingest(story.events)
    billing.settle()
    totals = {i.label: str(i.total) for i in billing.invoices("acme", "2026-02")}
    assert totals == {"OpenVoice Integrated": "1.37", "Toll-Free and Call Me": "0.60"}
    with pytest.raises(SeveralSellers):
        billing.invoice("acme", "2026-02")
    assert [i.number for i in billing.finalize("acme", "2026-02")] == ["EA-000001", "EU-000001"]
    history = billing.history("acme")
    assert [v["product"] for v in history] == ["ovi", "integrated"]
    assert history[1]["valid_from"] == "2026-02-10T05:00:00.000Z"
    assert history[1]["note"] == "migrated contract, product"
    with pytest.raises(BillingInputError, match="the last change"):
        billing.migrate("acme", "2026-02-09", product="ovi")


def test_a_migration_after_the_facts_settles_them_again(billing: Billing) -> None:
    billing.configure([], [AccountConfig(id="acme", contract="ovi", product="ovi")])
    billing.ingest(b1().events)
    billing.settle()
    assert billing.invoice("acme", "2026-02").label == "OpenVoice Integrated"
    billing.migrate("acme", "2026-02-10T14:06:00Z", product="integrated", contract="c1")
    assert billing.settle() == 3  # the organizer's free leg began before
    audio, usa = billing.invoices("acme", "2026-02")
    assert [line.billed_seconds for line in audio.of("usage")] == [300, 300, 300]
    assert [line.billed_seconds for line in usa.of("usage")] == [300, 300, 300]


def test_a_monthly_minimum_is_topped_up_and_closes_without_usage(billing: Billing) -> None:
    minimum = ContractConfig(
        id="m", currency="USD", toll_free={"*": "0.06"}, monthly_minimum="5.00"
    )
    billing.configure([minimum], [AccountConfig(id="acme", contract="m")])
    billing.ingest(b1().events)
    found = billing.close_due(at_ms=parse_time_ms("2026-04-10T00:00:00Z"))
    assert [(i.month, str(i.total)) for i in found] == [(202602, "5.00"), (202603, "5.00")]
    assert found[0].of("minimum")[0].working == "monthly minimum 5.00 - 1.80 used"


def test_tending_does_all_that_is_due(billing: Billing, tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    sink = SinkConfig(id="f", type="file", target=str(out))
    billing.configure([], [], BillingSettings(sinks=(sink,)))
    billing.ingest(b1().events)
    assert billing.tend(at_ms=parse_time_ms("2026-02-20T00:00:00Z")) == []
    assert len(out.read_text().splitlines()) == 4
    closed = billing.tend(at_ms=parse_time_ms("2026-03-10T00:00:00Z"))
    assert [str(i.total) for i in closed] == ["1.80"]
    assert billing.tend(at_ms=parse_time_ms("2026-03-10T00:00:00Z")) == []


def test_a_missing_tax_factor_holds_up_its_own_account_only(
    billing: Billing, tmp_path: Path
) -> None:
    """The FCC's factor of a new quarter has to be configured; until then others are billed."""
    file = tmp_path / "stream.jsonl"
    billing.configure(
        [],
        [
            AccountConfig(id="acme", contract="c1", product="ovi"),
            AccountConfig(id="zeta", contract="c1"),
        ],
        BillingSettings(sinks=(SinkConfig(id="out", type="file", target=str(file)),)),
    )
    for account in ("acme", "zeta"):
        story = Story(
            begins="2026-04-01T12:00:00.000Z",
            account=account,
            session=account,
            occurrence=f"{account}.o1",
        )
        story.organizer(0)
        story.leg(f"leg-{account}", 0, 60_000)
        story.ended(60_000)
        billing.ingest(story.events)
    due = parse_time_ms("2026-05-10T00:00:00Z")
    with pytest.raises(MissingFactor, match="2026Q2"):
        billing.tend(at_ms=due)
    assert [one.status for one in billing.invoices("zeta", "2026-04")] == ["finalized"]
    assert file.exists(), "and the sinks are fed"
    billing.configure([], [], BillingSettings(usf_factors={"2026Q2": "40"}))
    (late,) = billing.close_due(at_ms=due)
    assert (late.account.id, late.status) == ("acme", "finalized")
