"""How each of the seven languages (R19) says words, money, numbers, dates and countries."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Final

from billing.money import minor_digits, minutes_text, plain_text
from billing.times import EPOCH, MS, local

_CODE_BEFORE_DIGIT: Final = re.compile(r"([A-Z])(?=[0-9-])")


@lru_cache(maxsize=1)
def _all_words() -> Mapping[str, Mapping[str, str]]:
    text = files("billing").joinpath("data/words.json").read_text(encoding="utf-8")
    words: Mapping[str, Mapping[str, str]] = json.loads(text)
    return words


class Speech:
    """How one language says words, money, numbers, dates and countries."""

    def __init__(self, language: str, currency: str, time_zone: str) -> None:
        from babel import Locale

        self.language = language
        self.words = _all_words()[language]
        self._locale = Locale.parse(language)
        self._currency = currency
        self._zone = time_zone

    def __getitem__(self, word: str) -> str:
        return self.words.get(word, word)

    def money(self, micros: int) -> str:
        """Write an amount by the language's pattern, with ISO 4217's decimals."""
        from babel.numbers import parse_pattern

        digits = minor_digits(self._currency)
        pattern = parse_pattern(self._locale.currency_formats["standard"].pattern)
        pattern.frac_prec = (digits, digits)
        value = Decimal(micros).scaleb(-6)
        shown = pattern.apply(value, self._locale, currency=self._currency, currency_digits=False)
        return _CODE_BEFORE_DIGIT.sub("\\1\N{NO-BREAK SPACE}", str(shown))

    def exact(self, micros: int) -> str:
        """Write an amount that may be finer than the currency: with all its decimals."""
        return self.rate(plain_text(micros))

    def number(self, text: str) -> str:
        """Write a decimal with the language's separators."""
        from babel.numbers import format_decimal

        pattern = "#,##0.######" if "." in text else "#,##0"
        return str(format_decimal(Decimal(text), format=pattern, locale=self._locale))

    def rate(self, text: str) -> str:
        """Write one price a minute, or several of a line's tiers."""
        from babel.numbers import format_decimal

        return " / ".join(
            str(format_decimal(Decimal(part), format="#,##0.00####", locale=self._locale))
            for part in text.split(" / ")
            if part
        )

    def minutes(self, seconds: int) -> str:
        """Write seconds as minutes."""
        return self.number(minutes_text(seconds))

    def country(self, code: str) -> str:
        """Name a country."""
        return str(self._locale.territories.get(code, code)) if code else ""

    def month(self, at_ms: int) -> str:
        """Name the month of an instant."""
        from babel.dates import format_skeleton

        return str(format_skeleton("yMMMM", local(at_ms, self._zone), locale=self._locale))

    def date(self, at_ms: int) -> str:
        """Write the date of an instant."""
        from babel.dates import format_date

        return str(format_date(local(at_ms, self._zone), format="long", locale=self._locale))

    def moment(self, at_ms: int) -> str:
        """Write date and time of an instant."""
        from babel.dates import format_datetime

        when = (EPOCH + at_ms * MS).astimezone(local(at_ms, self._zone).tzinfo)
        return str(format_datetime(when, format="short", tzinfo=when.tzinfo, locale=self._locale))
