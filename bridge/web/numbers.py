"""Which numbers a session offers, written as people of each country write them.

Knows the number plan and libphonenumber's formats; knows no leg and no HTTP.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import phonenumbers
from babel import Locale
from phonenumbers import PhoneNumberFormat

from bridge.conference.api import LegKind, SessionSpec
from bridge.conference.numberplan import NumberPlan


@dataclass(frozen=True, slots=True)
class OfferedNumber:
    """One number to dial.

    Attributes:
        national: as it is written, and dialled, inside the country.
        international: as it is written for callers from abroad.
    """

    country: str
    kind: Literal["toll_free", "toll"]
    e164: str
    national: str
    international: str


@lru_cache(maxsize=2_048)
def offered(e164: str, country: str, kind: Literal["toll_free", "toll"]) -> OfferedNumber:
    """Return a number with its two usual spellings."""
    number = phonenumbers.parse(e164)
    return OfferedNumber(
        country=country,
        kind=kind,
        e164=e164,
        national=phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
        international=phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
    )


def numbers_of(
    plan: NumberPlan, spec: SessionSpec, *, toll_free_enabled: bool
) -> list[OfferedNumber]:
    """Return what a session offers now: the toll-free numbers picked (R11, R13), then all toll."""
    picked = sorted(spec.toll_free) if toll_free_enabled else []
    places = [(country, LegKind.TOLL_FREE) for country in picked]
    places += [(country, LegKind.TOLL) for country in plan.toll_countries]
    found = []
    for country, kind in places:
        did = plan.did(country, kind)
        if did is not None:
            free = kind is LegKind.TOLL_FREE
            found.append(offered(did.e164, country, "toll_free" if free else "toll"))
    return found


@lru_cache(maxsize=4_096)
def country_name(country: str, language: str) -> str:
    """Return a country's name in a language; its code when there is none."""
    return str(Locale.parse(language).territories.get(country, country))
