"""Many parties on one socket, each with a local address of his own (IP_PKTINFO); knows no RTP.

On loopback every address of 127.0.0.0/8 is this machine's, so thousands of callers can share a
few sockets and still each send from, and be sent to, an address that is his alone.
"""

import socket
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.net.batch import Batch, stamp

_IP_PKTINFO: Final = 8  # Linux; the socket module does not know it
_NS_PER_S: Final = 1_000_000_000

# What the kernel writes beside a datagram: a timespec, then an in_pktinfo, each in a cmsghdr.
_CAME: Final = np.dtype(
    [
        ("stamp_size", "u8"),
        ("stamp_level", "i4"),
        ("stamp_type", "i4"),
        ("seconds", "i8"),
        ("nanos", "i8"),
        ("info_size", "u8"),
        ("info_level", "i4"),
        ("info_type", "i4"),
        ("interface", "i4"),
        ("local", ">u4"),
        ("header", ">u4"),
        ("pad", "u4"),
    ]
)


def tell_addresses(sock: socket.socket) -> None:
    """Let the kernel say when each datagram came and to which local address."""
    stamp(sock)
    sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


class AddressedBatch(Batch):
    """Rows received on sockets of `tell_addresses`; row i of every array is one datagram."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        super().__init__(data, at=0)
        self._came = np.zeros(self.count, _CAME)
        each = np.arange(self.count, dtype=np.uint64) * np.uint64(_CAME.itemsize)
        self._header["control"] = self._came.ctypes.data + each
        self._header["control_size"] = _CAME.itemsize

    def receive(self, sock: socket.socket, first: int, *, limit: int) -> int:
        """Receive what is there into rows from `first` on; return how many."""
        got = super().receive(sock, first, limit=limit)
        # The kernel has written here how much it used.
        self._header["control_size"][first : first + got] = _CAME.itemsize
        return got

    def came_ns(self, rows: int) -> NDArray[np.int64]:
        """Return when the first rows came, wall clock, (rows,) int64 nanoseconds."""
        part = self._came[:rows]
        return np.asarray(part["seconds"] * _NS_PER_S + part["nanos"])

    def local(self, rows: int) -> NDArray[np.int64]:
        """Return the local IPv4 address that each of the first rows was sent to."""
        return self._came["local"][:rows].astype(np.int64)


class Senders(Batch):
    """Rows to be sent, each from a local address of its own and to its own destination."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        super().__init__(data, at=0)
        self.send_from(np.zeros(self.count, np.uint32))

    def direct(self, local: NDArray[np.uint32], destination: NDArray[np.uint64]) -> None:
        """Say where the first rows are sent from and to, as `sources.source_of` writes it."""
        rows = len(local)
        self._control["local"][:rows] = local
        self.source[:rows] = destination
