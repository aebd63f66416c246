"""Who hears whom in one turn, and how late: judged from what sampled listeners received.

Pure array work. A second of sound is cut into blocks of 200 ms, each weighted by a Hann window:
tones are multiples of 10 Hz, and to a tone 10 Hz away such a block is deaf. Levels are averaged
over blocks without regard to phase, so that a frame more or less, by which a jitter buffer keeps
up, is no silence. Voices that must be there, that may be there (they came or left meanwhile), the
listener's own, and all others that must not be there are told apart.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.load.voices import SILENCE, TICKS_PER_S, TONES_HZ, TURN_TICKS
from bridge.lab.voice import decode
from bridge.units import FRAME_NS, FRAME_SAMPLES, NS_PER_S, SAMPLE_RATE_HZ

Ints = NDArray[np.int64]
Reals = NDArray[np.float32]

HEARD: Final = 0.4
"""Share of the amplitude that was sent from which a voice counts as heard: -8 dB."""

LEAKED: Final = 0.25
"""From here on a voice that must not be there is: -12 dB. Holes in others' voices stay below."""

BLOCK: Final = SAMPLE_RATE_HZ // 5
WHOLE: Final = 47
"""Frames of a second's 50 that must have come for it to be judged."""

JUDGED_FROM_NS: Final = 9 * NS_PER_S // 10
"""After the beginning of a turn: up to 0.7 s of delay are taken for delay."""

QUIET_FRAMES: Final = 2
ONSET: Final = 0.25
LEAD_FRAMES: Final = 3
LEAD_SHARE: Final = 0.5
"""Of the energy at the onset that must be the leader's tone, or it was somebody else."""


