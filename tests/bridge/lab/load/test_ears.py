"""Who hears whom, judged from sound that is made here: what is mixed in is what is found."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.lab.load.captures import Sampler
from bridge.lab.load.crowd import Crowd
from bridge.lab.load.ears import Heard, judge
from bridge.lab.load.voices import TICKS_PER_S, TURN_TICKS, frames
from bridge.lab.voice import decode, encode
from bridge.units import FRAME_NS, FRAME_SAMPLES
from tests.bridge.lab.load.test_voices import crowd

AMPLITUDE = 2_900.0
HEADER = 12


class Room:
    """A bridge in ten lines: mixes what the crowd says, so many ticks late; faults can be set."""

    def __init__(self, callers: Crowd, *, late: int = 2, codec: str = "PCMU") -> None:
        self.callers, self.late, self.codec = callers, late, codec
        self.table = decode(frames(codec, AMPLITUDE), codec).astype(np.int32)
        self.said: list[NDArray[np.int32]] = []
        self.sampler = Sampler(callers, codec, AMPLITUDE, 100)
        self.deaf: set[int] = set()
        self.lost: set[int] = set()
        self.mute: set[int] = set()
        self.mirror: set[int] = set()
        self.leak: tuple[int, int] | None = None
        self.noise: NDArray[np.int32] | None = None
        self.verdicts: list[Heard] = []

    def run(self, turns: int) -> Heard:
        """Return the verdict on the last turn that ended, of even conferences."""
        for tick in range(turns * TURN_TICKS + 1):
            now_ns = tick * FRAME_NS
            self.callers.turn(tick, now_ns)
            self.callers.sent_ns[:] = now_ns
            voice = self.callers.voice(tick)
            self.said.append(self.table[voice, tick % TICKS_PER_S])
            if tick >= self.late and tick not in self.lost:
                self._hear(tick)
            for capture in self.sampler.step(tick, now_ns + FRAME_NS):
                if capture.half == 0:
                    self.verdicts.append(judge(capture))
        return self.verdicts[-1]

    def _hear(self, tick: int) -> None:
        said = self.said[tick - self.late].copy()
        said[list(self.mute)] = 0
        callers = self.callers
        own = said.copy()
        own[list(self.mirror)] = 0
        total = np.stack([said[callers.conference == c].sum(axis=0) for c in range(2)])
        heard = total[callers.conference] - own
        if self.leak is not None:
            speaker, listener = self.leak
            heard[listener] += said[speaker]
        if self.noise is not None:
            heard += self.noise[tick % len(self.noise)]
        listeners = np.array([c for c in range(callers.count) if c not in self.deaf])
        codes = encode(heard.clip(-32_768, 32_767).astype(np.int16), self.codec)
        data = np.zeros((callers.count, 256), np.uint8)
        data[:, HEADER : HEADER + FRAME_SAMPLES] = codes
        came_ns = np.full(len(listeners), tick * FRAME_NS)
        self.sampler.take(
            listeners, np.full(len(listeners), tick & 0xFFFF), came_ns, data, listeners
        )


def room(participants: int = 20, talkers: int = 10, **more: object) -> Room:
    return Room(crowd(participants, 2, talkers), **more)  # type: ignore[arg-type]  # as they are


def whats(heard: Heard) -> list[tuple[str, int]]:
    return [(fault.what, fault.listener) for fault in heard.faults]


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_a_bridge_without_fault_has_none(codec: str) -> None:
    heard = room(codec=codec).run(3)
    assert (heard.judged, heard.holed, heard.pairs, heard.faults) == (10, 0, 90, [])
    assert heard.talkers == set(range(0, 20, 2))
    assert not heard.unheard


def test_conferences_larger_than_the_talkers_are_judged_by_who_talks_now() -> None:
    heard = room(60, talkers=4).run(5)
    assert (heard.judged, heard.pairs, heard.faults) == (30, 4 * 30 - 4, [])


def test_a_voice_that_nobody_hears_is_missing_with_each_and_one_way() -> None:
    bridge = room()
    bridge.mute = {4}
    heard = bridge.run(3)
    assert whats(heard) == [("missing", c) for c in range(0, 20, 2) if c != 4]
    assert {fault.whose for fault in heard.faults} == {4}
    assert heard.unheard == {4}


def test_who_hears_himself_is_named() -> None:
    bridge = room()
    bridge.mirror = {6}
    assert whats(bridge.run(3)) == [("own", 6)]


def test_a_voice_of_another_conference_is_wrong_and_named_over_the_turns() -> None:
    bridge = room()
    bridge.leak = (3, 8)
    bridge.run(6)
    found = [whats(heard) for heard in bridge.verdicts[1:]]
    assert found.count([("wrong", 8)]) >= len(found) - 1  # it may hide behind one of ours, once


def test_who_receives_nothing_hears_nobody() -> None:
    bridge = room()
    bridge.deaf = {0}
    heard = bridge.run(3)
    assert whats(heard) == [("missing", 0)] * 9
    assert not heard.unheard


def test_a_few_lost_packets_are_no_fault_and_many_are_no_verdict() -> None:
    bridge = room()
    bridge.lost = {2 * TURN_TICKS + at for at in (50, 67, 88)}
    assert not bridge.run(3).faults
    bridge = room()
    bridge.lost = set(range(2 * TURN_TICKS + 50, 3 * TURN_TICKS, 5))
    heard = bridge.run(3)
    assert (heard.judged, heard.holed, heard.faults) == (0, 10, [])


def test_a_frame_more_or_less_is_no_silence() -> None:
    bridge = room()
    for tick in range(3 * TURN_TICKS + 1):
        if tick == 2 * TURN_TICKS + 75:
            bridge.late += 1
        bridge.callers.turn(tick, tick * FRAME_NS)
        bridge.callers.sent_ns[:] = tick * FRAME_NS
        voice = bridge.callers.voice(tick)
        bridge.said.append(bridge.table[voice, tick % TICKS_PER_S])
        if tick >= bridge.late:
            bridge._hear(tick)
        for capture in bridge.sampler.step(tick, (tick + 1) * FRAME_NS):
            if capture.half == 0:
                bridge.verdicts.append(judge(capture))
    assert not bridge.verdicts[-1].faults


def test_a_short_sound_of_the_bridge_is_nobodys_voice() -> None:
    bridge = room()
    at = np.arange(TURN_TICKS * FRAME_SAMPLES).reshape(TURN_TICKS, FRAME_SAMPLES)
    beep = (4_000 * np.sin(2 * np.pi * 1_000 * at / 8_000)).astype(np.int32)
    beep[:70] = beep[82:] = 0
    bridge.noise = beep
    assert not bridge.run(3).faults


def test_who_came_or_left_meanwhile_may_be_heard_or_not() -> None:
    bridge = room()
    bridge.callers.steady_ns[2] = int(2.5 * TURN_TICKS) * FRAME_NS
    heard = bridge.run(3)
    assert not heard.faults
    assert 2 not in heard.listeners
    assert heard.pairs == 9 * 8


@pytest.mark.parametrize("late", [1, 4, 30])
def test_delay_is_what_passes_between_a_voice_sent_and_heard(late: int) -> None:
    bridge = room(late=late)
    heard = bridge.run(3)
    assert len(heard.delays_ms) == 9  # the leader cannot hear himself
    assert heard.delays_ms == pytest.approx([late * 20.0] * 9, abs=1.0)
    assert not heard.faults


def test_nobody_to_listen_is_no_verdict() -> None:
    callers = crowd(4, 2)
    for caller in range(4):
        callers.end(caller)
    heard = Room(callers).run(3)
    assert (heard.judged, heard.holed, heard.faults) == (0, 0, [])


def _listeners(verdicts: Sequence[Heard]) -> list[int]:
    return [listener for heard in verdicts for listener in heard.listeners]


def test_nobody_is_examined_twice_before_all_have_been() -> None:
    bridge = room(40)
    bridge.sampler.sample = 5
    bridge.run(5)
    listeners = _listeners(bridge.verdicts)
    assert sorted(listeners[:20]) == list(range(0, 40, 2))
