"""`kill -9` with 50 legs up: every fact once, every leg closed, the bill never long (D13)."""

import collections
import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.peers.bridge_process import config, events, serving
from tests.peers.needs import need
from tests.peers.sipp_caller import sipp, write_keys

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]

LEGS = 50
INTERVAL_S = 2.0
SEED = 20_260_210


@contextlib.contextmanager
def fifty_callers(port: int, folder: Path) -> Iterator[None]:
    """Dial in with an organizer first, then 49 participants; they stay until SIPp is killed."""
    keys = write_keys(folder / "keys.csv", ["482913#*771144#", *["482913#"] * (LEGS - 1)])
    command = sipp(port, keys, calls=LEGS, stay_ms=60_000, own_port=port + 1)
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    ) as process:
        try:
            yield
        finally:
            process.kill()


def wait_for_answers(store: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if sum(event["type"] == "leg.answered" for event in events(store)) == LEGS:
            return
        time.sleep(0.05)
    raise AssertionError("the calls were not answered")


def survive(moment_s: float, port: int, folder: Path) -> None:
    """Kill the bridge `moment_s` after all legs are up; check what a restart makes of it."""
    store = folder / "store.db"
    text = config(port, store, ["482913"]) + f"[metering]\ncheckpoint_s = {INTERVAL_S}\n"
    with serving(text, folder) as bridge, fifty_callers(port, folder):
        wait_for_answers(store)
        time.sleep(moment_s)
        bridge.send_signal(signal.SIGKILL)
        bridge.wait(10)
        killed = datetime.now(UTC)
    with serving(text, folder):
        pass
    seen = events(store)
    count = collections.Counter(event["type"] for event in seen)
    assert len({(event["source"], event["id"]) for event in seen}) == len(seen), "a fact twice"
    assert count["leg.answered"] == count["leg.left"] == LEGS
    occurrences = {e["data"]["occurrence"] for e in seen if e["type"] == "leg.identified"}
    assert count["session.ended"] == len(occurrences) <= 1
    answered = {e["subject"]: e["time"] for e in seen if e["type"] == "leg.answered"}
    for left in (event for event in seen if event["type"] == "leg.left"):
        began = datetime.fromisoformat(answered[left["subject"]])
        real_ms = (killed - began).total_seconds() * 1_000
        assert left["data"]["reason"] == "bridge_restarted"
        billed_ms = left["data"]["duration_ms"]
        assert real_ms - INTERVAL_S * 1_000 <= billed_ms <= real_ms, f"{left['id']}: {real_ms}"
    check_bill(folder, seen)


def check_bill(folder: Path, seen: list[dict[str, object]]) -> None:
    """Settle twice: a minute for each leg that was let in, if the organizer had come (R7)."""
    let_in = {e["subject"] for e in seen if e["type"] in ("leg.waiting", "leg.joined")}
    organizer = any(event["type"] == "organizer.joined" for event in seen)
    month = str(seen[0]["time"])[:7]
    for _ in range(2):
        done = subprocess.run(
            [
                *[sys.executable, "-m", "bridge.cli", "billing", "invoice", "--account", "acme"],
                *["--month", month, "--format", "json", "--config", str(folder / "bridge.toml")],
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        totals = json.loads(done.stdout)["totals"]
        minutes = totals["toll_free"]["minutes"] if totals else 0
        assert minutes == (len(let_in) if organizer else 0)


@pytest.mark.parametrize("number", range(3))
def test_a_kill_loses_no_fact_and_bills_nobody_longer(number: int, tmp_path: Path) -> None:
    need("sipp")
    moments = random.Random(SEED)
    survive([moments.uniform(0, 9) for _ in range(number + 1)][-1], 5_981 + 2 * number, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("number", range(20))
def test_twenty_kills_lose_no_fact(number: int, tmp_path: Path) -> None:
    need("sipp")
    moments = random.Random(SEED + 1)
    survive([moments.uniform(0, 9) for _ in range(number + 1)][-1], 5_981, tmp_path)
