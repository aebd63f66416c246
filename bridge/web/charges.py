"""What an account is charged so far: settled by billing, and an estimate of what is not.

Only settlement decides (D4); the estimate is the contract's price of each leg as if it and its
occurrence ended now, without included minutes, tiers, minimum and tax. Knows billing's façade;
knows no HTTP.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from billing import Billing, billed_seconds, minor_digits
from bridge.config import Settings
from bridge.units import MS_PER_S, ConfMs, utc_of
from bridge.web.models import ChargesOut, EstimateOut
from bridge.web.now import LegNow, Now

FRESH_S: Final = 2.0
"""How long what billing said is shown again without asking it."""

FREE_REASONS: Final = {"toll": "carrier_billed", "voip": "included"}
SECONDS_PER_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class _Card:
    """What billing says is in force for an account now: the rates, and what they count in."""

    currency: str
    minimum_s: int
    increment_s: int
    rates: Mapping[tuple[str, str], tuple[Decimal, Decimal]]

    def price(self, kind: str, country: str, number: str) -> tuple[Decimal, Decimal] | None:
        """Return rate and connect fee: of the longest number prefix, of the country, or of `*`."""
        mine = [key for of_kind, key in self.rates if of_kind == kind]
        prefixes = [key for key in mine if key.startswith("+") and number.startswith(key)]
        for key in (*sorted(prefixes, key=len, reverse=True), country, "*"):
            if (kind, key) in self.rates:
                return self.rates[kind, key]
        return None


@dataclass(frozen=True, slots=True)
class _Said:
    """What billing said of a month of an account, and when."""

    at_s: float
    invoices: tuple[dict[str, Any], ...]
    card: _Card


class Charges:
    """Charges of accounts and sessions, by billing's façade and what is happening now."""

    def __init__(self, settings: Settings, now: Now) -> None:
        self._settings = settings
        self._now = now
        self._said: dict[tuple[str, str], _Said] = {}
        self._one_at_a_time = asyncio.Lock()

    async def of(self, account: str, session: str | None, at: ConfMs) -> ChargesOut:
        """Return the charges of this month, of one session when it is named."""
        month = utc_of(at).astimezone(self._zone(account)).strftime("%Y-%m")
        said = await self._of_month(account, month)
        card = said.card
        lines = [
            line
            for invoice in said.invoices
            if invoice["currency"] == card.currency  # a month can have two (D15): no sum of both
            for line in invoice["lines"]
            if session in (None, line["session"])
        ]
        settled = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
        legs = [self._estimate(leg, card, at) for leg in self._now.unsettled(account, session)]
        estimate = sum((Decimal(leg.amount) for leg in legs), Decimal(0))
        return ChargesOut(
            account=account,
            session=session,
            month=month,
            currency=card.currency,
            settled=_shown(settled, card.currency),
            settled_legs=len({line["leg"] for line in lines}),
            estimate=_shown(estimate, card.currency),
            running_legs=sum(leg.running for leg in legs),
            legs=legs,
        )

    async def invoices(self, account: str, month: str) -> tuple[dict[str, Any], ...]:
        """Settle what is final and return a month's invoices, one for each seller (D15)."""
        return (await self._of_month(account, month)).invoices

    def _zone(self, account: str) -> ZoneInfo:
        config = next(config for config in self._settings.account if config.id == account)
        return ZoneInfo(config.time_zone)

    async def _of_month(self, account: str, month: str) -> _Said:
        async with self._one_at_a_time:
            said = self._said.get((account, month))
            if said is None or time.monotonic() - said.at_s > FRESH_S:
                said = await asyncio.to_thread(self._ask, account, month)
                self._said = {(account, month): said}
            return said

    def _ask(self, account: str, month: str) -> _Said:
        with Billing(self._settings.store.url) as billing:
            billing.configure(self._settings.contract, self._settings.account)
            billing.ingest_outbox(self._settings.store.outbox_url)
            billing.settle()
            invoices = tuple(invoice.to_dict() for invoice in billing.invoices(account, month))
            return _Said(time.monotonic(), invoices, _card(billing.rates(account)))

    def _estimate(self, leg: LegNow, card: _Card, at: ConfMs) -> EstimateOut:
        running = leg.duration_ms is None
        elapsed_ms = at - leg.answered_at if leg.duration_ms is None else leg.duration_ms
        reason = self._reason(leg)
        number = leg.did if leg.kind == "toll_free" else leg.ani
        price = card.price(leg.kind, leg.country, number) if reason == "billable" else None
        whole = max(elapsed_ms, 0) // MS_PER_S
        seconds = 0
        if price is not None:
            limits = {"minimum_s": card.minimum_s, "increment_s": card.increment_s}
            seconds = billed_seconds(whole, **limits)
        rate, fee = price if price is not None and seconds else (Decimal(0), Decimal(0))
        return EstimateOut(
            leg=leg.leg,
            session=leg.session,
            kind=leg.kind,
            country=leg.country,
            running=running,
            billed_seconds=seconds,
            rate=None if price is None else str(price[0]),
            amount=_shown(fee + rate * seconds / SECONDS_PER_MINUTE, card.currency),
            reason=reason,
        )

    def _reason(self, leg: LegNow) -> str:
        """Return what settlement would say if all ended now (D5)."""
        occurrence = self._now.occurrences.get(leg.occurrence)
        if not leg.let_in:
            return "not_accepted" if leg.kind == "call_me" else "not_admitted"
        if occurrence is None or not occurrence.organizer_joined:
            return "never_started"
        return FREE_REASONS.get(leg.kind, "billable")


def _card(said: Mapping[str, Any]) -> _Card:
    minimum_s, _, increment_s = str(said["increment"]).partition("/")
    rates = {
        (row["kind"], row["key"]): (Decimal(row["rate"]), Decimal(row["connect_fee"]))
        for row in said["rates"]
    }
    return _Card(str(said["currency"]), int(minimum_s), int(increment_s), rates)


def _shown(amount: Decimal, currency: str) -> str:
    """Write an amount in the currency's decimals by ISO 4217, half up, as invoices do (D9)."""
    unit = Decimal(1).scaleb(-minor_digits(currency))
    return str(amount.quantize(unit, rounding=ROUND_HALF_UP))
