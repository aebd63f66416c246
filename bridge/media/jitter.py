"""The jitter buffer of all legs; knows RTP timestamps and ticks, nothing of sockets or mixing.

Each leg has a ring of cells, one frame each, indexed by RTP timestamp: packets of any ptime,
reordering, duplicates and silence suppression are the same case. Playout takes one cell a tick.

How long a packet waits adapts per leg. *Slack* is how many ticks a packet comes before the tick
that plays it; what it waits is that and the time until its own tick: so the phase between a
sender's packets and our ticks is part of it, and nobody waits for a frame and nearly another. A
stream starts with a slack of one, or of none when its first packet came nearly a whole tick before
the next; a packet that comes too late makes the leg wait longer, by one concealed frame. What the
packets of ten seconds waited at the least decides the rest: a frame and nearly another, and one is
taken out; next to nothing, and one is put in while the leg is silent. Between the two lies more
than a frame, so that neither leads to the other. Clock drift is absorbed in the same way.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import g711, samples
from bridge.media.known import Known
from bridge.media.masks import all_of, any_of, where
from bridge.media.played import Played
from bridge.media.rtp import Counters, Headers
from bridge.media.shape import CELLS, FRAME, PAYLOAD_AT, PAYLOAD_MAX

START_SLACK: Final = 1
"""Frames the first packet waits, less one if it is early: what makes small jitter inaudible."""

EARLY_SAMPLES: Final = 136
"""A stream whose first packet waits for the next tick as long as this, 17 ms, needs no more."""

WAITS_MIN: Final = 40
"""A leg of which some packet waited less than this, 5 ms, wishes for another frame."""

WAITS_END: Final = FRAME + EARLY_SAMPLES
"""A leg whose packets all waited this long, or longer, wishes to take a frame out."""

SLACK_MAX: Final = CELLS - 8
"""A packet further ahead starts the stream anew; the rest of the ring is history."""

LATE_MAX: Final = 50
"""A packet further behind starts the stream anew: its timestamps have jumped, one second."""

BLOCK: Final = 512
"""Packets decoded at a time: what stays in the core's own cache."""

WAIT_MAX: Final = 12
"""Frames of slack the buffer grows to, 240 ms."""

WINDOW: Final = 256
"""Ticks of a window; the least of two windows decides, 5 to 10 s."""

JUDGE_EVERY: Final = 16
"""Ticks between judgements of windows; each is of the slots whose window is over."""

WISH_EVERY: Final = 4
"""Ticks between looks whether a leg that wishes to wait longer or less is silent."""

FORCE_AFTER: Final = 500
"""Ticks after which a frame is taken out although the leg never fell silent."""

CONCEAL_MAX: Final = 3
"""Frames concealed in a row; after 60 ms a leg is silent (G.711 Appendix I)."""

MISSING: Final = -32_768
"""A sample of a half-filled cell that has not come; no G.711 code decodes to it."""

RUN_MAX: Final = 99
"""Where `run` and `gap` stop counting; idle rows hold it."""

_UNSEEN: Final = 16_000  # of a window without a packet; steps of a few frames keep it large
_HISTORY_CELLS: Final = 3
SPOKE: Final = 300
"""Peak above which a frame is not silence, -41 dBFS."""

_BEGIN: Final = 16  # samples of a frame that are looked at first


