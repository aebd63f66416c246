"""Where the time of a tick goes: a plane without sockets, every stage timed on the CPU's clock.

Everybody talks, packets come in a random order, one conference in ten is recorded. Legs in
wideband codecs speak, each at another place of the text, as coders are quick with noise. The times
are of the thread alone, so what else runs on the machine hardly shows; what the kernel takes to
receive and send is not in them: `bench media` has that. A pause before each tick is what a tick
has in life: after it hardly anything is in the caches, and the same tick takes twice as long.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from bridge.bench.callers import host_of
from bridge.bench.media import CALLER_PORT, RECORDED
from bridge.bench.speech import Payloads, payloads_of
from bridge.errors import InputError
from bridge.media import (
    arrivals,
    codecs,
    delivery,
    erasures,
    jitter,
    outgoing,
    rtp,
    samples,
    samples_numpy,
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
    ("packets as expected", arrivals.WAY, "take"),
    ("packets as expected", steady.ByArrays, "take"),
    ("other packets: headers", tick.Plane, "_parse"),
    ("other packets: into the rings", tick.Plane, "_insert"),
    ("decode", samples, "decode"),
    ("playout", jitter, "playout"),
    ("playout", samples, "due"),
    ("concealment", erasures, "fill"),
    ("frames by conference and sums", samples, "sum_up"),
    ("each without its own, encoded", samples, "deliver"),
    ("voice activity", voice, "look"),
    ("voice activity", samples, "follow"),
    ("levels", delivery.Delivery, "_levels"),
    ("levels", samples, "levels"),
    ("recording", Taps, "gather"),
    ("recording", samples, "tap"),
    ("headers and payloads to send", outgoing, "fill"),
    ("headers and payloads to send", samples, "lay"),
    ("next tick", jitter, "advance"),
    ("next tick", samples, "step"),
    ("next tick", samples, "clock"),
    ("wideband: packets", Wide, "insert"),
    ("wideband: decode", Band, "_decode"),
    ("wideband: sums", Rooms, "gather"),
    ("wideband: each without its own", Rooms, "heard"),
    ("wideband: encode G.722", Band, "encode"),
    ("wideband: encode Opus", Sharing, "encode"),
)
"""Name, owner and attribute; a stage's time is without that of stages within it."""

_WARM_UP: Final = 50
_HALTS: Final = 5
_TURN: Final = 10  # ticks with the compiled loops, then as many with numpy's

Loops = Callable[[Plane], AbstractContextManager[None]]
"""What puts loops over packets and samples into use."""


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

    def on(self) -> AbstractContextManager[None]:
        """Time the stages."""
        return _patched(
            patch.object(owner, attribute, self.timed(name, getattr(owner, attribute)))
            for name, owner, attribute in STAGES
        )


@contextmanager
def _patched(patches: Iterable[Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for one in patches:
            stack.enter_context(one)
        yield


def _with_numpy(plane: Plane) -> AbstractContextManager[None]:
    """Use numpy's loops, as the reference, where compiled ones are."""
    loops = [
        patch.object(samples, attribute, getattr(samples_numpy, attribute))
        for _, owner, attribute in STAGES
        if owner is samples
    ]
    return _patched([*loops, patch.object(plane, "arrivals", steady.ByArrays(plane.legs))])


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


def run(
    legs: int = 1_000,
    ticks: int = 500,
    codec: str = "PCMU",
    *,
    pause_ms: float = 0,
    beside_numpy: bool = False,
    halt: int = 0,
) -> dict[str, Any]:
    """Return the milliseconds of CPU that a tick takes, in all and by stage: the mean, the least.

    Each tick begins after a pause. With `beside_numpy` as many ticks are run with numpy's loops,
    in turns with the compiled ones; the ratio is that of the least ticks. With `halt` nothing
    comes for so many ticks, as when a network halts: what each of them takes is given too, and
    the first when all are heard again.

    Raises:
        InputError: nothing was compiled that could be compared.
    """
    if beside_numpy and samples.LOOPS == "numpy":
        raise InputError("--beside-numpy", samples.WHY_NUMPY, "loops that were compiled")
    turns: dict[str, Loops] = {samples.LOOPS: lambda _plane: nullcontext()}
    if beside_numpy:
        turns["numpy"] = _with_numpy
    found = _ticks(legs, ticks, codec, turns, pause_ms=pause_ms)
    result = {
        "participants": legs,
        "codec": codec,
        "loops": samples.LOOPS,
        "pause_ms": pause_ms,
        **_figures(found[samples.LOOPS]),
    }
    if beside_numpy:
        result["numpy"] = _figures(found["numpy"])
        ratio = result["tick_ms_least"] / result["numpy"]["tick_ms_least"]
        result["ratio_to_numpy"] = round(ratio, 3)
    if halt:
        result["halted_ms"] = _halted(legs, codec, halt)
    return result


def _halted(legs: int, codec: str, halt: int) -> list[float]:
    """Return what the ticks of a halt take, and the one after: the least of `_HALTS`."""
    said = payloads_of(codec)
    plane, packets = _plane(legs, codec, said)
    nothing = packets.pick(np.zeros(0, np.int64))
    clock = _Clock()
    tick_of = clock.timed("all", plane.tick)
    found = []
    for _ in range(_HALTS):
        took = []
        for turn in range(_WARM_UP + halt + 1):
            number = plane.tick_no
            _speak(packets, said, number)
            clock.ns = {}
            there = not _WARM_UP <= turn < _WARM_UP + halt
            tick_of(packets if there else nothing, number * FRAME_NS)
            took.append(clock.ns["all"])
        found.append(took[_WARM_UP:])
    return [round(ns / NS_PER_MS, 3) for ns in np.min(found, axis=0).tolist()]


def _ticks(
    legs: int, ticks: int, codec: str, turns: Mapping[str, Loops], *, pause_ms: float
) -> dict[str, list[dict[str, int]]]:
    """Return the time of each stage, of `ticks` ticks with each of the loops."""
    codecs.load()
    said = payloads_of(codec)
    plane, packets = _plane(legs, codec, said)
    clock = _Clock()
    tick_of = clock.timed("between the stages", plane.tick)
    found: dict[str, list[dict[str, int]]] = {name: [] for name in turns}
    while len(found[samples.LOOPS]) < _WARM_UP + ticks:
        for name, loops in turns.items():
            with loops(plane), clock.on():
                for _ in range(_TURN):
                    number = plane.tick_no
                    _speak(packets, said, number)
                    clock.ns = {}
                    time.sleep(pause_ms * NS_PER_MS / NS_PER_S)
                    tick_of(packets, number * FRAME_NS)
                    found[name].append(clock.ns)
    return {name: times[_WARM_UP:] for name, times in found.items()}


def _figures(ticks: list[dict[str, int]]) -> dict[str, Any]:
    """Return the mean and the least of all ticks, in all and by stage, dearest first.

    A stage's least is of the ticks that have it.
    """
    names = {name: [one[name] for one in ticks if name in one] for one in ticks for name in one}
    mean = {name: sum(times) / len(ticks) / NS_PER_MS for name, times in names.items()}
    least = min(sum(one.values()) for one in ticks)
    rows = sorted(names, key=lambda name: -mean[name])
    return {
        "tick_ms": round(sum(mean.values()), 3),
        "tick_ms_least": round(least / NS_PER_MS, 3),
        "stages_ms": {name: round(mean[name], 3) for name in rows},
        "stages_ms_least": {name: round(min(names[name]) / NS_PER_MS, 3) for name in rows},
    }
