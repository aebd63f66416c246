"""Rate cards: longest match, tiers, included minutes, connect fee, currencies (issue 3, item 2)."""

from typing import Any

import pytest
from pydantic import ValidationError

from billing import AccountConfig, Billing, ContractConfig, Invoice
from billing.cards import compile_card
from billing.money import amount_text, half_up, minutes_text, parse_micros, plain_text, rounded
from billing.rating import MonthMeter
from tests.billing.facts import Story

MINUTE = 60_000


def contract(**changes: Any) -> ContractConfig:
    values = {"id": "c1", "currency": "USD", "toll_free": {"US": "0.06"}, **changes}
    return ContractConfig.model_validate(values)


def bill(billing: Billing, card: ContractConfig, *minutes: int, country: str = "US") -> Invoice:
    billing.configure([card], [AccountConfig(id="acme", contract=card.id)])
    story = Story()
    story.organizer(0)
    for index, length in enumerate(minutes):
        start = index * 1_000
        story.leg(f"leg-{index}", start, start + length * MINUTE, country=country)
    story.ended(1_000 * MINUTE)
    billing.ingest(story.events)
    billing.settle()
    return billing.invoice("acme", "2026-02")


def amounts(invoice: Invoice) -> list[int]:
    return [line.amount_micros for line in invoice.of("usage")]


def test_the_longest_match_wins() -> None:
    card = compile_card(
        contract(toll_free={"*": "1", "GB": "2", "+44": "3", "+4420": "4", "+442079": "5"})
    )

    def key(number: str, country: str = "GB") -> str | None:
        return card.rate_key("toll_free", country, number)

    assert key("+442079460000") == "+442079"
    assert key("+442012345678") == "+4420"
    assert key("+441612345678") == "+44"
    assert key("08001234567") == "GB"
    assert key("+33142685300", "FR") == "*"
    assert compile_card(contract()).rate_key("toll_free", "FR", "+33142685300") is None
    assert compile_card(contract()).rate_key("call_me", "US", "+12125550111") is None


def test_graduated_tiers_count_the_months_minutes(billing: Billing) -> None:
    rate = {
        "rate": "0.10",
        "tiers": [{"above_minutes": 10, "rate": "0.05"}, {"above_minutes": 30, "rate": "0.01"}],
    }
    invoice = bill(billing, contract(toll_free={"US": rate}), 8, 8, 30)
    assert amounts(invoice) == [800_000, 500_000, 860_000]
    line = invoice.of("usage")[1]
    assert line.working == "120 s x 0.10/min + 360 s x 0.05/min"
    assert line.rate == "0.10 / 0.05"


def test_included_minutes_burn_in_the_order_of_time(billing: Billing) -> None:
    invoice = bill(billing, contract(included_minutes={"toll_free": 12}), 10, 5)
    assert amounts(invoice) == [0, 180_000]
    assert [line.included_seconds for line in invoice.of("usage")] == [600, 120]
    assert invoice.of("usage")[1].working == "120 s included + 180 s x 0.06/min"


def test_a_connect_fee_is_flat_once_for_each_charged_leg(billing: Billing) -> None:
    rate = {"rate": "0.06", "connect_fee": "0.015"}
    invoice = bill(billing, contract(toll_free={"US": rate}), 1, 0)
    assert amounts(invoice) == [80_000, 0]  # 0.075 is rounded half up; zero seconds cost nothing
    assert invoice.of("usage")[0].working == "60 s x 0.06/min + connect fee 0.015"


def test_minimum_and_increment_count_from_the_end_of_the_minimum(billing: Billing) -> None:
    billing.configure(
        [contract(minimum_s=30, increment_s=6)], [AccountConfig(id="acme", contract="c1")]
    )
    story = Story()
    story.organizer(0)
    story.leg("leg-a", 0, 31_999)
    story.ended(MINUTE)
    billing.ingest(story.events)
    billing.settle()
    line = billing.invoice("acme", "2026-02").of("usage")[0]
    assert (line.billed_seconds, line.increment, line.amount_micros) == (36, "30/6", 40_000)
    assert '"minutes": 0.6' in billing.invoice("acme", "2026-02").to_json()


