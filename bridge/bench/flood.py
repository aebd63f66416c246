"""A flood of packets that are nobody's, to the ports of a worker under load: what others notice.

    python -m bridge.bench.flood PORT PACKETS_A_SECOND

sends it, spread over each 20 ms, to one RTP port until its standard input ends: half of the
packets are sound RTP from a source that no leg has, half are noise.
"""

import asyncio
import select
import socket
import sys
import time
from typing import Any, Final

import numpy as np

from bridge.bench.media import (
    CALLERS_CPU,
    SERVER_CPU,
    SETTLE_S,
    Load,
    Statuses,
    beside,
    cpu_ns,
    end,
    join,
    start,
)
from bridge.link import WorkerSettings
from bridge.net.batch import Batch
from bridge.units import FRAME_NS, FRAME_SAMPLES, NS_PER_S
from bridge.worker_link import MediaWorker

PACKETS_PER_S: Final = 100_000
_SLICES: Final = 10
_ROW_BYTES: Final = 12 + FRAME_SAMPLES


def main(port: int, packets_per_s: int) -> int:
    """Flood until standard input ends."""
    rows = max(packets_per_s * FRAME_NS // NS_PER_S // _SLICES, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        data = np.random.default_rng(1).integers(0, 256, (rows, _ROW_BYTES), np.uint8)
        data[: rows // 2, :2] = (0x80, 0)
        batch = Batch(data, at=0)
        host = int.from_bytes(socket.inet_aton("127.0.0.1"), "little")
        batch.source[:] = int(socket.AF_INET) | socket.htons(port) << 16 | host << 32
        due = time.monotonic_ns()
        while not select.select([sys.stdin], [], [], 0)[0]:
            batch.send(sock, 0, rows)
            due += FRAME_NS // _SLICES
            time.sleep(max(due - time.monotonic_ns(), 0) / NS_PER_S)
    return 0


async def _measure(participants: int, packets_per_s: int, seconds: float) -> dict[str, Any]:
    statuses = Statuses()
    settings = WorkerSettings(status_interval_ns=int(seconds * NS_PER_S))
    worker = await MediaWorker.start(settings, statuses.keep, print, cpu=SERVER_CPU)
    groups = max(participants // 10, 1)
    ports = [await join(worker, leg, leg % groups) for leg in range(participants)]
    load = await Load.start(ports)
    flood = await start("bridge.bench.flood", ports[0], packets_per_s, cpu=CALLERS_CPU)
    try:
        await asyncio.sleep(2 * SETTLE_S)
        first = await statuses.following()
        await load.report()
        cpu, since = cpu_ns(worker.pid), time.monotonic_ns()
        last = await statuses.following()
        lasted = (time.monotonic_ns() - since) / NS_PER_S
        cores = (cpu_ns(worker.pid) - cpu) / lasted / NS_PER_S
        received = await load.report()
    finally:
        await end(flood)
        await load.stop()
        await worker.stop()
    unknown = last.counters.get("unknown_source", 0) - first.counters.get("unknown_source", 0)
    return {
        "participants": participants,
        "flood_pps": round(unknown / lasted),
        "bridge_core_milli": round(cores * 1_000, 1),
        "tick_ms": {name: round(value, 2) for name, value in last.tick_ms.items()},
        "ticks": last.ticks - first.ticks,
        "late_ticks": last.late_ticks - first.late_ticks,
        "rx_pps_min": round(received["least"] / lasted, 1),
    }


def run(participants: int, packets_per_s: int, seconds: float) -> dict[str, Any]:
    """Measure the ticks of a worker whose first port is flooded."""
    with beside():
        return asyncio.run(_measure(participants, packets_per_s, seconds))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
