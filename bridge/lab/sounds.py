"""Finds known sounds (prompts, hold music, beeps) in received samples and takes them out.

Array work only. The bridge plays its clips as they are, so a clip that is laid under the right
place leaves nothing but codec noise. Places that are proposed are taken in the order of how much
they explain: speech of one voice resembles itself, and a wrong place explains far less than the
right one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.places import QUIET_DBFS, Reals, Searched, find_places
from bridge.lab.voice import FULL_SCALE
from bridge.units import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ

Pcm = NDArray[np.int16]

EXPLAINED: Final = 0.1
"""Least share of a frame's energy that a sound must explain to be taken out of it."""

PLACE_FRAMES: Final = 18
"""A place must explain this much, 360 ms, or most of a beep: less is a chance likeness."""

BEEP_SHARE: Final = 0.8
RUN_FRAMES: Final = 5
NEAR_FRAMES: Final = 6
NEAR_EXPLAINED: Final = 0.6
"""After a skipped frame a sound goes on up to so many frames to the side; there the likeness must
be plain, and then single frames count."""

QUIET_ENERGY: Final = FRAME_SAMPLES * (FULL_SCALE * 10 ** (QUIET_DBFS / 20)) ** 2 / 2
PLACES_MAX: Final = 24

PAUSE_DB: Final = 25.0
"""A frame so far under its sound's level is a pause of it."""

TONE_BLOCK: Final = SAMPLE_RATE_HZ // 10
"""Samples from which tones are taken at a time: 100 ms leave a sound all but 10 Hz around each."""

TONE_BASE_LEAST: Final = 1e-3
ALL: Final = slice(None)


