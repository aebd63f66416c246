"""Conference facts become usage events in the outbox, committed before they count (D4, D13).

One SQLite file holds the outbox, what is open now (for recovery after a kill) and the sessions.
`Outbox` is the file; `Committer` is the thread that commits groups of facts, so that the event
loop never waits for a disk. It knows facts and rows; it decides nothing about legs.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from orjson import dumps
from sqlalchemy.exc import SQLAlchemyError

from bridge.conference.api import Entry, Fact, SessionSpec, StartPolicy
from bridge.errors import StoreUnavailable
from bridge.frozen import frozen
from bridge.units import MS_PER_S, ConfMs, LegId, SessionId, utc_of

BUSY_TIMEOUT_MS: Final = 2_000
"""How long a commit waits for another process's lock before the call is refused with 503."""

METADATA: Final = sa.MetaData()

OUTBOX: Final = sa.Table(
    "outbox",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("ingested", sa.Integer, nullable=False, server_default="0"),
    sa.UniqueConstraint("source", "id"),
    sa.Index("outbox_waiting", "ingested", sqlite_where=sa.text("ingested = 0")),
    sqlite_autoincrement=True,
)

OPEN: Final = sa.Table(
    "open_subject",
    METADATA,
    sa.Column("subject", sa.String, primary_key=True),
    sa.Column("is_leg", sa.Boolean, nullable=False),
    sa.Column("facts", sa.Integer, nullable=False),
    sa.Column("opened_ms", sa.BigInteger, nullable=False),
    sa.Column("elapsed_ms", sa.BigInteger, nullable=False),
    sa.Column("session", sa.String),
    sa.Column("account", sa.String),
    sa.Column("occurrence", sa.String),
    sa.Column("started", sa.Boolean, nullable=False),
)

