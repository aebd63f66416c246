"""Wideband legs in the plane: packets in, frames, mixes, packets out; knows slots and groups.

Everything about timing is the jitter buffer's, everything about conferences `rooms`', and the
G.711 path knows nothing of it: wideband legs say silence there, and what they do say comes in as
an extra voice of their conference.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from bridge.media import jitter, mix
from bridge.media.band import Band, Leg
from bridge.media.codecs import WIDE
from bridge.media.linked import Exchange
from bridge.media.opus import CLOCK_HZ, OpusEncoder, steps_in
from bridge.media.played import Played
from bridge.media.plays import Plays
from bridge.media.rooms import RATES_HZ, Rooms
from bridge.media.rtp import Counters, Headers, Packets
from bridge.media.shape import CELLS, FRAME, G722, L16, OPUS, PAYLOAD_MAX, ROW_BYTES
from bridge.media.sharing import Effort, Sharing
from bridge.media.wide_out import Gathering, WideOut
from bridge.units import SAMPLE_RATE_HZ

_OPUS_STEPS = CLOCK_HZ // SAMPLE_RATE_HZ
_CELLS_TOUCHED = PAYLOAD_MAX // FRAME + 1


class Wide:
    """The wideband legs of a plane. L = leg slots.

    Attributes:
        is_wide: (L,) bool, the leg's codec is none of G.711.
        loud: (L,) int16, peak of what the leg said last.
        out: packets of L16 and Opus legs, filled each tick.
        spills: some leg has packets that a row of the common length does not hold.
    """

    def __init__(self, legs_max: int) -> None:
        self.is_wide: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self.loud: NDArray[np.int16] = np.zeros(legs_max, np.int16)
        self.out = WideOut()
        self.spills = False
        self.bands = {rate: Band(rate) for rate in RATES_HZ if rate != SAMPLE_RATE_HZ}
        self._legs: dict[int, Leg] = {}
        self._codec: NDArray[np.uint8] = np.zeros(legs_max, np.uint8)
        self._gathering: dict[int, Gathering] = {}
        self._rooms = Rooms(self.bands)
        self._sharing = Sharing(legs_max)
        self._effort = Effort()
        self._sends: NDArray[np.bool_] = np.zeros(legs_max, np.bool_)
        self._low: NDArray[np.int32] = np.zeros((0, FRAME), np.int32)
        self._bad = 0
        self._silence = 0  # the ring's row of silence

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._legs)

    # --- between ticks --------------------------------------------------------------------

    def set_codec(self, slot: int, name: str, ptime_ms: int) -> int:
        """Take over a leg's codec; return how fast its clock runs, in steps of 1/8,000 s."""
        codec = WIDE.get(name)
        if codec is None:
            self.drop(slot)
            return 1
        leg = self._legs.get(slot)
        if leg is None or leg.codec is not codec:
            self.drop(slot)
            leg = self._legs[slot] = Leg(slot, codec)
            if isinstance(leg.encoder, OpusEncoder):
                leg.encoder.set_complexity(self._effort.complexity)
            self.is_wide[slot], self._codec[slot] = True, codec.number
            if codec.number != G722:
                self._gathering[slot] = Gathering(codec, leg.encoder)
        if slot in self._gathering:
            self._gathering[slot].set_ptime(ptime_ms)
            if isinstance(leg.encoder, OpusEncoder) and not self._gathering[slot].alone:
                self._sharing.leave(slot, leg.encoder)
            self.spills = True
        return codec.clock_steps

    def drop(self, slot: int) -> None:
        """Forget a leg, if it is one of ours."""
        leg = self._legs.pop(slot, None)
        self._gathering.pop(slot, None)
        self._sharing.forget(slot)
        self.is_wide[slot] = False
        self.loud[slot] = 0
        if leg is not None:
            self._bad -= leg.stream.bad

    def arrange(
        self,
        groups: mix.Groups,
        sends: NDArray[np.bool_],
        fresh: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Lay out anew; return which legs' packets `outgoing` sends: G.711 and G.722.

        `sends`, (L,) bool, who is sent to. `fresh`, (L,) bool, is set for those that begin to be.
        """
        for rate, band in self.bands.items():  # two
            band.arrange(leg for leg in self._legs.values() if leg.codec.rate_hz == rate)
        self._rooms.arrange(groups, self.is_wide)
        own = np.zeros(len(sends), np.bool_)
        own[list(self._gathering)] = True
        fresh |= own & sends & ~self._sends
        self._sends = sends.copy()
        return np.asarray(sends & ~own)

    # --- in -------------------------------------------------------------------------------

    def insert(
        self,
        state: jitter.Jitter,
        packets: Packets,
        heads: Headers,
        slot: NDArray[np.int64],
        counters: Counters,
    ) -> None:
        """Take audio packets of wideband legs, no slot twice; time stamps in steps."""
        size = heads.size
        steps = _steps_of(packets, heads, self._codec[slot])
        sound = (steps > 0) & (steps <= PAYLOAD_MAX)
        counters.add("payload_length", np.count_nonzero(~sound))
        heads, slot, size, steps = heads.pick(sound), slot[sound], size[sound], steps[sound]
        heads.size = steps
        keep, ahead, _ = jitter.admit(state, heads, slot, counters)
        if keep is not None:
            heads, slot, size = heads.pick(keep), slot[keep], size[keep]
        self._mark(state, slot, ahead, heads.size)
        duplicates = 0
        rows = packets.data[heads.row].tobytes()
        first = heads.at + np.arange(len(slot)) * ROW_BYTES
        for at, over, row, ts, leg, lasts, end in zip(
            first.tolist(), (heads.at + size - ROW_BYTES).tolist(), heads.row.tolist(),
            heads.ts.tolist(), slot.tolist(), heads.size.tolist(), (first + size).tolist(),
            strict=True,
        ):  # fmt: skip  # bounded: legs of coders, one packet each
            if over <= 0 or packets.spill is None:
                payload = rows[at:end]
            else:
                payload = rows[at : end - over] + packets.spill[row, :over].tobytes()
            duplicates += self._legs[leg].stream.put(ts, payload, lasts)
        counters.add("duplicate", duplicates)

    def _mark(
        self,
        state: jitter.Jitter,
        slot: NDArray[np.int64],
        ahead: NDArray[np.int32],
        steps: NDArray[np.int64],
    ) -> None:
        """Mark the cells that packets touch as there, as loud as the leg was last."""
        first, last = ahead // FRAME, (ahead + steps - 1) // FRAME
        for step in range(_CELLS_TOUCHED):
            touched = first + step
            here = np.flatnonzero(touched <= last)
            if not len(here):
                return
            leg = slot[here]
            cell = (state.play_cell[leg] + touched[here] & CELLS - 1) * state.legs + leg
            state.ring[cell] = self.loud[leg, None]
            state.stamp[cell] = state.play_ts[leg] + (touched[here] * FRAME).astype(np.uint32)
            state.ragged[cell] = False

    def play(self, state: jitter.Jitter, played: Played, counters: Counters) -> Played:
        """Decode what each leg says in this tick; return what is left for the others."""
        if not self._legs:
            return played
        self._silence = len(state.stamp)
        for band in self.bands.values():  # two
            if len(band.slots):
                band.play(state, played)
                up, down = band.frame.max(axis=1), band.frame.min(axis=1)
                self.loud[band.slots] = np.maximum(up, -np.maximum(down, -32_767))
        bad = sum(leg.stream.bad for leg in self._legs.values())
        counters.add("bad_payload", max(bad - self._bad, 0))
        self._bad = bad
        return played.without(self.is_wide)

    def to_8_khz(self, slots: NDArray[np.int64], state: jitter.Jitter, played: Played) -> None:
        """Have those of `slots` that are wideband say in the ring what they say, at 8 kHz.

        For who is listened to by himself; the mix must not take it: see `aside`.
        """
        for band in self.bands.values():  # two
            mine = slots[np.isin(slots, band.slots)]
            frames = band.at_8_khz(np.searchsorted(band.slots, mine))
            state.ring[jitter.own(state, played, mine)] = frames

    def aside(
        self, ring: NDArray[np.int16], cell: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """Take what wideband legs say out of the ring again; return their slots, and it."""
        slots = np.concatenate([band.slots for band in self.bands.values()])
        frames = ring[cell[slots]]
        cell[slots] = self._silence
        return slots, frames

    # --- out ------------------------------------------------------------------------------

    def gather(
        self, quiet: NDArray[np.bool_], gain: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return dense groups and what their wideband legs say there at 8 kHz, int32."""
        self._low = self._rooms.gather(quiet, gain)
        return self._rooms.dense, self._low

    def sums(self) -> NDArray[np.int32]:
        """Return what the wideband legs of each group of `gather` say, at the highest rate."""
        return self._rooms.sums[RATES_HZ[-1]]

    def speak(
        self,
        total: NDArray[np.int32],
        plays: Plays,
        codes: NDArray[np.uint8],
        pick: NDArray[np.int64],
        *,
        used: int,
        exchange: Exchange | None = None,
    ) -> list[tuple[int, int, bytes]]:
        """Encode what each leg hears. G.722 goes into `codes` from row `used` on, see `mix.Voices`.

        `total` is the narrowband mix of all groups with everybody in, (G, FRAME) int32. Returns
        the packets of the other codecs, as in `WideOut.fill`.
        """
        low, far = total[self._rooms.dense] - self._low, None
        if exchange is not None:
            said = exchange.far(self._rooms.dense)
            low, far = low - said[:, :FRAME], said[:, FRAME:]
        heard = self._rooms.heard(low, far)
        packets: list[tuple[int, int, bytes]] = []
        for rate, band in self.bands.items():  # two
            at = plays.at[band.slots]
            rows = np.flatnonzero(at >= 0)
            band.hear_prompts(heard[rate], rows, plays.clips.linear(at[rows]))
            sent, frames = self._sends[band.slots], heard[rate]
            rows = np.flatnonzero(sent & (band.codec == G722))
            if len(rows):
                codes[used : used + len(rows)] = band.encode(frames, rows)
                pick[band.slots[rows]] = np.arange(used, used + len(rows))
                used += len(rows)
            rows = np.flatnonzero(sent & (band.codec != G722))
            rows = self._shared(rate, rows, frames, at < 0, packets)
            for row in rows.tolist():  # bounded: legs of coders, one call each
                slot = band.legs[row].slot
                made = self._gathering[slot].take(frames[row])
                packets += [(slot, step, data) for step, data in made]
            self._spend(self._sharing.encoded + int((band.codec[rows] == OPUS).sum()))
        return packets

    def _spend(self, encoded: int) -> None:
        """Have the encoders of Opus try as hard as their number allows."""
        if not self._effort.judge(encoded):
            return
        self._sharing.set_complexity(self._effort.complexity)
        for leg in self._legs.values():  # bounded: legs of coders, seldom
            if isinstance(leg.encoder, OpusEncoder):
                leg.encoder.set_complexity(self._effort.complexity)

    def _shared(
        self,
        rate: int,
        rows: NDArray[np.intp],
        frames: NDArray[np.int16],
        mixed: NDArray[np.bool_],
        packets: list[tuple[int, int, bytes]],
    ) -> NDArray[np.intp]:
        """Add the packets of those of `rows` whose encoder may be shared; return the others.

        `mixed`, (n,) bool: the leg hears its conference, and no prompt.
        """
        band = self.bands[rate]
        may = [self._gathering[slot].alone for slot in band.slots[rows].tolist()]  # bounded: legs
        mine = rows[np.array(may, np.bool_) & (band.codec[rows] == OPUS)]
        if not len(mine):
            self._sharing.encoded = 0
            return rows
        slots, group = band.slots[mine], self._rooms.group_of(rate, mine)
        encoders = [band.legs[row].encoder for row in mine.tolist()]  # bounded: legs of coders
        same = self._rooms.silent(rate, mine) & mixed[mine] & (group >= 0)
        made = self._sharing.encode(
            slots, cast(list[OpusEncoder], encoders), frames[mine], same=same, group=group
        )
        packets += [(slot, 0, data) for slot, data in zip(slots.tolist(), made, strict=True)]
        return np.setdiff1d(rows, mine)

    def said(self) -> list[tuple[NDArray[np.int64], NDArray[np.int16]]]:
        """Return slots and frames, (n,) and (n, S), of each band in this tick."""
        return [(band.slots, band.frame) for band in self.bands.values()]


def _steps_of(packets: Packets, heads: Headers, codec: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how long packets last in steps of 1/8,000 s; 0 for nonsense."""
    first = packets.data[heads.row, heads.at]
    second = packets.data[heads.row, np.minimum(heads.at + 1, ROW_BYTES - 1)]
    second = np.where(heads.size > 1, second, 0).astype(np.uint8)
    opus = steps_in(first, second) // _OPUS_STEPS
    return np.where(codec == G722, heads.size, np.where(codec == L16, heads.size // 4, opus))
