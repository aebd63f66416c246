"""Times of stories and months of bills."""

from datetime import UTC, datetime

import pytest

from bridge.lab.times import month_end, month_of, months_between, parse_duration, show_duration
from bridge.units import conf_ms_of

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        *(("4m", 240_000), ("61s", 61_000), ("10m0.9s", 600_900), ("9:59.999", 599_999)),
        *(("1h30m", 5_400_000), ("200ms", 200), ("0:01", 1_000), ("1:00:00.5", 3_600_500)),
    ],
)
def test_durations_are_exact_to_the_millisecond(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("ms", [1, 999, 1_000, 59_999, 60_000, 600_900, 86_400_000])
def test_a_shown_duration_reads_as_itself(ms: int) -> None:
    assert parse_duration(show_duration(ms)) == ms


def test_months_are_those_of_the_accounts_time_zone() -> None:
    first = conf_ms_of(datetime(2026, 2, 1, 4, 59, tzinfo=UTC))
    assert month_of(first, NEW_YORK) == "2026-01"
    assert month_end(first, NEW_YORK) == conf_ms_of(datetime(2026, 2, 1, 5, tzinfo=UTC))
    last = conf_ms_of(datetime(2026, 3, 2, tzinfo=UTC))
    assert months_between(first, last, NEW_YORK) == ("2026-01", "2026-02", "2026-03")
    assert months_between(first, first, NEW_YORK) == ("2026-01",)
