"""What one wideband leg sends: packets by timestamp, turned into one frame a tick, in order.

Coders with state must see packets in the order of their timestamps and once each, so a packet
waits here, as it came, until playout asks for its time. Timestamps are in steps of 1/8,000 s.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import conceal
from bridge.media.codecs import BadPacket, Decoder, WideCodec
from bridge.media.opus import DTX_BYTES_MAX, OpusDecoder
from bridge.media.shape import FRAME

WAITING_MAX: Final = 64
"""Packets that wait; 640 ms of the shortest. The oldest makes way."""

OPUS_STEP: Final = 20
"""Opus makes up multiples of 2.5 ms: so many steps."""

_TURN = 1 << 32
_NONE: Final = np.zeros(0, np.int16)


def _ahead(later: int, earlier: int) -> int:
    """Return by how much a timestamp is later, in [-2^31, 2^31)."""
    return (later - earlier + (_TURN >> 1)) % _TURN - (_TURN >> 1)


class Stream:
    """The way in of one leg.

    Attributes:
        bad: payloads that the decoder refused.
        resting: the last packet said that its sender is silent for now (DTX).
    """

    def __init__(self, codec: WideCodec, decoder: Decoder) -> None:
        self.bad = 0
        self.resting = False
        self._decoder = decoder
        self._opus = decoder if isinstance(decoder, OpusDecoder) else None
        self._step_bytes = codec.step_bytes
        self._factor = codec.factor
        self._size = FRAME * codec.factor
        self._waiting: dict[int, tuple[bytes, int]] = {}
        self._rest, self._rest_ts = _NONE, 0

    def put(self, ts: int, payload: bytes, steps: int) -> bool:
        """Keep a packet of `steps`; return whether one of that time was there already."""
        known = ts in self._waiting
        self._waiting[ts] = (payload, steps)
        if len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        return known

    def whole(self, ts: int) -> bytes | None:
        """Return the payload of the frame that starts at `ts`; None if any of it is missing.

        For codecs whose payloads may be cut: the rest of a longer packet goes on waiting.
        """
        packet = self._waiting.pop(ts, None)
        if packet is None or len(self._rest):
            if packet is not None:
                self._waiting[ts] = packet
            return None
        if packet[1] == FRAME:
            return packet[0]
        parts, at = [packet], packet[1]
        while at < FRAME:  # bounded: each turn adds a step at least
            following = self._waiting.pop((ts + at) % _TURN, None)
            if following is None:
                break
            parts.append(following)
            at += following[1]
        whole, size = b"".join([payload for payload, _ in parts]), FRAME * self._step_bytes
        if at < FRAME:
            self._waiting[ts] = whole, at
            return None
        if at > FRAME:
            self._waiting[(ts + FRAME) % _TURN] = whole[size:], at - FRAME
        return whole[:size]

    def pull(self, ts: int, past: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return the frame that starts at `ts`, (S,) int16; holes in it are made up.

        `past`, (3 * S,) int16, is what the leg said before, for that.
        """
        packet = self._waiting.pop(ts, None)
        if packet is None or packet[1] != FRAME or len(self._rest):
            return self._gather(ts, packet, past)
        samples = self._decoded(packet, past)
        return samples if len(samples) == self._size else self._fitted(ts, samples)

    def made_up(self, ts: int) -> NDArray[np.int16]:
        """Return a whole lost frame as Opus makes it up: from the next packet if it has come."""
        assert self._opus is not None, "other codecs are made up for all legs at once"
        following = self._waiting.get((ts + FRAME) % _TURN)
        payload = None if following is None or len(following[0]) <= DTX_BYTES_MAX else following[0]
        return self._opus.conceal(self._size, payload)

    def _decoded(self, packet: tuple[bytes, int], past: NDArray[np.int16]) -> NDArray[np.int16]:
        payload, steps = packet
        self.resting = self._opus is not None and len(payload) <= DTX_BYTES_MAX
        try:
            return self._decoder.decode(payload)
        except BadPacket:
            self.bad += 1
            return self._lost(steps, past)

    def _fitted(self, ts: int, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Cut what is more than a frame off, for the next one; fill up what is less."""
        self._rest, self._rest_ts = samples[self._size :], (ts + FRAME) % _TURN
        frame = np.zeros(self._size, np.int16)
        frame[: len(samples)] = samples[: self._size]
        return frame

    def _gather(
        self, ts: int, packet: tuple[bytes, int] | None, past: NDArray[np.int16]
    ) -> NDArray[np.int16]:
        """Put a frame together from packets of any length and alignment."""
        if packet is not None:
            self._waiting[ts] = packet
        left = (ts - self._rest_ts) % _TURN * self._factor  # of the rest, what is over
        parts = [self._rest[left:] if left < len(self._rest) else _NONE]
        at = len(parts[0]) // self._factor
        while at < FRAME:  # bounded: each turn adds a step at least
            said = np.concatenate([past, *parts])
            part, steps = self._next_part((ts + at) % _TURN, FRAME - at, said)
            parts.append(part)
            at += steps
        return self._fitted(ts, np.concatenate(parts))

    def _next_part(
        self, ts: int, wanted: int, past: NDArray[np.int16]
    ) -> tuple[NDArray[np.int16], int]:
        """Return samples from `ts` on and how many steps they are."""
        packet = self._waiting.pop(ts, None)
        if packet is not None:
            return self._decoded(packet, past), packet[1]
        gap = wanted
        for start, (_, steps) in self._waiting.items():  # bounded: WAITING_MAX
            ahead = _ahead(start, ts)
            if -steps < ahead < 0:  # one that began before what is played now
                samples = self._decoded(self._waiting.pop(start), past)
                return samples[-ahead * self._factor :], steps + ahead
            if 0 < ahead < gap:
                gap = ahead
        return self._lost(gap, past), gap

    def _lost(self, steps: int, past: NDArray[np.int16]) -> NDArray[np.int16]:
        """Make up `steps`, part of a frame."""
        size = steps * self._factor
        if self._opus is not None:
            whole = -(-steps // OPUS_STEP) * OPUS_STEP * self._factor
            return self._opus.conceal(whole, None)[:size]
        history = past[None, -conceal.HISTORY * self._factor :].astype(np.float32)
        pitch = conceal.pitch_of(history, self._factor)
        start = np.zeros(1, np.int64)
        made = conceal.extrapolate(history, pitch, start, size, self._factor)
        return np.asarray(np.clip(made[0], -32_767, 32_767), np.int16)
