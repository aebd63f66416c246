"""What happened in a load test, in order of time, and what to say of any part of it.

Knows numbers only: rows of calls, of seconds and of ears are written down here, and `summarise`
turns those of a span of time into one verdict's figures.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bridge.lab.load.ears import Fault, Heard
from bridge.lab.load.mos import mos
from bridge.lab.load.voices import TICKS_PER_S

EXAMPLES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class CallMade:
    """One call: when its INVITE left, and how it went.

    `setup_ms` from INVITE to 200, None when there was none; then `failure` says why: a SIP
    status, "timeout", or what else. `connected_ns` is when the 200 came, 0 when none did.
    """

    dialled_ns: int
    caller: int
    setup_ms: float | None
    failure: str = ""
    connected_ns: int = 0


@dataclass(frozen=True, slots=True)
class CallLost:
    """A call that the other side ended though nobody had asked for it."""

    at_ns: int
    caller: int
    cause: str


@dataclass(slots=True)
class Book:
    """Everything written down. `seconds` are the engine's rows with `bridge_cores` added."""

    calls: list[CallMade] = field(default_factory=list)
    lost: list[CallLost] = field(default_factory=list)
    seconds: list[dict[str, Any]] = field(default_factory=list)
    ears: list[Heard] = field(default_factory=list)
    hung_up: int = 0


@dataclass(slots=True)
class Summary:
    """The figures of a span of time; times in milliseconds, `loss` and `late` in percent.

    Attributes:
        calls, connected, failures, dropped: calls of the span; why they failed or ended early.
        rate: calls a second that were made while any were.
        setup_ms: p50, p95, p99, max of INVITE to 200.
        packets: received by all; `pps_mean`, `pps_min`: a second of a caller, all seconds and
            the worst one; `pps_least`: the caller who had least, over all his seconds, None when
            that is not known.
        loss, late, gaps, gap_ms_max, jitter_ms: of what callers received.
        judged, holed, voices: ears examined, ears with too many holes, voices due in them.
        missing, wrong, own: faults in them, and some `examples`.
        silent_seconds: a caller who received nothing for a second; `unheard`: callers whom no
            listener heard in a turn though he talked: one-way audio, either way.
        unsettled: callers who were connected and never settled for a second: nobody listened to
            them, nor they to anybody. Whose organizer's call failed are such.
        heard_talkers, listeners: how many different callers the sample covered.
        delay_ms: p50, p95, max of a voice through the bridge.
        mos, mos_min: mean of the seconds, and the worst caller's.
        late_ticks, send_failed: the load test's own trouble, not the bridge's; of `ticks`.
        generator_cores, sip_cores: what the callers' RTP, and their SIP and verdicts, take.
    """

    calls: int = 0
    connected: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    rate: float = 0.0
    setup_ms: dict[str, float] = field(default_factory=dict)
    participants: int = 0
    packets: int = 0
    pps_mean: float = 0.0
    pps_min: int = 0
    pps_least: float | None = None
    loss: float = 0.0
    late: float = 0.0
    gaps: int = 0
    gap_ms_max: float = 0.0
    jitter_ms: float = 0.0
    judged: int = 0
    holed: int = 0
    voices: int = 0
    missing: int = 0
    wrong: int = 0
    own: int = 0
    examples: list[Fault] = field(default_factory=list)
    unsettled: int = 0
    listeners: int = 0
    heard_talkers: int = 0
    silent_seconds: int = 0
    unheard: int = 0
    delay_ms: dict[str, float] = field(default_factory=dict)
    mos: float = 0.0
    mos_min: float = 0.0
    ticks: int = 0
    late_ticks: int = 0
    send_failed: int = 0
    unknown: int = 0
    generator_cores: float = 0.0
    sip_cores: float = 0.0
    bridge_cores: float = 0.0

    @property
    def least_pps(self) -> float:
        """Packets a second of the caller who had least; the mean where that is not known."""
        return self.pps_mean if self.pps_least is None else self.pps_least

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return asdict(self)


