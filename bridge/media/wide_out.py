"""Outgoing packets of L16 and Opus legs, whose payloads no row of G.711 length holds.

G.722 has a byte a step like G.711 and goes the way of `outgoing`. Here each packet has a length
of its own; headers are written as arrays. Knows sequence numbers by `outgoing.Outgoing`.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.codecs import Encoder, WideCodec
from bridge.media.outgoing import Outgoing, spans
from bridge.media.shape import FRAME, HEADER_AT, HEADER_BYTES, PAYLOAD_AT
from bridge.units import FRAME_MS

ROW_BYTES: Final = PAYLOAD_AT + 1_284
"""40 ms of L16, or the longest Opus packet; a multiple of 4."""

PACKETS_MAX: Final = 4_096
"""Packets of one tick; more are counted and left out."""


@dataclass(slots=True)
class Gathering:
    """Frames of one leg on their way into a packet.

    Attributes:
        codec: decides which lengths there are.
        frames: those that wait, in order; the packet leaves when they fill it.
        half: packets of 10 ms, two a tick.
        wanted: frames of a packet.
    """

    codec: WideCodec
    encoder: Encoder
    frames: list[NDArray[np.int16]] = field(default_factory=list)
    half: bool = False
    wanted: int = 1

    def set_ptime(self, ptime_ms: int) -> None:
        """Send packets of the longest length there is up to `ptime_ms`; 0 stands for 20 ms."""
        fits = [length for length in self.codec.ptimes_ms if length <= (ptime_ms or FRAME_MS)]
        length = max(fits, default=self.codec.ptimes_ms[0])
        half, wanted = length < FRAME_MS, max(length // FRAME_MS, 1)
        if (half, wanted) != (self.half, self.wanted):
            self.half, self.wanted = half, wanted
            self.frames.clear()

    @property
    def alone(self) -> bool:
        """Whether each frame is a packet of its own."""
        return self.wanted == 1 and not self.half

    def take(self, frame: NDArray[np.int16]) -> list[tuple[int, bytes]]:
        """Take a tick's frame; return packets: steps from the frame's start, and payload."""
        if self.half:
            middle = len(frame) // 2
            return [
                (0, self.encoder.encode(frame[:middle])),
                (FRAME // 2, self.encoder.encode(frame[middle:])),
            ]
        if self.wanted == 1:
            return [(0, self.encoder.encode(frame))]
        self.frames.append(frame)
        if len(self.frames) < self.wanted:
            return []
        whole = np.concatenate(self.frames)
        self.frames.clear()
        return [(-FRAME * (self.wanted - 1), self.encoder.encode(whole))]


class WideOut:
    """The rows that were filled in this tick.

    Attributes:
        data: (PACKETS_MAX, ROW_BYTES) uint8, the packet from byte HEADER_AT on.
        slots: (n,) int64, the leg of each row, by local port.
        length: (n,) int64, bytes from HEADER_AT on.
        ports: list of (port index, first row, rows).
    """

    def __init__(self) -> None:
        self.data: NDArray[np.uint8] = np.zeros((PACKETS_MAX, ROW_BYTES), np.uint8)
        self.slots: NDArray[np.int64] = np.zeros(0, np.int64)
        self.length: NDArray[np.int64] = np.zeros(0, np.int64)
        self.ports: list[tuple[int, int, int]] = []

    def clear(self) -> None:
        """Have nothing to send."""
        if len(self.slots):
            self.slots, self.length, self.ports = self.slots[:0], self.length[:0], []

    def fill(
        self,
        out: Outgoing,
        packets: list[tuple[int, int, bytes]],
        port: NDArray[np.int64],
    ) -> int:
        """Write packets, (slot, steps, payload) each, those of a leg in order of time.

        `port`, (L,), the local port index of each leg. Returns how many did not fit.
        """
        packets, over = packets[:PACKETS_MAX], max(len(packets) - PACKETS_MAX, 0)
        slots = np.array([slot for slot, _, _ in packets], np.int64)
        order = np.argsort(port[slots], kind="stable")
        slots = slots[order]
        steps = np.array([steps for _, steps, _ in packets], np.int64)[order]
        size = np.array([len(payload) for _, _, payload in packets], np.int64)[order]
        count = len(slots)
        for row, at in enumerate(order.tolist()):  # bounded: PACKETS_MAX
            payload = packets[at][2]
            self.data[row, PAYLOAD_AT : PAYLOAD_AT + len(payload)] = np.frombuffer(
                payload, np.uint8
            )
        turn = np.zeros(count, np.int64)  # a leg has two at most, one after the other
        turn[1:] = slots[1:] == slots[:-1]
        words = self.data.view(np.uint32)[:count]
        head = (out.seq[slots] + turn.astype(np.uint16)) | (
            out.payload_type[slots].astype(np.uint32) << 16
        )
        marked = out.fresh[slots] & (turn == 0)
        head |= np.where(marked, np.uint32(0x8080_0000), np.uint32(0x8000_0000))
        ts = out.ts[slots] + (steps * out.rate[slots]).astype(np.uint32)
        words[:, HEADER_AT // 4] = head.byteswap()
        words[:, HEADER_AT // 4 + 1] = ts.byteswap()
        words[:, HEADER_AT // 4 + 2] = out.ssrc[slots]
        legs = len(out.seq)
        sent = np.bincount(slots, minlength=legs)
        out.seq += sent.astype(np.uint16)
        out.sent += sent.astype(np.uint32)
        out.octets += np.bincount(slots, size, minlength=legs).astype(np.uint32)
        out.fresh[slots] = False
        self.slots, self.length = slots, size + HEADER_BYTES
        self.ports = spans(port[slots]) if count else []
        return over
