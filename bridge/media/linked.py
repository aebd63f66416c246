"""Conferences that lie on several workers: sums given to the others and taken from them.

A group that is linked is mixed in two parts: each worker sums its own legs, gives the others that
sum, and adds what they gave a tick before. Sums are not saturated on the way, so what a leg hears
is its whole conference minus itself, saturated once, wherever the others are; their voices come
one frame later. What wideband legs say is in that sum at 8 kHz, and goes beside it at 16 kHz too,
for wideband ears. Knows groups, peers by number and frames; no socket.

Ticks of all workers are due at the same times, so each tick takes one bundle of each peer. A peer
that was late makes the next one wait, which is made up for as soon as nobody there speaks.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.g711 import NEGATIVE_ZERO
from bridge.media.rtp import Counters
from bridge.media.shape import FRAME

BUNDLES_MAX: Final = 4
"""Bundles of one peer that may wait; with more it is running ahead, and the oldest go."""


WIDE: Final = 2 * FRAME
"""Samples of a frame at 16 kHz."""

SEVERAL: Final = 2
"""Counted for wideband voices: what is no single G.711 voice holds no negative zeros."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What the legs of some groups said on one worker in one tick; silent groups are left out.

    k = groups, S = samples of a frame.

    Attributes:
        group: (k,) int64, control's or dense numbers, each once.
        voices: (k,) int64, how many legs spoke, at least 1.
        frames: (k, S) int32, their sum, not saturated. A single voice's may hold negative zeros.
            Or (k, S + S + WIDE): then also what wideband legs said of it, at 8 and at 16 kHz.
    """

    group: NDArray[np.int64]
    voices: NDArray[np.int64]
    frames: NDArray[np.int32]


@dataclass(slots=True)
class Exchange:
    """The linked groups of one tick, as the mix needs them.

    Attributes:
        came: one for each peer, with dense group numbers.
        group: (m,) int64, dense groups whose sums the peers want.
        voices, frames: those sums as in `Sums`, rows as in `group`; filled by the mix.
        wide: (m, S + WIDE) int32, what wideband legs said of it, at 8 and at 16 kHz; or None.
    """

    came: Sequence[Sums]
    group: NDArray[np.int64]
    voices: NDArray[np.int64] = field(init=False)
    frames: NDArray[np.int32] = field(init=False)
    wide: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        """Begin with silence."""
        self.voices = np.zeros(len(self.group), np.int64)
        self.frames = np.zeros((len(self.group), FRAME), np.int32)

    def with_own(
        self, group: NDArray[np.int64], frames: NDArray[np.int32], wide: NDArray[np.int32]
    ) -> None:
        """Count in what wideband legs here say, at 8 kHz, (k, S), and at 16, (k, WIDE).

        `group`, (k,), dense groups.
        """
        row = {dense: at for at, dense in enumerate(self.group.tolist())}  # bounded by links
        mine = [at for at, dense in enumerate(group.tolist()) if dense in row]
        rows = [row[dense] for dense in group[mine].tolist()]
        both = np.concatenate([frames[mine], wide[mine]], axis=1)
        spoken = both.any(axis=1)
        self.frames[rows] += frames[mine]
        self.voices[rows] += SEVERAL * spoken
        if spoken.any():
            self.wide = np.zeros((len(self.group), FRAME + WIDE), np.int32)
            self.wide[rows] = both

    def far(self, group: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return what wideband legs elsewhere say, at 8 and 16 kHz, (k, S + WIDE).

        `group`, (k,), dense groups, ascending.
        """
        said = np.zeros((len(group), FRAME + WIDE), np.int32)
        for sums in self.came:  # bounded by the workers there are
            if sums.frames.shape[1] > FRAME:
                known = np.isin(sums.group, group)
                at = np.searchsorted(group, sums.group[known])
                said[at] += sums.frames[known, FRAME:]
        return said


