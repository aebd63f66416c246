"""Settling what is due: reads legs in chunks, writes usage, sets aside what cannot be charged.

Each chunk is one short write transaction, and the only writer while it lasts; so two processes
can settle the same store at once. A leg is due when facts of it or of its occurrence came, or
when the configuration changed; it stays due until its outcome is final (D4).
"""

from collections.abc import Iterable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing.book import Books
from billing.cards import Book
from billing.settlement import QUANTITIES, USAGE_COLUMNS, Held, Leg, Part, parts_as_rows, settle
from billing.store import Batch, Row, Store
from billing.tables import legs, occurrences, problems, usage
from billing.times import now_ms

LIVE_CHUNK: Final = 500
"""Legs in one transaction beside a live bridge: it holds the write lock for some 20 ms."""

BULK_CHUNK: Final = 20_000

CLEAN: Final = 0
DUE: Final = 1
HELD: Final = 2


REVERSAL: Final = -1
"""`live` of a row that takes another back."""


class Settler:
    """The statements of settlement, compiled once for a store."""

    def __init__(self, store: Store, books: Books) -> None:
        self._store = store
        self._books = books
        self._due = _due_select()
        self._insert_usage = Batch(store, sa.insert(usage), USAGE_COLUMNS)
        done = sa.update(legs).where(legs.c.no == sa.bindparam("of_no"))
        self._mark_settled = Batch(
            store,
            done.values(
                version=sa.bindparam("to_version"),
                state=sa.literal_column(str(CLEAN)),
                hold=sa.null(),
            ),
            ("to_version", "of_no"),
        )
        self._mark_held = Batch(
            store,
            done.values(hold=sa.bindparam("why"), state=sa.literal_column(str(HELD))),
            ("why", "of_no"),
        )
        insert = store.insert(problems)
        self._insert_problems = Batch(
            store,
            insert.on_conflict_do_update(
                index_elements=["key", "reason"],
                set_={"open": sa.literal_column("1"), "detail": insert.excluded.detail},
            ),
            ("key", "reason", "detail", "leg_no", "seen_ms"),
        )

    def settle(self, *, chunk: int = LIVE_CHUNK) -> int:
        """Settle all that is due and final; return how many legs' usage is new or changed."""
        changed = after = 0
        while after >= 0:
            if not self._anything_due(after):
                break
            with self._store.write() as connection:
                book = self._books.current(connection)
                rows = connection.execute(self._due, {"after": after, "chunk": chunk}).fetchall()
                changed += self._settle_chunk(connection, book, rows)
            after = rows[-1][0] if len(rows) == chunk else -1
        return changed

    def _anything_due(self, after: int) -> bool:
        """Look without the write lock, so that settling nothing disturbs nobody."""
        with self._store.read() as connection:
            found = connection.execute(self._due, {"after": after, "chunk": 1}).first()
        return found is not None

    def _settle_chunk(self, connection: Connection, book: Book, rows: Iterable[Any]) -> int:
        fresh: list[Row] = []
        settled: list[Row] = []
        held: list[Row] = []
        again: list[tuple[Leg, list[Part]]] = []
        found: list[Row] = []
        released: list[int] = []
        seen = now_ms()
        for row in rows:
            leg = Leg._make(row)
            parts = settle(leg, book)
            if leg.hold is not None:
                released.append(leg.no)
            if isinstance(parts, Held):
                found.append((f"leg:{leg.no}", *parts, leg.no, seen))
                held.append((parts.reason, leg.no))
                if leg.version:
                    again.append((leg, []))
            elif leg.version:
                again.append((leg, parts))
            else:
                fresh += parts_as_rows(leg.no, 1, parts)
                settled.append((1, leg.no))
        changed = len(settled)
        if again:
            changed += self._settle_again(connection, again, fresh, settled)
        self._insert_usage.run(connection, fresh)
        self._mark_settled.run(connection, settled)
        self._mark_held.run(connection, held)
        _close_problems(connection, released)
        self._insert_problems.run(connection, found)
        return changed

    def _settle_again(
        self,
        connection: Connection,
        again: list[tuple[Leg, list[Part]]],
        fresh: list[Row],
        settled: list[Row],
    ) -> int:
        """Compare with what was settled before; write the difference as reversals and new rows."""
        columns = [usage.c[name] for name in USAGE_COLUMNS]
        changed = 0
        for leg, parts in again:
            select = (
                sa.select(usage.c.seq, *columns)
                .where(usage.c.leg_no == leg.no, usage.c.live == 1)
                .order_by(usage.c.part)
            )
            before = [tuple(row) for row in connection.execute(select)]
            version = leg.version + 1
            after = parts_as_rows(leg.no, version, parts)
            if [row[5:] for row in before] != [row[4:] for row in after]:
                _retire(connection, before)
                fresh += [_reversal(row[1:]) for row in before]
                fresh += after
                changed += 1
            else:
                version = leg.version
            settled.append((version, leg.no))
        return changed


def _due_select() -> Any:
    """Legs that are due and whose outcome is final: they left, and their occurrence closed.

    One whose facts contradict each other is set aside at once: which occurrence it waits for is
    part of what is not known, and may never have been.
    """
    both = sa.and_(
        occurrences.c.source == legs.c.source, occurrences.c.occurrence == legs.c.occurrence
    )
    own = [legs.c[name] for name in Leg._fields[:19]]
    its = [occurrences.c[name] for name in ("organizer", "account", "facts", "n_max", "clash")]
    return (
        sa.select(*own, *its)
        .select_from(legs.outerjoin(occurrences, both))
        .where(
            legs.c.state == sa.literal_column(str(DUE)),
            legs.c.no > sa.bindparam("after"),
            legs.c.left_ms.is_not(None),
            sa.or_(
                legs.c.occurrence.is_(None),
                occurrences.c.ended_ms.is_not(None),
                legs.c.clash != sa.literal_column("0"),
            ),
        )
        .order_by(legs.c.no)
        .limit(sa.bindparam("chunk"))
    )


def _reversal(row: Row) -> Row:
    """Return the row that takes a settled part back: the same, with its quantities negative."""
    values = list(row)
    values[3] = REVERSAL
    for index in QUANTITIES.values():
        values[index] = -values[index]
    return tuple(values)


def _retire(connection: Connection, rows: list[Row]) -> None:
    if rows:
        connection.execute(
            sa.update(usage).where(usage.c.seq.in_([row[0] for row in rows])).values(live=0)
        )


def _close_problems(connection: Connection, leg_numbers: list[int]) -> None:
    for start in range(0, len(leg_numbers), 10_000):
        some = leg_numbers[start : start + 10_000]
        connection.execute(sa.update(problems).where(problems.c.leg_no.in_(some)).values(open=0))