SESSION: Final = sa.Table(
    "session",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("account", sa.String, nullable=False),
    sa.Column("access_code", sa.String, nullable=False, unique=True),
    sa.Column("organizer_pin", sa.String, nullable=False),
    sa.Column("start", sa.String, nullable=False),
    sa.Column("toll_free", sa.String, nullable=False),
    sa.Column("opens_ms", sa.BigInteger),
    sa.Column("closes_ms", sa.BigInteger),
    sa.Column("cancelled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("options", sa.String, nullable=False, server_default="{}"),
)
"""`options`: JSON of what a session says for itself where the bridge has a default."""

_CLOSES: Final = frozenset({"leg.left", "session.ended", "session.cancelled"})


@frozen
class Elapsed:
    """A checkpoint of one open leg: how long it is known to have lasted (D13)."""

    leg: LegId
    until: ConfMs


def cloud_event(fact: Fact, source: str) -> dict[str, Any]:
    """Return a fact as a CloudEvents 1.0 object; see docs/facts.md."""
    return {
        "specversion": "1.0",
        "id": fact.id,
        "source": source,
        "type": fact.type,
        "subject": fact.subject,
        "time": f"{_second_of(fact.at // MS_PER_S)}.{fact.at % MS_PER_S:03d}Z",
        "datacontenttype": "application/json",
        "data": dict(fact.data),
    }


@lru_cache(maxsize=8)
def _second_of(whole: int) -> str:
    """Return a second as facts write it; many facts share one, and it takes 3 µs."""
    return utc_of(ConfMs(whole * MS_PER_S)).strftime("%Y-%m-%dT%H:%M:%S")


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def open_engine(url: str) -> sa.Engine:
    """Return an engine on a SQLite file whose transactions take the write lock when they begin.

    A transaction that reads first and writes later would fail at once when another process wrote
    in between, whatever the busy timeout says.
    """
    engine = sa.create_engine(url, connect_args={"isolation_level": None})
    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def create_tables(connection: sa.Connection) -> None:
    """Make what tables are missing, and the columns that a file of an older version lacks."""
    METADATA.create_all(connection)
    columns = {column["name"] for column in sa.inspect(connection).get_columns(SESSION.name)}
    if SESSION.c.options.name not in columns:
        connection.execute(
            sa.text("ALTER TABLE session ADD COLUMN options VARCHAR NOT NULL DEFAULT '{}'")
        )


class Outbox:
    """The bridge's own tables in the SQLite file at `url`."""

    def __init__(self, url: str, source: str) -> None:
        self.source = source
        self._engine = open_engine(url)
        try:
            with self._engine.begin() as connection:
                create_tables(connection)
        except SQLAlchemyError as fault:
            raise StoreUnavailable(f"{url}: cannot be opened: {fault}") from fault
        self._held = self._engine.raw_connection()  # for `commit` alone: one thread's at a time
        driver = self._held.driver_connection
        assert isinstance(driver, sqlite3.Connection), "the outbox is a SQLite file"
        self._database = driver

    def close(self) -> None:
        """Close the file."""
        self._held.close()
        self._engine.dispose()

    def commit(self, facts: Sequence[Fact], checkpoints: Sequence[Elapsed] = ()) -> None:
        """Write facts and checkpoints in one transaction: all of them or none.

        Raises:
            StoreUnavailable: the disk is full or the file is locked; nothing was written.
        """
        database = self._database
        try:
            with database:  # commits at its end, or rolls back
                database.execute("BEGIN IMMEDIATE")
                self._write(database, facts, checkpoints)
        except sqlite3.Error as fault:
            raise StoreUnavailable(str(fault)) from fault

    def _write(
        self,
        database: sqlite3.Connection,
        facts: Sequence[Fact],
        checkpoints: Sequence[Elapsed] = (),
    ) -> None:
        source = self.source
        rows, touched, closed = _open_rows(facts)
        touched += [(c.until, c.leg) for c in checkpoints]
        cancelled = [(f.data["session"],) for f in facts if f.type == "session.cancelled"]
        for statement, values in (
            (_INSERT_ONCE, [(f.id, source, dumps(cloud_event(f, source)).decode()) for f in facts]),
            (_UPSERT_OPEN, rows),
            (_RAISE_ELAPSED, touched),
            (_CLOSE, closed),
            (_CANCEL, cancelled),
        ):
            if values:
                database.executemany(statement, values)

    def recover(self) -> list[Fact]:
        """Close what a kill left open, at the last time written (D13); return the facts of it.

        A leg ends where its last checkpoint or fact saw it alive; no clock of this boot is used.
        """
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(OPEN).order_by(OPEN.c.is_leg.desc())).all()
            lasted: dict[str, int] = {}
            for row in rows:
                subject = row.occurrence if row.is_leg else row.subject
                lasted[subject] = max(lasted.get(subject, 0), row.opened_ms + row.elapsed_ms)
            facts = [
                _left_open(row) if row.is_leg else _ended_open(row, ConfMs(lasted[row.subject]))
                for row in rows
            ]
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection), "the outbox is a SQLite file"
            self._write(driver, facts)
        return facts

    def waiting(self) -> int:
        """Return how many events billing has not taken yet."""
        query = sa.select(sa.func.count()).select_from(OUTBOX).where(OUTBOX.c.ingested == 0)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def put_sessions(self, specs: Iterable[SessionSpec]) -> None:
        """Add the sessions that the store does not hold yet; those it holds stay as they are.

        Raises:
            StoreUnavailable: also when a code is taken by another session of the store.
        """
        try:
            with self._engine.begin() as connection:
                known = set(connection.execute(sa.select(SESSION.c.id)).scalars())
                new = [session_row(spec) for spec in specs if spec.id not in known]
                if new:
                    connection.execute(SESSION.insert(), new)
        except SQLAlchemyError as fault:
            raise StoreUnavailable(str(fault.__cause__ or fault)) from fault

    def sessions(self) -> list[SessionSpec]:
        """Return the sessions that are not cancelled."""
        query = sa.select(SESSION).where(sa.not_(SESSION.c.cancelled)).order_by(SESSION.c.id)
        with self._engine.connect() as connection:
            return [session_spec(row._mapping) for row in connection.execute(query)]


def _open_rows(
    facts: Sequence[Fact],
) -> tuple[list[dict[str, Any]], list[tuple[ConfMs, str]], list[tuple[str]]]:
    """Return what facts make of what is open: rows, how far others have lasted, who is closed.

    One row for all that a subject's facts say, and none for what is closed by them: a statement
    each for every fact costs SQLite more than all else in the transaction.
    """
    closed = {fact.subject for fact in facts if fact.type in _CLOSES}
    rows: dict[str, dict[str, Any]] = {}
    until: dict[str, ConfMs] = {}
    for fact in facts:
        data = fact.data
        if fact.subject not in closed:
            _merge(rows, fact, fact.subject, facts=int(fact.id.rpartition("/")[2]))
        for subject in (data.get("leg"), data.get("occurrence")):
            if isinstance(subject, str) and subject not in closed:
                until[subject] = max(until.get(subject, fact.at), fact.at)
        if fact.type == "leg.identified" and data["occurrence"] not in closed:
            # Its first leg opens the occurrence: no fact is its own until an organizer comes.
            _merge(rows, fact, str(data["occurrence"]), facts=0)
    touched: list[tuple[ConfMs, str]] = []
    for subject, at in until.items():
        if row := rows.get(subject):
            row["elapsed_ms"] = max(at - row["opened_ms"], 0)
        else:
            touched.append((at, subject))
    return list(rows.values()), touched, [(subject,) for subject in closed]


