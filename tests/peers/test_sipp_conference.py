"""SIPp dials in: 500 calls at 50 a second into ten sessions, also with 3 % of the packets lost."""

import collections
import contextlib
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.peers.bridge_process import config, facts, serving
from tests.peers.needs import need
from tests.peers.sipp_caller import sipp, write_keys

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

CODES = [f"48291{n}" for n in range(10)]
CALLS = 500
LOSS_PERCENT = 3


@contextlib.contextmanager
def lossy_namespace(port: int, protocol: str = "udp") -> Iterator[Sequence[str]]:
    """Make a network namespace whose loopback loses SIP packets both ways; yield its prefix."""
    name = f"tb-{uuid.uuid4().hex[:8]}"
    inside = ["ip", "netns", "exec", name]
    rules = f"""
    table ip lossy {{
      chain input {{
        type filter hook input priority 0;
        {protocol} dport {port} numgen random mod 100 < {LOSS_PERCENT} counter drop
        {protocol} sport {port} numgen random mod 100 < {LOSS_PERCENT} counter drop
      }}
    }}"""
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        subprocess.run([*inside, "nft", "-f", "-"], input=rules, text=True, check=True)
        yield inside
        print(
            subprocess.run(
                [*inside, "nft", "list", "ruleset"], capture_output=True, text=True, check=True
            ).stdout
        )
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def dial(port: int, folder: Path, *, prefix: Sequence[str] = ()) -> str:
    """Place the calls and return SIPp's last screen; every call must succeed."""
    keys = write_keys(folder / "keys.csv", [f"{code}#" for code in CODES])
    screen = folder / "sipp.screen"
    done = subprocess.run(
        [
            *prefix,
            *sipp(port, keys, calls=CALLS, stay_ms=5_000),
            *f"-trace_screen -screen_file {screen}".split(),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    text = screen.read_text() if screen.exists() else done.stdout
    assert done.returncode == 0, text[-4_000:]
    return text


def check_facts(store: Path) -> None:
    """Every call was answered, let into the waiting room of its session, and left, once."""
    seen = facts(store)
    count = collections.Counter(fact["type"] for fact in seen)
    assert count["leg.answered"] == CALLS
    assert count["leg.left"] == CALLS
    assert count["leg.waiting"] == CALLS
    rooms = collections.Counter(f["session"] for f in seen if f["type"] == "leg.waiting")
    assert rooms == {f"s{code}": CALLS // len(CODES) for code in CODES}
    reasons = collections.Counter(f["reason"] for f in seen if f["type"] == "leg.left")
    assert reasons == {"hung_up": CALLS}


def test_500_calls_key_their_code_and_leave(tmp_path: Path) -> None:
    need("sipp")
    store = tmp_path / "store.db"
    with serving(config(5971, store, CODES), tmp_path):
        dial(5971, tmp_path)
    check_facts(store)


def test_500_calls_succeed_though_three_percent_of_the_packets_are_lost(tmp_path: Path) -> None:
    need("sipp", "nft", "ip")
    store = tmp_path / "store.db"
    with (
        lossy_namespace(5972) as inside,
        serving(config(5972, store, CODES), tmp_path, prefix=inside),
    ):
        dial(5972, tmp_path, prefix=inside)
    check_facts(store)
