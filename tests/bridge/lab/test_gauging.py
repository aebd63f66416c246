"""Level, gaps, cutting off, packets, delay and echo: measured, and told when not as wanted."""

import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

import numpy as np
import pytest

from bridge.lab.audibility import Window
from bridge.lab.callers import Caller
from bridge.lab.chirp import SAMPLES, chirp, find
from bridge.lab.expectations import Audio
from bridge.lab.gauging import MEASURED_MAX, Gauge, Gauged, Late, cut_runs, never_late
from bridge.lab.sounds import Pcm
from bridge.lab.voice import decode, encode, sine

TONES = {"ann": 440, "ben": 1_010}


def window(pcm: Pcm) -> Window:
    heard = decode(encode(pcm, "PCMU"), "PCMU")
    return Window(heard, np.ones(len(heard) // 160, bool))


@dataclass
class Line:
    """A caller who hears `pcm` again and again, and of each sweep what comes back to him.

    `late_ms` and `gain` say what becomes of a sweep until it is heard here.
    """

    pcm: Pcm
    late_ms: int = 100
    gain: float = 1.0
    packet: int = 20
    sent: list[int] = field(default_factory=list)

    async def heard(self, from_ns: int, to_ns: int) -> Window:
        size = (to_ns - from_ns) * 8 // 1_000_000 // 160 * 160
        pcm = np.resize(self.pcm, size).astype(np.float64)
        for at_ns in self.sent:
            at = (at_ns - from_ns) * 8 // 1_000_000 + self.late_ms * 8
            if 0 <= at <= size - SAMPLES:
                pcm[at : at + SAMPLES] += self.gain * chirp()
        return window(pcm.clip(-32_768, 32_767).astype(np.int16))

    async def packet_ms(self) -> int:
        return self.packet

    async def probe(self, pcm: Pcm) -> int:
        assert np.array_equal(pcm, chirp())
        self.sent.append(time.monotonic_ns())
        return self.sent[-1]


@dataclass
class Torn(Line):
    """A line with holes in what is heard the first `times`."""

    times: int = 1

    async def heard(self, from_ns: int, to_ns: int) -> Window:
        self.times -= 1
        self.pcm = HOLE if self.times >= 0 else BOTH
        return await Line.heard(self, from_ns, to_ns)


async def measured(line: Line, late: Late = never_late, **audio: Any) -> Gauged:
    callers = {name: (cast(Caller, line),) for name in ("olivia", "ann", "ben")}
    wanted = Audio.model_validate(audio)
    return await Gauge("olivia", wanted, callers, TONES, late).measure()


SPOKEN = sine(440, 16_000)
BOTH = (SPOKEN + sine(1_010, 16_000)).astype(np.int16)
HOLE = np.where(np.arange(16_000) // 640 % 5 == 3, 0, SPOKEN).astype(np.int16)
LOUD = (sine(440, 16_000, dbfs=-1) // 2 + sine(1_010, 16_000, dbfs=-1) // 2).astype(np.int16)
CUT = sine(440, 16_000, dbfs=6)


@pytest.mark.parametrize(
    ("line", "audio", "note"),
    [
        (Line(BOTH), {"hears": ["ann"], "level": {"ann": "-17..-15"}}, "ann is heard at -16"),
        (Line(BOTH), {"hears": ["ann"], "gap": "20ms"}, "ann is heard with a gap of 0 ms"),
        (Line(HOLE), {"hears": ["ann"], "gap": "100ms"}, "ann is heard with a gap of"),
        (Line(LOUD), {"clipped": False}, "not cut off (peak"),
        (Line(CUT), {"clipped": True}, "times cut off at full scale"),
        (Line(BOTH, packet=30), {"packets": "30ms"}, "packets of 30 ms"),
        (Line(BOTH), {"hears": ["ann"], "delay": "100ms"}, "ann is heard 100 ms late"),
        (Line(BOTH, gain=0.005), {"echo": "40dB"}, "no echo above -40 dB"),
        (Line(BOTH, late_ms=-150), {"echo": "40dB"}, "no echo above -40 dB"),
    ],
)
async def test_what_is_as_it_must_be_holds(line: Line, audio: dict[str, Any], note: str) -> None:
    found = await measured(line, **audio)
    assert not found.faults
    assert note in found.notes[0]


@pytest.mark.parametrize(
    ("line", "audio", "reason"),
    [
        (Line(BOTH), {"hears": ["ann"], "level": {"ann": "-15.."}}, "ann is heard at -16"),
        (Line(HOLE), {"hears": ["ann"], "gap": "40ms"}, "ann is heard with a gap of 80 ms"),
        (Line(LOUD), {"clipped": True}, "not cut off (peak"),
        (Line(CUT), {"clipped": False}, "times cut off at full scale"),
        (Line(BOTH, packet=30), {"packets": "20ms"}, "packets of 30 ms"),
        (Line(BOTH, packet=0), {"packets": "20ms"}, "no packets"),
        (Line(BOTH, late_ms=240), {"hears": ["ann"], "delay": "200ms"}, "ann is heard 240 ms late"),
        (Line(BOTH, gain=0.1), {"hears": ["ann"], "delay": "200ms"}, "ann is not heard within 1.5"),
        (Line(BOTH, gain=0.1), {"echo": "30dB"}, "he hears himself 20 dB weaker, 100 ms late"),
        (Line(CUT, gain=0.0), {"echo": "40dB"}, "an echo is not to be told: what else he hears"),
    ],
)
async def test_what_is_not_fails_with_what_was_measured(
    line: Line, audio: dict[str, Any], reason: str
) -> None:
    found = await measured(line, **audio)
    assert len(found.faults) == 1
    assert reason in found.faults[0]


@pytest.mark.parametrize(
    ("times", "late_each", "holds"),
    [(MEASURED_MAX - 1, 1, True), (MEASURED_MAX, 1, False), (1, 0, False)],
)
async def test_a_fault_is_measured_again_only_if_ticks_were_late_and_not_for_ever(
    times: int, late_each: int, holds: bool
) -> None:
    counted = count(0, late_each)

    async def late(_now_ns: int) -> int:
        return next(counted)

    found = await measured(Torn(BOTH, times=times), late, hears=["ann"], gap="40ms")
    assert [len(found.faults), len(found.notes)] == [not holds, holds]


def test_a_sweep_is_found_to_the_sample_under_two_voices() -> None:
    pcm = np.concatenate([BOTH, BOTH]).astype(np.float64)
    pcm[7_777 : 7_777 + SAMPLES] += 0.1 * chirp()
    found = find(pcm.astype(np.int16), list(TONES.values()))
    assert found.at == 7_777
    assert found.gain_db == pytest.approx(-20, abs=1)
    assert find(BOTH, list(TONES.values())).gain_db < -45, "nothing is found where nothing is"
    assert find(BOTH[:100], []).gain_db == -np.inf


def test_a_peak_of_full_scale_is_no_cut() -> None:
    assert not cut_runs(window(sine(440, 8_000, dbfs=-0.4)))
    assert cut_runs(window(sine(440, 8_000, dbfs=3))) >= 800
