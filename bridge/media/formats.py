"""What the payload types of each leg mean: audio of a codec, telephone-events, or nothing.

Knows slots, payload types and codecs by number; no packet and no description.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from bridge.media.codecs import NUMBERS
from bridge.media.shape import PCMA, PCMU
from bridge.media.values import Remote

NOTHING: Final = 0
EVENT: Final = 1
AUDIO: Final = 2
"""Plus the number of the codec."""

TYPES: Final = 128
"""Payload types there are (RFC 3550 §5.1)."""

TELEPHONE_EVENT: Final = "TELEPHONE-EVENT"
_G711: Final = {PCMU, PCMA}


@dataclass(slots=True)
class Formats:
    """What the legs may send: row i is leg slot i; L = leg slots. Changes between ticks only.

    Attributes:
        meaning: (L, 128) uint8, by payload type: NOTHING, EVENT, or AUDIO plus the number of a
            codec, see `codecs.NUMBERS`. All NOTHING in idle rows.
        keyed: (L,) bool, telephone-events are agreed. False in idle rows.
    """

    meaning: NDArray[np.uint8]
    keyed: NDArray[np.bool_]

    @classmethod
    def of(cls, legs: int) -> Self:
        """Return idle rows."""
        return cls(np.zeros((legs, TYPES), np.uint8), np.zeros(legs, np.bool_))

    def forget(self, slot: int) -> None:
        """Let nothing be agreed with a leg."""
        self.meaning[slot] = NOTHING
        self.keyed[slot] = False

    def set_remote(self, slot: int, remote: Remote) -> None:
        """Take over what was agreed; of one number's two meanings that of our offer counts.

        Another codec than the agreed one is nothing, but for the two laws of G.711: each of
        their packets can be decoded by itself.
        """
        row, own = self.meaning[slot], NUMBERS[remote.codec]
        self.forget(slot)
        self.keyed[slot] = remote.dtmf_payload_type >= 0
        row[remote.payload_type] = AUDIO + own
        if self.keyed[slot]:
            row[remote.dtmf_payload_type] = EVENT
        for number, name in remote.also:  # bounded by the formats of one description
            if name == TELEPHONE_EVENT:
                row[number] = EVENT
                continue
            codec = NUMBERS[name]
            if codec == own or {codec, own} == _G711:
                row[number] = AUDIO + codec

    def heard(self, slot: NDArray[np.int64], kind: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what the payload types `kind` of packets mean on their legs, (n,) uint8."""
        return self.meaning[slot, kind]
