"""Where the time of a tick goes: a plane without sockets, every stage timed on the CPU's clock.

Everybody talks, packets come in a random order, one conference in ten is recorded. Legs in
wideband codecs speak, each at another place of the text, as coders are quick with noise. The times
are of the thread alone, so what else runs on the machine hardly shows; what the kernel takes to
receive and send is not in them: `bench media` has that.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from bridge.bench.callers import host_of
from bridge.bench.media import CALLER_PORT, RECORDED
from bridge.bench.speech import Payloads, payloads_of
from bridge.media import (
    codecs,
    delivery,
    erasures,
    g711,
    jitter,
    mix,
    outgoing,
    rtp,
    steady,
    tick,
    voice,
)
from bridge.media.band import Band
from bridge.media.plays import Clips
from bridge.media.recording import Taps
from bridge.media.rooms import Rooms
from bridge.media.shape import FRAME, HEADER_AT, HEADER_BYTES, PAYLOAD_AT, ROW_BYTES, SPILL_BYTES
from bridge.media.sharing import Sharing
from bridge.media.sources import Sources, source_of
from bridge.media.tick import Plane
from bridge.media.values import Remote
from bridge.media.wide import Wide
from bridge.units import FRAME_NS, NS_PER_MS, NS_PER_S

STAGES: Final[tuple[tuple[str, Any, str], ...]] = (
    ("whose packet it is", Sources, "find"),
    ("packets as expected", steady, "take"),
    ("other packets: headers", tick.Plane, "_parse"),
    ("other packets: into the rings", tick.Plane, "_insert"),
    ("decode", steady, "_decode"),
    ("playout", jitter, "playout"),
    ("concealment", erasures, "fill"),
    ("frames by conference", mix, "_take"),
    ("sums", mix, "_sum"),
    ("each without its own", mix, "_encode_all"),
    ("encode", g711, "encode_sums"),
    ("voice activity", voice, "look"),
    ("levels", delivery.Delivery, "_levels"),
    ("recording", Taps, "gather"),
    ("headers and payloads to send", outgoing, "fill"),
    ("next tick", jitter, "advance"),
    ("wideband: packets", Wide, "insert"),
    ("wideband: decode", Band, "_decode"),
    ("wideband: sums", Rooms, "gather"),
    ("wideband: each without its own", Rooms, "heard"),
    ("wideband: encode G.722", Band, "encode"),
    ("wideband: encode Opus", Sharing, "encode"),
)
"""Name, owner and attribute; a stage's time is without that of stages within it."""

_WARM_UP: Final = 50


class _Clock:
    """CPU time by stage."""

    def __init__(self) -> None:
        self.ns: dict[str, int] = {}
        self._inside: list[int] = []

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            self._inside.append(0)
            begun = time.thread_time_ns()
            try:
                return call(*args, **named)
            finally:
                took = time.thread_time_ns() - begun
                self.ns[name] = self.ns.get(name, 0) + took - self._inside.pop()
                if self._inside:
                    self._inside[-1] += took

        return run

    @contextmanager
    def on(self) -> Iterator[None]:
        """Time the stages."""
        patches = [
            patch.object(owner, attribute, self.timed(name, getattr(owner, attribute)))
            for name, owner, attribute in STAGES
        ]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()


def _plane(legs: int, codec: str, said: Payloads) -> tuple[Plane, rtp.Packets]:
    """Return a plane with legs in conferences of ten, and room for a packet of each."""
    plane = Plane(Clips({}), silence_ns=NS_PER_S * 3_600)
    source = [source_of(host_of(leg), CALLER_PORT) for leg in range(legs)]
    for leg in range(legs):
        plane.open_leg(leg, port=0, expected=source[leg], numbers=(leg, 0, 0), now_ns=0)
        plane.set_remote(leg, Remote(codec, said.payload_type, 101, source[leg], True), 0)
        plane.set_group(leg, leg // 10)
    for group in range(0, max(legs // 10, 1), RECORDED):
        plane.taps.start(group)
    order = np.random.default_rng(1).permutation(legs)
    data = np.random.default_rng(2).integers(0, 256, (legs, ROW_BYTES), np.uint8)
    data.view(">u4")[:, HEADER_AT // 4 + 2] = order
    length = np.full(legs, HEADER_BYTES + FRAME, np.uint32)
    nothing = np.zeros(legs, np.int32)
    return plane, rtp.Packets(
        data,
        length,
        nothing,
        np.array(source, np.uint64)[order],
        nothing.astype(np.int64),
        spill=None if said.noise else np.zeros((legs, SPILL_BYTES), np.uint8),
    )


def _speak(packets: rtp.Packets, said: Payloads, number: int) -> None:
    """Write frame `number` of each leg into its packet."""
    words = packets.data.view(">u4")
    words[:, HEADER_AT // 4] = 0x8000_0000 | said.payload_type << 16 | number & 0xFFFF
    words[:, HEADER_AT // 4 + 1] = number * FRAME * said.clock_steps
    if packets.spill is None:
        return
    at = (number + 37 * np.arange(len(packets.length))) % len(said.size)
    payload, room = said.data[at], ROW_BYTES - PAYLOAD_AT
    packets.data[:, PAYLOAD_AT : PAYLOAD_AT + payload.shape[1]] = payload[:, :room]
    packets.spill[:, : max(payload.shape[1] - room, 0)] = payload[:, room:]
    packets.length[:] = HEADER_BYTES + said.size[at]


def run(legs: int = 1_000, ticks: int = 500, codec: str = "PCMU") -> dict[str, Any]:
    """Return the milliseconds of CPU that a tick takes, in all and by stage."""
    codecs.load()
    said = payloads_of(codec)
    plane, packets = _plane(legs, codec, said)
    least = NS_PER_S
    clock = _Clock()
    tick_of = clock.timed("between the stages", plane.tick)
    with clock.on():
        for number in range(_WARM_UP + ticks):
            if number == _WARM_UP:
                clock.ns.clear()
            _speak(packets, said, number)
            before = sum(clock.ns.values())
            tick_of(packets, number * FRAME_NS)
            least = min(least, sum(clock.ns.values()) - before)
    millis = {name: ns / ticks / NS_PER_MS for name, ns in clock.ns.items()}
    rows = sorted(millis.items(), key=lambda pair: -pair[1])
    return {
        "participants": legs,
        "codec": codec,
        "tick_ms": round(sum(millis.values()), 3),
        "tick_ms_least": round(least / NS_PER_MS, 3),
        "stages_ms": {name: round(value, 3) for name, value in rows},
    }
