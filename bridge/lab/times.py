"""Times as stories write them, in whole milliseconds; knows no clock."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from bridge.units import ConfMs, conf_ms_of, utc_of

UNIT_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
DURATION_MS_MAX: Final = 400 * UNIT_MS["d"]
"""A story that moves further than a year and a month is a slip of the pen."""

YEAR_FIRST: Final = 2001
YEAR_LAST: Final = 2098
"""A year within those of which invoices know the months, so that a story's clock stays in them."""

DURATION: Final = r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+|(?:\d+:)?\d+:\d{2}(?:\.\d+)?"
"""The form of a time, for editors; `parse_duration` says whether it is one."""

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d+):(\d{2}(?:\.\d+)?)")


def parse_duration(text: str) -> int:
    """Return a time as stories write it, in milliseconds; raise ValueError with the reason.

    >>> [parse_duration(text) for text in ("4m", "61s", "10m0.9s", "9:59.999", "1:00:00")]
    [240000, 61000, 600900, 599999, 3600000]
    """
    text = text.strip()
    clock = _CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = clock.groups()
        total = Decimal(hours or 0) * 3_600_000 + Decimal(minutes) * 60_000
        if Decimal(seconds) >= 60 or (hours and int(minutes) >= 60):
            raise ValueError(f"{text!r} is no time: minutes and seconds end at 59")
        total += Decimal(seconds) * 1_000
    else:
        total = _sum_of_parts(text)
    if total != int(total):
        raise ValueError(f"{text!r} is finer than a millisecond")
    if not 0 < total <= DURATION_MS_MAX:
        raise ValueError(f"{text!r} is out of range: more than 0, at most 400d")
    return int(total)


def parse_instant(text: str) -> datetime:
    """Return a time with its offset; raise ValueError with the reason.

    >>> parse_instant("2026-02-10T09:00-05:00").isoformat()
    '2026-02-10T09:00:00-05:00'
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: write 2026-02-10T09:00-05:00") from None
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset: write 2026-02-10T09:00-05:00")
    _need_year(text, at.year)
    return at


def parse_day_or_instant(text: str) -> str:
    """Return a day, which is its midnight in an account's zone, or a time, as billing reads them.

    >>> parse_day_or_instant("2026-02-10"), parse_day_or_instant("2026-02-10T09:00-05:00")
    ('2026-02-10', '2026-02-10T09:00:00-05:00')
    """
    if not _DAY.fullmatch(text):
        return parse_instant(text).isoformat()
    try:
        _need_year(text, date.fromisoformat(text).year)
    except ValueError as error:
        raise ValueError(f"{text!r} is no day: {error}") from None
    return text


def _need_year(text: str, year: int) -> None:
    if not YEAR_FIRST <= year <= YEAR_LAST:
        raise ValueError(f"{text!r} is out of range: a year from {YEAR_FIRST} to {YEAR_LAST}")


def _sum_of_parts(text: str) -> Decimal:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no time: write 4m, 61s, 10m0.9s or 9:59.999")
    units = [unit for _, unit in parts]
    if units != sorted(set(units), key=list(UNIT_MS).index):
        raise ValueError(f"{text!r} is no time: each unit once, the largest first")
    return sum((Decimal(number) * UNIT_MS[unit] for number, unit in parts), Decimal(0))


def show_duration(duration_ms: int) -> str:
    """Return a duration as a story would write it.

    >>> show_duration(600_900), show_duration(240_000), show_duration(0)
    ('10m0.9s', '4m', '0s')
    """
    minutes, rest = divmod(duration_ms, 60_000)
    seconds = f"{Decimal(rest) / 1_000:f}"
    if "." in seconds:
        seconds = seconds.rstrip("0").rstrip(".")
    if not minutes:
        return f"{seconds}s"
    return f"{minutes}m" + (f"{seconds}s" if rest else "")


def month_of(at: ConfMs, time_zone: str) -> str:
    """Return the billing month, in the account's time zone (D8).

    >>> month_of(ConfMs(1_767_225_600_000), "America/New_York")
    '2025-12'
    """
    return utc_of(at).astimezone(ZoneInfo(time_zone)).strftime("%Y-%m")


def month_end(at: ConfMs, time_zone: str) -> ConfMs:
    """Return the first moment of the next billing month (D8).

    >>> utc_of(month_end(ConfMs(1_767_225_600_000), "America/New_York")).isoformat()
    '2026-01-01T05:00:00+00:00'
    """
    local = utc_of(at).astimezone(ZoneInfo(time_zone))
    year, month = divmod(local.year * 12 + local.month, 12)
    return conf_ms_of(datetime(year, month + 1, 1, tzinfo=ZoneInfo(time_zone)))


def months_between(first: ConfMs, last: ConfMs, time_zone: str) -> tuple[str, ...]:
    """Return the billing months that a span touches, in order."""
    months = [month_of(first, time_zone)]
    while (first := month_end(first, time_zone)) <= last:
        months.append(month_of(first, time_zone))
    return tuple(months)
