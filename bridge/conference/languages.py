"""The languages of the prompts (R19): which one a caller is greeted in, and what comes next.

Knows countries and language codes; it must not know how anything is said.
"""

from typing import Final

LANGUAGES: Final = ("en", "fr", "it", "de", "es", "pt", "nl")
"""In the order in which the star key steps through them at the greeting."""

_COUNTRIES: Final = {
    "fr": "FR BE LU MC BF BI BJ CD CF CG CI CM DJ DZ GA GF GN GP GQ HT KM MA MG ML MQ MR NC NE"
    " PF PM RE RW SN TD TG TN WF YT BL MF",
    "it": "IT SM VA",
    "de": "DE AT CH LI",
    "es": "ES AR BO CL CO CR CU DO EC GT HN MX NI PA PE PR PY SV UY VE",
    "pt": "PT BR AO CV GW MZ ST TL",
    "nl": "NL SR AW CW SX BQ",
}

OF_COUNTRY: Final = {
    country: language for language, names in _COUNTRIES.items() for country in names.split()
}
"""The language of a country's numbers, where it is not the bridge's own."""


def language_of(country: str, default: str) -> str:
    """Return the language in which callers of a country's number are greeted.

    >>> language_of("BR", "en"), language_of("SE", "en"), language_of("", "de")
    ('pt', 'en', 'de')
    """
    return OF_COUNTRY.get(country, default)


def after(language: str) -> str:
    """Return the next language, after the last the first.

    >>> after("en"), after("nl")
    ('fr', 'en')
    """
    return LANGUAGES[(LANGUAGES.index(language) + 1) % len(LANGUAGES)]
