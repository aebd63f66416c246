"""When ticks of a media worker are due, and which were late; knows times and numbers only."""

from typing import Final

from bridge.units import FRAME_NS, NS_PER_MS

LATE_NS: Final = 10 * NS_PER_MS
"""A tick that starts this long after its time counts as late, as does one that was skipped."""


class Grid:
    """The times at which ticks are due: `FRAME_NS` apart, for ever, the same in every worker."""

    def __init__(self, now_ns: int) -> None:
        self.due_ns = (now_ns // FRAME_NS + 1) * FRAME_NS
        self.ticks = 0
        self.late = 0

    def begin(self, now_ns: int) -> int:
        """Say that a tick begins; return how many before it were skipped."""
        behind = max(now_ns - self.due_ns, 0)
        skipped = behind // FRAME_NS
        self.late += skipped + (behind % FRAME_NS > LATE_NS)
        self.ticks += 1 + skipped
        self.due_ns += (skipped + 1) * FRAME_NS
        return int(skipped)
