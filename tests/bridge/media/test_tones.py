"""Keys as tones in the audio: heard by Q.24's measures, not in speech, and kept from others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import tones
from bridge.media.shape import FRAME
from bridge.media.tones import COLUMNS_HZ, KEYPAD, ROWS_HZ, Tones
from tests.bridge.media.rig import Rig, coded, decoded
from tests.bridge.media.speech import noise, spoken
from tests.oracle.tones_scalar import Ear


def beep(
    key: str,
    *,
    millis: float = 100,
    before: int = 300,
    low: float = 5_000,
    high: float = 5_000,
    off: float = 1.0,
) -> NDArray[np.int16]:
    """Return frames with one key in silence that starts `before` samples."""
    at = KEYPAD.index(key)
    t = np.arange(int(millis * 8)) / 8_000
    samples = low * np.sin(2 * np.pi * ROWS_HZ[at // 4] * off * t + 1)
    samples += high * np.sin(2 * np.pi * COLUMNS_HZ[at % 4] * off * t)
    whole = np.concatenate([np.zeros(before), samples, np.zeros(1_000)])
    return whole[: len(whole) // FRAME * FRAME].astype(np.int16).reshape(-1, FRAME)


def heard(frames: NDArray[np.int16]) -> list[tuple[str, int]]:
    state = Tones.of(1)
    keys = []
    for frame in frames:
        keys += tones.hear(state, np.array([0]), frame[None])[0]
    return [(key.key, key.duration_ms) for key in keys]


@pytest.mark.parametrize("key", KEYPAD)
def test_each_key_is_heard_once_with_its_duration(key: str) -> None:
    [(found, millis)] = heard(beep(key))
    assert found == key
    assert millis == pytest.approx(100, abs=20)


@pytest.mark.parametrize("before", range(0, 320, 16))
def test_shortest_key_of_q24_is_heard_wherever_it_falls(before: int) -> None:
    assert [key for key, _ in heard(beep("5", millis=40, before=before))] == ["5"]


@pytest.mark.parametrize("before", range(0, 320, 16))
def test_shorter_than_q24_asks_is_no_key_below_half(before: int) -> None:
    assert heard(beep("5", millis=15, before=before)) == []


@pytest.mark.parametrize("off", [0.985, 1.015])
@pytest.mark.parametrize("key", KEYPAD)
def test_frequencies_may_be_off_by_one_and_a_half_percent(key: str, off: float) -> None:
    assert [found for found, _ in heard(beep(key, off=off))] == [key]


@pytest.mark.parametrize(("low", "high"), [(2_000, 5_000), (5_000, 2_000), (500, 500)])
def test_tones_may_differ_in_level_and_be_quiet(low: float, high: float) -> None:
    assert [key for key, _ in heard(beep("9", low=low, high=high))] == ["9"]


def test_one_tone_alone_is_no_key() -> None:
    assert heard(beep("9", low=0)) == []
    assert heard(beep("9", high=0)) == []


def test_same_key_twice_is_two_keys_and_a_gap_of_10_ms_is_none() -> None:
    once = beep("7", millis=80, before=0)[:4]
    gap = np.zeros((3, FRAME), np.int16)
    assert [key for key, _ in heard(np.concatenate([once, gap, once, gap]))] == ["7", "7"]
    broken = beep("7", millis=200, before=0).copy()
    broken.reshape(-1)[800:860] = 0
    assert [key for key, _ in heard(broken)] == ["7"]


def test_keys_without_a_gap_are_told_apart() -> None:
    frames = np.concatenate([beep("1", before=0)[:5], beep("2", before=0)])
    assert [key for key, _ in heard(frames)] == ["1", "2"]


def test_keys_are_heard_through_noise() -> None:
    frames = beep("3")
    frames += noise(len(frames), rms=700)  # 17 dB below the tones
    assert [key for key, _ in heard(frames)] == ["3"]


@pytest.mark.parametrize("voice", ["en", "en+f3", "de+m3", "fr+f2", "es", "ja+f1"])
def test_no_talk_off_on_speech(voice: str) -> None:
    assert heard(spoken(voice=voice)) == []


def test_no_keys_in_noise() -> None:
    assert heard(noise(3_000, rms=3_000)) == []


def test_every_leg_agrees_with_its_scalar_twin() -> None:
    rng = np.random.default_rng(23)
    state, ears = Tones.of(4), [Ear() for _ in range(4)]
    streams = []
    for leg in range(4):
        parts = [
            beep(
                KEYPAD[rng.integers(16)],
                millis=float(rng.uniform(5, 90)),
                before=int(rng.integers(0, 500)),
                low=float(rng.uniform(300, 6_000)),
                high=float(rng.uniform(300, 6_000)),
                off=float(rng.uniform(0.97, 1.03)),
            )
            for _ in range(8)
        ]
        stream = np.concatenate(parts)[:120]
        streams.append(stream + noise(len(stream), rms=200, seed=leg))
    count = min(map(len, streams))
    said: list[list[tuple[str, int]]] = [[] for _ in range(4)]
    for n in range(count):
        frames = np.stack([stream[n] for stream in streams])
        keys, beeps = tones.hear(state, np.arange(4), frames)
        told = [ear.frame(frames[leg].tolist()) for leg, ear in enumerate(ears)]
        assert beeps.tolist() == [beep for _, beep in told]
        for leg in range(4):
            mine = [(key.key, key.duration_ms) for key in keys if key.slot == leg]
            assert mine == told[leg][0]
            said[leg] += mine
    assert sum(map(len, said)) > 4


def conference(*, events: bool) -> tuple[list[str], NDArray[np.int16]]:
    """Let leg 0 press a key in-band; return the keys told and what leg 1 heard."""
    rig = Rig()
    for slot in range(2):
        rig.add(slot, group=1)
    rig.remote(0, events=events)
    keys, frames = [], []
    for n, frame in enumerate(beep("4", millis=200, before=3 * FRAME)):
        keys += [key.key for key in rig.tick(rig.packet(0, n, coded(frame))).keys]
        frames.append(decoded(rig.payload(1)))
    return keys, np.concatenate(frames)


def test_leg_without_telephone_events_presses_keys_that_nobody_hears() -> None:
    keys, others = conference(events=False)
    assert keys == ["4"]
    assert np.count_nonzero(np.abs(others) > 500) == 0


def test_leg_with_telephone_events_may_beep() -> None:
    keys, others = conference(events=True)
    assert keys == []
    assert np.count_nonzero(np.abs(others) > 500) > 1_000
