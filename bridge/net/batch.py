"""Many datagrams a system call: recvmmsg and sendmmsg on numpy arrays; knows no RTP.

`msghdr`, `iovec` and `sockaddr` arrays are numpy arrays whose addresses are set once. Where
the C library has no such calls a plain loop stands behind the same functions.
"""

import ctypes
import errno
import os
import socket
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_ADDRESS: Final = np.dtype([("family", "u2"), ("port", ">u2"), ("host", ">u4"), ("zero", "u8")])
_ADDRESS_6: Final = np.dtype(
    [
        ("family", "u2"),
        ("port", ">u2"),
        ("flow", "u4"),
        ("host", "u1", (16,)),
        ("scope", "u4"),
        ("pad", "u4"),
    ]
)
_ADDRESS_6_SIZE: Final = 28
_IOVEC: Final = np.dtype([("base", "u8"), ("size", "u8")])
_HEADER: Final = np.dtype(
    [
        ("name", "u8"),
        ("name_size", "u4"),
        ("pad", "u4"),
        ("iov", "u8"),
        ("iov_count", "u8"),
        ("control", "u8"),
        ("control_size", "u8"),
        ("flags", "i4"),
        ("pad_2", "u4"),
        ("size", "u4"),
        ("pad_3", "u4"),
    ]
)
assert _HEADER.itemsize == 64, "struct mmsghdr of a 64-bit Linux"

# struct cmsghdr with an in_pktinfo: interface, local address, address in the header; padded.
_PACKET_INFO: Final = np.dtype(
    [
        ("size", "u8"),
        ("level", "i4"),
        ("type", "i4"),
        ("interface", "i4"),
        ("local", ">u4"),
        ("header", ">u4"),
        ("pad", "u4"),
    ]
)
_PACKET_INFO_SIZE: Final = 28
_IP_PKTINFO: Final = 8

# struct cmsghdr with a timespec, what SO_TIMESTAMPNS sends along.
_STAMP: Final = np.dtype(
    [("size", "u8"), ("level", "i4"), ("type", "i4"), ("seconds", "i8"), ("nanos", "i8")]
)
_SO_TIMESTAMPNS: Final = 35  # Linux, 64 bits
_NS_PER_S: Final = 1_000_000_000

BATCH_MAX: Final = 1_024
"""Datagrams of one system call (UIO_MAXIOV): more are cut off silently."""

_FULL: Final = (errno.EAGAIN, errno.ENOBUFS, errno.EINTR)

# What an earlier packet's ICMP answer leaves on a socket: says nothing of this packet.
_PASSING: Final = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM)

# What is wrong with one address, or with one packet for its path.
_NO_WAY: Final = (errno.EINVAL, errno.EMSGSIZE)


def _library() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "recvmmsg") or not hasattr(library, "sendmmsg"):
        return None
    types = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    library.recvmmsg.argtypes = (*types, ctypes.c_void_p)
    library.sendmmsg.argtypes = types
    return library


_LIBRARY: Final = _library()


def stamp(sock: socket.socket) -> None:
    """Let the kernel say when it took each datagram of a socket.

    Linux stamps all packets or none, and begins to in a work queue when the first socket of the
    machine asks. What arrives before, in the first milliseconds of the first bridge, carries the
    time at which it is read, up to a tick late. No call has media by then, for the bridge's SIP
    socket asks when it is bound: jitter figures are not touched.
    """
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


