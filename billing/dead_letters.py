"""Events that a sink refuses for good: kept, counted, listed, sent again when somebody says so.

A refused event holds up its own session alone: what follows of that session waits behind it, so
that no sink gets a reversal without what it reverses, and all others go on.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing.errors import BillingInputError
from billing.settings import SinkConfig
from billing.sinks import SinkRefused, send
from billing.store import Store
from billing.tables import dead_letters
from billing.times import iso

REFUSED: Final = "refused"
BEHIND: Final = "behind"
DROPPED: Final = "dropped"
READ_ROWS: Final = 500

Numbered = tuple[int, dict[str, Any]]


class DeadLetter(NamedTuple):
    """An event that a sink has not got, and does not get by itself.

    Attributes:
        state: `refused` by the sink, `behind` a refused one of its session, or `dropped` by an
            operator.
        error: what the sink said, "" when it was not asked.
        event: as it is sent, JSON.
    """

    no: int
    sink: str
    state: str
    session: str
    id: str
    error: str
    tries: int
    first_at: str
    last_at: str
    event: str


class Parked(NamedTuple):
    """What a sink gets nothing of now: sessions with dead letters, and the ids given up."""

    sessions: frozenset[str]
    dropped: frozenset[str]


class Delivery(NamedTuple):
    """What became of a batch: (place, event, error) by state; the rest was acknowledged."""

    refused: list[tuple[int, Mapping[str, Any], str]]
    behind: list[tuple[int, Mapping[str, Any], str]]
    dropped: list[tuple[int, Mapping[str, Any], str]]

    @property
    def size(self) -> int:
        """How many events of the batch the sink has not got."""
        return len(self.refused) + len(self.behind) + len(self.dropped)


def session_of(event: Mapping[str, Any]) -> str:
    """Return whose order an event keeps: its session's, or its leg's when it has none."""
    data = event["data"]
    return f"{event['source']}:{data.get('session') or data.get('leg') or event['subject']}"


def deliver(config: SinkConfig, batch: list[Numbered], parked: Parked) -> Delivery:
    """Send a batch but for what is parked; raise `SinkDown` as `send` does.

    A batch that is refused is sent again one by one, so that one bad event condemns no other. What
    takes back an event that was given up is given up with it.
    """
    found, rest = Delivery([], [], []), []
    for seq, event in batch:
        if event["data"].get("reverses") in parked.dropped:
            found.dropped.append((seq, event, "it takes back what was dropped"))
        elif session_of(event) in parked.sessions:
            found.behind.append((seq, event, ""))
        else:
            rest.append((seq, event))
    if not rest:
        return found
    try:
        send(config, [event for _, event in rest])
    except SinkRefused:
        blocked: set[str] = set()
        for seq, event in rest:
            session = session_of(event)
            if session in blocked:
                found.behind.append((seq, event, ""))
                continue
            try:
                send(config, [event])
            except SinkRefused as error:
                blocked.add(session)
                found.refused.append((seq, event, str(error)))
    return found


def parked(connection: Connection, sink: str) -> Parked:
    """Return what a sink gets nothing of now."""
    mine, gone = dead_letters.c.sink == sink, dead_letters.c.state == DROPPED
    sessions = connection.scalars(sa.select(dead_letters.c.session).where(mine, ~gone).distinct())
    dropped = connection.scalars(sa.select(dead_letters.c.event).where(mine, gone))
    return Parked(frozenset(sessions), frozenset(orjson.loads(e)["id"] for e in dropped))


def bury(
    connection: Connection, store: Store, sink: str, stream: str, *, found: Delivery, at_ms: int
) -> None:
    """Keep what is dead, in the transaction that moves the sink's place past it."""
    rows = [
        {
            "sink": sink,
            "stream": stream,
            "seq": seq,
            "session": session_of(event),
            "event": orjson.dumps(dict(event)).decode(),
            "state": state,
            "error": error[:500],
            "tries": int(state == REFUSED),
            "first_ms": at_ms,
            "last_ms": at_ms,
        }
        for state, some in zip((REFUSED, BEHIND, DROPPED), found, strict=True)
        for seq, event, error in some
    ]
    if rows:
        insert = store.insert(dead_letters)
        connection.execute(
            insert.on_conflict_do_nothing(index_elements=["sink", "stream", "seq"]),
            sorted(rows, key=lambda row: int(str(row["seq"]))),
        )


