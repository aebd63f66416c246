"""CPU time of processes and which cores they may use; reads /proc, decides little."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


def cpu_ns(pid: int) -> int:
    """Return the CPU time that a process and its children have used; 0 when it is gone."""
    total = 0
    for process in family(pid):  # bound: a process and its workers
        try:
            for task in Path(f"/proc/{process}/task").glob("*/schedstat"):
                total += int(task.read_text().split()[0])
        except OSError:  # it has just ended
            continue
    return total


def family(pid: int) -> Iterator[int]:
    """Yield a process and all that it started."""
    yield pid
    try:
        children = [
            int(word)
            for path in Path(f"/proc/{pid}/task").glob("*/children")
            for word in path.read_text().split()
        ]
    except OSError:
        return
    for child in children:
        yield from family(child)


@dataclass(slots=True)
class Meter:
    """Cores that a process and its children use, from one reading to the next."""

    pid: int
    _cpu_ns: int = field(init=False)
    _at_ns: int = field(init=False)

    def __post_init__(self) -> None:
        """Take the first reading."""
        self._cpu_ns, self._at_ns = cpu_ns(self.pid), time.monotonic_ns()

    def cores(self) -> float:
        """Return the cores used since the last reading."""
        used, now_ns = cpu_ns(self.pid), time.monotonic_ns()
        result = (used - self._cpu_ns) / max(now_ns - self._at_ns, 1)
        self._cpu_ns, self._at_ns = used, now_ns
        return round(max(result, 0.0), 3)


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the bridge on `bridge`, callers on `callers`; both empty: wherever."""

    bridge: frozenset[int] = frozenset()
    callers: frozenset[int] = frozenset()

    @classmethod
    def shared_out(cls) -> "Cores":
        """Give the callers the last core that this process may use, the bridge all others."""
        mine = sorted(os.sched_getaffinity(0))
        if len(mine) < 2:
            return cls()
        return cls(frozenset(mine[:-1]), frozenset(mine[-1:]))


@contextmanager
def kept_to(cores: frozenset[int]) -> Iterator[None]:
    """Keep this process to some cores meanwhile."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
