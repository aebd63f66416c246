"""Who hears whom, exactly: measured in received samples by the callers' tones and known sounds.

Pure array work on one received window. Known sounds (hold music, prompts) are found first by
normalised cross-correlation and taken out, frame by frame, so that a note of the music is not
taken for a caller. What is left is fitted with sines at all callers' tones at once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.places import Reals
from bridge.lab.sounds import Found, Pcm, SoundReport, report, take_out, waves
from bridge.lab.voice import FULL_SCALE, TONE_DBFS, level_dbfs
from bridge.lab.wideband import NARROW_HZ_MAX, halved, mirrored
from bridge.units import FRAME_MS, FRAME_SAMPLES, MS_PER_S, SAMPLE_RATE_HZ

BLOCK: Final = SAMPLE_RATE_HZ // 5
"""Samples of one level measurement: 200 ms tell tones 40 Hz apart."""

WEAKER_DB_MAX: Final = 10.0
"""Who arrives more than this weaker than he spoke is not properly heard."""

LEAK_PEAK_DBFS: Final = -40.0
"""No 200 ms of one who must not be heard may be above; clicks at tone edges stay below."""

LEAK_DBFS: Final = -55.0
"""Nor half of all blocks above this: what a lasting leak of even a hundredth would exceed."""

SILENT_DBFS: Final = -50.0
LOST_MAX: Final = 0.5
"""A line on which more is missing is dead, not silent."""

PEAK: Final = SAMPLE_RATE_HZ // 10
ONLY_TONES_DBFS: Final = -33.0
"""Codec noise of six speakers peaks below; any sound of the bridge is above somewhere."""

USUAL: Final = frozenset({"hold-music", "waiting", "beep-in", "beep-out"})
"""The sounds that most windows hold, if any."""

GAP_MS_MAX: Final = 60
"""Longest hole in a voice that still counts as heard: three frames, as concealment covers."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one caller received in a span of real time, on his own 20 ms timeline.

    N = frames of the span, S = samples of one: 160, or 320 at 16 kHz.

    Attributes:
        pcm: (N * S,) int16, linear PCM by RTP timestamp; zero where nothing arrived.
        present: (N,) bool, whether the frame arrived.
        rate_hz: 8,000, or 16,000 of a wideband caller.
    """

    pcm: Pcm
    present: NDArray[np.bool_]
    rate_hz: int = SAMPLE_RATE_HZ

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return len(self.pcm) / self.rate_hz

    def narrow(self) -> "Window":
        """Return what is heard of it at 8 kHz."""
        if self.rate_hz == SAMPLE_RATE_HZ:
            return self
        return Window(halved(self.pcm), self.present)

    def last(self, seconds: float) -> "Window":
        """Return the last part of this window."""
        frames = min(round(seconds * 1_000) // FRAME_MS, len(self.present))
        if not frames:
            return Window(self.pcm[:0], self.present[:0], self.rate_hz)
        samples = frames * self.rate_hz * FRAME_MS // MS_PER_S
        return Window(self.pcm[-samples:], self.present[-frames:], self.rate_hz)


@dataclass(frozen=True, slots=True)
class Context:
    """What a window holds around what is judged, so that a sound cut by the edge is recognised.

    Attributes:
        before, after: frames at its beginning and end.
    """

    before: int = 0
    after: int = 0

    def judged(self, window: Window) -> slice:
        """Return the frames of a window that are judged."""
        return slice(self.before, len(window.present) - self.after)


NO_CONTEXT: Final = Context()


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
        return self.heard_of(TONE_DBFS)

    def heard_of(self, said_dbfs: float) -> bool:
        """Return the same of a caller who speaks at another level; what is cut off is at 0."""
        return self.median_dbfs >= min(said_dbfs, 0) - WEAKER_DB_MAX and self.gap_ms <= GAP_MS_MAX

    @property
    def absent(self) -> bool:
        """Whether the tone is nowhere in the window."""
        return self.peak_dbfs < LEAK_PEAK_DBFS and self.median_dbfs < LEAK_DBFS

    def __str__(self) -> str:
        return f"{self.median_dbfs:.0f} dBFS (peak {self.peak_dbfs:.0f}, gap {self.gap_ms} ms)"


@dataclass(frozen=True, slots=True)
class Hearing:
    """All that was found in one window.

    Attributes:
        level_dbfs: of the whole window.
        peak_dbfs: of its loudest 100 ms, so that a short sound in a long silence shows.
        lost: share of frames that did not arrive.
    """

    seconds: float
    level_dbfs: float
    peak_dbfs: float
    lost: float
    tones: Mapping[str, ToneReport] = field(default_factory=dict)
    sounds: Mapping[str, SoundReport] = field(default_factory=dict)

    @property
    def silent(self) -> bool:
        """Whether nothing at all is heard at any moment, though packets come."""
        return self.peak_dbfs < SILENT_DBFS and self.lost <= LOST_MAX

    def heard(self) -> tuple[str, ...]:
        """Return whose voices are heard without fault."""
        return tuple(name for name, tone in self.tones.items() if tone.heard)


def analyse(
    window: Window,
    tones: Mapping[str, int],
    sounds: Mapping[str, Pcm] | None = None,
    *,
    context: Context = NO_CONTEXT,
    likely: Collection[str] = (),
) -> Hearing:
    """Return who and what is heard in a window.

    Args:
        window: what was received.
        tones: each caller's tone in Hz.
        sounds: known sounds by name, (n,) int16 each.
        context: how much of it is not judged.
        likely: sounds to look for first; the others only where these leave something.
    """
    high = {name: hertz for name, hertz in tones.items() if hertz > NARROW_HZ_MAX}
    if high or window.rate_hz != SAMPLE_RATE_HZ:
        low = {name: hertz for name, hertz in tones.items() if name not in high}
        heard = analyse(window.narrow(), low, sounds, context=context, likely=likely)
        return _with_high_tones(heard, window, high, context)
    clips = sounds or {}
    samples = window.pcm.astype(np.float64)
    if only_tones(samples, tones):  # nothing is left that a sound could be in
        rest, found = samples, {name: _nowhere(samples) for name in clips}
    else:
        rest, found = _without_sounds(samples, tones, clips, {*USUAL, *likely})
    judged = context.judged(window)
    inner = slice(judged.start * FRAME_SAMPLES, judged.stop * FRAME_SAMPLES)
    pcm, present = window.pcm[inner], window.present[judged]
    return Hearing(
        seconds=len(pcm) / SAMPLE_RATE_HZ,
        level_dbfs=level_dbfs(pcm),
        peak_dbfs=_peak_dbfs(pcm),
        lost=1.0 - float(present.mean()) if len(present) else 1.0,
        tones=measure_tones(rest[inner], tones, present),
        sounds={name: report(one, clips[name], judged) for name, one in found.items()},
    )


def _with_high_tones(
    heard: Hearing, window: Window, tones: Mapping[str, int], context: Context
) -> Hearing:
    """Add what only wideband callers hear; to the others such tones are absent."""
    judged = context.judged(window)
    inner = slice(judged.start * FRAME_SAMPLES, judged.stop * FRAME_SAMPLES)
    present = window.present[judged]
    wide = window.rate_hz != SAMPLE_RATE_HZ
    pcm = mirrored(window.pcm) if wide else np.zeros_like(window.pcm)
    lower = {name: SAMPLE_RATE_HZ - hertz for name, hertz in tones.items()}
    found = measure_tones(pcm[inner].astype(np.float64), lower, present)
    if not wide:
        return replace(heard, tones={**heard.tones, **found})
    whole = window.pcm[inner.start * 2 : inner.stop * 2]
    return replace(
        heard,
        tones={**heard.tones, **found},
        level_dbfs=level_dbfs(whole),
        peak_dbfs=max(heard.peak_dbfs, _peak_dbfs(pcm[inner])),
    )


def _without_sounds(
    samples: Reals,
    tones: Mapping[str, int],
    clips: Mapping[str, Pcm],
    likely: Collection[str],
) -> tuple[Reals, dict[str, Found]]:
    """Take the known sounds out: likely ones first, all when those do not explain what is there.

    A search for all of them takes a tenth of the time that is listened to.
    """
    usual = {name: clip for name, clip in clips.items() if name in likely}
    if usual and len(usual) < len(clips):
        rest, found = take_out(samples, usual, tones.values())
        if only_tones(rest, tones):
            return rest, {name: found.get(name, _nowhere(samples)) for name in clips}
    return take_out(samples, clips, tones.values())


def _nowhere(samples: Reals) -> Found:
    return Found(np.zeros(len(samples) // FRAME_SAMPLES, bool))


def _peak_dbfs(pcm: Pcm) -> float:
    """Return the level of the loudest 100 ms, in half steps; a shorter window is one piece."""
    starts = range(0, max(len(pcm) - PEAK, 0) + 1, PEAK // 2)
    return max(level_dbfs(pcm[start : start + PEAK]) for start in starts)


def only_tones(pcm: Reals, tones: Mapping[str, int]) -> bool:
    """Return whether the callers' tones and silence explain all that is there."""
    blocks = _blocks(pcm)
    frequencies = sorted(set(tones.values()))
    if not len(blocks) or not frequencies:
        return not len(blocks)
    design = waves(BLOCK, frequencies)
    rest = blocks.T - design @ (np.linalg.pinv(design, rcond=1e-3) @ blocks.T)
    return float(_dbfs(np.abs(rest)).max()) < ONLY_TONES_DBFS


