"""Finalizing months: numbers without gaps, lines that never change (D14).

The lines are written in short transactions under a claim; the last transaction numbers all
invoices of the month at once, if the claim is still ours and neither usage nor configuration has
changed since they were computed. Otherwise it begins again. Two processes, or a crash in between,
leave no gap and no half invoice.
"""

import json
import secrets
from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing.book import Books
from billing.cards import Book
from billing.errors import MissingFactor, MonthNotOver
from billing.invoice import FINALIZED, Invoice, Party
from billing.ledger import Ledger, finalized_months
from billing.sheet import ADJUSTMENT, Line, months_for, timeline_of
from billing.store import Batch, Store
from billing.tables import invoices, lines, usage
from billing.times import DAY_MS, month_after, month_text

WRITING: Final = "writing"
LINES_CHUNK: Final = 5_000
"""Lines written in one transaction while an invoice is being finalized."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """An invoice being finalized.

    Attributes:
        no: its row.
        token: says that the row is ours.
    """

    draft: Invoice
    no: int
    token: str


@dataclass(frozen=True, slots=True)
class _View:
    """What a draft was computed from: the newest usage row and the configuration's revision."""

    mark: int
    revision: int


class Closing:
    """Finalizes months, one by one or all that are due."""

    def __init__(self, store: Store, books: Books, ledger: Ledger) -> None:
        self._store = store
        self._books = books
        self._ledger = ledger
        self._insert_lines = Batch(store, sa.insert(lines), ("invoice", *Line._fields))

    def finalize(self, account: str, month: int, *, at_ms: int) -> list[Invoice]:
        """Finalize a month that is over; an empty month has no invoice."""
        while True:
            with self._store.read() as connection:
                book = self._books.current(connection)
                _refuse_early(connection, book, account, month, at_ms)
                view = _View(_newest(connection), book.revision)
                drafts = self._ledger.within(connection, book, account, month)
            if drafts[0].number is not None:
                return drafts
            drafts = [draft for draft in drafts if draft.lines or draft.free]
            kept = self._keep(drafts, view, at_ms=at_ms)
            if kept is not None:
                return kept

    def _keep(self, drafts: list[Invoice], view: _View, *, at_ms: int) -> list[Invoice] | None:
        """Write and number a month's invoices; None when something changed meanwhile."""
        if sum(len(draft.lines) for draft in drafts) <= LINES_CHUNK:
            with self._store.write() as connection:
                claims = [self._claim(connection, draft) for draft in drafts]
                for claim in claims:
                    self._write(connection, claim, 0)
                return self._number(connection, claims, view, at_ms=at_ms)
        with self._store.write() as connection:
            claims = [self._claim(connection, draft) for draft in drafts]
        for claim in claims:
            for start in range(0, len(claim.draft.lines), LINES_CHUNK):
                with self._store.write() as connection:
                    if not self._write(connection, claim, start):
                        return None
        with self._store.write() as connection:
            return self._number(connection, claims, view, at_ms=at_ms)

    def close_due(self, *, at_ms: int) -> list[Invoice]:
        """Finalize every month whose grace period is over, in order; return the new invoices.

        An account that a tax factor is missing for holds up no other.

        Raises:
            MissingFactor: once all others are finalized.
        """
        with self._store.read() as connection:
            book = self._books.current(connection)
            due = [
                (account, month)
                for account in sorted(book.timelines)
                for month in self._due_months(connection, book, account, at_ms)
            ]
        found: list[Invoice] = []
        held: dict[str, MissingFactor] = {}
        for account, month in due:
            if account in held:
                continue  # its months are finalized in their order
            try:
                found += self.finalize(account, month, at_ms=at_ms)
            except MissingFactor as fault:
                held[account] = fault
        for missing in held.values():
            raise missing
        return found

    def _due_months(
        self, connection: Connection, book: Book, account: str, at_ms: int
    ) -> list[int]:
        timeline = timeline_of(book, account)
        latest = at_ms - book.settings.grace_days * DAY_MS
        months = months_for(timeline)
        of_account = sa.select(usage.c.month).where(usage.c.account == account, usage.c.live == 1)
        wanted = set(connection.scalars(of_account.distinct()))
        done, changed = finalized_months(connection, account)
        if changed:
            wanted.add(month_after(done[-1]))
        if (done or wanted) and timeline.segments[-1].card.monthly_minimum:
            month = month_after(done[-1] if done else min(wanted))
            while months.bounds(month)[1] <= latest:
                wanted.add(month)
                month = month_after(month)
        return [m for m in sorted(wanted - set(done)) if months.bounds(m)[1] <= latest]

    def _claim(self, connection: Connection, draft: Invoice) -> _Claim:
        """Take the invoice's row. A claim whose process died is taken over."""
        token = secrets.token_hex(8)
        key = {
            "account": draft.account.id,
            "month": draft.month,
            "seller": draft.seller.id,
            "currency": draft.currency,
        }
        insert = self._store.insert(invoices).values(**key, status=WRITING, claim=token)
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=list(key), set_={"claim": token}, where=invoices.c.status == WRITING
            )
        )
        no = connection.scalar(sa.select(invoices.c.no).filter_by(**key))
        assert no is not None, "it was just put there"
        if _is_ours(connection, no, token):
            connection.execute(sa.delete(lines).where(lines.c.invoice == no))
        return _Claim(draft, no, token)

    def _write(self, connection: Connection, claim: _Claim, start: int) -> bool:
        """Write some lines, unless somebody else has taken the claim over."""
        if not _is_ours(connection, claim.no, claim.token):
            return False
        some = claim.draft.lines[start : start + LINES_CHUNK]
        self._insert_lines.run(connection, [(claim.no, *line) for line in some])
        return True

    def _number(
        self, connection: Connection, claims: list[_Claim], view: _View, *, at_ms: int
    ) -> list[Invoice] | None:
        """Number all invoices of the month, if all that they were computed from still holds."""
        book = self._books.current(connection)
        holds = book.revision == view.revision and all(
            _is_ours(connection, claim.no, claim.token)
            and not _used_since(connection, claim.draft.account.id, view.mark)
            for claim in claims
        )
        if not holds:
            return None
        return [_finish(connection, book, claim, view, at_ms=at_ms) for claim in claims]


