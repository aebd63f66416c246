"""The media worker with one fault patched in: `python -m tests.mutants.worker --fd N`.

Which fault is told by the environment, so that the launcher starts it as it would the real one.
"""

import os
import sys
from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bridge import worker
from bridge.lab.voice import decode, encode, sine
from bridge.media import mix, outgoing, samples
from bridge.media.played import Played
from bridge.media.tick import Plane, TickResult
from bridge.units import FRAME_SAMPLES

FAULT = "TOLLBRIDGE_TEST_FAULT"
CODECS = ("PCMU", "PCMA")

real_mix_minus = mix.mix_minus
real_mix_and_encode = Plane._mix_and_encode
real_tell = worker.Worker._tell
real_sum_up = samples.sum_up

LATE_TICKS = 15
HOLE_TICKS, HOLE_EVERY = 5, 50
Flags = NDArray[np.bool_]


def own_voice(groups: mix.Groups, voices: mix.Voices, buffers: mix.MixBuffers) -> None:
    """The first leg of each mix hears the whole sum: himself too."""
    real_mix_minus(groups, voices, buffers)
    rows = len(groups.order)
    for dense in range(len(groups.dense)):
        row = int(np.flatnonzero(groups.group[:rows] == dense)[0])
        slot, codec = groups.order[row], CODECS[int(voices.codec[groups.order[row]])]
        voices.codes[voices.used] = encode(mix.saturated(buffers.total[dense]), codec)
        voices.pick[slot], voices.used = voices.used, voices.used + 1


def waiting_hears(plane: Plane, played: Played, skipped: int, result: TickResult) -> None:
    """Who hears a prompt or hold music outside any mix hears another leg with it."""
    real_mix_and_encode(plane, played, skipped, result)
    count = plane._count
    for slot in plane.plays.playing(count).tolist():
        others = np.flatnonzero(plane.open[:count])
        others = others[others != slot]
        if plane.group[slot] < 0 and len(others):
            codec = CODECS[int(plane.codec[slot])]
            row = int(plane._delivery.pick[slot])
            voice = plane.jitter.ring[played.cell[others[0]]].astype(np.int32)
            both = decode(plane._delivery.codes[row], codec) + voice
            plane._delivery.codes[row] = encode(both.clip(-32_768, 32_767).astype(np.int16), codec)


def keys_leak(self: worker.Worker, result: TickResult) -> None:
    """A key that one presses is played as its tone to all the others."""
    for slot, _, _ in result.keys:
        group = int(self._plane.group[slot])
        if group >= 0:
            samples = 6 * FRAME_SAMPLES
            tone = sine(770, samples).astype(np.int32) + sine(1_336, samples)
            self._clips.add("leak", tone.astype(np.int16))
            self._plane.plays.start_group(group, ("leak",))
    real_tell(self, result)


def mixed(
    groups: mix.Groups, voices: mix.Voices, buffers: mix.MixBuffers, said: NDArray[np.int16]
) -> None:
    """Mix as ever, but for what each slot says, (count, S)."""
    other = replace(voices, ring=said, cell=np.arange(len(said)))
    real_mix_minus(groups, other, buffers)
    voices.used = other.used


def quieter(groups: mix.Groups, voices: mix.Voices, buffers: mix.MixBuffers) -> None:
    """Everybody is mixed in at half of what he said."""
    mixed(groups, voices, buffers, voices.ring[voices.cell] // 2)


def wraps(
    groups: mix.Groups,
    cell: NDArray[np.int64],
    ring: NDArray[np.int16],
    gain: NDArray[np.float32],
    quiet: Flags,
    buffers: mix.MixBuffers,
) -> Flags:
    """A sum above full scale is not saturated: it comes out at the other end."""
    speaks = real_sum_up(groups, cell, ring, gain, quiet, buffers)
    buffers.total[:] = buffers.total.astype(np.int16)
    return speaks


class Holes:
    """A tenth of each second nobody is mixed in."""

    def __init__(self) -> None:
        self.tick = 0

    def mix(self, groups: mix.Groups, voices: mix.Voices, buffers: mix.MixBuffers) -> None:
        self.tick += 1
        said = voices.ring[voices.cell]
        mixed(groups, voices, buffers, said * (self.tick % HOLE_EVERY >= HOLE_TICKS))


class Late:
    """Everybody is mixed in 300 ms after he was there."""

    def __init__(self) -> None:
        self.said: deque[NDArray[np.int16]] = deque(maxlen=LATE_TICKS)

    def mix(self, groups: mix.Groups, voices: mix.Voices, buffers: mix.MixBuffers) -> None:
        now = voices.ring[voices.cell]
        late = np.zeros_like(now)
        if len(self.said) == LATE_TICKS:  # who came since then was not there
            then = self.said[0][: len(now)]
            late[: len(then)] = then
        mixed(groups, voices, buffers, late)
        self.said.append(now)


def ptime_ignored(out: outgoing.Outgoing, slot: int, ptime_ms: int) -> None:
    """Packets are of 20 ms, whatever the other side asks for."""
    del out, slot, ptime_ms


def patch(fault: str) -> None:
    """Put one fault in."""
    match fault:
        case "own_voice":
            mix.mix_minus = own_voice
        case "waiting_hears":
            setattr(Plane, "_mix_and_encode", waiting_hears)  # noqa: B010 - mypy refuses
        case "keys_leak":
            setattr(worker.Worker, "_tell", keys_leak)  # noqa: B010 - the same
        case "quieter":
            mix.mix_minus = quieter
        case "wraps":
            setattr(samples, "sum_up", wraps)  # noqa: B010 - mypy refuses
        case "holes":
            mix.mix_minus = Holes().mix
        case "late":
            mix.mix_minus = Late().mix
        case "ptime_ignored":
            setattr(outgoing.Outgoing, "set_ptime", ptime_ignored)  # noqa: B010 - the same
        case _:
            raise ValueError(fault)


if __name__ == "__main__":
    patch(os.environ[FAULT])
    sys.exit(worker.main())
