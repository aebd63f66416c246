"""Voice activity: speech is talk, noise is not, and nothing flickers."""

import itertools

import numpy as np
from numpy.typing import NDArray

from bridge.media import samples, voice
from bridge.media.voice import Voice
from tests.bridge.media.rig import Rig, coded, tone
from tests.bridge.media.speech import noise, spoken
from tests.oracle.voice_scalar import Ear


def followed(frames: NDArray[np.int16]) -> list[bool]:
    """Return whether a leg talks, look by look."""
    state = Voice.of(1)
    found = []
    for frame in frames:
        voice.look(state, samples.power_of(frame[None]))
        found.append(bool(state.talking[0]))
    return found


def changes(found: list[bool]) -> int:
    return sum(a != b for a, b in itertools.pairwise(found))


def test_every_leg_agrees_with_its_scalar_twin() -> None:
    rng = np.random.default_rng(12)
    state, ears = Voice.of(6), [Ear() for _ in range(6)]
    loud = rng.uniform(1, 4, 6)
    for _ in range(600):
        loud = np.where(rng.random(6) < 0.05, rng.uniform(1, 4, 6), loud)
        frames = (rng.standard_normal((6, 160)) * 10 ** loud[:, None]).clip(-32768, 32767)
        here = np.flatnonzero(rng.random(6) < 0.9)
        whole = frames.astype(np.int16)
        level = np.zeros(6)
        level[here] = samples.power_of(whole[here])
        changed = voice.look(state, level)
        silent = [0] * 160
        told = [ear.look(whole[n].tolist() if n in here else silent) for n, ear in enumerate(ears)]
        assert changed.tolist() == np.flatnonzero(told).tolist()
        assert state.talking.tolist() == [ear.talking for ear in ears]


def test_speech_is_talk_with_few_changes() -> None:
    found = followed(spoken()[::2])
    assert np.mean(found) > 0.8
    assert changes(found) < 12


def test_noise_is_no_talk_and_speech_above_it_is() -> None:
    hum = noise(400, rms=150)
    assert not any(followed(hum))
    speech = spoken()
    both = np.concatenate([hum, speech + noise(len(speech), rms=150, seed=2), hum])
    found = followed(both)
    assert not any(found[:400])
    assert np.mean(found[400:-400]) > 0.6
    assert not any(found[-380:])


def test_click_is_no_talk() -> None:
    frames = noise(100, rms=20)
    frames[50] = 20_000
    assert not any(followed(frames))


def test_tone_that_does_not_end_is_talk() -> None:
    assert all(followed(np.stack([tone(500, n) for n in range(3_000)]))[5:])


def test_plane_tells_who_begins_and_who_stops() -> None:
    """A muted leg, and one that is in no group, does not talk."""
    rig = Rig()
    for slot in range(4):
        rig.add(slot, group=1 if slot < 3 else -1)
    rig.plane.muted[1] = True
    told = []
    for n in range(80):
        loud = [rig.packet(slot, n, coded(tone(500, n))) for slot in (0, 1, 3) if n < 40]
        changed = rig.tick(*loud).talk
        told += [(slot, bool(rig.plane.voice.talking[slot])) for slot in changed]
    assert told == [(0, True), (0, False)]
