"""Keys as RFC 4733 telephone-events, packet by packet; knows no socket and no clock."""

import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from bridge.units import FRAME_SAMPLES

EVENT_OF: Final = {key: event for event, key in enumerate("0123456789*#ABCD")}
HELD_FRAMES: Final = 3
"""60 ms a key: above the 40 ms that every receiver must take."""

END_PACKETS: Final = 3
PAUSE_FRAMES: Final = 1
VOLUME: Final = 10


@dataclass(frozen=True, slots=True)
class EventPacket:
    """One telephone-event packet; `ts_back` samples before the present RTP timestamp."""

    payload: bytes
    marker: bool
    ts_back: int


@dataclass(slots=True)
class KeySender:
    """Keys that one caller has yet to send, one packet a frame.

    Attributes:
        waiting: keys not begun, each with the number of the order that it ends, or 0.
        frame: frames since the present key began.
        clock_steps: of the codec's RTP clock in 1/8,000 s; events are on that (RFC 4733 §2.1).
    """

    waiting: deque[tuple[str, int]] = field(default_factory=deque)
    frame: int = 0
    clock_steps: int = 1

    def press(self, digits: str, order: int) -> None:
        """Queue keys; the last one completes `order`."""
        for index, key in enumerate(digits):
            self.waiting.append((key, order if index == len(digits) - 1 else 0))

    def drop(self) -> list[tuple[int, bool]]:
        """Forget all keys; return the orders that this ends, and whether each was carried out.

        The last key of an order counts once its end was sent: the other side may well hang up
        because of it before it was sent three times.
        """
        ended = self.frame >= HELD_FRAMES
        orders = [(order, ended and not at) for at, (_, order) in enumerate(self.waiting) if order]
        self.waiting.clear()
        self.frame = 0
        return orders

    @property
    def busy(self) -> bool:
        """Whether the next frame belongs to a key rather than to the voice."""
        return bool(self.waiting)

    def next_frame(self) -> tuple[EventPacket | None, int]:
        """Return what this frame sends (None: voice, between keys) and the order it completes."""
        key, order = self.waiting[0]
        frame = self.frame
        self.frame += 1
        last = HELD_FRAMES + END_PACKETS - 1
        if frame >= last:
            if frame == last + PAUSE_FRAMES - 1:
                self.waiting.popleft()
                self.frame = 0
                return None, order
            return None, 0
        step = FRAME_SAMPLES * self.clock_steps
        duration = min(frame + 1, HELD_FRAMES) * step
        ending = 0x80 if frame >= HELD_FRAMES - 1 else 0
        payload = struct.pack("!BBH", EVENT_OF[key], ending | VOLUME, duration)
        return EventPacket(payload, marker=frame == 0, ts_back=frame * step), 0
