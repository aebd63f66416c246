"""RFC 4733 telephone-events of all legs; knows event packets, nothing of what keys mean.

An event is named by its leg and its RTP timestamp. It is reported once: at its first end packet,
or when a newer event begins or no packet comes for 300 ms, should the end packets be lost. A key
held for longer than a packet can say comes in segments, each with a timestamp of its own (RFC 4733
§2.5.1.3), and is one key all the same: on a clock of 48 kHz that is 1.4 s.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.media.masks import any_of, where
from bridge.media.rtp import Counters, Headers
from bridge.media.shape import FRAME
from bridge.units import SAMPLE_RATE_HZ

KEYS: Final = "0123456789*#ABCD"
"""Event codes 0 to 15 (RFC 4733 §3.2)."""

EVENT_BYTES: Final = 4
LOST_END_TICKS: Final = 15
"""Ticks without a packet after which an event has ended: 300 ms."""

DURATION_MAX: Final = 0xFFFF
"""Of one segment of an event, on the clock of its payload type."""

EVENTS_PER_TICK: Final = 4
"""Different events of one leg taken in one tick; more are counted and left out."""

MUTE_TICKS: Final = 3
"""Ticks a leg stays out of the mix after what its event covers has been played."""


class Key(NamedTuple):
    """A key a leg pressed: its slot, one of `KEYS`, and for how long."""

    slot: int
    key: str
    duration_ms: int


@dataclass(slots=True)
class Events:
    """The newest event of each leg: row i of every array is leg slot i.

    Attributes:
        ts: (L,) uint32, RTP timestamp of the event's start.
        code: (L,) uint8, index into KEYS.
        duration: (L,) uint16, steps of 1/8,000 s, as far as is known.
        before: (L,) int64, the same of the segments of the event before this one.
        heard: (L,) bool, `ts` is that of an event. False in idle rows.
        pending: (L,) bool, not reported yet.
        last_tick: (L,) int64, when its last packet came.
        mute_until: (L,) int64, the first tick in which the leg may be mixed again.
        any_pending: some event may be `pending`.
        muted_until: the first tick in which every leg may be mixed.
    """

    ts: NDArray[np.uint32]
    code: NDArray[np.uint8]
    duration: NDArray[np.uint16]
    before: NDArray[np.int64]
    heard: NDArray[np.bool_]
    pending: NDArray[np.bool_]
    last_tick: NDArray[np.int64]
    mute_until: NDArray[np.int64]
    any_pending: bool = False
    muted_until: int = 0

    @classmethod
    def of(cls, legs_max: int) -> "Events":
        """Return idle rows."""
        return cls(
            ts=np.zeros(legs_max, np.uint32),
            code=np.zeros(legs_max, np.uint8),
            duration=np.zeros(legs_max, np.uint16),
            before=np.zeros(legs_max, np.int64),
            heard=np.zeros(legs_max, np.bool_),
            pending=np.zeros(legs_max, np.bool_),
            last_tick=np.zeros(legs_max, np.int64),
            mute_until=np.zeros(legs_max, np.int64),
        )

    def open_leg(self, slot: int) -> None:
        """Make a row idle."""
        self.heard[slot] = self.pending[slot] = False
        self.mute_until[slot] = 0

    def keying(self, count: int, *, tick: int) -> NDArray[np.bool_]:
        """Return which of the first `count` slots have a key down, or had one just now."""
        return np.asarray(self.mute_until[:count] > tick)

    def keep_out(self, slot: NDArray[np.int64], until: NDArray[np.signedinteger] | int) -> None:
        """Say that these slots have a key down until a tick at least, one each or one for all."""
        self.mute_until[slot] = np.maximum(self.mute_until[slot], until)
        self.muted_until = max(self.muted_until, int(np.max(until, initial=0)))


def take(
    events: Events,
    heads: Headers,
    slot: NDArray[np.int64],
    data: NDArray[np.uint8],
    *,
    tick: int,
    counters: Counters,
    rate: NDArray[np.int64] | None = None,
) -> list[Key]:
    """Take in event packets, in any order; return the keys that are thereby complete.

    Timestamps are in steps of 1/8,000 s, durations on the clock of the leg's codec (RFC 4733
    §2.1): `rate`, (L,), is its steps in one of those; None when all are 1.
    """
    sound = heads.size >= EVENT_BYTES
    body = data[heads.row[:, None], heads.at[:, None] + np.arange(EVENT_BYTES)]
    sound &= body[:, 0] < len(KEYS)
    counters.add("bad_event", np.count_nonzero(~sound))
    at = where(sound)
    # One line per leg and timestamp, with the longest duration and whether an end has come.
    # Timestamps count from half a circle before the leg's last event, so that they sort in time.
    origin = events.ts + np.uint32(1 << 31)
    pair = slot[at].astype(np.uint64) << np.uint64(32) | heads.ts[at] - origin[slot[at]]
    pairs, inverse = np.unique(pair, return_inverse=True)
    ended = np.zeros(len(pairs), np.bool_)
    np.logical_or.at(ended, inverse, body[at, 1] & 0x80 != 0)
    duration = np.zeros(len(pairs), np.uint16)
    lasted = (body[at, 2].astype(np.uint16) << 8) | body[at, 3]
    if rate is not None:
        lasted = (lasted // rate[slot[at]]).astype(np.uint16)
    np.maximum.at(duration, inverse, lasted)
    code = np.zeros(len(pairs), np.uint8)
    code[inverse] = body[at, 0]
    legs = (pairs >> np.uint64(32)).astype(np.int64)
    rank = np.arange(len(legs)) - np.searchsorted(legs, legs)
    counters.add("event_overflow", np.count_nonzero(rank >= EVENTS_PER_TICK))
    keys: list[Key] = []
    for turn in range(EVENTS_PER_TICK):  # the n-th different event of each leg
        now = where(rank == turn)
        if not len(now):
            break
        ts = (pairs[now] & np.uint64(0xFFFF_FFFF)).astype(np.uint32) + origin[legs[now]]
        steps = 1 if rate is None else rate[legs[now]]
        goes_on = _goes_on(events, legs[now], ts, code[now], DURATION_MAX // steps)
        keys += _one_each(
            events, legs[now], ts, code[now], duration[now], ended[now], goes_on, tick
        )
    return keys


def _goes_on(
    events: Events,
    legs: NDArray[np.int64],
    ts: NDArray[np.uint32],
    code: NDArray[np.uint8],
    longest: int | NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return which are the next segments of the keys that are down."""
    since = (ts - events.ts[legs]).astype(np.int64) - longest
    # Timestamps in steps of 1/8,000 s may have been rounded the other way.
    follows = (since == 0) | (since == 1)
    return np.asarray(events.pending[legs] & (events.code[legs] == code) & follows)


