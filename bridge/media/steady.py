"""Packets that are just what was expected; knows headers and rings, nothing of mixing.

Nearly every packet is the next of its leg's stream: the same length, source and type, its
sequence number one up and its timestamp one frame up. What such a packet looks like is known
beforehand, to the byte, so that one comparison tells all of it, and what it changes is the same
step in every leg: slices of the leg arrays instead of look-ups by packet. All other packets go the
long way (`rtp.parse`, `reception.update`, `jitter.insert`), which ends in the very same state.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import samples
from bridge.media.jitter import SLACK_MAX, Jitter
from bridge.media.masks import all_of, any_of, where
from bridge.media.reception import Reception, move, samples_of, waits_until
from bridge.media.rtp import Headers, Packets, rounds
from bridge.media.shape import CELLS, FRAME, HEADER_AT, HEADER_BYTES
from bridge.media.sources import Sources

LENGTH: Final = HEADER_BYTES + FRAME
"""Bytes of a packet of one frame, with nothing but header and payload."""

_NONE: Final = np.zeros(0, np.int64)
_FIRST: Final = HEADER_AT // 4  # the header's first word, of 32-bit words of a row
_REST: Final = (HEADER_AT + 4) // 8  # timestamp and SSRC, of 64-bit ones
_VERSION: Final = 2 << 30
AHEAD_END: Final = (SLACK_MAX + 1) * FRAME


@dataclass(slots=True)
class Steady:
    """The next packet of each leg, as expected: row i is leg slot i, L = leg slots.

    `head`, `ts` are numbers; `first`, `rest` the same bytes as they lie in the packet.

    Attributes:
        head: (L,) uint32, version, payload type and sequence number; 0 when nothing is expected.
        ts: (L,) uint32, timestamp.
        first: (L,) uint32, `head` in network order.
        rest: (L, 2) uint32, `ts` in network order and the SSRC.
        each: (P,) int64, packet numbers; P = packets of the largest tick so far.
        row: (L,) int64, the packet of each leg, scratch.
        here: (L,) bool, the leg's packet came in this tick and was the expected one.
        arrived: (L,) uint32, when, on a clock of samples, scratch.
    """

    head: NDArray[np.uint32]
    ts: NDArray[np.uint32]
    first: NDArray[np.uint32]
    rest: NDArray[np.uint32]
    each: NDArray[np.int64]
    row: NDArray[np.int64]
    here: NDArray[np.bool_]
    arrived: NDArray[np.uint32]

    @classmethod
    def of(cls, legs_max: int) -> "Steady":
        """Return rows that expect nothing."""
        return cls(
            head=np.zeros(legs_max, np.uint32),
            ts=np.zeros(legs_max, np.uint32),
            first=np.zeros(legs_max, np.uint32),
            rest=np.zeros((legs_max, 2), np.uint32),
            each=np.arange(legs_max),
            row=np.zeros(legs_max, np.int64),
            here=np.zeros(legs_max, np.bool_),
            arrived=np.zeros(legs_max, np.uint32),
        )

    def forget(self, slot: int) -> None:
        """Expect nothing of a leg."""
        self.head[slot] = self.first[slot] = 0


@dataclass(frozen=True, slots=True)
class Legs:
    """What packets find and change. Row i of every array is leg slot i; L = leg slots.

    Attributes:
        sources: the table of who has which source.
        steady: the next packet of each leg.
        buffers: jitter rings.
        received: statistics.
        latched: (L,) uint64, the source of each leg.
        port: (L,) int64, local port index.
        codec: (L,) uint8, PCMU or PCMA.
        last_ns: (L,) int64, when the last packet came.
        silent: (L,) bool, silence was reported.
    """

    sources: Sources
    steady: Steady
    buffers: Jitter
    received: Reception
    latched: NDArray[np.uint64]
    port: NDArray[np.int64]
    codec: NDArray[np.uint8]
    last_ns: NDArray[np.int64]
    silent: NDArray[np.bool_]


class ByArrays:
    """All packets at once, with numpy."""

    def __init__(self, legs: Legs) -> None:
        self._legs = legs

    def take(
        self, packets: Packets, now_ns: int, *, count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take packets in, as `arrivals.Arrivals` says."""
        legs = self._legs
        slot = legs.sources.find(packets.port, packets.source)
        same = self._take(packets, slot, now_ns, count)
        here = legs.steady.here[:count]
        np.copyto(legs.last_ns[:count], now_ns, where=here)
        legs.silent[:count] &= ~here
        if all_of(same):
            return _NONE, _NONE
        rest = where(~same)
        return rest, slot[rest]

    def _take(
        self, packets: Packets, slot: NDArray[np.int64], now_ns: int, count: int
    ) -> NDArray[np.bool_]:
        """Take in what is expected, of a leg one after the other; return which, (n,) bool.

        After the first of a leg that is not, all of its packets of this tick go the long way.
        """
        expected = self._legs.steady
        known = slot >= 0
        turns = rounds(slot[known], expected.row)
        first = next(turns)
        if first is None and all_of(known):
            return self._round(packets, slot, now_ns, count)
        same, which = np.zeros(len(slot), np.bool_), where(known)
        heard, stopped = np.zeros((2, len(expected.here)), np.bool_)
        for turn in chain([first], turns):
            at = which if turn is None else which[turn]
            at = at[~stopped[slot[at]]]
            good = self._round(packets.pick(at), slot[at], now_ns, count)
            same[at] = good
            heard[slot[at[good]]] = True
            stopped[slot[at[~good]]] = True
        expected.here[:] = heard
        return same

    def _round(
        self, packets: Packets, slot: NDArray[np.int64], now_ns: int, count: int
    ) -> NDArray[np.bool_]:
        legs = self._legs
        return take(
            legs.steady,
            packets,
            slot,
            now_ns,
            latched=legs.latched,
            codec=legs.codec,
            buffers=legs.buffers,
            received=legs.received,
            count=count,
        )


