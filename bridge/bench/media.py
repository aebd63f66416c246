"""The media worker against the floor: CPU per participant, tick times, memory.

The floor is a bare echo of the same packets; of codecs with a library, what that takes by itself
is measured on the same core in turn, and counted with the floor.

Worker (or floor) and callers run on a core each. The load runs before, during and after what is
measured. Floor and bridge take turns, and the median of the pairs' ratios is given: many short
pairs, since the speed of a host changes within seconds, by as much as a third. Where the two
cores are threads of one, work costs half as much again while the other thread works: so floor and
bridge tick at the same moments of the callers' sending, and each pair at other ones.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bridge.bench.callers import SLICES, host_of
from bridge.bench.speech import PAYLOAD_TYPES, payloads_of
from bridge.link import (
    FromWorker,
    LegOpened,
    OpenLeg,
    SetGroup,
    SetRemote,
    StartRecording,
    Status,
    WorkerSettings,
)
from bridge.media import samples
from bridge.media.codecs import WIDE
from bridge.units import FRAME_NS, MS_PER_S, NS_PER_S
from bridge.worker_link import MediaWorker

SERVER_CPU: Final = 0
CALLERS_CPU: Final = 1
CALLER_PORT: Final = 50_000
FLOOR_PORT: Final = 39_998
SETTLE_S: Final = 1.0
RECORDED: Final = 10
"""Every tenth conference is recorded."""


def cpu_ns(pid: int) -> int:
    """Return the CPU time a process has used, all threads."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def rss_kb(pid: int) -> int:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if "VmRSS" in line))


def stolen_ms(cpu: int) -> int:
    """Return for how long the host has run something else while this core had work, in 10 ms."""
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    ticks = next(int(line[8]) for line in lines if line[0] == f"cpu{cpu}")
    return ticks * MS_PER_S // os.sysconf("SC_CLK_TCK")


class Load:
    """The callers' process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls, ports: list[int], codec: str = "PCMU", phase_ns: int | None = None
    ) -> "Load":
        """Start calling these server ports, so long after a tick is due; None: at once."""
        process = await start("bridge.bench.callers", CALLER_PORT, cpu=CALLERS_CPU)
        assert process.stdin is not None
        order = {"ports": ports, "codec": codec, "phase_ns": phase_ns}
        process.stdin.write(json.dumps(order).encode() + b"\n")
        return cls(process)

    async def report(self) -> dict[str, int]:
        """Return what was received since the last report, and by how much they were late."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        report: dict[str, int] = json.loads(await self._process.stdout.readline())
        return report

    async def stop(self) -> None:
        """End the callers."""
        await end(self._process)


async def start(module: str, *arguments: object, cpu: int) -> asyncio.subprocess.Process:
    """Start a module of this package on a core, with pipes to it."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        "taskset", "-c", str(cpu), sys.executable, "-m", module, *map(str, arguments),
        stdin=pipe, stdout=pipe,
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process) -> None:
    """Close the standard input of a process and wait for its end."""
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


@contextmanager
def beside() -> Iterator[None]:
    """Keep this process off the core of what is measured, where there are two."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CALLERS_CPU} & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Statuses:
    """What a worker says of itself: one `Status` after each interval, each of that interval."""

    def __init__(self) -> None:
        self._come: asyncio.Queue[Status] = asyncio.Queue()

    def keep(self, message: FromWorker) -> None:
        """Take a message of the worker."""
        if isinstance(message, Status):
            self._come.put_nowait(message)

    async def following(self) -> Status:
        """Return the next that comes: the interval that begins now begins with it."""
        while not self._come.empty():
            self._come.get_nowait()
        return await self._come.get()


async def _measured(pid: int, load: Load, seconds: float) -> tuple[float, dict[str, int]]:
    """Return cores used by `pid` over `seconds` under load, and what the callers received."""
    await asyncio.sleep(SETTLE_S)
    await load.report()
    cpu, since = cpu_ns(pid), time.monotonic_ns()
    await asyncio.sleep(seconds)
    cores = (cpu_ns(pid) - cpu) / (time.monotonic_ns() - since)
    return cores, await load.report()


async def floor(
    participants: int, seconds: float, codec: str = "PCMU", phase_ns: int | None = None
) -> float:
    """Return the cores that the bare batched echo takes, of packets as long as the codec's."""
    size = int(payloads_of(codec).size.max())
    process = await start("bridge.bench.echo_floor", FLOOR_PORT, size, cpu=SERVER_CPU)
    load = await Load.start([FLOOR_PORT] * participants, codec, phase_ns)
    cores, _ = await _measured(process.pid, load, seconds)
    await load.stop()
    await end(process)
    return cores


async def codec_alone(participants: int, seconds: float, codec: str) -> float:
    """Return the cores that a codec's library takes for so many legs; 0 for G.711's tables."""
    if codec not in WIDE:
        return 0.0
    process = await start("bridge.bench.codec_alone", codec, seconds, participants, cpu=SERVER_CPU)
    assert process.stdout is not None
    said = await process.stdout.readline()
    await end(process)
    return float(said) * participants


