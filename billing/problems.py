"""What was set aside, for an operator to see and work off; loses nothing, charges nothing."""

from typing import NamedTuple

import sqlalchemy as sa

from billing.ingest import ID_REUSED_REASON, IngestReport, Intake, prepare
from billing.store import Store
from billing.tables import legs, problems, sources
from billing.times import iso

RETRY_BATCH = 500


class Problem(NamedTuple):
    """One thing set aside.

    Attributes:
        no: its number, to dismiss it by.
        reason: stable; `detail` quotes what is wrong.
        leg: the leg that is not charged because of it, or "".
        event: the event as it came, or "".
    """

    no: int
    reason: str
    detail: str
    leg: str
    source: str
    event: str
    seen_at: str


def open_problems(store: Store) -> list[Problem]:
    """Return what is set aside now, oldest first."""
    select = (
        sa.select(problems, legs.c.leg, sources.c.source)
        .outerjoin(legs, legs.c.no == problems.c.leg_no)
        .outerjoin(sources, sources.c.no == legs.c.source)
        .where(problems.c.open == 1)
        .order_by(problems.c.no)
    )
    with store.read() as connection:
        return [
            Problem(
                row.no,
                row.reason,
                row.detail,
                row.leg or "",
                row.source or "",
                row.event or "",
                iso(row.seen_ms),
            )
            for row in connection.execute(select)
        ]


def retry(store: Store, intake: Intake) -> IngestReport:
    """Take set-aside events in again, and make set-aside legs due; settling does the rest."""
    report = IngestReport()
    events = (
        sa.select(problems.c.no, problems.c.event)
        .where(
            problems.c.open == 1,
            problems.c.event.is_not(None),
            problems.c.reason != ID_REUSED_REASON,
            problems.c.no > sa.bindparam("after"),
        )
        .order_by(problems.c.no)
        .limit(RETRY_BATCH)
    )
    after = 0
    while True:
        with store.read() as connection:
            rows = connection.execute(events, {"after": after}).all()
        if not rows:
            break
        after = rows[-1][0]
        ready = [(no, prepare([event])) for no, event in rows]
        with store.write() as connection:
            for no, batch in ready:
                report += intake.put(connection, batch._replace(refused=[]))
                report += IngestReport(problems=len(batch.refused))
                if not batch.refused:
                    closed = sa.update(problems).where(problems.c.no == no)
                    connection.execute(closed.values(open=0))
    with store.write() as connection:
        connection.execute(sa.update(legs).where(legs.c.hold.is_not(None)).values(state=1))
    return report
