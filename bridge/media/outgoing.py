"""Outgoing RTP of all legs: headers and rows to send; knows no sockets, only port numbers.

Sequence numbers and timestamps of a leg run on from its first packet. Timestamps are true to the
tick, so ticks that were skipped show in them and not in the sequence.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.media.shape import FRAME, HEADER_AT, PAYLOAD_AT

TX_ROW_BYTES = PAYLOAD_AT + FRAME


@dataclass(slots=True)
class Outgoing:
    """Senders and the rows they fill: row i of leg arrays is leg slot i.

    L = leg slots, n = legs that send. `slots`, `dest` and `ports` change by `arrange` only.

    Attributes:
        seq: (L,) uint16, of the next packet.
        ts: (L,) uint32, of the next tick's frame.
        ssrc: (L,) uint32, as it stands in the packet.
        payload_type: (L,) uint8, in [0, 127].
        fresh: (L,) bool, the next packet begins a stretch: marker bit.
        sent: (L,) uint32, packets sent.
        data: (L, TX_ROW_BYTES) uint8, rows to send, the packet from byte HEADER_AT on.
        slots: (n,) int64, the leg of each row, by local port.
        ports: list of (port index, first row, rows).
    """

    seq: NDArray[np.uint16]
    ts: NDArray[np.uint32]
    ssrc: NDArray[np.uint32]
    payload_type: NDArray[np.uint8]
    fresh: NDArray[np.bool_]
    sent: NDArray[np.uint32]
    data: NDArray[np.uint8]
    slots: NDArray[np.int64]
    ports: list[tuple[int, int, int]]

    @classmethod
    def of(cls, legs_max: int) -> "Outgoing":
        """Return idle senders."""
        return cls(
            seq=np.zeros(legs_max, np.uint16),
            ts=np.zeros(legs_max, np.uint32),
            ssrc=np.zeros(legs_max, np.uint32),
            payload_type=np.zeros(legs_max, np.uint8),
            fresh=np.ones(legs_max, np.bool_),
            sent=np.zeros(legs_max, np.uint32),
            data=np.zeros((legs_max, TX_ROW_BYTES), np.uint8),
            slots=np.zeros(0, np.int64),
            ports=[],
        )

    def open_leg(self, slot: int, *, ssrc: int, seq: int, ts: int) -> None:
        """Begin a stream with random numbers."""
        self.ssrc[slot], self.seq[slot], self.ts[slot] = ssrc, seq, ts
        self.fresh[slot], self.sent[slot] = True, 0


def arrange(out: Outgoing, sends: NDArray[np.bool_], port: NDArray[np.int64]) -> None:
    """Lay out the rows anew: `sends`, (L,) bool; `port`, (L,) local port index of each leg."""
    slots = np.flatnonzero(sends)
    slots = slots[np.argsort(port[slots], kind="stable")]
    began = np.ones(len(sends), np.bool_)
    began[out.slots] = False  # a leg that has not been sending starts with a marker
    out.fresh[slots] |= began[slots]
    out.slots = slots
    index, first, rows = np.unique(port[slots], return_index=True, return_counts=True)
    out.ports = list(zip(index.tolist(), first.tolist(), rows.tolist(), strict=True))
    words = out.data.view(np.uint32)
    words[: len(slots), HEADER_AT // 4 + 2] = out.ssrc[slots]


def fill(out: Outgoing, codes: NDArray[np.uint8], pick: NDArray[np.int64]) -> None:
    """Write this tick's packets: payloads are rows of `codes`, (R, S), picked by slot."""
    slots = out.slots
    count = len(slots)
    words = out.data.view(np.uint32)
    first = out.seq[slots] | out.payload_type[slots].astype(np.uint32) << 16
    first |= np.where(out.fresh[slots], np.uint32(0x8080_0000), np.uint32(0x8000_0000))
    words[:count, HEADER_AT // 4] = first.byteswap()
    words[:count, HEADER_AT // 4 + 1] = out.ts[slots].byteswap()
    out.data[:count, PAYLOAD_AT:] = codes[pick[slots]]
    out.seq[slots] += np.uint16(1)
    out.sent[slots] += np.uint32(1)
    out.fresh[slots] = False
