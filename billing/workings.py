"""The arithmetic of taxes, minimums and adjustments, in the words of a language.

What is stored with a line says it in English, in a fixed form, and never changes; here the same
numbers are said in another language. A form that is not known is shown as it is stored.
"""

import re
from typing import Final

from billing.money import parse_micros
from billing.sheet import ADJUSTMENT, MINIMUM, TAX, Line
from billing.speech import Speech

_UNKNOWN: Final = re.compile(r"\(([\d.]+) % of ([\d.]+) unknown\)")
_MINIMUM: Final = re.compile(r"monthly minimum ([\d.]+) - ([\d.]+) used")
_ADJUSTMENT: Final = re.compile(r"(-?)([\d.]+) due - (-?)([\d.]+) invoiced")
REVERSE_CHARGE: Final = "reverse charge"


def tax_text(line: Line, say: Speech) -> str:
    """Name a tax: which, of what quarter or country, how much."""
    return f"{_named(line.key, say)}, {say.number(line.rate or '0')} %"


def subject_text(line: Line, say: Speech) -> str:
    """Name what an adjustment is of: a leg, a tax, the monthly minimum."""
    return line.leg or _named(line.key, say)


def _named(key: str, say: Speech) -> str:
    name, _, of = key.partition(":")
    return say["monthly_minimum"] if name == "minimum" else f"{say[name]} {of}"


def working_text(line: Line, say: Speech) -> str:
    """Say a line's arithmetic."""
    if line.category == TAX:
        return _tax(line, say)
    found = {MINIMUM: _MINIMUM, ADJUSTMENT: _ADJUSTMENT}[line.category].fullmatch(line.working)
    if found is None:
        return line.working
    if line.category == MINIMUM:
        least, used = (say.money(parse_micros(text)) for text in found.groups())
        return say["w_minimum"].format(minimum=least, used=used)
    signs = (-1 if found[1] else 1, -1 if found[3] else 1)
    due, invoiced = signs[0] * parse_micros(found[2]), signs[1] * parse_micros(found[4])
    return say["w_adjustment"].format(due=say.money(due), invoiced=say.money(invoiced))


def _tax(line: Line, say: Speech) -> str:
    if line.working.startswith(REVERSE_CHARGE):
        return say["w_reverse"]
    percent, base = say.number(line.rate), say.exact(line.base_micros)
    if not line.key.startswith("usf:"):
        return say["w_vat"].format(percent=percent, base=base)
    text = say["w_usf"].format(percent=percent, base=base)
    unknown = _UNKNOWN.search(line.working)
    if unknown:
        of = say.exact(parse_micros(unknown[2]))
        text += "; " + say["w_unknown"].format(share=say.number(unknown[1]), amount=of)
    return text