class Batch:
    """Rows of datagrams over a (N, row bytes) uint8 array; row i of every array is one datagram.

    Attributes:
        data: (N, R) uint8, datagrams, each from byte `at` on.
        length: (N,) uint32 view, bytes received.
        flags: (N,) int32 view, receive flags.
        source: (N,) uint64 view, first 8 bytes of an IPv4 address: family, port, host.
        stamp: (N, 2) int64 view, seconds and nanoseconds of `stamped` batches; else of no rows.
        port: (N,) uint16 view of big-endian ports; `host_6`, (N, 16) uint8 view of IPv6 hosts.
        count: N.
    """

    def __init__(self, data: NDArray[np.uint8], *, at: int, six: bool = False) -> None:
        assert data.flags.c_contiguous
        self.count, row = data.shape
        self.data, self._at = data, at
        self._address = np.zeros(self.count, _ADDRESS_6 if six else _ADDRESS)
        self._iov = np.zeros(self.count, _IOVEC)
        self._header = np.zeros(self.count, _HEADER)
        each = np.arange(self.count, dtype=np.uint64)
        self._iov["base"] = data.ctypes.data + at + each * np.uint64(row)
        self._iov["size"] = row - at
        self._header["name"] = self._address.ctypes.data + each * np.uint64(self._address.itemsize)
        self._header["name_size"] = _ADDRESS_6_SIZE if six else self._address.itemsize
        self._header["iov"] = self._iov.ctypes.data + each * np.uint64(_IOVEC.itemsize)
        self._header["iov_count"] = 1
        self._start = self._header.ctypes.data
        self.length: NDArray[np.uint32] = self._header["size"]
        self.flags: NDArray[np.int32] = self._header["flags"]
        self.source: NDArray[np.uint64] = self._address.view(np.uint64).reshape(self.count, -1)[
            :, 0
        ]
        self.port: NDArray[np.uint16] = self._address["port"]
        if six:
            self.host_6: NDArray[np.uint8] = self._address["host"]
            self._address["family"] = socket.AF_INET6
        self.size: NDArray[np.uint64] = self._iov["size"]
        self._stamp: Any = None
        self.stamp: NDArray[np.int64] = np.zeros((0, 2), np.int64)
        self._room: NDArray[np.uint64] = self._header["control_size"]
        self._tail: NDArray[np.uint8] | None = None

    def stamped(self) -> "Batch":
        """Keep the time at which the kernel took each datagram; see `stamp` and `stamps`."""
        self._stamp = np.zeros(self.count, _STAMP)
        each = np.arange(self.count, dtype=np.uint64) * np.uint64(_STAMP.itemsize)
        self._header["control"] = self._stamp.ctypes.data + each
        self._room[:] = _STAMP.itemsize
        self.stamp = self._stamp.view(np.int64).reshape(self.count, -1)[:, 2:]
        return self

    def spill_into(self, tail: NDArray[np.uint8]) -> None:
        """Receive what a row does not hold into a row of `tail`, (N, T) uint8, from now on.

        A second `iovec` each: rows stay short, and pages of `tail` are touched by long datagrams
        only.
        """
        assert tail.flags.c_contiguous
        assert len(tail) == self.count
        iov = np.zeros((self.count, 2), _IOVEC)
        each = np.arange(self.count, dtype=np.uint64)
        iov[:, 0] = self._iov
        iov["base"][:, 1] = tail.ctypes.data + each * np.uint64(tail.shape[1])
        iov["size"][:, 1] = tail.shape[1]
        self._header["iov"] = iov.ctypes.data + each * np.uint64(2 * _IOVEC.itemsize)
        self._header["iov_count"] = 2
        self._iov, self._tail = iov[:, 0], tail  # the memory that the header points to
        self.size = self._iov["size"]

    def stamps(self, first: int, rows: int) -> NDArray[np.int64]:
        """Return when rows of a `stamped` batch came, wall clock, (rows,) int64 nanoseconds."""
        stamp = self.stamp[first : first + rows]
        return np.asarray(stamp[:, 0] * _NS_PER_S + stamp[:, 1])

    def datagram(self, row: int, length: int) -> bytes:
        """Return the first `length` bytes of a row's datagram, with what was spilled of it."""
        head = self.data[row, self._at : self._at + length].tobytes()
        if self._tail is None or len(head) == length:
            return head
        return head + self._tail[row, : length - len(head)].tobytes()

    def peer(self, row: int) -> tuple[str, int]:
        """Return where a row came from or goes to."""
        address = self._address[row]
        six = address["family"] == socket.AF_INET6
        packed = address["host"].tobytes() if six else int(address["host"]).to_bytes(4)
        family = socket.AF_INET6 if six else socket.AF_INET
        return socket.inet_ntop(family, packed), int(address["port"])

    def send_from(self, hosts: NDArray[np.uint32]) -> None:
        """Give the first rows a local address each (IP_PKTINFO): many callers on one socket."""
        assert _LIBRARY is not None, "only sendmmsg takes addresses along"
        rows = len(hosts)
        self._control = np.zeros(self.count, _PACKET_INFO)
        self._control["size"] = _PACKET_INFO_SIZE
        self._control["level"], self._control["type"] = socket.IPPROTO_IP, _IP_PKTINFO
        self._control["local"][:rows] = hosts
        each = np.arange(rows, dtype=np.uint64) * np.uint64(_PACKET_INFO.itemsize)
        self._header["control"][:rows] = self._control.ctypes.data + each
        self._header["control_size"][:rows] = _PACKET_INFO.itemsize

    def receive(self, sock: socket.socket, first: int, *, limit: int) -> int:
        """Receive what is there into rows from `first` on, `limit` at most; return how many."""
        room = min(limit, self.count - first)
        if room <= 0:
            return 0
        if _LIBRARY is None:
            return self._receive_one_by_one(sock, first, room)
        got: int = _LIBRARY.recvmmsg(
            sock.fileno(), self._start + first * _HEADER.itemsize, room, socket.MSG_DONTWAIT, None
        )
        if got > 0 and self._stamp is not None and self._room[first + got - 1] != _STAMP.itemsize:
            # The kernel has written here how much it used: all of it, unless it has no stamps.
            self._room[first : first + got] = _STAMP.itemsize
        return max(got, 0)

    def send(self, sock: socket.socket, first: int, rows: int) -> int:
        """Send `rows` rows from `first` on, never waiting; return how many could not be sent.

        When the socket's buffer is full the rest of the rows is given up: late is lost.
        """
        done, lost = 0, 0
        while done < rows:
            if _LIBRARY is None:
                sent, error = self._send_one(sock, first + done)
            else:
                sent = _LIBRARY.sendmmsg(
                    sock.fileno(),
                    self._start + (first + done) * _HEADER.itemsize,
                    min(rows - done, BATCH_MAX),
                    socket.MSG_DONTWAIT,
                )
                error = ctypes.get_errno() if sent < 0 else 0
            if sent > 0:
                done += sent
            elif error in _FULL:
                return lost + rows - done
            elif error in _PASSING or error in _NO_WAY:
                done, lost = done + 1, lost + 1  # this row has no way out; the others may
            else:
                raise OSError(error, os.strerror(error))
        return lost

    def _receive_one_by_one(self, sock: socket.socket, first: int, room: int) -> int:
        for row in range(first, first + room):
            parts = [self.data[row, self._at :]]
            parts += [] if self._tail is None else [self._tail[row]]
            views = [memoryview(part) for part in parts]  # type: ignore[arg-type]  # buffers
            try:
                size, _, flags, sender = sock.recvmsg_into(views, 0, socket.MSG_DONTWAIT)
            except OSError:
                return row - first
            self._header["size"][row], self._header["flags"][row] = size, flags
            address = self._address[row : row + 1]
            address["family"], address["port"] = sock.family, sender[1]
            packed = socket.inet_pton(sock.family, sender[0])
            six = sock.family == socket.AF_INET6
            address["host"] = np.frombuffer(packed, np.uint8) if six else int.from_bytes(packed)
            if self._stamp is not None:
                seconds, nanos = divmod(time.time_ns(), _NS_PER_S)
                self._stamp["seconds"][row], self._stamp["nanos"][row] = seconds, nanos
        return room

    def _send_one(self, sock: socket.socket, row: int) -> tuple[int, int]:
        data = self.datagram(row, int(self._iov["size"][row]))
        try:
            sock.sendto(data, socket.MSG_DONTWAIT, self.peer(row))
        except OSError as error:
            return -1, error.errno or errno.EINVAL
        return 1, 0
