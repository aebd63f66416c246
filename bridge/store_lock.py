"""One bridge a store: what it recovers at its start would be another's running calls (D13)."""

import fcntl
import os
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from bridge.errors import StoreUnavailable

SUFFIX: Final = ".lock"
PID_BYTES_MAX: Final = 20


class StoreLock:
    """A SQLite store as one process's own, until `release` or the process's end.

    The lock stands in a file beside the store, `tollbridge.db.lock`: SQLite's own locks on the
    store are lost by whoever opens and closes the file a second time. The kernel takes it back
    however the process ends, and no other process inherits it.
    """

    def __init__(self, url: str) -> None:
        """Take the lock on the store at `url`, or raise StoreUnavailable naming who has it."""
        self._descriptor: int | None = None
        database = make_url(url).database
        if not database or database == ":memory:":
            return
        path = Path(f"{Path(database).resolve()}{SUFFIX}")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as fault:
            raise StoreUnavailable(f"{path}: cannot be opened: {fault.strerror}") from fault
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            owner = os.read(descriptor, PID_BYTES_MAX).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"another bridge (process {owner})" if owner else "another bridge"
            raise StoreUnavailable(f"{url}: {who} runs on it: one bridge a store") from fault
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next bridge have the store; the file stays, as it is what is locked."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
