"""The bills worked by hand (domain.md B1-B12), from facts alone, in any order, each twice."""

import json

import pytest

from billing import AccountConfig, Billing, Invoice
from tests.billing.conftest import C1, OVI
from tests.billing.facts import Event, Story, twice_in_any_order

MINUTE = 60_000


def bill(billing: Billing, events: list[Event], seed: int, month: str = "2026-02") -> Invoice:
    """Settle in two halves and once more, as a live bridge and a replay would."""
    shuffled = twice_in_any_order(events, seed)
    half = len(shuffled) // 2
    first = billing.ingest(shuffled[:half])
    billing.settle()
    second = billing.ingest(shuffled[half:])
    billing.settle()
    assert first.accepted + second.accepted == len(events)
    assert first.problems + second.problems == 0
    assert billing.settle() == 0
    return billing.invoice("acme", month)


def minutes(invoice: Invoice) -> dict[str, int]:
    found: dict[str, int] = json.loads(invoice.to_json())["billed_minutes"]
    return found


def free(invoice: Invoice) -> dict[tuple[str, str], int]:
    return {(group.reason, group.kind): group.legs for group in invoice.free}


seeds = pytest.mark.parametrize("seed", range(5))


def b1(account: str = "acme", *, anis: tuple[str, str, str] = ("+12125550111",) * 3) -> Story:
    story = Story(account=account)
    story.leg("leg-org", 0, 11 * MINUTE, kind="voip", role="organizer")
    story.organizer(0)
    story.started(0)
    for name, ani in zip("abc", anis, strict=True):
        story.leg(f"leg-{name}", MINUTE, 11 * MINUTE, ani=ani)
    story.ended(11 * MINUTE)
    return story


@seeds
def test_b1_three_toll_free_legs_of_ten_minutes_use_thirty(billing: Billing, seed: int) -> None:
    invoice = bill(billing, b1().events, seed)
    assert str(invoice.total) == "1.80"
    assert minutes(invoice) == {"toll_free": 30}
    assert free(invoice) == {("included", "voip"): 1}
    assert invoice.seller.name == "Example USA, Inc."
    assert invoice.label == "Toll-Free and Call Me"


@seeds
def test_b2_a_cancelled_session_nobody_started_costs_nothing(billing: Billing, seed: int) -> None:
    story = Story()
    story.leg("leg-a", 0, 5 * MINUTE, reason="waiting_timeout")
    story.leg("leg-b", 0, 5 * MINUTE, reason="waiting_timeout")
    story.cancelled(6 * MINUTE)
    invoice = bill(billing, story.events, seed)
    assert str(invoice.total) == "0.00"
    assert minutes(invoice) == {}
    assert free(invoice) == {("never_started", "toll_free"): 2}


def joined_never_started(organizer: str) -> Story:
    story = Story()
    story.leg("leg-ann", 0, 5 * MINUTE, reason="waiting_timeout")
    story.leg("leg-org", 4 * MINUTE, 6 * MINUTE, kind=organizer, role="organizer")
    story.organizer(4 * MINUTE)
    story.cancelled(7 * MINUTE)
    return story


@seeds
def test_b3_an_organizer_who_joins_makes_waiting_billable(billing: Billing, seed: int) -> None:
    invoice = bill(billing, joined_never_started("toll_free").events, seed)
    assert str(invoice.total) == "0.42"
    assert minutes(invoice) == {"toll_free": 7}


@seeds
def test_b4_also_when_the_organizer_is_on_voip(billing: Billing, seed: int) -> None:
    invoice = bill(billing, joined_never_started("voip").events, seed)
    assert str(invoice.total) == "0.30"
    assert minutes(invoice) == {"toll_free": 5}


@seeds
def test_b5_sixty_one_seconds_are_two_minutes_and_toll_is_free(billing: Billing, seed: int) -> None:
    story = Story()
    story.leg("leg-org", 0, 30 * MINUTE, kind="voip", role="organizer")
    story.organizer(0)
    story.leg("leg-a", 0, 61_000)
    story.leg("leg-b", 0, 20 * MINUTE, kind="toll", country="FR")
    story.ended(30 * MINUTE)
    invoice = bill(billing, story.events, seed)
    assert str(invoice.total) == "0.12"
    assert minutes(invoice) == {"toll_free": 2}
    assert free(invoice) == {("included", "voip"): 1, ("carrier_billed", "toll"): 1}


