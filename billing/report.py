"""The usage report for organizers: who, when, how long, how joined (R18); knows no price."""

import csv
import io
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from billing.book import Books
from billing.invoice import Party, csv_cell, to_json
from billing.money import minutes_text
from billing.page import LEFT, RIGHT, Page, Table
from billing.sheet import months_for, timeline_of
from billing.speech import Speech
from billing.store import Store
from billing.tables import legs, occurrences, usage
from billing.times import iso, local, month_text


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One leg, or the part of it that lies in the month."""

    session: str
    occurrence: str
    charge_code: str
    leg: str
    part: int
    who: str
    role: str
    kind: str
    country: str
    number: str
    from_ms: int
    to_ms: int
    billed_seconds: int
    reason: str


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Every leg of an account's month, charged or not."""

    account: Party
    month: int
    from_ms: int
    time_zone: str
    language: str
    rows: tuple[UsageRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "account": self.account.id,
            "month": month_text(self.month),
            "time_zone": self.time_zone,
            "rows": [self._row(row) for row in self.rows],
        }

    def _row(self, row: UsageRow) -> dict[str, Any]:
        values = asdict(row)
        from_ms, to_ms = values.pop("from_ms"), values.pop("to_ms")
        return {
            **values,
            "started_at": iso(from_ms),
            "ended_at": iso(to_ms),
            "duration_ms": to_ms - from_ms,
        }

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return to_json(self.to_dict())

    def to_csv(self) -> str:
        """Return the report as CSV, a row a leg part."""
        names = [n for n in UsageRow.__dataclass_fields__ if n not in ("from_ms", "to_ms")]
        names += ["started_at", "ended_at", "duration_ms"]
        out = io.StringIO()
        writer = csv.DictWriter(out, names, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(
            {key: csv_cell(value) for key, value in self._row(row).items()} for row in self.rows
        )
        return out.getvalue()

    def to_text(self) -> str:
        """Return the report as plain text."""
        lines = [f"usage of {self.account.id}, {month_text(self.month)} ({self.time_zone})"]
        session = None
        for row in self.rows:
            if row.session != session:
                session = row.session
                lines.append(f"{session or '-'} {row.charge_code}".rstrip())
            at = local(row.from_ms, self.time_zone).strftime("%Y-%m-%d %H:%M:%S")
            lines.append(
                f"  {at}  {_span(row.to_ms - row.from_ms):>8}  {row.kind:<9} {row.country:<2} "
                f"{row.role:<11} {row.who}: {row.reason}, {minutes_text(row.billed_seconds)} min"
            )
        return "\n".join(lines) + "\n"

    def page(self, language: str | None = None) -> Page:
        """Lay the report out for HTML or PDF, a table for each session."""
        say = Speech(language or self.language, "USD", self.time_zone)
        tables: dict[str, Table] = {}
        columns = ["who", "role", "kind", "joined_at", "duration", "charged_minutes", "reason"]
        aligned = [LEFT, LEFT, LEFT, LEFT, RIGHT, RIGHT, LEFT]
        for row in self.rows:
            title = f"{say['session']} {row.session}".strip()
            if row.charge_code:
                title += f" ({say['charge_code']} {row.charge_code})"
            table = tables.get(title)
            if table is None:
                table = Table(title, [say[c] for c in columns], aligned, [])
                tables[title] = table
            how = " ".join(filter(None, (say[row.kind], row.country)))
            table.rows.append(
                [
                    row.who,
                    say[row.role] if row.role else "",
                    how,
                    say.moment(row.from_ms),
                    _span(row.to_ms - row.from_ms),
                    say.minutes(row.billed_seconds),
                    say[row.reason],
                ]
            )
        return Page(
            language=say.language,
            kind=say["usage_report"],
            title=self.account.name or self.account.id,
            sender=[say.month(self.from_ms)],
            receiver=[],
            facts=[[say["account"], self.account.id], [say["time_zone"], self.time_zone]],
            tables=list(tables.values()),
            note="" if tables else say["nothing"],
            page_word=say["page"],
        )


def usage_report(store: Store, books: Books, account: str, month: int) -> UsageReport:
    """Collect a month's legs in the order in which they began, by session."""
    same = sa.and_(
        occurrences.c.source == legs.c.source, occurrences.c.occurrence == legs.c.occurrence
    )
    code = sa.func.coalesce(legs.c.charge_code, occurrences.c.charge_code, "")
    select = (
        sa.select(
            sa.func.coalesce(legs.c.session, ""),
            sa.func.coalesce(legs.c.occurrence, ""),
            code,
            legs.c.leg,
            usage.c.part,
            sa.func.coalesce(legs.c.name, ""),
            sa.func.coalesce(legs.c.role, ""),
            legs.c.kind,
            sa.func.coalesce(legs.c.country, ""),
            legs.c.ani,
            usage.c.from_ms,
            usage.c.to_ms,
            usage.c.billed_seconds,
            usage.c.reason,
        )
        .select_from(usage.join(legs, legs.c.no == usage.c.leg_no).outerjoin(occurrences, same))
        .where(usage.c.account == account, usage.c.month == month, usage.c.live == 1)
        .order_by(legs.c.session, usage.c.from_ms, legs.c.leg, usage.c.part)
    )
    with store.read() as connection:
        timeline = timeline_of(books.current(connection), account)
        newest = timeline.segments[-1].account
        rows = tuple(_usage_row(tuple(row)) for row in connection.execute(select))
    return UsageReport(
        Party(account, newest.name),
        month,
        months_for(timeline).bounds(month)[0],
        newest.time_zone,
        newest.language,
        rows,
    )


def _usage_row(row: tuple[Any, ...]) -> UsageRow:
    session, occurrence, code, leg, part, name, role, kind, country, number, *rest = row
    who = name or number or leg
    return UsageRow(
        session, occurrence, code, leg, part, who, role, kind, country, number or "", *rest
    )


def _span(duration_ms: int) -> str:
    """Write a duration as hours, minutes and seconds.

    >>> _span(3_725_999)
    '1:02:05'
    """
    minutes, seconds = divmod(duration_ms // 1_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
