"""What is in force when: contracts, products and accounts compiled for look-up; knows no store.

A `Segment` is a stretch of time in which nothing about an account changes. Looking one up is a
bisection, so that settling a million legs asks no database and builds nothing.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from billing.config import AccountConfig, ContractConfig, RateConfig
from billing.errors import UnknownAccount
from billing.money import minor_unit, parse_micros, plain_text
from billing.settings import (
    DEFAULT_PRODUCTS,
    DEFAULT_SELLERS,
    BillingSettings,
    ProductConfig,
    SellerConfig,
)
from billing.times import Months, instant_of
from billing.words import CHARGED_KINDS

ANY: Final = "*"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of a rate card.

    Attributes:
        micros: price of a minute, in micro-units.
        connect_fee: micro-units, once per charged leg.
        tiers: (seconds of the month above which it holds, micros a minute), rising.
    """

    micros: int
    connect_fee: int = 0
    tiers: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """A contract as it is from one instant on."""

    contract: str
    currency: str
    unit: int
    minimum_s: int
    increment_s: int
    increment: str
    rates: Mapping[str, Mapping[str, Rate]]
    prefixes: Mapping[str, tuple[str, ...]]
    included_s: Mapping[str, int]
    monthly_minimum: int

    def rate_key(self, kind: str, country: str, number: str) -> str | None:
        """Return the row that prices a leg: the longest prefix, the country, or `*`."""
        for prefix in self.prefixes[kind]:
            if number.startswith(prefix):
                return prefix
        rates = self.rates[kind]
        if country in rates:
            return country
        return ANY if ANY in rates else None


@dataclass(frozen=True, slots=True)
class Segment:
    """What holds for an account from `start_ms` until the next segment."""

    start_ms: int
    account: AccountConfig
    card: Card
    product: str
    label: str
    seller: str
    usf: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """The segments of one account, in order, and the zone its months are in."""

    segments: tuple[Segment, ...]
    starts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Index the segments by their start."""
        object.__setattr__(self, "starts", tuple(s.start_ms for s in self.segments))

    def at(self, at_ms: int) -> Segment | None:
        """Return what holds at an instant; None before the account exists."""
        index = bisect_right(self.starts, at_ms) - 1
        return self.segments[index] if index >= 0 else None

    def cuts(self, months: Months, from_ms: int, to_ms: int) -> list[int]:
        """Return the instants inside (from, to) at which a leg is split (D8)."""
        first = bisect_right(months.starts, from_ms)
        if len(self.starts) == 1:
            if months.starts[first] >= to_ms:  # nearly every leg
                return []
            return months.starts[first : bisect_left(months.starts, to_ms)]
        inside = [at for at in self.starts if from_ms < at < to_ms]
        return sorted({*inside, *months.starts[first : bisect_left(months.starts, to_ms)]})


def compile_card(contract: ContractConfig) -> Card:
    """Turn a contract's text into integers."""
    rates = {
        kind: {key: _rate(row) for key, row in contract.rates(kind).items()}
        for kind in CHARGED_KINDS
    }
    prefixes = {
        kind: tuple(sorted((k for k in rows if k.startswith("+")), key=len, reverse=True))
        for kind, rows in rates.items()
    }
    return Card(
        contract=contract.id,
        currency=contract.currency,
        unit=minor_unit(contract.currency),
        minimum_s=contract.minimum_s,
        increment_s=contract.increment_s,
        increment=f"{contract.minimum_s}/{contract.increment_s}",
        rates=rates,
        prefixes=prefixes,
        included_s={kind: minutes * 60 for kind, minutes in contract.included_minutes.items()},
        monthly_minimum=parse_micros(contract.monthly_minimum),
    )


def _rate(row: str | RateConfig) -> Rate:
    if isinstance(row, str):
        return Rate(parse_micros(row))
    return Rate(
        parse_micros(row.rate),
        parse_micros(row.connect_fee),
        tuple((tier.above_minutes * 60, parse_micros(tier.rate)) for tier in row.tiers),
    )


