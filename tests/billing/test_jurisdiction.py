"""From where to where a call went, against libphonenumber's geography (D10)."""

from typing import Any

import phonenumbers
import pytest
from phonenumbers import geocoder

from billing import AccountConfig, Billing, BillingSettings
from billing.errors import ConfigConflict, MissingFactor
from billing.jurisdiction import US_COUNTRIES, area_codes, jurisdiction_of
from billing.settings import ProductConfig, SellerConfig, VatConfig
from billing.times import instant_of
from tests.billing.facts import Story
from tests.billing.test_bills import b1

STATES = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA",
    "Colorado": "CO", "Connecticut": "CT", "Delaware": "DE", "Washington D.C.": "DC",
    "Florida": "FL", "Georgia": "GA", "Hawaii": "HI", "Idaho": "ID", "Illinois": "IL",
    "Indiana": "IN", "Iowa": "IA", "Kansas": "KS", "Kentucky": "KY", "Louisiana": "LA",
    "Maine": "ME", "Maryland": "MD", "Massachusetts": "MA", "Michigan": "MI", "Minnesota": "MN",
    "Mississippi": "MS", "Missouri": "MO", "Montana": "MT", "Nebraska": "NE", "Nevada": "NV",
    "New Hampshire": "NH", "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY",
    "North Carolina": "NC", "North Dakota": "ND", "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR",
    "Pennsylvania": "PA", "Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD",
    "Tennessee": "TN", "Texas": "TX", "Utah": "UT", "Vermont": "VT", "Virginia": "VA",
    "Washington State": "WA", "West Virginia": "WV", "Wisconsin": "WI", "Wyoming": "WY",
}  # fmt: skip


def test_every_us_area_code_lies_where_libphonenumber_says() -> None:
    checked = set()
    for code, (country, region) in area_codes().items():
        if country != "US" or region in US_COUNTRIES:
            continue
        for exchange in ("200", "555", "999"):
            number = phonenumbers.PhoneNumber(
                country_code=1, national_number=int(code + exchange + "0199")
            )
            place = geocoder.description_for_number(number, "en")
            state = STATES.get(place) or place.rpartition(", ")[2]
            if state in STATES.values():
                assert state == region, (code, place)
                checked.add(code)
    assert len(checked) > 330


def test_every_state_has_an_area_code() -> None:
    found = {region for country, region in area_codes().values() if country == "US"}
    assert found == set(STATES.values()) | {"PR", "VI", "GU", "AS", "MP"}


def test_countries_of_the_numbering_plan_are_libphonenumbers() -> None:
    for code, (country, region) in area_codes().items():
        region_code = phonenumbers.region_code_for_number(
            phonenumbers.PhoneNumber(country_code=1, national_number=int(code + "2345678"))
        )
        if region_code is not None:
            assert region_code in (country, region), code


@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("+14155550111", "US", "intrastate"),
        ("14155550111", "US", "intrastate"),
        ("4155550111", "US", "intrastate"),
        ("+12125550111", "US", "interstate"),
        ("+17875550111", "US", "interstate"),
        ("+14165550111", "US", "international"),
        ("+18765550111", "US", "international"),
        ("+442079460000", "US", "international"),
        ("+18005550111", "US", "unknown"),
        ("anonymous", "US", "unknown"),
        ("+anonymous", "US", "unknown"),
        ("", "US", "unknown"),
        ("", "FR", "international"),
        ("0142685300", "FR", "international"),
        ("+12125550111", "FR", "interstate"),
    ],
)
def test_jurisdiction_is_by_the_callers_number(number: str, country: str, expected: str) -> None:
    assert jurisdiction_of(number, country, "CA") == expected


def test_unknown_jurisdiction_falls_back_to_the_configured_share(billing: Billing) -> None:
    billing.configure(
        [],
        [AccountConfig(id="acme", contract="ovi", product="ovi")],
        BillingSettings(usf_unknown_share="50"),
    )
    billing.ingest(b1(anis=("", "", "")).events)
    billing.settle()
    tax = billing.invoice("acme", "2026-02").of("tax")[0]
    assert tax.amount_micros == 560_000  # 37.6 % of half of 3.00 is 0.564
    assert "50 % of 3.00 unknown" in tax.working


