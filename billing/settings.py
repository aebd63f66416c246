"""Sellers, products, taxes and outlets: the `[billing]` part of the configuration.

Knows their form and their defaults. The sellers are invented; USF factors are the FCC's proposed
figures (D10); this is no tax advice.
"""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from billing.config import Instant, Strict
from billing.money import parse_micros
from billing.times import instant_of
from billing.words import COUNTRIES, INTERNATIONAL, INTERSTATE


def _percent(text: object) -> object:
    if isinstance(text, str) and parse_micros(text) > 100_000_000:
        raise ValueError(f"{text!r}: expected at most 100 percent")
    return text


Percent = Annotated[str, BeforeValidator(_percent)]
"""A decimal string of percent: "37.6"."""

USF_FACTORS = {
    "2025Q1": "36.3",
    "2025Q2": "36.6",
    "2025Q3": "36.0",
    "2025Q4": "38.1",
    "2026Q1": "37.6",
}
"""The FCC's proposed contribution factors, percent by quarter (D10)."""


class VatConfig(Strict):
    """A country's VAT from a date on."""

    percent: Percent
    valid_from: Instant | None = None


class SellerConfig(Strict):
    """Who issues an invoice; numbers run without gaps for each seller."""

    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    address: tuple[str, ...] = Field(default=(), strict=False)
    number_prefix: str = ""
    email: str = ""


class ProductConfig(Strict):
    """What is sold: its seller, its label on the invoice (D15) and its tax regime (R15, R16).

    May be given several times with different `valid_from`. `usf` marks a telecommunications
    service, whose assessable charges carry the USF line.
    """

    id: Literal["integrated", "ovi", "openvoice"]
    seller: str
    label: str = Field(min_length=1)
    tax: Literal["none", "usf"] = "none"
    valid_from: Instant | None = None


class SmtpConfig(Strict):
    """The mail server that finalized invoices go out through. `password_file` holds the secret."""

    host: str
    port: int = 25
    security: Literal["none", "starttls", "tls"] = "none"
    user: str = ""
    password_file: str = ""
    sender: str


class SinkConfig(Strict):
    """One outlet of the `usage.settled` stream."""

    id: str = Field(min_length=1)
    type: Literal["file", "openmeter", "lago", "nats"]
    target: str = Field(min_length=1)
    token_file: str = ""
    stream: str = "TOLLBRIDGE"
    subject: str = "tollbridge.usage"
    timeout_s: int = Field(default=10, ge=1, le=300)
    facts: bool = False


DEFAULT_SELLERS = (
    SellerConfig(id="audio", name="Example Audio LLC", number_prefix="EA-"),
    SellerConfig(id="usa", name="Example USA, Inc.", number_prefix="EU-"),
)
DEFAULT_PRODUCTS = (
    ProductConfig(id="integrated", seller="usa", label="Toll-Free and Call Me"),
    ProductConfig(id="ovi", seller="audio", label="OpenVoice Integrated", tax="usf"),
    ProductConfig(id="openvoice", seller="audio", label="OpenVoice", tax="usf"),
)


class BillingSettings(Strict):
    """Everything of `[billing]`.

    Attributes:
        bridge_state: the state the bridge stands in, for jurisdiction (D10).
        usf_assessable: the jurisdictions that carry USF.
        usf_unknown_share: percent of a charge of unknown jurisdiction that is assessable; the
            default is the FCC's interim safe harbour for interconnected VoIP, 64.9 %.
        usf_factors: percent by quarter; these are added to the shipped ones.
        vat: percent by country; or several, each from a date on.
        grace_days: how long after its end a month closes by itself.
    """

    bridge_state: str = "CA"
    usf_assessable: tuple[Literal["interstate", "international", "intrastate"], ...] = Field(
        default=(INTERSTATE, INTERNATIONAL), strict=False
    )
    usf_unknown_share: Percent = "64.9"
    usf_factors: dict[str, Percent] = Field(default={})
    vat: dict[str, Percent | Annotated[tuple[VatConfig, ...], Field(strict=False)]] = Field(
        default={}
    )
    grace_days: int = Field(default=3, ge=0, le=60)
    sellers: tuple[SellerConfig, ...] = Field(default=(), strict=False)
    products: tuple[ProductConfig, ...] = Field(default=(), strict=False)
    smtp: SmtpConfig | None = None
    sinks: tuple[SinkConfig, ...] = Field(default=(), strict=False)

    @field_validator("bridge_state")
    @classmethod
    def _two_letters(cls, state: str) -> str:
        if not re.fullmatch(r"[A-Z]{2}", state, re.ASCII):
            raise ValueError(f"{state!r}: expected a state like CA")
        return state

    @field_validator("usf_factors")
    @classmethod
    def _quarters(cls, factors: dict[str, str]) -> dict[str, str]:
        for quarter in factors:
            if not re.fullmatch(r"20\d\dQ[1-4]", quarter, re.ASCII):
                raise ValueError(f"{quarter!r}: expected a quarter like 2026Q2")
        return factors

    @field_validator("vat")
    @classmethod
    def _countries(cls, vat: dict[str, object]) -> dict[str, object]:
        for country in vat:
            if country not in COUNTRIES:
                raise ValueError(f"{country!r}: expected a country like DE")
        return vat

    def factor(self, quarter: str) -> int | None:
        """Return a quarter's USF factor in micros of a percent, None when unknown."""
        text = self.usf_factors.get(quarter) or USF_FACTORS.get(quarter)
        return None if text is None else parse_micros(text)

    def vat_percent(self, country: str, at_ms: int) -> str | None:
        """Return the VAT of a country at an instant, None where none is configured."""
        rates = self.vat.get(country)
        if rates is None or isinstance(rates, str):
            return rates
        begun = [
            (instant_of(rate.valid_from, "UTC") if rate.valid_from else 0, rate.percent)
            for rate in rates
        ]
        return max(((at, percent) for at, percent in begun if at <= at_ms), default=(0, None))[1]
