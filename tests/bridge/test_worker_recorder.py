"""Recordings on disk: continuous whatever is lost, readable at any moment."""

import wave
from pathlib import Path

import numpy as np
import pytest

from bridge import worker_recorder
from bridge.worker_recorder import Finished, Recorder, wav_header


def frames(level: int, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.full(count * 160, level, np.int16)


def read(path: Path) -> list[int]:
    """Return the first sample of each frame."""
    with wave.open(str(path)) as wav:
        assert wav.getparams()[:3] == (1, 2, 8_000)
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
    return [int(value) for value in samples[::160]]


def test_lost_pieces_leave_silence_and_the_length_is_right(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.open(1, str(tmp_path / "a.wav"))
    recorder.write(1, 0, frames(5, 2))
    recorder.write(1, 4, frames(7, 1))
    recorder.close(1, 7)
    recorder.stop()
    assert recorder.finished() == [Finished(1, str(tmp_path / "a.wav"), 7, "")]
    assert recorder.finished() == []
    assert read(tmp_path / "a.wav") == [5, 5, 0, 0, 7, 0, 0]


def test_file_that_was_never_closed_is_readable(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.open(1, str(tmp_path / "a.wav"))
    recorder.write(1, 0, frames(5, 3))
    recorder.stop()
    assert read(tmp_path / "a.wav") == [5, 5, 5]
    assert recorder.finished() == []


def test_file_that_cannot_be_opened_is_told_at_its_end(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.open(1, str(tmp_path / "none" / "a.wav"))
    recorder.write(1, 0, frames(5, 3))
    recorder.close(1, 3)
    recorder.stop()
    (done,) = recorder.finished()
    assert "No such file" in done.error


def test_full_disk_is_told_and_does_not_stop_the_others(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.open(1, "/dev/full")
    recorder.open(2, str(tmp_path / "b.wav"))
    for key in (1, 2):
        recorder.write(key, 0, frames(5, 3))
        recorder.close(key, 3)
    recorder.stop()
    errors = {done.key: done.error for done in recorder.finished()}
    assert "No space" in errors[1]
    assert errors[2] == ""


def test_disk_that_is_too_slow_loses_pieces_not_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_recorder, "PIECES_MAX", 0)
    recorder = Recorder()
    recorder.open(1, str(tmp_path / "a.wav"))
    recorder.write(1, 0, frames(5, 3))
    recorder.close(1, 3)
    recorder.stop()
    assert recorder.dropped == 1
    assert read(tmp_path / "a.wav") == [0, 0, 0]


def test_header_is_of_a_wav_file() -> None:
    assert wav_header(1)[:4] == b"RIFF"
    assert len(wav_header(1)) == 44


def test_a_recording_of_four_days_still_has_a_header() -> None:
    days = wav_header(4 * 86_400 * 50)
    assert len(days) == 44
    assert 2**32 - 400 < int.from_bytes(days[40:], "little") < 2**32 - 36
