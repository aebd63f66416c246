"""SIP over one UDP socket: carries bytes, time and orders to the core, and its effects back.

Decides nothing and reads no message but for its counters. One socket, one timer; every packet
that is waiting is read in batches, so that a burst costs one turn of the loop, not one each.
TCP, when it is on, is `sip_tcp` on the same port, before the same core; TLS is on one of its own.
"""

import asyncio
import contextlib
import errno
import secrets
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Self

from bridge.errors import OperatingTrouble
from bridge.net import sip_tls
from bridge.net.addresses import ANY_HOST, told_host
from bridge.net.batch import stamp
from bridge.net.sip_tcp import SipStreams
from bridge.net.udp_errors import ask_for_errors, waiting_errors
from bridge.sip.api import (
    Address,
    Binding,
    Dropped,
    Received,
    Send,
    SipConfig,
    SipEffects,
    SipEvent,
    SipNotice,
    Undelivered,
    Wake,
)
from bridge.sip.core import SipCore
from bridge.sip.limits import ALLOWED
from bridge.sip.shed import is_ack_of_refusal
from bridge.units import NS_PER_MS, NS_PER_S, NowNs

RECEIVE_BUFFER_BYTES: Final = 4 * 1_024 * 1_024
SO_RCVBUFFORCE: Final = 33
"""Of Linux; the socket module does not know it."""

DATAGRAM_BYTES_MAX: Final = 65_535
READ_BATCH_MAX: Final = 64
"""Packets read in one turn of the loop, so that nothing else waits for long."""

BEHIND_NS: Final = 100 * NS_PER_MS
LATE_MAX: Final = 100
LATE_FOR_NS: Final = NS_PER_S
"""When for `LATE_FOR_NS` every datagram, and more than `LATE_MAX`, has waited `BEHIND_NS` in the
socket, more come than can be carried: new calls are refused until one has waited less. What is less
than that is a hiccup, and made up for."""

SEND_TRIES: Final = 3
"""A datagram is not sent when an error of another one waits in the socket."""

NO_WAY: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL}
)
"""Why a datagram cannot be sent however often one tries; after all others the next one may be."""

_STAMP: Final = struct.Struct("qq")
NOTES_BYTES: Final = socket.CMSG_SPACE(_STAMP.size)

TOKEN_BYTES: Final = 8
_METHODS: Final = {
    name.encode(): name
    for name in (*ALLOWED, "REGISTER", "REFER", "SUBSCRIBE", "NOTIFY", "MESSAGE")
}

CoreConfig = SipConfig | Callable[[Address], SipConfig]
"""The configuration of the core, or what makes it once the bound address is known."""

Tap = Callable[[bytes, Address, bool], None]
"""Told of every message as it is on the wire: its bytes, the other side, whether it was sent."""


def fresh_token() -> str:
    """Return an unguessable alphanumeric token."""
    return secrets.token_hex(TOKEN_BYTES)


def configured(
    core_config: CoreConfig, bound: Address, tls_bound: Address | None = None, *, tcp: bool = False
) -> SipConfig:
    """Return the core's configuration; a contact without host or port gets the bound one."""
    bound = Address(told_host(bound.host), bound.port)
    config = core_config if isinstance(core_config, SipConfig) else core_config(bound)
    host, port = config.contact
    contact = Address(bound.host if host in ANY_HOST else host, port or bound.port)
    if tls_bound is None:
        return replace(config, contact=contact, tcp=tcp)
    host, port = config.tls_contact or Address("", 0)
    tls_contact = Address(host or told_host(tls_bound.host), port or tls_bound.port)
    return replace(config, contact=contact, tls_contact=tls_contact, tcp=tcp)