def _finish(
    connection: Connection, book: Book, claim: _Claim, view: _View, *, at_ms: int
) -> Invoice:
    draft = claim.draft
    sequence = connection.scalar(
        sa.select(sa.func.coalesce(sa.func.max(invoices.c.sequence), 0) + 1).where(
            invoices.c.seller == draft.seller.id
        )
    )
    number = f"{book.sellers[draft.seller.id].number_prefix}{sequence:06d}"
    connection.execute(
        sa.update(invoices)
        .where(invoices.c.no == claim.no)
        .values(
            status=FINALIZED,
            sequence=sequence,
            number=number,
            mark=view.mark,
            total_micros=draft.total_micros,
            head=_head(draft),
            finalized_ms=at_ms,
            mailed_ms=None if _wants_mail(book, draft.account.id) else 0,
        )
    )
    corrected = sorted({line.month for line in draft.of(ADJUSTMENT)})
    connection.execute(
        sa.update(invoices)
        .where(
            invoices.c.account == draft.account.id,
            invoices.c.month.in_(corrected),
            invoices.c.status == FINALIZED,
        )
        .values(mark=view.mark, touched=0)
    )
    return replace(draft, status=FINALIZED, number=number, finalized_ms=at_ms)


def _wants_mail(book: Book, account: str) -> bool:
    """Only what is finalized while mail is configured is sent; old invoices stay where they are."""
    billing_email = book.timelines[account].segments[-1].account.billing_email
    return book.settings.smtp is not None and bool(billing_email)


def _newest(connection: Connection) -> int:
    newest = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(usage.c.seq), 0)))
    return int(newest or 0)


def _used_since(connection: Connection, account: str, mark: int) -> bool:
    select = sa.select(usage.c.seq).where(usage.c.seq > mark, usage.c.account == account)
    return connection.scalar(select.limit(1)) is not None


def _is_ours(connection: Connection, no: int, token: str) -> bool:
    select = sa.select(invoices.c.claim, invoices.c.status).where(invoices.c.no == no)
    return tuple(connection.execute(select).one()) == (token, WRITING)


def _refuse_early(connection: Connection, book: Book, account: str, month: int, at_ms: int) -> None:
    _, end = months_for(timeline_of(book, account)).bounds(month)
    if at_ms < end:
        raise MonthNotOver(f"{month_text(month)} of account {account!r} is not over yet")
    done, _ = finalized_months(connection, account)
    earlier = sa.select(sa.func.min(usage.c.month)).where(
        usage.c.account == account,
        usage.c.live == 1,
        usage.c.month < month,
        usage.c.month.not_in(done),
    )
    open_month = connection.scalar(earlier)
    if open_month is not None:
        raise MonthNotOver(
            f"{month_text(month)} of account {account!r}: finalize {month_text(open_month)} first"
        )


def _head(invoice: Invoice) -> str:
    """Return what a finalized invoice keeps beside its lines."""
    return json.dumps(
        {
            "account": [*_party(invoice.account)],
            "seller": [*_party(invoice.seller)],
            "from_ms": invoice.from_ms,
            "to_ms": invoice.to_ms,
            "time_zone": invoice.time_zone,
            "label": invoice.label,
            "language": invoice.language,
            "free": [list(group) for group in invoice.free],
        }
    )


def _party(party: Party) -> tuple[str, str, tuple[str, ...], str]:
    return party.id, party.name, party.address, party.vat_id