def _one_each(
    events: Events,
    legs: NDArray[np.int64],
    ts: NDArray[np.uint32],
    code: NDArray[np.uint8],
    duration: NDArray[np.uint16],
    ended: NDArray[np.bool_],
    goes_on: NDArray[np.bool_],
    tick: int,
) -> list[Key]:
    """Take in one event per leg, no leg twice."""
    newer = ~events.heard[legs] | ((ts - events.ts[legs]).view(np.int32) > 0)
    keys = _report(events, legs[newer & events.pending[legs] & ~goes_on])
    fresh = legs[newer]
    lasted = events.before[fresh] + (ts[newer] - events.ts[fresh])
    events.before[fresh] = np.where(goes_on[newer], lasted, 0)
    events.ts[fresh], events.code[fresh] = ts[newer], code[newer]
    events.duration[fresh] = 0
    events.heard[fresh] = events.pending[fresh] = events.any_pending = True
    same = events.ts[legs] == ts
    here = legs[same]
    events.duration[here] = np.maximum(events.duration[here], duration[same])
    events.last_tick[here] = tick
    return keys + _report(events, legs[same & ended & events.pending[legs]])


def time_out(events: Events, count: int, *, tick: int) -> list[Key]:
    """Return the keys whose end packets never came."""
    if not events.any_pending:
        return []
    events.any_pending = bool(any_of(events.pending))
    over = events.pending[:count] & (tick - events.last_tick[:count] > LOST_END_TICKS)
    return _report(events, where(over))


def _report(events: Events, legs: NDArray[np.int64]) -> list[Key]:
    """Return the events of `legs` as keys and mark them reported; bounded by keys pressed."""
    events.pending[legs] = False
    millis = (events.before[legs] + events.duration[legs]) * 1_000 // SAMPLE_RATE_HZ
    return [
        Key(slot, KEYS[code], duration)
        for slot, code, duration in zip(
            legs.tolist(), events.code[legs].tolist(), millis.tolist(), strict=True
        )
    ]


def mute(
    events: Events, slot: NDArray[np.int64], play_ts: NDArray[np.uint32], *, tick: int
) -> None:
    """Keep the audio beneath the events of `slot` out of the mix until it has been played.

    `play_ts`, (L,) uint32, is the timestamp each leg plays next.
    """
    end = events.ts[slot] + events.duration[slot]
    ahead = (end - play_ts[slot]).view(np.int32) // FRAME
    until = tick + np.clip(ahead, 0, 50) + MUTE_TICKS
    events.keep_out(slot, until)
