"""WAV files to say and of what was heard; the standard library's `wave` does the work."""

import wave
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from bridge.errors import InputError
from bridge.phone.values import RATES_HZ, Samples


def read(path: Path) -> tuple[Samples, int]:
    """Return the samples of a 16-bit WAV file, its channels mixed, and its rate.

    Raises:
        InputError: it is no such file, or of a rate that PJSIP does not take.
    """
    rates = ", ".join(map(str, RATES_HZ))
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate_hz, frames = file.getparams()[:4]
            data = file.readframes(frames)
    except (OSError, EOFError, wave.Error) as error:
        raise InputError("--wav", str(path), f"a WAV file: {error}") from None
    if width != 2 or rate_hz not in RATES_HZ:
        found = f"{path}: {8 * width} bits at {rate_hz} Hz"
        raise InputError("--wav", found, f"16 bits at one of {rates} Hz")
    pcm = np.frombuffer(data, "<i2").reshape(-1, channels)
    return np.round(pcm.mean(axis=1)).astype(np.int16), rate_hz


class WavFile:
    """A mono WAV file that is written while it grows; readable at any moment after `close`."""

    def __init__(self, path: Path, rate_hz: int) -> None:
        try:
            self._file = wave.open(str(path), "wb")  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise InputError("--record", str(path), f"a file to write: {error}") from None
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(rate_hz)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the header."""
        self._file.close()

    def write(self, samples: Samples) -> None:
        """Add samples."""
        self._file.writeframes(samples.astype("<i2").tobytes())
