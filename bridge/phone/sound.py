"""What one phone says and hears, shared with PJSIP's clock thread; knows samples, no PJSIP.

The clock thread calls `next_frame` and `take` every 20 ms; everything else comes from the thread
of the event loop. What both sides touch is a deque (whose ends are atomic) or one reference that
is replaced as a whole.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from bridge.phone.values import FRAME_MS, KEPT_S, Block, Samples

FRAME_NS: Final = FRAME_MS * 1_000_000
LIVE_FRAMES_MAX: Final = 15
"""Live audio waiting to be said: 300 ms. More means that the writer's clock is fast, or that it
wrote all at once; the oldest is dropped, so that nobody is heard ever later."""

LIVE_FRAMES_KEPT: Final = 4


@dataclass(slots=True)
class _Clip:
    """Samples being said, and how far."""

    data: bytes
    loop: bool
    done: Callable[[], None]
    at: int = 0


class Sound:
    """The microphone and the ear of one phone.

    Attributes:
        muted: silence is said instead, while clips and live audio go on.
        dropped, missing: live frames that came too fast; frames that should have been there.
    """

    def __init__(self, frame_samples: int) -> None:
        self.frame_bytes = 2 * frame_samples
        self.muted = False
        self.dropped = self.missing = 0
        self._silence = bytes(self.frame_bytes)
        self._clip: _Clip | None = None
        self._live: deque[bytes] = deque()
        self._rest = b""
        self._flowing = False
        self._heard: deque[tuple[int, bytes]] = deque(maxlen=KEPT_S * 1_000 // FRAME_MS)
        self._on_block: Callable[[int, bytes], None] | None = None

    def clear(self) -> None:
        """Begin anew, for another call."""
        self.quiet()
        self._live.clear()
        self._heard.clear()
        self._rest, self._flowing, self.muted, self._on_block = b"", False, False, None
        self.dropped = self.missing = 0

    # --- from the event loop --------------------------------------------------------------

    def play(self, samples: Samples, *, loop: bool, done: Callable[[], None]) -> None:
        """Say samples from now on; `done` is called when they are said or given up.

        It is called in either thread.
        """
        before = self._clip
        empty = not len(samples)
        self._clip = None if empty else _Clip(samples.astype("<i2").tobytes(), loop, done)
        if before is not None:
            before.done()
        if empty:
            done()

    def quiet(self) -> None:
        """Give up what is being played."""
        self.play(np.zeros(0, np.int16), loop=False, done=_nothing)

    def write(self, samples: Samples) -> None:
        """Say live samples after those that wait already; clips go before."""
        data = self._rest + samples.astype("<i2").tobytes()
        whole = len(data) // self.frame_bytes * self.frame_bytes
        for at in range(0, whole, self.frame_bytes):
            self._live.append(data[at : at + self.frame_bytes])
        self._rest = data[whole:]
        if len(self._live) > LIVE_FRAMES_MAX:
            while len(self._live) > LIVE_FRAMES_KEPT:
                self._live.popleft()
                self.dropped += 1

    def listen(self, on_block: Callable[[int, bytes], None] | None) -> None:
        """Give every frame that is heard to `on_block`, in the clock thread; None ends it."""
        self._on_block = on_block

    def heard(self, from_ns: int, to_ns: int) -> Block:
        """Return what was heard in a span of monotonic time, as far as it is kept."""
        frames = [item for item in self._heard.copy() if from_ns <= item[0] < to_ns]
        data = b"".join(data for _, data in frames)
        return Block.of(frames[0][0] if frames else from_ns, data)

    # --- from the clock thread --------------------------------------------------------------

    def next_frame(self) -> bytes:
        """Return the frame to say now."""
        clip = self._clip
        data = self._of_clip(clip) if clip is not None else self._of_live()
        return self._silence if self.muted else data

    def take(self, data: bytes) -> None:
        """Keep a frame that was heard."""
        at_ns = time.monotonic_ns()
        self._heard.append((at_ns, data))
        on_block = self._on_block
        if on_block is not None:
            on_block(at_ns, data)

    def _of_clip(self, clip: _Clip) -> bytes:
        need = self.frame_bytes
        data = clip.data[clip.at : clip.at + need]
        clip.at += need
        while len(data) < need and clip.loop:  # bounded: a clip is not empty
            clip.at = need - len(data)
            data += clip.data[: clip.at]
        if clip.at >= len(clip.data) and not clip.loop:
            if self._clip is clip:
                self._clip = None
            clip.done()
        return data.ljust(need, b"\0")

    def _of_live(self) -> bytes:
        try:
            data = self._live.popleft()
        except IndexError:
            self.missing += self._flowing
            self._flowing = False
            return self._silence
        self._flowing = True
        return data


def _nothing() -> None:
    pass
