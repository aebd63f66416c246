"""What went over the callers' own sockets in one story: kept in memory, bounded, in order.

Knows packets, not what is in them. The RTP engine keeps one for its sockets, the lab one for its
phones' SIP; a story that holds throws both away.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

CAPTURE_BYTES_MAX: Final = 48 * 1_024 * 1_024
PACKET_COST: Final = 150
"""What a packet costs beside its bytes."""

Address = tuple[str, int]


class Packet(NamedTuple):
    """One datagram at a caller's socket.

    Attributes:
        at_ns: monotonic, when it was sent or came.
        local: the caller's own address.
        remote: the other side's.
        sent: by the caller.
    """

    at_ns: int
    local: Address
    remote: Address
    sent: bool
    payload: bytes


@dataclass(slots=True)
class Capture:
    """Packets of one story.

    Attributes:
        on: whether anything is kept.
        left_out: packets that came when the capture was full.
    """

    on: bool = False
    packets: list[Packet] = field(default_factory=list)
    left_out: int = 0
    _bytes: int = 0

    def begin(self) -> None:
        """Forget what was kept and keep what comes."""
        self.on, self.packets, self.left_out, self._bytes = True, [], 0, 0

    def add(self, packet: Packet) -> None:
        """Keep a packet while there is room."""
        if not self.on:
            return
        self._bytes += len(packet.payload) + PACKET_COST
        if self._bytes > CAPTURE_BYTES_MAX:
            self.left_out += 1
        else:
            self.packets.append(packet)

    def take(self) -> tuple[list[Packet], int]:
        """Return what was kept and how many were left out, and keep nothing more."""
        taken = self.packets, self.left_out
        self.on, self.packets, self.left_out, self._bytes = False, [], 0, 0
        return taken
