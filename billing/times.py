"""Instants and months; knows zones and RFC 3339, nothing of legs or money.

Instants are integer milliseconds since the Unix epoch, UTC. A month is an integer, 202602, in
an account's time zone.
"""

import re
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from billing.errors import BillingInputError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MS: Final = timedelta(milliseconds=1)
YEAR_FIRST: Final = 2000
YEAR_LAST: Final = 2099
TIME_MIN_MS: Final = (datetime(YEAR_FIRST, 1, 2, tzinfo=UTC) - EPOCH) // MS
TIME_MAX_MS: Final = (datetime(YEAR_LAST, 12, 1, tzinfo=UTC) - EPOCH) // MS
DAY_MS: Final = 86_400_000

_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII
)

_fullmatch: Final = _RFC3339.fullmatch


def parse_time_ms(text: str) -> int:
    """Read an RFC 3339 time with zone; what is below a millisecond is dropped.

    >>> parse_time_ms("2026-01-01T00:00:00.500Z")
    1767225600500
    """
    usual = len(text) == 24 and text[4:20:3] == "--T::." and text[23] == "Z"
    if not usual and not _fullmatch(text):
        raise ValueError(f"{text!r}: expected a time like 2026-02-10T14:04:00.250Z")
    # The usual form needs no pattern: what fits those seven places and the parser fits RFC 3339.
    passed = datetime.fromisoformat(text) - EPOCH
    return passed.days * DAY_MS + passed.seconds * 1_000 + passed.microseconds // 1_000


def iso(at_ms: int) -> str:
    """Write an instant as RFC 3339 in UTC with milliseconds.

    >>> iso(1767225600500)
    '2026-01-01T00:00:00.500Z'
    """
    text = (EPOCH + at_ms * MS).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def local(at_ms: int, zone: str) -> datetime:
    """Return an instant as an aware datetime of a zone, for display."""
    return (EPOCH + at_ms * MS).astimezone(ZoneInfo(zone))


def now_ms() -> int:
    """Return the wall clock; only shells call it."""
    return (datetime.now(UTC) - EPOCH) // MS


def instant_of(text: str, zone: str) -> int:
    """Read a date (its midnight in `zone`) or a time with its own offset as an instant.

    >>> instant_of("2026-03-01", "America/New_York") == instant_of("2026-03-01T05:00:00Z", "UTC")
    True
    """
    if len(text) == len("2026-03-01"):
        day = date.fromisoformat(text)
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
        return (midnight.astimezone(UTC) - EPOCH) // MS
    return parse_time_ms(text)


class Months(NamedTuple):
    """Where the months of a zone begin: `starts[i]` is the first instant of `labels[i]`."""

    starts: list[int]
    labels: list[int]

    def place(self, at_ms: int) -> int:
        """Return the index of the month that holds an instant."""
        return bisect_right(self.starts, at_ms) - 1

    def month(self, at_ms: int) -> int:
        """Return the month that holds an instant."""
        return self.labels[self.place(at_ms)]

    def bounds(self, month: int) -> tuple[int, int]:
        """Return the first instant of a month and of the next."""
        index = (month // 100 - YEAR_FIRST) * 12 + month % 100 - 1
        return self.starts[index], self.starts[index + 1]


@lru_cache(maxsize=1_024)
def months_of(zone: str) -> Months:
    """Return the months of an IANA zone.

    >>> months_of("America/New_York").month(parse_time_ms("2026-02-01T04:59:59.999Z"))
    202601
    """
    info = ZoneInfo(zone)
    labels = [y * 100 + m for y in range(YEAR_FIRST, YEAR_LAST + 1) for m in range(1, 13)]
    starts = [
        (datetime(label // 100, label % 100, 1, tzinfo=info).astimezone(UTC) - EPOCH) // MS
        for label in labels
    ]
    return Months(starts, labels)


def parse_month(text: str, place: str = "month") -> int:
    """Read a month of the calendar.

    >>> parse_month("2026-02")
    202602
    """
    match = re.fullmatch(r"(\d{4})-(\d\d)", text, re.ASCII)
    if match:
        year, month = int(match[1]), int(match[2])
        if YEAR_FIRST <= year < YEAR_LAST and 1 <= month <= 12:
            return year * 100 + month
    raise BillingInputError(place, text, "a month like 2026-02")


def month_text(month: int) -> str:
    """Write a month.

    >>> month_text(202602)
    '2026-02'
    """
    return f"{month // 100:04d}-{month % 100:02d}"


def month_after(month: int) -> int:
    """Return the next month.

    >>> month_after(202512)
    202601
    """
    return month + 1 if month % 100 < 12 else (month // 100 + 1) * 100 + 1


def quarter_of(month: int) -> str:
    """Return the calendar quarter of a month, as USF factors are named.

    >>> quarter_of(202602)
    '2026Q1'
    """
    return f"{month // 100}Q{(month % 100 + 2) // 3}"
