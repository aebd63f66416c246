"""How well each leg's RTP arrives: loss and jitter of RFC 3550; knows headers, plays nothing.

The rules are those of RFC 3550 appendices A.1, A.3 and A.8, over all legs at once, but for the
probation of A.1: a leg's source is known by its address before its packets are counted.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.media.masks import all_of, any_of, where
from bridge.media.rtp import Headers, rounds
from bridge.media.shape import FRAME
from bridge.units import NS_PER_S, SAMPLE_RATE_HZ

DROPOUT_MAX: Final = 3_000
"""A sequence number further ahead than this is a jump (RFC 3550 A.1, MAX_DROPOUT)."""

MISORDER_MAX: Final = 100
"""One this far behind, or further, is a jump too (MAX_MISORDER)."""

TRANSIT_JUMP: Final = 5 * SAMPLE_RATE_HZ
"""Change of transit time from which on the sender's timestamps have jumped: no jitter."""

LOST_MAX: Final = (1 << 23) - 1
"""Cumulative loss is a signed 24-bit number; it stays at its ends (RFC 3550 §6.4.1)."""

NS_PER_SAMPLE: Final = NS_PER_S // SAMPLE_RATE_HZ
"""Whole; a division alone, where times eight would not fit into 64 bits since 2006."""


class Interval(NamedTuple):
    """What a report says of some legs. Arrays of n.

    Attributes:
        fraction: int64, of the packets lost since the last report, in 1/256, in [0, 255].
        lost: int64, packets lost since the stream began; negative with many duplicates.
        highest: uint32, extended highest sequence number.
        jitter: int64, samples.
    """

    fraction: NDArray[np.int64]
    lost: NDArray[np.int64]
    highest: NDArray[np.uint32]
    jitter: NDArray[np.int64]


