"""One month of an account, priced and taxed: a sheet for each seller and currency (D15).

Knows the store's usage; what was invoiced before it does not know. A sheet is what the month
comes to by all that is known now.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing.cards import Book, Segment, Timeline
from billing.errors import UnknownAccount
from billing.money import amount_text, minor_unit
from billing.rating import MonthMeter
from billing.tables import legs, occurrences, sources, usage
from billing.tax import Tax, usf, vat
from billing.times import Months, months_of, quarter_of
from billing.words import BILLABLE

USAGE: Final = "usage"
MINIMUM: Final = "minimum"
TAX: Final = "tax"
ADJUSTMENT: Final = "adjustment"

READ_ROWS: Final = 10_000
"""Usage rows read at a time."""


class Line(NamedTuple):
    """What an invoice shows of one leg part, or of a minimum, a tax or an adjustment.

    `key` names the same thing in every invoice, so that what was invoiced of it can be summed.
    """

    category: str
    key: str
    month: int
    amount_micros: int
    billed_seconds: int
    leg_no: int | None = None
    part: int | None = None
    leg: str = ""
    session: str = ""
    occurrence: str = ""
    charge_code: str = ""
    name: str = ""
    kind: str = ""
    country: str = ""
    ani: str = ""
    answered_ms: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    billable_seconds: int = 0
    included_seconds: int = 0
    increment: str = ""
    rate: str = ""
    working: str = ""
    reason: str = ""
    jurisdiction: str = ""
    base_micros: int = 0


class Free(NamedTuple):
    """Legs that cost nothing, together: why, how they joined, how many, how long."""

    reason: str
    kind: str
    legs: int
    seconds: int


@dataclass(slots=True)
class Sheet:
    """A month of an account with one seller in one currency."""

    seller: str
    currency: str
    labels: list[str]
    lines: list[Line] = field(default_factory=list)
    free: list[Free] = field(default_factory=list)

    def of(self, category: str) -> list[Line]:
        """Return the lines of one category."""
        return [line for line in self.lines if line.category == category]


def timeline_of(book: Book, account: str) -> Timeline:
    """Return what is configured for an account; refuse one that is not."""
    timeline = book.timelines.get(account)
    if timeline is None or not timeline.segments:
        known = ", ".join(sorted(book.timelines)[:10]) or "none is configured"
        raise UnknownAccount("account", account, f"one of: {known}")
    return timeline


def months_for(timeline: Timeline) -> Months:
    """Return the months by the account's newest time zone, for closing and display."""
    return months_of(timeline.segments[-1].account.time_zone)


def month_sheets(connection: Connection, book: Book, account: str, month: int) -> list[Sheet]:
    """Price everything an account used in a month; at least one sheet, sellers in order."""
    timeline = timeline_of(book, account)
    sheets: dict[tuple[str, str], Sheet] = {}
    closing = _closing_segment(timeline, month)
    if closing is not None:
        _sheet(sheets, closing)
    meter = MonthMeter()
    charged = connection.execute(_CHARGED, {"of_account": account, "of_month": month})
    for row in chain.from_iterable(charged.partitions(READ_ROWS)):
        segment = timeline.at(priced_at(row[4], row[5]))
        assert segment is not None, "settlement found one"
        _sheet(sheets, segment).lines.append(_line(row, segment, meter, month))
    _add_free(connection, account, month, timeline, sheets)
    _add_minimum(closing, month, sheets)
    for sheet in sheets.values():
        _add_taxes(sheet, timeline, book, month)
    used = [s for s in sheets.values() if s.lines or s.free]
    return sorted(used or sheets.values(), key=lambda s: (s.seller, s.currency))


def _sheet(sheets: dict[tuple[str, str], Sheet], segment: Segment) -> Sheet:
    key = (segment.seller, segment.card.currency)
    sheet = sheets.get(key)
    if sheet is None:
        sheet = sheets[key] = Sheet(*key, [segment.label])
    elif segment.label not in sheet.labels:
        sheet.labels.append(segment.label)
    return sheet


def _closing_segment(timeline: Timeline, month: int) -> Segment | None:
    """Return what holds at the month's last instant: its contract carries the minimum."""
    _, end = months_for(timeline).bounds(month)
    return timeline.at(end - 1)


def _charged_rows() -> Any:
    """Charged usage of a month, in the order in which it burns included minutes and tiers."""
    same = sa.and_(
        occurrences.c.source == legs.c.source, occurrences.c.occurrence == legs.c.occurrence
    )
    return (
        sa.select(
            usage.c.leg_no,
            usage.c.part,
            usage.c.billed_seconds,
            usage.c.billable_seconds,
            usage.c.from_ms,
            usage.c.to_ms,
            usage.c.increment,
            usage.c.rate_key,
            usage.c.jurisdiction,
            legs.c.leg,
            legs.c.session,
            legs.c.occurrence,
            legs.c.name,
            legs.c.kind,
            legs.c.country,
            legs.c.ani,
            legs.c.answered_ms,
            sa.func.coalesce(legs.c.charge_code, occurrences.c.charge_code).label("charge_code"),
        )
        .select_from(
            usage.join(legs, legs.c.no == usage.c.leg_no)
            .join(sources, sources.c.no == legs.c.source)
            .outerjoin(occurrences, same)
        )
        .where(
            usage.c.account == sa.bindparam("of_account"),
            usage.c.month == sa.bindparam("of_month"),
            usage.c.live == 1,
            usage.c.reason == BILLABLE,
        )
        .order_by(usage.c.from_ms, legs.c.leg, sources.c.source, usage.c.part)
    )


