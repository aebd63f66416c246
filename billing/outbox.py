"""Draining a bridge's outbox: rows in order, marked only after they are stored here.

Knows the outbox by its columns alone: `seq`, `event` (CloudEvent JSON) and `ingested`.
"""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from billing.ingest import IngestReport, Intake, prepare
from billing.store import Store

outbox: Final = sa.Table(
    "outbox",
    sa.MetaData(),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("ingested", sa.Integer, nullable=False),
)


def drain(store: Store, intake: Intake, outbox_url: str | None, *, batch: int) -> IngestReport:
    """Take every row that was not taken yet; an outbox that is not there has none.

    In the same database a batch and its marks are one transaction. With an outbox elsewhere the
    marks follow the store, so that a crash between them only brings duplicates.
    """
    source = store
    if outbox_url is not None and sa.make_url(outbox_url) != store.url:
        path = sa.make_url(outbox_url).database
        if not path or not Path(path).is_file():
            return IngestReport()
        source = Store.plain(outbox_url)
    try:
        return _drain(store, source, intake, batch)
    finally:
        if source is not store:
            source.close()


def shared_with_a_bridge(store: Store) -> bool:
    """Tell whether a bridge commits its facts to this very database."""
    with store.read() as connection:
        return bool(sa.inspect(connection).has_table(outbox.name))


def _drain(store: Store, source: Store, intake: Intake, batch: int) -> IngestReport:
    report = IngestReport()
    if not shared_with_a_bridge(source):
        return report
    after = -1
    while True:
        with source.read() as connection:
            rows = connection.execute(
                sa.select(outbox.c.seq, outbox.c.event)
                .where(outbox.c.ingested == 0, outbox.c.seq > after)
                .order_by(outbox.c.seq)
                .limit(batch)
            ).all()
        if not rows:
            return report
        after = rows[-1][0]
        ready = prepare(row[1] for row in rows)
        taken = sa.update(outbox).where(
            outbox.c.seq.between(rows[0][0], after), outbox.c.ingested == 0
        )
        with store.write() as connection:
            report += intake.put(connection, ready)
            if source is store:
                connection.execute(taken.values(ingested=1))
        if source is not store:
            with source.write() as connection:
                connection.execute(taken.values(ingested=1))
