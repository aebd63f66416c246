"""Cuts what a caller says, 20 ms at a time, into packets of his ptime; knows no socket."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.units import FRAME_MS, FRAME_SAMPLES, NS_PER_MS

PTIMES_MS: Final = (10, 20, 30, 40, 50, 60)
"""What a caller may send and ask for. RFC 3551 §4.2 wants up to 200 ms to be taken."""

STEP_MS: Final = 10


class Piece(NamedTuple):
    """What goes into one packet.

    Attributes:
        ts: RTP timestamp of its first sample.
        late_ns: how much later than its last frame's tick it is sent: the grid has 20 ms, a packet
            of 10 or 30 ms is due between.
    """

    ts: int
    samples: NDArray[np.generic]
    late_ns: int


class Cutter:
    """What one caller has said and not yet sent."""

    def __init__(self, ptime_ms: int) -> None:
        self._steps = ptime_ms // STEP_MS
        self._held: NDArray[np.generic] | None = None
        self._ts = 0

    def add(self, ts: int, frame: NDArray[np.generic], clock_steps: int) -> list[Piece]:
        """Take the next frame, codes or samples, and return the packets that it completes.

        A frame that does not follow the last one (a key came between, the caller was late) begins
        anew: what was held is lost, as the key is sent in its place (RFC 4733 §2.2).
        """
        size = len(frame) // 2  # samples of 10 ms
        ticks = FRAME_SAMPLES // 2 * clock_steps  # of the RTP clock in 10 ms
        held = self._held
        if held is None or (self._ts + len(held) // size * ticks - ts) % (1 << 32):
            held, self._ts = frame[:0], ts
        before = len(held) // size
        held = np.concatenate([held, frame])
        pieces: list[Piece] = []
        # bound: six packets of 10 ms
        while len(held) >= self._steps * size:
            length = self._steps * size
            ends = self._steps * (len(pieces) + 1) - before  # in the frame, in 10 ms: 1 or 2
            odd = self._steps % (FRAME_MS // STEP_MS)
            pieces.append(Piece(self._ts, held[:length], (ends - 1) * STEP_MS * NS_PER_MS * odd))
            held = held[length:]
            self._ts = (self._ts + self._steps * ticks) % (1 << 32)
        self._held = held
        return pieces
