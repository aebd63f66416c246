"""A whole bridge in trouble: a locked store, a full disk, a killed worker, a flood, no room."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.bridge_process import CONTRACT, config, serving
from tests.peers.probing import CODE, SETTLE_S, TOLL_FREE, Serving, free_port, left_reason, story
from tests.peers.sip_wire import HOST, Talk, Wire

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

DISK_BYTES = 1_024 * 1_024
BUSY_S = 8.0
"""Longer than a commit waits for another process's lock."""


@contextlib.contextmanager
def bridge_in(folder: Path, store: Path, extra: str = "") -> Iterator[Serving]:
    """Run a bridge with a store of its own; `extra` are further lines of [sip]."""
    port = free_port()
    text = config(port, store, [CODE]).replace("[sip]\n", f"[sip]\n{extra}\n")
    with serving(text, folder) as process:
        yield Serving((HOST, port), store, process.pid)


def until(holds: Callable[[], object], timeout_s: float = SETTLE_S) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def refused(talk: Talk) -> None:
    """Call and be refused with 503 and Retry-After."""
    talk.invite()
    answer = talk.wire.answer("INVITE", timeout_s=BUSY_S)
    assert answer.status == 503
    assert int(answer.value("Retry-After")) > 0
    talk.ack_failure(answer)


def test_a_locked_store_refuses_calls_and_loses_no_fact(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with bridge_in(tmp_path, store) as bridge, Wire(bridge.address) as wire:
        running = Talk(wire)
        running.up()
        lock = sqlite3.connect(store, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        during = Talk(wire)
        refused(during)
        running.bye()  # true already: its fact waits in memory
        lock.execute("ROLLBACK")
        lock.close()
        assert left_reason(bridge, running) == "hung_up"
        assert not story(bridge, during)
        after = Talk(wire)
        after.up()
        after.bye()
        assert left_reason(bridge, after) == "hung_up"


def test_a_full_disk_refuses_calls_until_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must be able to mount a tmpfs")
        pytest.skip("cannot mount a tmpfs here")
    try:
        with (
            bridge_in(tmp_path, disk / "store.db") as bridge,
            Wire(bridge.address) as wire,
        ):
            running = Talk(wire)
            running.up()
            ballast = disk / "ballast"
            fill(ballast)
            during = Talk(wire)
            refused(during)
            running.bye()
            ballast.unlink()
            assert left_reason(bridge, running) == "hung_up"
            assert not story(bridge, during)
            after = Talk(wire)
            after.up()
            after.bye()
            assert left_reason(bridge, after) == "hung_up"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(path: Path) -> None:
    """Take every byte that is left on a disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4_096)


def worker_of(pid: int) -> int:
    """Return the process id of the media worker, the bridge's only child."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def test_a_killed_worker_ends_its_legs_and_is_replaced(tmp_path: Path) -> None:
    with bridge_in(tmp_path, tmp_path / "store.db") as bridge, Wire(bridge.address) as wire:
        talk = Talk(wire)
        talk.up()
        killed = worker_of(bridge.pid)
        os.kill(killed, signal.SIGKILL)
        wire.reply(wire.request("BYE"))
        assert left_reason(bridge, talk) == "worker_lost"
        until(lambda: worker_lives(bridge.pid, killed))
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:  # 503 while the new worker starts
            again = Talk(wire)
            again.invite()
            answer = wire.answer("INVITE")
            if answer.status == 200:
                break
            again.ack_failure(answer)
        again.take(answer)
        again.ack()
        again.bye()
        assert left_reason(bridge, again) == "hung_up"


def worker_lives(pid: int, killed: int) -> bool:
    """Whether the bridge has a worker that is not the killed one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return bool(children) and str(killed) not in children


def test_malformed_rtp_is_counted_and_hurts_nobody(tmp_path: Path) -> None:
    with bridge_in(tmp_path, tmp_path / "store.db") as bridge, Wire(bridge.address) as wire:
        talk = Talk(wire)
        answer = talk.up()
        port = int(answer.media_lines()[0].split()[1])
        for size in range(400):
            wire.rtp.sendto(bytes([size % 256]) * size, (HOST, port))
        wire.rtp.settimeout(5)
        heard = {wire.rtp.recv(2_000)[:1] for _ in range(20)}
        assert heard == {b"\x80"}  # hold music goes on
        talk.bye()
        assert left_reason(bridge, talk) == "hung_up"


def test_beyond_calls_max_is_503_until_somebody_leaves(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with bridge_in(tmp_path, store, "calls_max = 2") as bridge, Wire(bridge.address) as wire:
        first, second, third, fourth = (Talk(wire) for _ in range(4))
        first.up()
        second.up()
        refused(third)
        assert third.ask("OPTIONS").status == 503  # what an INVITE would get (RFC 3261 §11.2)
        first.bye()
        assert third.ask("OPTIONS").status == 200
        fourth.up()
        assert not story(bridge, third)
        second.bye()
        fourth.bye()


def test_toll_free_comes_from_a_trunk_only(tmp_path: Path) -> None:
    elsewhere = CONTRACT.replace("127.0.0.0/8", "192.0.2.0/24")
    port = free_port()
    text = config(port, tmp_path / "store.db", [CODE]).replace(CONTRACT, elsewhere)
    with serving(text, tmp_path), Wire((HOST, port)) as wire:
        for user, status in ((TOLL_FREE, 403), ("+15005550006", 404), ("111111", 404)):
            talk = Talk(wire, user)
            talk.invite()
            answer = wire.answer("INVITE")
            assert answer.status == status
            talk.ack_failure(answer)
        talk = Talk(wire)
        talk.up()
        talk.bye()


def test_a_killed_bridge_closes_its_legs_when_it_comes_back(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    port = free_port()
    text = config(port, store, [CODE])
    with serving(text, tmp_path) as process, Wire((HOST, port)) as wire:
        bridge = Serving((HOST, port), store, process.pid)
        talk = Talk(wire)
        talk.up()
        process.kill()
        process.wait(10)
    assert [f["type"] for f in story(bridge, talk)][-1] != "leg.left"
    with serving(text, tmp_path), Wire((HOST, port)) as wire:
        assert left_reason(bridge, talk) == "bridge_restarted"
        talk.wire = wire
        assert talk.ask("BYE").status == 481
    ids = [json.dumps(f, sort_keys=True) for f in story(bridge, talk)]
    assert len(ids) == len(set(ids))
