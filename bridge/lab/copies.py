"""An INVITE that comes more than once: the same packet again, or over another way.

The bridge must absorb the first (RFC 3261 §17.2.1) and refuse the second with 482 (§8.2.2.2); in no
case is there a second leg. Knows messages as bytes; which call they belong to is the phone's.
"""

import asyncio
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bridge.ids import new_id
from bridge.lab.capture import Packet
from bridge.sip.api import Address

INVITES: Final = ("once", "twice", "again", "merged")
"""How often a caller's INVITE comes: `twice` at once; `again` when it has been answered, as if the
answer were lost; `merged` also over another way, as from a proxy that forks."""

AGAIN_S: Final = 0.6
"""How long after the answer: a little more than T1, when SIP itself would send it again."""

DATAGRAM_BYTES: Final = 65_535
_VIA: Final = re.compile(rb"\r\n(?=Via:)", re.IGNORECASE)
_TO: Final = re.compile(rb"\r\n(To:[^\r\n]*)", re.IGNORECASE)
_KEPT: Final = re.compile(rb"\r\n((?:From|Call-ID|Max-Forwards):[^\r\n]*)", re.IGNORECASE)
_CSEQ: Final = re.compile(rb"\r\nCSeq:[ \t]*(\d+)", re.IGNORECASE)


def acknowledged(invite: bytes, via: bytes, refusal: bytes) -> bytes:
    """Return the ACK of a refusal: the INVITE's top Via, the answer's To (RFC 3261 §17.1.1.3)."""
    uri = invite.split(b" ", 2)[1]
    to, cseq = _TO.search(refusal), _CSEQ.search(invite)
    lines = [b"ACK %b SIP/2.0" % uri, via, *_KEPT.findall(invite)]
    lines += [to[1]] if to else []
    lines += [b"CSeq: %b ACK" % cseq[1]] if cseq else []
    return b"\r\n".join([*lines, b"Content-Length: 0", b"", b""])


class OtherWay:
    """A proxy that forks, as far as one INVITE sees it: a socket, and a Via of its own on top."""

    def __init__(self, host: str, told: Callable[[Packet], None]) -> None:
        self._told = told
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        self._address = Address(*self._socket.getsockname())
        branch = f"z9hG4bK{new_id()}"
        self._via = b"Via: SIP/2.0/UDP %b:%d;branch=%b" % (
            *(host.encode(), self._address.port),
            branch.encode(),
        )
        self._invite = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def send(self, invite: bytes, bridge: Address) -> None:
        """Send an INVITE over this way too."""
        self._invite = invite
        self._write(_VIA.sub(b"\r\n%b\r\n" % self._via, invite, count=1), bridge)

    def _write(self, data: bytes, bridge: Address) -> None:
        self._told(Packet(time.monotonic_ns(), self._address, bridge, True, data))
        with suppress(OSError):  # lost, as any datagram may be
            self._socket.sendto(data, bridge)

    def _read(self) -> None:
        with suppress(OSError):
            data, source = self._socket.recvfrom(DATAGRAM_BYTES)
            bridge = Address(*source)
            self._told(Packet(time.monotonic_ns(), self._address, bridge, False, data))
            if re.match(rb"SIP/2\.0 [3-6]", data):
                self._write(acknowledged(self._invite, self._via, data), bridge)

    def close(self) -> None:
        """Close the socket."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
