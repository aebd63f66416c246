"""Why a leg costs what it costs: its facts, its settlement, its arithmetic; decides nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing.book import Books
from billing.cards import Book
from billing.errors import BillingInputError
from billing.events import event_of
from billing.invoice import to_json
from billing.ledger import Ledger
from billing.money import minutes_text
from billing.replay import STRUCK, struck_facts
from billing.sheet import USAGE
from billing.store import Store
from billing.tables import facts, legs, problems, sources, usage
from billing.times import iso, month_text
from billing.words import BILLABLE


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of one leg.

    Attributes:
        facts: the leg's and its occurrence's events, in the order of their times.
        parts: settled usage as it holds now, with charge and working where charged.
        open: why the leg is not settled, empty when it is.
        struck: ids of facts that an operator decided against, with how far.
    """

    leg: str
    source: str
    facts: tuple[dict[str, Any], ...]
    parts: tuple[dict[str, Any], ...]
    open: str
    struck: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "leg": self.leg,
            "source": self.source,
            "open": self.open,
            "facts": list(self.facts),
            "struck": dict(self.struck),
            "parts": list(self.parts),
        }

    def to_json(self) -> str:
        """Return the explanation as JSON text."""
        return to_json(self.to_dict())

    def to_text(self) -> str:
        """Return the explanation as plain text."""
        rows = [f"leg {self.leg} of {self.source}", "facts"]
        for event in self.facts:
            data = " ".join(
                f"{key}={value if isinstance(value, str) else json.dumps(value)}"
                for key, value in event["data"].items()
                if value not in ("", None) and key != "leg"
            )
            struck = self.struck.get(event["id"])
            mark = {None: "", STRUCK: "  (struck)"}.get(struck, "  (place struck)")
            rows.append(f"  {event['time']}  {event['type']:<18} {data}{mark}")
        rows.append("settlement")
        if self.open:
            rows.append(f"  {self.open}")
        for part in self.parts:
            rows.append(
                f"  part {part['part']}, {part['month']}: {part['started_at']} to "
                f"{part['ended_at']}, {part['duration_ms']} ms, {part['billable_seconds']} s, "
                f"{part['increment'] or '-'} -> {part['billed_seconds']} s "
                f"({minutes_text(part['billed_seconds'])} min): {part['reason']}"
            )
            if part["working"]:
                rows.append(f"    {part['working']} {part['currency']} ({part['invoice']})")
        return "\n".join(rows) + "\n"


def explain(store: Store, books: Books, leg: str) -> Explanation:
    """Collect everything about a leg; refuse one nobody heard of."""
    with store.read() as connection:
        select = (
            sa.select(legs, sources.c.source.label("source_name"))
            .join(sources, sources.c.no == legs.c.source)
            .where(legs.c.leg == leg)
            .order_by(legs.c.no)
        )
        row = connection.execute(select).first()
        if row is None:
            raise BillingInputError("leg", leg, "a leg that facts have come for")
        book = books.current(connection)
        found = tuple(_facts(connection, row))
        struck = struck_facts(connection)
        return Explanation(
            leg=leg,
            source=row.source_name,
            facts=found,
            struck={
                event["id"]: struck[row.source, event["id"]]
                for event in found
                if (row.source, event["id"]) in struck
            },
            parts=tuple(_parts(connection, Ledger(store, books), book, row)),
            open=_open(connection, row),
        )


def _facts(connection: Connection, row: Any) -> list[dict[str, Any]]:
    columns = (facts.c.id, facts.c.type, facts.c.time_ms, facts.c.data, facts.c.extra)
    events: list[dict[str, Any]] = []
    for subject in filter(None, (row.leg, row.occurrence)):
        select = sa.select(*columns).where(
            facts.c.source == row.source,
            facts.c.id > f"{subject}/",
            facts.c.id < f"{subject}0",  # "0" follows "/"
        )
        for identity, kind, time_ms, data, extra in connection.execute(select):
            if identity.rpartition("/")[0] == subject:
                stored = (row.source_name, identity, kind, time_ms, data, extra)
                events.append(event_of(stored))
    return sorted(events, key=lambda event: (event["time"], event["id"]))


def _parts(connection: Connection, ledger: Ledger, book: Book, row: Any) -> list[dict[str, Any]]:
    live = (
        sa.select(usage).where(usage.c.leg_no == row.no, usage.c.live == 1).order_by(usage.c.part)
    )
    return [_part(connection, ledger, book, part) for part in connection.execute(live)]


def _part(connection: Connection, ledger: Ledger, book: Book, part: Any) -> dict[str, Any]:
    amount = working = invoice_name = ""
    if part.reason == BILLABLE and part.account in book.timelines:
        for invoice in ledger.within(connection, book, part.account, part.month):
            for line in invoice.of(USAGE):
                if (line.leg_no, line.part) == (part.leg_no, part.part):
                    amount = invoice.money(line.amount_micros)
                    working = f"{line.working} = {amount}"
                    invoice_name = invoice.number or f"draft of {month_text(part.month)}"
    return {
        "part": part.part,
        "account": part.account,
        "month": month_text(part.month),
        "product": part.product,
        "seller": part.seller,
        "contract": part.contract,
        "currency": part.currency,
        "rate_key": part.rate_key,
        "jurisdiction": part.jurisdiction,
        "started_at": iso(part.from_ms),
        "ended_at": iso(part.to_ms),
        "duration_ms": part.to_ms - part.from_ms,
        "billable_seconds": part.billable_seconds,
        "billed_seconds": part.billed_seconds,
        "increment": part.increment,
        "reason": part.reason,
        "amount": amount,
        "working": working,
        "invoice": invoice_name,
    }


def _open(connection: Connection, row: Any) -> str:
    if row.hold:
        found = connection.execute(
            sa.select(problems.c.no, problems.c.detail).where(
                problems.c.leg_no == row.no, problems.c.open == 1
            )
        ).first()
        return f"set aside: {row.hold}" + (
            f": {found.detail} (problem {found.no})" if found else ""
        )
    if row.left_ms is None:
        return "not final: the leg has not left"
    if row.state != 0:
        return "not final: its occurrence is still open, or it was not settled yet"
    return ""
