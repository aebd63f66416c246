"""What the host takes of the worker's core: a process that sleeps a millisecond again and again.

It has real-time priority where that is allowed, so nothing in this machine comes before it; what
still wakes it late is the machine being stopped, or a kernel that lets nobody in. A tick that is
late for that is late in any program.
"""

import os
import time
from typing import Any, Final

from bridge.bench.media import SERVER_CPU, stolen_ms
from bridge.units import NS_PER_MS, NS_PER_S

STEP_NS: Final = NS_PER_MS
LATE_MS: Final = (1, 5, 10)

_PRIORITY: Final = 5


def _real_time(policy: int, priority: int) -> bool:
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except PermissionError:
        return False
    return True


def run(seconds: float = 60.0) -> dict[str, Any]:
    """Return how often, and by how much at most, a sleep was too long on the worker's core."""
    cores, policy = os.sched_getaffinity(0), os.sched_getscheduler(0)
    priority = os.sched_getparam(0).sched_priority
    os.sched_setaffinity(0, {SERVER_CPU} & cores or cores)
    real_time = _real_time(os.SCHED_FIFO, _PRIORITY)
    try:
        stolen = stolen_ms(SERVER_CPU)
        late_ns = _slept(seconds)
        stolen = stolen_ms(SERVER_CPU) - stolen
    finally:
        _real_time(policy, priority)
        os.sched_setaffinity(0, cores)
    over = {f"late_{ms}_ms": sum(late > ms * NS_PER_MS for late in late_ns) for ms in LATE_MS}
    return {
        "seconds": seconds,
        "real_time": real_time,
        "wakes": len(late_ns),
        **over,
        "latest_ms": round(max(late_ns) / NS_PER_MS, 1),
        "stolen_ms": stolen,
    }


def _slept(seconds: float) -> list[int]:
    """Sleep again and again; return by how many nanoseconds each was too long."""
    late_ns: list[int] = []
    now = time.monotonic_ns()
    end = now + int(seconds * NS_PER_S)
    while now < end:
        time.sleep(STEP_NS / NS_PER_S)
        woken = time.monotonic_ns()
        late_ns.append(woken - now - STEP_NS)
        now = woken
    return late_ns
