"""What an account is charged so far: settled by billing, and an estimate of what is not.

Only settlement decides (D4); the estimate is the contract's price of each leg as if it and its
occurrence ended now, without included minutes, tiers, connect fee, minimum and tax. Knows
billing's façade; knows no HTTP.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision

from billing import Billing, billed_seconds
from billing.config import AccountConfig, ContractConfig
from bridge.config import Settings
from bridge.units import MS_PER_S, ConfMs, utc_of
from bridge.web.models import ChargesOut, EstimateOut
from bridge.web.now import LegNow, Now

FRESH_S: Final = 2.0
"""How long what billing said is shown again without asking it."""

CHARGED: Final = ("toll_free", "call_me")
FREE_REASONS: Final = {"toll": "carrier_billed", "voip": "included"}
SECONDS_PER_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class _Said:
    """What billing said of a month of an account, and when."""

    at_s: float
    invoices: tuple[dict[str, Any], ...]


class Charges:
    """Charges of accounts and sessions, by billing's façade and what is happening now."""

    def __init__(self, settings: Settings, now: Now) -> None:
        self._settings = settings
        self._now = now
        self._said: dict[tuple[str, str], _Said] = {}
        self._one_at_a_time = asyncio.Lock()

    async def of(self, account: str, session: str | None, at: ConfMs) -> ChargesOut:
        """Return the charges of this month, of one session when it is named."""
        config, contract = self._in_force(account, at)
        month = utc_of(at).astimezone(ZoneInfo(config.time_zone)).strftime("%Y-%m")
        invoices = await self.invoices(account, month)
        lines = [
            line
            for invoice in invoices
            for line in invoice["lines"]
            if session in (None, line["session"])
        ]
        settled = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
        legs = [self._estimate(leg, contract, at) for leg in self._now.unsettled(account, session)]
        estimate = sum((Decimal(leg.amount) for leg in legs), Decimal(0))
        return ChargesOut(
            account=account,
            session=session,
            month=month,
            currency=contract.currency,
            settled=_shown(settled, contract.currency),
            settled_legs=len({line["leg"] for line in lines}),
            estimate=_shown(estimate, contract.currency),
            running_legs=sum(leg.running for leg in legs),
            legs=legs,
        )

    async def invoices(self, account: str, month: str) -> tuple[dict[str, Any], ...]:
        """Settle what is final and return a month's invoices, one for each seller (D15)."""
        async with self._one_at_a_time:
            said = self._said.get((account, month))
            if said is None or time.monotonic() - said.at_s > FRESH_S:
                invoices = await asyncio.to_thread(self._ask, account, month)
                said = _Said(time.monotonic(), invoices)
                self._said = {(account, month): said}
            return said.invoices

    def _ask(self, account: str, month: str) -> tuple[dict[str, Any], ...]:
        with Billing(self._settings.store.url) as billing:
            billing.configure(self._settings.contract, self._settings.account)
            billing.ingest_outbox(self._settings.store.outbox_url)
            billing.settle()
            return tuple(invoice.to_dict() for invoice in billing.invoices(account, month))

    def _in_force(self, account: str, at: ConfMs) -> tuple[AccountConfig, ContractConfig]:
        """Return the account and its contract as they hold now, by the configuration."""
        config = _newest([a for a in self._settings.account if a.id == account], at)
        return config, _newest([c for c in self._settings.contract if c.id == config.contract], at)

    def _estimate(self, leg: LegNow, contract: ContractConfig, at: ConfMs) -> EstimateOut:
        running = leg.duration_ms is None
        elapsed_ms = at - leg.answered_at if leg.duration_ms is None else leg.duration_ms
        reason = self._reason(leg)
        rate = _rate(contract, leg) if reason == "billable" else None
        seconds = billed_seconds(
            max(elapsed_ms, 0) // MS_PER_S,
            minimum_s=contract.minimum_s,
            increment_s=contract.increment_s,
        )
        amount = (rate or Decimal(0)) * seconds / SECONDS_PER_MINUTE
        return EstimateOut(
            leg=leg.leg,
            session=leg.session,
            kind=leg.kind,
            country=leg.country,
            running=running,
            billed_seconds=seconds if rate is not None else 0,
            rate=None if rate is None else str(rate),
            amount=_shown(amount, contract.currency),
            reason=reason,
        )

    def _reason(self, leg: LegNow) -> str:
        """Return what settlement would say if all ended now (D5)."""
        occurrence = self._now.occurrences.get(leg.occurrence)
        if not leg.let_in:
            return "not_admitted"
        if occurrence is None or not occurrence.organizer_joined:
            return "never_started"
        return FREE_REASONS.get(leg.kind, "billable")


def _newest(versions: Sequence[Any], at: ConfMs) -> Any:
    """Return the version that holds: the last that began, a bare date being midnight UTC."""
    return max((v for v in versions if _begins(v) <= utc_of(at)), key=_begins, default=versions[0])


def _begins(version: AccountConfig | ContractConfig) -> datetime:
    if version.valid_from is None:
        return datetime.min.replace(tzinfo=UTC)
    begins = datetime.fromisoformat(version.valid_from)
    return begins if begins.tzinfo else begins.replace(tzinfo=UTC)


def _rate(contract: ContractConfig, leg: LegNow) -> Decimal | None:
    """Return a leg's price a minute: the longest number prefix, the country, or `*`."""
    if leg.kind not in CHARGED:
        return None
    rates = contract.rates(leg.kind)
    number = leg.did if leg.kind == "toll_free" else leg.ani
    for key in (*_prefixes(rates, number), leg.country, "*"):
        row = rates.get(key)
        if row is not None:
            return Decimal(row if isinstance(row, str) else row.rate)
    return None


def _prefixes(rates: Iterable[str], number: str) -> list[str]:
    found = [key for key in rates if key.startswith("+") and number.startswith(key)]
    return sorted(found, key=len, reverse=True)


def _shown(amount: Decimal, currency: str) -> str:
    """Write an amount in the currency's decimals, half up (D9)."""
    unit = Decimal(1).scaleb(-get_currency_precision(currency))
    return str(amount.quantize(unit, rounding=ROUND_HALF_UP))
