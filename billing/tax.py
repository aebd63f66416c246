"""USF and VAT on a month's charges (D10); pure integers. This is no tax advice.

USF is rounded down, so that it is never above factor x assessable charges; VAT half up. Neither
is charged on the other.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from billing.errors import MissingFactor
from billing.money import half_up, parse_micros, plain_text
from billing.settings import BillingSettings
from billing.words import UNKNOWN

WHOLE: Final = 100_000_000
"""A hundred percent, in micros of a percent."""


class Tax(NamedTuple):
    """One tax line: `key` names it for adjustments, `working` shows its arithmetic."""

    key: str
    name: str
    percent: str
    base_micros: int
    amount_micros: int
    working: str


def usf(
    charges: Iterable[tuple[str, int]], *, quarter: str, settings: BillingSettings, unit: int
) -> Tax:
    """Return the USF line of a quarter for (jurisdiction, amount) charges of telecom services.

    A charge of unknown jurisdiction is assessable by the configured share.
    """
    factor = settings.factor(quarter)
    if factor is None:
        raise MissingFactor(
            f"billing.usf_factors.{quarter}", None, "the FCC's contribution factor in percent"
        )
    certain = doubtful = 0
    for jurisdiction, amount in charges:
        if jurisdiction in settings.usf_assessable:
            certain += amount
        elif jurisdiction == UNKNOWN:
            doubtful += amount
    share = parse_micros(settings.usf_unknown_share)
    exact_base = certain * WHOLE + doubtful * share
    amount = exact_base * factor // (WHOLE * WHOLE * unit) * unit
    percent = plain_text(factor).rstrip("0").rstrip(".")
    working = f"{percent} % x {plain_text(exact_base // WHOLE)} assessable, rounded down"
    if doubtful:
        working += f" ({settings.usf_unknown_share} % of {plain_text(doubtful)} unknown)"
    return Tax(
        f"usf:{quarter}",
        "Universal Service Fund",
        percent,
        exact_base // WHOLE,
        amount,
        working,
    )


def vat(base_micros: int, *, country: str, reverse_charge: bool, percent: str, unit: int) -> Tax:
    """Return the VAT line of a country."""
    if reverse_charge:
        text = "reverse charge: VAT is due from the customer"
        return Tax(f"vat:{country}", f"VAT {country}", "0", base_micros, 0, text)
    amount = half_up(base_micros * parse_micros(percent), WHOLE * unit) * unit
    working = f"{percent} % x {plain_text(base_micros)}"
    return Tax(f"vat:{country}", f"VAT {country}", percent, base_micros, amount, working)