@seeds
def test_b6_part_seconds_are_dropped_and_each_country_has_its_rate(
    billing: Billing, seed: int
) -> None:
    story = Story()
    story.organizer(0)
    story.leg("leg-fr", 0, 600_900, country="FR")
    story.leg("leg-de", 0, 599_999, country="DE")
    story.ended(11 * MINUTE)
    invoice = bill(billing, story.events, seed)
    assert str(invoice.total) == "1.70"
    assert {line.leg: (line.billed_seconds, line.amount_micros) for line in invoice.lines} == {
        "leg-fr": (600, 900_000),
        "leg-de": (600, 800_000),
    }


JURISDICTIONS = ("+12125550111", "+13125550111", "+14155550111")


@seeds
def test_b7_ovi_has_a_usf_line_on_interstate_charges(billing: Billing, seed: int) -> None:
    billing.configure([], [AccountConfig(id="acme", contract="ovi", product="ovi")])
    invoice = bill(billing, b1(anis=JURISDICTIONS).events, seed)
    document = json.loads(invoice.to_json())
    assert document["total"] == "3.75"
    assert document["subtotal"] == "3.00"
    assert [(tax["tax"], tax["amount"]) for tax in document["taxes"]] == [("usf", "0.75")]
    assert minutes(invoice) == {"toll_free": 30}
    assert document["seller"] == "Example Audio LLC"
    assert document["label"] == "OpenVoice Integrated"


@seeds
def test_b8_the_integrated_product_has_none(billing: Billing, seed: int) -> None:
    billing.configure([], [AccountConfig(id="acme", contract="ovi", product="integrated")])
    invoice = bill(billing, b1(anis=JURISDICTIONS).events, seed)
    assert str(invoice.total) == "3.00"
    assert invoice.of("tax") == []


@seeds
def test_b9_a_leg_over_a_month_end_is_split_there(billing: Billing, seed: int) -> None:
    story = Story(begins="2026-03-01T04:58:30.000Z")  # 23:58:30 on 28 February in New York
    story.organizer(0)
    story.leg("leg-a", 0, 5 * MINUTE)
    story.ended(6 * MINUTE)
    february = bill(billing, story.events, seed)
    march = billing.invoice("acme", "2026-03")
    assert (str(february.total), minutes(february)) == ("0.12", {"toll_free": 2})
    assert (str(march.total), minutes(march)) == ("0.18", {"toll_free": 3})


@seeds
def test_b10_an_answering_machine_never_accepts_and_costs_nothing(
    billing: Billing, seed: int
) -> None:
    story = Story()
    story.organizer(0)
    story.leg(
        "leg-a",
        25_000,
        65_000,
        kind="call_me",
        direction="outbound",
        let_in=False,
        reason="not_accepted",
    )
    story.ended(5 * MINUTE)
    invoice = bill(billing, story.events, seed)
    assert str(invoice.total) == "0.00"
    assert free(invoice) == {("not_accepted", "call_me"): 1}


@seeds
def test_b11_call_me_is_charged_from_the_callees_answer(billing: Billing, seed: int) -> None:
    story = Story()
    story.organizer(0)
    story.leg("leg-a", 25_000, 25_000 + 185_000, kind="call_me", direction="outbound")
    story.ended(5 * MINUTE)
    invoice = bill(billing, story.events, seed)
    assert str(invoice.total) == "0.28"
    assert minutes(invoice) == {"call_me": 4}


@seeds
def test_b12_a_migrated_month_has_one_invoice_for_each_seller(billing: Billing, seed: int) -> None:
    billing.configure(
        [C1, OVI],
        [
            AccountConfig(id="acme", contract="ovi", product="ovi", time_zone="America/New_York"),
            AccountConfig(
                id="acme",
                contract="c1",
                product="integrated",
                time_zone="America/New_York",
                valid_from="2026-02-10",
            ),
        ],
    )
    story = Story(begins="2026-02-10T04:50:00.000Z")
    story.organizer(0)
    story.leg("leg-a", 0, 20 * MINUTE)
    story.ended(21 * MINUTE)
    for seller, total, seconds, tax in (
        ("audio", "1.37", 600, "0.37"),
        ("usa", "0.60", 600, "0.00"),
    ):
        with_seed = twice_in_any_order(story.events, seed)
        billing.ingest(with_seed)
        billing.settle()
        invoice = billing.invoice("acme", "2026-02", seller)
        document = json.loads(invoice.to_json())
        assert document["total"] == total
        assert document["tax"] == tax
        assert [line["billed_seconds"] for line in document["lines"]] == [seconds]
    assert len(billing.invoices("acme", "2026-02")) == 2
