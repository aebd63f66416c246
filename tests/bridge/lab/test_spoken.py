"""Voices that speak: which files can be said, and how what was heard of them is scored."""

import wave
from pathlib import Path

import numpy as np
import pytest

from bridge.errors import InputError
from bridge.lab.audibility import Window
from bridge.lab.spoken import SCORED_S, samples_said, score
from bridge.lab.voice import decode, encode
from bridge.lab.words import SPEECH, Voice
from bridge.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

SPOKEN = samples_said(Voice(sound=SPEECH))


def wav(file: Path, seconds: float, *, rate: int = SAMPLE_RATE_HZ) -> Path:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.full(round(seconds * rate), 500, np.int16).tobytes())
    return file


def window(pcm: np.ndarray[tuple[int], np.dtype[np.int16]]) -> Window:
    frames = len(pcm) // FRAME_SAMPLES
    return Window(pcm[: frames * FRAME_SAMPLES], np.ones(frames, np.bool_))


def alike(
    rate: int, said: np.ndarray[tuple[int], np.dtype[np.int16]], heard: object, mode: str
) -> float:
    assert (rate, mode) == (SAMPLE_RATE_HZ, "nb")
    return 4.5 if np.abs(said.astype(int) - np.asarray(heard, int)).max() < 1_000 else 1.0


def test_the_speech_of_the_lab_is_whole_frames_and_some_seconds_long() -> None:
    assert len(SPOKEN) % FRAME_SAMPLES == 0
    assert 5 < len(SPOKEN) / SAMPLE_RATE_HZ < 8


def test_a_file_is_said_whole_frame_by_whole_frame(tmp_path: Path) -> None:
    file = wav(tmp_path / "hello.wav", 1.01)
    assert len(samples_said(Voice(sound=str(file)))) == 50 * FRAME_SAMPLES


@pytest.mark.parametrize(
    ("seconds", "rate", "expected"),
    [(0.5, 8_000, "from 1 to 60 s"), (61, 8_000, "from 1 to 60 s"), (2, 16_000, "mono, 8000 Hz")],
)
def test_files_that_cannot_be_said_are_refused(
    tmp_path: Path, seconds: float, rate: int, expected: str
) -> None:
    file = wav(tmp_path / "bad.wav", seconds, rate=rate)
    with pytest.raises(InputError, match=expected):
        samples_said(Voice(sound=str(file)))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="No such file"):
        samples_said(Voice(sound="nowhere.wav"))
    with pytest.raises(InputError, match="null byte"):
        samples_said(Voice(sound="a\0.wav"))


def test_what_was_heard_is_scored_against_what_was_said_at_that_place() -> None:
    twice = np.tile(SPOKEN, 3)
    at = 12_345
    heard = decode(encode(twice[at : at + 7 * SAMPLE_RATE_HZ], "PCMU"), "PCMU")
    assert score(window(heard), SPOKEN, alike) == 4.5


def test_what_is_not_heard_or_too_short_has_no_score() -> None:
    short = window(SPOKEN[: round((SCORED_S - 1) * SAMPLE_RATE_HZ)])
    assert score(short, SPOKEN, alike) is None
    silence = window(np.zeros(6 * SAMPLE_RATE_HZ, np.int16))
    assert score(silence, SPOKEN, alike) is None