def _merge(rows: dict[str, dict[str, Any]], fact: Fact, subject: str, *, facts: int) -> None:
    """Have a subject's row say also what a fact says of it."""
    row = rows.get(subject)
    if row is None:
        row = rows[subject] = {
            "subject": subject,
            "is_leg": fact.subject == subject and fact.type.startswith("leg."),
            "facts": 0,
            "opened_ms": fact.at,
            "elapsed_ms": 0,
            "session": None,
            "account": None,
            "occurrence": None,
            "started": False,
        }
    row["facts"] = max(row["facts"], facts)
    row["started"] |= fact.type == "session.started"
    for key in ("session", "account", "occurrence"):
        row[key] = fact.data.get(key) or row[key]


# As text: SQLAlchemy takes longer over these few statements than SQLite does.
_INSERT_ONCE: Final = (
    "INSERT INTO outbox (id, source, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
_UPSERT_OPEN: Final = """
    INSERT INTO open_subject
        (subject, is_leg, facts, opened_ms, elapsed_ms, session, account, occurrence, started)
    VALUES (:subject, :is_leg, :facts, :opened_ms, :elapsed_ms,
            :session, :account, :occurrence, :started)
    ON CONFLICT (subject) DO UPDATE SET
        facts = max(facts, excluded.facts),
        elapsed_ms = max(elapsed_ms, excluded.opened_ms + excluded.elapsed_ms - opened_ms),
        session = coalesce(excluded.session, session),
        account = coalesce(excluded.account, account),
        occurrence = coalesce(excluded.occurrence, occurrence),
        started = started OR excluded.started
"""
_RAISE_ELAPSED: Final = (
    "UPDATE open_subject SET elapsed_ms = max(elapsed_ms, ? - opened_ms) WHERE subject = ?"
)
_CLOSE: Final = "DELETE FROM open_subject WHERE subject = ?"
_CANCEL: Final = "UPDATE session SET cancelled = 1 WHERE id = ?"


def _left_open(row: Any) -> Fact:
    return Fact(
        id=f"{row.subject}/{row.facts + 1}",
        type="leg.left",
        at=ConfMs(row.opened_ms + row.elapsed_ms),
        subject=row.subject,
        data={
            "leg": row.subject,
            "session": row.session,
            "account": row.account,
            "occurrence": row.occurrence,
            "reason": "bridge_restarted",
            "duration_ms": row.elapsed_ms,
        },
    )


def _ended_open(row: Any, at: ConfMs) -> Fact:
    """End an occurrence with the last of its legs."""
    return Fact(
        id=f"{row.subject}/{row.facts + 1}",
        type="session.ended",
        at=at,
        subject=row.subject,
        data={
            "occurrence": row.subject,
            "session": row.session,
            "account": row.account,
            "reason": "bridge_restarted",
            "started": bool(row.started),
        },
    )


def session_row(spec: SessionSpec) -> dict[str, Any]:
    """Return a session as a row of its table."""
    return {
        "id": spec.id,
        "account": spec.account,
        "access_code": spec.access_code,
        "organizer_pin": spec.organizer_pin,
        "start": spec.start.value,
        "toll_free": ",".join(sorted(spec.toll_free)),
        "opens_ms": spec.opens,
        "closes_ms": spec.closes,
        "options": json.dumps(
            {
                "security_code": spec.security_code,
                "entry": spec.entry.value if spec.entry else None,
                "participants_max": spec.participants_max,
                "continue_ms": spec.continue_ms,
            }
        ),
    }


def session_spec(row: sa.RowMapping) -> SessionSpec:
    """Return the session that a row of its table holds."""
    options = json.loads(row["options"])
    return SessionSpec(
        id=SessionId(row["id"]),
        account=row["account"],
        access_code=row["access_code"],
        organizer_pin=row["organizer_pin"],
        start=StartPolicy(row["start"]),
        toll_free=frozenset(filter(None, row["toll_free"].split(","))),
        opens=row["opens_ms"],
        closes=row["closes_ms"],
        security_code=options.get("security_code", ""),
        entry=Entry(options["entry"]) if options.get("entry") else None,
        participants_max=options.get("participants_max"),
        continue_ms=options.get("continue_ms"),
    )
