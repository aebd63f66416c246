"""Invoices: drafts computed, finalized ones kept; what was finalized never changes (D14).

A month that changed after it was finalized is priced again in full; what differs from all that
was invoiced for it becomes adjustment lines on the next invoice of the same seller. So the sum of
all invoices is always what the months come to, also with tiers, minimums and taxes.
"""

import json
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing.book import Books
from billing.cards import Book
from billing.errors import BillingInputError, SeveralSellers
from billing.invoice import ADJUSTED, FINALIZED, Invoice, Party
from billing.money import amount_text
from billing.sheet import (
    ADJUSTMENT,
    Free,
    Line,
    Sheet,
    month_sheets,
    months_for,
    timeline_of,
)
from billing.store import Store
from billing.tables import invoices, lines, usage
from billing.times import month_after, month_text


class Ledger:
    """Drafts and reads invoices."""

    def __init__(self, store: Store, books: Books) -> None:
        self._store = store
        self._books = books

    def invoices(self, account: str, month: int) -> list[Invoice]:
        """Return the month's invoices, one for each seller and currency (D15)."""
        with self._store.read() as connection:
            return self.within(connection, self._books.current(connection), account, month)

    def invoice(self, account: str, month: int, seller: str | None = None) -> Invoice:
        """Return the month's one invoice, or the named seller's (by id or name)."""
        found = self.invoices(account, month)
        if seller is not None:
            found = [i for i in found if seller in (i.seller.id, i.seller.name)]
            if not found:
                raise BillingInputError("seller", seller, f"a seller of {month_text(month)}")
        if len(found) > 1:
            names = ", ".join(f"{i.seller.id} ({i.currency})" for i in found)
            raise SeveralSellers("seller", None, f"one of: {names}")
        return found[0]

    def within(self, connection: Connection, book: Book, account: str, month: int) -> list[Invoice]:
        """Return the month's invoices inside a transaction."""
        timeline_of(book, account)
        found = _finalized(connection, account, month)
        if found:  # what came later for this month is on the next one (D14)
            return found
        known = {
            (sheet.seller, sheet.currency): sheet
            for sheet in month_sheets(connection, book, account, month)
        }
        for key, corrections in adjustments(connection, book, account, month).items():
            if key not in known:
                known[key] = Sheet(*key, [_label(book, account, key[0])])
            known[key].lines.extend(corrections)
        return [_draft(book, account, month, known[key]) for key in sorted(known)]


def _label(book: Book, account: str, seller: str) -> str:
    segments = timeline_of(book, account).segments
    return next((s.label for s in reversed(segments) if s.seller == seller), seller)


def _draft(book: Book, account: str, month: int, sheet: Sheet) -> Invoice:
    timeline = timeline_of(book, account)
    newest = timeline.segments[-1].account
    from_ms, to_ms = months_for(timeline).bounds(month)
    seller = book.sellers[sheet.seller]
    return Invoice(
        account=Party(account, newest.name, newest.address, newest.vat_id),
        seller=Party(seller.id, seller.name, seller.address),
        month=month,
        from_ms=from_ms,
        to_ms=to_ms,
        time_zone=newest.time_zone,
        currency=sheet.currency,
        label=", ".join(sheet.labels),
        language=newest.language,
        lines=tuple(sheet.lines),
        free=tuple(sheet.free),
    )


_KEPT: Final = (
    sa.select(invoices)
    .where(
        invoices.c.account == sa.bindparam("of_account"),
        invoices.c.month == sa.bindparam("of_month"),
        invoices.c.status == FINALIZED,
    )
    .order_by(invoices.c.seller, invoices.c.currency)
)


def _finalized(connection: Connection, account: str, month: int) -> list[Invoice]:
    found: list[Invoice] = []
    for row in connection.execute(_KEPT, {"of_account": account, "of_month": month}).fetchall():
        head: dict[str, Any] = json.loads(row.head)
        mine = sa.select(*[lines.c[name] for name in Line._fields]).where(lines.c.invoice == row.no)
        status = ADJUSTED if _is_adjusted(connection, row) else FINALIZED
        found.append(
            Invoice(
                account=_as_party(head["account"]),
                seller=_as_party(head["seller"]),
                month=row.month,
                from_ms=head["from_ms"],
                to_ms=head["to_ms"],
                time_zone=head["time_zone"],
                currency=row.currency,
                label=head["label"],
                language=head["language"],
                status=status,
                number=row.number,
                finalized_ms=row.finalized_ms,
                lines=tuple(Line._make(r) for r in connection.execute(mine.order_by(lines.c.no))),
                free=tuple(Free(*group) for group in head["free"]),
            )
        )
    return found


def _as_party(stored: list[Any]) -> Party:
    identity, name, address, vat_id = stored
    return Party(identity, name, tuple(address), vat_id)