def test_a_quarter_without_a_factor_is_refused_by_name(billing: Billing) -> None:
    billing.configure([], [AccountConfig(id="acme", contract="ovi", product="ovi")])
    story = Story(begins="2026-04-01T12:00:00.000Z")
    story.organizer(0)
    story.leg("leg-a", 0, 60_000)
    story.ended(60_000)
    billing.ingest(story.events)
    billing.settle()
    with pytest.raises(MissingFactor, match="2026Q2"):
        billing.invoice("acme", "2026-04")
    billing.configure([], [], BillingSettings(usf_factors={"2026Q2": "40"}))
    assert billing.invoice("acme", "2026-04").of("tax")[0].amount_micros == 40_000


def test_a_month_is_taxed_by_the_quarter_of_its_service(billing: Billing) -> None:
    billing.configure([], [AccountConfig(id="acme", contract="ovi", product="ovi")])
    story = Story(begins="2025-12-31T23:50:00.000Z")
    story.organizer(0)
    story.leg("leg-a", 0, 20 * 60_000)
    story.ended(20 * 60_000)
    billing.ingest(story.events)
    billing.settle()
    tax = [billing.invoice("acme", m).of("tax")[0] for m in ("2025-12", "2026-01")]
    assert [(t.key, t.amount_micros) for t in tax] == [
        ("usf:2025Q4", 380_000),
        ("usf:2026Q1", 370_000),
    ]


def test_sellers_labels_and_regimes_are_configuration_from_a_date_on(billing: Billing) -> None:
    renamed = ProductConfig(
        id="integrated", seller="new", label="Meeting Audio", valid_from="2026-02-10T14:06:00Z"
    )
    seller = SellerConfig(id="new", name="Example Audio Two, Inc.", number_prefix="N-")
    billing.configure([], [], BillingSettings(products=(renamed,), sellers=(seller,)))
    billing.ingest(b1().events)
    billing.settle()
    found = {i.seller.name: (i.label, str(i.total)) for i in billing.invoices("acme", "2026-02")}
    assert found == {
        "Example USA, Inc.": ("Toll-Free and Call Me", "0.90"),
        "Example Audio Two, Inc.": ("Meeting Audio", "0.90"),
    }


def test_vat_is_added_by_country_and_not_under_reverse_charge(billing: Billing) -> None:
    account = AccountConfig(id="acme", contract="c1", vat_country="DE")
    billing.configure([], [account], BillingSettings(vat={"DE": "19"}))
    billing.ingest(b1().events)
    billing.settle()
    invoice = billing.invoice("acme", "2026-02")
    assert str(invoice.total) == "2.14"  # 0.342 is 0.34
    billing.configure([], [account.model_copy(update={"reverse_charge": True})])
    invoice = billing.invoice("acme", "2026-02")
    assert str(invoice.total) == "1.80"
    assert "reverse charge" in invoice.of("tax")[0].working


def test_vat_changes_from_a_date_on() -> None:
    rates = (VatConfig(percent="19"), VatConfig(percent="16", valid_from="2020-07-01"))
    settings = BillingSettings(vat={"DE": rates, "FR": (rates[1],)})
    july = instant_of("2020-07-01", "UTC")
    assert settings.vat_percent("DE", july - 1) == "19"
    assert settings.vat_percent("DE", july) == "16"
    assert settings.vat_percent("FR", july - 1) is None
    assert settings.vat_percent("IT", july) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"bridge_state": "NY"},
        {"usf_unknown_share": "10"},
        {"usf_factors": {"2026Q1": "1"}},
        {"vat": {"DE": "16"}},
        {"vat": {}},
        {"vat": {"DE": [{"percent": "16", "valid_from": "2026-07-01"}]}},
    ],
)
def test_settings_that_would_change_what_was_invoiced_are_refused(
    billing: Billing, changed: dict[str, Any]
) -> None:
    base = {"vat": {"DE": "19"}}
    billing.configure([], [], BillingSettings.model_validate(base))
    billing.ingest(b1().events)
    billing.finalize("acme", "2026-02")
    with pytest.raises(ConfigConflict):
        billing.configure([], [], BillingSettings.model_validate({**base, **changed}))
    dated = {"DE": [{"percent": "19"}, {"percent": "16", "valid_from": "2026-07-01"}]}
    later = {"vat": {**dated, "FR": "20"}, "usf_factors": {"2026Q2": "37"}, "grace_days": 9}
    assert billing.configure([], [], BillingSettings.model_validate(later))
