"""Text to a clip that the bridge can play, spoken by espeak-ng when it is on this machine.

Knows espeak-ng and WAV files; knows no session. A text is spoken once a language and kept while
the media worker lives; how many are kept is bounded, for the worker keeps them in memory.
"""

import asyncio
import io
import shutil
import tempfile
import wave
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.server import Bridge
from bridge.units import SAMPLE_RATE_HZ
from bridge.web.problems import ApiProblem

VOICES: Final = {"en": "en-us", "fr": "fr-fr", "pt": "pt-pt"}
"""espeak-ng's voices where a language's code alone is not one's usual choice."""

WORDS_A_MINUTE: Final = "150"
SPEAK_S: Final = 20.0
TEXTS_MAX: Final = 200
FILE_S_MAX: Final = 120
SAMPLE_BYTES: Final = 2
CHANNELS_MAX: Final = 8
RATES_HZ: Final = range(8_000, 192_001)


class Speech:
    """Speaks texts for one bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._names: dict[tuple[str, str], str] = {}
        self._starts = 0
        self._one_at_a_time = asyncio.Lock()

    async def clip(self, text: str, language: str) -> str:
        """Return the name under which `Announce` plays a text; it is spoken when it is new."""
        async with self._one_at_a_time:
            if self._starts != self._bridge.media.starts:  # a new worker has heard of no clip
                self._starts, self._names = self._bridge.media.starts, {}
            name = self._names.get((text, language))
            if name is None:
                if len(self._names) >= TEXTS_MAX:
                    detail = f"{TEXTS_MAX} texts are kept until the bridge restarts"
                    raise ApiProblem(409, "too_many_texts", detail)
                name = await self._load(text, language)
                self._names[text, language] = name
            return name

    async def file(self, data: bytes) -> str:
        """Return the name under which `Announce` plays an uploaded WAV file."""
        with tempfile.TemporaryDirectory(prefix="tollbridge-upload-") as folder:
            ready = Path(folder) / "ready.wav"
            await asyncio.to_thread(from_upload, data, ready)
            return await self._bridge.load_clip(ready)

    async def _load(self, text: str, language: str) -> str:
        with tempfile.TemporaryDirectory(prefix="tollbridge-speech-") as folder:
            spoken, ready = Path(folder) / "spoken.wav", Path(folder) / "ready.wav"
            await speak(text, language, spoken)
            await asyncio.to_thread(to_telephone, spoken, ready)
            return await self._bridge.load_clip(ready)


def from_upload(data: bytes, ready: Path) -> None:
    """Write an uploaded 16-bit WAV file, of any rate and up to 8 channels, for telephones.

    Raises:
        ApiProblem: 409 `bad_audio`, with what it is instead.
    """
    try:
        with wave.open(io.BytesIO(data)) as wav:
            channels, width, rate = wav.getnchannels(), wav.getsampwidth(), wav.getframerate()
            frames = wav.readframes(wav.getnframes())
    except (wave.Error, EOFError, RuntimeError) as fault:
        raise ApiProblem(409, "bad_audio", f"expected a WAV file: {fault}") from None
    if width != SAMPLE_BYTES or not 1 <= channels <= CHANNELS_MAX or rate not in RATES_HZ:
        found = f"{8 * width} bits, {channels} channels, {rate} Hz"
        expected = (
            f"16 bits, at most {CHANNELS_MAX} channels, {min(RATES_HZ)} to {max(RATES_HZ)} Hz"
        )
        raise ApiProblem(409, "bad_audio", f"{found}: expected {expected}")
    whole = frames[: len(frames) // (SAMPLE_BYTES * channels) * SAMPLE_BYTES * channels]
    samples = np.frombuffer(whole, "<i2").reshape(-1, channels).mean(axis=1)
    if not 0 < len(samples) <= FILE_S_MAX * rate:
        detail = f"{len(samples) / rate:.1f} s: expected up to {FILE_S_MAX} s of audio"
        raise ApiProblem(409, "bad_audio", detail)
    _write(resample(samples, rate), ready)


async def speak(text: str, language: str, file: Path) -> None:
    """Have espeak-ng write a text to a WAV file; the text goes by its standard input."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise ApiProblem(409, "no_speech", "espeak-ng is not on the bridge's machine")
    voice = VOICES.get(language, language)
    process = await asyncio.create_subprocess_exec(
        program,
        *("--stdin", "-v", voice, "-s", WORDS_A_MINUTE, "-w", str(file)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await asyncio.wait_for(process.communicate(text.encode()), SPEAK_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ApiProblem(503, "no_speech", "espeak-ng did not end in time") from None
    if process.returncode != 0:
        raise ApiProblem(503, "no_speech", f"espeak-ng ended with {process.returncode}")


def to_telephone(spoken: Path, ready: Path) -> None:
    """Write a mono 16-bit WAV file of any rate as one of 8 kHz."""
    with wave.open(str(spoken), "rb") as wav:
        rate = wav.getframerate()
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(np.float64)
    _write(resample(samples, rate), ready)


def _write(samples: NDArray[np.float64], ready: Path) -> None:
    with wave.open(str(ready), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(SAMPLE_BYTES)
        wav.setframerate(SAMPLE_RATE_HZ)
        wav.writeframes(samples.astype("<i2").tobytes())


def resample(samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Return samples at 8 kHz, in [-32,768, 32,767]: what is above 4 kHz is cut off, not folded.

    >>> len(resample(np.zeros(22_050), 22_050))
    8000
    """
    count = len(samples) * SAMPLE_RATE_HZ // rate
    if count == 0:
        return np.zeros(0)
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    wide = np.zeros(count // 2 + 1, dtype=complex)
    wide[: len(spectrum)] = spectrum
    return np.clip(np.fft.irfft(wide, count) * (count / len(samples)), -32_768, 32_767)
