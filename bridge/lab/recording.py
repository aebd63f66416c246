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
from bridge.lab.wideband import RATE_HZ, Ear, clock_steps
from bridge.units import FRAME_NS, FRAME_SAMPLES, MS_PER_S, SAMPLE_RATE_HZ

RING_FRAMES: Final = 3_000
JUMP_FRAMES_MAX: Final = 500
"""A timestamp further than 10 s from where time says is a new stream: the timeline goes on."""

_SCALE: Final = RATE_HZ // SAMPLE_RATE_HZ

CODEC_OF: Final = {0: "PCMU", 8: "PCMA"}


@dataclass(slots=True)
class Recording:
    """The last minute that one caller received. R = ring frames, S = 160 samples.

    Attributes:
        codec: what he listens to: G.711, either law, or the one wideband codec of his.
        wide_type: payload type of that codec, -1 for G.711.
        codes: (R, S) uint8, G.711 codes as received; of a wideband codec (R, 2 * S) int16 samples
            at 16 kHz, decoded as they came.
        frame: (R,) int64, which frame of the timeline the row holds; -1 when none.
        arrived_ns: (R,) int64, monotonic, when its packet came.
        payload_type: (R,) uint8, of its packet.
    """

    ring_frames: int = RING_FRAMES
    codec: str = "PCMU"
    wide_type: int = -1
    codes: NDArray[np.uint8] | NDArray[np.int16] = field(init=False)
    _ear: Ear | None = None
    frame: NDArray[np.int64] = field(init=False)
    arrived_ns: NDArray[np.int64] = field(init=False)
    payload_type: NDArray[np.uint8] = field(init=False)
    ssrc: int = -1
    first_ts: int = 0
    first_frame: int = 0
    first_ns: int = 0
    packet_ms: int = 0

    def __post_init__(self) -> None:
        """Take the arrays."""
        self.codes = np.zeros((self.ring_frames, FRAME_SAMPLES), np.uint8)
        if self.wide_type >= 0:
            self._ear = Ear(self.codec)
            self.codes = np.zeros((self.ring_frames, FRAME_SAMPLES * _SCALE), np.int16)
        self.frame = np.full(self.ring_frames, -1, np.int64)
        self.arrived_ns = np.zeros(self.ring_frames, np.int64)
        self.payload_type = np.zeros(self.ring_frames, np.uint8)

    def takes(self, payload_type: int) -> bool:
        """Return whether packets of a type are audio that he listens to."""
        return payload_type == self.wide_type if self._ear else payload_type in CODEC_OF

    def put(self, *, ts: int, ssrc: int, payload_type: int, payload: bytes, now_ns: int) -> None:
        """Lay one audio packet onto the timeline."""
        samples = self._since_first(ts, ssrc, now_ns)
        scale = 1 if self._ear is None else _SCALE
        codes: NDArray[np.uint8] | NDArray[np.int16] = (
            np.frombuffer(payload, np.uint8) if self._ear is None else self._ear.samples(payload)
        )
        place = (samples * scale + np.arange(len(codes))) % self.codes.size
        self.codes.reshape(-1)[place] = codes
        first = samples // FRAME_SAMPLES
        self.packet_ms = len(codes) // scale * MS_PER_S // SAMPLE_RATE_HZ
        last = (samples + max(len(codes) // scale, 1) - 1) // FRAME_SAMPLES
        rows = np.arange(first, last + 1)
        self.frame[rows % self.ring_frames] = rows
        self.arrived_ns[rows % self.ring_frames] = now_ns
        self.payload_type[rows % self.ring_frames] = payload_type

    def _since_first(self, ts: int, ssrc: int, now_ns: int) -> int:
        """Return the packet's place in samples; re-anchor when the stream is another one."""
        by_time = self.first_frame + (now_ns - self.first_ns) // FRAME_NS
        ahead = (ts - self.first_ts + (1 << 31)) % (1 << 32) - (1 << 31)
        ahead //= clock_steps(self.codec)
        samples = self.first_frame * FRAME_SAMPLES + ahead
        far = abs(samples // FRAME_SAMPLES - by_time) > JUMP_FRAMES_MAX
        if self.ssrc == -1 or ssrc != self.ssrc or far or samples < 0:
            self.first_frame = by_time if self.ssrc != -1 else JUMP_FRAMES_MAX
            self.ssrc, self.first_ts, self.first_ns = ssrc, ts, now_ns
            return self.first_frame * FRAME_SAMPLES
        return samples

    @property
    def rate_hz(self) -> int:
        """Rate of the samples in a window."""
        return SAMPLE_RATE_HZ if self._ear is None else RATE_HZ

    def window(self, from_ns: int, to_ns: int) -> Window:
        """Return what belongs to a span of real time; frames that never came are silent, absent.

        Which frames belong to the span follows from the usual delay between a frame's place and
        its arrival, so that one late frame does not shift the others.
        """
        count = max((to_ns - from_ns) // FRAME_NS, 0)
        came = (self.frame >= 0) & (self.arrived_ns >= from_ns) & (self.arrived_ns < to_ns)
        if not came.any():
            silent = np.zeros(count * self.codes.shape[1], np.int16)
            return Window(silent, np.zeros(count, np.bool_), self.rate_hz)
        delay = int(np.median(self.arrived_ns[came] - self.frame[came] * FRAME_NS))
        wanted = -((delay - from_ns) // FRAME_NS) + np.arange(count)
        rows = wanted % self.ring_frames
        present = self.frame[rows] == wanted
        kind = int(np.bincount(self.payload_type[came]).argmax())
        pcm = self.codes[rows]
        if self._ear is None:
            pcm = decode(pcm.astype(np.uint8), CODEC_OF.get(kind, "PCMU"))
        heard = (pcm * present[:, None]).astype(np.int16).reshape(-1)
        return Window(heard, present, self.rate_hz)