def count(connection: Connection, sink: str) -> int:
    """Return how many events a sink has not got."""
    mine = (dead_letters.c.sink == sink, dead_letters.c.state != DROPPED)
    found = connection.scalar(sa.select(sa.func.count()).select_from(dead_letters).where(*mine))
    return int(found or 0)


def counts(store: Store) -> dict[str, int]:
    """Return how many events each sink has not got; sinks that have all are left out."""
    select = (
        sa.select(dead_letters.c.sink, sa.func.count())
        .where(dead_letters.c.state != DROPPED)
        .group_by(dead_letters.c.sink)
    )
    with store.read() as connection:
        return {sink: number for sink, number in connection.execute(select)}


def listed(store: Store, *, sink: str | None = None) -> list[DeadLetter]:
    """Return the dead letters, in the order of the stream."""
    select = sa.select(dead_letters).order_by(dead_letters.c.no)
    if sink is not None:
        select = select.where(dead_letters.c.sink == sink)
    with store.read() as connection:
        return [
            DeadLetter(
                row.no,
                row.sink,
                row.state,
                row.session,
                orjson.loads(row.event)["id"],
                row.error,
                row.tries,
                iso(row.first_ms),
                iso(row.last_ms),
                row.event,
            )
            for row in connection.execute(select)
        ]


def drop(store: Store, number: int) -> None:
    """Give one up: it stays listed as dropped, and its session goes on without it.

    What takes it back goes with it, or the sink would count less than nothing.
    """
    with store.write() as connection:
        live = sa.select(dead_letters).where(dead_letters.c.state != DROPPED)
        row = connection.execute(live.where(dead_letters.c.no == number)).first()
        if row is None:
            raise BillingInputError("dead letter", number, "the number of one that is listed")
        identity = orjson.loads(row.event)["id"]
        mine = live.where(dead_letters.c.sink == row.sink, dead_letters.c.session == row.session)
        given_up = [number] + [
            other.no
            for other in connection.execute(mine)
            if orjson.loads(other.event)["data"].get("reverses") == identity
        ]
        connection.execute(
            sa.update(dead_letters).where(dead_letters.c.no.in_(given_up)).values(state=DROPPED)
        )


def send_again(store: Store, config: SinkConfig, *, at_ms: int, all_of_them: bool) -> int:
    """Send dead letters again, each session in its order; return how many were acknowledged.

    Without `all_of_them` only what waits behind nothing any more: its sink refused nothing of it.
    """
    blocked: set[str] = set()
    if not all_of_them:
        refused = sa.select(dead_letters.c.session).where(
            dead_letters.c.sink == config.id, dead_letters.c.state == REFUSED
        )
        with store.read() as connection:
            blocked = set(connection.scalars(refused.distinct()))
    sent = 0
    for row in _waiting(store, config.id):
        if row.session in blocked:
            continue
        try:
            send(config, [orjson.loads(row.event)])
        except SinkRefused as error:
            blocked.add(row.session)
            _mark(store, row, error=str(error), at_ms=at_ms)
        else:
            with store.write() as connection:
                connection.execute(sa.delete(dead_letters).where(dead_letters.c.no == row.no))
            sent += 1
    return sent


def _waiting(store: Store, sink: str) -> Iterable[Any]:
    """Read what a sink has not got, a piece at a time: no transaction is open while it is sent."""
    after = 0
    while True:
        select = (
            sa.select(dead_letters)
            .where(
                dead_letters.c.sink == sink,
                dead_letters.c.state != DROPPED,
                dead_letters.c.no > after,
            )
            .order_by(dead_letters.c.no)
            .limit(READ_ROWS)
        )
        with store.read() as connection:
            rows = connection.execute(select).fetchall()
        if not rows:
            return
        yield from rows
        after = rows[-1].no


def _mark(store: Store, row: Any, *, error: str, at_ms: int) -> None:
    values = {"state": REFUSED, "error": error[:500], "tries": row.tries + 1, "last_ms": at_ms}
    with store.write() as connection:
        connection.execute(
            sa.update(dead_letters).where(dead_letters.c.no == row.no).values(values)
        )
