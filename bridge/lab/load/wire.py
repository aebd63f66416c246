"""The sockets of a crowd: who has which address, batches out and in; knows no RTP.

Towards a bridge on loopback callers share sockets, each with an address of his own in
127.1.0.0/16 and after. Towards any other host each has a port of his own on this machine's
address, which costs two system calls a packet.
"""

import contextlib
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.sources import source_of
from bridge.net.addressed import AddressedBatch, Senders, tell_addresses
from bridge.net.batch import BATCH_MAX
from bridge.sip.api import Address

FIRST_HOST: Final = 0x7F01_0001
"""127.1.0.1, the first caller's on loopback."""

ROW_BYTES: Final = 256
"""Headers and 20 ms of G.711, and some more so that longer packets are seen to be longer."""

ROWS: Final = 16_384
BUFFER_BYTES: Final = 64 << 20
PACKET_COST: Final = 1_280
"""What the kernel charges a small datagram against the receive buffer."""

TICKS_HELD: Final = 4
_SO_SNDBUFFORCE: Final = 32  # Linux: beyond the limit for everybody, with CAP_NET_ADMIN
_SO_RCVBUFFORCE: Final = 33


@dataclass(slots=True)
class Arrived:
    """Datagrams of one drain; row i of each is one of them.

    Attributes:
        caller: (n,) int64, whom it was sent to.
        source: (n,) uint64, where it came from, as `source_of` writes it.
        came_ns: (n,) int64, wall clock.
        length: (n,) uint32; data: (n, ROW_BYTES) uint8.
    """

    caller: NDArray[np.int64]
    source: NDArray[np.uint64]
    came_ns: NDArray[np.int64]
    length: NDArray[np.uint32]
    data: NDArray[np.uint8]


@dataclass(slots=True)
class Wire:
    """Sockets of `count` callers on `host`, the address of this machine that the bridge sees.

    Attributes:
        shared: callers have addresses of their own, and share sockets.
        address: where each caller receives.
        data: (count, ROW_BYTES) uint8, rows to be sent, filled in the order of `arrange`.
    """

    host: str
    count: int
    shared: bool
    address: list[Address] = field(default_factory=list)
    data: NDArray[np.uint8] = field(init=False)
    _out: Senders = field(init=False)
    _in: AddressedBatch = field(init=False)
    _sockets: list[socket.socket] = field(default_factory=list)
    _rtcp: list[socket.socket] = field(default_factory=list)
    _each: int = 1
    _parts: list[tuple[int, int, int]] = field(default_factory=list)
    """Socket, first row and number of rows of what is sent, in order of rows."""

    def __post_init__(self) -> None:
        """Open the sockets.

        Raises:
            OSError: more sockets than this process may have.
        """
        self.data = np.zeros((self.count, ROW_BYTES), np.uint8)
        self._out = Senders(self.data)
        self._in = AddressedBatch(np.zeros((ROWS, ROW_BYTES), np.uint8))
        while len(self.address) < self.count:
            bound = "0.0.0.0" if self.shared else self.host
            sock, rtcp = _pair(bound)
            self._sockets.append(sock)
            self._rtcp.append(rtcp)
            port = sock.getsockname()[1]
            if self.shared:
                room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
                self._each = max(room // (PACKET_COST * TICKS_HELD), 1)
            first = len(self.address)
            for caller in range(first, min(first + self._each, self.count)):
                host = str(IPv4Address(FIRST_HOST + caller)) if self.shared else self.host
                self.address.append(Address(host, port))

    def close(self) -> None:
        """Close the sockets."""
        for sock in (*self._sockets, *self._rtcp):
            sock.close()

    def arrange(self, callers: NDArray[np.int64], destination: NDArray[np.uint64]) -> None:
        """Say who sends the rows from now on, in order of callers, and where to."""
        local = np.array([_number(self.address[c].host) for c in callers.tolist()], np.uint32)
        self._out.direct(local, destination)
        number = callers // self._each
        starts = np.flatnonzero(np.concatenate([[True], number[1:] != number[:-1]]))
        ends = np.append(starts[1:], len(callers))
        self._parts = [
            (int(number[first]), int(first), int(end))
            for first, end in zip(starts, ends, strict=True)
            if end > first and len(callers)
        ]

    def send(self, first: int, end: int, size: NDArray[np.int64]) -> int:
        """Send rows `first` to `end`, `size` bytes each; return how many could not be sent."""
        self._out.size[first:end] = size
        lost = 0
        for number, begin, stop in self._parts:  # bound: the sockets
            low, high = max(first, begin), min(end, stop)
            if low < high:
                lost += self._out.send(self._sockets[number], low, high - low)
        return lost

    def receive(self) -> Arrived:
        """Take what has come to all callers."""
        rows = 0
        owner = np.zeros(ROWS, np.int64)
        for number, sock in enumerate(self._sockets):  # bound: the sockets
            while got := self._in.receive(sock, rows, limit=ROWS):
                owner[rows : rows + got] = number * self._each
                rows += got
                if got < BATCH_MAX:
                    break
        caller = owner[:rows]
        if self._each > 1:
            caller = self._in.local(rows) - FIRST_HOST
        return Arrived(
            caller=caller,
            source=self._in.source[:rows],
            came_ns=self._in.came_ns(rows),
            length=self._in.length[:rows],
            data=self._in.data[:rows],
        )

    def drain_rtcp(self) -> None:
        """Throw reports away; a port that is not read would answer with ICMP once it is closed."""
        for sock in self._rtcp:
            self._drain(sock)

    def _drain(self, sock: socket.socket) -> None:
        rows = 0
        while got := self._in.receive(sock, 0, limit=BATCH_MAX):
            rows += got
            if got < BATCH_MAX or rows > ROWS:
                break


def destination_of(address: Address | None) -> int:
    """Return an address as batches write it, 0 for none."""
    return source_of(*address) if address is not None else 0


def _number(host: str) -> int:
    return int(IPv4Address(host))


def _pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Return sockets on an even port and the one above it, for RTCP."""
    for _ in range(100):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        port = sock.getsockname()[1]
        rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if port % 2:
                raise OSError
            rtcp.bind((host, port + 1))
        except OSError:
            sock.close()
            rtcp.close()
            continue
        for one in (sock, rtcp):
            one.setblocking(False)
            tell_addresses(one)
        for option, plain in (
            (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
            (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
        ):
            sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER_BYTES)
            with contextlib.suppress(OSError):  # without privileges it is as large as it gets
                sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        return sock, rtcp
    raise OSError(f"{host}: no pair of free ports in a hundred tries")