@dataclass(slots=True)
class Reception:
    """Row i of every array is leg slot i; L = leg slots. Idle rows are not `started`.

    Attributes:
        started: (L,) bool, a packet has come.
        ssrc: (L,) uint32, of the stream that is counted, bytes as they came.
        base: (L,) int64, its first sequence number.
        highest: (L,) int64, its highest, the cycles counted in.
        jump_to: (L,) int64, the number that would confirm a jump, -1 when none is suspected.
        received: (L,) int64, packets, those that came late or twice too.
        expected_before, received_before: (L,) int64, at the last report.
        timed: (L,) bool, `transit` holds something.
        transit: (L,) int32, arrival less timestamp of the last audio packet, samples.
        jitter: (L,) int64, interarrival jitter, samples times 16.
        lost_before: packets lost in streams that are over.
    """

    started: NDArray[np.bool_]
    ssrc: NDArray[np.uint32]
    base: NDArray[np.int64]
    highest: NDArray[np.int64]
    jump_to: NDArray[np.int64]
    received: NDArray[np.int64]
    expected_before: NDArray[np.int64]
    received_before: NDArray[np.int64]
    timed: NDArray[np.bool_]
    transit: NDArray[np.int32]
    jitter: NDArray[np.int64]
    lost_before: int = 0

    @classmethod
    def of(cls, legs_max: int) -> "Reception":
        """Return idle rows."""
        return cls(
            started=np.zeros(legs_max, np.bool_),
            ssrc=np.zeros(legs_max, np.uint32),
            base=np.zeros(legs_max, np.int64),
            highest=np.zeros(legs_max, np.int64),
            jump_to=np.full(legs_max, -1, np.int64),
            received=np.zeros(legs_max, np.int64),
            expected_before=np.zeros(legs_max, np.int64),
            received_before=np.zeros(legs_max, np.int64),
            timed=np.zeros(legs_max, np.bool_),
            transit=np.zeros(legs_max, np.int32),
            jitter=np.zeros(legs_max, np.int64),
        )

    def open_leg(self, slot: int) -> None:
        """Make a row idle; what its stream lost stays in the total."""
        if self.started[slot]:  # by number: arrays of one row took twenty times as long
            expected = int(self.highest[slot]) - int(self.base[slot]) + 1
            self.lost_before += max(expected - int(self.received[slot]), 0)
            self.started[slot] = False

    def lost(self) -> int:
        """Return the packets that never came, of all legs since the plane began."""
        rows = where(self.started)
        return self.lost_before + int(np.maximum(self.missing(rows), 0).sum())

    def missing(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the packets that `rows` lost since their streams began; 0 before they have."""
        expected = self.highest[rows] - self.base[rows] + 1
        return np.asarray((expected - self.received[rows]) * self.started[rows])

    def _end(self, rows: NDArray[np.intp]) -> None:
        self.lost_before += int(np.maximum(self.missing(rows), 0).sum())

    def begin(
        self, rows: NDArray[np.int64], seq: NDArray[np.uint16], ssrc: NDArray[np.uint32]
    ) -> None:
        """Count from these packets on, one a leg, as a new stream."""
        self._end(rows[self.started[rows]])
        self.started[rows] = True
        self.ssrc[rows] = ssrc
        self.base[rows] = self.highest[rows] = seq
        self.jump_to[rows] = -1
        self.received[rows] = self.expected_before[rows] = self.received_before[rows] = 0
        self.timed[rows] = False
        self.jitter[rows] = 0


def samples_of(arrived_ns: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return times as an RTP clock shows them.

    >>> samples_of(np.array([20_000_000])).tolist()
    [160]
    """
    return np.asarray(arrived_ns // NS_PER_SAMPLE).astype(np.uint32)


def clock_of(ns: int) -> np.uint32:
    """Return a time as `samples_of` does.

    >>> int(clock_of(20_000_000)), int(clock_of(2**32 * 125_000))
    (160, 0)
    """
    return np.uint32(ns // NS_PER_SAMPLE & 0xFFFF_FFFF)


def waits_until(due_ns: int, arrived: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Return how long packets wait for the tick that is due, samples, in [0, FRAME].

    >>> waits_until(20_000_000, np.array([24, 160, 161], np.uint32)).tolist()
    [136, 0, 0]
    """
    waits = (clock_of(due_ns) - arrived).view(np.int32)
    return np.minimum(np.maximum(waits, 0), FRAME)


def count(
    state: Reception,
    heads: Headers,
    slot: NDArray[np.int64],
    mark: NDArray[np.int64],
    *,
    arrived: NDArray[np.uint32],
    audio: NDArray[np.bool_],
) -> None:
    """Count packets as `update` does, several of a leg one after the other. `mark` is scratch."""
    for turn in rounds(slot, mark):
        if turn is None:
            update(state, heads, slot, arrived=arrived, audio=audio)
        else:
            now, part = arrived[turn], audio[turn]
            update(state, heads.pick(turn), slot[turn], arrived=now, audio=part)


def update(
    state: Reception,
    heads: Headers,
    slot: NDArray[np.int64],
    *,
    arrived: NDArray[np.uint32],
    audio: NDArray[np.bool_],
) -> None:
    """Count packets, no slot twice. `arrived`, (n,) uint32, is when, on a clock of samples.

    `audio`, (n,) bool, marks packets whose timestamps say when they were sent; those of a
    telephone-event all carry that of its start.
    """
    fresh = ~state.started[slot] | (state.ssrc[slot] != heads.ssrc)
    if any_of(fresh):
        state.begin(slot[fresh], heads.seq[fresh], heads.ssrc[fresh])
    highest = state.highest[slot]
    ahead = (heads.seq - highest.astype(np.uint16)).view(np.int16).astype(np.int64)
    counted = (ahead < DROPOUT_MAX) & (ahead > -MISORDER_MAX)
    if not all_of(counted):
        ahead[~counted] = 0
        _jump(state, heads, slot, counted)
        highest = state.highest[slot]
    np.maximum(ahead, 0, out=ahead)
    state.highest[slot] = highest + ahead
    state.received[slot] += counted
    counted &= audio
    if not all_of(counted):
        slot, arrived, stamp = slot[counted], arrived[counted], heads.ts[counted]
    else:
        stamp = heads.ts
    transit = (arrived - stamp).view(np.int32)
    moved = np.abs((transit - state.transit[slot]).astype(np.int64))
    moved[~state.timed[slot] | (moved > TRANSIT_JUMP)] = 0
    jitter = state.jitter[slot]
    state.jitter[slot] = jitter + moved - (jitter + 8 >> 4)
    state.transit[slot] = transit
    state.timed[slot] = True


def move(
    state: Reception,
    here: NDArray[np.bool_],
    arrived: NDArray[np.uint32],
    ts: NDArray[np.uint32],
) -> None:
    """Count the next audio packet of each leg that `here` marks, the first `count` legs' (count,).

    `update` for packets that follow on one another: nothing is lost, nothing begins. `ts`,
    (count,) uint32, is what the packets say.
    """
    count = len(here)
    for number in (state.highest[:count], state.received[:count]):
        np.add(number, here, out=number)
    before, jitter = state.transit[:count], state.jitter[:count]
    transit = (arrived - ts).view(np.int32)
    moved = np.abs(transit - before).view(np.uint32)
    moved *= moved <= TRANSIT_JUMP
    change = moved - (jitter + 8 >> 4)
    change *= here
    jitter += change
    np.copyto(before, transit, where=here)


def _jump(
    state: Reception, heads: Headers, slot: NDArray[np.int64], counted: NDArray[np.bool_]
) -> None:
    """Deal with far sequence numbers: two in a row begin anew, one alone is not counted."""
    at = where(~counted)
    again = state.jump_to[slot[at]] == heads.seq[at]
    anew = at[again]
    state.begin(slot[anew], heads.seq[anew], heads.ssrc[anew])
    counted[anew] = True
    alone = at[~again]
    state.jump_to[slot[alone]] = heads.seq[alone].astype(np.int64) + 1 & 0xFFFF


def look(state: Reception, rows: NDArray[np.int64]) -> Interval:
    """Return what is to be reported of `rows`, and begin their next interval."""
    expected = state.highest[rows] - state.base[rows] + 1
    received = state.received[rows]
    since = expected - state.expected_before[rows]
    missing = since - (received - state.received_before[rows])
    state.expected_before[rows], state.received_before[rows] = expected, received
    fraction = np.where(missing > 0, (missing << 8) // np.maximum(since, 1), 0)
    return Interval(
        fraction=np.minimum(fraction, 255),
        lost=np.clip(expected - received, -LOST_MAX - 1, LOST_MAX),
        highest=state.highest[rows].astype(np.uint32),
        jitter=state.jitter[rows] >> 4,
    )
