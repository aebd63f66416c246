"""What one caller receives, laid on his own timeline by RTP timestamp; arrays only.

A ring of 20 ms frames: a frame's place is its RTP timestamp since the first packet, so lost
packets leave holes and reordered ones fall into place, whatever packet length the sender uses.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.audibility import Window
from bridge.lab.voice import decode
from bridge.units import FRAME_NS, FRAME_SAMPLES

RING_FRAMES: Final = 3_000
JUMP_FRAMES_MAX: Final = 500
"""A timestamp further than 10 s from where time says is a new stream: the timeline goes on."""

CODEC_OF: Final = {0: "PCMU", 8: "PCMA"}


@dataclass(slots=True)
class Recording:
    """The last minute that one caller received. R = ring frames, S = 160 samples.

    Attributes:
        codes: (R, S) uint8, G.711 codes as received.
        frame: (R,) int64, which frame of the timeline the row holds; -1 when none.
        arrived_ns: (R,) int64, monotonic, when its packet came.
        payload_type: (R,) uint8, of its packet.
    """

    ring_frames: int = RING_FRAMES
    codes: NDArray[np.uint8] = field(init=False)
    frame: NDArray[np.int64] = field(init=False)
    arrived_ns: NDArray[np.int64] = field(init=False)
    payload_type: NDArray[np.uint8] = field(init=False)
    ssrc: int = -1
    first_ts: int = 0
    first_frame: int = 0
    first_ns: int = 0

    def __post_init__(self) -> None:
        """Take the arrays."""
        self.codes = np.zeros((self.ring_frames, FRAME_SAMPLES), np.uint8)
        self.frame = np.full(self.ring_frames, -1, np.int64)
        self.arrived_ns = np.zeros(self.ring_frames, np.int64)
        self.payload_type = np.zeros(self.ring_frames, np.uint8)

    def put(self, *, ts: int, ssrc: int, payload_type: int, payload: bytes, now_ns: int) -> None:
        """Lay one audio packet onto the timeline."""
        samples = self._since_first(ts, ssrc, now_ns)
        codes = np.frombuffer(payload, np.uint8)
        place = (samples + np.arange(len(codes))) % self.codes.size
        self.codes.reshape(-1)[place] = codes
        first = samples // FRAME_SAMPLES
        last = (samples + max(len(codes), 1) - 1) // FRAME_SAMPLES
        rows = np.arange(first, last + 1)
        self.frame[rows % self.ring_frames] = rows
        self.arrived_ns[rows % self.ring_frames] = now_ns
        self.payload_type[rows % self.ring_frames] = payload_type

    def _since_first(self, ts: int, ssrc: int, now_ns: int) -> int:
        """Return the packet's place in samples; re-anchor when the stream is another one."""
        by_time = self.first_frame + (now_ns - self.first_ns) // FRAME_NS
        ahead = (ts - self.first_ts + (1 << 31)) % (1 << 32) - (1 << 31)
        samples = self.first_frame * FRAME_SAMPLES + ahead
        far = abs(samples // FRAME_SAMPLES - by_time) > JUMP_FRAMES_MAX
        if self.ssrc == -1 or ssrc != self.ssrc or far or samples < 0:
            self.first_frame = by_time if self.ssrc != -1 else JUMP_FRAMES_MAX
            self.ssrc, self.first_ts, self.first_ns = ssrc, ts, now_ns
            return self.first_frame * FRAME_SAMPLES
        return samples

    def window(self, from_ns: int, to_ns: int) -> Window:
        """Return what belongs to a span of real time; frames that never came are silent, absent.

        Which frames belong to the span follows from the usual delay between a frame's place and
        its arrival, so that one late frame does not shift the others.
        """
        count = max((to_ns - from_ns) // FRAME_NS, 0)
        came = (self.frame >= 0) & (self.arrived_ns >= from_ns) & (self.arrived_ns < to_ns)
        if not came.any():
            return Window(np.zeros(count * FRAME_SAMPLES, np.int16), np.zeros(count, np.bool_))
        delay = int(np.median(self.arrived_ns[came] - self.frame[came] * FRAME_NS))
        wanted = -((delay - from_ns) // FRAME_NS) + np.arange(count)
        rows = wanted % self.ring_frames
        present = self.frame[rows] == wanted
        kind = int(np.bincount(self.payload_type[came]).argmax())
        pcm = decode(self.codes[rows], CODEC_OF.get(kind, "PCMU"))
        return Window((pcm * present[:, None]).astype(np.int16).reshape(-1), present)
