"""Sending the stream to the sinks: in order, at least once, forgotten only when acknowledged.

Each sink has its own place in the stream, in the store, moved after the acknowledgement; so a
restart loses nothing, and a sink that is down holds up only itself. It is tried again after a
pause that doubles up to five minutes. An event that it refuses for good becomes a dead letter.
"""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from billing.book import Books
from billing.dead_letters import Delivery, bury, count, deliver, parked, send_again
from billing.errors import BillingInputError
from billing.settings import SinkConfig
from billing.sinks import SinkDown
from billing.store import Store
from billing.stream import facts_after, settled_after
from billing.tables import dead_letters, sinks
from billing.times import iso

BATCH: Final = 100
BACKOFF_FIRST_MS: Final = 1_000
BACKOFF_LAST_MS: Final = 300_000


@dataclass(frozen=True, slots=True)
class SinkState:
    """How far a sink is.

    Attributes:
        sent: events acknowledged by this call.
        error: why it stopped, empty when it has everything.
        retry_at: not before then, "" when it has everything.
        dead: dead letters: events that it refused, and what waits behind them.
    """

    id: str
    sent: int
    error: str
    retry_at: str
    dead: int


def push(store: Store, books: Books, *, at_ms: int, only: str | None = None) -> list[SinkState]:
    """Send every configured sink what it has not acknowledged yet."""
    return [_push(store, c, at_ms) for c in _configs(store, books, only)]


def push_dead(store: Store, books: Books, *, at_ms: int, only: str | None = None) -> None:
    """Send the dead letters again, whatever became of them before; the pause is over then."""
    for config in _configs(store, books, only):
        try:
            send_again(store, config, at_ms=at_ms, all_of_them=True)
        except SinkDown as error:
            with store.read() as connection:
                mine = connection.execute(sa.select(sinks).where(sinks.c.id == config.id)).first()
            before = 0 if mine is None else mine.failures
            _failed(store, config.id, 0, str(error), at_ms=at_ms, before=before)


def _configs(store: Store, books: Books, only: str | None) -> list[SinkConfig]:
    with store.read() as connection:
        configs = books.current(connection).settings.sinks
    if only is not None and only not in {config.id for config in configs}:
        known = ", ".join(config.id for config in configs) or "none is configured"
        raise BillingInputError("sink", only, f"one of: {known}")
    return [config for config in configs if only in (None, config.id)]


def rewind(store: Store, sink: str) -> None:
    """Send a sink everything again: its ids are the same, so it can tell."""
    with store.write() as connection:
        connection.execute(sa.delete(sinks).where(sinks.c.id == sink))
        connection.execute(sa.delete(dead_letters).where(dead_letters.c.sink == sink))


def _push(store: Store, config: SinkConfig, at_ms: int) -> SinkState:
    with store.write() as connection:
        insert = store.insert(sinks).values(id=config.id)
        connection.execute(insert.on_conflict_do_nothing(index_elements=["id"]))
    sent, released = 0, False
    while True:
        with store.read() as connection:
            mine = connection.execute(sa.select(sinks).where(sinks.c.id == config.id)).one()
            dead = count(connection, config.id)
            if mine.retry_ms > at_ms:
                return SinkState(config.id, sent, mine.last_error, iso(mine.retry_ms), dead)
            held = parked(connection, config.id)
            column, batch = "facts_seq", []
            if config.facts:
                batch = facts_after(connection, mine.facts_seq, rows=BATCH)
            if not batch:
                column = "usage_seq"
                batch = settled_after(connection, mine.usage_seq, rows=BATCH)
        try:
            if held.sessions and not released:  # what waited behind something that is no more
                released = True
                sent += send_again(store, config, at_ms=at_ms, all_of_them=False)
                continue
            if not batch:
                return SinkState(config.id, sent, "", "", dead)
            found = deliver(config, batch, held)
        except SinkDown as error:
            return _failed(store, config.id, sent, str(error), at_ms=at_ms, before=mine.failures)
        _move(store, config.id, column, before=mine, to=batch[-1][0], found=found, at_ms=at_ms)
        sent += len(batch) - found.size


def _move(
    store: Store,
    sink: str,
    column: str,
    *,
    before: sa.Row[tuple[object, ...]],
    to: int,
    found: Delivery,
    at_ms: int,
) -> None:
    """Move a sink's place past a batch; not when another process has moved it meanwhile."""
    with store.write() as connection:
        moved = connection.execute(
            sa.update(sinks)
            .where(sinks.c.id == sink, sinks.c[column] == before._mapping[column])
            .values({column: to, "failures": 0, "retry_ms": 0, "last_error": ""})
        )
        if moved.rowcount:
            bury(connection, store, sink, column, found=found, at_ms=at_ms)


def _failed(
    store: Store, sink: str, sent: int, error: str, *, at_ms: int, before: int
) -> SinkState:
    pause = min(BACKOFF_FIRST_MS << min(before, 20), BACKOFF_LAST_MS)
    with store.write() as connection:
        connection.execute(
            sa.update(sinks)
            .where(sinks.c.id == sink)
            .values(failures=before + 1, retry_ms=at_ms + pause, last_error=error[:500])
        )
        dead = count(connection, sink)
    return SinkState(sink, sent, error, iso(at_ms + pause), dead)
