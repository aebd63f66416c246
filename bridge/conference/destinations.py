"""Which numbers the bridge may call (D11); knows libphonenumber, no leg and no session."""

from collections.abc import Collection
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

from bridge.conference.numberplan import NumberPlan

PREMIUM: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})
ALLOWED: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
    }
)
"""Numbers of people; not of services, pagers or voice mail."""


class Destination(NamedTuple):
    """A number that may be called, or why not: then `fault` is a stable code."""

    e164: str = ""
    country: str = ""
    fault: str = ""
    message: str = ""


def destination_of(number: str, countries: Collection[str], plan: NumberPlan) -> Destination:
    """Say whether a number may be called; it must be written in full, with its plus.

    >>> destination_of("+12125550111", {"US"}, NumberPlan(())).country
    'US'
    >>> destination_of("+19002345678", {"US"}, NumberPlan(())).fault
    'premium_number'
    """
    if not countries:
        return Destination(fault="call_me_off", message="Call Me is not configured")
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed is None or not phonenumbers.is_valid_number(parsed):
        return Destination(fault="bad_number", message=f"{number!r}: expected +12125550111")
    country = phonenumbers.region_code_for_number(parsed) or ""
    kind = phonenumbers.number_type(parsed)
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if kind in PREMIUM:
        return Destination(fault="premium_number", message=f"{e164} is a premium-rate number")
    if country not in countries:
        return Destination(fault="country_not_allowed", message=f"{e164} is in {country}")
    if kind not in ALLOWED or plan.lookup(e164) is not None:
        return Destination(fault="number_not_allowed", message=f"{e164} is nobody's phone")
    return Destination(e164, country)
