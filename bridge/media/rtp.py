"""RTP headers of many packets at once (RFC 3550 §5.1); knows bytes, nothing of legs' state.

Nothing is raised for a packet: a bad one is counted under one named reason and left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.masks import all_of, where
from bridge.media.shape import (
    HEADER_AT,
    HEADER_BYTES,
    PAYLOAD_AT,
    PAYLOAD_MAX,
    ROW_BYTES,
    SPILL_BYTES,
)
from bridge.units import NS_PER_S

ROUNDS_MAX: Final = 24
"""Packets of one leg taken in one tick; a longer burst is counted and left out."""

MSG_TRUNC = 0x20
"""Flag of a datagram that was longer than the row."""


@dataclass(slots=True)
class Packets:
    """Datagrams received for one tick. N = packets.

    Attributes:
        data: (N, ROW_BYTES) uint8, each datagram from byte `HEADER_AT` on. C-contiguous.
        length: (N,) uint32, bytes of the datagram.
        flags: (N,) int32, receive flags; `MSG_TRUNC` marks one that did not fit.
        source: (N,) uint64, the first 8 bytes of its sockaddr_in: see `sources.source_of`.
        port: (N,) int64, index of the local port it came in on.
        stamp: (N, 2) int64, seconds and nanoseconds of any steady clock, when the kernel took it;
            None: all now.
        due_ns: when the tick was due, of the same clock; None: how early packets came is unknown.
        spill: (N, SPILL_BYTES) uint8, what `data` does not hold of each; None: nothing is kept.
    """

    data: NDArray[np.uint8]
    length: NDArray[np.uint32]
    flags: NDArray[np.int32]
    source: NDArray[np.uint64]
    port: NDArray[np.int64]
    stamp: NDArray[np.int64] | None = None
    due_ns: int | None = None
    spill: NDArray[np.uint8] | None = None

    @property
    def payload_max(self) -> int:
        """Bytes of the longest payload taken."""
        return PAYLOAD_MAX if self.spill is None else ROW_BYTES - PAYLOAD_AT + SPILL_BYTES

    def arrived(self, now_ns: int) -> NDArray[np.int64]:
        """Return when each packet came: at `now_ns` when the kernel did not say."""
        stamp = self.stamp
        if stamp is None:
            return np.full(len(self.length), now_ns)
        return np.asarray(stamp[:, 0] * NS_PER_S + stamp[:, 1])

    def pick(self, index: NDArray[np.intp]) -> "Packets":
        """Return the packets at an index array."""
        return Packets(
            self.data[index],
            self.length[index],
            self.flags[index],
            self.source[index],
            self.port[index],
            None if self.stamp is None else self.stamp[index],
            self.due_ns,
            None if self.spill is None else self.spill[index],
        )


def stamps_of(ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times, (N,) nanoseconds, as the kernel gives them: see `Packets.stamp`.

    >>> stamps_of(np.array([1_500_000_000])).tolist()
    [[1, 500000000]]
    """
    return np.stack(np.divmod(ns, NS_PER_S), axis=1)


@dataclass(slots=True)
class Headers:
    """What the headers say, of the packets that are sound. n = sound packets.

    Attributes:
        row: (n,) int64, row of the packet in `Packets`.
        payload_type: (n,) uint8, in [0, 127].
        seq: (n,) uint16, in [0, 65535].
        ts: (n,) uint32, samples.
        ssrc: (n,) uint32, bytes as they came: for comparing only.
        at: (n,) int64, where the payload starts in the packet's row.
        size: (n,) int64, bytes of payload, padding left out, in [1, Packets.payload_max].
        waits: (n,) int32, how long before the tick the packet came, samples, in [0, FRAME]; 0 when
            that is not known.
    """

    row: NDArray[np.int64]
    payload_type: NDArray[np.uint8]
    seq: NDArray[np.uint16]
    ts: NDArray[np.uint32]
    ssrc: NDArray[np.uint32]
    at: NDArray[np.int64]
    size: NDArray[np.int64]
    waits: NDArray[np.int32]

    def __len__(self) -> int:
        """Return n."""
        return len(self.row)

    def pick(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> "Headers":
        """Return the headers at an index array or under a mask."""
        return Headers(
            self.row[index],
            self.payload_type[index],
            self.seq[index],
            self.ts[index],
            self.ssrc[index],
            self.at[index],
            self.size[index],
            self.waits[index],
        )


@dataclass(slots=True)
class Counters:
    """Totals since start by name; `add` with nothing to add leaves no name behind."""

    totals: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, count: int | np.integer[Any]) -> None:
        """Add `count` to a total."""
        if count:
            self.totals[name] = self.totals.get(name, 0) + int(count)


