"""What ICMP says of datagrams that did not arrive (`IP_RECVERR`, ip(7)); knows no SIP.

An ICMP error is of a destination. The kernel keeps it beside the first bytes of the datagram that
it is about, so whoever sent that can be told, and nobody else. While one waits, the next call on
the socket fails for it, whatever that call is about: read the errors then, and try again.
"""

import contextlib
import socket
import struct
from typing import Final, NamedTuple

from bridge.sip.api import Address

ERRORS_MAX: Final = 64
"""Read at a time."""

QUOTED_BYTES_MAX: Final = 2_048
"""More than any ICMP error quotes (RFC 1812 §4.3.2.3: 576 bytes; RFC 4443 §2.4: 1,280)."""

_RECVERR: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}
"""Level and name of the option, by family; the socket module does not know it."""

_ERROR: Final = struct.Struct("=IBBBBII")
"""`sock_extended_err`: errno, origin, type, code, padding, info, data."""

_ICMP, _ICMP6 = 2, 3
_FRAGMENTATION_NEEDED: Final = 4
_UNREACHABLE: Final = {(_ICMP, 3), (_ICMP, 12), (_ICMP6, 1), (_ICMP6, 4)}
"""Destination unreachable and parameter problem; RFC 3261 §18.4 has the others ignored."""


class Lost(NamedTuple):
    """A datagram that is known to be lost, or as much of it as was quoted, and where it went."""

    data: bytes
    destination: Address


def ask_for_errors(sock: socket.socket) -> None:
    """Have the kernel keep ICMP errors for a UDP socket; nothing where it cannot."""
    with contextlib.suppress(OSError, KeyError):
        sock.setsockopt(*_RECVERR[sock.family], 1)


def waiting_errors(sock: socket.socket) -> tuple[int, list[Lost]]:
    """Take the errors that wait: how many, and those after which a datagram is lost for good."""
    count, lost = 0, []
    while count < ERRORS_MAX:
        try:
            data, notes, _, place = sock.recvmsg(QUOTED_BYTES_MAX, 512, socket.MSG_ERRQUEUE)
        except OSError:
            break
        count += 1
        if place and any(_is_fatal(sock, *note) for note in notes):
            lost.append(Lost(data, Address(place[0], place[1])))
    return count, lost


def _is_fatal(sock: socket.socket, level: int, kind: int, note: bytes) -> bool:
    if (level, kind) != _RECVERR[sock.family] or len(note) < _ERROR.size:
        return False
    _, origin, icmp_type, code, *_ = _ERROR.unpack_from(note)
    too_large = (origin, icmp_type, code) == (_ICMP, 3, _FRAGMENTATION_NEEDED)
    return (origin, icmp_type) in _UNREACHABLE and not too_large
