"""One large conference against many of ten: the same legs of the same worker, in turns.

Two workers differ by where their memory happens to lie, and two minutes by what else the machine
does, each by more than what is looked for here. So all legs stay as they are, and are moved from
many conferences into one and back; the median of the pairs' ratios is given. One conference in
ten is recorded, of one conference that one.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Final

from bridge.bench.media import (
    RECORDED,
    SERVER_CPU,
    SETTLE_S,
    Load,
    Statuses,
    beside,
    cpu_ns,
    join,
)
from bridge.link import SetGroup, StartRecording, Status, StopRecording, WorkerSettings
from bridge.units import NS_PER_S
from bridge.worker_link import MediaWorker

LEGS_OF_A_CONFERENCE: Final = 10


class _Legs:
    """The legs of one worker under load, and which conferences they are in."""

    def __init__(self, worker: MediaWorker, statuses: Statuses, legs: int, directory: str) -> None:
        self._worker, self._statuses, self._legs = worker, statuses, legs
        self._directory = directory
        self._recorded: Sequence[int] = ()
        self._group = 0

    def spread(self, conferences: int) -> None:
        """Move all legs into so many conferences that are new, and record one in ten of them."""
        first = self._group
        self._group += conferences
        for group in self._recorded:
            self._worker.send(StopRecording(group))
        for leg in range(self._legs):
            self._worker.send(SetGroup(leg, first + leg * conferences // self._legs))
        self._recorded = range(first, self._group, RECORDED)
        for group in self._recorded:
            self._worker.send(StartRecording(group, f"{self._directory}/{group}.wav"))

    async def measured(self) -> tuple[float, Status, int]:
        """Return cores used over one interval, its `Status`, and its ticks that were late."""
        await asyncio.sleep(SETTLE_S / 2)
        first = await self._statuses.following()
        cpu, since = cpu_ns(self._worker.pid), time.monotonic_ns()
        last = await self._statuses.following()
        cores = (cpu_ns(self._worker.pid) - cpu) / (time.monotonic_ns() - since)
        return cores, last, last.late_ticks - first.late_ticks


async def _turns(participants: int, seconds: float, pairs: int) -> list[dict[str, Any]]:
    """Return a row for each turn: first the one, then the many, then the other way round."""
    statuses = Statuses()
    settings = WorkerSettings(status_interval_ns=int(seconds * NS_PER_S))
    worker = await MediaWorker.start(settings, statuses.keep, print, cpu=SERVER_CPU)
    ports = [await join(worker, leg, 0) for leg in range(participants)]
    both = (1, max(participants // LEGS_OF_A_CONFERENCE, 2))
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        legs = _Legs(worker, statuses, participants, directory)
        load = await Load.start(ports)
        await asyncio.sleep(2 * SETTLE_S)
        for pair in range(pairs):
            for conferences in both if pair % 2 else reversed(both):
                legs.spread(conferences)
                cores, status, late = await legs.measured()
                rows.append(
                    {
                        "conferences": conferences,
                        "cores": cores,
                        "tick_ms": status.tick_ms,
                        "late": late,
                    }
                )
        await load.stop()
        await worker.stop()
    return rows


def run(participants: int = 2_000, seconds: float = 2.0, *, pairs: int = 8) -> dict[str, Any]:
    """Measure both in turn, `seconds` each, `pairs` times."""
    with beside():
        rows = asyncio.run(_turns(participants, seconds, pairs))
    ratios = []
    for pair in zip(rows[::2], rows[1::2], strict=True):
        cores = {row["conferences"]: row["cores"] for row in pair}
        ratios.append(cores[min(cores)] / cores[max(cores)])
    result: dict[str, Any] = {"participants": participants, "seconds": seconds}
    for conferences in sorted({row["conferences"] for row in rows}):
        mine = [row for row in rows if row["conferences"] == conferences]
        cores = statistics.median(row["cores"] for row in mine)
        result[f"leg_core_milli_{conferences}"] = round(cores / participants * 1_000, 4)
        result[f"tick_ms_p50_{conferences}"] = round(
            statistics.median(row["tick_ms"]["p50"] for row in mine), 2
        )
        result[f"late_ticks_{conferences}"] = sum(row["late"] for row in mine)
    return result | {
        "ratio_to_many": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }
