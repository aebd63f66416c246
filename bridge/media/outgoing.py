"""Outgoing RTP of all legs: headers and rows to send; knows no sockets, only port numbers.

Sequence numbers and timestamps of a leg run on from its first packet. Timestamps are true to the
tick, so ticks that were skipped show in them and not in the sequence.

A packet holds what the other side asked for (`a=ptime`). Legs of 20 ms, nearly all, are one row a
tick each, laid out once; the *odd* ones gather frames and send zero, one or two packets a tick.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import samples
from bridge.media.masks import any_of, where
from bridge.media.senders import Senders
from bridge.media.shape import FRAME, HEADER_AT, PAYLOAD_AT, PAYLOAD_MAX
from bridge.units import FRAME_MS

TX_ROW_BYTES: Final = PAYLOAD_AT + FRAME

ODD_ROW_BYTES: Final = PAYLOAD_AT + PAYLOAD_MAX

PTIMES_MS: Final = (10, 60)
"""Shortest and longest packet sent, in steps of 10 ms."""

ODD_PACKETS_MAX: Final = 2
"""Packets of an odd leg in one tick: two of 10 ms."""


def size_of(ptime_ms: int) -> int:
    """Return the samples of a packet for a side that asks for `ptime_ms`; 20 ms when it does not.

    >>> size_of(30), size_of(0), size_of(100)
    (240, 160, 480)
    """
    low, high = PTIMES_MS
    millis = min(max(ptime_ms // low * low, low), high) if ptime_ms > 0 else FRAME_MS
    return millis * FRAME // FRAME_MS


@dataclass(slots=True)
class Outgoing:
    """Senders and the rows they fill: row i of leg arrays is leg slot i.

    L = leg slots, o = odd legs that send, r = rows of theirs this tick. `senders`, `ports` and
    `odd` change by `arrange` only.

    Attributes:
        seq: (L,) uint16, of the next packet.
        ts: (L,) uint32, of the next tick's frame, on the clock of the leg's codec.
        rate: (L,) uint32, steps of that clock in 1/8,000 s. 1 in idle rows.
        ssrc: (L,) uint32, as it stands in the packet.
        payload_type: (L,) uint8, in [0, 127].
        fresh: (L,) bool, the next packet begins a stretch: marker bit.
        sent: (L,) uint32, packets sent.
        data: (L, TX_ROW_BYTES) uint8, rows to send, the packet from byte HEADER_AT on.
        senders: legs that send 20 ms, by local port, with `seq`, `ts`, `sent` and `octets` of all.
        ports: list of (port index, first row, rows).
        size: (L,) int64, samples of a packet, multiple of 80 in [80, 480].
        octets: (L,) uint32, payload bytes sent.
        beginning: some leg of `senders` may be `fresh`.
        odd: (o,) int64, odd legs, by local port; `odd_port` their ports.
        held: (L,) int64, bytes of odd legs gathered in `store`, less than `size` between ticks.
        store: (L, PAYLOAD_MAX + FRAME) uint8, those bytes.
        odd_data: (2 L, ODD_ROW_BYTES) uint8, rows to send, as in `data`.
        odd_slots, odd_length: (r,) int64, the leg of each row and its bytes from HEADER_AT on.
        odd_ports: list of (port index, first row, rows) of them.
    """

    seq: NDArray[np.uint16]
    ts: NDArray[np.uint32]
    rate: NDArray[np.uint32]
    ssrc: NDArray[np.uint32]
    payload_type: NDArray[np.uint8]
    fresh: NDArray[np.bool_]
    sent: NDArray[np.uint32]
    data: NDArray[np.uint8]
    senders: Senders
    ports: list[tuple[int, int, int]]
    size: NDArray[np.int64]
    octets: NDArray[np.uint32]
    beginning: bool
    odd: NDArray[np.int64]
    odd_port: NDArray[np.int64]
    held: NDArray[np.int64]
    store: NDArray[np.uint8]
    odd_data: NDArray[np.uint8]
    odd_slots: NDArray[np.int64]
    odd_length: NDArray[np.int64]
    odd_ports: list[tuple[int, int, int]]

    @classmethod
    def of(cls, legs_max: int) -> "Outgoing":
        """Return idle senders."""
        seq, ts = np.zeros(legs_max, np.uint16), np.zeros(legs_max, np.uint32)
        sent, octets = np.zeros(legs_max, np.uint32), np.zeros(legs_max, np.uint32)
        nobody = np.zeros(0, np.int64), np.zeros(0, np.uint32)
        return cls(
            seq=seq,
            ts=ts,
            rate=np.ones(legs_max, np.uint32),
            ssrc=np.zeros(legs_max, np.uint32),
            payload_type=np.zeros(legs_max, np.uint8),
            fresh=np.ones(legs_max, np.bool_),
            sent=sent,
            data=np.zeros((legs_max, TX_ROW_BYTES), np.uint8),
            senders=Senders(*nobody, seq, ts, sent, octets),
            ports=[],
            size=np.full(legs_max, FRAME),
            octets=octets,
            beginning=False,
            odd=np.zeros(0, np.int64),
            odd_port=np.zeros(0, np.int64),
            held=np.zeros(legs_max, np.int64),
            store=np.zeros((legs_max, PAYLOAD_MAX + FRAME), np.uint8),
            odd_data=np.zeros((ODD_PACKETS_MAX * legs_max, ODD_ROW_BYTES), np.uint8),
            odd_slots=np.zeros(0, np.int64),
            odd_length=np.zeros(0, np.int64),
            odd_ports=[],
        )

    @property
    def slots(self) -> NDArray[np.int64]:
        """The leg of each row, (n,) int64, by local port."""
        return self.senders.slots

    def open_leg(self, slot: int, *, ssrc: int, seq: int, ts: int) -> None:
        """Begin a stream with random numbers."""
        self.ssrc[slot], self.seq[slot], self.ts[slot] = ssrc, seq, ts
        self.fresh[slot] = True
        self.sent[slot] = self.octets[slot] = self.held[slot] = 0
        self.size[slot], self.rate[slot] = FRAME, 1

    def set_ptime(self, slot: int, ptime_ms: int) -> None:
        """Send packets of another length from now on; what was gathered for one is given up."""
        size = size_of(ptime_ms)
        if size != self.size[slot]:
            self.size[slot], self.held[slot] = size, 0


def advance(out: Outgoing, count: int, ticks: int) -> None:
    """Let the clocks of the first `count` slots go on: timestamps are true to the tick."""
    samples.clock(out.ts, out.rate, out.senders.known, count, ticks * FRAME)


def arrange(out: Outgoing, sends: NDArray[np.bool_], port: NDArray[np.int64]) -> None:
    """Lay out the rows anew: `sends`, (L,) bool; `port`, (L,) local port index of each leg."""
    began = sends.copy()
    began[out.slots] = began[out.odd] = False
    out.fresh |= began  # a leg that has not been sending starts with a marker
    out.held[began] = 0
    odd = out.size != FRAME
    odd &= sends
    slots, out.ports = _by_port(where(sends ^ odd), port)
    out.odd, _ = _by_port(where(odd), port)
    out.odd_port, out.odd_slots, out.odd_ports = port[out.odd], out.odd[:0], []
    words = out.data.view(np.uint32)
    words[: len(slots), HEADER_AT // 4 + 2] = out.ssrc[slots]
    kind = out.payload_type[slots].astype(np.uint32) << np.uint32(16)
    kind |= np.uint32(0x8000_0000)
    out.senders = replace(out.senders, slots=slots, kind=kind)
    out.beginning = bool(any_of(out.fresh[slots]))


def _by_port(
    slots: NDArray[np.intp], port: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[tuple[int, int, int]]]:
    """Return `slots` in the order of their ports, and (port index, first row, rows) of each."""
    if not len(slots):
        return slots, []
    ports = port[slots]
    order = ports.argsort(kind="stable")
    return slots[order], spans(ports[order])


def spans(port: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (port index, first row, rows) of rows that lie by port."""
    if not len(port):
        return []
    first = [0, *(where(port[1:] != port[:-1]) + 1).tolist()]  # as they lie by port
    ends = [*first[1:], len(port)]
    rows = [end - at for at, end in zip(first, ends, strict=True)]  # bounded by the ports in use
    return list(zip(port[first].tolist(), first, rows, strict=True))


def fill(out: Outgoing, codes: NDArray[np.uint8], pick: NDArray[np.int64]) -> None:
    """Write this tick's packets: payloads are rows of `codes`, (R, S), picked by slot."""
    senders = out.senders
    if out.beginning:
        slots = senders.slots
        marked = senders.kind | out.fresh[slots].astype(np.uint32) << np.uint32(23)
        samples.lay(out.data, replace(senders, kind=marked), codes, pick)
        out.fresh[slots] = out.beginning = False
    else:
        samples.lay(out.data, senders, codes, pick)
    if len(out.odd):
        _fill_odd(out, codes, pick)


def _fill_odd(out: Outgoing, codes: NDArray[np.uint8], pick: NDArray[np.int64]) -> None:
    """Gather a frame of each odd leg, and write the packets that are thereby complete."""
    odd = out.odd
    out.store[odd[:, None], out.held[odd][:, None] + np.arange(FRAME)] = codes[pick[odd]]
    held, size = out.held[odd] + FRAME, out.size[odd]
    packets = np.minimum(held // size, ODD_PACKETS_MAX)
    legs = np.repeat(odd, packets)
    turn = np.arange(len(legs)) - np.repeat(np.cumsum(packets) - packets, packets)
    at = turn * out.size[legs]
    rows = len(legs)
    words = out.odd_data.view(np.uint32)
    first = (out.seq[legs] + turn.astype(np.uint16)) | out.payload_type[legs].astype(
        np.uint32
    ) << 16
    marked = out.fresh[legs] & (turn == 0)
    first |= np.where(marked, np.uint32(0x8080_0000), np.uint32(0x8000_0000))
    ts = out.ts[legs] + (FRAME - np.repeat(held, packets) + at).astype(np.uint32)
    words[:rows, HEADER_AT // 4] = first.byteswap()
    words[:rows, HEADER_AT // 4 + 1] = ts.byteswap()
    words[:rows, HEADER_AT // 4 + 2] = out.ssrc[legs]
    last = out.store.shape[1] - 1
    column = np.minimum(at[:, None] + np.arange(PAYLOAD_MAX), last)
    out.odd_data[:rows, PAYLOAD_AT:] = out.store[legs[:, None], column]
    gone = packets * size
    kept = np.minimum(gone[:, None] + np.arange(PAYLOAD_MAX), last)
    out.store[odd, :PAYLOAD_MAX] = out.store[odd[:, None], kept]
    out.held[odd] = held - gone
    out.seq[odd] += packets.astype(np.uint16)
    out.sent[odd] += packets.astype(np.uint32)
    out.octets[odd] += gone.astype(np.uint32)
    out.fresh[odd] &= packets == 0
    out.odd_slots, out.odd_length = legs, PAYLOAD_AT - HEADER_AT + out.size[legs]
    out.odd_ports = spans(np.repeat(out.odd_port, packets))
