"""A bridge as its users start it, `tollbridge serve`, in a process and on request a namespace."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

START_S = 100.0
"""A bridge that cannot start ends, and is not waited for; on a loaded machine one took 40 s."""
ROOT = Path(__file__).parents[2]

CONTRACT = """
[[trunk]]
id = "carrier"
cidr = ["127.0.0.0/8"]
[[contract]]
id = "c1"
currency = "USD"
[contract.toll_free]
US = "0.06"
[[account]]
id = "acme"
contract = "c1"
time_zone = "America/New_York"
"""


def config(port: int, store: Path, codes: Sequence[str], *, start: str = "on_join") -> str:
    """Return a configuration with one session for each access code."""
    sessions = "".join(
        f'[[session]]\nid = "s{code}"\naccount = "acme"\naccess_code = "{code}"\n'
        f'organizer_pin = "771144"\nstart = "{start}"\ntoll_free = ["US"]\n'
        for code in codes
    )
    head = f'[sip]\nlisten = "127.0.0.1:{port}"\n[store]\nurl = "sqlite:///{store}"\n'
    return head + CONTRACT + sessions


@contextlib.contextmanager
def serving(
    text: str, folder: Path, *, prefix: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run `tollbridge serve` until it says that it listens; end it in order afterwards."""
    path = folder / "bridge.toml"
    path.write_text(text)
    log = (folder / "serve.log").open("w")
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "bridge.cli", "serve", "--config", str(path)],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
    )
    try:
        _wait_until_listening(process, folder)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        if process.stdout:
            process.stdout.close()
        log.close()


def _wait_until_listening(process: subprocess.Popen[str], folder: Path) -> None:
    assert process.stdout
    deadline = time.monotonic() + START_S
    os.set_blocking(process.stdout.fileno(), False)
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if "is listening" in line:
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"the bridge did not start: {(folder / 'serve.log').read_text()}")


def events(store: Path) -> list[dict[str, Any]]:
    """Return the facts in a store as CloudEvents, in order."""
    connection = sqlite3.connect(store)
    rows = connection.execute("SELECT event FROM outbox ORDER BY seq").fetchall()
    connection.close()
    return [json.loads(row[0]) for row in rows]


def facts(store: Path) -> list[dict[str, Any]]:
    """Return the types, subjects and data of the facts in a store, in order."""
    return [{"type": e["type"], "subject": e["subject"], **e["data"]} for e in events(store)]
