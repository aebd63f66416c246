"""One axis of conference time for a clock that runs or jumps; plain numbers, asks no clock.

Conference time may stand still while people talk, and jump by minutes at once (D19). On the axis
both are seen: what took real time has width, and so has what was jumped over.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Self

JUMPS_SHARE: Final = 0.45
"""Of the axis, for all jumps together, when there are any."""

TICKS: Final = 9
STEPS_MS: Final = (
    *(100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000),
)
JUMP_MS_MIN: Final = 50
"""Conference time that moved by less beside the clock's own pace did not jump."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the axis: a jump when it takes no real time; `x0` and `x1` in [0, 1]."""

    real0: float
    real1: float
    conf0: int
    conf1: int
    x0: float
    x1: float

    @property
    def jumps(self) -> bool:
        """Whether conference time moved here and real time did not."""
        return self.real1 <= self.real0 and self.conf1 > self.conf0


@dataclass(slots=True)
class Axis:
    """Where moments stand; a moment has a conference time and, when it was seen, a real one.

    Real times are milliseconds since any one moment, the same for all.
    """

    segments: list[Segment] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        moves: Sequence[tuple[float, int]],
        *,
        running: bool,
        end: tuple[float, int],
    ) -> Self:
        """Return the axis from the first of `moves` to `end`, pairs of real and conference time.

        `moves` are where the clock was set: in between it runs, or stands still.
        """
        pieces: list[tuple[float, float, int, int]] = []
        for (real0, conf0), (real1, conf1) in pairwise([*moves, end]):
            reached = conf0 + round(real1 - real0) if running else conf0
            if running and conf1 - reached < JUMP_MS_MIN:
                reached = max(conf1, conf0)
            pieces.append((real0, real1, conf0, reached))
            if conf1 > reached:
                pieces.append((real1, real1, reached, conf1))
        return cls(_placed(pieces))

    @property
    def begin(self) -> int:
        """Conference time where the axis begins."""
        return self.segments[0].conf0

    def x(self, conf_ms: int, real_ms: float | None = None) -> float:
        """Return where a moment stands, in [0, 1]; outside of the axis it stands at its edge."""
        fits = [one for one in self.segments if one.conf0 <= conf_ms <= one.conf1]
        if not fits:
            return 0.0 if conf_ms < self.begin else 1.0
        if real_ms is None:
            return _in(fits[0], conf_ms, None)
        best = min(fits, key=lambda one: _distance(one, real_ms))
        return _in(best, conf_ms, real_ms)

    def ticks(self) -> list[tuple[float, str]]:
        """Return places and what to write there: conference time since the axis began."""
        places = {clock_text(0): 0.0}
        whole = any(one.jumps for one in self.segments)
        for one in self.segments:
            if one.jumps:
                places.setdefault(clock_text(one.conf0 - self.begin), one.x0)
                places[clock_text(one.conf1 - self.begin)] = one.x1
            elif one.conf1 > one.conf0:
                for at in _round_times(one, self.begin, whole=whole):
                    places.setdefault(clock_text(at - self.begin), _in(one, at, None))
        standing = [tick for one in self.segments for tick in _seconds_of(one)]
        return sorted([*((x, text) for text, x in places.items()), *standing])

    def breaks(self) -> list[tuple[float, float, str]]:
        """Return the jumps: from, to, and how much conference time passed in them."""
        return [
            (one.x0, one.x1, f"{clock_text(one.conf1 - one.conf0)} of conference time pass at once")
            for one in self.segments
            if one.jumps
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the axis as plain values."""
        return {
            "begin_ms": self.begin,
            "ticks": [list(tick) for tick in self.ticks()],
            "breaks": [list(one) for one in self.breaks()],
        }


def _placed(pieces: Sequence[tuple[float, float, int, int]]) -> list[Segment]:
    """Give each piece its width: by real time, and jumps by the root of what they jump over."""
    real = sum(real1 - real0 for real0, real1, _, _ in pieces)
    leaps = [
        (conf1 - conf0) ** 0.5 if real1 <= real0 else 0.0 for real0, real1, conf0, conf1 in pieces
    ]
    jumped = sum(leaps)
    share = 0.0 if not jumped else JUMPS_SHARE if real else 1.0
    x, result = 0.0, []
    for (real0, real1, conf0, conf1), leap in zip(pieces, leaps, strict=True):
        width = (
            share * leap / jumped if leap else (1 - share) * (real1 - real0) / real if real else 0
        )
        result.append(Segment(real0, real1, conf0, conf1, x, min(x + width, 1.0)))
        x += width
    return result or [Segment(0.0, 0.0, 0, 0, 0.0, 1.0)]


def _distance(segment: Segment, real_ms: float) -> float:
    return max(segment.real0 - real_ms, real_ms - segment.real1, 0.0)


def _in(segment: Segment, conf_ms: int, real_ms: float | None) -> float:
    """Return the place inside one segment: by conference time where that moves, else by real."""
    if segment.conf1 > segment.conf0:
        share = (conf_ms - segment.conf0) / (segment.conf1 - segment.conf0)
    elif real_ms is not None and segment.real1 > segment.real0:
        share = (real_ms - segment.real0) / (segment.real1 - segment.real0)
    else:
        share = 0.0
    return segment.x0 + min(max(share, 0.0), 1.0) * (segment.x1 - segment.x0)


def _round_times(segment: Segment, begin: int, *, whole: bool) -> list[int]:
    """Return round conference times inside a stretch where the clock runs."""
    wanted = max(TICKS * (segment.x1 - segment.x0), 1)
    span = segment.conf1 - segment.conf0
    step = next((step for step in STEPS_MS if span / step <= wanted), STEPS_MS[-1])
    if whole and step < 1_000:
        step = 1_000
    first = -(-(segment.conf0 - begin) // step) * step
    return list(range(begin + first, segment.conf1 + 1, step))


def _seconds_of(segment: Segment) -> list[tuple[float, str]]:
    """Return where real seconds pass while conference time stands still."""
    width, real = segment.x1 - segment.x0, segment.real1 - segment.real0
    if segment.conf1 > segment.conf0 or real <= 0 or width <= 2 / TICKS:
        return []
    steps = (step for step in STEPS_MS if step >= 1_000 and real / step <= TICKS * width)
    step = next(steps, STEPS_MS[-1])
    times = range(step, int(real * 0.95), step)
    return [(segment.x0 + width * at / real, f"+{at // 1_000} s") for at in times]


def clock_text(ms: int) -> str:
    """Return milliseconds as people read a stop watch.

    >>> [clock_text(ms) for ms in (0, 500, 65_250, 3_600_000)]
    ['0:00', '0:00.500', '1:05.250', '1:00:00']
    """
    seconds, rest = divmod(abs(int(ms)), 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    part = f".{rest:03}" if rest else ""
    return f"{'-' if ms < 0 else ''}{text}{part}"
