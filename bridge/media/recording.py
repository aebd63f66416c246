"""Taps on the mixes of groups, gathered into blocks; knows samples, writes no file.

A block of every recording leaves once a second, so that the tick hands over little and seldom.
Each piece says at which frame of its recording it belongs: what is lost on the way to the disk
leaves silence, never a shorter file. Tracks of single legs share the frames of their mix, so they
lie beside it to the frame; a leg has silence wherever it was not there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import mix, samples
from bridge.media.ears import Ears
from bridge.media.masks import where
from bridge.media.shape import FRAME

BLOCK: Final = 50
"""Frames of a block: one second."""

MIX: Final = ""
"""The track of the whole mix."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a recording: `samples`, (frames * S,) int16, from `frame` of the recording on.

    `track` names the leg it is of, `MIX` for the mix.
    """

    group: int
    frame: int
    samples: NDArray[np.int16]
    track: str = MIX


def _no_index() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(slots=True)
class _Tap:
    """One recording: which block is its mix's, and where that starts.

    T = tracks that have a row in this block.

    Attributes:
        at: its row of `Taps`'s blocks.
        frame: frame of the recording at which the block starts.
        voices: (T, BLOCK, S) int16, what each leg said; None when legs have no tracks.
        names: the track of each row of `voices`.
        said: (T,) bool, the row holds something.
        row, place: (M,) int64, for each leg that is there: its row in the mix, and in `voices`.
    """

    at: int
    frame: int
    voices: NDArray[np.int16] | None = None
    names: list[str] = field(default_factory=list)
    said: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    row: NDArray[np.int64] = field(default_factory=_no_index)
    place: NDArray[np.int64] = field(default_factory=_no_index)

    def take_voices(self, talk: NDArray[np.int16], filled: int) -> None:
        """Take what the legs said in a frame, (rows, S), behind those that are there."""
        assert self.voices is not None
        if len(self.row):
            said = talk[self.row]
            self.voices[self.place, filled] = said
            self.said[self.place] |= said.any(axis=1)

    def cut(self, group: int, mix: NDArray[np.int16]) -> list[Piece]:
        """Return what was gathered, and begin a new block; `mix`, (frames, S), is the mix's.

        A track's silent block is left out.
        """
        pieces = [Piece(group, self.frame, mix.ravel().copy())]
        if self.voices is not None:
            pieces += [
                Piece(
                    group,
                    self.frame,
                    self.voices[at, : len(mix)].ravel().copy(),
                    self.names[at],
                )
                for at in np.flatnonzero(self.said).tolist()  # bounded by who spoke in a second
            ]
            self.voices[self.said] = 0
            self.said[:] = False
        self.frame += len(mix)
        return pieces

    def seat(self, names: list[str], rows: NDArray[np.int64]) -> None:
        """Give a place to each leg that is there, by the name of its track.

        Who left in the middle of a block keeps his place until it is cut.
        """
        assert self.voices is not None
        busy = [name for at, name in enumerate(self.names) if self.said[at]]
        kept = [*dict.fromkeys([*names, *busy])]
        old = {name: at for at, name in enumerate(self.names)}
        voices = np.zeros((len(kept), BLOCK, FRAME), np.int16)
        said = np.zeros(len(kept), np.bool_)
        for at, name in enumerate(kept):  # when somebody joins or leaves, bounded by who is there
            if name in old and self.said[old[name]]:
                voices[at], said[at] = self.voices[old[name]], True
        self.voices, self.said, self.names = voices, said, kept
        self.row, self.place = rows, np.arange(len(names))


class Taps:
    """The groups being recorded. Pieces are copies: the caller may keep them.

    N = recordings there was room for so far; the running ones have the first rows.

    Attributes:
        ears: the groups being listened to.
    """

    def __init__(self) -> None:
        self.ears = Ears()
        self._taps: dict[int, _Tap] = {}  # by group
        self._order: list[int] = []  # the group of each row
        self._blocks: NDArray[np.int16] = np.zeros((1, BLOCK, FRAME), np.int16)  # (N, BLOCK, S)
        self._filled: NDArray[np.int64] = np.zeros(1, np.int64)  # frames gathered, (N,)
        self._voiced: list[_Tap] = []  # those with tracks
        self._dense: Mapping[int, int] | None = None  # by which `_row` was made
        self._row: NDArray[np.int64] = np.zeros(0, np.int64)  # of the mixes
        self._names: dict[int, str] = {}  # of the tracks, by slot

    def name(self, slot: int, track: str) -> None:
        """Say how a slot's track is called; "" for a slot that has none."""
        self._names.pop(slot, None)
        if track:
            self._names[slot] = track

    def start(self, group: int, *, tracks: bool = False, frame: int = 0) -> bool:
        """Begin to record a group, at a frame of its recording; False when it is being recorded.

        `frame` is that of the last tick's end: ticks missed since then come before the recording.

        With `tracks` each leg gets one of its own; `arrange` must follow before the next tick.
        """
        if group in self._taps:
            return False
        at = len(self._order)
        if at == len(self._blocks):
            more = np.zeros_like(self._blocks)
            self._blocks = np.concatenate([self._blocks, more])
            self._filled = np.concatenate([self._filled, np.zeros_like(self._filled)])
        tap = self._taps[group] = _Tap(at, frame)
        self._order.append(group)
        self._filled[at], self._dense = 0, None
        if tracks:
            tap.voices = np.zeros((0, BLOCK, FRAME), np.int16)
            self._voiced.append(tap)
        return True

    def stop(self, group: int, *, missed: int = 0) -> tuple[list[Piece], int] | None:
        """End a recording: its last pieces, the mix first, and its length in frames.

        Ticks that were `missed` since the last one are silence at its end.
        """
        tap = self._taps.pop(group, None)
        if tap is None:
            return None
        pieces = self._cut(group, tap)
        if tap.voices is not None:
            self._voiced.remove(tap)
        last = self._order.pop()
        if last != group:  # the last row moves up
            was = self._taps[last].at
            self._blocks[tap.at], self._filled[tap.at] = self._blocks[was], self._filled[was]
            self._order[tap.at], self._taps[last].at = last, tap.at
        self._dense = None
        return pieces, tap.frame + missed

    def _cut(self, group: int, tap: _Tap) -> list[Piece]:
        pieces = tap.cut(group, self._blocks[tap.at, : self._filled[tap.at]])
        self._filled[tap.at] = 0
        return pieces

    def arrange(self, groups: mix.Groups) -> None:
        """Take in who is where. Between ticks only."""
        for group, tap in self._taps.items():  # bounded by the recordings running
            if tap.voices is None:
                continue
            mine = groups.group == groups.dense.get(group, -1)
            rows = np.flatnonzero(mine)
            slots = groups.order[rows].tolist()  # bounded by the legs of the group
            named = [
                (self._names[slot], at) for at, slot in enumerate(slots) if slot in self._names
            ]
            places = np.array([at for _, at in named], np.int64)
            tap.seat([name for name, _ in named], rows[places])

    def tracked(self, groups: mix.Groups) -> NDArray[np.int64]:
        """Return the slots that have tracks of their own in what is recorded now."""
        with_tracks = [
            groups.dense[group]
            for group, tap in self._taps.items()
            if tap.voices is not None and group in groups.dense
        ]  # bounded by the recordings running
        if not with_tracks:  # as nearly always
            return groups.order[:0]
        return groups.order[np.isin(groups.group, with_tracks)]

    def gather(
        self,
        dense: Mapping[int, int],
        total: NDArray[np.int32],
        talk: NDArray[np.int16],
        *,
        skipped: int,
    ) -> list[Piece]:
        """Take this tick's mixes, after `skipped` silent frames; return blocks that are full.

        `dense` names the rows of `total`, (G, S), the sums of groups with legs. `talk`, (M, S), is
        what each leg gave to them. A group without legs records silence.
        """
        full: list[Piece] = []
        count = len(self._order)
        if not count:
            return full
        if self._dense is not dense:
            self._dense = dense
            self._row = np.array([dense.get(group, -1) for group in self._order])
        filled = self._filled[:count]
        if skipped:
            for group, tap in self._taps.items():  # bounded by the recordings running
                full += self._cut(group, tap) if filled[tap.at] else []
                tap.frame += skipped
        over = samples.tap(total, self._row, self._blocks[:count], filled)
        for tap in self._voiced:  # the same
            tap.take_voices(talk, int(filled[tap.at]) - 1)
        if over:
            for at in where(filled == BLOCK).tolist():  # the same
                full += self._cut(self._order[at], self._taps[self._order[at]])
        return full
