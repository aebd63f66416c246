"""What callers say who speak instead of sounding a tone, and how well it was heard (PESQ).

The speech that comes with the lab was made by espeak-ng; its text is `bridge.bench.speech`'s.
"""

import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from bridge.errors import InputError
from bridge.lab.audibility import Window
from bridge.lab.places import Searched, find_places
from bridge.lab.sounds import Pcm
from bridge.lab.words import SPEECH, Voice
from bridge.prompts import read_wav
from bridge.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

FILE: Final = Path(__file__).with_name("speech.wav")
SECONDS_MAX: Final = 60
SCORED_S: Final = 5.0
"""How much of a voice is scored."""


@cache
def samples_said(voice: Voice) -> Pcm:
    """Return what a voice with a sound says before it says it again, (n,) int16, whole frames.

    Raises:
        InputError: no such file, no mono 8 kHz WAV, shorter than a second or longer than a minute.
    """
    file = FILE if voice.sound == SPEECH else Path(voice.sound)
    try:
        pcm = read_wav(file)
    except OSError as error:
        raise InputError("voice", voice.sound, f"a WAV file: {error.strerror}") from None
    except ValueError as error:  # a name that no file can have
        raise InputError("voice", voice.sound, f"a WAV file: {error}") from None
    if not SAMPLE_RATE_HZ <= len(pcm) <= SECONDS_MAX * SAMPLE_RATE_HZ:
        length = f"{len(pcm) / SAMPLE_RATE_HZ:.1f} s"
        raise InputError(f"voice {voice.sound}", length, f"from 1 to {SECONDS_MAX} s")
    return pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES]


def pesq() -> Callable[..., float]:
    """Return PESQ (ITU-T P.862).

    Raises:
        InputError: it is not installed.
    """
    try:
        judge: Callable[..., float] = importlib.import_module("pesq").pesq
    except ImportError:
        raise InputError("pesq", "not installed", "pip install 'tollbridge[bench]'") from None
    return judge


def score(window: Window, said: Pcm, judge: Callable[..., float]) -> float | None:
    """Return the PESQ, narrow band, of what was heard of a voice that is alone in a window.

    None when the voice is not found, or less than `SCORED_S` of it lies in the window.
    """
    heard = window.narrow().pcm[-round(SCORED_S * SAMPLE_RATE_HZ) :]
    if len(heard) < round(SCORED_S * SAMPLE_RATE_HZ):
        return None
    places = find_places(np.tile(said, 2).astype(np.float64), Searched(heard.astype(np.float64)))
    if not places:
        return None
    twice = np.tile(said, 2 + len(heard) // len(said))
    at = max((one % len(said) for one in places), key=lambda one: _likeness(heard, twice, one))
    return float(judge(SAMPLE_RATE_HZ, twice[at : at + len(heard)], heard, "nb"))


def _likeness(heard: Pcm, said: Pcm, at: int) -> float:
    return float(np.vdot(heard.astype(np.float64), said[at : at + len(heard)].astype(np.float64)))
