"""Keeps the diaries of legs that are over, the latest so many, in a file beside the outbox.

A file of its own and a thread of its own: a call is never answered later because of it, and a
disk that fails costs stories, never facts. `tollbridge explain` reads it while a bridge writes.
"""

import queue
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from sqlalchemy import make_url

SUFFIX: Final = ".legs"
WAITING_MAX: Final = 5_000
"""Diaries that may wait for the disk; more than that are left out, and it is said how many."""

BATCH_MAX: Final = 200
BUSY_S: Final = 5.0
_WINDOW_BITS: Final = 12
_MEMORY_LEVEL: Final = 5
"""A packer for 4 KB, about what a diary is: to clear the memory of one for 32 KB took 50 µs, more
than twice the packing."""

_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS diary (no INTEGER PRIMARY KEY, leg TEXT UNIQUE, record BLOB)"
)
_PUT: Final = "INSERT OR REPLACE INTO diary (leg, record) VALUES (?, ?)"
_PRUNE: Final = "DELETE FROM diary WHERE no <= (SELECT max(no) FROM diary) - ?"

log = structlog.get_logger(__name__)


def shelf_file(outbox_url: str) -> Path:
    """Return where the diaries of a bridge with this outbox are.

    >>> shelf_file("sqlite:///data/tollbridge.db").as_posix()
    'data/tollbridge.db.legs'
    """
    return Path(f"{make_url(outbox_url).database}{SUFFIX}")


class Shelf:
    """Writes diaries on a thread; `close` writes what is waiting."""

    def __init__(self, file: Path, legs_max: int) -> None:
        """Begin; the file is made with the first diary."""
        self._file = file
        self._legs_max = legs_max
        self._left_out = 0
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._run, name="shelf", daemon=True)
        self._thread.start()

    def put(self, records: Sequence[dict[str, Any]]) -> None:
        """Queue diaries; never waits."""
        for record in records:
            try:
                self._queue.put_nowait(record)
            except queue.Full:
                self._left_out += 1

    def close(self) -> None:
        """Write what is waiting and end; blocks for as long as the disk takes."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        last: dict[str, Any] | None = {}
        while last is not None:
            last = self._queue.get()
            batch: list[dict[str, Any]] = []
            while last is not None and len(batch) < BATCH_MAX:
                batch.append(last)
                if self._queue.empty():
                    break
                last = self._queue.get()
            if batch:
                self._write(batch)

    def _write(self, batch: Sequence[dict[str, Any]]) -> None:
        rows = [(one["leg"], _packed(one)) for one in batch]
        try:
            with closing(sqlite3.connect(self._file, timeout=BUSY_S)) as connection, connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(_CREATE)
                connection.executemany(_PUT, rows)
                connection.execute(_PRUNE, (self._legs_max,))
        except sqlite3.Error as fault:
            log.error("leg_stories.lost", legs=len(batch), file=str(self._file), error=str(fault))
        if self._left_out:
            log.error("leg_stories.left_out", legs=self._left_out)
            self._left_out = 0


def legs_on(file: Path) -> Iterator[tuple[str, str, int]]:
    """Yield leg, calling number and the monotonic time at which it began, of every diary."""
    if not file.exists():
        return
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        for leg, record in connection.execute("SELECT leg, record FROM diary ORDER BY no"):
            diary = orjson.loads(zlib.decompress(record))
            yield leg, diary["about"].get("number", ""), diary["begun_ns"]


def _packed(record: dict[str, Any]) -> bytes:
    packer = zlib.compressobj(wbits=_WINDOW_BITS, memLevel=_MEMORY_LEVEL)
    return packer.compress(orjson.dumps(record)) + packer.flush()


def taken_down(file: Path, leg: str) -> dict[str, Any] | None:
    """Return a leg's diary; None when there is none, or no file."""
    if not file.exists():
        return None
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            row = connection.execute("SELECT record FROM diary WHERE leg = ?", (leg,)).fetchone()
    except sqlite3.Error as fault:
        log.error("leg_stories.unreadable", file=str(file), error=str(fault))
        return None
    record: dict[str, Any] | None = orjson.loads(zlib.decompress(row[0])) if row else None
    return record