@dataclass(slots=True)
class Jitter:
    """Jitter buffers: row i of every leg array is leg slot i.

    L = leg slots, K = CELLS, S = FRAME. Rows change at `insert` and `playout` only, and at
    `open_leg` between ticks. Row K*L of `ring` is silence and never written; the L rows after
    it take frames of one tick that no cell holds: made up, joined, patched.

    Attributes:
        ring: (K*L + 1 + L, S) int16, decoded cells; cell c of slot i is row c*L + i, so that what
            all legs play in one tick lies together in memory.
        stamp: (K*L,) uint32, RTP timestamp of the cell's first sample.
        ragged: (K*L,) bool, the cell may hold MISSING samples.
        play_ts: (L,) uint32, timestamp of the frame that the next tick plays.
        play_cell: (L,) int64, its cell, in [0, K).
        started: (L,) bool, a packet has come. False in idle rows.
        ssrc: (L,) uint32, of the stream that is playing.
        run: (L,) int32, frames in a row that had to be made up; large in idle rows.
        gap: (L,) int32, cells that passed since the last one that was received.
        waits_low: (2, L) int32, least that packets of this window and of the last one waited for
            the tick that plays them, samples.
        late_by: (L,) int16, frames the leg must wait longer, because a packet came late.
        late: (L,) int64, packets of the leg that came too late to be played.
        wish: (L,) int16, 1 to wait a frame longer and -1 to take one out, once it is silent.
        wish_age: (L,) int32, ticks since a frame was to be taken out.
        legs: L.
        cell_now: the cell that streams which start now play next: legs keep step with one another.
        any_ragged, any_late, any_wish, any_run, any_gap: `ragged`, `late_by`, `wish`, `run`, `gap`
            may hold something other than nothing.
        known: where arrays lie that stay; of `samples_c`.
        decoded: (BLOCK, S) int16, scratch of `samples`.
        each: (L,) int64, the slots' numbers. Constant.
    """

    ring: NDArray[np.int16]
    stamp: NDArray[np.uint32]
    ragged: NDArray[np.bool_]
    play_ts: NDArray[np.uint32]
    play_cell: NDArray[np.int64]
    started: NDArray[np.bool_]
    ssrc: NDArray[np.uint32]
    run: NDArray[np.int32]
    gap: NDArray[np.int32]
    waits_low: NDArray[np.int32]
    late_by: NDArray[np.int16]
    late: NDArray[np.int64]
    wish: NDArray[np.int16]
    wish_age: NDArray[np.int32]
    decoded: NDArray[np.int16]
    each: NDArray[np.int64]
    legs: int
    cell_now: int = 0
    any_ragged: bool = False
    any_late: bool = False
    any_wish: bool = False
    any_run: bool = True
    any_gap: bool = True
    known: Known = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, legs_max: int) -> "Jitter":
        """Return idle buffers for `legs_max` slots."""
        cells = legs_max * CELLS
        return cls(
            ring=np.zeros((cells + 1 + legs_max, FRAME), np.int16),
            stamp=np.zeros(cells, np.uint32),
            ragged=np.zeros(cells, np.bool_),
            play_ts=np.zeros(legs_max, np.uint32),
            play_cell=np.zeros(legs_max, np.int64),
            started=np.zeros(legs_max, np.bool_),
            ssrc=np.zeros(legs_max, np.uint32),
            run=np.full(legs_max, RUN_MAX, np.int32),
            gap=np.full(legs_max, RUN_MAX, np.int32),
            waits_low=np.full((2, legs_max), _UNSEEN, np.int32),
            late_by=np.zeros(legs_max, np.int16),
            late=np.zeros(legs_max, np.int64),
            wish=np.zeros(legs_max, np.int16),
            wish_age=np.zeros(legs_max, np.int32),
            decoded=np.zeros((BLOCK, FRAME), np.int16),
            each=np.arange(legs_max),
            legs=legs_max,
        )

    def open_leg(self, slot: int) -> None:
        """Make a row idle and forget what an earlier leg left in it."""
        self.started[slot] = False
        self.run[slot] = self.gap[slot] = RUN_MAX
        self.any_run = self.any_gap = True
        self.late_by[slot] = self.wish[slot] = self.wish_age[slot] = self.late[slot] = 0
        self.waits_low[:, slot] = _UNSEEN


def insert(
    state: Jitter,
    heads: Headers,
    slot: NDArray[np.int64],
    data: NDArray[np.uint8],
    *,
    codec: NDArray[np.uint8],
    counters: Counters,
) -> None:
    """Put audio packets into the rings. `slot` of each packet; no slot twice.

    `data` is `Packets.data`; `codec`, (n,) uint8, the codec of each packet.
    """
    keep, ahead, slack = admit(state, heads, slot, counters)
    if keep is not None:
        heads, slot, codec = heads.pick(keep), slot[keep], codec[keep]
    cell = (state.play_cell[slot] + slack & CELLS - 1) * state.legs + slot
    whole = (ahead == slack * FRAME) & (heads.size == FRAME)
    whole &= heads.at == PAYLOAD_AT
    if all_of(whole):
        _insert_whole(state, heads, cell, data, codec=codec, counters=counters)
        return
    odd = ~whole
    _insert_whole(
        state, heads.pick(whole), cell[whole], data, codec=codec[whole], counters=counters
    )
    _insert_any(state, heads.pick(odd), slot[odd], ahead[odd], data, codec=codec[odd])


