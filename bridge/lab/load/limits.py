"""What a load test must keep to pass, and what it broke; numbers only."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bridge.lab.load.book import Summary, percent

HOLED_MAX_PERCENT: Final = 10.0
"""Of the ears that were listened to; beyond it who hears whom is not known."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a run; None is no limit. Times in milliseconds, losses in percent.

    Calls that fail or are dropped, missing, wrong and own voices, one-way audio and seconds
    without a packet fail a run unless these say how many are allowed.
    """

    failures_max: int = 0
    missing_max: int = 0
    wrong_max: int = 0
    one_way_max: int = 0
    setup_p99_ms_max: float | None = None
    loss_max: float | None = None
    gap_ms_max: float | None = None
    delay_p95_ms_max: float | None = None
    mos_min: float | None = None
    pps_min: float | None = None

    def broken(self, summary: Summary) -> list[str]:
        """Return what a run broke, a sentence each; nothing when it passed."""
        return [*self._counts(summary), *self._measures(summary), *self._known(summary)]

    def _counts(self, s: Summary) -> Iterator[str]:
        failed = s.calls - s.connected
        yield from _over("calls failed", failed, self.failures_max, _by(s.failures))
        dropped = sum(s.dropped.values())
        yield from _over("calls dropped", dropped, self.failures_max, _by(s.dropped))
        yield from _over("voices missing", s.missing, self.missing_max, f" of {s.voices}")
        yield from _over("wrong voices", s.wrong, self.wrong_max)
        yield from _over("own voices heard", s.own, self.wrong_max)
        yield from _over("callers heard by nobody", s.unheard, self.one_way_max)
        yield from _over("seconds of a caller without a packet", s.silent_seconds, self.one_way_max)

    def _measures(self, s: Summary) -> Iterator[str]:
        p99, p95 = s.setup_ms.get("p99", 0.0), s.delay_ms.get("p95", 0.0)
        yield from _over("set-up p99 [ms]", p99, self.setup_p99_ms_max)
        yield from _over("loss [%]", s.loss, self.loss_max)
        yield from _over("longest gap [ms]", s.gap_ms_max, self.gap_ms_max)
        yield from _over("delay p95 [ms]", p95, self.delay_p95_ms_max)
        if self.mos_min is not None and s.mos_min < self.mos_min:
            yield f"MOS {s.mos_min:g}: at least {self.mos_min:g} was asked for"
        if self.pps_min is not None and s.least_pps < self.pps_min:
            yield f"packets a second {s.least_pps:g}: at least {self.pps_min:g} was asked for"

    def _known(self, s: Summary) -> Iterator[str]:
        """Yield what keeps a run from saying anything, unless more calls failed than may."""
        yield from _over("connected callers nobody listened to", s.unsettled, self.failures_max)
        if s.judged:
            if percent(s.holed, s.judged + s.holed) > HOLED_MAX_PERCENT:
                yield f"{s.holed} of {s.judged + s.holed} ears had too many holes to be judged"
        elif s.calls - s.connected <= self.failures_max:
            yield "no listener could be judged: nobody stayed in for long enough"


def _over(what: str, value: float, most: float | None, more: str = "") -> Iterator[str]:
    if most is not None and value > most:
        yield f"{what} {value:g}{more}: at most {most:g} allowed"


def _by(counts: dict[str, int]) -> str:
    if not counts:
        return ""
    return " (" + ", ".join(f"{key}: {count}" for key, count in sorted(counts.items())) + ")"
