"""The spoken prompts and sounds, as data: `<language>/*.wav` with their texts, `sounds/*.wav`.

All files are mono 8 kHz WAV: those that come with the program G.711 µ-law, so that seven
languages stay small; an operator's own may be 16-bit too. `scripts/make_prompts.py` makes them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.errors import InputError
from bridge.link import DEFAULT_LANGUAGE, clip_name
from bridge.media.g711 import ITU_DECODE
from bridge.media.shape import PCMU
from bridge.units import SAMPLE_RATE_HZ

DIRECTORY: Final = Path(__file__).parent
"""Where the prompts that come with the program are."""

LANGUAGES: Final = ("en", "fr", "it", "de", "es", "pt", "nl")
"""The languages of R19, in the order in which a caller steps through them."""

_PCM: Final = (1, 16)
_ULAW: Final = (7, 8)


def load(
    directory: Path = DIRECTORY, language: str = DEFAULT_LANGUAGE
) -> dict[str, NDArray[np.int16]]:
    """Return every clip of a language but its numbers, and the sounds, by name (the file's)."""
    files = [*sorted(directory.glob(f"{language}/*.wav")), *sorted(directory.glob("sounds/*.wav"))]
    return {file.stem: read_wav(file) for file in files}


def load_all(directory: Path = DIRECTORY, own: Path | None = None) -> dict[str, NDArray[np.int16]]:
    """Return all clips as the worker knows them: "greeting", "n-42", "fr/greeting", "hold-music".

    A file of the operator's directory `own`, laid out in the same way, replaces the one that
    comes with the program.
    """
    files = dict(_files(directory))
    if own is not None:
        files.update(_files(own))
    return {name: read_wav(file) for name, file in files.items()}


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(directory.glob("sounds/*.wav")):
        yield file.stem, file
    for language in LANGUAGES:
        for pattern in (f"{language}/*.wav", f"{language}/numbers/*.wav"):
            for file in sorted(directory.glob(pattern)):
                yield clip_name(language, file.stem), file


def check(directory: Path) -> int:
    """Read every clip of an operator's directory; return how many there are.

    Raises:
        InputError: it is no directory, or a file of it cannot be played.
    """
    if not directory.is_dir():
        raise InputError("prompts.directory", str(directory), "a directory")
    files = dict(_files(directory))
    for file in files.values():
        read_wav(file)
    return len(files)


def read_wav(file: Path) -> NDArray[np.int16]:
    """Return the samples of a mono 8 kHz WAV file, 16-bit or µ-law."""
    data = file.read_bytes()
    chunks = dict(_chunks(data)) if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else {}
    form, samples = chunks.get(b"fmt ", b""), chunks.get(b"data")
    if len(form) < 16 or samples is None:
        raise InputError(str(file), data[:12], "a WAV file")
    kind, channels, rate, bits = (
        int.from_bytes(form[at:end], "little") for at, end in ((0, 2), (2, 4), (4, 8), (14, 16))
    )
    if (channels, rate) != (1, SAMPLE_RATE_HZ) or (kind, bits) not in (_PCM, _ULAW):
        found = f"{channels} channels, {rate} Hz, format {kind}, {bits} bits"
        raise InputError(str(file), found, "mono, 8000 Hz, 16-bit or µ-law")
    if kind == _ULAW[0]:
        return np.take(ITU_DECODE[PCMU], np.frombuffer(samples, np.uint8))
    return np.frombuffer(samples[: len(samples) // 2 * 2], "<i2").astype(np.int16)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):  # bounded by the file's length
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
