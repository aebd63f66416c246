"""One tick of the media plane: recv, parse, insert, playout, decode, mix, encode, send.

Receiving and sending are the shell's; packets are decoded as they are inserted.

The plane knows slots, groups, local port numbers and time given as an argument; no socket, no
caller. Python runs per leg only when one joins, leaves, is commanded or ends something.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import conceal, dtmf, g711, jitter, mix, outgoing, rtp
from bridge.media.plays import Clips, Plays
from bridge.media.recording import Piece, Taps
from bridge.media.shape import CELLS, FRAME, LEGS_MAX, PCMA, PCMU
from bridge.media.sources import Sources

PORTS_MAX: Final = 8_192
"""Local ports a plane can tell apart."""

ROUNDS_MAX: Final = 24
"""Packets of one leg taken in one tick; a longer burst is counted and left out."""

LATCHES_MAX: Final = 64
"""Unknown sources looked at in one tick."""

CODECS: Final = {"PCMU": PCMU, "PCMA": PCMA}

_COMFORT_NOISE = 13
_NO_TYPE = 255


@dataclass(frozen=True, slots=True)
class Remote:
    """What was agreed with the other side, as in `bridge.link.SetRemote`.

    `expected` is the source of its SDP, 0 when it named none.
    """

    codec: str
    payload_type: int
    dtmf_payload_type: int
    expected: int
    proven: bool
    sends: bool = True
    hears: bool = True
    relatch: bool = False


@dataclass(slots=True)
class TickResult:
    """What happened in a tick that control must know.

    Attributes:
        keys: keys that were pressed.
        played: (slot, token) of plays that ended by themselves.
        silent: (slot, monotonic time of the last packet) of legs gone silent (D12).
        pieces: recorded audio to be written.
        rearranged: the rows to send, or where they go, have changed.
    """

    keys: list[dtmf.Key] = field(default_factory=list)
    played: list[tuple[int, int]] = field(default_factory=list)
    silent: list[tuple[int, int]] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    rearranged: bool = False


class Plane:
    """The media plane of one worker. Row i of every array is leg slot i; L = leg slots.

    Attributes:
        open: (L,) bool, the slot has a leg.
        ready: (L,) bool, its remote side is agreed.
        codec: (L,) uint8, PCMU or PCMA.
        audio_type, dtmf_type: (L,) uint8, payload types; 255 in idle rows or when not agreed.
        group: (L,) int64, control's group number, -1 for none.
        muted: (L,) bool, not heard by its group.
        port: (L,) int64, local port index.
        latched: (L,) uint64, source that was heard, 0 before.
        dest: (L,) uint64, where RTP goes, 0 while nothing is proven.
        last_ns: (L,) int64, when the last packet came, or the leg was opened.
        quiet_since: (L,) int64, when silence began to count, for D12.
        silent: (L,) bool, silence was reported.
        peak: (L,) int16, largest sample of the frame each leg sent us, as of the last tick.
    """

    def __init__(self, clips: Clips, *, silence_ns: int, legs_max: int = LEGS_MAX) -> None:
        self.silence_ns = silence_ns
        self.tick_no = 0
        self.counters = rtp.Counters()
        self.sources = Sources(PORTS_MAX)
        self.jitter = jitter.Jitter.of(legs_max)
        self.events = dtmf.Events.of(legs_max)
        self.plays = Plays(clips, legs_max)
        self.taps = Taps()
        self.out = outgoing.Outgoing.of(legs_max)
        self.open: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.ready: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.codec: NDArray[np.uint8] = np.zeros(legs_max, np.uint8)
        self.audio_type: NDArray[np.uint8] = np.full(legs_max, _NO_TYPE, np.uint8)
        self.dtmf_type: NDArray[np.uint8] = np.full(legs_max, _NO_TYPE, np.uint8)
        self.group: NDArray[np.int64] = np.full(legs_max, -1, np.int64)
        self.muted: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.port: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self.latched: NDArray[np.uint64] = np.zeros(legs_max, np.uint64)
        self.dest: NDArray[np.uint64] = np.zeros(legs_max, np.uint64)
        self.sends: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.hears: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.last_ns: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self.quiet_since: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self.silent: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.peak: NDArray[np.int16] = np.zeros(legs_max, np.int16)
        self.pitch: NDArray[np.int64] = np.full(legs_max, conceal.PITCH_MIN, np.int64)
        self._frame: NDArray[np.int16] = np.zeros((legs_max, FRAME), np.int16)
        self._mark: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self._mix = mix.MixBuffers.of(legs_max)
        self._codes: NDArray[np.uint8] = np.zeros((2 + 3 * legs_max, FRAME), np.uint8)
        self._codes[PCMU], self._codes[PCMA] = g711.SILENCE_CODE
        self._groups = mix.arrange(self.group)
        self._count = 0
        self._stale = True

    # --- commands, between ticks ----------------------------------------------------------

    def open_leg(
        self, slot: int, *, port: int, expected: int, numbers: tuple[int, int, int], now_ns: int
    ) -> None:
        """Take a slot for a leg on a local port; `numbers`: random SSRC, sequence, timestamp."""
        assert not self.open[slot], "a slot has one leg"
        self.jitter.open_leg(slot)
        self.events.open_leg(slot)
        ssrc, seq, ts = numbers
        self.out.open_leg(slot, ssrc=ssrc, seq=seq, ts=ts)
        self.sources.open(slot, port, expected)
        self.open[slot] = self.sends[slot] = True
        self.ready[slot] = self.muted[slot] = self.silent[slot] = self.hears[slot] = False
        self.group[slot], self.port[slot] = -1, port
        self.latched[slot] = self.dest[slot] = 0
        self.last_ns[slot] = self.quiet_since[slot] = now_ns
        self._stale = True

    def close_leg(self, slot: int) -> None:
        """Free a slot."""
        self.sources.close(slot)
        self.plays.stop(slot)
        self.jitter.open_leg(slot)
        self.events.open_leg(slot)
        self.open[slot] = self.ready[slot] = False
        self.audio_type[slot] = self.dtmf_type[slot] = _NO_TYPE
        self.group[slot] = -1
        self.dest[slot] = 0
        self._stale = True

    def set_remote(self, slot: int, remote: Remote, now_ns: int) -> None:
        """Take over what was agreed with the other side."""
        self.codec[slot] = CODECS[remote.codec]
        self.audio_type[slot] = self.out.payload_type[slot] = remote.payload_type
        self.dtmf_type[slot] = (
            remote.dtmf_payload_type if remote.dtmf_payload_type >= 0 else _NO_TYPE
        )
        self.sources.set_remote(slot, remote.expected, proven=remote.proven, relatch=remote.relatch)
        if remote.relatch:
            self.latched[slot] = 0
        self.dest[slot] = self.sources.destination(slot)
        if remote.sends and not self.sends[slot]:
            self.quiet_since[slot] = now_ns
            self.silent[slot] = False
        self.sends[slot], self.hears[slot] = remote.sends, remote.hears
        self.ready[slot] = True
        self._stale = True

    def set_group(self, slot: int, group: int) -> None:
        """Put a leg into a group; -1 takes it out of any."""
        self.group[slot] = group
        self._stale = True

    # --- the tick -------------------------------------------------------------------------

    def tick(self, packets: rtp.Packets, now_ns: int, *, skipped: int = 0) -> TickResult:
        """Run one tick on what was received: afterwards `out` holds the packets to send.

        `skipped` is how many ticks should have run before this one and never did.
        """
        result = TickResult()
        heads, slot = self._parse(packets, now_ns)
        self._insert(packets, heads, slot, result)
        self._settle(now_ns, skipped, result)
        played = self._playout()
        self._conceal(played)
        mixed = self._mix_groups(skipped, result)
        self._encode(mixed, skipped, result)
        jitter.advance(self.jitter, self._count, played, tick=self.tick_no)
        self.out.ts += np.uint32(FRAME)
        self.tick_no += 1
        return result

    def _parse(self, packets: rtp.Packets, now_ns: int) -> tuple[rtp.Headers, NDArray[np.int64]]:
        """Return the sound packets of known legs, and the slot of each; latch new sources."""
        self.counters.add("rx", len(packets.length))
        heads = rtp.parse(packets, self.counters)
        port, source = packets.port, packets.source
        if len(heads) < len(port):
            port, source = port[heads.row], source[heads.row]
        slot = self.sources.find(port, source)
        changed = (slot >= 0) & (self.latched[slot] != source) & self.ready[slot]
        if changed.any():
            self._relatch(heads, slot, source, changed)
        stranger = slot < 0
        if stranger.any():
            if (stranger & self.sources.waiting[port]).any():
                self._latch(heads, slot, port, source)
            stranger = slot < 0
            self.counters.add("unknown_source", np.count_nonzero(stranger))
        wrong = ~stranger & (heads.payload_type != self.audio_type[slot])
        if wrong.any():
            wrong = self._name_types(heads, slot, wrong)
        bad = stranger | wrong
        if bad.any():
            good = ~bad
            heads, slot = heads.pick(good), slot[good]
        self.last_ns[slot] = now_ns
        self.silent[slot] = False
        return heads, slot

    def _relatch(
        self,
        heads: rtp.Headers,
        slot: NDArray[np.int64],
        source: NDArray[np.uint64],
        changed: NDArray[np.bool_],
    ) -> None:
        """Latch sources that are their leg's own; only RTP of the agreed types counts."""
        changed &= (heads.payload_type == self.audio_type[slot]) | (
            heads.payload_type == self.dtmf_type[slot]
        )
        legs, index = np.unique(slot[changed], return_index=True)
        sources = source[changed][index]
        for leg, heard in zip(legs.tolist(), sources.tolist(), strict=True):  # once a leg
            self._heard(leg, heard)

    def _heard(self, slot: int, source: int) -> None:
        self.sources.heard(slot, source)
        self.latched[slot] = source
        self.dest[slot] = self.sources.destination(slot)
        self._stale = True

    def _latch(
        self,
        heads: rtp.Headers,
        slot: NDArray[np.int64],
        port: NDArray[np.int64],
        source: NDArray[np.uint64],
    ) -> None:
        """Give unknown sources to legs that wait to be heard; `slot` is amended."""
        which = np.flatnonzero((slot < 0) & self.sources.waiting[port])
        pairs = np.stack([port[which].astype(np.uint64), source[which]])
        _, first = np.unique(pairs, axis=1, return_index=True)
        for at in which[np.sort(first)[:LATCHES_MAX]].tolist():  # bounded: LATCHES_MAX
            leg = self.sources.claimant(int(port[at]), int(source[at]))
            if leg < 0 or not self.ready[leg]:
                continue
            if heads.payload_type[at] in (self.audio_type[leg], self.dtmf_type[leg]):
                self._heard(leg, int(source[at]))
        slot[which] = self.sources.find(port[which], source[which])

    def _name_types(
        self, heads: rtp.Headers, slot: NDArray[np.int64], wrong: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Count packets that are not of the agreed type; return which are no telephone-event."""
        wrong &= heads.payload_type != self.dtmf_type[slot]
        early = wrong & ~self.ready[slot]
        noise = wrong & ~early & (heads.payload_type == _COMFORT_NOISE)
        self.counters.add("not_ready", np.count_nonzero(early))
        self.counters.add("comfort_noise", np.count_nonzero(noise))
        self.counters.add("payload_type", np.count_nonzero(wrong & ~early & ~noise))
        return wrong

    def _insert(
        self,
        packets: rtp.Packets,
        heads: rtp.Headers,
        slot: NDArray[np.int64],
        result: TickResult,
    ) -> None:
        """Put audio into the jitter rings and events into their rows."""
        event = heads.payload_type != self.audio_type[slot]
        if event.any():
            self._take_events(packets, heads.pick(event), slot[event], result)
            heads, slot = heads.pick(~event), slot[~event]
        for turn in self._rounds(slot):  # once, but for legs with several packets
            one, legs = (heads, slot) if turn is None else (heads.pick(turn), slot[turn])
            jitter.insert(
                self.jitter,
                one,
                legs,
                packets.data,
                codec=self.codec[legs],
                counters=self.counters,
            )

    def _rounds(self, slot: NDArray[np.int64]) -> Iterator[NDArray[np.intp] | None]:
        """Split packets so that no slot is twice in a round; None stands for all at once."""
        each = np.arange(len(slot))
        self._mark[slot] = each
        if (self._mark[slot] == each).all():
            yield None
            return
        order = np.argsort(slot, kind="stable")
        ranked = slot[order]
        rank = np.empty(len(slot), np.int64)
        rank[order] = each - np.searchsorted(ranked, ranked)
        self.counters.add("burst", np.count_nonzero(rank >= ROUNDS_MAX))
        for turn in range(min(int(rank.max()) + 1, ROUNDS_MAX)):  # bounded: ROUNDS_MAX
            yield np.flatnonzero(rank == turn)

    def _take_events(
        self,
        packets: rtp.Packets,
        heads: rtp.Headers,
        slot: NDArray[np.int64],
        result: TickResult,
    ) -> None:
        self.counters.add("dtmf", len(slot))
        result.keys += dtmf.take(
            self.events, heads, slot, packets.data, tick=self.tick_no, counters=self.counters
        )
        dtmf.mute(self.events, slot, self.jitter.play_ts, tick=self.tick_no)

    def _settle(self, now_ns: int, skipped: int, result: TickResult) -> None:
        """Take in what commands and packets have changed, and what time has."""
        if self._stale:
            self._arrange()
            result.rearranged = True
        if skipped:
            jitter.skip(self.jitter, self._count, skipped)
            self.out.ts += np.uint32(skipped * FRAME)
        result.keys += dtmf.time_out(self.events, self._count, tick=self.tick_no)
        quiet = self.open & self.sends & ~self.silent
        since = np.maximum(self.last_ns, self.quiet_since)[: self._count]
        over = np.flatnonzero(quiet[: self._count] & (now_ns - since > self.silence_ns))
        if len(over):
            self.silent[over] = True
            result.silent = list(
                zip(over.tolist(), self.last_ns[over].tolist(), strict=True)
            )  # bounded by legs that fell silent

    def _arrange(self) -> None:
        """Lay out groups and rows to send anew."""
        used = np.flatnonzero(self.open)
        self._count = int(used[-1]) + 1 if len(used) else 0
        self._groups = mix.arrange(self.group)
        sends = self.open & self.hears & (self.dest != 0)
        outgoing.arrange(self.out, sends, self.port)
        self._stale = False

    def _playout(self) -> jitter.Played:
        """Take this tick's frame of each leg from its ring."""
        return jitter.playout(self.jitter, self._count, self._frame[: self._count])

    def _conceal(self, played: jitter.Played) -> None:
        """Make up the frames that are missing, and join made-up and received ones."""
        state, frame = self.jitter, self._frame
        if len(played.merged):
            legs = played.merged
            following = state.rows[legs] + (state.play_cell[legs] + 1 & CELLS - 1)
            weight = (np.arange(FRAME, dtype=np.float32) + 1) / (FRAME + 1)
            now, later = frame[legs].astype(np.float32), state.ring[following]
            frame[legs] = now + (later - now) * weight
        if len(played.patched):
            self._patch(played.patched)
        legs = played.made_up
        if len(legs):
            self.counters.add("concealed", len(legs) - len(played.holds))
            past = jitter.history(state, legs)
            run = state.run[legs].astype(np.int64)
            first = run == 1
            self.pitch[legs[first]] = conceal.pitch_of(past[first])
            made = conceal.extrapolate(past, self.pitch[legs], (run - 1) * FRAME, FRAME)
            frame[legs] = np.clip(made, -32_767, 32_767).astype(np.int16)
            kept = np.setdiff1d(legs, played.holds, assume_unique=True)
            jitter.keep(state, kept, frame[kept])
        if len(played.resumed):
            self._resume(played.resumed, played.resumed_run)

    def _resume(self, legs: NDArray[np.intp], run: NDArray[np.int32]) -> None:
        """Fade received frames in over what would have been made up."""
        past = jitter.history(self.jitter, legs)
        over = conceal.overlap_of(self.pitch[legs], run)[:, None]
        start = run.astype(np.int64) * FRAME
        count = int(over.max())
        made = conceal.extrapolate(past, self.pitch[legs], start, count)
        weight = np.clip((np.arange(count) + 1) / (over + 1), 0, 1).astype(np.float32)
        frame = self._frame[legs]
        frame[:, :count] = made + (frame[:, :count] - made) * weight
        self._frame[legs] = frame

    def _patch(self, legs: NDArray[np.intp]) -> None:
        """Fill the holes of half-received frames with made-up samples."""
        frame = self._frame[legs]
        hole = frame == jitter.MISSING
        which = np.flatnonzero(hole.any(axis=1))
        if not len(which):
            return
        self.counters.add("patched", len(which))
        past = jitter.history(self.jitter, legs[which])
        pitch = conceal.pitch_of(past)
        made = conceal.extrapolate(past, pitch, np.zeros(len(which), np.int64), FRAME)
        frame[which] = np.where(hole[which], made, frame[which])
        self._frame[legs] = frame
        jitter.keep(self.jitter, legs[which], frame[which])

    def _mix_groups(self, skipped: int, result: TickResult) -> mix.Mixed:
        """Sum the groups, and give recordings their sums."""
        count, groups = self._count, self._groups
        frame, peak = self._frame[:count], self.peak[:count]
        np.max(frame, axis=1, out=peak)
        speaks = peak != 0
        flat = np.flatnonzero(~speaks)
        if len(flat):
            speaks[flat] = frame[flat].any(axis=1)
        speaks &= ~self.muted[:count] & (self.events.mute_until[:count] <= self.tick_no)
        order = groups.order
        mixed = mix.mix_minus(
            groups,
            self._frame,
            speaks[order],
            codec=self.codec[order],
            extra=self.plays.group_frames(groups.numbers, 1 + skipped),
            buffers=self._mix,
        )
        result.pieces = self.taps.gather(groups.numbers, mixed.total, skipped=skipped)
        return mixed

    def _encode(self, mixed: mix.Mixed, skipped: int, result: TickResult) -> None:
        """Encode what each leg hears, and write the packets to send."""
        count = self._count
        result.played = self.plays.finish(count)
        playing = self.plays.playing(count)
        rows = len(mixed.rows)
        codes = self._codes
        g711.encode_rows(mixed.rows, mixed.codec, codes[2 : 2 + rows])
        pick = self.codec[:count].astype(np.int64)  # silence, by codec
        pick[self._groups.order] = 2 + mixed.pick
        if len(playing):
            pick[playing] = np.arange(2 + rows, 2 + rows + len(playing))
            codes[2 + rows : 2 + rows + len(playing)] = self.plays.clips.encoded(
                self.codec[playing], self.plays.at[playing]
            )
            self.plays.advance(playing, 1 + skipped)
        outgoing.fill(self.out, codes, pick)
        self.counters.add("tx", len(self.out.slots))
