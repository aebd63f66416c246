"""A SIP address on this machine that is busy, for counting how many calls PJSIP can make."""

import contextlib
import socket
from types import TracebackType
from typing import Final, Self

COPIED: Final = ("via", "v", "from", "f", "call-id", "i", "cseq")
DATAGRAM_BYTES: Final = 65_535


class Refuser:
    """Answers each INVITE with 486; `uri` is where."""

    def __init__(self, host: str) -> None:
        six = ":" in host
        self._socket = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        port = self._socket.getsockname()[1]
        self.uri = f"sip:nobody@[{host}]:{port}" if six else f"sip:nobody@{host}:{port}"

    def __enter__(self) -> Self:
        """Return it, bound already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self._socket.close()

    def refuse(self) -> None:
        """Answer what has come."""
        with contextlib.suppress(BlockingIOError):
            while True:  # bounded by what is in the socket's buffer
                data, source = self._socket.recvfrom(DATAGRAM_BYTES)
                if data.startswith(b"INVITE "):
                    self._socket.sendto(busy(data), source)


def busy(invite: bytes) -> bytes:
    """Return the 486 to an INVITE (RFC 3261 §8.2.6.2): its headers, and a tag.

    >>> busy(b"INVITE sip:a SIP/2.0\\r\\nTo: <sip:a>\\r\\nCSeq: 1 INVITE\\r\\n\\r\\n")[:44]
    b'SIP/2.0 486 Busy Here\\r\\nTo: <sip:a>;tag=busy'
    """
    lines = ["SIP/2.0 486 Busy Here"]
    for line in invite.partition(b"\r\n\r\n")[0].decode("utf-8", "replace").split("\r\n")[1:]:
        name = line.partition(":")[0].strip().lower()
        if name in ("to", "t"):
            lines.append(f"{line};tag=busy")
        elif name in COPIED:
            lines.append(line)
    return ("\r\n".join([*lines, "Content-Length: 0"]) + "\r\n\r\n").encode()
