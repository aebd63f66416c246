"""Proposes where known sounds may lie in received samples: normalised cross-correlation.

Array work only. A sound that is longer than a beep is looked for piece by piece of the window, so
that a part of it is found too; what a proposal is worth is told by laying the sound there.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.voice import FULL_SCALE, level_dbfs
from bridge.units import SAMPLE_RATE_HZ

Reals = NDArray[np.float64]

PIECE: Final = SAMPLE_RATE_HZ * 2 // 5
PIECE_STEP: Final = PIECE // 2
"""Half a piece: a sound that begins in one piece fills most of the next."""

THIN: Final = 4
MATCH: Final = 0.45
"""Least correlation of a piece with a long sound to look closer; equal mixtures give 0.7."""

SHORT_MATCH: Final = 0.2
"""The same for a beep as a whole, which several voices may be louder than."""

BEEPS_MAX: Final = 8
QUIET_DBFS: Final = -60.0
_QUIET_SHARE: Final = 0.05
"""A place of a sound that is quieter than this share of what was received must not win by that."""


@dataclass(slots=True)
class Searched:
    """Samples in which sounds are looked for, prepared once for all of them.

    Attributes:
        pcm: (n,) float64, int16 range.
        starts: where each piece that is not quiet begins, in samples.
        pieces: (P, PIECE / THIN) float32, those pieces at the lower rate, full scale 1.
    """

    pcm: Reals
    starts: list[int] = field(init=False)
    pieces: NDArray[np.float32] = field(init=False)
    _spectra: dict[int, NDArray[np.complex64]] = field(default_factory=dict)
    _spectrum: NDArray[np.complex128] | None = None

    def __post_init__(self) -> None:
        """Cut the pieces."""
        every = range(0, len(self.pcm) - PIECE + 1, PIECE_STEP)
        self.starts = [at for at in every if level_dbfs(self.pcm[at : at + PIECE]) >= QUIET_DBFS]
        rows = [_thinned(self.pcm[at : at + PIECE]) for at in self.starts]
        self.pieces = np.array(rows, np.float32).reshape(-1, PIECE // THIN)

    def spectra(self, size: int) -> NDArray[np.complex64]:
        """Return (P, size / 2 + 1): the pieces' spectra, conjugate."""
        if size not in self._spectra:
            self._spectra[size] = np.conj(np.fft.rfft(self.pieces, size))
        return self._spectra[size]

    def spectrum(self, size: int) -> NDArray[np.complex128]:
        """Return the spectrum of all samples; `size` is always the same."""
        if self._spectrum is None:
            self._spectrum = np.fft.rfft(self.pcm, size)
        return self._spectrum


def find_places(clip: Reals, heard: Searched) -> list[int]:
    """Return which samples of a sound may lie under the window's first; below zero: it comes later.

    Long sounds are looked for at a quarter of the sample rate, a sixteenth of the work, from an
    even and an odd sample of that rate: a vowel at 900 Hz is another one half a sample later. The
    place is then made exact to the sample.
    """
    if len(clip) < 2 * PIECE:
        return _short_places(clip, heard)
    if not heard.starts:
        return []
    halves = [_piecewise(clip[skipped:], heard) for skipped in (0, THIN // 2)]
    (lags, matches), (later, better) = halves
    lags = np.where(better > matches, later * THIN + THIN // 2, lags * THIN)
    matches = np.maximum(matches, better)
    offsets: dict[int, None] = {}
    for row in np.flatnonzero(matches >= MATCH):  # bound: the pieces of one window
        start = heard.starts[row]
        piece = heard.pcm[start : start + PIECE]
        offsets[_exact(clip, piece, int(lags[row])) - start] = None
    return list(offsets)


def _piecewise(clip: Reals, heard: Searched) -> tuple[NDArray[np.intp], Reals]:
    """Return where in a long sound each piece fits best, (P,) at the lower rate, and how well."""
    coarse, length = _thinned(clip).astype(np.float32), PIECE // THIN
    size = 1 << (len(coarse) - 1).bit_length()  # lags that would wrap around are left out
    product = np.fft.irfft(heard.spectra(size) * np.fft.rfft(coarse, size), size)
    own = np.sum(heard.pieces**2, axis=1, keepdims=True)
    match = _match(product[:, : len(coarse) - length + 1], _energy(coarse, length), own)
    return np.argmax(match, axis=1), np.max(match, axis=1)


def _thinned(pcm: Reals) -> Reals:
    """Return means of THIN samples each: what is below 1 kHz, which speech and music have most."""
    rows = pcm[: len(pcm) // THIN * THIN].reshape(-1, THIN)
    return np.asarray(rows.mean(axis=1) / FULL_SCALE)


def _energy(clip: NDArray[np.float32] | Reals, length: int) -> Reals:
    """Return the energy of a sound under `length` samples, at each place."""
    sums = np.concatenate([[0.0], np.cumsum(clip.astype(np.float64) ** 2)])
    return np.asarray(sums[length:] - sums[:-length])


def _match(product: NDArray[np.float32] | Reals, energy: Reals, own: Reals) -> Reals:
    """Return the correlation at each place of what has the energy `own` with what has `energy`."""
    norm = np.sqrt(np.maximum(energy, _QUIET_SHARE * own + 1e-9) * own)
    return np.asarray(product / norm)


def _exact(clip: Reals, piece: Reals, near: int) -> int:
    """Return the place within THIN samples of `near` where the piece fits best."""
    lags = [lag for lag in range(near - THIN, near + THIN + 1) if 0 <= lag <= len(clip) - PIECE]
    return max(lags, key=lambda lag: float(clip[lag : lag + PIECE] @ piece))


def _short_places(clip: Reals, heard: Searched) -> list[int]:
    """Return every place in the window where a short sound fits as a whole."""
    pcm, length = heard.pcm, len(clip)
    if len(pcm) < length:
        return []
    size = 1 << (len(pcm) - 1).bit_length()
    product = np.fft.irfft(heard.spectrum(size) * np.conj(np.fft.rfft(clip, size)), size)
    own = np.array([np.sum(clip**2)])
    match = _match(product[: len(pcm) - length + 1], _energy(pcm, length), own)
    result: list[int] = []
    while len(result) < BEEPS_MAX:
        lag = int(np.argmax(match))
        if match[lag] < SHORT_MATCH:
            break
        result.append(-lag)
        match[max(lag - length, 0) : lag + length] = 0.0
    return result
