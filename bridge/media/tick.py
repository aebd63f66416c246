"""One tick of the media plane: recv, parse, insert, playout, decode, mix, encode, send.

Receiving and sending are the shell's; packets are decoded as they are inserted.

The plane knows slots, groups, local port numbers and time given as an argument; no socket, no
caller. Python runs per leg only when one joins, leaves, is commanded or ends something.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import (
    agc,
    arrivals,
    clocks,
    conceal,
    delivery,
    dtmf,
    erasures,
    formats,
    jitter,
    mix,
    outgoing,
    reception,
    rtcp,
    rtp,
    steady,
    voice,
)
from bridge.media.codecs import NUMBERS
from bridge.media.listening import Listening
from bridge.media.masks import any_of, where
from bridge.media.played import Played
from bridge.media.plays import Clips, Plays
from bridge.media.recording import Taps
from bridge.media.shape import FRAME, LEGS_MAX, PAYLOAD_MAX, PCMA, PCMU
from bridge.media.sources import Sources
from bridge.media.values import Remote, TickResult
from bridge.media.wide import Wide

__all__ = ["Plane", "Remote", "TickResult"]

PORTS_MAX: Final = 8_192
"""Local ports a plane can tell apart."""

LATCHES_MAX: Final = 64
"""Unknown sources looked at in one tick."""

SILENCE_EVERY: Final = 5
"""Ticks between looks for legs that have fallen silent."""

_COMFORT_NOISE = 13


class Plane:
    """The media plane of one worker. Row i of every array is leg slot i; L = leg slots.

    Attributes:
        open: (L,) bool, the slot has a leg.
        ready: (L,) bool, its remote side is agreed.
        codec: (L,) uint8, see `codecs.NUMBERS`.
        narrow: (L,) uint8, PCMU or PCMA: what wideband legs are to the G.711 path is PCMU.
        formats: what each leg may send, by payload type.
        group: (L,) int64, control's group number, -1 for none.
        muted: (L,) bool, not heard by its group.
        gain: (L,) float32, factor by which its group hears it; 1 in idle rows.
        port: (L,) int64, local port index.
        latched: (L,) uint64, source that was heard, as `sources` has it; 0 before and when idle.
        dest: (L,) uint64, where RTP goes, 0 while nothing is proven.
        last_ns: (L,) int64, when the last packet came, or the leg was opened.
        awaited: (L,) bool, RTP is to come: the leg is not on hold (D12).
        quiet_since: (L,) int64, when silence began to count, for D12.
        silent: (L,) bool, silence was reported.
        pitch: (L,) int64, pitch period of the leg's last erasure, samples.
        legs: those of these arrays that packets find and change.
        arrivals: how packets are taken in: with numpy, or in C.
        hear_keys: a key that a leg presses is heard by its group, as a tone.
    """

    def __init__(
        self, clips: Clips, *, silence_ns: int, legs_max: int = LEGS_MAX, token: bytes = b"0" * 16
    ) -> None:
        self.silence_ns = silence_ns
        self.tick_no = 0
        self.counters = rtp.Counters()
        self.sources = Sources(PORTS_MAX)
        self.jitter = jitter.Jitter.of(legs_max)
        self.events = dtmf.Events.of(legs_max)
        self.reception = reception.Reception.of(legs_max)
        self.steady = steady.Steady.of(legs_max)
        self.reports = rtcp.Reports.of(legs_max, token)
        self.voice = voice.Voice.of(legs_max)
        self.plays = Plays(clips, legs_max)
        self.taps, self.hear_keys = Taps(), False
        self.out = outgoing.Outgoing.of(legs_max)
        self.clocks = clocks.Clocks.of(legs_max)
        self.wide = Wide(legs_max)
        self.listening = Listening(self.events, self.wide, legs_max)
        self.takes, self.levels = self.listening.takes, agc.Levels.of(legs_max)
        self._delivery = delivery.Delivery(
            self.plays, self.taps, self.voice, self.out, self.wide, self.counters, legs_max
        )
        self.links = self._delivery.links
        self.open: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.ready: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.codec: NDArray[np.uint8] = np.zeros(legs_max, np.uint8)
        self.narrow: NDArray[np.uint8] = np.zeros(legs_max, np.uint8)
        self.formats = formats.Formats.of(legs_max)
        self.group: NDArray[np.int64] = np.full(legs_max, -1, np.int64)
        self.muted: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.gain: NDArray[np.float32] = np.ones(legs_max, np.float32)
        self.port: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self.latched: NDArray[np.uint64] = np.zeros(legs_max, np.uint64)
        self.dest: NDArray[np.uint64] = np.zeros(legs_max, np.uint64)
        self.awaited: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.hears: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.last_ns: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self.quiet_since: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self.silent: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.pitch: NDArray[np.int64] = np.full(legs_max, conceal.PITCH_MIN, np.int64)
        self.legs = steady.Legs(
            self.sources, self.steady, self.jitter, self.reception,
            latched=self.latched, port=self.port, codec=self.narrow,
            last_ns=self.last_ns, silent=self.silent,
        )  # fmt: skip
        self.arrivals = arrivals.WAY(self.legs)
        self._mark: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self._seating = mix.Seating(legs_max)
        self._groups = self._seating.groups
        self._count = 0
        self._stale = True

    # --- commands, between ticks ----------------------------------------------------------

    def open_leg(
        self, slot: int, *, port: int, expected: int, numbers: tuple[int, int, int], now_ns: int
    ) -> None:
        """Take a slot for a leg on a local port; `numbers`: random SSRC, sequence, timestamp."""
        assert not self.open[slot], "a slot has one leg"
        self._clear(slot)
        ssrc, seq, ts = numbers
        self.out.open_leg(slot, ssrc=ssrc, seq=seq, ts=ts)
        self.sources.open(slot, port, expected)
        self.open[slot] = self.awaited[slot] = True
        self.ready[slot] = self.muted[slot] = self.silent[slot] = self.hears[slot] = False
        self.group[slot], self.port[slot] = -1, port
        self.latched[slot] = self.dest[slot] = 0
        self.last_ns[slot] = self.quiet_since[slot] = now_ns
        self._stale = True

    def close_leg(self, slot: int) -> None:
        """Free a slot."""
        self.sources.close(slot)
        self.plays.stop(slot)
        self.takes.drop(slot)
        self._clear(slot)
        self.open[slot] = self.ready[slot] = False
        self.gain[slot] = 1
        self.formats.forget(slot)
        self.group[slot] = -1
        self.latched[slot] = self.dest[slot] = 0  # what comes from there is nobody's
        self.taps.name(slot, "")
        self._stale = True

    def _clear(self, slot: int) -> None:
        """Forget what the slot's last leg received."""
        self.jitter.open_leg(slot)
        self.events.open_leg(slot)
        self.reception.open_leg(slot)
        self.steady.forget(slot)
        self.reports.open_leg(slot)
        self.levels.open_leg(slot)
        self.voice.open_leg(slot)
        self.listening.tones.open_leg(slot)
        self.wide.drop(slot)
        self.clocks.set_rate(slot, 1)

    def set_remote(self, slot: int, remote: Remote, now_ns: int) -> None:
        """Take over what was agreed with the other side."""
        self.codec[slot] = NUMBERS[remote.codec]
        self.narrow[slot] = self.codec[slot] if self.codec[slot] == PCMA else PCMU
        rate = self.wide.set_codec(slot, remote.codec, remote.ptime_ms)
        self.clocks.set_rate(slot, rate)
        self.out.rate[slot] = rate
        self.steady.forget(slot)
        self.out.set_ptime(slot, remote.ptime_ms)
        self.out.payload_type[slot] = remote.payload_type
        self.formats.set_remote(slot, remote)
        self.sources.set_remote(slot, remote.expected, proven=remote.proven, relatch=remote.relatch)
        self.counters.add("source_in_use", not self.sources.has(slot, remote.expected))
        if remote.relatch:
            self.latched[slot] = 0
        self.dest[slot] = self.sources.destination(slot)
        awaited = remote.sends and remote.hears  # on hold either way round, silence proves nothing
        if awaited and not self.awaited[slot]:
            self.quiet_since[slot] = now_ns
            self.silent[slot] = False
        self.awaited[slot], self.hears[slot] = awaited, remote.hears
        self.ready[slot] = self._stale = True

    def set_group(self, slot: int, group: int, track: str = "") -> None:
        """Put a leg into a group; -1 takes it out of any. `track` names its own recordings."""
        self.group[slot] = group
        self.taps.name(slot, track)
        self._stale = True

    def record(self, group: int, *, tracks: bool = False, frame: int = 0) -> bool:
        """Begin to record a group, with tracks of its legs if so wished; False when it is."""
        self._stale = True
        return self.taps.start(group, tracks=tracks, frame=frame)

    # --- RTCP, after a tick ---------------------------------------------------------------

    def write_reports(self, wall_ns: int, data: NDArray[np.uint8]) -> rtcp.Written:
        """Write the reports of the legs whose turn it is; `wall_ns`: when the tick began."""
        legs = rtcp.due(self.tick_no - 1, self._count)
        legs = legs[self.open[legs] & (self.dest[legs] != 0)]
        legs = legs[np.argsort(self.port[legs], kind="stable")]
        length = rtcp.write(
            self.reports, legs, self.out, self.reception, wall_ns=wall_ns, data=data
        )
        self.counters.add("rtcp_tx", len(legs))
        return rtcp.Written(
            legs, length, rtcp.neighbour(self.dest[legs], 1), outgoing.spans(self.port[legs])
        )

    def take_reports(self, packets: rtp.Packets) -> None:
        """Take in RTCP."""
        rtcp.take(
            self.reports,
            packets,
            self.sources,
            self.out,
            self.reception,
            latched=self.latched,
            counters=self.counters,
        )

    # --- the tick -------------------------------------------------------------------------

    def tick(self, packets: rtp.Packets, now_ns: int, *, skipped: int = 0) -> TickResult:
        """Run one tick on what was received: afterwards `out` holds the packets to send.

        `skipped` is how many ticks should have run before this one and never did.
        """
        result = TickResult()
        packets, slot = self._take_steady(packets, now_ns)
        if len(slot):
            packets, heads, slot = self._parse(packets, slot, now_ns)
            self._insert(packets, heads, slot, result)
        self._settle(now_ns, skipped, result)
        played = jitter.playout(self.jitter, self._count)
        narrow = self.wide.play(self.jitter, played, self.counters)
        erasures.fill(self.jitter, narrow, self.pitch, self.counters)
        self.listening.run(self.jitter, played, result, tick=self.tick_no)
        agc.even_out(self.levels, self.jitter, played, self.wide)
        if self.hear_keys:
            told = (self.group >= 0) & ~self.muted & self.formats.keyed
            self.plays.sound(result.keys, self.group, told)
        self._mix_and_encode(played, skipped, result)
        outgoing.fill(self.out, self._delivery.codes, self._delivery.pick)
        self.counters.add("tx", len(self.out.slots) + len(self.out.odd_slots))
        jitter.advance(self.jitter, self._count, played, tick=self.tick_no)
        outgoing.advance(self.out, self._count, 1)
        self.tick_no += 1
        return result

    def _take_steady(
        self, packets: rtp.Packets, now_ns: int
    ) -> tuple[rtp.Packets, NDArray[np.int64]]:
        """Take in the packets that are just what was expected; return the others, with slots."""
        self.counters.add("rx", len(packets.length))
        rest, slot = self.arrivals.take(packets, now_ns, count=self._count)
        if not len(rest):
            return packets, rest
        return arrivals.without_strangers(
            packets.pick(rest), slot, self.sources.waiting, self.counters
        )

    def _parse(
        self, packets: rtp.Packets, slot: NDArray[np.int64], now_ns: int
    ) -> tuple[rtp.Packets, rtp.Headers, NDArray[np.int64]]:
        """Return packets and headers of known legs, and the slot of each; latch new sources."""
        heads = rtp.parse(packets, self.counters)
        port, source, slot = packets.port[heads.row], packets.source[heads.row], slot[heads.row]
        changed = (slot >= 0) & (self.latched[slot] != source) & self.ready[slot]
        if any_of(changed):
            self._relatch(heads, slot, source, changed)
        stranger = slot < 0
        if any_of(stranger):
            self._latch(heads, slot, port, source)
            stranger = slot < 0
            self.counters.add("unknown_source", np.count_nonzero(stranger))
            heads, slot = heads.pick(~stranger), slot[~stranger]
        if self.clocks.mixed:
            heads.ts = clocks.to_steps(self.clocks, heads.ts, slot)
        clock = reception.samples_of(packets.arrived(now_ns)[heads.row])
        if packets.due_ns is not None:
            heads.waits = reception.waits_until(packets.due_ns, clock)
        kind = self.formats.heard(slot, heads.payload_type)
        audio = kind >= formats.AUDIO  # those of no agreed type count too
        reception.count(self.reception, heads, slot, self._mark, arrived=clock, audio=audio)
        wrong = kind == formats.NOTHING
        if any_of(wrong):
            self._name_types(heads, slot, wrong)
            heads, slot = heads.pick(~wrong), slot[~wrong]
        self.last_ns[slot] = now_ns
        self.silent[slot] = False
        return packets, heads, slot

    def _relatch(
        self,
        heads: rtp.Headers,
        slot: NDArray[np.int64],
        source: NDArray[np.uint64],
        changed: NDArray[np.bool_],
    ) -> None:
        """Latch sources that are their leg's own; only RTP of the agreed types counts."""
        changed &= self.formats.heard(slot, heads.payload_type) != formats.NOTHING
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
        which = where((slot < 0) & self.sources.waiting[port])
        pairs = source[which] + port[which].astype(np.uint64)  # one number, as in `Sources`
        _, first = np.unique(pairs, return_index=True)
        for at in which[np.sort(first)[:LATCHES_MAX]].tolist():  # bounded: LATCHES_MAX
            leg = self.sources.claimant(int(port[at]), int(source[at]))
            if leg < 0 or not self.ready[leg]:
                continue
            if self.formats.meaning[leg, heads.payload_type[at]] != formats.NOTHING:
                self._heard(leg, int(source[at]))
        slot[which] = self.sources.find(port[which], source[which])

    def _name_types(
        self, heads: rtp.Headers, slot: NDArray[np.int64], wrong: NDArray[np.bool_]
    ) -> None:
        """Count the packets that are of no agreed type."""
        early = wrong & ~self.ready[slot]
        noise = wrong & ~early & (heads.payload_type == _COMFORT_NOISE)
        self.counters.add("not_ready", np.count_nonzero(early))
        self.counters.add("comfort_noise", np.count_nonzero(noise))
        self.counters.add("payload_type", np.count_nonzero(wrong & ~early & ~noise))

    def _insert(
        self,
        packets: rtp.Packets,
        heads: rtp.Headers,
        slot: NDArray[np.int64],
        result: TickResult,
    ) -> None:
        """Put audio into the jitter rings and events into their rows."""
        event = self.formats.heard(slot, heads.payload_type) == formats.EVENT
        if any_of(event):
            self._take_events(packets, heads.pick(event), slot[event], result)
            heads, slot = heads.pick(~event), slot[~event]
        if self.wide:
            heads, slot = self._insert_wide(packets, heads, slot)
        left = len(slot)
        for turn in rtp.rounds(slot, self._mark):  # once, but for legs with several packets
            one, legs = (heads, slot) if turn is None else (heads.pick(turn), slot[turn])
            left -= len(legs)
            law = self.formats.heard(legs, one.payload_type) - formats.AUDIO
            jitter.insert(self.jitter, one, legs, packets.data, codec=law, counters=self.counters)
            whole = (one.size == FRAME) & (packets.length[one.row] == steady.LENGTH)
            whole &= law == self.narrow[legs]  # the short way decodes by the agreed law
            steady.learn(
                self.steady, one, legs, whole, buffers=self.jitter, received=self.reception
            )
        self.counters.add("burst", left)

    def _insert_wide(
        self, packets: rtp.Packets, heads: rtp.Headers, slot: NDArray[np.int64]
    ) -> tuple[rtp.Headers, NDArray[np.int64]]:
        """Give wideband legs their packets; return those of the others."""
        wide = self.wide.is_wide[slot]
        legs, theirs = slot[wide], heads.pick(wide)
        for turn in rtp.rounds(legs, self._mark):
            one, who = (theirs, legs) if turn is None else (theirs.pick(turn), legs[turn])
            self.wide.insert(self.jitter, packets, one, who, self.counters)
        long = ~wide & (heads.size > PAYLOAD_MAX)
        self.counters.add("payload_length", np.count_nonzero(long))
        rest = ~wide & ~long
        return heads.pick(rest), slot[rest]

    def _take_events(
        self,
        packets: rtp.Packets,
        heads: rtp.Headers,
        slot: NDArray[np.int64],
        result: TickResult,
    ) -> None:
        self.counters.add("dtmf", len(slot))
        result.keys += dtmf.take(
            self.events,
            heads,
            slot,
            packets.data,
            tick=self.tick_no,
            counters=self.counters,
            rate=self.clocks.rate if self.clocks.mixed else None,
        )
        dtmf.mute(self.events, slot, self.jitter.play_ts, tick=self.tick_no)

    def _settle(self, now_ns: int, skipped: int, result: TickResult) -> None:
        """Take in what commands and packets have changed, and what time has."""
        if self._stale or self.links.stale:
            self._arrange()
            result.rearranged = True
        if skipped:
            jitter.skip(self.jitter, self._count, skipped)
            outgoing.advance(self.out, self._count, skipped)
        result.keys += dtmf.time_out(self.events, self._count, tick=self.tick_no)
        if self.tick_no % SILENCE_EVERY == 0:
            result.silent = self._fallen_silent(now_ns)

    def _fallen_silent(self, now_ns: int) -> list[tuple[int, int]]:
        """Return the legs that have sent nothing for too long (D12), once each."""
        count = self._count
        waits = self.open[:count] & self.awaited[:count] & ~self.silent[:count]
        since = np.maximum(self.last_ns[:count], self.quiet_since[:count])
        over = where(waits & (now_ns - since > self.silence_ns))
        self.silent[over] = True
        return list(zip(over.tolist(), self.last_ns[over].tolist(), strict=True))

    def _arrange(self) -> None:
        """Lay out groups and rows to send anew."""
        used = where(self.open)
        self._count = int(used[-1]) + 1 if len(used) else 0
        self._groups = self._seating.arrange(self.group, self.links.groups)
        self.taps.arrange(self._groups)
        self.listening.beeping = where(self.ready & ~self.formats.keyed)
        self.listening.tracked = self.taps.tracked(self._groups)
        sends = self.open & self.hears & (self.dest != 0)
        sends = self.wide.arrange(self._groups, sends, self.out.fresh)
        outgoing.arrange(self.out, sends, self.port)
        self._stale = self.links.stale = False

    def _mix_and_encode(self, played: Played, skipped: int, result: TickResult) -> None:
        """Sum the groups, encode what each leg hears, and give recordings their sums."""
        count = self._count
        quiet = self.muted[:count]
        if self.events.muted_until > self.tick_no and not self.hear_keys:
            quiet = quiet | self.events.keying(count, tick=self.tick_no)
        said = delivery.Said(
            count=count,
            ring=self.jitter.ring,
            cell=played.cell,
            quiet=quiet,
            narrow=self.narrow,
            gain=self.gain,
            port=self.port,
        )
        look = self.tick_no % voice.LOOK_TICKS == 0
        self._delivery.run(self._groups, said, result, skipped=skipped, look=look)