@dataclass(frozen=True, slots=True)
class Book:
    """Everything configured, at one revision of the configuration."""

    revision: int
    settings: BillingSettings
    timelines: Mapping[str, Timeline]
    sellers: Mapping[str, SellerConfig]


def compile_book(
    revision: int,
    settings: BillingSettings,
    contracts: Mapping[str, Sequence[tuple[int, ContractConfig]]],
    accounts: Mapping[str, Sequence[tuple[int, AccountConfig]]],
) -> Book:
    """Compile all versions, each list in the order of its instants."""
    cards = {
        name: [(start, compile_card(contract)) for start, contract in versions]
        for name, versions in contracts.items()
    }
    products = _products(settings)
    sellers = {s.id: s for s in (*DEFAULT_SELLERS, *settings.sellers)}
    timelines = {
        name: Timeline(tuple(_segments(versions, cards, products)))
        for name, versions in accounts.items()
    }
    return Book(revision, settings, timelines, sellers)


def _products(settings: BillingSettings) -> dict[str, list[tuple[int, ProductConfig]]]:
    versions: dict[str, dict[int, ProductConfig]] = {}
    for product in (*DEFAULT_PRODUCTS, *settings.products):
        start = instant_of(product.valid_from, "UTC") if product.valid_from else 0
        versions.setdefault(product.id, {})[start] = product
    return {name: sorted(by_start.items()) for name, by_start in versions.items()}


def _segments(
    versions: Sequence[tuple[int, AccountConfig]],
    cards: Mapping[str, list[tuple[int, Card]]],
    products: Mapping[str, list[tuple[int, ProductConfig]]],
) -> list[Segment]:
    segments: list[Segment] = []
    for index, (start, account) in enumerate(versions):
        end = versions[index + 1][0] if index + 1 < len(versions) else None
        changes = {start}
        for others in (cards[account.contract], products[account.product]):
            changes |= {at for at, _ in others if at > start and (end is None or at < end)}
        for at in sorted(changes):
            card = _in_force(cards[account.contract], at)
            product = _in_force(products[account.product], at)
            if card is None or product is None:
                continue  # a contract that begins later than the account: nothing to pay by yet
            segments.append(
                Segment(
                    at,
                    account,
                    card,
                    product.id,
                    product.label,
                    product.seller,
                    product.tax == "usf",
                )
            )
    return segments


def _in_force(versions: Sequence[tuple[int, _T]], at_ms: int) -> _T | None:
    found = [version for start, version in versions if start <= at_ms]
    return found[-1] if found else None


def rate_card(book: Book, account: str, at_ms: int) -> dict[str, Any]:
    """Describe what is in force for an account at an instant."""
    timeline = book.timelines.get(account)
    segment = timeline.at(at_ms) if timeline else None
    if segment is None:
        known = ", ".join(sorted(book.timelines)[:10]) or "none is configured"
        raise UnknownAccount("account", account, f"one with a contract then, of: {known}")
    card = segment.card
    return {
        "account": account,
        "contract": card.contract,
        "product": segment.product,
        "label": segment.label,
        "seller": book.sellers[segment.seller].name,
        "currency": card.currency,
        "increment": card.increment,
        "included_minutes": {kind: s // 60 for kind, s in sorted(card.included_s.items())},
        "monthly_minimum": plain_text(card.monthly_minimum),
        "rates": [
            {
                "kind": kind,
                "key": key,
                "rate": plain_text(rate.micros),
                "connect_fee": plain_text(rate.connect_fee),
                "tiers": [
                    {"above_minutes": mark // 60, "rate": plain_text(micros)}
                    for mark, micros in rate.tiers
                ],
            }
            for kind, rows in card.rates.items()
            for key, rate in sorted(rows.items())
        ],
    }
