"""Prompts are heard beside the callers' tones, whole, and never one for another."""

import numpy as np
import pytest

from bridge.lab.audibility import Window, analyse
from bridge.lab.clips import alike, find_clips, known_pcm, prompt_heard
from bridge.lab.places import Reals
from bridge.lab.sounds import Pcm, SoundReport, sounding_frames
from bridge.lab.voice import FULL_SCALE, decode, encode, sine
from bridge.prompts import LANGUAGES
from bridge.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

PROMPTS = [name for name in known_pcm() if "n-" not in name and name != "hold-music"]
ENGLISH = [name for name in PROMPTS if "/" not in name]
NUMBERS = [name for name in known_pcm() if name.startswith("n-") and not name.endswith("-and")]
LONG_S = 8
"""Of longer prompts, the help, it is enough to try the English ones."""

VOICES_HZ = range(440, 440 + 12 * 70, 70)
"""The tones that stories give their callers, the first dozen."""

BEGINNING = 0.7


def voices(rng: np.random.Generator, samples: int, count: int) -> tuple[dict[str, int], Reals]:
    """Return some callers' tones, each at a level and phase of its own; half begin or end in it."""
    tones = {f"c{hertz}": int(hertz) for hertz in rng.choice(VOICES_HZ, count, replace=False)}
    total = np.zeros(samples)
    for hertz in tones.values():
        start = int(rng.integers(SAMPLE_RATE_HZ))
        one = sine(hertz, samples, dbfs=rng.uniform(-20, -12), start=start).astype(np.float64)
        edge = int(rng.integers(samples))
        part = [slice(0), slice(0), slice(edge), slice(edge, None)][rng.integers(4)]
        one[part] = 0
        total += one
    return tones, total


def received(rng: np.random.Generator, clip: Pcm, count: int) -> tuple[Window, dict[str, int]]:
    """Return what a caller receives while a clip plays beside `count` voices, through G.711."""
    lead, after = (int(rng.integers(800, 6_400)) for _ in range(2))
    samples = (lead + len(clip) + after) // FRAME_SAMPLES * FRAME_SAMPLES
    tones, total = voices(rng, samples, count)
    total[lead : lead + len(clip)] += clip
    codec = rng.choice(["PCMU", "PCMA"])
    pcm = np.round(total).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    whole = np.ones(samples // FRAME_SAMPLES, np.bool_)
    return Window(decode(encode(pcm, codec), codec), whole), tones


def found(name: str, window: Window, tones: dict[str, int]) -> SoundReport:
    return find_clips(window, {name: known_pcm()[name]}, tones, {})[name]


@pytest.mark.parametrize("name", ENGLISH)
def test_a_prompt_that_played_to_its_end_is_heard_beside_up_to_four_voices(name: str) -> None:
    rng = np.random.default_rng(PROMPTS.index(name))
    for count in range(5):
        window, tones = received(rng, known_pcm()[name], count)
        assert prompt_heard(report := found(name, window, tones)), (tones, report)


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_prompt_of_any_language_is_heard_beside_voices(language: str) -> None:
    rng = np.random.default_rng(LANGUAGES.index(language))
    for name in PROMPTS:
        clip = known_pcm()[name]
        if name.startswith(f"{language}/") and len(clip) < LONG_S * SAMPLE_RATE_HZ:
            window, tones = received(rng, clip, int(rng.integers(1, 5)))
            report = analyse(window, tones, {name: clip}).sounds[name]
            assert prompt_heard(report), (name, tones, report)


@pytest.mark.parametrize("name", ENGLISH)
def test_the_beginning_of_a_prompt_is_not_the_prompt(name: str) -> None:
    rng = np.random.default_rng(PROMPTS.index(name))
    clip = known_pcm()[name]
    sounding = np.flatnonzero(sounding_frames(clip))
    begins = clip[: sounding[round(len(sounding) * BEGINNING)] * FRAME_SAMPLES]
    for count in (0, 2):
        window, tones = received(rng, begins, count)
        assert not prompt_heard(report := found(name, window, tones)), (tones, report)


@pytest.mark.parametrize(
    "name", [name for name in ENGLISH if len(known_pcm()[name]) < LONG_S * SAMPLE_RATE_HZ]
)
def test_no_prompt_is_heard_where_another_one_like_it_plays(name: str) -> None:
    rng = np.random.default_rng(PROMPTS.index(name))
    for other in alike(name):
        window, tones = received(rng, known_pcm()[other], int(rng.integers(5)))
        assert not prompt_heard(report := found(name, window, tones)), (other, tones, report)


@pytest.mark.parametrize("name", NUMBERS[::9])
def test_a_number_is_no_part_of_a_longer_one(name: str) -> None:
    rng = np.random.default_rng(NUMBERS.index(name))
    for spoken in {name, *alike(name)} & set(NUMBERS):
        window, tones = received(rng, known_pcm()[spoken], 1)
        report = found(name, window, tones)
        assert prompt_heard(report) == (spoken == name), (spoken, tones, report)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_no_prompt_is_heard_in_voices_alone(count: int) -> None:
    rng = np.random.default_rng(count)
    for name in ENGLISH[::3]:
        window, tones = received(rng, np.zeros_like(known_pcm()[name]), count)
        assert found(name, window, tones).matched_ms == 0, (name, tones)


def test_what_a_prompt_shares_with_others_is_known() -> None:
    assert set(alike("recording-off")) == {"recording-on"}
    assert set(alike("now-locked")) == {"now-unlocked"}
    assert "n-72" in alike("n-2")
    assert not alike("greeting")
