"""Conferences with wideband legs: what their legs hear at each sample rate; knows no packets.

A conference mixes at every rate that one of its legs uses: the voices of one rate are summed at
that rate, and each sum is converted once to the other rates in use, so that everybody hears each
other leg with all that his own rate can carry. What a leg hears is such a mix less its own frame
at its own rate, sample by sample: nothing of a voice comes back by way of a conversion. Rate
conversion is linear, so this is the same as to mix at the highest rate, at a cost that grows with
conferences and not with legs.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import mix
from bridge.media.band import Band
from bridge.media.resample import Resampler
from bridge.media.shape import FRAME
from bridge.units import SAMPLE_RATE_HZ

RATES_HZ: Final = (SAMPLE_RATE_HZ, 16_000)


class _Way:
    """Conversions from one rate to another, a stream for each conference that needs them.

    Attributes:
        rooms: (k,) int64, the rooms that need it in this tick.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz, self.to_hz = from_hz, to_hz
        self.rooms: NDArray[np.int64] = np.zeros(0, np.int64)
        self._rows: dict[int, int] = {}  # group to stream
        self._at: NDArray[np.int64] = np.zeros(0, np.int64)
        self._streams = Resampler(from_hz, to_hz)

    def arrange(self, rooms: NDArray[np.int64], groups: list[int]) -> None:
        """Serve these rooms, of these groups, from now on; streams of the others are forgotten."""
        wanted = [groups[room] for room in rooms.tolist()]
        gone = self._rows.keys() - set(wanted)
        free = [self._rows.pop(group) for group in gone]
        self._streams.tail[free] = 0
        taken = set(self._rows.values())
        free = [row for row in range(len(wanted) + len(taken)) if row not in taken]
        for group in wanted:  # bounded by conferences
            if group not in self._rows:
                self._rows[group] = free.pop(0)
        self.rooms = rooms
        self._at = np.array([self._rows[group] for group in wanted], np.int64)
        need = max(self._rows.values(), default=-1) + 1
        if need > len(self._streams.tail):
            self._streams.resize(need)

    def add(self, sums: NDArray[np.int32], to: NDArray[np.int32]) -> None:
        """Add each room's sum, (R, S) at the one rate, to `to`, (R, S') at the other."""
        frames = sums[self.rooms]
        # A stream that is silent, and was, stays so: most conferences say nothing at some rate.
        busy = np.flatnonzero(frames.any(axis=1) | self._streams.tail[self._at].any(axis=1))
        if len(busy):
            made = self._streams.convert(self._at[busy], frames[busy])
            to[self.rooms[busy]] += np.rint(made).astype(np.int32)


