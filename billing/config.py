"""Contracts and accounts as people write them; knows their form, not what they lead to.

Strict pydantic models: an unknown key, a number where a string belongs, or money with more than
six decimals is refused. Money is a decimal string in the contract's currency. The module imports
no database, so that the bridge's own configuration can use the two models cheaply.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from billing.money import minor_digits, parse_micros
from billing.times import instant_of
from billing.words import CHARGED_KINDS, COUNTRIES, LANGUAGES

_RATE_KEY = re.compile(r"\*|[A-Z]{2}|\+[1-9][0-9]{0,14}", re.ASCII)


def _money(text: object) -> object:
    if isinstance(text, str):
        parse_micros(text)
    return text


def _instant(value: object) -> object:
    """Take a TOML date or time, or its text; a time needs an offset."""
    if isinstance(value, date):  # a datetime is a date
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError(f"{value.isoformat()!r}: expected a date, or a time with an offset")
        value = value.isoformat()
    if isinstance(value, str):
        instant_of(value, "UTC")
    return value


Money = Annotated[str, BeforeValidator(_money)]
"""A decimal string, at most six decimals, not negative."""

Instant = Annotated[str, BeforeValidator(_instant)]
"""A date, or an RFC 3339 time with offset."""


class Strict(BaseModel):
    """A model that takes what it names and nothing else, and does not change."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TierConfig(Strict):
    """From `above_minutes` of a month on, a minute costs `rate` (graduated)."""

    above_minutes: int = Field(gt=0)
    rate: Money


class RateConfig(Strict):
    """One row of a rate card, when a bare price is not enough.

    `connect_fee` is flat, once per leg that is charged.
    """

    rate: Money
    connect_fee: Money = "0"
    tiers: tuple[TierConfig, ...] = Field(default=(), strict=False)

    @field_validator("tiers")
    @classmethod
    def _rising(cls, tiers: tuple[TierConfig, ...]) -> tuple[TierConfig, ...]:
        marks = [tier.above_minutes for tier in tiers]
        if marks != sorted(set(marks)):
            raise ValueError("expected tiers in rising order of above_minutes")
        return tiers


Rates = dict[str, Money | RateConfig]
"""By country (`US`), by number prefix (`+4420`), or for all others (`*`); the longest wins."""


class ContractConfig(Strict):
    """What an account pays: the rate card of one contract, from `valid_from` on.

    A contract may be given several times with different `valid_from`; without one it holds from
    the beginning. A bare date is midnight UTC.
    """

    id: str = Field(min_length=1)
    currency: str
    minimum_s: int = Field(default=60, ge=1, le=3_600)
    increment_s: int = Field(default=60, ge=1, le=3_600)
    toll_free: Rates = {}
    call_me: Rates = {}
    included_minutes: dict[Literal["toll_free", "call_me"], Annotated[int, Field(ge=0)]] = {}
    monthly_minimum: Money = "0"
    valid_from: Instant | None = None

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, currency: str) -> str:
        try:
            minor_digits(currency)
        except KeyError:
            raise ValueError(f"{currency!r}: expected an ISO 4217 code like USD") from None
        return currency

    @field_validator("toll_free", "call_me")
    @classmethod
    def _known_keys(cls, rates: Rates) -> Rates:
        for key in rates:
            if not _RATE_KEY.fullmatch(key) or (key.isalpha() and key not in COUNTRIES):
                raise ValueError(f"{key!r}: expected a country like US, a prefix like +4420, or *")
        return rates

    def rates(self, kind: str) -> Rates:
        """Return the rates of a leg kind that can be charged."""
        assert kind in CHARGED_KINDS, kind
        rates: Rates = getattr(self, kind)
        return rates


class AccountConfig(Strict):
    """Who pays: the contract and product of one account, from `valid_from` on.

    A bare date is midnight in the account's own time zone. `vat_country` names the rate of
    `[billing.vat]` that is added; `reverse_charge` shows the line with nothing due.
    """

    id: str = Field(min_length=1)
    contract: str = Field(min_length=1)
    product: Literal["integrated", "ovi", "openvoice"] = "integrated"
    time_zone: str = "UTC"
    name: str = ""
    address: tuple[str, ...] = Field(default=(), strict=False)
    billing_email: str = ""
    language: str = "en"
    vat_country: str = ""
    vat_id: str = ""
    reverse_charge: bool = False
    valid_from: Instant | None = None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone!r}: expected an IANA zone like America/New_York") from None
        return zone

    @field_validator("language")
    @classmethod
    def _known_language(cls, language: str) -> str:
        if language not in LANGUAGES:
            raise ValueError(f"{language!r}: expected one of {', '.join(LANGUAGES)}")
        return language


def from_start(model: ContractConfig | AccountConfig) -> int:
    """Return the instant from which a version holds; 0 is the beginning."""
    if model.valid_from is None:
        return 0
    zone = model.time_zone if isinstance(model, AccountConfig) else "UTC"
    return instant_of(model.valid_from, zone)


def body_of(model: Strict) -> dict[str, Any]:
    """Return a model as the JSON that is stored, without its date."""
    return model.model_dump(mode="json", exclude={"valid_from"})
