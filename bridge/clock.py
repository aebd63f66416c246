"""The conference clock (D19): a UTC anchor plus elapsed milliseconds.

Pure: the monotonic clock is an argument. In service it runs with that clock; under a scenario it
stands still and moves only by `advance`. It remembers its recent moves, so that what happened at
a monotonic moment in the past (a leg's last packet, D12) is dated by the conference time of that
moment, not of its noticing.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

from bridge.units import NS_PER_MS, ConfMs, NowNs

MOVES_MAX: Final = 4_096
"""Moves remembered; older moments are dated by the oldest remembered one."""


@dataclass(slots=True)
class ConferenceClock:
    """Conference time as a function of monotonic time.

    Attributes:
        anchor: conference time at `since_ns`.
        since_ns: monotonic moment of the anchor.
        running: true in service; false when only `advance` moves the clock.
    """

    anchor: ConfMs
    since_ns: NowNs
    running: bool = True
    _moves: list[tuple[NowNs, ConfMs]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remember the anchor as the first move."""
        self._moves.append((self.since_ns, self.anchor))

    def at(self, now_ns: NowNs) -> ConfMs:
        """Return conference time at a monotonic moment, now or in the past."""
        moved_ns, moved_to = self._moves[-1]
        if now_ns < moved_ns:
            index = max(bisect_right(self._moves, now_ns, key=lambda move: move[0]) - 1, 0)
            moved_ns, moved_to = self._moves[index]
        if not self.running:
            return moved_to
        ahead_ns = now_ns - moved_ns
        return ConfMs(moved_to + ahead_ns // NS_PER_MS) if ahead_ns > 0 else moved_to

    def moves(self, since_ns: int, until_ns: int) -> list[tuple[int, ConfMs]]:
        """Return where the clock was set in a span, its beginning first: monotonic, conference."""
        inside = [move for move in self._moves if since_ns < move[0] <= until_ns]
        return [(since_ns, self.at(NowNs(since_ns))), *inside]

    def advance_to(self, target: ConfMs, now_ns: NowNs) -> None:
        """Move to `target` at once. It never goes back."""
        assert target >= self.at(now_ns), "conference time never goes back"
        self._moves.append((now_ns, target))
        del self._moves[:-MOVES_MAX]

    def real_ns_until(self, deadline: ConfMs, now_ns: NowNs) -> int | None:
        """Return monotonic nanoseconds until `deadline`, or None when only `advance` gets there."""
        ahead = deadline - self.at(now_ns)
        if ahead <= 0:
            return 0
        return ahead * NS_PER_MS if self.running else None
