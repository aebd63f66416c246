"""Wideband callers of a plane without sockets: coders of their own at the far end."""

import struct

import numpy as np
from numpy.typing import NDArray

from bridge.media.codecs import WIDE, Decoder, Encoder, WideCodec
from bridge.media.shape import FRAME, HEADER_AT
from bridge.media.values import TickResult
from tests.bridge.media import rig as narrow
from tests.bridge.media.rig import Datagram, Rig

WIDE_TYPES = {"G722": 9, "L16": 107, "OPUS": 111}
narrow.TYPES.update(WIDE_TYPES)


def wide_tone(hertz: float, frame: int, rate_hz: int, *, peak: float = 8_000) -> NDArray[np.int16]:
    """Return frame `frame` of a tone at a sample rate."""
    size = rate_hz // 50
    t = np.arange(size) + frame * size
    return (peak * np.sin(2 * np.pi * hertz * t / rate_hz)).astype(np.int16)


def level(samples: NDArray[np.int16], hertz: float, rate_hz: int) -> float:
    """Return the amplitude of a tone in samples, of a whole number of its periods or many."""
    window = np.hanning(len(samples))
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate_hz) * window
    return float(2 * abs((samples * turn).sum()) / window.sum())


class WideRig(Rig):
    """A rig whose callers may be wideband; `ears` decode what each of those is sent."""

    def __init__(self, clips: dict[str, NDArray[np.int16]] | None = None) -> None:
        super().__init__(clips)
        self.mouths: dict[int, Encoder] = {}
        self.ears: dict[int, Decoder] = {}
        self.stamps: dict[int, list[int]] = {}
        self.audio: dict[int, list[NDArray[np.int16]]] = {}

    def join(self, slot: int, codec: str, *, group: int = 5, **options: bool) -> None:
        """Open a leg with any codec."""
        if codec in WIDE:
            self.mouths[slot], self.ears[slot] = WIDE[codec].encoder(), WIDE[codec].decoder()
        self.add(slot, codec, group=group, **options)
        self.audio[slot], self.stamps[slot] = [], []

    def wide(self, slot: int) -> WideCodec:
        return WIDE[self.codec[slot]]

    def rate(self, slot: int) -> int:
        return WIDE[self.codec[slot]].rate_hz if self.codec[slot] in WIDE else 8_000

    def says(self, slot: int, n: int, samples: NDArray[np.int16]) -> Datagram:
        """Return the packet of frame `n` of a wideband caller."""
        return self.packet(
            slot, n, self.mouths[slot].encode(samples), ts=n * FRAME * self.wide(slot).clock_steps
        )

    def hums(self, slot: int, n: int, hertz: float) -> Datagram:
        """Return the packet of frame `n` of a caller, any codec, who is a tone."""
        if self.codec[slot] in WIDE:
            return self.says(slot, n, wide_tone(hertz, n, self.rate(slot)))
        return self.packet(slot, n, narrow.coded(narrow.tone(hertz, n), self.codec[slot]))

    def tick(
        self, *datagrams: Datagram, skipped: int = 0, waits_ns: list[int] | None = None
    ) -> TickResult:
        """Run the next tick and let everybody listen."""
        result = super().tick(*datagrams, skipped=skipped, waits_ns=waits_ns)
        out, rows = self.plane.out, self.plane.wide.out
        for row, slot in enumerate(rows.slots.tolist()):
            body = rows.data[row, HEADER_AT : HEADER_AT + rows.length[row]].tobytes()
            self._listen(slot, body)
        for slot in out.slots.tolist():
            self._listen(slot, self.sent[slot])
        return result

    def _listen(self, slot: int, body: bytes) -> None:
        if slot not in self.audio:
            return
        self.stamps[slot].append(struct.unpack_from("!I", body, 4)[0])
        payload = body[12:]
        if slot in self.ears:
            self.audio[slot].append(self.ears[slot].decode(payload))
        else:
            self.audio[slot].append(narrow.decoded(payload, self.codec[slot]))

    def heard_since(self, slot: int, first: int) -> NDArray[np.int16]:
        """Return what a caller heard from his packet `first` on."""
        return np.concatenate(self.audio[slot][first:])
