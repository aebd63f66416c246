"""What a whole call costs: INVITE to BYE with its facts committed, at a steady rate.

A bridge as `tollbridge serve` runs it has a core for its control process; its media worker and the
callers share the other. CPU time is the kernel's count, all threads, facts and their commits
included. With `overload` more calls than can be carried come afterwards: what is too much must be
refused with 503 at once, and as many as before must be carried.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bridge.bench.media import CALLERS_CPU, SERVER_CPU, cpu_ns, end, start
from bridge.units import NS_PER_MS

COMMAND: Final = "from bridge.cli import main; main()"
SESSIONS: Final = 10
FIRST_CODE: Final = 482_900
HOLD_S: Final = 0.1
WARM_UP_CALLS_S: Final = 1.0
READY_S: Final = 30.0
STOP_S: Final = 20.0
SETTLE_S: Final = 0.5
IDLE_S: Final = 1.0
"""How long the worker is watched without calls: its ticks are no call's cost."""

OVERLOAD_S: Final = 15.0


def _config(directory: Path, port: int) -> Path:
    """Write the configuration of the bridge that is measured."""
    text = [
        f'[sip]\nlisten = "127.0.0.1:{port}"',
        "[rtp]\nport_range = [40000, 44999]\nworkers = 1",
        f'[store]\nurl = "sqlite:///{directory}/bench.db"',
        '[web]\nlisten = ""',
        '[[contract]]\nid = "c1"\ncurrency = "USD"',
        '[[account]]\nid = "acme"\ncontract = "c1"',
    ]
    text += [
        f'[[session]]\nid = "s{n}"\naccount = "acme"\naccess_code = "{FIRST_CODE + n}"\n'
        f'organizer_pin = "771144"'
        for n in range(SESSIONS)
    ]
    path = directory / "bench.toml"
    path.write_text("\n".join(text) + "\n")
    return path


class _Server:
    """A bridge in a process of its own, and its media worker's process."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self._process, self._directory = process, directory
        self.pid = process.pid

    @classmethod
    async def start(cls, directory: Path, port: int) -> "_Server":
        """Start it and wait until it listens."""
        path = str(_config(directory, port))
        with (directory / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                "taskset", "-c", str(SERVER_CPU),
                sys.executable, "-c", COMMAND, "serve", "--config", path,
                stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        server = cls(process, directory)
        assert process.stdout is not None
        async with asyncio.timeout(READY_S):
            while b"Ctrl-C" not in await process.stdout.readline():
                if process.returncode is not None:
                    raise RuntimeError((directory / "log").read_text())
        server._drain = asyncio.ensure_future(_drained(process.stdout))
        os.sched_setaffinity(server.worker, {CALLERS_CPU})
        return server

    _drain: "asyncio.Future[None]"

    @property
    def worker(self) -> int:
        """The media worker's process."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[0])

    async def stop(self) -> None:
        """End it as Ctrl-C would."""
        self._process.send_signal(signal.SIGINT)
        await asyncio.wait_for(self._process.wait(), STOP_S)
        self._drain.cancel()


async def _drained(stream: asyncio.StreamReader) -> None:
    while await stream.read(1 << 16):
        pass


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _order(process: asyncio.subprocess.Process, rate: float, seconds: float) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    users = [str(FIRST_CODE + n) for n in range(SESSIONS)]
    order = {"rate": rate, "seconds": seconds, "hold_s": HOLD_S, "users": users}
    process.stdin.write(json.dumps(order).encode() + b"\n")
    return json.loads(await process.stdout.readline())


async def _measure(rate: float, seconds: float, overload: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tollbridge-bench-") as folder:
        server = await _Server.start(Path(folder), port := _free_port())
        callers = await start("bridge.bench.setup_callers", "127.0.0.1", port, cpu=CALLERS_CPU)
        try:
            await _order(callers, min(rate, 50), WARM_UP_CALLS_S)
            await asyncio.sleep(SETTLE_S)
            result = await _run(server, callers, rate, seconds)
            if overload:
                await asyncio.sleep(SETTLE_S)
                result["overload"] = await _run(
                    server, callers, rate * overload, min(seconds, OVERLOAD_S)
                )
        finally:
            await end(callers)
            await server.stop()
        return result


async def _run(
    server: _Server, callers: asyncio.subprocess.Process, rate: float, seconds: float
) -> dict[str, Any]:
    """Make calls at a rate and return what became of them and what they cost."""
    worker = server.worker
    idle = cpu_ns(worker)
    await asyncio.sleep(IDLE_S)
    idle_share = (cpu_ns(worker) - idle) / IDLE_S
    control, media = cpu_ns(server.pid), cpu_ns(worker)
    done = await _order(callers, rate, seconds)
    await asyncio.sleep(SETTLE_S)  # the last facts are committed
    control, media = cpu_ns(server.pid) - control, cpu_ns(worker) - media
    media = max(media - idle_share * (done["took_s"] + SETTLE_S), 0)
    each = max(done["completed"], 1) * NS_PER_MS
    return {
        "rate": rate,
        "seconds": seconds,
        "calls": done["calls"],
        "completed": done["completed"],
        "completed_per_s": round(done["completed"] / done["took_s"], 1),
        "failures": done["failures"],
        "repeats": done["repeats"],
        "control_cpu_ms_per_call": round(control / each, 3),
        "worker_cpu_ms_per_call": round(media / each, 3),
        "control_core": round(control / NS_PER_MS / 1e3 / done["took_s"], 3),
        "setup_ms": done["setup_ms"],
        "refused_ms": done["refused_ms"],
    }


def run(rate: float, seconds: float, *, overload: float = 0.0) -> dict[str, Any]:
    """Measure; `overload` is how many times the rate comes in the end, 0 for not at all."""
    return asyncio.run(_measure(rate, seconds, overload))
