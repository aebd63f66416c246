"""Which legs of a load test were worst, and in what; what their caller knows of each.

Pure: reads what was written down and the callers' totals. A leg may be worst in several things;
nobody is, in what all had right, but somebody is always let in last.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.lab.load.book import Book, CallMade, percent
from bridge.lab.load.ears import Fault
from bridge.lab.load.plan import LoadPlan
from bridge.lab.load.voices import TICKS_PER_S

EACH: Final = 3
"""So many legs are named for each thing that can be wrong."""

LEGS_MAX: Final = 10
FAULTS_MAX: Final = 10
SLOW: Final = TICKS_PER_S - 0.5
"""Packets a second of a caller: who has fewer over all his seconds lacks some."""


@dataclass(frozen=True, slots=True)
class WorstLeg:
    """One caller whose call, or one of them, was among the worst.

    Attributes:
        reasons: what he is among the worst in, in words.
        dialled_ns: when the call that is meant was made: the slowest, else his last.
        setup_ms: of that call; None when it failed.
        lost_percent, late_percent, gaps, jitter_ms, pps: of all his calls.
        faults: what was wrong in his ears when he was examined, the first of it.
        unheard: how many turns nobody heard him who had to.
    """

    caller: int
    conference: int
    seat: int
    reasons: tuple[str, ...]
    dialled_ns: int
    setup_ms: float | None
    calls: int
    received: int
    lost_percent: float
    late_percent: float
    gaps: int
    jitter_ms: float
    pps: float
    faults: tuple[Fault, ...]
    unheard: int


def worst_legs(book: Book, totals: dict[str, Any], plan: LoadPlan) -> list[WorstLeg]:
    """Return the worst legs: who was refused, not heard or not hearing, lost most, waited most."""
    columns = _Columns(book, totals)
    reasons: dict[int, list[str]] = {}
    for caller, reason in _named(columns):
        reasons.setdefault(caller, []).append(reason)
    chosen = list(reasons.items())[:LEGS_MAX]
    return [_leg(columns, caller, tuple(why), plan) for caller, why in chosen]


class _Columns:
    """What is known, by caller."""

    def __init__(self, book: Book, totals: dict[str, Any]) -> None:
        self.totals = totals
        self.calls: dict[int, list[CallMade]] = {}
        for call in book.calls:
            self.calls.setdefault(call.caller, []).append(call)
        self.faults: dict[int, list[Fault]] = {}
        for fault in (one for heard in book.ears for one in heard.faults):
            self.faults.setdefault(fault.listener, []).append(fault)
        self.unheard = Counter(who for heard in book.ears for who in heard.unheard)
        self.dropped = Counter(one.caller for one in book.lost)

    def gone(self, caller: int) -> float:
        """Return the share of his packets that never came or came too late, in percent."""
        received, lost = self.totals["received"][caller], self.totals["lost"][caller]
        late = self.totals["late"][caller]
        return percent(min(lost + late, received + lost), received + lost)

    def pps(self, caller: int) -> float:
        """Return his packets a second while he was settled, 0 when he never was."""
        seconds = self.totals["steady_seconds"][caller]
        return round(self.totals["steady_packets"][caller] / seconds, 2) if seconds else 0.0

    def slowest(self, caller: int) -> CallMade | None:
        """Return his call that took longest to be answered."""
        made = [call for call in self.calls.get(caller, ()) if call.setup_ms is not None]
        return max(made, key=_setup_ms, default=None)


def _setup_ms(call: CallMade) -> float:
    return call.setup_ms or 0.0


def _named(columns: _Columns) -> Iterator[tuple[int, str]]:
    """Yield callers with a reason, the gravest first."""
    everybody = range(len(columns.totals["received"]))
    refused = {
        caller: next(call.failure for call in calls if call.failure)
        for caller, calls in columns.calls.items()
        if any(call.failure for call in calls)
    }
    yield from ((caller, f"refused: {why}") for caller, why in list(refused.items())[:EACH])
    yield from ((caller, "dropped") for caller, _ in columns.dropped.most_common(EACH))
    for caller, turns in columns.unheard.most_common(EACH):
        yield caller, f"nobody heard him in {turns} turn{'s' if turns > 1 else ''}"
    wrong = Counter({caller: len(faults) for caller, faults in columns.faults.items()})
    for caller, _ in wrong.most_common(EACH):
        kinds = Counter(fault.what for fault in columns.faults[caller])
        yield caller, "heard " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    yield from _most(everybody, columns.gone, "lost or late {:g} %")
    yield from _most(everybody, lambda one: columns.totals["gaps"][one], "{:g} gaps")
    settled = [one for one in everybody if 0 < columns.pps(one) < SLOW]
    least = sorted(settled, key=columns.pps)[:EACH]
    yield from ((caller, f"{columns.pps(caller):g} packets a second") for caller in least)
    slow = {one: call for one in everybody if (call := columns.slowest(one)) is not None}
    yield from _most(list(slow), lambda one: _setup_ms(slow[one]), "set-up {:.0f} ms")


def _most(
    callers: Sequence[int], of: Callable[[int], float], text: str
) -> Iterator[tuple[int, str]]:
    ranked = sorted((one for one in callers if of(one) > 0), key=of, reverse=True)
    yield from ((caller, text.format(of(caller))) for caller in ranked[:EACH])


def _leg(columns: _Columns, caller: int, reasons: tuple[str, ...], plan: LoadPlan) -> WorstLeg:
    totals, calls = columns.totals, columns.calls.get(caller, [])
    slow = columns.slowest(caller) if reasons[-1].startswith("set-up") else None
    meant = slow or (calls[-1] if calls else None)
    conference, seat = plan.place(caller)
    received, lost = totals["received"][caller], totals["lost"][caller]
    return WorstLeg(
        caller=caller,
        conference=conference,
        seat=seat,
        reasons=reasons,
        dialled_ns=meant.dialled_ns if meant else 0,
        setup_ms=meant.setup_ms if meant else None,
        calls=len(calls),
        received=received,
        lost_percent=percent(lost, received + lost),
        late_percent=percent(totals["late"][caller], received),
        gaps=totals["gaps"][caller],
        jitter_ms=totals["jitter_ms"][caller],
        pps=columns.pps(caller),
        faults=tuple(columns.faults.get(caller, ())[:FAULTS_MAX]),
        unheard=columns.unheard[caller],
    )