class Links:
    """Which groups are shared with which peers, and what has come from them.

    Attributes:
        groups: the linked groups, control's numbers.
        stale: they have changed since the mix was laid out.
    """

    def __init__(self) -> None:
        self.stale = False
        self.groups: NDArray[np.int64] = np.zeros(0, np.int64)
        self._peers: dict[int, tuple[int, ...]] = {}
        self._shared: dict[int, NDArray[np.int64]] = {}  # peer -> its rows of `groups`
        self._waiting: dict[int, deque[Sums]] = {}

    def set(self, group: int, peers: tuple[int, ...]) -> None:
        """Share a group with these peers from now on; with none when empty. Between ticks only."""
        self.stale = True
        if peers:
            self._peers[group] = peers
        else:
            self._peers.pop(group, None)
        self.groups = np.array(sorted(self._peers), np.int64)
        everybody = {peer for peers in self._peers.values() for peer in peers}
        self._shared = {
            peer: np.flatnonzero([peer in self._peers[one] for one in self.groups.tolist()])
            for peer in sorted(everybody)  # bounded by the workers there are
        }
        self._waiting = {
            peer: self._waiting.get(peer, deque(maxlen=BUNDLES_MAX)) for peer in self._shared
        }

    def put(self, peer: int, sums: Sums, counters: Counters) -> None:
        """Keep what a peer gave until the next tick."""
        waiting = self._waiting.get(peer)
        counters.add("link_stray", waiting is None)
        if waiting is not None:
            counters.add("link_dropped", len(waiting) == BUNDLES_MAX)
            waiting.append(sums)

    def begin(self, dense: Mapping[int, int], counters: Counters) -> Exchange | None:
        """Take what the peers gave for this tick; None when no group is linked.

        `dense` maps control's numbers, those of all linked groups among them.
        """
        if not self._shared:
            return None
        here = np.array([dense[group] for group in self.groups.tolist()])  # bounded by links
        came = []
        for peer, rows in self._shared.items():  # bounded by the workers there are
            waiting = self._waiting[peer]
            while len(waiting) > 1 and not len(waiting[0].group):
                waiting.popleft()
            counters.add("link_missed", not waiting)
            if waiting:
                sums = waiting.popleft()
                shared = self.groups[rows]
                known = np.isin(sums.group, shared)
                at = rows[np.searchsorted(shared, sums.group[known])]
                came.append(Sums(here[at], sums.voices[known], sums.frames[known]))
        return Exchange(came, here)

    def give(self, exchange: Exchange | None) -> list[tuple[int, Sums]]:
        """Return what each peer gets of a tick that was mixed."""
        if exchange is None:
            return []
        spoken = exchange.voices > 0
        given = []
        for peer, rows in self._shared.items():  # bounded by the workers there are
            rows = rows[spoken[rows]]
            frames = exchange.frames[rows]
            if exchange.wide is not None:
                frames = np.concatenate([frames, exchange.wide[rows]], axis=1)
            given.append((peer, Sums(self.groups[rows], exchange.voices[rows], frames)))
        return given


def add_linked(
    exchange: Exchange, total: NDArray[np.int32], voices: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Note the sums that peers want, then add theirs to `total`, (G, S), in place.

    `voices`, (G,), counts who spoke here; returned is how many spoke everywhere. A negative zero
    stays one where its voice is the only one anywhere.
    """
    exchange.voices += voices[exchange.group]
    exchange.frames += total[exchange.group]
    everywhere = voices.copy()
    for sums in exchange.came:  # bounded by the workers there are
        everywhere[sums.group] += sums.voices
    mixed = exchange.group[(voices[exchange.group] == 1) & (everywhere[exchange.group] > 1)]
    total[mixed] = np.where(total[mixed] == NEGATIVE_ZERO, 0, total[mixed])
    for sums in exchange.came:
        frames = sums.frames[:, :FRAME]
        alone = (sums.voices == 1) & (everywhere[sums.group] > 1)
        if alone.any():
            frames = np.where((frames == NEGATIVE_ZERO) & alone[:, None], 0, frames)
        total[sums.group] += frames
    return everywhere