def summarise(
    book: Book, since_ns: int, until_ns: int, *, totals: dict[str, Any] | None = None
) -> Summary:
    """Return the figures of a span; with the callers' `totals` also those of the worst caller."""

    def inside(at_ns: int) -> bool:
        return since_ns <= at_ns < until_ns

    result = Summary()
    _calls(result, [call for call in book.calls if inside(call.dialled_ns)])
    result.dropped = dict(Counter(one.cause for one in book.lost if inside(one.at_ns)))
    _ears(result, [heard for heard in book.ears if inside(heard.at_ns)])
    before = [row for row in book.seconds if row["at_ns"] < since_ns]
    _seconds(result, before[-1:], [row for row in book.seconds if inside(row["at_ns"])])
    if totals is not None:
        _callers(result, totals)
    return result


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p95, p99 and max, each a value that occurred; nothing of nothing.

    >>> percentiles([4.0, 1.0, 2.0, 3.0])
    {'p50': 2.0, 'p95': 4.0, 'p99': 4.0, 'max': 4.0}
    """
    ordered = sorted(values)
    if not ordered:
        return {}
    ranks = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {
        name: round(ordered[max(-(-len(ordered) * int(share * 100) // 100) - 1, 0)], 2)
        for name, share in ranks.items()
    }


def _calls(result: Summary, calls: Sequence[CallMade]) -> None:
    result.calls = len(calls)
    result.setup_ms = percentiles([c.setup_ms for c in calls if c.setup_ms is not None])
    result.connected = sum(not call.failure for call in calls)
    result.failures = dict(Counter(call.failure for call in calls if call.failure))
    if len(calls) > 1:
        took_ns = max(c.dialled_ns for c in calls) - min(c.dialled_ns for c in calls)
        result.rate = round((len(calls) - 1) / max(took_ns / 1e9, 1e-9), 1)


def _ears(result: Summary, ears: Sequence[Heard]) -> None:
    faults = [fault for heard in ears for fault in heard.faults]
    kinds = Counter(fault.what for fault in faults)
    result.judged = sum(heard.judged for heard in ears)
    result.holed = sum(heard.holed for heard in ears)
    result.voices = sum(heard.pairs for heard in ears)
    result.missing, result.wrong, result.own = kinds["missing"], kinds["wrong"], kinds["own"]
    result.examples = faults[:EXAMPLES_MAX]
    result.listeners = len({one for heard in ears for one in heard.listeners})
    result.heard_talkers = len({one for heard in ears for one in heard.talkers})
    result.unheard = len({one for heard in ears for one in heard.unheard})
    delays = [delay for heard in ears for delay in heard.delays_ms]
    result.delay_ms = percentiles(delays)


def _seconds(result: Summary, before: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    judged = [row for row in rows if row["steady"]]

    def grown(key: str) -> int:
        start = before[0][key] if before else 0
        return int(rows[-1][key] - start)

    result.participants = max(row["sending"] for row in rows)
    result.packets = sum(row["packets"] for row in rows)
    result.pps_mean = _mean(row["pps_mean"] for row in judged)
    result.pps_min = min((row["pps_min"] for row in judged), default=0)
    result.silent_seconds = sum(row["silent"] for row in rows)
    result.loss = percent(grown("lost"), result.packets + grown("lost"))
    result.late = percent(grown("late"), result.packets)
    result.gaps = grown("gaps")
    result.gap_ms_max = max((row["gap_ms_max"] for row in judged), default=0.0)
    result.jitter_ms = _mean(row["jitter_ms"] for row in judged)
    result.late_ticks, result.send_failed = grown("late_ticks"), grown("send_failed")
    result.unknown, result.ticks = grown("unknown"), len(rows) * TICKS_PER_S
    result.sip_cores = _mean(row.get("sip_cores", 0.0) for row in rows)
    result.generator_cores = _mean(row["cpu_cores"] for row in rows)
    result.bridge_cores = _mean(row.get("bridge_cores", 0.0) for row in rows)
    delay = result.delay_ms.get("p50", 0.0)
    result.mos = round(mos((result.loss + result.late) / 100, delay), 2) if judged else 0.0
    result.mos_min = result.mos


def _callers(result: Summary, totals: dict[str, Any]) -> None:
    """Add the worst caller's figures: those in for a whole second at least."""
    delay = result.delay_ms.get("p50", 0.0)
    scores, rates = [], []
    each = zip(
        *(totals[key] for key in ("received", "lost", "late", "steady_seconds", "steady_packets")),
        strict=True,
    )
    for received, lost, late, seconds, packets in each:  # bound: the callers
        if seconds:
            scores.append(mos(min((lost + late) / max(received + lost, 1), 1.0), delay))
            rates.append(packets / seconds)
    result.mos_min = round(min(scores, default=0.0), 2)
    result.mos = round(statistics.fmean(scores), 2) if scores else 0.0
    result.pps_least = round(min(rates), 2) if rates else None


def never_settled(book: Book, steady_seconds: Sequence[int], before_ns: int) -> int:
    """Return how many callers were connected before a moment and never settled for a second.

    Calls that ended though nobody had asked for it are counted as dropped.
    """
    connected = {call.caller: call.connected_ns for call in book.calls if call.connected_ns}
    dropped = {one.caller for one in book.lost}
    return sum(
        not steady_seconds[caller]
        for caller, at_ns in connected.items()
        if at_ns < before_ns and caller not in dropped
    )


def percent(part: float, whole: float) -> float:
    """Return a share in percent, 0 of nothing."""
    return round(100 * part / whole, 4) if whole else 0.0


def _mean(values: Iterable[float]) -> float:
    kept = list(values)
    return round(statistics.fmean(kept), 3) if kept else 0.0
