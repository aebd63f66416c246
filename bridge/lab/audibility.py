"""Who hears whom, exactly: measured in received samples by the callers' tones and known sounds.

Pure array work on one received window. Known sounds (hold music, prompts) are found first by
normalised cross-correlation and taken out, frame by frame, so that a note of the music is not
taken for a caller. What is left is fitted with sines at all callers' tones at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.voice import FULL_SCALE, level_dbfs
from bridge.units import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ

Pcm = NDArray[np.int16]
Reals = NDArray[np.float64]

BLOCK: Final = SAMPLE_RATE_HZ // 5
"""Samples of one level measurement: 200 ms tell tones 40 Hz apart."""

HEARD_DBFS: Final = -26.0
"""Callers speak at -16 dBFS; who arrives 10 dB weaker is not properly heard."""

LEAK_PEAK_DBFS: Final = -40.0
"""No 200 ms of one who must not be heard may be above; clicks at tone edges stay below."""

LEAK_DBFS: Final = -55.0
"""Nor half of all blocks above this: what a lasting leak of even a hundredth would exceed."""

SILENT_DBFS: Final = -50.0
GAP_MS_MAX: Final = 60
"""Longest hole in a voice that still counts as heard: three frames, as concealment covers."""

MATCH: Final = 0.45
"""Least correlation of a stretch with a sound to look closer; two equal signals mixed give 0.7."""

FRAME_MATCH: Final = 0.3
GAIN_EXACT: Final = 0.1
CHUNK: Final = SAMPLE_RATE_HZ * 2 // 5


@dataclass(frozen=True, slots=True)
class Window:
    """What one caller received in a span of real time, on his own 20 ms timeline.

    N = frames of the span, S = 160 samples.

    Attributes:
        pcm: (N * S,) int16, linear PCM by RTP timestamp; zero where nothing arrived.
        present: (N,) bool, whether the frame arrived.
    """

    pcm: Pcm
    present: NDArray[np.bool_]

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return len(self.pcm) / SAMPLE_RATE_HZ

    def last(self, seconds: float) -> "Window":
        """Return the last part of this window."""
        frames = min(round(seconds * 1_000) // FRAME_MS, len(self.present))
        if not frames:
            return Window(self.pcm[:0], self.present[:0])
        return Window(self.pcm[-frames * FRAME_SAMPLES :], self.present[-frames:])


@dataclass(frozen=True, slots=True)
class ToneReport:
    """One caller's tone in a window.

    Attributes:
        median_dbfs, peak_dbfs: over blocks of 200 ms.
        gap_ms: the longest run of missing 20 ms frames of the tone; the whole window if silent.
        missing: share of frames without the tone, in [0, 1].
    """

    median_dbfs: float
    peak_dbfs: float
    gap_ms: int
    missing: float

    @property
    def heard(self) -> bool:
        """Whether the tone is there all the time at a proper level."""
        return self.median_dbfs >= HEARD_DBFS and self.gap_ms <= GAP_MS_MAX

    @property
    def absent(self) -> bool:
        """Whether the tone is nowhere in the window."""
        return self.peak_dbfs < LEAK_PEAK_DBFS and self.median_dbfs < LEAK_DBFS

    def __str__(self) -> str:
        return f"{self.median_dbfs:.0f} dBFS (peak {self.peak_dbfs:.0f}, gap {self.gap_ms} ms)"


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
class Hearing:
    """All that was found in one window."""

    seconds: float
    level_dbfs: float
    lost: float
    tones: Mapping[str, ToneReport] = field(default_factory=dict)
    sounds: Mapping[str, SoundReport] = field(default_factory=dict)

    @property
    def silent(self) -> bool:
        """Whether nothing at all is heard."""
        return self.level_dbfs < SILENT_DBFS

    def heard(self) -> tuple[str, ...]:
        """Return whose voices are heard without fault."""
        return tuple(name for name, tone in self.tones.items() if tone.heard)


def analyse(
    window: Window, tones: Mapping[str, int], sounds: Mapping[str, Pcm] | None = None
) -> Hearing:
    """Return who and what is heard in a window.

    Args:
        window: what was received.
        tones: each caller's tone in Hz.
        sounds: known sounds by name, (n,) int16 each.
    """
    rest, found = take_out(window.pcm.astype(np.float64), sounds or {})
    return Hearing(
        seconds=window.seconds,
        level_dbfs=level_dbfs(window.pcm),
        lost=1.0 - float(window.present.mean()) if len(window.present) else 1.0,
        tones=measure_tones(rest, tones),
        sounds=found,
    )


def measure_tones(pcm: Reals, tones: Mapping[str, int]) -> dict[str, ToneReport]:
    """Return each tone's level and gaps, all tones fitted together."""
    frequencies = sorted(set(tones.values()))
    frames = len(pcm) // FRAME_SAMPLES
    levels = dict(zip(frequencies, _block_levels(pcm, frequencies), strict=True))
    audible = [f for f in frequencies if len(levels[f]) and np.max(levels[f]) >= LEAK_PEAK_DBFS]
    there = _frames_with_tone(pcm, audible)
    result = {}
    for name, frequency in tones.items():
        blocks = levels[frequency]
        missing = ~there.get(frequency, np.zeros(frames, bool))
        result[name] = ToneReport(
            median_dbfs=float(np.median(blocks)) if len(blocks) else -120.0,
            peak_dbfs=float(np.max(blocks)) if len(blocks) else -120.0,
            gap_ms=_longest_run(missing) * FRAME_MS,
            missing=float(missing.mean()) if frames else 1.0,
        )
    return result