def admit(
    state: Jitter, heads: Headers, slot: NDArray[np.int64], counters: Counters
) -> tuple[NDArray[np.bool_] | None, NDArray[np.int32], NDArray[np.int32]]:
    """Say which packets to keep, None for all, and how far ahead of playout those start.

    No slot twice. The second is in samples, the third in frames. Streams are begun, and playout
    is set back, as far as the packets want it.
    """
    ahead = (heads.ts - state.play_ts[slot]).view(np.int32)
    slack = ahead // FRAME
    jumped = (slack > SLACK_MAX) | (slack < -LATE_MAX)
    jumped |= (heads.ssrc != state.ssrc[slot]) | ~state.started[slot]
    if any_of(jumped):
        which = where(jumped)
        ticks = START_SLACK - (heads.waits[which] >= EARLY_SAMPLES).astype(np.int32)
        _start(state, slot[which], heads.ts[which], heads.ssrc[which], ticks, counters)
        ahead[which] = ticks * FRAME
        slack[which] = ticks
    keep, waits = None, heads.waits
    if any_of(slack < 0):
        keep = _late(state, slot, slack, ahead, heads.size, counters)
        slot, ahead, slack, waits = slot[keep], ahead[keep], slack[keep], waits[keep]
    low = state.waits_low[0]
    low[slot] = np.minimum(low[slot], slack * FRAME + waits)
    return keep, ahead, slack


def _start(
    state: Jitter,
    slot: NDArray[np.int64],
    ts: NDArray[np.uint32],
    ssrc: NDArray[np.uint32],
    ticks: NDArray[np.int32],
    counters: Counters,
) -> None:
    """Begin a stream: its first packet plays `ticks`, (n,), from now."""
    counters.add("resync", np.count_nonzero(state.started[slot]))
    state.play_ts[slot] = ts - (ticks * FRAME).astype(np.uint32)
    state.ssrc[slot] = ssrc
    state.started[slot] = True
    state.waits_low[:, slot] = _UNSEEN
    state.late_by[slot] = state.wish[slot] = 0
    state.play_cell[slot] = state.cell_now
    cells = np.arange(CELLS) * state.legs + slot[:, None]
    state.stamp[cells] = (ts + np.uint32(1 << 31))[:, None]  # half a circle from any that comes


def _late(
    state: Jitter,
    slot: NDArray[np.int64],
    slack: NDArray[np.int32],
    ahead: NDArray[np.int32],
    size: NDArray[np.int64],
    counters: Counters,
) -> NDArray[np.bool_]:
    """Deal with packets whose tick has passed: return which to keep, amend `slack` and `ahead`.

    When nothing newer has been played since, playout goes back to the packet: nothing is heard
    twice, the leg only waits longer from now on. Otherwise the packet is counted and left out,
    but for the end of one that is not all in the past, and the leg is made to wait longer.
    """
    late = slack < 0
    back = late & (-slack <= np.minimum(state.gap[slot], WAIT_MAX))
    rows = slot[back]
    steps = -slack[back].astype(np.int64)
    state.play_ts[rows] -= (steps * FRAME).astype(np.uint32)
    state.play_cell[rows] = state.play_cell[rows] - steps & CELLS - 1
    state.gap[rows] -= steps.astype(np.int32)
    state.waits_low[:, rows] += (steps * FRAME).astype(np.int32)
    # What was made up for these cells is history no more: the packets may still come.
    span = np.arange(WAIT_MAX)
    cells = (state.play_cell[rows][:, None] + span & CELLS - 1) * state.legs + rows[:, None]
    state.stamp[cells[span < steps[:, None]]] += np.uint32(1 << 31)
    ahead[back] += (steps * FRAME).astype(np.int32)
    slack[back] = 0
    counters.add("pulled_back", len(rows))
    lost = late & ~back
    rows = slot[lost]
    counters.add("late", len(rows))
    if len(rows):  # a leg may have several in one tick
        state.late += np.bincount(rows, minlength=state.legs)
        state.any_late = True
    wanted = np.minimum(-slack[lost], WAIT_MAX).astype(np.int16)
    state.late_by[rows] = np.maximum(state.late_by[rows], wanted)
    return ~lost | (size > -ahead)


def _insert_whole(
    state: Jitter,
    heads: Headers,
    cell: NDArray[np.int64],
    data: NDArray[np.uint8],
    *,
    codec: NDArray[np.uint8],
    counters: Counters,
) -> None:
    """Decode packets of one frame that fill one cell each: the common case."""
    counters.add("duplicate", np.count_nonzero(state.stamp[cell] == heads.ts))
    samples.decode(data, heads.row, codec, cell, state.ring, state.decoded)
    state.stamp[cell] = heads.ts
    if state.any_ragged:
        state.ragged[cell] = False


