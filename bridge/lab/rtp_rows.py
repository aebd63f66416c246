"""What the RTP engine knows of each caller who sends: arrays over the callers, row by row."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.voice import TONE_DBFS

ROWS_MAX: Final = 5_000


@dataclass(slots=True)
class Probe:
    """What one caller says once, in place of his voice: (n, 160) int16, and who waits for it."""

    frames: NDArray[np.int16]
    order: int
    said: int = 0


@dataclass(slots=True)
class Callers:
    """State of all callers: row i is caller i everywhere.

    Attributes:
        sending: (R,) bool, has a remote address and has not vanished.
        tone_hz: (R,) int64, what he says; 0 is silence.
        codec: (R,) uint8, index into CODECS.
        payload_type: (R,) uint8, of the codec.
        dtmf_type: (R,) int16, of telephone-event; -1 when not agreed.
        dbfs: (R,) float64, level of a tone.
        quiet: (R,) bool, says nothing at all: no packets but those of keys.
        clock_steps: (R,) uint32, of the codec's RTP clock in 1/8,000 s.
        seq: (R,) uint16 and ts: (R,) uint32, of the next packet.
        ssrc: (R,) uint32.
    """

    sending: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(ROWS_MAX, np.bool_))
    tone_hz: NDArray[np.int64] = field(default_factory=lambda: np.zeros(ROWS_MAX, np.int64))
    codec: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(ROWS_MAX, np.uint8))
    payload_type: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(ROWS_MAX, np.uint8))
    dtmf_type: NDArray[np.int16] = field(default_factory=lambda: np.full(ROWS_MAX, -1, np.int16))
    dbfs: NDArray[np.float64] = field(default_factory=lambda: np.full(ROWS_MAX, TONE_DBFS))
    quiet: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(ROWS_MAX, np.bool_))
    clock_steps: NDArray[np.uint32] = field(default_factory=lambda: np.ones(ROWS_MAX, np.uint32))
    seq: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(ROWS_MAX, np.uint16))
    ts: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(ROWS_MAX, np.uint32))
    ssrc: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(ROWS_MAX, np.uint32))
