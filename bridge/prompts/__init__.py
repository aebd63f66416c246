"""The spoken prompts and sounds, as data: `en/*.wav` with their texts, `sounds/*.wav`.

All files are 16-bit mono 8 kHz WAV. `scripts/make_prompts.py` makes them.
"""

import wave
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.errors import InputError
from bridge.units import SAMPLE_RATE_HZ

DIRECTORY: Final = Path(__file__).parent
"""Where the prompts that come with the program are."""

LANGUAGE: Final = "en"


def load(directory: Path = DIRECTORY, language: str = LANGUAGE) -> dict[str, NDArray[np.int16]]:
    """Return every clip of a language, and the sounds, by name (the file's, without `.wav`)."""
    files = [*sorted(directory.glob(f"{language}/*.wav")), *sorted(directory.glob("sounds/*.wav"))]
    return {file.stem: read_wav(file) for file in files}


def read_wav(file: Path) -> NDArray[np.int16]:
    """Return the samples of a 16-bit mono 8 kHz WAV file."""
    try:
        with wave.open(str(file), "rb") as wav:
            form = (wav.getnchannels(), wav.getsampwidth(), wav.getframerate())
            data = wav.readframes(wav.getnframes())
    except (wave.Error, EOFError) as error:
        raise InputError(str(file), str(error), "a WAV file") from error
    if form != (1, 2, SAMPLE_RATE_HZ):
        raise InputError(str(file), form, "mono, 2 bytes a sample, 8000 Hz")
    return np.frombuffer(data, "<i2").astype(np.int16)
