"""The clips that come with the program."""

import tomllib
import wave
from pathlib import Path

import numpy as np
import pytest

from bridge import prompts
from bridge.conference import prompts as names
from bridge.errors import InputError
from bridge.link import clip_name
from bridge.units import FRAME_SAMPLES


def level_dbfs(samples: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> float:
    return float(20 * np.log10(np.sqrt(np.mean((samples / 32_768.0) ** 2))))


@pytest.mark.parametrize("language", prompts.LANGUAGES)
def test_every_text_is_spoken_and_every_name_of_the_core_is_there(language: str) -> None:
    clips = prompts.load(language=language)
    texts = tomllib.loads((prompts.DIRECTORY / language / "prompts.toml").read_text())
    assert set(texts) | {"hold-music", "beep-in", "beep-out"} == set(clips)
    values = [value for key, value in vars(names).items() if key.isupper()]
    assert {value for value in values if isinstance(value, str)} - {names.CLIP} <= set(clips)


@pytest.mark.parametrize("language", prompts.LANGUAGES)
def test_levels_are_even(language: str) -> None:
    clips = prompts.load(language=language)
    for name in tomllib.loads((prompts.DIRECTORY / language / "prompts.toml").read_text()):
        assert -18.6 < level_dbfs(clips[name]) < -17.4, name
    assert -21 < level_dbfs(clips["hold-music"]) < -19


def test_hold_music_loops_without_a_seam() -> None:
    music = prompts.load()["hold-music"].astype(np.int32)
    assert len(music) % FRAME_SAMPLES == 0
    assert 20 <= len(music) / 8_000 <= 30
    steps = np.abs(np.diff(music))
    assert abs(int(music[0] - music[-1])) <= int(np.percentile(steps, 99))


def test_hold_music_stays_clear_of_the_callers_tones() -> None:
    """A caller's tone of 440 + n * 70 Hz is found by its level: the music must not hold any."""
    music = prompts.load()["hold-music"]
    power = np.abs(np.fft.rfft(music)) ** 2
    hertz = np.fft.rfftfreq(len(music), 1 / 8_000)
    for n in range(20):
        near = power[np.abs(hertz - (440 + 70 * n)) < 6].sum()
        assert 10 * np.log10(near / power.sum()) < -40, n


@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_other_wav_files_are_refused(tmp_path: Path, rate: int) -> None:
    file = tmp_path / "en" / "x.wav"
    file.parent.mkdir()
    with wave.open(str(file), "wb") as wav:
        wav.setnchannels(2 if rate == 8_000 else 1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(bytes(8))
    with pytest.raises(InputError, match=r"x\.wav.*mono"):
        prompts.load(tmp_path)


def test_what_is_no_wav_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    file.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="a WAV file"):
        prompts.read_wav(file)


def test_the_worker_knows_every_prompt_and_number_in_every_language() -> None:
    clips = prompts.load_all()
    for language in prompts.LANGUAGES:
        for name in (names.PROMPTS | names.NUMBERS) - names.SOUNDS:
            clip = clips[clip_name(language, name)]
            assert 0.1 < len(clip) / 8_000 < 30, (language, name)
    assert set(clips) >= names.SOUNDS
    assert sum(file.stat().st_size for file in prompts.DIRECTORY.rglob("*.wav")) < 14_000_000


def test_an_operators_file_replaces_the_bridges(tmp_path: Path) -> None:
    file = tmp_path / "fr" / "greeting.wav"
    file.parent.mkdir()
    with wave.open(str(file), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(8_000)
        wav.writeframes(b"\x01\x02" * 80)
    assert prompts.check(tmp_path) == 1
    clips = prompts.load_all(own=tmp_path)
    assert set(clips["fr/greeting"].tolist()) == {0x0201}
    assert len(clips["greeting"]) > 8_000


def test_an_operators_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"prompts\.directory"):
        prompts.check(tmp_path / "none")
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "beep-in.wav").write_bytes(b"RIFF....WAVE")
    with pytest.raises(InputError, match=r"beep-in\.wav"):
        prompts.check(tmp_path)
