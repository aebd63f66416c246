"""The files of each recording of a media worker: one of the mix, and one of each leg's track.

Knows groups and paths; the samples come from the plane's taps, the writing is the recorder's.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bridge.link import MixHeard, RecordingDone
from bridge.media.recording import MIX, Piece
from bridge.media.values import TickResult
from bridge.worker_recorder import Recorder


@dataclass(slots=True)
class _Files:
    """The open files of one recording: the recorder's key of each track, and what went wrong."""

    group: int
    path: str
    mix: bool
    keys: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    error: str = ""


class RecordingFiles:
    """Files by group; a file of a track is opened when its leg first speaks."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._open: dict[int, _Files] = {}
        self._closing: dict[int, _Files] = {}  # by the recorder's keys
        self._silent: list[_Files] = []  # closed without a file: nobody had a track
        self._next_key = 0

    @property
    def groups(self) -> list[int]:
        """The groups being recorded."""
        return list(self._open)

    def start(self, group: int, path: str, *, mix: bool = True) -> None:
        """Begin the file of a mix; without `mix` only tracks are written."""
        self._open[group] = _Files(group, path, mix)
        if mix:
            self._key(self._open[group], MIX)

    def _key(self, files: _Files, track: str) -> int:
        if track not in files.keys:
            self._next_key += 1
            files.keys[track] = self._next_key
            self._recorder.open(self._next_key, path_of(files.path, track))
        return files.keys[track]

    def write(self, pieces: Iterable[Piece]) -> None:
        """Hand pieces over, each to its file."""
        for piece in pieces:  # bounded by who is recorded
            files = self._open[piece.group]
            if piece.track == MIX and not files.mix:
                continue
            key = self._key(files, piece.track)
            self._recorder.write(key, piece.frame, piece.samples)

    def stop(self, group: int, pieces: Iterable[Piece], frames: int) -> None:
        """Close all files of a recording at one length; `finished` tells when that is done."""
        self.write(pieces)
        files = self._open.pop(group)
        files.frames = frames
        if not files.keys:
            self._silent.append(files)
        for key in files.keys.values():
            self._closing[key] = files
            self._recorder.close(key, frames)

    def forget(self) -> None:
        """Say nothing more of what is being closed."""
        self._closing.clear()
        self._silent.clear()

    def turn(self, result: TickResult) -> list[RecordingDone | MixHeard]:
        """Write what a tick recorded; return what control is to be told of it."""
        self.write(result.pieces)
        live = [
            MixHeard(one.group, base64.b64encode(one.samples.astype("<i2").tobytes()).decode())
            for one in result.heard  # bounded by the groups listened to
        ]
        return [*live, *self.finished()]

    def finished(self) -> list[RecordingDone]:
        """Return the recordings all of whose files are closed since the last time."""
        done = [_done(files) for files in self._silent]
        self._silent.clear()
        for one in self._recorder.finished() if self._closing else ():
            files = self._closing.pop(one.key, None)
            if files is None:
                continue
            files.error = files.error or one.error
            files.keys = {track: key for track, key in files.keys.items() if key != one.key}
            if not files.keys:
                done.append(_done(files))
        return done


def _done(files: _Files) -> RecordingDone:
    return RecordingDone(files.group, files.path, files.frames, files.error, files.mix)


def path_of(path: str, track: str) -> str:
    """Return the file of a track beside that of its mix.

    >>> path_of("out/s1.o1-1.wav", "leg-7"), path_of("out/s1.o1-1.wav", "")
    ('out/s1.o1-1.leg-7.wav', 'out/s1.o1-1.wav')
    """
    mix = Path(path)
    return str(mix.with_name(f"{mix.stem}.{track}{mix.suffix}")) if track else path
