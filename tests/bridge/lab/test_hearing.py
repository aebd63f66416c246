"""Listening: a story goes on once all is heard, and what was received is judged behind it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest

from bridge.lab.audibility import Window, analyse
from bridge.lab.callers import Caller
from bridge.lab.clips import known_pcm
from bridge.lab.expectations import Audio
from bridge.lab.hearing import CONTEXT_NS, LISTEN_S, Listener, Received, Sought, Waited
from bridge.lab.sounds import Pcm, SoundReport
from bridge.lab.voice import FULL_SCALE, decode, encode, sine
from bridge.units import FRAME_SAMPLES, MS_PER_S, NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ

TONES = {"olivia": 440, "ann": 510, "ben": 580}
ACTED_NS = 7 * NS_PER_S


def mixed(*parts: Pcm | tuple[float, Pcm], seconds: float) -> Window:
    """Return what is received when sounds play together, each from a moment on, through G.711."""
    total = np.zeros(round(seconds * SAMPLE_RATE_HZ) // FRAME_SAMPLES * FRAME_SAMPLES)
    for part in parts:
        at_s, pcm = part if isinstance(part, tuple) else (0.0, part)
        first = round(at_s * SAMPLE_RATE_HZ)
        piece = pcm[: len(total) - first]
        total[first : first + len(piece)] += piece
    pcm = total.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return Window(decode(encode(pcm, "PCMU"), "PCMU"), np.ones(len(pcm) // FRAME_SAMPLES, bool))


@dataclass
class Ear:
    """A caller who hears a tone from a moment on, in real time; before it, nothing."""

    from_ns: int
    name: str = "olivia"
    asked_ns: list[int] = field(default_factory=list)

    async def until(self, at_ns: int) -> None:
        await asyncio.sleep(max(at_ns - time.monotonic_ns(), 0) / NS_PER_S)

    async def heard(self, from_ns: int, to_ns: int) -> Window:
        await self.until(to_ns)
        self.asked_ns.append(to_ns)
        silent_s = max(self.from_ns - from_ns, 0) / NS_PER_S
        seconds = (to_ns - from_ns) / NS_PER_S
        tone = sine(TONES["ann"], round(seconds * SAMPLE_RATE_HZ))
        return mixed((min(silent_s, seconds), tone), seconds=seconds)


def listener(ear: object = None, *, thorough: bool = False, **audio: Any) -> Listener:
    caller = cast(Caller, ear or Ear(0))
    return Listener(caller, Audio.model_validate(audio), TONES, ACTED_NS, thorough=thorough)


async def test_the_story_goes_on_as_soon_as_a_voice_was_there_for_a_second() -> None:
    ear = Ear(time.monotonic_ns() + 500 * NS_PER_MS)
    waited = await listener(ear, hears=["ann"]).wait()
    assert waited.end_ns >= ear.from_ns + (LISTEN_S - 0.1) * NS_PER_S, "all of it"
    assert max(ear.asked_ns) == waited.end_ns, "but not what comes after it"
    received = await listener(ear, hears=["ann"]).receive(waited)
    span_ns = waited.end_ns - waited.begin_ns + 2 * CONTEXT_NS
    assert received.window.seconds == pytest.approx(span_ns / NS_PER_S, abs=0.03)


async def test_a_second_that_was_heard_stays_heard_when_it_is_cut_a_frame_later() -> None:
    """A voice that began 60 ms into the second: 80 ms by the frames of what is judged."""
    ear = Ear(time.monotonic_ns() + 500 * NS_PER_MS)
    one = listener(ear, hears=["ann"])
    waited = await one.wait()
    assert waited.lasting
    begins_s = 2 * CONTEXT_NS / NS_PER_S + 0.08
    window = mixed((begins_s, sine(TONES["ann"], 3 * SAMPLE_RATE_HZ)), seconds=2.2)
    received = Received(window, None)
    assert (await one.judge(waited, received)).faults == ()
    gone = replace(waited, lasting=False)
    assert (await one.judge(gone, received)).faults == ("ann is not heard",)


async def test_who_is_never_heard_is_not_settled_by_the_end_of_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.lab.hearing.PATIENCE_S", 1.5)
    one = listener(Ear(2**62), hears=["ann"])
    waited = await one.wait()
    assert not waited.lasting
    heard = await one.judge(waited, await one.receive(waited))
    assert heard.faults == ("ann is not heard",)


async def test_who_must_not_be_heard_is_listened_for_as_long_as_a_voice_takes() -> None:
    ear = Ear(0)
    one = listener(ear, not_hears=["ann"])
    begun_ns = time.monotonic_ns()
    waited = await one.wait()
    assert time.monotonic_ns() >= waited.end_ns >= begun_ns + LISTEN_S * NS_PER_S
    heard = await one.judge(waited, await one.receive(waited))
    assert heard.faults == ("ann is heard",)


PROMPT = known_pcm()["lecture-muted"]
MUSIC = known_pcm()["hold-music"]
LONG = 6 * SAMPLE_RATE_HZ
WINDOWS: Mapping[str, tuple[Window, dict[str, Any]]] = {
    "a voice": (mixed(sine(510, LONG), seconds=3), {"hears": ["ann"], "not_hears": ["ben"]}),
    "another": (
        mixed(sine(510, LONG), sine(580, LONG, dbfs=-40), seconds=3),
        {"hears": ["ann"], "not_hears": ["ben"]},
    ),
    "himself": (mixed(sine(510, LONG), sine(440, LONG, dbfs=-30), seconds=3), {"hears": ["ann"]}),
    "music": (
        mixed(MUSIC, seconds=3),
        {"hears": ["hold-music"], "not_hears": ["olivia", "ann", "ben"]},
    ),
    "somebody beside music": (
        mixed(MUSIC, sine(580, LONG, dbfs=-30), seconds=3),
        {"hears": ["hold-music"], "not_hears": ["ann", "ben"]},
    ),
    "a voice after a prompt": (
        mixed(PROMPT, (4.2, sine(510, LONG)), seconds=6),
        {"hears": ["ann"], "not_hears": ["ben", "olivia"]},
    ),
    "somebody beside a prompt": (
        mixed(PROMPT, sine(580, 3 * SAMPLE_RATE_HZ), (4.2, sine(510, LONG)), seconds=6),
        {"hears": ["ann"], "not_hears": ["ben"]},
    ),
    "a prompt that is not for him": (
        mixed(sine(510, LONG), (0.8, PROMPT), seconds=6),
        {"hears": ["ann"], "not_hears": ["lecture-muted"]},
    ),
    "silence": (mixed(seconds=3), {"silence": True}),
    "no silence": (mixed((1.5, sine(510, 800)), seconds=3), {"silence": True}),
}
FAULTS = {
    "another": ["ben is heard"],
    "himself": ["olivia hears himself"],
    "somebody beside music": ["ben is heard"],
    "somebody beside a prompt": ["ben is heard"],
    "a prompt that is not for him": ["lecture-muted is heard"],
}


@pytest.mark.parametrize("what", WINDOWS)
async def test_what_is_judged_at_a_glance_is_judged_as_when_all_sounds_are_looked_for(
    what: str,
) -> None:
    window, audio = WINDOWS[what]
    waited = Waited(0, int(window.seconds * NS_PER_S), Sought({}, {}, ACTED_NS))
    glance, thorough = [
        await listener(thorough=thorough, **audio).judge(waited, Received(window, None))
        for thorough in (False, True)
    ]
    assert glance.ok == thorough.ok == (what not in {*FAULTS, "no silence"}), glance.observed
    assert glance.faults == thorough.faults
    assert list(glance.faults) == FAULTS.get(what, list(glance.faults))


async def test_only_where_something_seems_wrong_all_sounds_are_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sought: list[int] = []
    real = analyse

    def counted(window: Window, tones: Any, sounds: Any, **more: Any) -> Any:
        sought.append(len(sounds))
        return real(window, tones, sounds, **more)

    monkeypatch.setattr("bridge.lab.hearing.analyse", counted)
    for what, least, most in (("a voice", 0, 0), ("another", 30, 100)):
        sought.clear()
        window, audio = WINDOWS[what]
        waited = Waited(0, NS_PER_S, Sought({}, {}, ACTED_NS))
        await listener(**audio).judge(waited, Received(window, None))
        assert least <= max(sought) <= most, what


def seconds_after(sought: Sought, at_ns: int) -> float:
    return (sought.next_ns - at_ns) / NS_PER_S


def test_a_prompt_is_looked_for_once_enough_of_it_can_have_played() -> None:
    length_s = len(PROMPT) / SAMPLE_RATE_HZ
    sought = Sought({"lecture-muted": PROMPT}, {}, ACTED_NS)
    assert seconds_after(sought, ACTED_NS) == pytest.approx(0.8 * length_s, abs=0.01)
    assert not sought.due(ACTED_NS + NS_PER_S)
    at_ns = sought.next_ns
    assert list(sought.due(at_ns)) == ["lecture-muted"]
    sought.add({"lecture-muted": SoundReport(matched_ms=2_000, of_sound=0.5)}, at_ns)
    assert seconds_after(sought, at_ns) == pytest.approx(0.3 * length_s, abs=0.01)
    assert sought.unheard() == ["lecture-muted"]
    sought.add({"lecture-muted": SoundReport(matched_ms=3_500, of_sound=0.81)}, at_ns)
    assert sought.unheard() == []
    assert not sought.due(at_ns + 60 * NS_PER_S), "it stays heard"


def test_of_several_prompts_the_last_one_is_waited_for_and_those_heard_are_not_sought_again() -> (
    None
):
    said = {"ann": np.zeros(8 * SAMPLE_RATE_HZ, np.int16)}
    sought = Sought({"lecture-muted": PROMPT, "ann": said["ann"]}, said, ACTED_NS)
    at_ns = sought.next_ns
    sought.add({"lecture-muted": SoundReport(of_sound=1.0), "ann": SoundReport()}, at_ns)
    assert seconds_after(sought, at_ns) == pytest.approx(800 / MS_PER_S), "of speech, any part"
    assert list(sought.due(sought.next_ns)) == ["ann"]
    sought.add({"ann": SoundReport(matched_ms=820, of_sound=0.1)}, sought.next_ns)
    assert sought.unheard() == []
