"""How much work Opus is: legs that hear the same share an encoder, and few encoders try harder.

Encoders keep state, and a far end's decoder follows the one that it was sent packets of. A leg
that begins to speak, and so to hear something of its own, takes a copy of the shared encoder's
state: nothing changes for its decoder. A leg that falls silent goes on with its own encoder for
`HOLD_TICKS`, in which both are given the same frames and come to be as good as the same; what is
left of a difference at the change is below the noise of the codec. Knows slots, no packets.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.opus import COMPLEXITY, COMPLEXITY_FEW, COMPLEXITY_MANY, OpusEncoder

HOLD_TICKS: Final = 25
"""Half a second: after 5 ticks the difference was 25 dB below speech, the codec's noise 20."""

FEW: Final = 16
"""Encoders of a worker that may try hard: 4 ms of a tick here."""

MANY: Final = 64
"""Encoders of a worker that may try at all: 11 ms of a tick here."""

EASY_TICKS: Final = 250
"""Ticks after which encoders try as hard again as the most of them in that time allow."""


def complexity_of(encoded: int) -> int:
    """Return how hard encoders may try, of which so many run in a tick.

    >>> [complexity_of(encoded) for encoded in (FEW, FEW + 1, MANY, MANY + 1)]
    [6, 1, 1, 0]
    """
    if encoded <= FEW:
        return COMPLEXITY_FEW
    return COMPLEXITY if encoded <= MANY else COMPLEXITY_MANY


class Effort:
    """How hard the encoders of a plane try.

    Attributes:
        complexity: of each of them.
    """

    def __init__(self) -> None:
        self.complexity = COMPLEXITY_FEW
        self._easy, self._most = 0, 0  # ticks in a row that allow more, and the most of them

    def judge(self, encoded: int) -> bool:
        """Take in how many frames were encoded in a tick; return whether to try otherwise now.

        Less is tried at once, so that no second tick is too long.
        """
        allowed = complexity_of(encoded)
        if allowed <= self.complexity:
            changed = allowed < self.complexity
            self.complexity, self._easy, self._most = allowed, 0, 0
            return changed
        self._easy, self._most = self._easy + 1, max(self._most, encoded)
        if self._easy < EASY_TICKS:
            return False
        self.complexity, self._easy, self._most = complexity_of(self._most), 0, 0
        return True


class Sharing:
    """Who shares. L = leg slots.

    Attributes:
        same: (L,) int32, ticks for which a leg has heard what all hear, in this group.
        group: (L,) int64, where it heard that.
        encoded: frames that the last tick encoded.
    """

    def __init__(self, legs_max: int) -> None:
        self.same: NDArray[np.int32] = np.zeros(legs_max, np.int32)
        self.group: NDArray[np.int64] = np.full(legs_max, -1, np.int64)
        self.encoded = 0
        self._complexity = COMPLEXITY_FEW
        self._shared: dict[int, OpusEncoder] = {}  # by group
        self._with: dict[int, OpusEncoder] = {}  # by slot

    def forget(self, slot: int) -> None:
        """Take a leg out that is gone."""
        self.same[slot] = 0
        self._with.pop(slot, None)

    def leave(self, slot: int, encoder: OpusEncoder) -> None:
        """Let a leg go on by its own encoder, whatever it hears."""
        if slot in self._with:
            encoder.copy_of(self._with[slot])
        self.forget(slot)

    def encode(
        self,
        slots: NDArray[np.int64],
        encoders: Sequence[OpusEncoder],
        frames: NDArray[np.int16],
        *,
        same: NDArray[np.bool_],
        group: NDArray[np.int64],
    ) -> list[bytes]:
        """Return the packets of n legs; their own `encoders`, and `frames`, (n, S), that they hear.

        `same`, (n,) bool: the leg hears in this tick what every silent leg of its `group` hears.
        """
        for_long = np.where(group == self.group[slots], self.same[slots], 0)
        self.group[slots] = group
        self.same[slots] = np.where(same, np.minimum(for_long, HOLD_TICKS) + 1, 0)
        shares = (self.same[slots] > HOLD_TICKS).tolist()
        legs = list(zip(slots.tolist(), encoders, shares, group.tolist(), frames, strict=True))
        for slot, encoder, share, _, _ in legs:  # bounded: legs of coders
            if not share and slot in self._with:
                encoder.copy_of(self._with.pop(slot))
                if encoder.complexity != self._complexity:  # of one that is shared no more
                    encoder.set_complexity(self._complexity)
        shared: dict[int, OpusEncoder] = {}
        made: dict[int, bytes] = {}
        packets = []
        for slot, encoder, share, number, frame in legs:  # bounded: legs of coders
            if not share:
                packets.append(encoder.encode(frame))
                continue
            if number not in made:
                common = self._shared.get(number)
                if common is None:
                    common = OpusEncoder()
                    common.copy_of(encoder)
                shared[number], made[number] = common, common.encode(frame)
            self._with[slot] = shared[number]
            packets.append(made[number])
        self._shared = shared
        self.encoded = len(legs) - sum(shares) + len(made)
        return packets

    def set_complexity(self, complexity: int) -> None:
        """Have the shared encoders try harder, or less, and those that begin as their copies."""
        self._complexity = complexity
        for encoder in self._shared.values():  # bounded: groups
            encoder.set_complexity(complexity)
