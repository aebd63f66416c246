"""Counts wrong codes and PINs by where they come from, and says when to slow down and to refuse.

Knows counts and monotonic times. It must not know legs, nor which code would be right.

A *source* is a caller's number when a trunk vouches for it, else the address its call came from.
Each wrong guess makes the next answer to that source slower, whether the next guess is right or
wrong, so that hanging up early tells nothing. Too many, and nothing from it is right for a time.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from bridge.conference.api import ConferenceConfig
from bridge.units import NowNs

SOURCES_MAX: Final = 10_000
"""Sources and sessions remembered; beyond it the one that guessed longest ago is forgotten."""


@dataclass(slots=True)
class Tally:
    """The wrong guesses of one source, or at one session's PIN."""

    guesses: int = 0
    last_ns: int = 0
    locked_until_ns: int = 0


class Guard:
    """The tallies. A tally is forgotten when no guess came for `guard_forget_ns`."""

    def __init__(self, config: ConferenceConfig) -> None:
        self._config = config
        self._tallies: OrderedDict[str, Tally] = OrderedDict()

    def delay_ns(self, source: str, now: NowNs) -> int:
        """Return how long the answer to the next guess of a source takes."""
        config = self._config
        tally = self._tally(source, now)
        if tally is None or config.guard_delay_ns == 0:
            return 0
        # Doubling stops long before the number gets large.
        doubled = config.guard_delay_ns << min(tally.guesses - 1, 16)
        return min(doubled, config.guard_delay_max_ns)

    def is_locked(self, key: str, now: NowNs) -> bool:
        """Say whether nothing from this source, or at this session's PIN, is right now."""
        tally = self._tally(key, now)
        return tally is not None and now < tally.locked_until_ns

    def miss(self, key: str, now: NowNs, *, limit: int) -> tuple[int, bool]:
        """Count a wrong guess; return how many there were, and whether this one locks out.

        A limit of 0 never locks out.
        """
        tally = self._tally(key, now) or Tally()
        self._tallies[key] = tally
        self._tallies.move_to_end(key)
        if len(self._tallies) > SOURCES_MAX:
            self._tallies.popitem(last=False)
        tally.guesses += 1
        tally.last_ns = now
        locks = limit > 0 and tally.guesses % limit == 0
        if locks:
            tally.locked_until_ns = now + self._config.guard_lockout_ns
        return tally.guesses, locks

    def _tally(self, key: str, now: NowNs) -> Tally | None:
        """Return a tally that still counts."""
        tally = self._tallies.get(key)
        if tally is None:
            return None
        if now >= max(tally.last_ns + self._config.guard_forget_ns, tally.locked_until_ns):
            del self._tallies[key]
            return None
        return tally