def measure_tones(
    pcm: Reals, tones: Mapping[str, int], present: NDArray[np.bool_]
) -> dict[str, ToneReport]:
    """Return each tone's level and gaps, all tones fitted together.

    Levels are taken from blocks that arrived whole, when those are at least half of all: the
    edges of a hole in a prompt have energy at every tone.
    """
    frequencies = sorted(set(tones.values()))
    frames = len(pcm) // FRAME_SAMPLES
    per_block = BLOCK // FRAME_SAMPLES
    rows = present[: frames // per_block * per_block].reshape(-1, per_block)
    whole: NDArray[np.bool_] = np.all(rows, axis=1)
    if 2 * whole.sum() < len(whole):
        whole[:] = True
    found = _block_levels(pcm, frequencies)[:, whole]
    levels = dict(zip(frequencies, found, strict=True))
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


def _blocks(pcm: Reals) -> Reals:
    return pcm[: len(pcm) // BLOCK * BLOCK].reshape(-1, BLOCK)


def _block_levels(pcm: Reals, frequencies: list[int]) -> Reals:
    """Return (F, B) dBFS: level of each frequency in each whole block of the samples.

    A Hann weight keeps the edge of a neighbour's tone, a step in the middle, low at the others.
    """
    blocks = _blocks(pcm)
    weight = np.sqrt(np.hanning(BLOCK + 2)[1:-1])
    return _dbfs(_amplitudes(blocks * weight, waves(BLOCK, frequencies) * weight[:, None]))


def _amplitudes(rows: Reals, waves: Reals) -> Reals:
    """Return (F, B): least-squares amplitude of each frequency in each (B, n) row."""
    fitted = np.linalg.pinv(waves, rcond=1e-3) @ rows.T
    count = len(fitted) // 2
    return np.hypot(fitted[:count], fitted[count:])


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
    amplitude = _amplitudes(pairs, waves(2 * FRAME_SAMPLES, frequencies))
    result = {}
    for index, frequency in enumerate(frequencies):
        usual = float(np.percentile(amplitude[index], 75))
        whole = amplitude[index] > 0.75 * usual
        first = np.concatenate([whole[:1], whole])
        second = np.concatenate([whole, whole[-1:]])
        result[frequency] = first | second
    return result


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))
