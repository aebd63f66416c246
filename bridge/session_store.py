"""What the web side keeps on disk: sessions as people see them, switches, keys, webhooks.

Beside the outbox in the same SQLite file, so a session and what is shown of it change in one
transaction. Knows rows; decides nothing. Every call waits for the disk: call it in a thread.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError

from bridge.conference.api import SessionSpec
from bridge.errors import LocalMisuse, StoreUnavailable
from bridge.metering import (
    METADATA,
    OUTBOX,
    SESSION,
    create_tables,
    open_engine,
    session_row,
    session_spec,
)
from bridge.units import ConfMs

KEY_LIFE_MS: Final = 86_400_000
"""How long an idempotency key is remembered."""

FACTS_READ: Final = 500

DETAIL: Final = sa.Table(
    "session_detail",
    METADATA,
    sa.Column("session", sa.String, primary_key=True),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("language", sa.String, nullable=False),
    sa.Column("join_key", sa.String, nullable=False, unique=True),
    sa.Column("sequence", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
)

SWITCH: Final = sa.Table(
    "toll_free_switch",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String, nullable=False, index=True),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("by", sa.String, nullable=False),
)

KEY: Final = sa.Table(
    "idempotency_key",
    METADATA,
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("made", sa.String, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)

WEBHOOK: Final = sa.Table(
    "webhook",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("account", sa.String, nullable=False, index=True),
    sa.Column("url", sa.String, nullable=False),
    sa.Column("secret", sa.String, nullable=False),
    sa.Column("types", sa.String, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("last_id", sa.String, nullable=False, server_default=""),
)


class CodeTaken(LocalMisuse):
    """The id or the access code of a new session belongs to another one."""

    code = "duplicate_code"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session with what people see of it.

    Attributes:
        join_key: the last part of its join URL; never changes (R10).
        sequence: how often what an invitation says has changed (RFC 5545 §3.8.7.4).
    """

    spec: SessionSpec
    title: str
    language: str
    join_key: str
    sequence: int
    created_ms: ConfMs
    changed_ms: ConfMs
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Switch:
    """One time that an account's toll-free numbers were switched off or on (R13)."""

    account: str
    enabled: bool
    at_ms: ConfMs
    by: str


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key: what was asked with it, and which session that made."""

    account: str
    key: str
    digest: str
    made: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where an account's events are sent.

    Attributes:
        types: which types, empty for all.
        last_id: the last fact that the target took; after a restart it goes on behind it.
    """

    id: str
    account: str
    url: str
    secret: str
    types: tuple[str, ...]
    created_ms: ConfMs
    last_id: str = ""


_RECORDS: Final = sa.select(SESSION, DETAIL).join(DETAIL, DETAIL.c.session == SESSION.c.id)