def _block_levels(pcm: Reals, frequencies: list[int]) -> Reals:
    """Return (F, B) dBFS: level of each frequency in each whole block of the samples."""
    if not frequencies:
        return np.empty((0, 0))
    blocks = pcm[: len(pcm) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return _dbfs(_amplitudes(blocks, frequencies))


def _amplitudes(blocks: Reals, frequencies: list[int]) -> Reals:
    """Return (F, B): least-squares amplitude of each frequency in each (B, n) row.

    A Hann weight keeps the edge of a neighbour's tone, a step in the middle, low at the others.
    """
    length = blocks.shape[1]
    at = np.arange(length) / SAMPLE_RATE_HZ
    angles = 2 * np.pi * np.outer(at, frequencies)
    design = np.concatenate([np.cos(angles), np.sin(angles), np.ones((length, 1))], axis=1)
    weight = np.sqrt(np.hanning(length + 2)[1:-1])
    fitted = np.linalg.pinv(design * weight[:, None], rcond=1e-3) @ (blocks * weight).T
    count = len(frequencies)
    return np.hypot(fitted[:count], fitted[count : 2 * count])


def _dbfs(amplitude: Reals) -> Reals:
    return 20 * np.log10(np.maximum(amplitude / FULL_SCALE, 1e-6))


def _frames_with_tone(pcm: Reals, frequencies: list[int]) -> dict[int, NDArray[np.bool_]]:
    """Return per frequency (N,) bool: whether each 20 ms frame carries it.

    Two frames are fitted at a time, at every frame: 40 ms tell tones apart that 20 ms would not.
    A frame is missing when both pairs it belongs to lack half of it; a mere phase jump spoils one.
    """
    frames = len(pcm) // FRAME_SAMPLES
    if not frequencies or frames < 2:
        return {}
    rows = pcm[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
    pairs = np.concatenate([rows[:-1], rows[1:]], axis=1)
    amplitude = _pair_amplitudes(pairs, frequencies)
    result = {}
    for index, frequency in enumerate(frequencies):
        usual = float(np.percentile(amplitude[index], 75))
        whole = amplitude[index] > 0.75 * usual
        first = np.concatenate([whole[:1], whole])
        second = np.concatenate([whole, whole[-1:]])
        result[frequency] = first | second
    return result


def _pair_amplitudes(pairs: Reals, frequencies: list[int]) -> Reals:
    """Return (F, P): amplitude per pair of frames, unweighted so that both frames count alike."""
    length = pairs.shape[1]
    angles = 2 * np.pi * np.outer(np.arange(length) / SAMPLE_RATE_HZ, frequencies)
    design = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    fitted = np.linalg.pinv(design, rcond=1e-2) @ pairs.T
    return np.hypot(fitted[: len(frequencies)], fitted[len(frequencies) :])


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))


