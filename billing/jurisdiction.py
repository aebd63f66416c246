"""From where to where a call went, for the Universal Service Fund (D10); knows no money.

`data/area_codes.csv` says to which country and state each North American area code belongs. A
caller's state is that of his number: what the number's owner does with it nobody can see.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

from billing.words import INTERNATIONAL, INTERSTATE, INTRASTATE, UNKNOWN

US_COUNTRIES: Final = frozenset({"US", "PR", "VI", "GU", "AS", "MP"})
"""Countries by ISO whose numbers are states or territories of the US."""

NANP_DIGITS: Final = 10


@lru_cache(maxsize=1)
def area_codes() -> Mapping[str, tuple[str, str]]:
    """Return (country, region) by area code; region is the state for the US."""
    text = files("billing").joinpath("data/area_codes.csv").read_text(encoding="utf-8")
    rows = (line.split(",") for line in text.splitlines()[1:])
    return {code: (country, region) for code, country, region in rows}


@lru_cache(maxsize=65_536)
def _of_digits(prefix: str, country: str, bridge_state: str) -> str:
    found = area_codes().get(prefix)
    if found is None:
        return UNKNOWN if country in US_COUNTRIES else INTERNATIONAL
    if found[0] != "US":
        return INTERNATIONAL
    return INTRASTATE if found[1] == bridge_state else INTERSTATE


def jurisdiction_of(number: str, country: str, bridge_state: str) -> str:
    """Compare the state of a caller's number with the bridge's state (D10).

    `country` is that of the number dialled: it decides when the caller's is withheld or not a
    number, and how a number without country code is read.

    >>> jurisdiction_of("+14155550100", "US", "CA"), jurisdiction_of("+12125550111", "US", "CA")
    ('intrastate', 'interstate')
    >>> jurisdiction_of("+442079460000", "US", "CA"), jurisdiction_of("", "US", "CA")
    ('international', 'unknown')
    """
    digits = number.removeprefix("+")
    if number.startswith("+") and not number.startswith("+1"):
        return INTERNATIONAL if digits.isdecimal() else _of_digits("", country, bridge_state)
    if digits.isdecimal():
        if len(digits) == NANP_DIGITS + 1 and digits[0] == "1":
            return _of_digits(digits[1:4], country, bridge_state)
        if len(digits) == NANP_DIGITS and country in US_COUNTRIES:
            return _of_digits(digits[:3], country, bridge_state)
    return _of_digits("", country, bridge_state)