@dataclass(frozen=True, slots=True)
class SoundReport:
    """One known sound in a window: how much of it was found.

    Attributes:
        matched_ms: how long the sound was recognised.
        share: of the window in [0, 1].
        of_sound: how much of what sounds of it, its pauses left out, was recognised, in [0, 1];
            what was heard twice counts once.
        missing_ms: how long that is which sounds of it and was not recognised.
    """

    matched_ms: int = 0
    share: float = 0.0
    of_sound: float = 0.0
    missing_ms: int = 0

    def __str__(self) -> str:
        return f"{self.matched_ms} ms matched, {self.of_sound:.0%} of it"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sound may lie: its sample `offset` is under the window's sample 0.

    `near` marks a place beside one that was found: the sound, after a skip.
    """

    name: str
    offset: int
    near: bool = False


@dataclass(slots=True)
class Found:
    """Where one sound was found in a window.

    Attributes:
        frames: (N,) bool, the window's frames that carried it.
        laid: per place the sound's sample under the window's first, and the frames there.
    """

    frames: NDArray[np.bool_]
    laid: list[tuple[int, NDArray[np.bool_]]] = field(default_factory=list)

    def add(self, offset: int, match: NDArray[np.bool_]) -> None:
        """Add what was found of the sound at one place."""
        self.laid.append((offset, match))
        self.frames = self.frames | match


def take_out(
    pcm: Reals, sounds: Mapping[str, Pcm], tones: Collection[int] = ()
) -> tuple[Reals, dict[str, Found]]:
    """Return the samples without the known sounds, and per sound where it was found.

    Voices over a sound hide the most of it. Those of `tones` are known, so a sound is looked for
    beside them too: in what is left of both when all that lies at those frequencies is taken away.

    Args:
        pcm: (n,) samples, int16 range.
        sounds: (m,) int16 each, by name.
        tones: Hz, the callers' tones that may lie over the sounds.
    """
    rest = pcm.copy()
    frames = rest[: len(rest) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    clips = {name: clip.astype(np.float64) for name, clip in sounds.items()}
    found = {name: Found(np.zeros(len(frames), bool)) for name in sounds}
    views, sought = [frames.copy()], [clips]
    if tones:
        views.append(_without(tones, frames))
        sought.append({name: _without(tones, clip) for name, clip in clips.items()})
    places: dict[Place, None] = {}
    for view, those in zip(views, sought, strict=True):
        searched = Searched(view.reshape(-1))
        for name, clip in those.items():
            places.update((Place(name, offset), None) for offset in find_places(clip, searched))
    fits = {place: _fit(place, clips, views, tones) for place in places}
    taken = np.zeros(len(frames), bool)
    # bound: sounds that can follow each other in one window
    for _ in range(PLACES_MAX):
        place, match = _best_place(fits, clips, frames, taken)
        if place is None:
            break
        frames[match] -= laid_under(clips[place.name], place.offset, len(frames))[match]
        taken |= match
        found[place.name].add(place.offset, match)
        del fits[place]
        fits.update((one, _fit(one, clips, views, tones)) for one in _beside(place))
    return rest, found


@dataclass(frozen=True, slots=True)
class _Fit:
    """What a sound at one place explains, frame by frame, where nothing else is found.

    Attributes:
        gained: (N,) float64, energy explained.
        match: (N,) bool, whether that is enough.
    """

    gained: Reals
    match: NDArray[np.bool_]


def _fit(
    place: Place, clips: Mapping[str, Reals], views: Sequence[Reals], tones: Collection[int]
) -> _Fit:
    """Lay a sound under the window, as it was received and beside the tones."""
    wanted = laid_under(clips[place.name], place.offset, len(views[0]))
    gained, match = _explained(views[0], wanted, near=place.near)
    for view in views[1:]:
        more, also = _explained(view, _without(tones, wanted), near=place.near)
        gained = np.where(match, gained, more)
        match |= also
    return _Fit(gained, match)


def _explained(frames: Reals, wanted: Reals, *, near: bool) -> tuple[Reals, NDArray[np.bool_]]:
    """Return the energy that a laid sound explains in each frame, and where that is enough."""
    energy = np.sum(frames**2, axis=1)
    gained: Reals = 2 * np.sum(frames * wanted, axis=1) - np.sum(wanted**2, axis=1)
    match = gained > (NEAR_EXPLAINED if near else EXPLAINED) * energy
    return gained, match & (energy >= QUIET_ENERGY)


def _best_place(
    fits: Mapping[Place, _Fit], clips: Mapping[str, Reals], frames: Reals, taken: NDArray[np.bool_]
) -> tuple[Place | None, NDArray[np.bool_]]:
    """Return the place that explains most of what is not explained yet; None when none is left.

    Quiet and lost frames neither speak for a place nor against it.
    """
    best, most, these = None, 0.0, taken
    quiet = np.sum(frames**2, axis=1) < QUIET_ENERGY
    for place, fit in fits.items():
        match = fit.match & ~taken
        if not place.near:
            run = np.cumsum(~match & ~quiet)
            match &= np.bincount(run, weights=match)[run] >= RUN_FRAMES
        gained = float(np.sum(fit.gained[match]))
        least = min(PLACE_FRAMES, BEEP_SHARE * len(clips[place.name]) / FRAME_SAMPLES)
        if gained > most and (place.near or match.sum() >= least):
            best, most, these = place, gained, match
    return best, these


def _beside(place: Place) -> list[Place]:
    if place.near:
        return []
    steps = [step for step in range(-NEAR_FRAMES, NEAR_FRAMES + 1) if step]
    return [Place(place.name, place.offset + step * FRAME_SAMPLES, near=True) for step in steps]


def report(found: Found, clip: Pcm, judged: slice = ALL) -> SoundReport:
    """Return how much of a sound the judged frames of a window hold."""
    sounding = sounding_frames(clip)
    heard = np.zeros(len(sounding), bool)
    for offset, match in found.laid:
        rows = np.arange(len(match))[judged][match[judged]] + round(offset / FRAME_SAMPLES)
        heard[rows[(rows >= 0) & (rows < len(heard))]] = True
    count, matched = len(found.frames[judged]), int(found.frames[judged].sum())
    recognised, all_of_it = int((heard & sounding).sum()), int(sounding.sum())
    return SoundReport(
        matched_ms=matched * FRAME_MS,
        share=matched / count if count else 0.0,
        of_sound=recognised / all_of_it if all_of_it else 0.0,
        missing_ms=(all_of_it - recognised) * FRAME_MS,
    )


def sounding_frames(clip: Pcm) -> NDArray[np.bool_]:
    """Return (M,) bool: in which of its own frames a sound is no pause."""
    whole = np.zeros(-(-len(clip) // FRAME_SAMPLES) * FRAME_SAMPLES)
    whole[: len(clip)] = clip
    power = np.mean(whole.reshape(-1, FRAME_SAMPLES) ** 2, axis=1)
    least = float(np.mean(whole**2)) * 10 ** (-PAUSE_DB / 10)
    return np.asarray(power > least)


def _without(tones: Collection[int], sound: Reals) -> Reals:
    """Return samples, in the shape they have, without all that lies at some frequencies."""
    pcm, frequencies = sound.reshape(-1), tuple(sorted(set(tones)))
    whole = len(pcm) // TONE_BLOCK * TONE_BLOCK
    parts = [pcm[:whole].reshape(-1, TONE_BLOCK), pcm[whole:].reshape(1, -1)]
    left = [
        part - part @ base @ base.T
        for part in parts
        for base in [_base(part.shape[1], frequencies)]
    ]
    return np.concatenate([part.reshape(-1) for part in left]).reshape(sound.shape)


@lru_cache(maxsize=32)
def _base(length: int, frequencies: tuple[int, ...]) -> Reals:
    """Return (length, k): an orthonormal base of all sines at some frequencies."""
    base, size, _ = np.linalg.svd(waves(length, frequencies), full_matrices=False)
    kept: Reals = base[:, size > TONE_BASE_LEAST * size[:1]]
    return kept


def waves(length: int, frequencies: Sequence[int]) -> Reals:
    """Return (length, 2F): cosines, then sines, of each frequency."""
    angles = 2 * np.pi * np.outer(np.arange(length) / SAMPLE_RATE_HZ, frequencies)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def laid_under(clip: Reals, offset: int, frames: int) -> Reals:
    """Return (N, 160): the sound as it would be received from this place on."""
    wanted = np.zeros(frames * FRAME_SAMPLES)
    first, last = max(-offset, 0), min(len(clip) - offset, len(wanted))
    if last > first:
        wanted[first:last] = clip[first + offset : last + offset]
    return wanted.reshape(-1, FRAME_SAMPLES)
