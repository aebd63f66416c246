"""Writes recordings to WAV files in a thread of its own; knows files, nothing of groups' legs.

The tick hands over pieces and never waits. Each piece is written where it belongs, so a piece
that had to be dropped leaves silence and the file stays wall-clock continuous. The header is
brought up to date after every piece: after a crash the file is readable up to there.
"""

import queue
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from bridge.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

PIECES_MAX: Final = 2_000
"""Pieces waiting for the disk; more are dropped and leave silence."""

_HEADER_BYTES: Final = 44
_SAMPLE_BYTES: Final = 2
_FRAME_BYTES: Final = FRAME_SAMPLES * _SAMPLE_BYTES
_SIZE_MAX: Final = (2**32 - 1 - 36) // _FRAME_BYTES * _FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Finished:
    """A file that is closed. `error` is empty when all of it was written."""

    key: int
    path: str
    frames: int
    error: str


@dataclass(slots=True)
class _File:
    """One open recording."""

    path: str
    file: BinaryIO | None
    frames: int = 0
    error: str = ""


def wav_header(frames: int) -> bytes:
    """Return the header of a 16-bit mono 8 kHz WAV file of `frames` frames.

    >>> len(wav_header(50)), wav_header(50)[40:]
    (44, b'\\x80>\\x00\\x00')
    """
    # Of more than 4 GiB, three days, a WAV file cannot say how long it is.
    size = min(frames * _FRAME_BYTES, _SIZE_MAX)
    rate = SAMPLE_RATE_HZ * _SAMPLE_BYTES
    form = struct.pack("<IHHIIHH", 16, 1, 1, SAMPLE_RATE_HZ, rate, _SAMPLE_BYTES, 16)
    return (
        b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data"
        + struct.pack("<I", size)
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Open:
    key: int
    path: str


@dataclass(frozen=True, slots=True)
class _Write:
    key: int
    frame: int
    samples: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class _Close:
    key: int
    frames: int


class Recorder:
    """The writer thread and its queue.

    Attributes:
        dropped: pieces that found the queue full.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._orders: queue.SimpleQueue[_Open | _Write | _Close | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._files: dict[int, _File] = {}
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def open(self, key: int, path: str) -> None:
        """Begin a file."""
        self._orders.put(_Open(key, path))

    def write(self, key: int, frame: int, samples: NDArray[np.int16]) -> None:
        """Write samples at a frame of a file, unless the disk is too far behind."""
        if self._orders.qsize() >= PIECES_MAX:
            self.dropped += 1
        else:
            self._orders.put(_Write(key, frame, samples))

    def close(self, key: int, frames: int) -> None:
        """End a file at a length of `frames`; `finished` tells when that is done."""
        self._orders.put(_Close(key, frames))

    def finished(self) -> list[Finished]:
        """Return the files closed since the last time."""
        done = []
        while not self._finished.empty():  # bounded by the files closed
            done.append(self._finished.get())
        return done

    def stop(self) -> None:
        """Write what is queued, close every file, end the thread."""
        self._orders.put(None)
        self._thread.join()

    # --- in the thread --------------------------------------------------------------------

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            if isinstance(order, _Open):
                self._files[order.key] = _opened(order.path)
                continue
            file = self._files[order.key]
            if isinstance(order, _Write):
                end = order.frame + len(order.samples) // FRAME_SAMPLES
                _written(file, order.frame, order.samples, max(end, file.frames))
            else:
                del self._files[order.key]
                self._finished.put(self._closed(order, file))
        for file in self._files.values():
            if file.file is not None:
                file.file.close()

    def _closed(self, order: _Close, file: _File) -> Finished:
        _written(file, order.frames, np.zeros(0, np.int16), order.frames)
        if file.file is not None:
            try:
                file.file.truncate(_HEADER_BYTES + order.frames * _FRAME_BYTES)
            except OSError as error:
                file.error = file.error or str(error)
            file.file.close()
        return Finished(order.key, file.path, order.frames, file.error)


def _opened(path: str) -> _File:
    try:
        file = Path(path).open("wb", buffering=0)  # noqa: SIM115 - closed by _closed
    except OSError as error:
        return _File(path, None, error=str(error))
    made = _File(path, file)
    _written(made, 0, np.zeros(0, np.int16), 0)
    return made


def _written(file: _File, frame: int, samples: NDArray[np.int16], frames: int) -> None:
    """Write samples at a frame, then the header for a length of `frames`."""
    if file.file is None:
        return
    try:
        file.file.seek(_HEADER_BYTES + frame * _FRAME_BYTES)
        file.file.write(samples.astype("<i2").tobytes())
        file.file.seek(0)
        file.file.write(wav_header(frames))
        file.frames = frames
    except OSError as error:
        file.error = file.error or str(error)
