"""The pool of local RTP ports: sockets, and which are in use; knows no leg's address.

Even ports carry RTP; the odd port above each is held for RTCP, so that nobody else gets it. A
port stays open while a leg uses it, and is shared up to what its receive buffer can hold.
"""

import errno
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from bridge.net.batch import stamp

BUFFER_BYTES: Final = 16 << 20
"""Receive buffer asked for; without privileges the kernel gives less, and a port serves fewer."""

PACKET_COST: Final = 1_280
"""What the kernel charges a small datagram against the receive buffer."""

TICKS_HELD: Final = 4
"""Ticks' worth of packets that a buffer must hold, so that a late tick loses none."""

_NONE_LEFT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What the system says when it has no socket for us, whatever its port."""


@dataclass(slots=True)
class RtpPort:
    """One RTP port and its RTCP neighbour. `index` is its number in the plane."""

    index: int
    number: int
    rtp: socket.socket
    rtcp: socket.socket
    legs_max: int
    legs: int = 0


@dataclass(slots=True)
class RtpPorts:
    """The open ports.

    Attributes:
        host: local address.
        first, last: inclusive range of port numbers.
        ports: open ports by index.
    """

    host: str
    first: int
    last: int
    indexes_max: int
    ports: dict[int, RtpPort] = field(default_factory=dict)
    _next: int = 0

    def take(self, may_share: Callable[[int], bool]) -> RtpPort | None:
        """Return a port for one leg more: a shared one that `may_share` allows, or a new one.

        None when no port of the range is left, or the system has no socket left.
        """
        for port in self.ports.values():
            if port.legs < port.legs_max and may_share(port.index):
                port.legs += 1
                return port
        new = self._open()
        if new is not None:
            new.legs = 1
        return new

    def give_back(self, index: int) -> None:
        """Say that a leg has left its port; the last one closes it."""
        port = self.ports[index]
        port.legs -= 1
        if not port.legs:
            self._close(self.ports.pop(index))

    def close(self) -> None:
        """Close every port."""
        while self.ports:
            self._close(self.ports.popitem()[1])

    def _open(self) -> RtpPort | None:
        index = next((n for n in range(self.indexes_max) if n not in self.ports), None)
        if index is None:
            return None
        first = self.first + self.first % 2
        pairs = (self.last - first + 1) // 2
        taken = {port.number for port in self.ports.values()}
        for offset in range(pairs):
            number = first + 2 * ((self._next + offset) % pairs)
            if number in taken:
                continue
            try:
                pair = _bind_pair(self.host, number)
            except OSError as fault:
                if fault.errno in _NONE_LEFT:
                    return None
                continue
            self._next = (self._next + offset + 1) % pairs
            room = pair[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            legs_max = max(room // (PACKET_COST * TICKS_HELD), 1)
            port = RtpPort(index, number, *pair, legs_max=legs_max)
            self.ports[index] = port
            return port
        return None

    @staticmethod
    def _close(port: RtpPort) -> None:
        port.rtp.close()
        port.rtcp.close()


def _bind_pair(host: str, number: int) -> tuple[socket.socket, socket.socket]:
    """Return sockets on a port and the one above it; `OSError` when either cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as opened:
        pair = [
            opened.enter_context(socket.socket(family, socket.SOCK_DGRAM)),
            opened.enter_context(socket.socket(family, socket.SOCK_DGRAM)),
        ]
        for sock, port in zip(pair, (number, number + 1), strict=True):
            sock.bind((host, port))
            sock.setblocking(False)
            stamp(sock)
            if family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        _enlarge(pair[0])
        opened.pop_all()  # they are the caller's now
    return pair[0], pair[1]


# Never in fragments: each packet then needs no number of its own (RFC 6864), and the kernel none
# from a counter that all cores share, a tenth of what a packet costs it.
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DO = 2

_SO_SNDBUFFORCE = 32  # Linux: beyond the limit for everybody, with CAP_NET_ADMIN
_SO_RCVBUFFORCE = 33


def _enlarge(sock: socket.socket) -> None:
    """Ask for large buffers, by privilege if there is one."""
    for forced, plain in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER_BYTES)
