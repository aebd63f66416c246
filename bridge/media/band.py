"""The legs of one sample rate above 8 kHz: what each says in a tick, and what it hears.

Arrays over the legs of the band. G.722 is coded for all its legs at once where that was compiled,
L16 always; coders of the others are called one by one. Knows slots, frames and the jitter buffer's
timing, no conferences: those are in `wide`.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import conceal, g722, jitter
from bridge.media.codecs import WideCodec, coders
from bridge.media.played import Played
from bridge.media.resample import Resampler
from bridge.media.shape import FRAME, G722, L16
from bridge.media.streams import Stream
from bridge.units import SAMPLE_RATE_HZ

DTX_TICKS_MAX: Final = 50
"""Ticks for which Opus goes on with the noise of a sender who rests: one refreshes in 400 ms."""

AT_ONCE: Final = (G722, L16)
"""Codecs that are decoded for all legs at once: those whose payloads may be cut."""

_PEAK = 32_767
_HISTORY_FRAMES = conceal.HISTORY // FRAME


class Leg:
    """One leg's coders."""

    def __init__(self, slot: int, codec: WideCodec) -> None:
        self.slot, self.codec = slot, codec
        self.decoder, self.encoder = coders(codec)
        self.stream = Stream(codec, self.decoder)


class Band:
    """Row i of every array is `legs[i]`, in the order of slots. n = legs, S = samples of a frame.

    Rows change between ticks only.

    Attributes:
        rate_hz: of the samples.
        slots: (n,) int64, the leg slot of each row.
        frame: (n, S) int16, what each leg says this tick.
        past: (n, 3, S) int16, frames that it said before, without what was made up.
        oldest: (n,) int64, which of them makes way next.
        pitch: (n,) int64, pitch period of its last erasure.
        prompting: (n,) bool, it heard a prompt in the last tick.
        gone: (n,) bool, nothing was received for the last tick.
        codec: (n,) uint8.
        cut: (n,) bool, payloads of the codec may be cut: see `WideCodec.step_bytes`.
        ears, mouths: (n, STATE) int32, states of `g722_lanes`, which the coders of legs in G.722
            share; of no width where it is not compiled.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.factor = rate_hz // SAMPLE_RATE_HZ
        self.size = FRAME * self.factor
        self.legs: list[Leg] = []
        self._lay_out(np.zeros(0, np.int64))
        self._prompts = Resampler(SAMPLE_RATE_HZ, rate_hz)
        self._narrow = Resampler(rate_hz, SAMPLE_RATE_HZ)

    def _lay_out(self, slots: NDArray[np.int64]) -> None:
        count = len(slots)
        self.slots = slots
        self.frame: NDArray[np.int16] = np.zeros((count, self.size), np.int16)
        self.past: NDArray[np.int16] = np.zeros((count, _HISTORY_FRAMES, self.size), np.int16)
        self.oldest: NDArray[np.int64] = np.zeros(count, np.int64)
        self.pitch: NDArray[np.int64] = np.full(count, conceal.PITCH_MIN * self.factor)
        self.prompting: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self.gone: NDArray[np.bool_] = np.ones(count, np.bool_)
        codecs = [leg.codec for leg in self.legs]
        self.codec = np.array([codec.number for codec in codecs], np.uint8)
        self.cut = np.array([codec.step_bytes > 0 for codec in codecs], np.bool_)
        self.ears, self.mouths = g722.states(count), g722.states(count)
        for row, leg in enumerate(self.legs):  # bounded: legs of the band
            for coder, states in ((leg.decoder, self.ears), (leg.encoder, self.mouths)):
                if isinstance(coder, g722.LaneDecoder | g722.LaneEncoder):
                    states[row] = coder.state
                    coder.state = states[row : row + 1]

    def row_of(self, slot: int) -> int:
        """Return the row of a slot that is in the band."""
        return int(np.searchsorted(self.slots, slot))

    def arrange(self, legs: Iterable[Leg]) -> None:
        """Take legs in and out: what those that stay have said before is kept."""
        wanted = sorted(legs, key=lambda leg: leg.slot)
        if wanted == self.legs:
            return
        old = {id(leg): row for row, leg in enumerate(self.legs)}
        stays = [(row, old[id(leg)]) for row, leg in enumerate(wanted) if id(leg) in old]
        new, was = np.array(stays, np.int64).reshape(-1, 2).T
        past, oldest, pitch = self.past, self.oldest, self.pitch
        prompting, gone = self.prompting, self.gone
        self.legs = wanted
        self._lay_out(np.array([leg.slot for leg in wanted], np.int64))
        self.past[new], self.oldest[new], self.pitch[new] = past[was], oldest[was], pitch[was]
        self.prompting[new], self.gone[new] = prompting[was], gone[was]
        for converter in (self._prompts, self._narrow):
            tail = converter.tail[was]
            converter.resize(0)
            converter.resize(len(wanted))
            converter.tail[new] = tail

    # --- what they say --------------------------------------------------------------------

    def play(self, state: jitter.Jitter, played: Played) -> None:
        """Fill `frame`; in the ring the legs say silence from here on."""
        slots = self.slots
        silence = len(state.stamp)
        good = played.cell[slots] != silence
        played.cell[slots] = silence
        self.frame[:] = 0
        stamps = state.play_ts[slots].tolist()
        self._decode(good, stamps)
        self._merge(np.flatnonzero(good & np.isin(slots, played.merged)), stamps)
        self._make_up(np.flatnonzero(~good), state.run[slots], stamps)
        back = np.isin(slots, played.resumed)
        back &= self.cut
        if back.any():
            run = np.zeros(len(slots), np.int32)
            at = np.searchsorted(slots, played.resumed)
            mine = (at < len(slots)) & np.isin(played.resumed, slots)
            run[at[mine]] = played.resumed_run[mine]
            self._resume(np.flatnonzero(back), run)
        self._remember(good)

    def _decode(self, good: NDArray[np.bool_], stamps: list[int]) -> None:
        """Fill the frames of what has come."""
        left = good.copy()
        for number in AT_ONCE:  # two
            if number == G722 and g722.lanes() is None:
                continue
            rows = np.flatnonzero(good & (self.codec == number)).tolist()
            found = [self.legs[row].stream.whole(stamps[row]) for row in rows]  # bounded: legs
            whole = [row for row, payload in zip(rows, found, strict=True) if payload is not None]
            if not whole:
                continue
            left[whole] = False
            payloads = b"".join([payload for payload in found if payload is not None])
            if number == L16:
                self.frame[whole] = np.frombuffer(payloads, ">i2").reshape(len(whole), -1)
                continue
            states = self.ears[whole]
            codes = np.frombuffer(payloads, np.uint8).reshape(len(whole), -1)
            self.frame[whole] = g722.decode_all(states, codes)
            self.ears[whole] = states
        others = np.flatnonzero(left)
        for row, past in zip(others.tolist(), self.history(others), strict=True):  # bounded: legs
            self.frame[row] = self.legs[row].stream.pull(stamps[row], past)

    def _merge(self, rows: NDArray[np.intp], stamps: list[int]) -> None:
        """Take a frame out: cross-fade into the next one."""
        weight = (np.arange(self.size, dtype=np.float32) + 1) / (self.size + 1)
        for row, past in zip(rows.tolist(), self.history(rows), strict=True):  # bounded: legs
            following = (stamps[row] + FRAME) % (1 << 32)
            now = self.frame[row].astype(np.float32)
            later = self.legs[row].stream.pull(following, past)
            self.frame[row] = now + (later - now) * weight

    def _make_up(self, rows: NDArray[np.intp], run: NDArray[np.int32], stamps: list[int]) -> None:
        """Fill what is missing, in the manner of the codec."""
        if not len(rows):
            return
        mine = rows[self.cut[rows] & (run[rows] <= jitter.CONCEAL_MAX)]
        if len(mine):
            self._repeat(mine, run[mine].astype(np.int64))
        for row in rows[~self.cut[rows]].tolist():  # bounded: legs of coders
            stream = self.legs[row].stream
            if run[row] <= (DTX_TICKS_MAX if stream.resting else jitter.CONCEAL_MAX):
                self.frame[row] = stream.made_up(stamps[row])

    def _repeat(self, rows: NDArray[np.intp], run: NDArray[np.int64]) -> None:
        past = self.history(rows).astype(np.float32)
        first = run == 1
        if first.any():
            self.pitch[rows[first]] = conceal.pitch_of(past[first], self.factor)
        start = (run - 1) * self.size
        made = conceal.extrapolate(past, self.pitch[rows], start, self.size, self.factor)
        self.frame[rows] = np.clip(made, -_PEAK, _PEAK)

    def _resume(self, rows: NDArray[np.intp], run: NDArray[np.int32]) -> None:
        """Fade received frames in over what would have been made up."""
        past, pitch, run = self.history(rows).astype(np.float32), self.pitch[rows], run[rows]
        over = conceal.overlap_of(pitch, run, self.factor)[:, None]
        count = int(over.max())
        start = run.astype(np.int64) * self.size
        made = conceal.extrapolate(past, pitch, start, count, self.factor)
        weight = np.clip((np.arange(count) + 1) / (over + 1), 0, 1).astype(np.float32)
        frame = self.frame[rows, :count]
        self.frame[rows, :count] = np.clip(made + (frame - made) * weight, -_PEAK, _PEAK)

    def _remember(self, good: NDArray[np.bool_]) -> None:
        """Keep received frames as history; what does not follow on the last one is silence."""
        self.past[good & self.gone] = 0
        self.gone = ~good
        rows = np.flatnonzero(good)
        oldest = self.oldest[rows]
        self.past[rows, oldest] = self.frame[rows]
        self.oldest[rows] = (oldest + 1) % _HISTORY_FRAMES

    def history(self, rows: NDArray[np.intp]) -> NDArray[np.int16]:
        """Return what legs said before, (k, 3 * S), the latest last."""
        order = (self.oldest[rows][:, None] + np.arange(_HISTORY_FRAMES)) % _HISTORY_FRAMES
        frames = self.past[rows[:, None], order]
        return np.asarray(frames.reshape(len(rows), _HISTORY_FRAMES * self.size))

    def at_8_khz(self, rows: NDArray[np.intp]) -> NDArray[np.int16]:
        """Return what legs say, (n, FRAME) int16; for the same legs from tick to tick."""
        listened = np.zeros(len(self.slots), np.bool_)
        listened[rows] = True
        self._narrow.tail[~listened] = 0
        if not len(rows):
            return np.zeros((0, FRAME), np.int16)
        made = self._narrow.convert(rows, self.frame[rows])
        return np.clip(np.rint(made), -_PEAK, _PEAK).astype(np.int16)

    # --- what they hear -------------------------------------------------------------------

    def encode(self, heard: NDArray[np.int16], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the payloads, (k, FRAME), of what `rows`, in G.722, hear; `heard` is (n, S)."""
        if g722.lanes() is None:
            coded = [self.legs[row].encoder.encode(heard[row]) for row in rows.tolist()]
            return np.frombuffer(b"".join(coded), np.uint8).reshape(len(rows), FRAME)
        states = self.mouths[rows]
        codes = g722.encode_all(states, heard[rows])
        self.mouths[rows] = states
        return codes

    def hear_prompts(
        self, out: NDArray[np.int16], rows: NDArray[np.intp], clips: NDArray[np.int16]
    ) -> None:
        """Put prompts, (k, FRAME) int16 at 8 kHz, into rows of `out` instead of anything else."""
        prompting = np.zeros(len(self.slots), np.bool_)
        prompting[rows] = True
        self._prompts.tail[self.prompting & ~prompting] = 0
        self.prompting = prompting
        if len(rows):
            made = self._prompts.convert(rows, clips)
            out[rows] = np.clip(np.rint(made), -_PEAK, _PEAK)