class SessionStore:
    """The web side's tables in the SQLite file at `url`."""

    def __init__(self, url: str, source: str) -> None:
        self._source = source
        self._engine = open_engine(url)
        self._reader = sa.create_engine(url)  # takes no lock that a commit would wait for
        try:
            with self._engine.begin() as connection:
                create_tables(connection)
        except SQLAlchemyError as fault:
            raise StoreUnavailable(f"{url}: cannot be opened: {fault}") from fault

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()
        self._reader.dispose()

    # --- sessions -----------------------------------------------------------------------

    def add(self, record: SessionRecord, key: Key | None = None) -> None:
        """Write a new session, and the key it was asked for with, in one transaction.

        Raises:
            CodeTaken: its id or access code is another session's, cancelled ones included.
        """
        with self._writing() as connection:
            try:
                connection.execute(SESSION.insert(), [session_row(record.spec)])
            except sa.exc.IntegrityError:
                raise CodeTaken("the id or the access code is another session's") from None
            connection.execute(DETAIL.insert(), [_detail_row(record)])
            if key is not None:
                old = record.created_ms - KEY_LIFE_MS
                connection.execute(KEY.delete().where(KEY.c.at_ms < old))
                row = {"account": key.account, "key": key.key, "digest": key.digest}
                connection.execute(
                    KEY.insert(), [row | {"made": key.made, "at_ms": record.created_ms}]
                )

    def change(self, record: SessionRecord) -> None:
        """Write what is new of a session that is there."""
        with self._writing() as connection:
            connection.execute(
                SESSION.update().where(SESSION.c.id == record.spec.id), [session_row(record.spec)]
            )
            connection.execute(
                DETAIL.update().where(DETAIL.c.session == record.spec.id), [_detail_row(record)]
            )

    def remove(self, session: str) -> None:
        """Take back a session that the conference core refused."""
        with self._writing() as connection:
            connection.execute(SESSION.delete().where(SESSION.c.id == session))
            connection.execute(DETAIL.delete().where(DETAIL.c.session == session))
            connection.execute(KEY.delete().where(KEY.c.made == session))

    def complete(self, fresh: Iterable[SessionRecord]) -> None:
        """Give sessions of the configuration file what they lack; what is there stays."""
        rows = [_detail_row(record) for record in fresh]
        if rows:
            with self._writing() as connection:
                connection.execute(sqlite.insert(DETAIL).on_conflict_do_nothing(), rows)

    def record(self, session: str) -> SessionRecord | None:
        """Return one session, cancelled ones included."""
        found = self._records(_RECORDS.where(SESSION.c.id == session))
        return found[0] if found else None

    def by_join_key(self, join_key: str) -> SessionRecord | None:
        """Return the session of a join URL."""
        found = self._records(_RECORDS.where(DETAIL.c.join_key == join_key))
        return found[0] if found else None

    def page(
        self, *, account: str | None, after: str, limit: int, cancelled: bool | None
    ) -> list[SessionRecord]:
        """Return sessions in the order of their ids, behind `after`."""
        query = _RECORDS.where(SESSION.c.id > after).order_by(SESSION.c.id).limit(limit)
        if account is not None:
            query = query.where(SESSION.c.account == account)
        if cancelled is not None:
            query = query.where(SESSION.c.cancelled == cancelled)
        return self._records(query)

    def key(self, account: str, key: str) -> Key | None:
        """Return what an idempotency key was used for, if it was."""
        query = sa.select(KEY).where(KEY.c.account == account, KEY.c.key == key)
        with self._reader.connect() as connection:
            row = connection.execute(query).one_or_none()
        return Key(row.account, row.key, row.digest, row.made) if row else None

    def _records(self, query: sa.Select[Any]) -> list[SessionRecord]:
        with self._reader.connect() as connection:
            return [_record(row._mapping) for row in connection.execute(query)]

    # --- switches -----------------------------------------------------------------------

    def switch(self, switch: Switch) -> None:
        """Put a switching of an account's toll-free numbers on record."""
        row = {"account": switch.account, "enabled": switch.enabled}
        with self._writing() as connection:
            connection.execute(SWITCH.insert(), [row | {"at_ms": switch.at_ms, "by": switch.by}])

    def switches(self, account: str | None = None) -> list[Switch]:
        """Return the switchings on record, oldest first; the last of an account is in force."""
        query = sa.select(SWITCH).order_by(SWITCH.c.seq)
        if account is not None:
            query = query.where(SWITCH.c.account == account)
        with self._reader.connect() as connection:
            rows = connection.execute(query).all()
        return [Switch(row.account, row.enabled, ConfMs(row.at_ms), row.by) for row in rows]

    # --- webhooks and facts -------------------------------------------------------------

    def add_webhook(self, webhook: Webhook) -> None:
        """Write a new webhook."""
        with self._writing() as connection:
            connection.execute(
                WEBHOOK.insert(),
                [
                    {
                        "id": webhook.id,
                        "account": webhook.account,
                        "url": webhook.url,
                        "secret": webhook.secret,
                        "types": " ".join(webhook.types),
                        "created_ms": webhook.created_ms,
                        "last_id": webhook.last_id,
                    }
                ],
            )

    def webhooks(self) -> list[Webhook]:
        """Return every webhook, in the order of their ids."""
        with self._reader.connect() as connection:
            rows = connection.execute(sa.select(WEBHOOK).order_by(WEBHOOK.c.id)).all()
        return [
            Webhook(
                id=row.id,
                account=row.account,
                url=row.url,
                secret=row.secret,
                types=tuple(row.types.split()),
                created_ms=ConfMs(row.created_ms),
                last_id=row.last_id,
            )
            for row in rows
        ]

    def remove_webhook(self, webhook: str) -> None:
        """Forget a webhook."""
        with self._writing() as connection:
            connection.execute(WEBHOOK.delete().where(WEBHOOK.c.id == webhook))

    def taken(self, webhook: str, last_id: str) -> None:
        """Remember the last fact that a webhook's target took."""
        with self._writing() as connection:
            connection.execute(
                WEBHOOK.update().where(WEBHOOK.c.id == webhook).values(last_id=last_id)
            )

    def seq_of(self, fact: str) -> int | None:
        """Return where in the outbox a fact stands."""
        mine = OUTBOX.c.source == self._source
        query = sa.select(OUTBOX.c.seq).where(mine, OUTBOX.c.id == fact)
        with self._reader.connect() as connection:
            return connection.execute(query).scalars().first()

    def facts_after(self, seq: int) -> list[tuple[int, dict[str, Any]]]:
        """Return the next facts of the outbox, as CloudEvents, with their place."""
        query = sa.select(OUTBOX.c.seq, OUTBOX.c.event).where(OUTBOX.c.seq > seq)
        with self._reader.connect() as connection:
            rows = connection.execute(query.order_by(OUTBOX.c.seq).limit(FACTS_READ)).all()
        return [(row.seq, json.loads(row.event)) for row in rows]

    def fact(self, fact: str) -> dict[str, Any] | None:
        """Return one fact of the outbox by its id."""
        mine = OUTBOX.c.source == self._source
        query = sa.select(OUTBOX.c.event).where(mine, OUTBOX.c.id == fact)
        with self._reader.connect() as connection:
            text = connection.execute(query).scalars().first()
        return None if text is None else json.loads(text)

    def waiting(self) -> int:
        """Return how many facts billing has not taken yet."""
        query = sa.select(sa.func.count()).select_from(OUTBOX).where(OUTBOX.c.ingested == 0)
        with self._reader.connect() as connection:
            return connection.execute(query).scalar_one()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """One transaction; what the disk refuses becomes `StoreUnavailable`."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as fault:
            raise StoreUnavailable(str(fault.__cause__ or fault)) from fault


def in_force(switches: Sequence[Switch]) -> dict[str, bool]:
    """Return whether each account that was ever switched has its toll-free numbers now."""
    return {switch.account: switch.enabled for switch in switches}


def _detail_row(record: SessionRecord) -> dict[str, Any]:
    return {
        "session": record.spec.id,
        "title": record.title,
        "language": record.language,
        "join_key": record.join_key,
        "sequence": record.sequence,
        "created_ms": record.created_ms,
        "changed_ms": record.changed_ms,
    }


def _record(row: sa.RowMapping) -> SessionRecord:
    return SessionRecord(
        spec=session_spec(row),
        title=row["title"],
        language=row["language"],
        join_key=row["join_key"],
        sequence=row["sequence"],
        created_ms=ConfMs(row["created_ms"]),
        changed_ms=ConfMs(row["changed_ms"]),
        cancelled=bool(row["cancelled"]),
    )