def _is_adjusted(connection: Connection, row: Any) -> bool:
    """Tell whether a later finalized invoice of the same seller corrects this one."""
    later = (
        sa.select(lines.c.no)
        .join(invoices, invoices.c.no == lines.c.invoice)
        .where(
            invoices.c.account == row.account,
            invoices.c.seller == row.seller,
            invoices.c.currency == row.currency,
            invoices.c.status == FINALIZED,
            invoices.c.month > row.month,
            lines.c.category == ADJUSTMENT,
            lines.c.month == row.month,
        )
        .limit(1)
    )
    return connection.scalar(later) is not None


def adjustments(
    connection: Connection, book: Book, account: str, month: int
) -> dict[tuple[str, str], list[Line]]:
    """Return what earlier finalized months now come to, less what was invoiced for them.

    It belongs on this month only when no earlier month is still open for it.
    """
    done, changed = finalized_months(connection, account)
    if not changed or month <= done[-1]:
        return {}
    between = sa.select(usage.c.seq).where(
        usage.c.account == account,
        usage.c.live == 1,
        usage.c.month > done[-1],
        usage.c.month < month,
    )
    if connection.scalar(between.limit(1)) is not None:
        return {}
    if month_after(done[-1]) < month and not _has_usage(connection, account, month):
        return {}
    found: dict[tuple[str, str], list[Line]] = {}
    for earlier in changed:
        for key, difference in _differences(connection, book, account, earlier).items():
            found.setdefault(key, []).extend(difference)
    return found


def _done_select() -> Any:
    later = sa.exists().where(
        usage.c.account == invoices.c.account,
        usage.c.month == invoices.c.month,
        usage.c.seq > invoices.c.mark,
    )
    return (
        sa.select(invoices.c.month, sa.or_(invoices.c.touched == 1, later))
        .where(invoices.c.account == sa.bindparam("of_account"), invoices.c.status == FINALIZED)
        .order_by(invoices.c.month)
    )


_DONE: Final = _done_select()


def finalized_months(connection: Connection, account: str) -> tuple[list[int], list[int]]:
    """Return the months that are finalized, and those of them that have changed since."""
    rows = connection.execute(_DONE, {"of_account": account}).all()
    return sorted({row[0] for row in rows}), sorted({row[0] for row in rows if row[1]})


def _has_usage(connection: Connection, account: str, month: int) -> bool:
    select = sa.select(usage.c.seq).where(
        usage.c.account == account, usage.c.live == 1, usage.c.month == month
    )
    return connection.scalar(select.limit(1)) is not None


def _differences(
    connection: Connection, book: Book, account: str, month: int
) -> dict[tuple[str, str], list[Line]]:
    """Compare a finalized month, priced anew, with all that was invoiced for it, line by line."""
    target: dict[tuple[str, str], dict[str, Line]] = {
        (sheet.seller, sheet.currency): {line.key: line for line in sheet.lines}
        for sheet in month_sheets(connection, book, account, month)
    }
    invoiced = _invoiced(connection, account, month)
    found: dict[tuple[str, str], list[Line]] = {}
    for owner in sorted(target.keys() | invoiced.keys()):
        now, then = target.get(owner, {}), invoiced.get(owner, {})
        changes = [
            _adjustment(now.get(key), then.get(key), currency=owner[1])
            for key in sorted(now.keys() | then.keys())
        ]
        kept = [line for line in changes if line is not None]
        if kept:
            found[owner] = kept
    return found


def _invoiced(
    connection: Connection, account: str, month: int
) -> dict[tuple[str, str], dict[str, Line]]:
    """Return by seller and key what all finalized invoices charge for a month of service."""
    select = (
        sa.select(invoices.c.seller, invoices.c.currency, *[lines.c[n] for n in Line._fields])
        .join(invoices, invoices.c.no == lines.c.invoice)
        .where(
            invoices.c.account == account,
            invoices.c.status == FINALIZED,
            lines.c.month == month,
        )
        .order_by(lines.c.no)
    )
    sums: dict[tuple[str, str], dict[str, Line]] = {}
    for seller, currency, *values in connection.execute(select):
        line = Line._make(values)
        mine = sums.setdefault((seller, currency), {})
        known = mine.get(line.key)
        if known is not None:
            line = line._replace(
                amount_micros=line.amount_micros + known.amount_micros,
                billed_seconds=line.billed_seconds + known.billed_seconds,
            )
        mine[line.key] = line
    return sums


def _adjustment(now: Line | None, then: Line | None, *, currency: str) -> Line | None:
    amount = (now.amount_micros if now else 0) - (then.amount_micros if then else 0)
    seconds = (now.billed_seconds if now else 0) - (then.billed_seconds if then else 0)
    model = now or then
    if model is None or (not amount and not seconds):
        return None
    due = amount_text(now.amount_micros if now else 0, currency)
    paid = amount_text(then.amount_micros if then else 0, currency)
    return model._replace(
        category=ADJUSTMENT,
        amount_micros=amount,
        billed_seconds=seconds,
        working=f"{due} due - {paid} invoiced",
    )