_CHARGED: Final = _charged_rows()


def _line(row: Any, segment: Segment, meter: MonthMeter, month: int) -> Line:
    (
        leg_no,
        part,
        billed,
        billable,
        from_ms,
        to_ms,
        increment,
        rate_key,
        jurisdiction,
        leg,
        session,
        occurrence,
        name,
        kind,
        country,
        ani,
        answered_ms,
        charge_code,
    ) = row
    priced = meter.price(segment.card, kind, rate_key, seconds=billed, first=part == 1)
    return Line(
        USAGE,
        f"{leg_no}.{part}",
        month,
        priced.amount_micros,
        billed,
        leg_no,
        part,
        leg,
        session or "",
        occurrence or "",
        charge_code or "",
        name or "",
        kind,
        country,
        ani or "",
        answered_ms,
        from_ms,
        to_ms,
        billable,
        priced.included_seconds,
        increment,
        priced.rate,
        priced.working,
        BILLABLE,
        jurisdiction,
    )


def _free_rows() -> Any:
    count, seconds = sa.func.count(), sa.func.sum(usage.c.billable_seconds)
    grouped = (usage.c.seller, usage.c.currency, usage.c.product, usage.c.reason, legs.c.kind)
    return (
        sa.select(*grouped, count, seconds)
        .join(legs, legs.c.no == usage.c.leg_no)
        .where(
            usage.c.account == sa.bindparam("of_account"),
            usage.c.month == sa.bindparam("of_month"),
            usage.c.live == 1,
            usage.c.reason != BILLABLE,
        )
        .group_by(*grouped)
        .order_by(*grouped)
    )


_FREE: Final = _free_rows()


def _add_free(
    connection: Connection,
    account: str,
    month: int,
    timeline: Timeline,
    sheets: dict[tuple[str, str], Sheet],
) -> None:
    labels = {segment.product: segment for segment in timeline.segments}
    for (seller, currency, product), rows in groupby(
        connection.execute(_FREE, {"of_account": account, "of_month": month}).fetchall(),
        key=lambda row: tuple(row[:3]),
    ):
        sheet = sheets.get((seller, currency))
        if sheet is None:
            label = labels[product].label
            sheet = sheets[seller, currency] = Sheet(seller, currency, [label])
        for row in rows:
            sheet.free.append(Free(row[3], row[4], int(row[5]), int(row[6])))


def _add_minimum(closing: Segment | None, month: int, sheets: dict[tuple[str, str], Sheet]) -> None:
    """Add what is missing to the monthly minimum of the contract in force at the month's end."""
    if closing is None or not closing.card.monthly_minimum:
        return
    sheet = _sheet(sheets, closing)
    charged = sum(line.amount_micros for line in sheet.lines)
    unit, currency = closing.card.unit, closing.card.currency
    minimum = closing.card.monthly_minimum // unit * unit
    if charged < minimum:
        sheet.lines.append(
            Line(
                MINIMUM,
                f"minimum:{closing.card.contract}",
                month,
                minimum - charged,
                0,
                working=f"monthly minimum {amount_text(minimum, currency)} - "
                f"{amount_text(charged, currency)} used",
            )
        )


def _add_taxes(sheet: Sheet, timeline: Timeline, book: Book, month: int) -> None:
    unit = minor_unit(sheet.currency)
    taxed = {s.product for s in timeline.segments if s.usf and s.seller == sheet.seller}
    lines = sheet.of(USAGE)
    if taxed and lines:
        charges = _telecom_charges(lines, timeline)
        if charges:
            quarter = quarter_of(month)
            found = usf(charges, quarter=quarter, settings=book.settings, unit=unit)
            sheet.lines.append(_tax_line(found, month))
    account = timeline.segments[-1].account
    base = sum(line.amount_micros for line in sheet.lines if line.category in (USAGE, MINIMUM))
    begins, _ = months_for(timeline).bounds(month)
    percent = book.settings.vat_percent(account.vat_country, begins)
    if percent is not None and base:
        added = vat(
            base,
            country=account.vat_country,
            reverse_charge=account.reverse_charge,
            percent=percent,
            unit=unit,
        )
        sheet.lines.append(_tax_line(added, month))


def _telecom_charges(lines: Iterable[Line], timeline: Timeline) -> list[tuple[str, int]]:
    """Return (jurisdiction, amount) of what was sold as a telecommunications service (R15)."""
    charges: list[tuple[str, int]] = []
    for line in lines:
        assert line.from_ms is not None, "usage lines have times"
        assert line.to_ms is not None, "usage lines have times"
        segment = timeline.at(priced_at(line.from_ms, line.to_ms))
        if segment is not None and segment.usf and line.amount_micros:
            charges.append((line.jurisdiction, line.amount_micros))
    return charges


def priced_at(from_ms: int, to_ms: int) -> int:
    """Return the instant whose rates price a part: its last one.

    A part never crosses a change, but for one that begins under a second before it and is billed
    wholly after it.
    """
    return max(from_ms, to_ms - 1)


def _tax_line(tax: Tax, month: int) -> Line:
    return Line(
        TAX,
        tax.key,
        month,
        tax.amount_micros,
        0,
        kind=tax.name,
        rate=tax.percent,
        working=tax.working,
        base_micros=tax.base_micros,
    )
