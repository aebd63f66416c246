"""The database: engines, transactions, migrations and fast batches; knows no rule of billing.

One writer at a time: on SQLite by `BEGIN IMMEDIATE`, on PostgreSQL by an advisory lock that lasts
as long as the transaction. So what one process reads in a write transaction no other changes.
Write transactions are short, since a live bridge commits its facts to the same SQLite file.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from billing.errors import BillingInputError, StoreTrouble

HEAD: Final = "0002"
"""The newest migration; a test holds it against the scripts."""

VERSION_TABLE: Final = "billing_alembic_version"
BUSY_TIMEOUT_MS: Final = 10_000
CACHE_KIB: Final = 65_536
BULK_CACHE_KIB: Final = 393_216
"""What one connection may keep of the file; it takes no more than it has touched."""

CHECKPOINT_PAGES: Final = 8_000
PG_LOCK: Final = 7_205_759
"""The advisory lock that makes one PostgreSQL writer at a time."""

Row = tuple[Any, ...]


class Store:
    """One database, with its schema up to date."""

    def __init__(
        self, url: str, *, must_exist: bool = False, migrate: bool = True, bulk: bool = False
    ) -> None:
        self.url = _checked_url(url, must_exist=must_exist)
        self.engine = _engine(self.url, cache_kib=BULK_CACHE_KIB if bulk else CACHE_KIB)
        self._writer = self.engine.execution_options(billing_write=True)
        self.dialect = self.engine.dialect.name
        if migrate:
            with self._trouble():
                self._upgrade()

    @classmethod
    def plain(cls, url: str) -> "Store":
        """Open a database that is not billing's own, without touching its schema."""
        return cls(url, must_exist=True, migrate=False)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open the one write transaction; it commits at the end, or leaves no trace."""
        with self._trouble(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction: one view of the store, however others write."""
        with self._trouble(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Name what failed below us: missing, locked, full, or no database at all.

        Only those: a broken constraint or a wrong statement would be our own bug.
        """
        try:
            yield
        except DatabaseError as error:
            if type(error) not in (OperationalError, DatabaseError):
                raise
            raise StoreTrouble(f"{self.shown}: {error.orig}") from error

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def insert(self, table: sa.Table) -> Any:
        """Return an INSERT that knows ON CONFLICT in this store's dialect."""
        if self.dialect == "sqlite":
            return sqlite.insert(table)
        return postgresql.insert(table)

    def largest(self, first: Any, second: Any) -> Any:
        """Return the larger of two values of one row."""
        return (
            sa.func.max(first, second)
            if self.dialect == "sqlite"
            else sa.func.greatest(first, second)
        )

    def smallest(self, first: Any, second: Any) -> Any:
        """Return the smaller of two values of one row; a null loses."""
        if self.dialect == "sqlite":
            return sa.func.min(sa.func.coalesce(first, second), sa.func.coalesce(second, first))
        return sa.func.least(first, second)

    def _upgrade(self) -> None:
        with self.read() as connection:
            if sa.inspect(connection).has_table(VERSION_TABLE):
                found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}")
                if found.scalar() == HEAD:
                    return
        from alembic import command  # imported where used: it costs a quarter of a second
        from alembic.config import Config

        config = Config()
        config.set_main_option(
            "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
        )
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the collector of garbage away from bulk work.

    A batch is a hundred thousand rows, all of them alive and none in a cycle; the collector would
    look at each of them again and again, and find nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Batch:
    """One statement for many rows: compiled once, run with plain tuples."""

    def __init__(self, store: Store, statement: Any, columns: Sequence[str]) -> None:
        compiled = statement.compile(dialect=store.engine.dialect, column_keys=list(columns))
        self._sql = str(compiled)
        self._columns = tuple(columns)
        self._named = compiled.positiontup is None
        order = self._columns if self._named else tuple(compiled.positiontup)
        assert order == self._columns, (order, self._columns)

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Execute the statement once for each row; return how many rows were written."""
        if not rows:
            return 0
        if self._named:
            names = self._columns
            parameters = [dict(zip(names, row, strict=True)) for row in rows]
            result = connection.exec_driver_sql(self._sql, cast(Any, parameters))
        else:
            result = connection.exec_driver_sql(self._sql, cast(Any, rows))
        return int(result.rowcount)


def _checked_url(text: str, *, must_exist: bool) -> sa.URL:
    expected = "a URL like sqlite:///tollbridge.db or postgresql://user@host/name"
    try:
        url = make_url(text)
    except ArgumentError:
        raise BillingInputError("store", text, expected) from None
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise BillingInputError("store", text, expected)
    if must_exist and url.get_backend_name() == "sqlite":
        path = url.database
        if not path or path == ":memory:" or not Path(path).is_file():
            raise BillingInputError("store", text, "a database file that exists")
    return url


def _engine(url: sa.URL, *, cache_kib: int) -> Engine:
    try:
        engine = sa.create_engine(url)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise BillingInputError(
            "store", url.drivername, f"its driver installed (tollbridge[postgresql]): {error}"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", partial(_set_up_sqlite, cache_kib=cache_kib))
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "begin", _begin_postgresql)
    return engine


def _set_up_sqlite(dbapi: Any, _record: Any, *, cache_kib: int) -> None:
    dbapi.isolation_level = None  # BEGIN is ours, so that writers can begin IMMEDIATE
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"cache_size=-{cache_kib}",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        "temp_store=MEMORY",
    ):
        dbapi.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("billing_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("billing_write"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({PG_LOCK})")
