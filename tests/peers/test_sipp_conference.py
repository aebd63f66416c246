"""SIPp dials in: 500 calls at 50 a second into ten sessions, also with 3 % of the packets lost."""

import collections
import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.conference.api import LegKind
from bridge.conference.numberplan import NumberPlan
from tests.peers.bridge_process import config, facts, serving

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

SCENARIO = Path(__file__).parent / "sipp" / "key_the_code.xml"
CODES = [f"48291{n}" for n in range(10)]
CALLS = 500
LOSS_PERCENT = 3


def need(*programs: str) -> None:
    missing = [program for program in programs if not shutil.which(program)]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {', '.join(missing)}: .ci/run installs them")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


@contextlib.contextmanager
def lossy_namespace(port: int) -> Iterator[Sequence[str]]:
    """Make a network namespace whose loopback loses SIP packets both ways; yield its prefix."""
    name = f"tb-{uuid.uuid4().hex[:8]}"
    inside = ["ip", "netns", "exec", name]
    rules = f"""
    table ip lossy {{
      chain input {{
        type filter hook input priority 0;
        udp dport {port} numgen random mod 100 < {LOSS_PERCENT} counter drop
        udp sport {port} numgen random mod 100 < {LOSS_PERCENT} counter drop
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
    """Place the calls and return SIPp's last screen; SIPp exits 0 when every call succeeded."""
    did = NumberPlan.build().did("US", LegKind.TOLL_FREE)
    assert did
    codes = folder / "codes.csv"
    codes.write_text("SEQUENTIAL\n" + "".join(f"{code};\n" for code in CODES))
    done = subprocess.run(
        [
            *prefix,
            "sipp",
            f"127.0.0.1:{port}",
            "-sf",
            str(SCENARIO),
            "-inf",
            str(codes),
            "-key",
            "did",
            did.e164,
            "-i",
            "127.0.0.1",
            "-p",
            "6099",
            "-mp",
            "20000",
            "-m",
            str(CALLS),
            "-r",
            "50",
            "-l",
            "600",
            "-timeout",
            "150s",
            "-nostdin",
            "-trace_err",
            "-error_file",
            str(folder / "sipp.err"),
            "-trace_screen",
            "-screen_file",
            str(folder / "sipp.screen"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    screen = folder / "sipp.screen"
    text = screen.read_text() if screen.exists() else done.stdout
    errors = folder / "sipp.err"
    assert done.returncode == 0, text[-4_000:] + (
        errors.read_text()[-2_000:] if errors.exists() else ""
    )
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
