"""What an invoice or a report says on paper, in one of seven languages (R19); knows no markup.

A page is plain strings: parties, facts, tables, totals. HTML and PDF are two ways to print the
same page, so they cannot say different things.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from billing.invoice import Invoice, Party
from billing.sheet import ADJUSTMENT, MINIMUM, TAX, USAGE, Line
from billing.speech import Speech
from billing.workings import subject_text, tax_text, working_text

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
        note="" if invoice.lines else say["nothing"],
        page_word=say["page"],
    )


def _address(party: Party) -> list[str]:
    return [party.name or party.id, *party.address]


def _totals(invoice: Invoice, say: Speech) -> list[list[str]]:
    rows = [[say["subtotal"], say.money(invoice.sums[USAGE])]]
    for line in invoice.of(MINIMUM):
        rows.append([say["monthly_minimum"], say.money(line.amount_micros)])
    for line in invoice.of(TAX):
        rows.append([tax_text(line, say), say.money(line.amount_micros)])
    if invoice.of(ADJUSTMENT):
        rows.append([say["adjustments"], say.money(invoice.sums[ADJUSTMENT])])
    return rows


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
        say["monthly_minimum"],
        [say["working"], say["amount"]],
        [LEFT, RIGHT],
        [[working_text(line, say), say.money(line.amount_micros)] for line in invoice.of(MINIMUM)],
    )
    yield Table(
        say["taxes"],
        [say["what"], say["working"], say["amount"]],
        [LEFT, LEFT, RIGHT],
        [
            [tax_text(line, say), working_text(line, say), say.money(line.amount_micros)]
            for line in invoice.of(TAX)
        ],
    )
    yield Table(
        say["adjustments"],
        [say["month"], say["what"], say["working"], say["minutes"], say["amount"]],
        [LEFT, LEFT, LEFT, RIGHT, RIGHT],
        [
            [
                f"{line.month // 100}-{line.month % 100:02d}",
                subject_text(line, say),
                working_text(line, say),
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
