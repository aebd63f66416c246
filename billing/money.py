"""Money: integer micro-units with a currency (D9); knows ISO 4217, no rates and no legs.

`Decimal` is used to read and write text only; every sum and product is of integers.
"""

from decimal import Decimal, InvalidOperation
from typing import Final

MICROS: Final = 1_000_000
"""Micro-units in one unit of any currency."""

RATE_SECONDS: Final = 60
"""Rates are per minute."""

MICROS_MAX: Final = 10**15
"""The largest amount that is read from text: a thousand million units."""

_NO_MINOR_TEXT: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_NO_MINOR: Final = frozenset(_NO_MINOR_TEXT.split())
_THREE_TEXT: Final = "BHD IQD JOD KWD LYD OMR TND"
_THREE: Final = frozenset(_THREE_TEXT.split())
_TWO_TEXT: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS "
    "TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_TWO: Final = frozenset(_TWO_TEXT.split())


def minor_digits(currency: str) -> int:
    """Return the decimals of a currency by ISO 4217; KeyError for a code that is not in it.

    >>> minor_digits("USD"), minor_digits("JPY"), minor_digits("KWD")
    (2, 0, 3)
    """
    if currency in _TWO:
        return 2
    if currency in _NO_MINOR:
        return 0
    if currency in _THREE:
        return 3
    raise KeyError(currency)


def parse_micros(text: str) -> int:
    """Read a decimal string as micro-units; ValueError when it is not one, exactly.

    >>> parse_micros("0.06")
    60000
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r}: expected a decimal like 0.06") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"{text!r}: expected an amount that is not negative")
    scaled = value.scaleb(6)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text!r}: expected at most 6 decimals")
    if scaled > MICROS_MAX:
        raise ValueError(f"{text!r}: expected at most {MICROS_MAX // MICROS}")
    return int(scaled)


def half_up(numerator: int, denominator: int) -> int:
    """Divide and round half away from zero, in integers (D9).

    >>> half_up(5, 2), half_up(-5, 2), half_up(4, 3)
    (3, -3, 1)
    """
    if numerator < 0:
        return -half_up(-numerator, denominator)
    return (2 * numerator + denominator) // (2 * denominator)


def minor_unit(currency: str) -> int:
    """Return the micro-units of the smallest amount a currency can show.

    >>> minor_unit("USD"), minor_unit("JPY")
    (10000, 1000000)
    """
    return int(10 ** (6 - minor_digits(currency)))


def rounded(micro_seconds: int, unit: int) -> int:
    """Round a sum of (micros per minute x seconds) once, half up, to whole minor units (D9).

    >>> rounded(60_000 * 120, minor_unit("USD"))  # 120 s at 0.06 a minute
    120000
    """
    return half_up(micro_seconds, RATE_SECONDS * unit) * unit


def amount_text(micros: int, currency: str) -> str:
    """Write a rounded amount with its currency's decimals.

    >>> amount_text(1_800_000, "USD"), amount_text(7_000_000, "JPY")
    ('1.80', '7')
    """
    digits = minor_digits(currency)
    return f"{Decimal(micros).scaleb(-6).quantize(Decimal(1).scaleb(-digits)):f}"


def plain_text(micros: int) -> str:
    """Write micro-units as they are, without trailing zeros but at least two decimals: a rate.

    >>> plain_text(60_000), plain_text(12_500)
    ('0.06', '0.0125')
    """
    whole, part = divmod(micros, MICROS)
    digits = f"{part:06d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits}"


def minutes_text(seconds: int) -> str:
    """Write seconds as minutes, as short as is exact to a thousandth, for display only.

    >>> minutes_text(1800), minutes_text(36)
    ('30', '0.6')
    """
    thousandths = half_up(seconds * 1_000, 60)
    whole, part = divmod(abs(thousandths), 1_000)
    sign = "-" if thousandths < 0 else ""
    return f"{sign}{whole}" + (f".{part:03d}".rstrip("0") if part else "")