def take(
    steady: Steady,
    packets: Packets,
    slot: NDArray[np.int64],
    now_ns: int,
    *,
    latched: NDArray[np.uint64],
    codec: NDArray[np.uint8],
    buffers: Jitter,
    received: Reception,
    count: int,
) -> NDArray[np.bool_]:
    """Take in the packets that are the expected ones, and return which those were, (n,) bool.

    `slot`, (n,) int64, no slot twice. `latched`, (L,) uint64, the source of each leg;
    `codec`, (L,) uint8. All legs that expect something are below `count`. Afterwards
    `Steady.here` tells whose packets were taken in.
    """
    here, ts = steady.here[:count], steady.ts[:count]
    same = _expected(steady, packets, slot)
    same &= latched.take(slot, mode="wrap") == packets.source
    steady.here[:] = False
    if all_of(same):
        steady.here[slot] = True
    elif any_of(same):
        here[slot[same]] = True
    else:
        return same
    ahead = ts - buffers.play_ts[:count]
    misfits = ahead >= AHEAD_END  # too early; or too late, which is a number far too large
    misfits &= here
    if any_of(misfits):
        here &= ~misfits
        same &= steady.here[slot]
    slack = ahead.view(np.int32) // FRAME
    steady.arrived[slot] = samples_of(packets.arrived(now_ns))
    move(received, here, steady.arrived[:count], ts)
    low, waits = buffers.waits_low[0, :count], slack * FRAME
    if packets.due_ns is not None:
        waits += waits_until(packets.due_ns, steady.arrived[:count])
    np.minimum(low, waits, out=low, where=here, casting="same_kind")
    cell = (buffers.play_cell[:count] + slack & CELLS - 1) * buffers.legs + buffers.each[:count]
    whose = where(here)
    if len(whose):
        _decode(steady, packets.data, whose, cell[whose], buffers, codec)
    _step(steady, here)
    return same


def _expected(steady: Steady, packets: Packets, slot: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which packets look as expected, (n,) bool, and note the packet of each leg."""
    count = len(slot)
    if count > len(steady.each):
        steady.each = np.arange(count)
    each = steady.each[:count]
    first = packets.data.view(np.uint32)[:, _FIRST]
    expected = steady.first.take(slot, mode="wrap")
    same: NDArray[np.bool_] = expected == first
    same &= expected != 0
    rest = steady.rest.view(np.uint64)[:, 0]
    same &= rest.take(slot, mode="wrap") == packets.data.view(np.uint64)[:, _REST]
    same &= packets.length == LENGTH
    steady.row[slot] = each
    return same


def _decode(
    steady: Steady,
    data: NDArray[np.uint8],
    whose: NDArray[np.intp],
    cell: NDArray[np.int64],
    buffers: Jitter,
    codec: NDArray[np.uint8],
) -> None:
    """Fill the cells of the legs `whose` packets came, one each, of one leg at least."""
    kinds = codec[whose]
    alaw = kinds if any_of(kinds) else None
    samples.decode(data, steady.row[whose], alaw, cell, buffers.ring, buffers.decoded)
    buffers.stamp[cell] = steady.ts[whose]
    if buffers.any_ragged:
        buffers.ragged[cell] = False


def _step(steady: Steady, here: NDArray[np.bool_]) -> None:
    """Expect the packet after the one that came."""
    count = len(here)
    head, ts = steady.head[:count], steady.ts[:count]
    seq = head.view(np.uint16)[::2]  # the low half: little endian, as all of the plane
    np.add(seq, here, out=seq)
    steady.first[:count] = head.byteswap()
    np.add(ts, np.uint32(FRAME), out=ts, where=here)
    steady.rest[:count, 0] = ts.byteswap()


def learn(
    steady: Steady,
    heads: Headers,
    slot: NDArray[np.int64],
    whole: NDArray[np.bool_],
    *,
    buffers: Jitter,
    received: Reception,
) -> None:
    """Expect what follows packets that went the long way; no slot twice.

    `whole`, (n,) bool: G.711 packets of `LENGTH`. A packet that is not the newest of its stream
    changes nothing of what is expected.
    """
    newest = heads.seq == received.highest[slot].astype(np.uint16)
    legs, good = slot[newest], whole[newest]
    following = heads.payload_type.astype(np.uint32) << 16 | _VERSION
    following |= heads.seq + np.uint16(1)
    ts = heads.ts + np.uint32(FRAME)
    steady.head[legs] = following[newest] * good
    steady.ts[legs] = ts[newest]
    steady.rest[legs, 0] = ts[newest].byteswap()
    steady.rest[legs, 1] = heads.ssrc[newest]
    # What does not fall on a whole cell, because playout began anew, is nothing for `take`.
    steady.head[slot] *= (steady.ts[slot] - buffers.play_ts[slot]).view(np.int32) % FRAME == 0
    steady.first[slot] = steady.head[slot].byteswap()
