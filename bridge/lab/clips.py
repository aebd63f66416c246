"""The bridge's clips as stories name them, and which of them a window holds; arrays only.

Of one speaker's prompts many begin or end alike, so one counts as heard only when nearly all of it
was found, also beside the clips that it may be taken for.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np

from bridge.lab.audibility import Window, analyse
from bridge.lab.sounds import Pcm, SoundReport, report, sounding_frames, take_out
from bridge.prompts import load, load_all
from bridge.units import FRAME_SAMPLES

PROMPT_SHARE: Final = 0.8
"""So much of a prompt must be recognised. Of one that played to its end, beside four voices too, at
least nine tenths are; "Recording is off" is seven tenths of "Recording is on"."""

ALIKE: Final = 0.5
"""Who holds so much of a clip may be taken for it: with what voices hide or add, not 0.8."""


@cache
def sound_pcm() -> Mapping[str, Pcm]:
    """Return the bridge's clips by name, as stories name them."""
    return load()


@cache
def known_pcm() -> Mapping[str, Pcm]:
    """Return all clips that a story may name: also the numbers and the other languages."""
    return load_all()


@cache
def sounds_in(languages: frozenset[str]) -> Mapping[str, Pcm]:
    """Return the clips that may be heard where these languages are spoken, but for the numbers."""
    marks = tuple(f"{language}/" for language in languages)
    spoken = {
        name: pcm
        for name, pcm in known_pcm().items()
        if name.startswith(marks) and "/n-" not in name
    }
    return {**sound_pcm(), **spoken}


@cache
def alike(name: str) -> Mapping[str, Pcm]:
    """Return the other clips of its language that a clip may be taken for: they hold most of it.

    "The conference is now locked" and "The conference is no longer locked" are two of them.
    """
    clips = known_pcm()
    # A clip cannot be held by one that is shorter than that, so those are not looked through.
    least = ALIKE * sounding_frames(clips[name]).sum() * FRAME_SAMPLES
    others = [
        other
        for other, pcm in clips.items()
        if other != name and _kind(other) == _kind(name) and len(pcm) + FRAME_SAMPLES >= least
    ]
    return {other: clips[other] for other in others if _held(clips[name], clips[other]) >= ALIKE}


def _held(clip: Pcm, other: Pcm) -> float:
    """Return how much of a clip another holds, in [0, 1]."""
    around = np.zeros(len(clip))
    _, found = take_out(np.concatenate([around, other, around]), {"": clip})
    return report(found[""], clip).of_sound


def _kind(name: str) -> tuple[str, bool]:
    """Return a clip's language, "" for English, and whether it is a number."""
    language, _, plain = name.rpartition("/")
    return language, plain.startswith("n-")


def find_clips(
    window: Window, wanted: Mapping[str, Pcm], tones: Mapping[str, int], said: Mapping[str, Pcm]
) -> Mapping[str, SoundReport]:
    """Return how much of each wanted sound a window holds.

    Args:
        window: what was received.
        wanted: prompts, and what callers say, by name.
        tones: the callers' tones, which may lie over the sounds.
        said: what callers say who sound no tone.
    """
    found = analyse(window, tones, {**wanted, **said}).sounds
    likely = [name for name in wanted if name not in said and prompt_heard(found[name])]
    if likely:
        others = {other: clip for name in likely for other, clip in alike(name).items()}
        found = analyse(window, tones, {**wanted, **said, **others}).sounds
    return {name: found[name] for name in wanted}


def prompt_heard(report: SoundReport) -> bool:
    """Return whether a prompt was heard: all of it, not a beginning, nor another one like it."""
    return report.of_sound >= PROMPT_SHARE
