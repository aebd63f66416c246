"""Joins and leaves beside legs that talk: what the ticks of the others notice.

The legs that come and go send nothing and are in conferences of the others, so each makes the
worker lay out conferences and rows to send anew, twice.
"""

import asyncio
import time
from collections import deque
from typing import Any, Final

from bridge.bench.media import SERVER_CPU, SETTLE_S, Load, Statuses, beside, join
from bridge.link import CloseLeg, WorkerSettings
from bridge.units import NS_PER_S
from bridge.worker_link import MediaWorker

STAY: Final = 50
"""Legs that are there before the first of them leaves."""


async def _come_and_go(worker: MediaWorker, first: int, groups: int, rate: int) -> None:
    """Open `rate` legs a second, from number `first` on, and close each `STAY` legs later."""
    there: deque[int] = deque()
    begun = time.monotonic_ns()
    turn = 0
    while True:
        await join(worker, first + turn, turn % groups)
        there.append(first + turn)
        if len(there) > STAY:
            worker.send(CloseLeg(there.popleft()))
        turn += 1
        await asyncio.sleep((begun + turn * NS_PER_S // rate - time.monotonic_ns()) / NS_PER_S)


async def _measure(participants: int, rate: int, seconds: float) -> dict[str, Any]:
    statuses = Statuses()
    settings = WorkerSettings(status_interval_ns=int(seconds * NS_PER_S))
    worker = await MediaWorker.start(settings, statuses.keep, print, cpu=SERVER_CPU)
    groups = max(participants // 10, 1)
    ports = [await join(worker, leg, leg % groups) for leg in range(participants)]
    load = await Load.start(ports)
    try:
        await asyncio.sleep(2 * SETTLE_S)
        await statuses.following()
        calm = await statuses.following()
        churn = asyncio.create_task(_come_and_go(worker, participants, groups, rate))
        moved = await statuses.following()
        churn.cancel()
        arranged = moved.counters.get("rearranged", 0) - calm.counters.get("rearranged", 0)
    finally:
        await load.stop()
        await worker.stop()
    return {
        "participants": participants,
        "joins_and_leaves_per_s": rate,
        "ticks_laid_out_anew": arranged,
        "tick_ms_calm": {name: round(value, 2) for name, value in calm.tick_ms.items()},
        "tick_ms": {name: round(value, 2) for name, value in moved.tick_ms.items()},
        "ticks": moved.ticks - calm.ticks,
        "late_ticks": moved.late_ticks - calm.late_ticks,
    }


def run(participants: int, rate: int, seconds: float) -> dict[str, Any]:
    """Measure the ticks of a worker without and with joins and leaves."""
    with beside():
        return asyncio.run(_measure(participants, rate, seconds))