@dataclass(slots=True)
class Capture:
    """What sampled listeners received in one turn. L = listeners, T = talkers at most, P = packets.

    Attributes:
        turn, half: which turn, of even or odd conferences; `began_ns` when it began, monotonic.
        listener: (L,) caller numbers; `conference`: (L,) theirs.
        tone: (L, T) indexes into TONES_HZ of the talkers' places, SILENCE where nobody is.
        caller: (L, T) whose they are, -1 where nobody is.
        must: (L, T) bool, heard the whole turn; `may`: (L, T) bool, for a part of it.
        lead: (L,) the leader's place, -1 when there is none or it is the listener himself.
        lead_ns: (L,) when the leader's first frame with sound was sent.
        count: (L,) packets that came; `codes`: (L, P, 160) uint8; `seq`, `came_ns`: (L, P).
    """

    turn: int
    half: int
    began_ns: int
    codec: str
    amplitude: float
    listener: Ints
    conference: Ints
    tone: Ints
    caller: Ints
    must: NDArray[np.bool_]
    may: NDArray[np.bool_]
    lead: Ints
    lead_ns: Ints
    count: Ints
    codes: NDArray[np.uint8]
    seq: Ints
    came_ns: Ints


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one listener's ears in one turn.

    `what` is "missing", "wrong" or "own"; `whose` the caller meant, -1 for a voice that is
    nobody's in this conference; `level` the share of the amplitude sent.
    """

    what: str
    turn: int
    half: int
    listener: int
    whose: int
    tone_hz: int
    level: float


@dataclass(slots=True)
class Heard:
    """The verdict on one capture.

    Attributes:
        judged, holed: listeners judged, and those whose second had too many holes for that.
        pairs: voices that had to be heard by a judged listener.
        faults: all that was wrong.
        unheard: talkers that nobody heard who had to; `talkers`: all who had to be heard.
        delays_ms: of leaders' voices, one a listener.
    """

    at_ns: int
    judged: int = 0
    holed: int = 0
    pairs: int = 0
    faults: list[Fault] = field(default_factory=list)
    listeners: list[int] = field(default_factory=list)
    talkers: set[int] = field(default_factory=set)
    unheard: set[int] = field(default_factory=set)
    delays_ms: list[float] = field(default_factory=list)


def judge(capture: Capture) -> Heard:
    """Return who heard whom in a capture."""
    heard = Heard(at_ns=capture.began_ns + TURN_TICKS * FRAME_NS)
    if not len(capture.listener):
        return heard
    pcm, present = _second(capture)
    mean, median = (level / capture.amplitude for level in tone_levels(pcm))
    deaf = capture.count == 0
    judged = (present >= WHOLE) | deaf
    heard.judged, heard.holed = int(judged.sum()), int((~judged).sum())
    hearers: dict[int, bool] = {}
    for row in np.flatnonzero(judged).tolist():  # bound: the sample of a second
        heard.listeners.append(int(capture.listener[row]))
        _judge_one(capture, row, (mean[row], median[row]), heard, hearers)
    heard.talkers = set(hearers)
    heard.unheard = {talker for talker, was_heard in hearers.items() if not was_heard}
    heard.delays_ms = _delays_ms(capture)
    return heard


def _judge_one(
    capture: Capture,
    row: int,
    levels: tuple[Reals, Reals],
    heard: Heard,
    hearers: dict[int, bool],
) -> None:
    """Judge one listener; `hearers` learns of each talker whether anybody heard him.

    A voice is there by the mean of its levels; one that must not be is by their median, so that
    a short sound of the bridge's own is nobody's voice.
    """
    listener = int(capture.listener[row])
    mean, median = levels
    expected = np.zeros(len(mean), np.bool_)

    def fault(what: str, whose: int, tone: int) -> None:
        level = mean if what == "missing" else median
        heard.faults.append(
            Fault(
                what,
                capture.turn,
                capture.half,
                listener,
                whose,
                int(TONES_HZ[tone]),
                round(float(level[tone]), 2),
            )
        )

    for place in np.flatnonzero(capture.tone[row] != SILENCE).tolist():  # bound: the talkers
        tone, whose = int(capture.tone[row, place]), int(capture.caller[row, place])
        if whose == listener:
            expected[tone] = True
            if median[tone] >= LEAKED:
                fault("own", whose, tone)
        elif capture.must[row, place]:
            expected[tone] = True
            heard.pairs += 1
            there = bool(mean[tone] >= HEARD)
            hearers[whose] = hearers.get(whose, False) or there
            if not there:
                fault("missing", whose, tone)
        elif capture.may[row, place]:
            expected[tone] = True
    for tone in np.flatnonzero((median >= LEAKED) & ~expected).tolist():  # bound: the tones
        fault("wrong", -1, tone)


def _second(capture: Capture) -> tuple[NDArray[np.int16], Ints]:
    """Return the judged second of each listener, (L, 8000) int16, and how much of it came."""
    listeners = len(capture.listener)
    codes = np.zeros((listeners, TICKS_PER_S, FRAME_SAMPLES), np.uint8)
    present = np.zeros((listeners, TICKS_PER_S), np.bool_)
    since = capture.began_ns + JUDGED_FROM_NS
    for row in range(listeners):  # bound: the sample of a second
        count = int(capture.count[row])
        after = capture.came_ns[row, :count] >= since
        if not after.any():
            continue
        seq = capture.seq[row, :count]
        place = (seq - seq[np.argmax(after)] + 32_768) % 65_536 - 32_768
        inside = (place >= 0) & (place < TICKS_PER_S)
        codes[row, place[inside]] = capture.codes[row, :count][inside]
        present[row, place[inside]] = True
    pcm = decode(codes, capture.codec)
    pcm[~present] = 0
    return pcm.reshape(listeners, SAMPLE_RATE_HZ), present.sum(axis=1)


def tone_levels(pcm: NDArray[np.int16]) -> tuple[Reals, Reals]:
    """Return mean and median amplitude of every tone in a second: (L, 8000) to (L, tones) twice."""
    window = np.hanning(BLOCK + 1)[:-1].astype(np.float32)
    starts = range(0, SAMPLE_RATE_HZ - BLOCK + 1, BLOCK // 2)
    blocks = np.stack([pcm[:, start : start + BLOCK] * window for start in starts], axis=1)
    lines = TONES_HZ * BLOCK // SAMPLE_RATE_HZ
    level = np.abs(np.fft.rfft(blocks, axis=2)[:, :, lines]) * (2 / window.sum())
    return level.mean(axis=1).astype(np.float32), np.median(level, axis=1).astype(np.float32)


def _delays_ms(capture: Capture) -> list[float]:
    """Return how long the leader's first sound took to each listener who can tell."""
    delays = []
    for row in np.flatnonzero(capture.lead >= 0).tolist():  # bound: the sample of a second
        count = int(capture.count[row])
        seq = (capture.seq[row, :count] - capture.seq[row, 0] + 32_768) % 65_536
        order = np.argsort(seq, kind="stable")
        pcm = decode(capture.codes[row, :count][order], capture.codec)
        tone = int(TONES_HZ[capture.tone[row, capture.lead[row]]])
        onset = _onset(pcm, capture.amplitude * ONSET, tone)
        if onset is not None:
            frame, sample = divmod(onset, FRAME_SAMPLES)
            came_ns = int(capture.came_ns[row, :count][order][frame])
            came_ns += sample * NS_PER_S // SAMPLE_RATE_HZ
            delays.append((came_ns - int(capture.lead_ns[row])) / 1e6)
    return delays


def _onset(pcm: NDArray[np.int16], level: float, tone_hz: int) -> int | None:
    """Return the sample at which a tone begins after quiet, None when it does not.

    `pcm` is (frames, 160). A constant is quiet: the idle code of A-law decodes to 8, and the sum
    of some hundred callers who say nothing to thousands.
    """
    moving = pcm - pcm.mean(axis=1, keepdims=True)
    loud = np.abs(moving).max(axis=1, initial=0) >= level
    for frame in range(QUIET_FRAMES, len(pcm) - LEAD_FRAMES):  # bound: the frames of a turn
        if not loud[frame] or loud[frame - QUIET_FRAMES : frame].any():
            continue
        begins = frame * FRAME_SAMPLES + int(np.argmax(np.abs(moving[frame]) >= level))
        sound = moving.reshape(-1)[begins : begins + LEAD_FRAMES * FRAME_SAMPLES]
        wave = np.exp(-2j * np.pi * tone_hz * np.arange(len(sound)) / SAMPLE_RATE_HZ)
        energy = float(np.sum(sound**2))
        share = 2 * abs(np.vdot(wave, sound)) ** 2 / len(sound) / max(energy, 1.0)
        return begins if share >= LEAD_SHARE else None
    return None
