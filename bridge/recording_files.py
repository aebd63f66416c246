"""Recordings on disk: their names, their formats, and how long they are kept (R12).

Knows files; it must not know the worker that writes them, nor who may have them. A recording is
written as WAV, so that it is readable at any moment, and made FLAC or Opus once it is closed.
"""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from bridge.errors import InputError
from bridge.service_settings import RecordingSettings

DAY_S: Final = 86_400
LEFT_BEHIND_S: Final = 60
"""A WAV file that was not written to for so long is not being recorded any more."""

BLOCK_FRAMES: Final = 48_000

SUFFIXES: Final = {"wav": ".wav", "flac": ".flac", "opus": ".opus"}
_KINDS: Final = {"flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}
_NAME: Final = re.compile(
    r"(?P<occurrence>[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9]{1,64})-(?P<part>[0-9]{1,6})(\+[0-9]{1,6})?"
    r"(\.(?P<track>[A-Za-z0-9_-]{1,100}))?\.(?P<kind>wav|flac|opus)"
)
_WAV_HEADER: Final = 44
_FIELD: Final = slice(28, 32)
"""Bytes a second, in the header of a WAV file."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """One file of a recording.

    Attributes:
        part: which part of its occurrence it is, from 1.
        track: the leg it is of; "" for the mix.
        kind: "wav", "flac" or "opus".
        seconds: how long it lasts; None where that cannot be told.
        closed_s: when it was last written to, seconds of the UNIX clock.
    """

    path: Path
    session: str
    occurrence: str
    part: int
    track: str
    kind: str
    size: int
    seconds: float | None
    closed_s: int


def named(name: str) -> re.Match[str] | None:
    """Return the parts of a recording's file name, None for any other.

    A part whose media worker died goes on in a file with `+` and a number behind the part.

    >>> found = named("s1.o7-2.leg-9.flac")
    >>> found and found.group("occurrence", "part", "track", "kind")
    ('s1.o7', '2', 'leg-9', 'flac')
    >>> found = named("s1.o7-2+1.wav")
    >>> found and found.group("part", "track")
    ('2', None)
    """
    return _NAME.fullmatch(name)


def check(settings: RecordingSettings) -> None:
    """Say early that a format cannot be written.

    Raises:
        InputError: the library of FLAC and Opus is not installed.
    """
    if settings.directory and settings.format != "wav":
        _soundfile(settings.format)


def _soundfile(kind: str) -> Any:
    try:
        import soundfile  # heavy, and only where a format wants it
    except ImportError:
        expected = "wav, or the extra `recording` installed (pip install tollbridge[recording])"
        raise InputError("recording.format", kind, expected) from None
    return soundfile


def listed(settings: RecordingSettings, session: str) -> list[RecordingFile]:
    """Return the files of a session's recordings, by occurrence, part and track."""
    if not settings.directory:
        return []
    folder = Path(settings.directory) / session
    found = [file for path in sorted(folder.glob("*")) if (file := described(path)) is not None]
    return sorted(found, key=lambda file: (file.occurrence, file.part, file.track))


def described(path: Path) -> RecordingFile | None:
    """Return what is known of a file; None when it is no recording, or gone."""
    name = named(path.name)
    if name is None:
        return None
    try:
        found = path.stat()
        seconds = _seconds(path, name["kind"], found.st_size)
    except OSError:
        return None
    return RecordingFile(
        path=path,
        session=path.parent.name,
        occurrence=name["occurrence"],
        part=int(name["part"]),
        track=name["track"] or "",
        kind=name["kind"],
        size=found.st_size,
        seconds=seconds,
        closed_s=int(found.st_mtime),
    )


def _seconds(path: Path, kind: str, size: int) -> float | None:
    if kind == "wav":
        with path.open("rb") as file:
            rate = int.from_bytes(file.read(_WAV_HEADER)[_FIELD], "little")
        return (size - _WAV_HEADER) / rate if rate else None
    try:
        return float(_soundfile(kind).info(str(path)).duration)
    except (InputError, RuntimeError):
        return None


def encoded(path: Path, kind: str) -> Path:
    """Make a closed WAV file FLAC or Opus, in its place; return where it is.

    The new file gets its name only when it is whole, and only then is the old one deleted.

    Raises:
        InputError: the library for it is not installed.
        OSError, RuntimeError: the file cannot be read or written.
    """
    soundfile: Any = _soundfile(kind)
    form, subtype = _KINDS[kind]
    unfinished = path.with_suffix(".unfinished")
    closed = path.stat()
    with soundfile.SoundFile(str(path)) as wav:
        new = soundfile.SoundFile(
            str(unfinished),
            "w",
            samplerate=wav.samplerate,
            channels=wav.channels,
            format=form,
            subtype=subtype,
        )
        with new:
            for block in wav.blocks(BLOCK_FRAMES, dtype="int16"):  # bounded by the file's length
                new.write(block)
    ready = path.with_suffix(SUFFIXES[kind])
    os.utime(unfinished, ns=(closed.st_atime_ns, closed.st_mtime_ns))  # it is kept from then on
    unfinished.replace(ready)
    path.unlink()
    log.info("recording.encoded", path=str(ready), bytes=ready.stat().st_size, wav=closed.st_size)
    return ready


def tracks_of(mix: Path) -> Iterator[Path]:
    """Yield the file of a mix and those of its tracks."""
    yield mix
    yield from sorted(mix.parent.glob(f"{mix.stem}.*{mix.suffix}"))


def purge(settings: RecordingSettings) -> int:
    """Delete what is older than its days of retention; return how many files that were."""
    oldest = time.time_ns() // 10**9 - settings.keep_days * DAY_S
    count = 0
    for path in Path(settings.directory).glob("*/*"):
        file = described(path)
        if file is not None and file.closed_s < oldest:
            try:
                path.unlink(missing_ok=True)
            except OSError as fault:
                log.error("recording.not_deleted", path=str(path), error=str(fault))
                continue
            log.info("recording.deleted", path=str(path), reason="retention")
            count += 1
    return count


def tend(settings: RecordingSettings) -> None:
    """Delete what is too old, and encode what a bridge that ended had left as WAV.

    Waits for the disk: call it in a thread.
    """
    if not settings.directory:
        return
    purge(settings)
    if settings.format == "wav":
        return
    recent = time.time_ns() // 10**9 - LEFT_BEHIND_S
    for path in Path(settings.directory).glob("*/*.wav"):
        file = described(path)
        if file is None or file.closed_s >= recent:
            continue
        try:
            encoded(path, settings.format)
        except (OSError, RuntimeError) as fault:
            log.error("recording.not_encoded", path=str(path), error=str(fault))