async def bridge(
    participants: int,
    conferences: int,
    seconds: float,
    codec: str = "PCMU",
    phase_ns: int | None = None,
) -> dict[str, Any]:
    """Return cores, ticks and what was received, of a worker with everybody talking.

    What is measured is one interval of the worker's `Status`, long after the last leg has joined.
    """
    statuses = Statuses()
    settings = WorkerSettings(status_interval_ns=int(seconds * NS_PER_S))
    worker = await MediaWorker.start(settings, statuses.keep, print, cpu=SERVER_CPU)
    bare_kb = rss_kb(worker.pid)
    ports = [
        await join(worker, leg, leg * conferences // participants, codec)
        for leg in range(participants)
    ]
    with tempfile.TemporaryDirectory() as directory:
        for group in range(0, conferences, RECORDED):
            worker.send(StartRecording(group, f"{directory}/{group}.wav"))
        load = await Load.start(ports, codec, phase_ns)
        await asyncio.sleep(2 * SETTLE_S)
        first = await statuses.following()
        await load.report()
        stolen = stolen_ms(SERVER_CPU)
        cpu, since = cpu_ns(worker.pid), time.monotonic_ns()
        last = await statuses.following()
        lasted_ns = time.monotonic_ns() - since
        cores = (cpu_ns(worker.pid) - cpu) / lasted_ns
        stolen = stolen_ms(SERVER_CPU) - stolen
        received = await load.report()
        grown_kb = rss_kb(worker.pid) - bare_kb
        await load.stop()
        await worker.stop()
    rx_pps = received["least"] / lasted_ns * NS_PER_S
    return {
        "cores": cores,
        "tick_ms": last.tick_ms,
        "ticks": last.ticks - first.ticks,
        "late_ticks": last.late_ticks - first.late_ticks,
        "rx_pps_min": rx_pps if received["streams"] == participants else 0.0,
        "callers_late_ms": received["late_ms"],
        "stolen_ms": stolen,
        "rss_kb_per_leg": grown_kb / participants,
        "counters": last.counters,
    }


async def join(worker: MediaWorker, leg: int, group: int, codec: str = "PCMU") -> int:
    """Open a leg that is proven and in a conference; return its port."""
    host = host_of(leg)
    opened = await worker.open_leg(OpenLeg(leg, host, CALLER_PORT))
    assert isinstance(opened, LegOpened), opened
    kind = PAYLOAD_TYPES[codec]
    worker.send(SetRemote(leg, codec, kind, 101, 20, host, CALLER_PORT, proven=True))
    worker.send(SetGroup(leg, group))
    return opened.port


async def _pairs(
    participants: int, conferences: int, seconds: float, pairs: int, codec: str
) -> dict[str, Any]:
    floors, alone, runs = [], [], []
    for turn in range(pairs):
        phase_ns = FRAME_NS // SLICES * turn // pairs
        floors.append(await floor(participants, seconds, codec, phase_ns))
        alone.append(await codec_alone(participants, seconds, codec))
        runs.append(await bridge(participants, conferences, seconds, codec, phase_ns))
    ratios = [
        run["cores"] / (bare + own) for run, bare, own in zip(runs, floors, alone, strict=True)
    ]
    worst = max(runs, key=lambda run: run["tick_ms"]["p99"])
    cores = statistics.median(run["cores"] for run in runs)
    return {
        "codec": codec,
        "loops": samples.LOOPS,  # the worker is of the same installation and environment
        "participants": participants,
        "conferences": conferences,
        "floor_core_milli": round(statistics.median(floors) * 1_000, 1),
        "codec_core_milli": round(statistics.median(alone) * 1_000, 1),
        "bridge_core_milli": round(cores * 1_000, 1),
        "leg_core_milli": round(cores / participants * 1_000, 3),
        "ratio_to_floor": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "tick_ms": {name: round(value, 2) for name, value in worst["tick_ms"].items()},
        "ticks": sum(run["ticks"] for run in runs),
        "late_ticks": sum(run["late_ticks"] for run in runs),
        "rx_pps_min": round(min(run["rx_pps_min"] for run in runs), 1),
        "callers_late_ms": max(run["callers_late_ms"] for run in runs),
        "stolen_ms": sum(run["stolen_ms"] for run in runs),
        "rss_kb_per_leg": round(statistics.median(run["rss_kb_per_leg"] for run in runs), 1),
        "frame_ms": FRAME_NS / 1e6,
    }


def run(
    participants: int, conferences: int, seconds: float, *, pairs: int = 11, codec: str = "PCMU"
) -> dict[str, Any]:
    """Measure worker and floor in turn; `seconds` each, `pairs` times."""
    with beside():
        return asyncio.run(_pairs(participants, conferences, seconds, pairs, codec))
