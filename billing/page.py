"""What an invoice or a report says on paper, in one of seven languages (R19); knows no markup.

A page is plain strings: parties, facts, tables, totals. HTML and PDF are two ways to print the
same page, so they cannot say different things.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from billing.invoice import Invoice, Party
from billing.money import minor_digits, minutes_text
from billing.sheet import ADJUSTMENT, MINIMUM, TAX, USAGE, Line
from billing.times import EPOCH, MS, local

_CODE_BEFORE_DIGIT: Final = re.compile(r"([A-Z])(?=[0-9-])")
LEFT: Final = "left"
RIGHT: Final = "right"


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a page; every row has as many cells as there are columns."""

    title: str
    columns: list[str]
    aligned: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that is printed, in order. `total` is the last line of an invoice."""

    language: str
    kind: str
    title: str
    sender: list[str]
    receiver: list[str]
    facts: list[list[str]]
    tables: list[Table]
    totals: list[list[str]] = field(default_factory=list)
    total: list[str] = field(default_factory=list)
    note: str = ""
    page_word: str = ""


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


def invoice_page(invoice: Invoice, language: str | None = None) -> Page:
    """Lay an invoice out: by session, country and kind; what was free; taxes; the total."""
    say = Speech(language or invoice.language, invoice.currency, invoice.time_zone)
    status = invoice.number or say["draft"]
    facts = [
        [say["number"], status],
        [say["month"], say.month(invoice.from_ms)],
        [say["account"], invoice.account.id],
        [say["time_zone"], invoice.time_zone],
    ]
    if invoice.finalized_ms is not None:
        facts.insert(1, [say["date"], say.date(invoice.finalized_ms)])
    if invoice.account.vat_id:
        facts.append([say["vat_id"], invoice.account.vat_id])
    tables = [table for table in _tables(invoice, say) if table.rows]
    return Page(
        language=say.language,
        kind=say["invoice"],
        title=invoice.label,
        sender=_address(invoice.seller),
        receiver=_address(invoice.account),
        facts=facts,
        tables=tables,
        totals=_totals(invoice, say),
        total=[say["total"], say.money(invoice.total_micros)],
        note="" if invoice.of(USAGE) else say["nothing"],
        page_word=say["page"],
    )


def _address(party: Party) -> list[str]:
    return [party.name or party.id, *party.address]


def _totals(invoice: Invoice, say: Speech) -> list[list[str]]:
    rows = [[say["subtotal"], say.money(invoice.sums[USAGE])]]
    for line in invoice.of(MINIMUM):
        rows.append([say["monthly_minimum"], say.money(line.amount_micros)])
    for line in invoice.of(TAX):
        rows.append([_tax_name(line, say), say.money(line.amount_micros)])
    if invoice.of(ADJUSTMENT):
        rows.append([say["adjustments"], say.money(invoice.sums[ADJUSTMENT])])
    return rows


def _tax_name(line: Line, say: Speech) -> str:
    name, _, of = line.key.partition(":")
    return f"{say[name]} {of}, {say.number(line.rate)} %"


def _tables(invoice: Invoice, say: Speech) -> Iterable[Table]:
    usage = invoice.of(USAGE)
    yield _grouped(
        say,
        say["by_session"],
        [say["session"], say["charge_code"]],
        [([line.session, line.charge_code], line) for line in usage],
    )
    yield _grouped(
        say,
        say["by_country"],
        [say["country"], say["kind"], say["rate"]],
        [
            ([say.country(line.country), say[line.kind], say.rate(line.rate)], line)
            for line in usage
        ],
    )
    yield _grouped(say, say["by_kind"], [say["kind"]], [([say[line.kind]], line) for line in usage])
    yield Table(
        say["not_charged"],
        [say["reason"], say["kind"], say["legs"], say["minutes"]],
        [LEFT, LEFT, RIGHT, RIGHT],
        [
            [say[g.reason], say[g.kind], say.number(str(g.legs)), say.minutes(g.seconds)]
            for g in invoice.free
        ],
    )
    yield Table(
        say["taxes"],
        [say["what"], say["base"], say["amount"]],
        [LEFT, RIGHT, RIGHT],
        [
            [_tax_name(line, say), say.money(line.base_micros), say.money(line.amount_micros)]
            for line in invoice.of(TAX)
        ],
    )
    yield Table(
        say["adjustments"],
        [say["month"], say["what"], say["minutes"], say["amount"]],
        [LEFT, LEFT, RIGHT, RIGHT],
        [
            [
                f"{line.month // 100}-{line.month % 100:02d}",
                line.leg or line.key,
                say.minutes(line.billed_seconds),
                say.money(line.amount_micros),
            ]
            for line in invoice.of(ADJUSTMENT)
        ],
    )


def _grouped(
    say: Speech, title: str, columns: list[str], rows: Iterable[tuple[list[str], Line]]
) -> Table:
    """Sum lines by the cells that name them: legs, minutes and amount of each group."""
    sums: dict[tuple[str, ...], list[int]] = {}
    legs: dict[tuple[str, ...], set[int | None]] = {}
    for cells, line in rows:
        key = tuple(cells)
        total = sums.setdefault(key, [0, 0])
        total[0] += line.billed_seconds
        total[1] += line.amount_micros
        legs.setdefault(key, set()).add(line.leg_no)
    body = [
        [*key, say.number(str(len(legs[key]))), say.minutes(seconds), say.money(micros)]
        for key, (seconds, micros) in sorted(sums.items())
    ]
    aligned = [LEFT] * len(columns) + [RIGHT] * 3
    return Table(title, [*columns, say["legs"], say["minutes"], say["amount"]], aligned, body)


def as_data(page: Page) -> dict[str, Any]:
    """Return a page as JSON data, for the PDF's template."""
    from dataclasses import asdict

    return asdict(page)