@pytest.mark.parametrize(
    ("currency", "rate", "total"),
    [("USD", "0.0125", "0.13"), ("JPY", "1.25", "13"), ("KWD", "0.00125", "0.013")],
)
def test_a_line_is_rounded_once_to_the_minor_unit_of_its_currency(
    billing: Billing, currency: str, rate: str, total: str
) -> None:
    invoice = bill(billing, contract(currency=currency, toll_free={"US": rate}), 10)
    assert str(invoice.total) == total
    assert f"Total {total} {currency}" in invoice.to_text()


def test_a_dated_rate_holds_from_its_instant_and_splits_a_leg(billing: Billing) -> None:
    dearer = contract(toll_free={"US": "0.12"}, valid_from="2026-02-10T14:05:30Z")
    billing.configure([dearer], [])
    invoice = bill(billing, contract(), 10)
    assert [(x.billed_seconds, x.amount_micros) for x in invoice.of("usage")] == [
        (360, 360_000),
        (240, 480_000),
    ]


def test_the_parts_of_a_leg_add_up_whatever_is_between_them(billing: Billing) -> None:
    """A leg that begins under a second before a cut is billed wholly after it."""
    dearer = contract(toll_free={"US": "0.12"}, valid_from="2026-02-10T14:00:00.500Z")
    billing.configure([dearer], [])
    invoice = bill(billing, contract(), 2)
    assert [(x.billed_seconds, x.amount_micros) for x in invoice.of("usage")] == [(120, 240_000)]


def test_tiers_and_included_minutes_start_anew_each_month() -> None:
    card = compile_card(contract(included_minutes={"toll_free": 1}))
    for _ in range(2):
        meter = MonthMeter()
        assert meter.price(card, "toll_free", "US", seconds=60, first=True).amount_micros == 0
        assert meter.price(card, "toll_free", "US", seconds=60, first=True).amount_micros == 60_000


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": "XXX"},
        {"toll_free": {"us": "0.06"}},
        {"toll_free": {"ZZ": "0.06"}},
        {"toll_free": {"+0": "0.06"}},
        {"toll_free": {"US": 0.06}},
        {"toll_free": {"US": "-1"}},
        {"toll_free": {"US": "NaN"}},
        {"toll_free": {"US": "0.0000001"}},
        {"toll_free": {"US": "9999999999"}},
        {"toll_free": {"US": "six cents"}},
        {"minimum_s": 0},
        {"minimum_s": 60.0},
        {"increment_s": "60"},
        {"included_minutes": {"toll": 5}},
        {"valid_from": "soon"},
        {"toll": {"US": "0.01"}},
        {"toll_free": {"US": {"rate": "1", "tiers": [{"above_minutes": 0, "rate": "1"}]}}},
        {
            "toll_free": {
                "US": {
                    "rate": "1",
                    "tiers": [
                        {"above_minutes": 9, "rate": "1"},
                        {"above_minutes": 5, "rate": "1"},
                    ],
                }
            }
        },
    ],
)
def test_a_contract_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        contract(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"time_zone": "Mars/Base"},
        {"product": "gold"},
        {"language": "xx"},
        {"contract": ""},
        {"valid_from": "2026-02-30"},
        {"colour": "red"},
    ],
)
def test_an_account_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AccountConfig.model_validate({"id": "acme", "contract": "c1", **changes})


def test_money_is_read_and_written_exactly() -> None:
    assert parse_micros("0.000001") == 1
    assert amount_text(-600_000, "USD") == "-0.60"
    assert plain_text(1_234_567) == "1.234567"
    assert (half_up(-1, 2), half_up(1, 2), half_up(-1, 3)) == (-1, 1, 0)
    assert rounded(60_000 * 5, 10_000) == 10_000  # half a cent is a cent
    assert minutes_text(-90) == "-1.5"
