"""Whose packets lie in the rows to send, and what is next of each; knows no payload, no socket."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bridge.media.known import Known


@dataclass(frozen=True, slots=True)
class Senders:
    """Legs of 20 ms in the order of their rows. L = leg slots, n = rows.

    Attributes:
        slots: (n,) int64, the leg of each row.
        kind: (n,) uint32, first word of each row's header, but for the sequence number.
        seq: (L,) uint16, of the next packet.
        ts: (L,) uint32, of the next tick's frame.
        sent: (L,) uint32, packets sent.
        octets: (L,) uint32, payload bytes sent.
        known: where arrays lie that stay; of `samples_c`.
    """

    slots: NDArray[np.int64]
    kind: NDArray[np.uint32]
    seq: NDArray[np.uint16]
    ts: NDArray[np.uint32]
    sent: NDArray[np.uint32]
    octets: NDArray[np.uint32]
    known: Known = field(default_factory=dict, compare=False, repr=False)