def _insert_any(
    state: Jitter,
    heads: Headers,
    slot: NDArray[np.int64],
    ahead: NDArray[np.int32],
    data: NDArray[np.uint8],
    *,
    codec: NDArray[np.uint8],
) -> None:
    """Decode packets of any length and alignment, sample by sample."""
    column = np.arange(heads.size.max())
    inside = column < heads.size[:, None]
    at = np.minimum(heads.at[:, None] + column, data.shape[1] - 1)
    samples = g711.DECODE[codec[:, None], data[heads.row[:, None], at]]
    target = ahead[:, None] + column
    first = ahead // FRAME
    last = (ahead + heads.size - 1) // FRAME
    for step in range(PAYLOAD_MAX // FRAME + 1):  # cells that one packet can touch: four
        touched = first + step
        here = where(touched <= last)
        leg = slot[here]
        cell = (state.play_cell[leg] + touched[here] & CELLS - 1) * state.legs + leg
        stamp = state.play_ts[leg] + (touched[here] * FRAME).astype(np.uint32)
        fresh = state.stamp[cell] != stamp
        state.ring[cell[fresh]] = MISSING
        state.stamp[cell] = stamp
        state.ragged[cell] = True
    target_cell = state.play_cell[slot][:, None] + target // FRAME & CELLS - 1
    cell = target_cell * state.legs + slot[:, None]
    flat = cell * FRAME + target % FRAME
    state.ring.reshape(-1)[flat[inside]] = samples[inside]
    state.any_ragged = True


_NONE: Final = np.zeros(0, np.intp)
_NONE_32: Final = np.zeros(0, np.int32)


def playout(state: Jitter, count: int) -> Played:
    """Return which frame each of the first `count` slots says in this tick.

    Legs that are silent, or need a made-up frame, say the row of silence. Nothing advances yet:
    see `advance`.
    """
    cell, good, whole = samples.due(
        state.play_cell, state.play_ts, state.started, state.stamp, state.known, count
    )
    holds = merged = _NONE
    looks = state.cell_now % WISH_EVERY == 0
    if state.any_late or (looks and state.any_wish):
        holds, merged = _adjust(state, count, cell, good, looks=looks)
        good[holds] = False
        whole = whole and not len(holds)
    patched = where(good & state.ragged[cell]) if state.any_ragged else _NONE
    if not state.any_run and whole:
        return Played(cell, _NONE, _NONE, patched, _NONE, _NONE_32, merged)
    bad = ~good
    cell[bad] = len(state.stamp)
    run = state.run[:count]
    resumed = where(good & (run > 0) & (run <= CONCEAL_MAX))
    resumed_run = run[resumed]
    np.add(run, 1, out=run)
    run *= bad
    np.minimum(run, RUN_MAX, out=run)
    state.any_run = bool(any_of(run))
    made_up = where(bad & (run <= CONCEAL_MAX))
    return Played(cell, made_up, holds, patched, resumed, resumed_run, merged)


def _adjust(
    state: Jitter, count: int, cell: NDArray[np.int64], good: NDArray[np.bool_], *, looks: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Decide which legs wait a frame longer and which take one out, this tick.

    Waiting longer because a packet came late is done at once, a mere wish for more slack only in
    silence. Frames are taken out in silence, or by force after `FORCE_AFTER`. Silence is looked
    for when it `looks`, every `WISH_EVERY` ticks: who never falls silent is looked at for ever.
    """
    wanted = state.late_by[:count] > 0
    if looks:
        wanted |= state.wish[:count] != 0
    rows = where(wanted)
    state.any_late = False
    if looks:
        state.any_wish = False
    if not len(rows):
        return _NONE, _NONE
    urgent = state.late_by[rows] > 0
    quiet = ~good[rows] | _quiet(state.ring, cell[rows])
    state.wish_age[rows] += WISH_EVERY * looks
    forced = state.wish_age[rows] > FORCE_AFTER
    grow = urgent | (state.wish[rows] > 0) & quiet
    shrink = ~urgent & (state.wish[rows] < 0) & (quiet | forced)
    if any_of(shrink):
        following = next_cell(state, rows)
        shrink &= state.stamp[following] == state.play_ts[rows] + np.uint32(FRAME)
    state.late_by[rows[urgent]] -= 1
    state.wish[rows[grow | shrink]] = 0
    state.waits_low[:, rows[grow]] += FRAME
    state.waits_low[:, rows[shrink]] -= FRAME
    state.any_late = bool(state.late_by[rows].any())
    state.any_wish = state.any_wish or bool(state.wish[rows].any())
    return rows[grow], rows[shrink]


def _quiet(ring: NDArray[np.int16], cell: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which frames are silence; one that begins loud is looked at no further."""
    quiet = np.asarray(np.abs(ring[cell, :_BEGIN]).max(axis=1) < SPOKE)
    unsure = where(quiet)
    if len(unsure):
        quiet[unsure] = np.abs(ring[cell[unsure]]).max(axis=1) < SPOKE
    return quiet


def skip(state: Jitter, count: int, frames: int) -> None:
    """Pass over `frames` ticks that never ran: what they would have played is not heard."""
    state.play_ts[:count] += np.uint32(frames * FRAME)
    state.play_cell[:count] = state.play_cell[:count] + frames & CELLS - 1
    state.cell_now = state.cell_now + frames & CELLS - 1


def advance(state: Jitter, count: int, played: Played, *, tick: int) -> None:
    """Go on by one tick, and judge the slack of the slots whose turn it is."""
    samples.step(state.play_ts, state.play_cell, state.known, count)
    gap, cells = state.gap[:count], state.play_cell[:count]
    if state.any_run or state.any_gap:
        np.add(gap, 1, out=gap)
        gap *= state.run[:count] > 0
        np.minimum(gap, RUN_MAX, out=gap)
        state.any_gap = state.any_run
    if len(played.holds):
        state.play_ts[played.holds] -= np.uint32(FRAME)
        cells[played.holds] = cells[played.holds] - 1 & CELLS - 1
        gap[played.holds] -= 1
    if len(played.merged):
        state.play_ts[played.merged] += np.uint32(FRAME)
        cells[played.merged] = cells[played.merged] + 1 & CELLS - 1
    state.cell_now = state.cell_now + 1 & CELLS - 1
    turn, rest = divmod(tick % WINDOW, JUDGE_EVERY)
    if not rest:
        _judge(state, slice(turn, count, WINDOW // JUDGE_EVERY))


def _judge(state: Jitter, due: slice) -> None:
    """Close a window of the slots `due`, and wish to wait longer or less."""
    low = state.waits_low[:, due]
    least = low.min(axis=0)
    seen = low.max(axis=0) < _UNSEEN // 2
    wish = np.where(least >= WAITS_END, -1, np.where(least < WAITS_MIN, 1, 0)) * seen
    state.wish_age[due] *= (state.wish[due] < 0) & (wish < 0)
    state.wish[due] = wish
    state.any_wish = state.any_wish or bool(any_of(wish))
    state.waits_low[1, due] = low[0]
    state.waits_low[0, due] = _UNSEEN


def history(state: Jitter, slot: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return what `slot` played before its gap, (n, 3*S) float32, the latest last.

    Cells that do not follow on one another are silence.
    """
    back = state.gap[slot][:, None] + np.arange(_HISTORY_CELLS, 0, -1)
    cell = (state.play_cell[slot][:, None] - back & CELLS - 1) * state.legs + slot[:, None]
    right = state.stamp[cell] == state.play_ts[slot][:, None] - (back * FRAME).astype(np.uint32)
    frames = state.ring[cell].astype(np.float32)
    frames[~right] = 0
    frames[frames == MISSING] = 0
    return np.asarray(frames.reshape(len(slot), -1))


def next_cell(state: Jitter, slot: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the ring rows that `slot` play after this tick's."""
    return np.asarray((state.play_cell[slot] + 1 & CELLS - 1) * state.legs + slot)


def own(state: Jitter, played: Played, slot: NDArray[np.intp]) -> NDArray[np.int64]:
    """Give `slot` rows of `ring` of their own for this tick's frames, and return them.

    What they would have said is copied there. A slot that has its own row keeps it.
    """
    first = len(state.stamp) + 1
    row = first + slot
    fresh = played.cell[slot] < first
    state.ring[row[fresh]] = state.ring[played.cell[slot[fresh]]]
    played.cell[slot] = row
    return row


def keep(state: Jitter, slot: NDArray[np.intp], frame: NDArray[np.int16]) -> None:
    """Put made-up frames into the cells they stand for, as history for the next."""
    cell = state.play_cell[slot] * state.legs + slot
    state.ring[cell] = frame
    state.stamp[cell] = state.play_ts[slot]
    state.ragged[cell] = False