def take_out(pcm: Reals, sounds: Mapping[str, Pcm]) -> tuple[Reals, dict[str, SoundReport]]:
    """Find known sounds, subtract them frame by frame; return the rest and what was found."""
    rest = pcm.copy()
    found = {}
    # bound: the known sounds, some tens
    for name, clip in sounds.items():
        matched = _take_out_one(rest, clip.astype(np.float64))
        matched_ms = matched * FRAME_MS
        found[name] = SoundReport(
            matched_ms=matched_ms,
            share=matched * FRAME_SAMPLES / len(pcm) if len(pcm) else 0.0,
            of_sound=matched * FRAME_SAMPLES / len(clip),
        )
    return rest, found


def _take_out_one(rest: Reals, clip: Reals) -> int:
    """Subtract every occurrence of one sound from `rest`; return how many frames matched."""
    taken = np.zeros(len(rest) // FRAME_SAMPLES, bool)
    frames = rest[: taken.size * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    laid = [_laid_under(clip, offset, frames.size) for offset in _offsets(rest, clip)]
    # the place that explains most goes first: a repeated note also fits at wrong places
    for wanted in sorted(laid, key=lambda one: -float(np.sum(_matches(frames, one)))):
        match = _matches(frames, wanted) & ~taken
        if not match.any():
            continue
        gain = float(np.sum(frames[match] * wanted[match]) / np.sum(wanted[match] ** 2))
        if abs(gain - 1) < GAIN_EXACT:  # played as it is; the rest of the fit is another's voice
            gain = 1.0
        frames[match] -= gain * wanted[match]
        taken |= match
    return int(taken.sum())


def _laid_under(clip: Reals, offset: int, samples: int) -> Reals:
    """Return (N, 160): the sound as it would be received if it began `offset` before the window."""
    at = np.arange(samples) + offset
    inside = (at >= 0) & (at < len(clip))
    laid: Reals = np.where(inside, clip[at % len(clip)], 0.0).reshape(-1, FRAME_SAMPLES)
    return laid


def _matches(frames: Reals, wanted: Reals) -> NDArray[np.bool_]:
    """Return (N,) bool: which frames carry what is wanted."""
    norms = np.sqrt(np.sum(frames**2, axis=1) * np.sum(wanted**2, axis=1))
    matches: NDArray[np.bool_] = np.sum(frames * wanted, axis=1) > np.maximum(
        FRAME_MATCH * norms, 1.0
    )
    return matches


def _offsets(pcm: Reals, clip: Reals) -> list[int]:
    """Return positions of the sound's sample under the window's sample 0, one per occurrence.

    A long sound is looked for piece by piece of the window; a short one as a whole.
    """
    result: list[int] = []
    if len(clip) < 2 * CHUNK:
        lag, match = _best_lag(pcm, clip)
        return [-lag] if match >= MATCH else []
    # bound: pieces of 0.4 s of one window
    for start in range(0, len(pcm) - CHUNK + 1, CHUNK):
        lag, match = _best_lag(clip, pcm[start : start + CHUNK])
        if match >= MATCH and lag - start not in result:
            result.append(lag - start)
    return result


def _best_lag(long: Reals, short: Reals) -> tuple[int, float]:
    """Return where `short` fits best into `long`, and the correlation there in [-1, 1]."""
    if len(long) < len(short) or level_dbfs(short) < SILENT_DBFS:
        return 0, 0.0
    size = 1 << (len(long) + len(short)).bit_length()
    spectrum = np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size))
    places = len(long) - len(short) + 1
    product = np.fft.irfft(spectrum, size)[:places]
    sums = np.concatenate([[0.0], np.cumsum(long**2)])
    energy = np.maximum(sums[len(short) :] - sums[:places], 1.0)
    # a quiet place of `long` must not win by its small norm alone
    energy = np.maximum(energy, 0.05 * float(np.sum(short**2)))
    match = product / np.sqrt(energy * float(np.sum(short**2)))
    best = int(np.argmax(match))
    return best, float(match[best])