class Rooms:
    """The conferences with wideband legs. R = rooms; arrays change by `arrange` only.

    Attributes:
        dense: (R,) int64, the mix's group number of each room.
        names: (R,) int64, control's.
        sums: what is said in this tick, (R, S) int32 by the rate it is said at.
    """

    def __init__(self, bands: dict[int, Band]) -> None:
        self._bands = bands
        self.dense: NDArray[np.int64] = np.zeros(0, np.int64)
        self.names: NDArray[np.int64] = np.zeros(0, np.int64)
        self._room: dict[int, NDArray[np.int64]] = {}  # of each row of a band, -1 in none
        self._order: dict[int, mix.Groups] = {}  # in which the rows of a band are summed
        self._ways = {
            (a, b): _Way(a, b) for a in RATES_HZ for b in RATES_HZ if a != b
        }  # fmt: skip
        self.sums: dict[int, NDArray[np.int32]] = {}
        self._talk: dict[int, NDArray[np.int16]] = {}

    def arrange(self, groups: mix.Groups, wide: NDArray[np.bool_]) -> None:
        """Lay out anew. `wide`, (L,) bool, marks wideband legs."""
        if not len(self.dense) and not any(len(band.slots) for band in self._bands.values()):
            return  # nobody is wideband, as before: most bridges, at every join
        dense_of = np.full(len(wide), -1)
        dense_of[groups.order] = groups.group
        here = {rate: dense_of[band.slots] for rate, band in self._bands.items()}
        self.dense = np.unique(np.concatenate([*here.values()]))
        self.dense = self.dense[self.dense >= 0]
        for rate, dense in here.items():  # two
            room = np.searchsorted(self.dense, dense)
            self._room[rate] = np.where(dense >= 0, room, -1)
            self._order[rate] = mix.arrange(self._room[rate])
        number = {dense: group for group, dense in groups.dense.items()}
        names = [number[dense] for dense in self.dense.tolist()]
        self.names = np.array(names, np.int64)
        used = {rate: np.isin(self.dense, dense) for rate, dense in here.items()}
        # At 8 kHz there is always somebody: clips and recordings are.
        used[SAMPLE_RATE_HZ] = np.ones(len(self.dense), np.bool_)
        for (a, b), way in self._ways.items():  # six
            way.arrange(np.flatnonzero(used[a] & used[b]), names)

    def gather(self, quiet: NDArray[np.bool_], gain: NDArray[np.float32]) -> NDArray[np.int32]:
        """Sum what wideband legs say; return it at 8 kHz, (R, FRAME) int32, for the others.

        `quiet` and `gain`, (L,), as in `mix.Voices`.
        """
        rooms = len(self.dense)
        for rate, band in self._bands.items():  # two
            talk = np.where(quiet[band.slots, None], np.int16(0), band.frame)
            changed = np.flatnonzero(gain[band.slots] != 1)
            louder = talk[changed] * gain[band.slots[changed], None]
            talk[changed] = np.clip(louder, -32_768, 32_767)
            self._talk[rate] = talk
            self.sums[rate] = _sum(talk, self._order[rate], rooms)
        low = np.zeros((rooms, FRAME), np.int32)
        for rate in self._bands:  # two
            self._ways[rate, SAMPLE_RATE_HZ].add(self.sums[rate], low)
        return low

    def group_of(self, rate: int, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return control's group of rows of a band, (k,) int64, -1 in none."""
        room = self._room[rate][rows]
        named = np.full(len(rows), -1, np.int64)
        named[room >= 0] = self.names[room[room >= 0]]
        return named

    def silent(self, rate: int, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return which rows of a band, (k,) bool, say nothing that is heard in this tick."""
        return np.asarray(~self._talk[rate][rows].any(axis=1))

    def heard(
        self, low: NDArray[np.int32], far: NDArray[np.int32] | None = None
    ) -> dict[int, NDArray[np.int16]]:
        """Return what each leg of each band hears, (n, S) int16 by rate.

        `low`, (R, FRAME), is what the others, and clips, say at 8 kHz; `far`, (R, S), what is said
        elsewhere at the highest rate.
        """
        sums = {**self.sums, SAMPLE_RATE_HZ: low}
        result = {}
        for rate, band in self._bands.items():  # two
            total = self.sums[rate].copy()
            if far is not None and rate == RATES_HZ[-1]:
                total += far
            for other in RATES_HZ:  # three
                if other != rate:
                    self._ways[other, rate].add(sums[other], total)
            room = self._room[rate]
            heard = total.take(room, axis=0, mode="clip") if len(total) else _silence(band)
            heard -= self._talk[rate]
            heard[room < 0] = 0
            np.clip(heard, -32_768, 32_767, out=heard)
            result[rate] = heard.astype(np.int16)
        return result


def _sum(talk: NDArray[np.int16], order: mix.Groups, rooms: int) -> NDArray[np.int32]:
    """Return the sum of each room, (R, S) int32: equal ranks as one array, see `mix`."""
    total = np.zeros((rooms, talk.shape[1]), np.int32)
    by_rank = talk[order.order]
    numbers = np.array(list(order.dense), np.int64)
    for row, end, first, last in order.spans:  # bounded: see `mix.arrange`
        frames = by_rank[row:end].reshape(-1, last - first, talk.shape[1])
        total[numbers[first:last]] += frames.sum(axis=0, dtype=np.int32)
    return total


def _silence(band: Band) -> NDArray[np.int32]:
    return np.zeros((len(band.slots), band.size), np.int32)