class SipUdp:
    """The asyncio shell of one `SipCore`.

    `on_event` gets every notice of the core, in order, after the messages of the same step were
    sent. It may call `order`; what follows from that is delivered after what is still waiting.

    Attributes:
        address: what the socket is bound to.
        config: what the core runs on, its contact filled in.
        counters: `in.INVITE`, `in.200`, `out.BYE`, `out.180`, `drop.<reason>`, `send_error`, ...
    """

    def __init__(
        self,
        sock: socket.socket,
        config: SipConfig,
        on_event: Callable[[SipNotice], None],
        *,
        ids: Callable[[], str],
        now_ns: Callable[[], int],
        tap: Tap | None = None,
    ) -> None:
        """Take a bound, non-blocking socket; `open` is the usual way."""
        self.address = Address(*sock.getsockname()[:2])
        self.config = config
        self.counters: dict[str, int] = {}
        self._socket = sock
        self._core = SipCore(config, ids)
        self._on_event = on_event
        self._tap = tap
        self._now_ns = now_ns
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._notices: deque[SipNotice] = deque()
        self._delivering = False
        self._late = self._late_since_ns = 0
        self._closed = False
        # One buffer for all: a fresh one of this size could take longer than reading a datagram.
        self._buffer = memoryview(bytearray(DATAGRAM_BYTES_MAX))
        self._buffers = (self._buffer,)
        self._streams: SipStreams | None = None
        self._tls: SipStreams | None = None
        self._loop.add_reader(sock, self._read)

    @classmethod
    async def open(
        cls,
        listen: Address,
        core_config: CoreConfig,
        on_event: Callable[[SipNotice], None],
        *,
        ids: Callable[[], str] = fresh_token,
        now_ns: Callable[[], int] = time.monotonic_ns,
        tcp: bool = False,
        tls: sip_tls.Tls | None = None,
        tap: Tap | None = None,
    ) -> Self:
        """Bind `listen`, a literal IPv4 or IPv6 address (port 0: any), and start to serve.

        With `tcp` the same port is served over TCP too, with `tls` another one over TLS.

        Raises:
            OSError: the port is taken or the address is not this machine's.
            OperatingTrouble: the same of the port of TLS.
        """
        with contextlib.ExitStack() as undo:
            sock = bind_udp(listen)
            undo.callback(sock.close)
            secure = None if tls is None else _bind_tls(tls.listen)
            tls_bound = None
            if secure is not None:
                undo.callback(secure.close)
                tls_bound = Address(*secure.getsockname()[:2])
            config = configured(core_config, Address(*sock.getsockname()[:2]), tls_bound, tcp=tcp)
            shell = cls(sock, config, on_event, ids=ids, now_ns=now_ns, tap=tap)
            undo.callback(shell.close)
            if tcp:
                shell._streams = await SipStreams.open(
                    shell.address, shell._take, shell._count, on_lost=shell._tell_lost
                )
            if tls is not None and secure is not None:
                shell._tls = SipStreams.secured(
                    secure, tls.context, shell._take, shell._count, on_lost=shell._tell_lost
                )
            undo.pop_all()
        return shell

    def order(self, event: SipEvent) -> None:
        """Give the core an order and carry out what follows. Without effect once closed."""
        if not self._closed:
            self._carry_out(self._core.step(event, NowNs(self._now_ns())))

    def close(self) -> None:
        """Stop at once; calls that are up are not ended, so hang up first."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for streams in (self._streams, self._tls):
            if streams is not None:
                streams.close()
        if self._timer is not None:
            self._timer.cancel()

    def bindings(self, user: str) -> tuple[Binding, ...]:
        """Return where a registered user can be called, the phone heard of last first."""
        return self._core.bindings(user, NowNs(self._now_ns()))

    @property
    def sizes(self) -> dict[str, int]:
        """How much the core remembers, by table."""
        return self._core.sizes

    # --- in -------------------------------------------------------------------------------

    def _read(self) -> None:
        reading = False
        for _ in range(READ_BATCH_MAX):
            if self._closed:
                return
            try:
                size, notes, _, source = self._socket.recvmsg_into(self._buffers, NOTES_BYTES)
            except (BlockingIOError, InterruptedError):
                if not reading:  # the loop was woken for an error
                    self._read_errors()
                return
            except OSError:
                if self._read_errors():
                    continue
                self._count("receive_error")
                return
            reading = True
            data = bytes(self._buffer[:size])
            message = Received(data, Address(source[0], source[1]), self.address)
            if not (self._overloaded(_age_ns(notes)) and self._shed(message)):
                self._take(message)

    def _read_errors(self) -> int:
        """Tell of datagrams that are known to be lost; return how many errors there were."""
        count, lost = waiting_errors(self._socket)
        for data, destination in lost:
            self._tell_lost(data, destination)
        return count

    def _tell_lost(self, data: bytes, destination: Address) -> None:
        """Tell the core, in a later turn, that a message did not arrive (RFC 3261 §18.4)."""
        self._loop.call_soon(self.order, Undelivered(data, destination))

    def _overloaded(self, age_ns: int) -> bool:
        """Take how long a datagram has waited; return whether that was too long for too long."""
        if age_ns <= BEHIND_NS:
            self._late = 0
            return False
        if not self._late:
            self._late_since_ns = self._now_ns()
        self._late += 1
        return self._late > LATE_MAX and self._now_ns() - self._late_since_ns >= LATE_FOR_NS

    def _shed(self, message: Received) -> bool:
        """Refuse a new call that has waited too long already; true when that was done.

        Whoever is behind and takes what comes gets slower for everybody, until all calls fail.
        """
        if is_ack_of_refusal(message.data):
            self._count("in.ACK")
            return True
        refusal = self._core.shed(message)
        if refusal is None:
            return False
        self._count("in.INVITE")
        self._count("drop.overload")
        with contextlib.suppress(OSError, OverflowError):
            self._send_datagram(refusal.data, refusal.destination)
            self._count("out.503")
        return True

    def _take(self, message: Received) -> None:
        self._count(f"in.{_kind(message.data)}")
        if self._tap is not None:
            self._tap(message.data, message.source, False)
        self.order(message)

    def _wake(self) -> None:
        self._timer = None
        self.order(Wake())

    # --- out ------------------------------------------------------------------------------

    def _carry_out(self, effects: SipEffects) -> None:
        for send in effects.sends:
            self.send(send)
        self._set_timer(effects.deadline_ns)
        self._notices.extend(effects.events)
        if not self._delivering:
            self._deliver()

    def send(self, send: Send) -> None:
        """Write one message; beside what the core sends, for those who test its other side."""
        if self._tap is not None:
            self._tap(send.data, send.destination, True)
        if send.transport != "UDP":
            self._send_stream(send)
            return
        try:
            self._send_datagram(send.data, send.destination)
        except (OSError, OverflowError) as fault:
            # Lost like any other datagram, and SIP repeats what matters, unless there is no way.
            self._count("send_error")
            if getattr(fault, "errno", errno.EINVAL) in NO_WAY:
                self._tell_lost(send.data, send.destination)
        else:
            self._count(f"out.{_kind(send.data)}")

    def _send_datagram(self, data: bytes, destination: Address) -> None:
        """Write one datagram; an error of another one that is in the way is taken out of it."""
        for tries_left in reversed(range(SEND_TRIES)):
            try:
                self._socket.sendto(data, destination)
            except OSError:
                if not (tries_left and self._read_errors()):
                    raise
            else:
                return

    def _send_stream(self, send: Send) -> None:
        streams = self._tls if send.transport == "TLS" else self._streams
        if streams is None:
            self._count("send_error")
            return
        self._count(f"out.{_kind(send.data)}")
        streams.send(send)

    def _set_timer(self, deadline_ns: NowNs | None) -> None:
        if deadline_ns is None or (self._timer is not None and self._timer_ns <= deadline_ns):
            return  # an early wake-up finds nothing due and sets the timer anew
        if self._timer is not None:
            self._timer.cancel()
        delay_s = max(deadline_ns - self._now_ns(), 0) / NS_PER_S
        self._timer_ns = deadline_ns
        self._timer = self._loop.call_later(delay_s, self._wake)

    def _deliver(self) -> None:
        self._delivering = True
        try:
            while self._notices:
                notice = self._notices.popleft()
                if isinstance(notice, Dropped):
                    self._count(f"drop.{notice.reason}")
                self._on_event(notice)
        finally:
            self._delivering = False

    def _count(self, key: str) -> None:
        self.counters[key] = self.counters.get(key, 0) + 1


def bind_udp(listen: Address) -> socket.socket:
    """Return a bound, non-blocking UDP socket with a large receive buffer."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with contextlib.ExitStack() as undo:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        undo.callback(sock.close)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        with contextlib.suppress(OSError):  # over the system's limit, where we may
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        sock.setblocking(False)
        stamp(sock)
        ask_for_errors(sock)
        sock.bind(listen)
        undo.pop_all()
    return sock


def _bind_tls(listen: Address) -> socket.socket:
    try:
        return sip_tls.bind(listen)
    except OSError as fault:
        host, port = listen
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise OperatingTrouble(f"sip.tls {place}: {fault.strerror or fault}") from fault


def _age_ns(notes: list[tuple[int, int, bytes]]) -> int:
    """Return how long ago the kernel took a datagram, 0 when it does not say."""
    for _, _, note in notes:  # one at most
        if len(note) == _STAMP.size:
            seconds, nanos = _STAMP.unpack(note)
            return time.time_ns() - int(seconds) * NS_PER_S - int(nanos)
    return 0


def _kind(data: bytes) -> str:
    """Return the method or status of a message, "other" for what is neither."""
    word, _, rest = data[:20].partition(b" ")
    if word == b"SIP/2.0":
        status = rest[:3]
        return status.decode() if status.isdigit() and len(status) == 3 else "other"
    return _METHODS.get(word, "other")
