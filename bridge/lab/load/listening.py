"""Takes what a crowd's engine says unasked, has it judged, and writes it down."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.lab.load.book import Book
from bridge.lab.load.ears import Capture, judge
from bridge.lab.load.usage import Meter

LAST_EARS_S: Final = 3.0
"""How long the last samples may take to be judged."""


@dataclass(slots=True)
class Listening:
    """The ears of a run.

    Attributes:
        stage: what the run is at; each second is marked with it.
        meter: of the bridge's processes, None where they are not ours.
        each_second: called when a second was written down.
    """

    book: Book = field(default_factory=Book)
    stage: str = ""
    meter: Meter | None = None
    each_second: Callable[[], None] = lambda: None
    _cpu_ns: int = field(default_factory=time.process_time_ns)
    _at_ns: int = field(default_factory=time.monotonic_ns)
    _judging: set[asyncio.Task[None]] = field(default_factory=set)

    def take(self, value: Capture | dict[str, Any]) -> None:
        """Take a sample or a second from the engine."""
        if isinstance(value, Capture):
            task = asyncio.get_running_loop().create_task(self._judge(value))
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)
            return
        if self.meter is not None:
            value["bridge_cores"] = self.meter.cores()
        cpu_ns, at_ns = time.process_time_ns(), time.monotonic_ns()
        value["sip_cores"] = round((cpu_ns - self._cpu_ns) / max(at_ns - self._at_ns, 1), 3)
        self._cpu_ns, self._at_ns = cpu_ns, at_ns
        value["stage"] = self.stage
        self.book.seconds.append(value)
        self.each_second()

    async def _judge(self, capture: Capture) -> None:
        self.book.ears.append(await asyncio.to_thread(judge, capture))

    async def done(self) -> None:
        """Wait until every sample so far is judged."""
        if self._judging:
            await asyncio.wait(self._judging, timeout=LAST_EARS_S)
