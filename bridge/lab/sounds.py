"""Finds known sounds (prompts, hold music, beeps) in received samples and takes them out.

Array work only. The bridge plays its clips as they are, so a clip that is laid under the right
place leaves nothing but codec noise. Places are proposed by normalised cross-correlation, piece
by piece, and taken in the order of how much they explain: speech of one voice resembles itself,
and a wrong place explains far less than the right one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.voice import FULL_SCALE, level_dbfs
from bridge.units import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ

Pcm = NDArray[np.int16]
Reals = NDArray[np.float64]

PIECE: Final = SAMPLE_RATE_HZ * 2 // 5
PIECE_STEP: Final = PIECE // 2
"""Half a piece: a sound that begins in one piece fills most of the next."""

THIN: Final = 4
MATCH: Final = 0.45
"""Least correlation of a piece with a long sound to look closer; equal mixtures give 0.7."""

SHORT_MATCH: Final = 0.2
"""The same for a beep as a whole, which several voices may be louder than."""

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

QUIET_DBFS: Final = -60.0
QUIET_ENERGY: Final = FRAME_SAMPLES * (FULL_SCALE * 10 ** (QUIET_DBFS / 20)) ** 2 / 2
PLACES_MAX: Final = 24
BEEPS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class SoundReport:
    """One known sound in a window: how much of it was found.

    Attributes:
        matched_ms: how long the sound was recognised.
        share: of the window in [0, 1].
        of_sound: of the sound's own length in [0, 1] (more when it was heard twice).
    """

    matched_ms: int = 0
    share: float = 0.0
    of_sound: float = 0.0

    def __str__(self) -> str:
        return f"{self.matched_ms} ms matched"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sound may lie: its sample `offset` is under the window's sample 0.

    `near` marks a place beside one that was found: the sound, after a skip.
    """

    name: str
    offset: int
    near: bool = False


def take_out(pcm: Reals, sounds: Mapping[str, Pcm]) -> tuple[Reals, dict[str, NDArray[np.bool_]]]:
    """Return the samples without the known sounds, and per sound which frames carried it.

    Args:
        pcm: (n,) samples, int16 range.
        sounds: (m,) int16 each, by name.
    """
    rest = pcm.copy()
    frames = rest[: len(rest) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    clips = {name: clip.astype(np.float64) for name, clip in sounds.items()}
    found = {name: np.zeros(len(frames), bool) for name in sounds}
    places = [place for name, clip in clips.items() for place in find_places(name, clip, rest)]
    taken = np.zeros(len(frames), bool)
    # bound: sounds that can follow each other in one window
    for _ in range(PLACES_MAX):
        place, match = _best_place(places, clips, frames, taken)
        if place is None:
            break
        wanted = laid_under(clips[place.name], place.offset, len(frames))
        frames[match] -= wanted[match]
        taken |= match
        found[place.name] |= match
        places = [one for one in places if one != place] + _beside(place)
    return rest, found


def _best_place(
    places: list[Place], clips: Mapping[str, Reals], frames: Reals, taken: NDArray[np.bool_]
) -> tuple[Place | None, NDArray[np.bool_]]:
    """Return the place that explains most of what is not explained yet; None when none is left."""
    best, most, match = None, 0.0, taken
    for place in places:
        clip = clips[place.name]
        wanted = laid_under(clip, place.offset, len(frames))
        gained, these = explained(frames, wanted, taken, near=place.near)
        least = min(PLACE_FRAMES, BEEP_SHARE * len(clip) / FRAME_SAMPLES)
        if gained > most and (place.near or these.sum() >= least):
            best, most, match = place, gained, these
    return best, match


def _beside(place: Place) -> list[Place]:
    if place.near:
        return []
    steps = [step for step in range(-NEAR_FRAMES, NEAR_FRAMES + 1) if step]
    return [Place(place.name, place.offset + step * FRAME_SAMPLES, near=True) for step in steps]


def report(matched: NDArray[np.bool_], clip: Pcm) -> SoundReport:
    """Return how much of a sound some frames hold."""
    count = int(matched.sum())
    return SoundReport(
        matched_ms=count * FRAME_MS,
        share=count / len(matched) if len(matched) else 0.0,
        of_sound=count * FRAME_SAMPLES / len(clip),
    )


def explained(
    frames: Reals, wanted: Reals, taken: NDArray[np.bool_], *, near: bool = False
) -> tuple[float, NDArray[np.bool_]]:
    """Return how much energy a laid sound explains, and in which frames.

    Frames are (N, 160). Quiet and lost frames neither speak for a place nor against it.
    """
    energy = np.sum(frames**2, axis=1)
    gained = 2 * np.sum(frames * wanted, axis=1) - np.sum(wanted**2, axis=1)
    quiet = energy < QUIET_ENERGY
    match = (gained > (NEAR_EXPLAINED if near else EXPLAINED) * energy) & ~quiet & ~taken
    if not near:
        run = np.cumsum(~match & ~quiet)
        lengths = np.bincount(run, weights=match)
        match &= lengths[run] >= RUN_FRAMES
    return float(np.sum(gained[match])), match


def laid_under(clip: Reals, offset: int, frames: int) -> Reals:
    """Return (N, 160): the sound as it would be received from this place on."""
    wanted = np.zeros(frames * FRAME_SAMPLES)
    first, last = max(-offset, 0), min(len(clip) - offset, len(wanted))
    if last > first:
        wanted[first:last] = clip[first + offset : last + offset]
    return wanted.reshape(-1, FRAME_SAMPLES)


def find_places(name: str, clip: Reals, pcm: Reals) -> list[Place]:
    """Return where a sound may lie: a long one piece by piece of the window, a short one whole.

    Long sounds are looked for at a quarter of the sample rate, a sixteenth of the work, and the
    place is then made exact to the sample.
    """
    if len(clip) < 2 * PIECE:
        return _short_places(name, clip, pcm)
    coarse, heard, piece_size = _thinned(clip), _thinned(pcm), PIECE // THIN
    size = 1 << (len(coarse) + piece_size).bit_length()
    spectrum = np.fft.rfft(coarse, size)
    sums = np.concatenate([[0.0], np.cumsum(coarse**2)])
    energy = sums[piece_size:] - sums[:-piece_size]
    offsets: dict[int, None] = {}
    # bound: half pieces of one window
    for start in range(0, len(pcm) - PIECE + 1, PIECE_STEP):
        piece = heard[start // THIN : start // THIN + piece_size]
        if level_dbfs(pcm[start : start + PIECE]) < QUIET_DBFS:
            continue
        product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(piece, size)), size)[: len(energy)]
        lag, match = _best(product, energy, float(np.sum(piece**2)))
        if match >= MATCH:
            offsets[_exact(clip, pcm[start : start + PIECE], lag * THIN) - start] = None
    return [Place(name, offset) for offset in offsets]


