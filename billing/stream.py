"""`usage.settled` events, exactly as charged, for meters that sum them (D4); decides nothing.

One event for each settled part, in the order of settlement. When later facts change a part, a
reversal with negative quantities takes the old one back and the new one follows; so a meter that
adds everything up is always right. Ids are deterministic: sending again is deduplicated.
"""

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing.events import event_of
from billing.store import Store
from billing.tables import facts, legs, sources, usage
from billing.times import iso, month_text

SETTLED: Final = "usage.settled"
READ_ROWS: Final = 2_000
REVERSAL: Final = -1

_USAGE: Final = (
    sa.select(
        usage,
        sources.c.source,
        legs.c.leg,
        legs.c.kind,
        legs.c.country,
        legs.c.direction,
        legs.c.session,
        legs.c.occurrence,
    )
    .select_from(
        usage.join(legs, legs.c.no == usage.c.leg_no).join(sources, sources.c.no == legs.c.source)
    )
    .where(usage.c.seq > sa.bindparam("after"), usage.c.to_ms >= sa.bindparam("since_ms"))
    .order_by(usage.c.seq)
    .limit(sa.bindparam("rows"))
)

_FACTS: Final = (
    sa.select(
        facts.c.seq,
        sources.c.source,
        facts.c.id,
        facts.c.type,
        facts.c.time_ms,
        facts.c.data,
        facts.c.extra,
    )
    .join(sources, sources.c.no == facts.c.source)
    .where(facts.c.seq > sa.bindparam("after"), facts.c.time_ms >= sa.bindparam("since_ms"))
    .order_by(facts.c.seq)
    .limit(sa.bindparam("rows"))
)

Numbered = tuple[int, dict[str, Any]]


def settled_after(
    connection: Connection, after: int, *, since_ms: int = 0, rows: int = READ_ROWS
) -> list[Numbered]:
    """Return the next `usage.settled` events with their place in the stream."""
    found = connection.execute(_USAGE, {"after": after, "since_ms": since_ms, "rows": rows})
    return [(row.seq, settled_event(row)) for row in found]


def facts_after(
    connection: Connection, after: int, *, since_ms: int = 0, rows: int = READ_ROWS
) -> list[Numbered]:
    """Return the next facts, as they came in, with their place in the stream."""
    found = connection.execute(_FACTS, {"after": after, "since_ms": since_ms, "rows": rows})
    return [(row[0], event_of(tuple(row)[1:])) for row in found]


def export(store: Store, *, settled: bool, since_ms: int) -> Iterator[dict[str, Any]]:
    """Yield all facts, or all settled usage, that ended at `since_ms` or later."""
    read, after = (settled_after if settled else facts_after), 0
    while True:
        with store.read() as connection:
            found = read(connection, after, since_ms=since_ms)
        if not found:
            return
        yield from (event for _, event in found)
        after = found[-1][0]


def settled_event(row: Any) -> dict[str, Any]:
    """Return one row of `billing_usage`, joined to its leg, as an event."""
    reversal = row.live == REVERSAL
    identity = _identity(row.leg, row.part, row.version)
    sign = -1 if reversal else 1
    return {
        "specversion": "1.0",
        "id": f"{identity}.reversed" if reversal else identity,
        "source": row.source,
        "type": SETTLED,
        "subject": row.account or row.leg,
        "time": iso(row.to_ms),
        "datacontenttype": "application/json",
        "data": {
            "leg": row.leg,
            "part": row.part,
            "reverses": identity if reversal else None,
            "session": row.session,
            "occurrence": row.occurrence,
            "account": row.account or None,
            "month": month_text(row.month),
            "kind": row.kind,
            "country": row.country,
            "direction": row.direction,
            "product": row.product,
            "seller": row.seller,
            "contract": row.contract,
            "currency": row.currency,
            "rate_key": row.rate_key,
            "jurisdiction": row.jurisdiction,
            "started_at": iso(row.from_ms),
            "ended_at": iso(row.to_ms),
            "duration_ms": sign * (row.to_ms - row.from_ms),
            "billable_seconds": row.billable_seconds,
            "billed_seconds": row.billed_seconds,
            "increment": row.increment,
            "reason": row.reason,
        },
    }


def _identity(leg: str, part: int, version: int) -> str:
    """Return the id of a settled part; only what was settled again has a version in it."""
    return f"{leg}/settled.{part}" + (f".{version}" if version > 1 else "")
