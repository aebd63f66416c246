"""SIP over TCP and TLS: connections, and messages cut out of their bytes by Content-Length.

Decides nothing about SIP: a whole message goes to the core, and what the core sends goes out on
the connection that the other side opened, else on one that is opened for it. Everything a peer
can make grow has a limit, and what breaks one is counted under a named reason.
"""

import asyncio
import re
import resource
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from bridge.net.sip_tls import TlsDoor
from bridge.sip.api import Address, Received, Send
from bridge.sip.limits import BODY_BYTES_MAX
from bridge.sip.registrar import EXPIRES_S_MAX

HEAD_BYTES_MAX: Final = 65_536
CONNECTIONS_MAX: Final = 2_000
"""Never more than half of the files that this process may open: the rest of it needs some too."""

WRITE_BUFFER_BYTES_MAX: Final = 262_144
MESSAGE_S: Final = 30.0
"""How long a message may take from its first byte to its last, and a new connection to its first
message."""

IDLE_S: Final = EXPIRES_S_MAX + 100.0
"""How long a connection may be silent; longer than any session interval we agree to, and than any
registration: over TLS a phone can be called on its own connection only."""

LINGER_S: Final = 2.0
"""How long what still comes is thrown away after the last answer: closing at once would reset the
connection, and the answer would be lost with it."""

CONNECT_S: Final = 10.0
PENDING_MAX: Final = 16
"""Messages that wait for one connection to be made."""

REQUESTS_MAX: Final = 1_000
REQUEST_S: Final = 32.0
"""Requests of one connection that are told of when it breaks: the latest ones, not older than
timers B and F, which end what waits for an answer."""

_LENGTH: Final = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_FOLD: Final = re.compile(rb"\r\n[ \t]+")
_END: Final = b"\r\n\r\n"


@dataclass(slots=True)
class Framer:
    """Cuts a stream into messages (RFC 3261 §18.3) and keep-alives (RFC 5626 §4.4.1).

    Attributes:
        pings: keep-alives that came since this was last set to 0.
        fault: why the bytes cannot be cut into messages any more, "" while they can.
    """

    pings: int = 0
    fault: str = ""
    _bytes: bytearray = field(default_factory=bytearray)
    _searched: int = 0
    _wanted: int = 0
    """Bytes of a message whose head was read already: it is read once, however its body comes."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the messages they complete.

        After a fault the last one may be a head whose body has no known end, or the beginning of
        one that is too large: it can be answered.
        """
        self._bytes += data
        messages = []
        while not self.fault and (message := self._next()) is not None:
            messages.append(message)
        return messages

    @property
    def partial(self) -> bool:
        """True while a message has begun and not ended."""
        return bool(self._bytes.strip(b"\r\n"))

    def _next(self) -> bytes | None:
        buffer = self._bytes
        if len(buffer) < self._wanted:
            return None
        self._wanted = 0
        while buffer[:2] == b"\r\n" and not _END.startswith(buffer[:4]):
            del buffer[:2]
        while buffer[:4] == _END:
            self.pings += 1
            del buffer[:4]
        end = buffer.find(_END, max(self._searched - len(_END), 0))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > HEAD_BYTES_MAX:
                self.fault = "stream_head_too_large"
                return bytes(buffer[:HEAD_BYTES_MAX]) + _END
            return None
        self._searched = 0
        head = bytes(buffer[: end + len(_END)])
        length = _body_length(head)
        if isinstance(length, str):
            self.fault = length
            return head
        total = len(head) + length
        if len(buffer) < total:
            self._wanted = total
            return None
        message = bytes(buffer[:total])
        del buffer[:total]
        return message


def _body_length(head: bytes) -> int | str:
    """Return how long the body is, or what is wrong with that."""
    if b"\r\n " in head or b"\r\n\t" in head:
        head = _FOLD.sub(b" ", head)
    found: list[bytes] = _LENGTH.findall(head)
    if not found:
        return "stream_no_length"  # what follows may be a body or a message (RFC 3261 §20.14)
    text = found[0].strip()
    if len(found) > 1 or not text.isdigit() or len(text) > 9:
        return "stream_bad_length"
    if int(text) > BODY_BYTES_MAX:
        return "stream_body_too_large"
    return int(text)


