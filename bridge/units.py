"""Units and identities that every room shares; knows nothing else of the project.

Four times, never mixed: `NowNs` (monotonic), `tick` (int), RTP timestamps (uint32, samples),
and conference time, `ConfMs` (D19), which waiting rooms, durations and bills run on.
"""

from datetime import UTC, datetime
from typing import Final, NewType

NowNs = NewType("NowNs", int)
"""Monotonic nanoseconds: SIP, key timeouts and media run on it."""

ConfMs = NewType("ConfMs", int)
"""Conference time (D19): milliseconds since the Unix epoch, UTC, by the conference clock."""

LegId = NewType("LegId", str)
"""One SIP dialog with its RTP stream. Unique over restarts; facts of the leg are `<leg>/<n>`."""

SessionId = NewType("SessionId", str)
"""The scheduled event."""

OccurrenceId = NewType("OccurrenceId", str)
"""One meeting of a session (D6). Unique over restarts; its facts are `<occurrence>/<n>`."""

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
MS_PER_S: Final = 1_000

FRAME_MS: Final = 20
SAMPLE_RATE_HZ: Final = 8_000
FRAME_SAMPLES: Final = SAMPLE_RATE_HZ * FRAME_MS // 1_000
FRAME_NS: Final = FRAME_MS * NS_PER_MS


def seconds_to_ns(seconds: float) -> int:
    """Turn configured seconds into whole nanoseconds.

    >>> seconds_to_ns(0.5)
    500000000
    """
    return round(seconds * NS_PER_S)


def seconds_to_ms(seconds: float) -> int:
    """Turn configured seconds into whole milliseconds.

    >>> seconds_to_ms(30)
    30000
    """
    return round(seconds * MS_PER_S)


def utc_of(at: ConfMs) -> datetime:
    """Return conference time as an aware datetime, for facts, CDRs and billing.

    >>> utc_of(ConfMs(1_767_225_600_500)).isoformat()
    '2026-01-01T00:00:00.500000+00:00'
    """
    whole, millis = divmod(at, MS_PER_S)
    return datetime.fromtimestamp(whole, UTC).replace(microsecond=millis * 1_000)


def conf_ms_of(at_utc: datetime) -> ConfMs:
    """Return the conference time of an aware datetime, its sub-millisecond part dropped.

    >>> conf_ms_of(datetime(2026, 1, 1, tzinfo=UTC))
    1767225600000
    """
    assert at_utc.tzinfo is not None, "a naive datetime has no place here"
    whole = int(at_utc.replace(microsecond=0).timestamp())
    return ConfMs(whole * MS_PER_S + at_utc.microsecond // 1_000)
