"""Make the spoken prompts with espeak-ng and the sounds with numpy; writes `bridge/prompts/`.

    python scripts/make_prompts.py

The texts are in `bridge/prompts/<language>/prompts.toml`. Every file is mono 8 kHz G.711 µ-law WAV.
"""

import argparse
import shutil
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.g711 import ENCODE
from bridge.media.shape import PCMU

ROOT: Final = Path(__file__).resolve().parent.parent / "bridge" / "prompts"
VOICES: Final = {
    "en": "en-us",
    "fr": "fr-fr",
    "it": "it",
    "de": "de",
    "es": "es",
    "pt": "pt-pt",
    "nl": "nl",
}
HUNDRED_AND: Final = {
    "es": {100: "ciento"},
    "pt": {
        100: "cento e",
        200: "duzentos e",
        300: "trezentos e",
        400: "quatrocentos e",
        500: "quinhentos e",
    },
}
"""Hundreds that more follows, where they are said otherwise than alone."""
RATE: Final = 8_000
ULAW: Final = 7
SPEECH_DBFS: Final = -18.0
MUSIC_DBFS: Final = -20.0
BEEP_DBFS: Final = -22.0
_QUIET: Final = 200
_MARGIN_S: Final = 0.04

# Callers' test tones stand at 440 + n * 70 Hz; notes keep 25 Hz away from every one of them, and
# from its first harmonics, as far as an even-tempered scale on 435 Hz allows.
TUNING_HZ: Final = 406.0
BEAT_S: Final = 0.5
CHORDS: Final = (
    (-9, -2, 3, 7),
    (-12, -5, 0, 3),
    (-16, -9, -4, 0),
    (-14, -7, -2, 2),
)


def main() -> int:
    """Make all files; return the exit code."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if shutil.which("espeak-ng") is None:
        print("make_prompts: espeak-ng is not installed", file=sys.stderr)
        return 2
    for language, voice in VOICES.items():
        texts = tomllib.loads((ROOT / language / "prompts.toml").read_text(encoding="utf-8"))
        for name, text in texts.items():
            write(ROOT / language / f"{name}.wav", speak(text, voice))
        (ROOT / language / "numbers").mkdir(exist_ok=True)
        for name, text in numbers(language):
            write(ROOT / language / "numbers" / f"{name}.wav", speak(text, voice))
    sounds = ROOT / "sounds"
    sounds.mkdir(exist_ok=True)
    write(sounds / "hold-music.wav", hold_music())
    write(sounds / "beep-in.wav", beep(610.0, 820.0))
    write(sounds / "beep-out.wav", beep(820.0, 610.0))
    return 0


def numbers(language: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of the spoken numbers: see `bridge.conference.prompts.number`."""
    for value in range(100):
        yield f"n-{value}", str(value)
    for value in range(100, 600, 100):
        yield f"n-{value}", str(value)
        yield f"n-{value}-and", HUNDRED_AND.get(language, {}).get(value, str(value))


def speak(text: str, voice: str) -> NDArray[np.float64]:
    """Return speech at 8 kHz, silence trimmed, in [-1, 1]."""
    made = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", "175", "-a", "100", "--stdout", text],
        check=True,
        capture_output=True,
    ).stdout
    # espeak-ng streams: the sizes in its header are not those of the data.
    rate = int.from_bytes(made[24:28], "little")
    samples = np.frombuffer(made[44:], "<i2").astype(np.float64)
    loud = np.flatnonzero(np.abs(samples) > _QUIET)
    margin = int(_MARGIN_S * rate)
    samples = samples[max(loud[0] - margin, 0) : loud[-1] + margin]
    return scaled(resampled(samples, rate), SPEECH_DBFS)


