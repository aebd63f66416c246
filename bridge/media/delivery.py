"""The second half of a tick: mix, encode, and the packets to send; knows frames and groups.

What each leg says comes in; what each hears goes out as rows of codes for `outgoing`, and of
`wide_out`, and on the way recordings get their sums, prompts play, and talk is noticed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.media import g711, mix, outgoing, samples, voice
from bridge.media.linked import Exchange, Links
from bridge.media.plays import Plays
from bridge.media.recording import Taps
from bridge.media.rtp import Counters
from bridge.media.shape import FRAME, PCMA, PCMU
from bridge.media.values import TickResult
from bridge.media.wide import Wide


@dataclass(slots=True)
class Said:
    """What the legs say in one tick. L = leg slots.

    Attributes:
        count: slots that can have a leg: those below it.
        ring, cell: as in `mix.Voices`.
        quiet: (count,) bool, whose voice stays out: muted, or a key is down.
        narrow: (L,) uint8, PCMU or PCMA; PCMU for wideband legs.
        gain: (L,) float32, how loud each is heard.
        port: (L,) int64, local port index.
    """

    count: int
    ring: NDArray[np.int16]
    cell: NDArray[np.int64]
    quiet: NDArray[np.bool_]
    narrow: NDArray[np.uint8]
    gain: NDArray[np.float32]
    port: NDArray[np.int64]


class Delivery:
    """Mixes and encodes for one plane. L = leg slots.

    Attributes:
        links: what is shared with other workers.
        codes: (2 + 4 L, FRAME) uint8, encoded frames of this tick; the first two are silence.
        pick: (L,) int64, which of them each slot hears.
    """

    def __init__(
        self,
        plays: Plays,
        taps: Taps,
        ears: voice.Voice,
        out: outgoing.Outgoing,
        wide: Wide,
        counters: Counters,
        legs_max: int,
    ) -> None:
        self._plays, self._taps, self._ears = plays, taps, ears
        self._out, self._wide, self._counters = out, wide, counters
        self.links = Links()
        self.pick: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self._mix = mix.MixBuffers.of(legs_max)
        self.codes: NDArray[np.uint8] = np.zeros((2 + 4 * legs_max, FRAME), np.uint8)
        self.codes[PCMU], self.codes[PCMA] = g711.SILENCE_CODE

    def run(
        self, groups: mix.Groups, said: Said, result: TickResult, *, skipped: int, look: bool
    ) -> None:
        """Fill the rows to send; with `look`, notice who talks."""
        count, plays, pick = said.count, self._plays, self.pick
        result.played = plays.finish(count)
        pick[:count] = said.narrow[:count]  # silence, by codec
        extra_group, extra = plays.group_frames(groups.dense, 1 + skipped)
        exchange = self.links.begin(groups.dense, self._counters)
        voices = mix.Voices(
            ring=said.ring,
            cell=said.cell,
            quiet=said.quiet,
            codec=said.narrow,
            extra_group=extra_group,
            extra=extra,
            codes=self.codes,
            pick=pick,
            used=2,
            gain=said.gain,
            linked=exchange,
        )
        tracks = None
        if self._wide:
            tracks = self._wide.aside(said.ring, said.cell)
            theirs, sums = self._wide.gather(said.quiet, said.gain)
            voices.extra_group = np.concatenate([extra_group, theirs])
            voices.extra = np.concatenate([extra, sums])
            if exchange is not None:
                exchange.with_own(theirs, sums, self._wide.sums())
        mix.mix_minus(groups, voices, self._mix)
        result.given = self.links.give(exchange)
        if look:
            result.talk = voice.look(self._ears, self._levels(groups, said)).tolist()
        if tracks is not None:
            self._lay_in(groups, said, *tracks)
        result.heard = self._taps.ears.gather(groups.dense, self._mix.total)
        result.pieces = self._taps.gather(
            groups.dense, self._mix.total, self._mix.talk, skipped=skipped
        )
        playing = plays.playing(count)
        if len(playing):
            end = voices.used + len(playing)
            self.codes[voices.used : end] = plays.clips.encoded(
                said.narrow[playing], plays.at[playing]
            )
            pick[playing] = np.arange(voices.used, end)
            voices.used = end
        self._speak_wide(said, voices.used, exchange)
        if len(playing):
            plays.advance(playing, 1 + skipped)

    def _lay_in(
        self, groups: mix.Groups, said: Said, slots: NDArray[np.int64], frames: NDArray[np.int16]
    ) -> None:
        """Put what wideband legs say at 8 kHz where recordings look for their tracks."""
        talk = self._mix.talk[: len(groups.order)]
        heard = frames.any(axis=1) & ~said.quiet[slots]
        row_of = np.full(len(said.narrow), -1)
        row_of[groups.order] = np.arange(len(groups.order))
        rows = row_of[slots]
        heard &= rows >= 0
        talk[rows[heard]] = frames[heard]

    def _levels(self, groups: mix.Groups, said: Said) -> NDArray[np.float64]:
        """Return the power of what each of the first legs says, 0 outside any group."""
        level, order, buffers = np.empty(said.count), groups.order, self._mix
        samples.levels(buffers.talk[: len(order)], order, level, buffers.known)
        if self._wide:
            heard = np.zeros(said.count, np.bool_)
            heard[order] = True
            heard &= ~said.quiet
            for slots, frames in self._wide.said():  # two
                level[slots] = samples.power_of(frames) * heard[slots]
        return level

    def _speak_wide(self, said: Said, used: int, exchange: Exchange | None) -> None:
        """Encode what wideband legs hear; rows of codes are taken up to `used`."""
        if not self._wide:
            self._wide.out.clear()
            return
        packets = self._wide.speak(
            self._mix.total, self._plays, self.codes, self.pick, used=used, exchange=exchange
        )
        lost = self._wide.out.fill(self._out, packets, said.port)
        self._counters.add("tx", len(packets) - lost)
        self._counters.add("send_failed", lost)