def _thinned(pcm: Reals) -> Reals:
    """Return means of THIN samples each: what is below 1 kHz, which speech and music have most."""
    thinned: Reals = pcm[: len(pcm) // THIN * THIN].reshape(-1, THIN).mean(axis=1)
    return thinned


def _exact(clip: Reals, piece: Reals, near: int) -> int:
    """Return the place within THIN samples of `near` where the piece fits best."""
    lags = [lag for lag in range(near - THIN, near + THIN + 1) if 0 <= lag <= len(clip) - PIECE]
    return max(lags, key=lambda lag: float(clip[lag : lag + PIECE] @ piece))


def _short_places(name: str, clip: Reals, pcm: Reals) -> list[Place]:
    """Return every place in the window where a short sound fits as a whole."""
    if len(pcm) < len(clip):
        return []
    size = 1 << (len(pcm) + len(clip)).bit_length()
    spectrum = np.fft.rfft(pcm, size) * np.conj(np.fft.rfft(clip, size))
    places = len(pcm) - len(clip) + 1
    product = np.fft.irfft(spectrum, size)[:places]
    sums = np.concatenate([[0.0], np.cumsum(pcm**2)])
    energy = sums[len(clip) :] - sums[:places]
    own = float(np.sum(clip**2))
    result: list[Place] = []
    while len(result) < BEEPS_MAX:
        lag, match = _best(product, energy, own)
        if match < SHORT_MATCH:
            break
        result.append(Place(name, -lag))
        product[max(lag - len(clip), 0) : lag + len(clip)] = 0.0
    return result


def _best(product: Reals, energy: Reals, own: float) -> tuple[int, float]:
    """Return the best place and its correlation; a quiet place must not win by its small norm."""
    match = product / np.sqrt(np.maximum(energy, 0.05 * own + 1.0) * own)
    best = int(np.argmax(match))
    return best, float(match[best])