class _Connection(asyncio.Protocol):
    """One connection, whoever opened it."""

    def __init__(self, streams: "SipStreams") -> None:
        self._streams = streams
        self._framer = Framer()
        self._deadline: asyncio.TimerHandle | None = None
        self._requests: deque[tuple[float, bytes]] = deque(maxlen=REQUESTS_MAX)
        self._ended = False
        self.transport: asyncio.Transport
        self.peer: Address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.peer = Address(*transport.get_extra_info("peername")[:2])
        self._arm(MESSAGE_S)
        if not self._streams.add(self):
            self.transport.abort()

    def connection_lost(self, fault: Exception | None) -> None:
        del fault
        if self._deadline is not None:
            self._deadline.cancel()
        self._streams.remove(self)
        for _, data in self._recent():
            self._streams.lose(data, self.peer)

    @property
    def usable(self) -> bool:
        """Whether something can be sent on it."""
        return not (self._ended or self.transport.is_closing())

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        was_partial = self._framer.partial
        messages = self._framer.feed(data)
        for _ in range(self._framer.pings):
            self.write(b"\r\n")
        self._framer.pings = 0
        for message in messages:
            self._streams.deliver(message, self.peer)
        if self._framer.fault:
            self._streams.count(f"drop.{self._framer.fault}")
            self._end()
        elif messages or not self._framer.partial:
            self._arm(MESSAGE_S if self._framer.partial else IDLE_S)
        elif not was_partial:
            self._arm(MESSAGE_S)

    def write(self, data: bytes) -> None:
        """Send; who does not read what he is sent is cut off."""
        if not data.startswith((b"SIP/2.0 ", b"ACK ", b"\r\n")):
            self._recent().append((time.monotonic(), data))
        self.transport.write(data)
        if self.transport.get_write_buffer_size() > WRITE_BUFFER_BYTES_MAX:
            self._streams.count("drop.stream_not_read")
            self.transport.abort()

    def _recent(self) -> deque[tuple[float, bytes]]:
        """Return the requests that may still wait for an answer, and forget the others."""
        since_s, requests = time.monotonic() - REQUEST_S, self._requests
        while requests and requests[0][0] < since_s:
            requests.popleft()
        return requests

    def _end(self) -> None:
        """Send no more, and read no more of what comes; let the other side have what was sent."""
        if self.transport.is_closing():
            return
        self._ended = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._arm(LINGER_S, self.transport.abort)
        else:  # TLS says by itself that it is over
            self.transport.close()

    def _arm(self, after_s: float, then: Callable[[], None] | None = None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(after_s, then or self._time_out)

    def _time_out(self) -> None:
        self._streams.count("drop.stream_timeout")
        self.transport.abort()


class SipStreams:
    """All TCP, or all TLS, connections of one bridge: those that came in and those it made.

    `on_message` gets each whole message; `count` is told what happened by name, `on_lost` of each
    message that found no connection, and of the requests on one that ended. Over TLS none are
    made: a phone has no certificate to be known by (RFC 5922), so it is called on its own.
    """

    def __init__(
        self,
        on_message: Callable[[Received], None],
        count: Callable[[str], None],
        transport: Literal["TCP", "TLS"] = "TCP",
        *,
        on_lost: Callable[[bytes, Address], None],
    ) -> None:
        self.count = count
        self._on_lost = on_lost
        self._transport: Literal["TCP", "TLS"] = transport
        self.address: Address
        self._on_message = on_message
        self._server: asyncio.Server | TlsDoor
        self._connections: dict[Address, _Connection] = {}
        self._pending: dict[Address, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._connections_max = min(CONNECTIONS_MAX, files_max // 2)
        self._closed = False

    @classmethod
    async def open(
        cls,
        listen: Address,
        on_message: Callable[[Received], None],
        count: Callable[[str], None],
        *,
        on_lost: Callable[[bytes, Address], None],
    ) -> Self:
        """Listen on a literal address.

        Raises:
            OSError: the port is taken.
        """
        streams = cls(on_message, count, on_lost=on_lost)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(streams), listen.host, listen.port)
        streams._server = server
        streams.address = Address(*server.sockets[0].getsockname()[:2])
        return streams

    @classmethod
    def secured(
        cls,
        sock: socket.socket,
        context: ssl.SSLContext,
        on_message: Callable[[Received], None],
        count: Callable[[str], None],
        *,
        on_lost: Callable[[bytes, Address], None],
    ) -> Self:
        """Listen on a bound socket for TLS; the socket is closed with the streams."""
        streams = cls(on_message, count, "TLS", on_lost=on_lost)
        streams.address = Address(*sock.getsockname()[:2])
        streams._server = TlsDoor(
            sock, context, lambda: _Connection(streams), room=streams._room, count=count
        )
        return streams

    def _room(self, waiting: int) -> bool:
        return len(self._connections) + waiting < self._connections_max

    def close(self) -> None:
        """Close every connection at once."""
        self._closed = True
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for connection in tuple(self._connections.values()):
            connection.transport.abort()

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._connections)

    def send(self, send: Send) -> None:
        """Send on the connection to the destination; without one, open one and send on that.

        Over TLS none is opened, and what cannot be sent is counted.
        """
        connection = self._connections.get(send.destination)
        if connection is None and send.instead is not None:
            connection = self._connections.get(send.instead)
        if connection is not None and connection.usable:
            connection.write(send.data)
            return
        if self._transport == "TLS":
            self._fail(send.data, send.destination)
            return
        target = send.instead or send.destination
        if target in self._pending:
            if len(self._pending[target]) < PENDING_MAX:
                self._pending[target].append(send.data)
            else:
                self._fail(send.data, target)
            return
        self._pending[target] = [send.data]
        task = asyncio.get_running_loop().create_task(self._connect(target))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, target: Address) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(lambda: _Connection(self), *target)
        except (OSError, OverflowError):  # TimeoutError is an OSError
            for data in self._pending.pop(target, []):
                self._fail(data, target)
            return
        for data in self._pending.pop(target, []):
            connection.write(data)

    def _fail(self, data: bytes, target: Address) -> None:
        self.count("send_error")
        self._on_lost(data, target)

    # --- from connections -----------------------------------------------------------------

    def add(self, connection: _Connection) -> bool:
        """Take a new connection; false when there are too many."""
        if self._closed or len(self._connections) >= self._connections_max:
            self.count("drop.stream_too_many")
            return False
        self._connections[connection.peer] = connection
        return True

    def remove(self, connection: _Connection) -> None:
        """Forget a connection that is gone."""
        if self._connections.get(connection.peer) is connection:
            del self._connections[connection.peer]

    def lose(self, data: bytes, peer: Address) -> None:
        """Tell of a request on a connection that is gone; whoever has heard an answer knows."""
        if not self._closed:
            self._on_lost(data, peer)

    def deliver(self, data: bytes, peer: Address) -> None:
        """Hand a whole message on."""
        if not self._closed:
            self._on_message(Received(data, peer, self.address, self._transport))