def resampled(samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Return samples at 8 kHz, band-limited in the frequency domain (3.4 kHz)."""
    size = -(-len(samples) // rate) * rate
    spectrum = np.fft.rfft(samples, size)
    spectrum[int(3_400 * size / rate) :] = 0
    out = size * RATE // rate
    made: NDArray[np.float64] = np.fft.irfft(spectrum[: out // 2 + 1], out)
    return made[: len(samples) * RATE // rate]


def scaled(samples: NDArray[np.float64], dbfs: float) -> NDArray[np.float64]:
    """Return samples with the RMS level `dbfs`, peaks limited softly."""
    level = 10 ** (dbfs / 20)
    samples = samples * (level / np.sqrt(np.mean(samples**2)))
    knee = 0.6
    over = np.abs(samples) > knee
    soft = knee + (1 - knee) * np.tanh((np.abs(samples[over]) - knee) / (1 - knee))
    samples[over] = np.sign(samples[over]) * soft
    return samples


def clear_of_tones(hertz: float) -> float:
    """Return the frequency nearest to `hertz` that is 25 Hz or more from every 440 + n * 70.

    >>> clear_of_tones(441.0), clear_of_tones(400.0)
    (465.0, 400.0)
    """
    if hertz < 440 - 25:
        return hertz
    nearest = 440 + 70 * round((hertz - 440) / 70)
    away = hertz - nearest
    return hertz if abs(away) >= 25 else nearest + (25 if away >= 0 else -25)


def note(hertz: float, seconds: float) -> NDArray[np.float64]:
    """Return one plucked note with two soft overtones."""
    t = np.arange(int(seconds * RATE)) / RATE
    attack = np.minimum(t / 0.02, 1)
    release = np.minimum((seconds - t) / 0.1, 1)
    sound = sum(
        gain * np.exp(-t * fade) * np.sin(2 * np.pi * clear_of_tones(hertz * n) * t)
        for n, gain, fade in ((1, 1.0, 1.6), (2, 0.25, 2.6), (3, 0.08, 4.0))
    )
    return np.asarray(sound * attack * release)


def hold_music() -> NDArray[np.float64]:
    """Return 24 s of broken chords; what rings over the end is heard at the start again."""
    bars, steps = 12, (0, 1, 2, 3)
    total = np.zeros(int(bars * 4 * BEAT_S * RATE))
    assert len(total) % (RATE // 50) == 0, "a loop of whole frames has no seam"
    for bar in range(bars):
        chord = CHORDS[bar % len(CHORDS)]
        order = steps if bar % 2 == 0 else (0, 2, 1, 3)
        for beat, step in enumerate(order):
            start = int((bar * 4 + beat) * BEAT_S * RATE)
            voices = [(chord[step], 0.8), (chord[0] - 12, 0.5 if beat == 0 else 0.0)]
            for semitone, gain in voices:
                sound = gain * note(clear_of_tones(TUNING_HZ * 2 ** (semitone / 12)), 2.2)
                where = (start + np.arange(len(sound))) % len(total)
                np.add.at(total, where, sound)
    return scaled(total, MUSIC_DBFS)


def beep(first_hz: float, second_hz: float) -> NDArray[np.float64]:
    """Return two short gentle tones one after the other."""
    t = np.arange(int(0.12 * RATE)) / RATE
    shape = np.sin(np.pi * t / t[-1]) ** 2
    tones = [shape * np.sin(2 * np.pi * clear_of_tones(hz) * t) for hz in (first_hz, second_hz)]
    return scaled(np.concatenate(tones), BEEP_DBFS)


def write(path: Path, samples: NDArray[np.float64]) -> None:
    """Write a WAV file and say so."""
    linear = np.clip(np.round(samples * 32_767), -32_768, 32_767).astype(np.int16)
    data = ENCODE[PCMU][linear.view(np.uint16)].tobytes()
    form = struct.pack("<HHIIHHH", ULAW, 1, RATE, RATE, 1, 8, 0)
    fact = struct.pack("<I", len(data))
    body = b"WAVE" + b"".join(
        name + struct.pack("<I", len(chunk)) + chunk + bytes(len(chunk) % 2)
        for name, chunk in ((b"fmt ", form), (b"fact", fact), (b"data", data))
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    print(f"{path.relative_to(ROOT)}: {len(data) / RATE:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
