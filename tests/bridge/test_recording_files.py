"""Recordings on disk: formats, names, how long they are kept (R12)."""

import asyncio
import os
import time
from pathlib import Path

import numpy as np
import pytest

from bridge import recording_files, serve
from bridge.config import parse_settings
from bridge.errors import InputError
from bridge.service_settings import RecordingSettings
from bridge.worker_recorder import wav_header

soundfile = pytest.importorskip("soundfile", reason="the extra `recording` is not installed")

FRAMES = 550  # eleven seconds


def wav(path: Path, hertz: float = 500) -> Path:
    """Write a recording as the worker does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(FRAMES * 160) / 8_000
    samples = (8_000 * np.sin(2 * np.pi * hertz * t)).astype("<i2")
    path.write_bytes(wav_header(FRAMES) + samples.tobytes())
    return path


def aged(path: Path, days: float) -> Path:
    at = time.time() - days * 86_400
    os.utime(path, (at, at))
    return path


@pytest.mark.parametrize("kind", ["flac", "opus"])
def test_a_file_keeps_its_length_to_the_frame_and_its_sound(tmp_path: Path, kind: str) -> None:
    path = wav(tmp_path / "s1" / "s1.o1-1.wav")
    ready = recording_files.encoded(path, kind)
    assert ready.name == f"s1.o1-1.{kind}"
    assert not path.exists()
    samples, rate = soundfile.read(str(ready), dtype="int16")
    assert abs(len(samples) / rate - 11) <= 0.02
    middle = samples[rate : 3 * rate].astype(float)
    spectrum = np.abs(np.fft.rfft(middle))
    assert abs(spectrum.argmax() / 2 - 500) < 2
    assert ready.stat().st_size < (FRAMES * 320) * 0.7
    file = recording_files.described(ready)
    assert file is not None
    assert file.seconds == pytest.approx(11, abs=0.02)


def test_flac_is_the_same_to_the_bit(tmp_path: Path) -> None:
    path = wav(tmp_path / "s1" / "s1.o1-1.wav")
    before, _ = soundfile.read(str(path), dtype="int16")
    after, _ = soundfile.read(str(recording_files.encoded(path, "flac")), dtype="int16")
    assert np.array_equal(before, after)


def test_a_file_that_cannot_be_read_is_left_and_told(tmp_path: Path) -> None:
    path = tmp_path / "s1" / "s1.o1-1.wav"
    path.parent.mkdir()
    path.write_bytes(b"not a recording")
    with pytest.raises(RuntimeError):
        recording_files.encoded(path, "flac")
    assert path.exists()
    assert not path.with_suffix(".flac").exists()


def test_files_are_listed_by_occurrence_part_and_track(tmp_path: Path) -> None:
    settings = RecordingSettings(directory=str(tmp_path))
    for name in ("s1.o1-2.wav", "s1.o1-1.leg-b.wav", "s1.o1-1.wav", "notes.txt", "x.wav"):
        wav(tmp_path / "s1" / name)
    wav(tmp_path / "s2" / "s2.o1-1.wav")
    found = recording_files.listed(settings, "s1")
    assert [(f.occurrence, f.part, f.track) for f in found] == [
        ("s1.o1", 1, ""),
        ("s1.o1", 1, "leg-b"),
        ("s1.o1", 2, ""),
    ]
    assert found[0].seconds == pytest.approx(11)
    assert recording_files.listed(settings, "nobody") == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("s1.o7-2.wav", ("s1.o7", "2", None, "wav")),
        ("s1.o7-2.leg-9.flac", ("s1.o7", "2", "leg-9", "flac")),
        ("my-1.o7-2.wav", ("my-1.o7", "2", None, "wav")),
        ("my-1.o7-12.leg-1234.opus", ("my-1.o7", "12", "leg-1234", "opus")),
        ("s1.o7-2+1.wav", ("s1.o7", "2", None, "wav")),
        ("s1.o7-2.unfinished", None),
        ("../s1.o7-2.wav", None),
        ("s1-2.wav", None),
    ],
)
def test_a_name_is_read_as_it_was_written(name: str, parts: tuple[str | None, ...] | None) -> None:
    found = recording_files.named(name)
    named = found.group("occurrence", "part", "track", "kind") if found else None
    assert named == parts


def test_what_is_too_old_goes_and_nothing_else(tmp_path: Path) -> None:
    settings = RecordingSettings(directory=str(tmp_path), keep_days=30)
    old = [aged(wav(tmp_path / "s1" / f"s1.o1-{n}.wav"), 31) for n in (1, 2)]
    young = aged(wav(tmp_path / "s1" / "s1.o2-1.wav"), 29)
    other = aged(wav(tmp_path / "s1" / "not-ours.txt"), 400)
    recording_files.tend(settings)
    assert [path.exists() for path in (*old, young, other)] == [False, False, True, True]


def test_what_a_killed_bridge_left_as_wav_is_encoded_later(tmp_path: Path) -> None:
    settings = RecordingSettings(directory=str(tmp_path), format="flac")
    left = aged(wav(tmp_path / "s1" / "s1.o1-1.wav"), 0.1)
    busy = wav(tmp_path / "s1" / "s1.o2-1.wav")
    recording_files.tend(settings)
    assert (left.exists(), left.with_suffix(".flac").exists()) == (False, True)
    assert busy.exists()


def test_a_format_without_its_library_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(InputError, match=r"recording\.format.*'flac'.*extra `recording`"):
        recording_files.check(RecordingSettings(format="flac"))
    recording_files.check(RecordingSettings(format="wav"))
    recording_files.check(RecordingSettings(directory="", format="flac"))


def test_the_days_of_retention_count_from_the_recording_not_from_its_encoding(
    tmp_path: Path,
) -> None:
    path = aged(wav(tmp_path / "s1" / "s1.o1-1.wav"), days=5)
    closed = int(path.stat().st_mtime)
    recording_files.tend(RecordingSettings(directory=str(tmp_path), keep_days=30, format="flac"))
    (file,) = recording_files.listed(RecordingSettings(directory=str(tmp_path)), "s1")
    assert (file.kind, file.closed_s) == ("flac", closed)


def test_one_file_that_cannot_be_deleted_keeps_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, gone = (aged(wav(tmp_path / "s1" / f"s1.o{n}-1.wav"), days=9) for n in (1, 2))
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name == stuck.name:
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert recording_files.purge(RecordingSettings(directory=str(tmp_path), keep_days=1)) == 1
    assert stuck.exists()
    assert not gone.exists()


async def test_a_directory_that_fails_once_is_tended_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    again, loop = asyncio.Event(), asyncio.get_running_loop()

    def fail_once(_: RecordingSettings) -> None:
        asked.append("asked")
        if len(asked) == 1:
            raise OSError(5, "Input/output error")
        loop.call_soon_threadsafe(again.set)

    monkeypatch.setattr(recording_files, "tend", fail_once)
    monkeypatch.setattr(serve, "RECORDINGS_TENDED_S", 0.0)
    tending = asyncio.create_task(serve._tend_recordings(parse_settings({})))
    async with asyncio.timeout(10):
        await again.wait()
    tending.cancel()