def rounds(slot: NDArray[np.int64], mark: NDArray[np.int64]) -> Iterator[NDArray[np.intp] | None]:
    """Split packets so that no slot is twice in a round; None stands for all at once.

    `mark`, (L,) int64, is scratch.
    """
    each = np.arange(len(slot))
    mark[slot] = each
    if all_of(mark[slot] == each):
        yield None
        return
    order = np.argsort(slot, kind="stable")
    ranked = slot[order]
    rank = np.empty(len(slot), np.int64)
    rank[order] = each - np.searchsorted(ranked, ranked)
    for turn in range(min(int(rank.max()) + 1, ROUNDS_MAX)):  # bounded: ROUNDS_MAX
        yield where(rank == turn)


def parse(packets: Packets, counters: Counters) -> Headers:
    """Return the headers of the sound packets; count the others by reason.

    The common packet (no contributing source, extension or padding) needs no look past its first
    12 bytes; the others are measured in `_measure`, also as arrays.
    """
    length = packets.length.astype(np.int64)
    words = packets.data.view(np.uint32)[:, HEADER_AT // 4 : HEADER_AT // 4 + 3]
    first = words[:, 0].byteswap()
    at = np.full(len(length), HEADER_AT + HEADER_BYTES)
    size = length - HEADER_BYTES
    plain = (first >> 24 == 0x80) & (size > 0) & (size <= packets.payload_max)
    row = np.arange(len(length))
    if not all_of(plain):
        odd = where(~plain)
        sound = _measure(packets, odd, at, size, counters)
        plain[odd] = sound
        row = where(plain)
        first, at, size, words = first[row], at[row], size[row], words[row]
    return Headers(
        row=row,
        payload_type=(first >> 16 & 0x7F).astype(np.uint8),
        seq=first.astype(np.uint16),
        ts=words[:, 1].byteswap(),
        ssrc=words[:, 2].copy(),
        at=at,
        size=size,
        waits=np.zeros(len(row), np.int32),
    )


def _measure(
    packets: Packets,
    odd: NDArray[np.intp],
    at: NDArray[np.int64],
    size: NDArray[np.int64],
    counters: Counters,
) -> NDArray[np.bool_]:
    """Return which of the packets `odd` are sound, and write where their payloads lie."""
    data = packets.data[odd]
    length = packets.length[odd].astype(np.int64)
    longest = ROW_BYTES - HEADER_AT + (0 if packets.spill is None else SPILL_BYTES)
    sound = np.ones(len(odd), np.bool_)

    def drop(name: str, wrong: NDArray[np.bool_]) -> None:
        counters.add(name, np.count_nonzero(wrong & sound))
        sound[wrong] = False

    first = data[:, HEADER_AT]
    drop("oversize", (packets.flags[odd] & MSG_TRUNC != 0) | (length > longest))
    drop("short", length < HEADER_BYTES)
    drop("bad_version", first >> 6 != 2)
    head = HEADER_BYTES + 4 * (first & 15).astype(np.int64)
    drop("short", head > length)
    extended = first & 0x10 != 0
    drop("short", extended & (head + 4 > length))
    each = np.arange(len(odd))
    where = np.minimum(HEADER_AT + head, ROW_BYTES - 4)
    words = data[each, where + 2].astype(np.int64) << 8 | data[each, where + 3]
    head += np.where(extended, 4 + 4 * words, 0)
    drop("bad_extension", head > length)
    last = _byte(packets, odd, np.maximum(HEADER_AT + length - 1, 0))
    padding = np.where(first & 0x20 != 0, last, 0)
    drop("bad_padding", (first & 0x20 != 0) & ((padding == 0) | (head + padding > length)))
    payload = length - head - padding
    drop("payload_length", (payload <= 0) | (payload > packets.payload_max))
    at[odd] = HEADER_AT + head
    size[odd] = payload
    return sound


def _byte(packets: Packets, rows: NDArray[np.intp], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one byte of each of `rows`, wherever it was kept; the last one there is, if not."""
    value = packets.data[rows, np.minimum(at, ROW_BYTES - 1)].astype(np.int64)
    if packets.spill is not None:
        over = where(at >= ROW_BYTES)
        column = np.minimum(at[over] - ROW_BYTES, SPILL_BYTES - 1)
        value[over] = packets.spill[rows[over], column]
    return value
