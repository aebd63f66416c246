"""The bridge's numbers: which DID means which country and kind (D18), and what dialled text is.

Knows libphonenumber's example numbers and the notations of a dialled number. It must not know
legs, sessions or trunks.

The rule: each country keeps its example number when it is the main country of its calling code;
then every other country, in alphabetical order, takes its example number with the last three
digits counted up until the number is nobody's and libphonenumber calls it valid and of its kind.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType

from bridge.conference.api import LegKind

VARIED_DIGITS: Final = 3
"""How many of an example number's last digits may be varied."""

CODE_DIGITS_MIN: Final = 3
PIN_DIGITS_MIN: Final = 4  # R18
CODE_DIGITS_MAX: Final = 20

DIALLED_CHARS_MAX: Final = 64
"""Longer dialled text is no number."""

DIALLED_CACHE_SIZE: Final = 1_024

_TYPES: Final[Mapping[LegKind, frozenset[int]]] = {
    LegKind.TOLL_FREE: frozenset({PhoneNumberType.TOLL_FREE}),
    LegKind.TOLL: frozenset({PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE}),
}
_EXAMPLE_OF: Final[Mapping[LegKind, int]] = {
    LegKind.TOLL_FREE: PhoneNumberType.TOLL_FREE,
    LegKind.TOLL: PhoneNumberType.FIXED_LINE,
}
_SEPARATORS: Final = re.compile(r"[\s\-.()/]+")  # RFC 3966 §5.1.1, and what people write
_DIGITS: Final = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Did:
    """One number that the bridge owns.

    Attributes:
        e164: with its plus: "+12015550123".
        country: ISO 3166 alpha-2.
        kind: TOLL_FREE or TOLL.
    """

    e164: str
    country: str
    kind: LegKind


def is_access_code(text: str) -> bool:
    """Say whether `text` has the form of an access code: 3 to 20 digits.

    >>> is_access_code("482913"), is_access_code("12"), is_access_code("12a4")
    (True, False, False)
    """
    return CODE_DIGITS_MIN <= len(text) <= CODE_DIGITS_MAX and _is_digits(text)


def is_pin(text: str) -> bool:
    """Say whether `text` has the form of an organizer's PIN: 4 to 20 digits (R18).

    >>> is_pin("7711"), is_pin("771")
    (True, False)
    """
    return PIN_DIGITS_MIN <= len(text) <= CODE_DIGITS_MAX and _is_digits(text)


def _is_digits(text: str) -> bool:
    return _DIGITS.fullmatch(text) is not None


@lru_cache(maxsize=DIALLED_CACHE_SIZE)
def digits_of(dialled: str) -> str:
    """Return the E.164 digits, without plus, that dialled text means; "" when it means none.

    >>> digits_of("+1 (201) 555-0123"), digits_of("0033123456789"), digits_of("01112015550123")
    ('12015550123', '33123456789', '12015550123')
    >>> digits_of("tel:555-0123;phone-context=+1201"), digits_of("join")
    ('12015550123', '')
    """
    if len(dialled) > DIALLED_CHARS_MAX:
        return ""
    number, *parameters = dialled.strip().split(";")
    number = _SEPARATORS.sub("", number.removeprefix("tel:"))
    if not number.startswith("+"):
        number = _context_of(parameters) + number
    for prefix in ("+", "011", "00"):
        if number.startswith(prefix):
            number = number.removeprefix(prefix)
            break
    return number if _is_digits(number) else ""


def _context_of(parameters: list[str]) -> str:
    """Return the global phone-context that a local number hangs on (RFC 3966 §5.1.5), or ""."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.lower() == "phone-context" and value.startswith("+"):
            return _SEPARATORS.sub("", value)
    return ""


class NumberPlan:
    """Every DID of the bridge, by number and by country and kind."""

    def __init__(self, dids: tuple[Did, ...]) -> None:
        self._by_digits = {did.e164.removeprefix("+"): did for did in dids}
        self._by_place = {(did.country, did.kind): did for did in dids}
        assert len(self._by_digits) == len(self._by_place) == len(dids)

    @staticmethod
    def build() -> "NumberPlan":
        """Return the plan of D18. The first call takes some 0.3 s, later ones nothing."""
        return _build()

    def did(self, country: str, kind: LegKind) -> Did | None:
        """Return the DID of a country and kind, None when the plan has none."""
        return self._by_place.get((country, kind))

    def lookup(self, dialled: str) -> Did | None:
        """Return the DID that dialled text means, in any usual notation.

        >>> NumberPlan((Did("+15550100", "US", LegKind.TOLL),)).lookup("+1 555-0100;x=y").country
        'US'
        """
        return self._by_digits.get(digits_of(dialled))

    def is_access_code(self, text: str) -> bool:
        """Say whether `text` may be a session's access code: of its form, and no DID's digits."""
        return is_access_code(text) and text not in self._by_digits

    @property
    def toll_free_countries(self) -> tuple[str, ...]:
        """Countries with a toll-free DID, in alphabetical order."""
        return self._countries(LegKind.TOLL_FREE)

    @property
    def toll_countries(self) -> tuple[str, ...]:
        """Countries with a toll DID, in alphabetical order."""
        return self._countries(LegKind.TOLL)

    def _countries(self, kind: LegKind) -> tuple[str, ...]:
        return tuple(sorted(country for country, of_kind in self._by_place if of_kind is kind))


@cache
def _build() -> NumberPlan:
    """Build the plan of D18 once a process."""
    dids: dict[str, Did] = {}
    for kind, example_type in _EXAMPLE_OF.items():
        for country, example in _examples(example_type):
            e164 = _free_number(example, kind, dids)
            dids[e164] = Did(e164, country, kind)
    return NumberPlan(tuple(dids.values()))


def _examples(number_type: int) -> list[tuple[str, str]]:
    """Return (country, example in E.164), the main country of each calling code first."""
    found: list[tuple[bool, str, str]] = []
    for country in sorted(phonenumbers.SUPPORTED_REGIONS):
        example = phonenumbers.example_number_for_type(country, number_type)
        if example is None:
            continue
        main = phonenumbers.region_code_for_country_code(example.country_code or 0)
        e164 = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        found.append((main != country, country, e164))
    return [(country, e164) for _, country, e164 in sorted(found)]


def _free_number(example: str, kind: LegKind, taken: Mapping[str, Did]) -> str:
    """Return the first variation of `example` that is nobody's, valid, and of its kind."""
    for candidate in _variations(example):
        if candidate not in taken and _is_of_kind(candidate, kind):
            return candidate
    raise AssertionError(f"every variation of {example} is taken or of another kind")


def _variations(example: str) -> Iterator[str]:
    """Yield `example` and what counting up its last digits makes of it, each once."""
    size = 10**VARIED_DIGITS
    head, tail = example[:-VARIED_DIGITS], int(example[-VARIED_DIGITS:])
    for step in range(size):
        yield f"{head}{(tail + step) % size:0{VARIED_DIGITS}}"


def _is_of_kind(e164: str, kind: LegKind) -> bool:
    number = phonenumbers.parse(e164)
    return phonenumbers.is_valid_number(number) and phonenumbers.number_type(number) in _TYPES[kind]
