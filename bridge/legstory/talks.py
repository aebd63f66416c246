"""Who talked when, and so who was heard by whom: spans of talk by conference, bounded.

A leg is heard by all who are in the same conference at that moment. Times are arguments.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from bridge.units import NS_PER_MS, LegId, NowNs

SPANS_MAX: Final = 4_000
"""Spans of talk kept of one conference, the latest."""

OWN_MAX: Final = 500
HEARD_MAX: Final = 50
"""Others whom a leg's story names: those who talked most."""

HEARD_SPANS_MAX: Final = 200
PAUSE_NS: Final = 400 * NS_PER_MS
"""A pause shorter than this between words is no end of talk in a story."""

Span = tuple[NowNs, NowNs]


@dataclass(slots=True)
class _Hall:
    """One conference's talk: leg, from, to."""

    spans: deque[tuple[LegId, NowNs, NowNs]] = field(
        default_factory=lambda: deque(maxlen=SPANS_MAX)
    )
    legs: set[LegId] = field(default_factory=set)


@dataclass(slots=True)
class _Talker:
    joined: list[tuple[str, NowNs, NowNs | None]] = field(default_factory=list)
    own: deque[Span] = field(default_factory=lambda: deque(maxlen=OWN_MAX))
    since: NowNs | None = None


class Talks:
    """Talk of all conferences; a hall goes when the last leg that was in it is forgotten."""

    def __init__(self) -> None:
        self._halls: dict[str, _Hall] = {}
        self._talkers: dict[LegId, _Talker] = {}

    def join(self, occurrence: str, leg: LegId, now_ns: NowNs) -> None:
        """Know that a leg is in a conference from now on."""
        self.leave(leg, now_ns)
        self._talkers.setdefault(leg, _Talker()).joined.append((occurrence, now_ns, None))
        self._halls.setdefault(occurrence, _Hall()).legs.add(leg)

    def leave(self, leg: LegId, now_ns: NowNs) -> None:
        """Know that a leg is in no conference any more."""
        talker = self._talkers.get(leg)
        if talker is None:
            return
        self._quiet(leg, talker, now_ns)
        if talker.joined and talker.joined[-1][2] is None:
            occurrence, since, _ = talker.joined[-1]
            talker.joined[-1] = (occurrence, since, now_ns)

    def change(self, talking: Iterable[LegId], quiet: Iterable[LegId], now_ns: NowNs) -> None:
        """Take who began to talk and who stopped."""
        for leg in talking:
            talker = self._talkers.get(leg)
            if talker and talker.since is None:
                talker.since = now_ns
        for leg in quiet:
            talker = self._talkers.get(leg)
            if talker:
                self._quiet(leg, talker, now_ns)

    def _quiet(self, leg: LegId, talker: _Talker, now_ns: NowNs) -> None:
        if talker.since is None or not talker.joined:
            return
        since, talker.since = talker.since, None
        talker.own.append((since, now_ns))
        self._halls[talker.joined[-1][0]].spans.append((leg, since, now_ns))

    def of(self, leg: LegId, now_ns: NowNs) -> list[Span]:
        """Return when a leg talked; what it says now lasts until `now_ns`."""
        talker = self._talkers.get(leg)
        if talker is None:
            return []
        still = [] if talker.since is None else [(talker.since, now_ns)]
        return _joined_up([*talker.own, *still])

    def heard_by(self, leg: LegId, now_ns: NowNs) -> dict[LegId, list[Span]]:
        """Return who talked while a leg was in the same conference, who talked most first."""
        talker = self._talkers.get(leg)
        found: dict[LegId, list[Span]] = {}
        for occurrence, came, went in talker.joined if talker else ():
            hall = self._halls[occurrence]
            now = [
                (other, since, now_ns)
                for other in hall.legs
                if (since := self._talkers[other].since) is not None
                and self._talkers[other].joined[-1][0] == occurrence
            ]
            for other, since, until in (*hall.spans, *now):
                first, last = max(since, came), min(until, went or now_ns)
                if other != leg and last > first:
                    found.setdefault(other, []).append((first, last))
        joined = {other: _joined_up(spans) for other, spans in found.items()}
        most = sorted(joined, key=lambda other: -sum(b - a for a, b in joined[other]))
        return {other: joined[other][-HEARD_SPANS_MAX:] for other in most[:HEARD_MAX]}

    def forget(self, leg: LegId) -> None:
        """Forget a leg that is over; its talk stays while others who heard it are there."""
        talker = self._talkers.get(leg)
        if talker is None:
            return
        for occurrence in {one[0] for one in talker.joined}:
            hall = self._halls[occurrence]
            hall.legs.discard(leg)
            if not hall.legs:
                del self._halls[occurrence]
        del self._talkers[leg]


def _joined_up(spans: list[Span]) -> list[Span]:
    """Return spans in order, those with a short pause in between as one."""
    result: list[Span] = []
    for first, last in sorted(spans):
        if result and first - result[-1][1] <= PAUSE_NS:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result
