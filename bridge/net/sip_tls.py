"""TLS before SIP: the certificate, and the door where handshakes are made or given up.

Knows no SIP: a connection that has its keys is the protocol's that `sip_tcp` makes for it, and
is read and written as any stream. Phones have no certificates, so none is asked of them
(RFC 3261 §26.3.2.1); who somebody is, digest says.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from bridge.errors import InputError
from bridge.sip.api import Address

HANDSHAKE_S: Final = 10.0
"""How long a client may take to finish its handshake."""

SHUTDOWN_S: Final = 5.0
"""How long a client may take to answer our close_notify."""

ACCEPT_AGAIN_S: Final = 0.1
"""The pause after a connection could not be taken, for want of files say."""

_PEM_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
_PEM_KEY: Final = "PRIVATE KEY-----"
_MISMATCH: Final = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"})
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


class Tls(NamedTuple):
    """Where TLS is listened for, and with which certificate."""

    listen: Address
    context: ssl.SSLContext


class _Encrypted(Exception):
    """OpenSSL asks for a password."""


def _no_password() -> str:
    raise _Encrypted


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a server's context, TLS 1.2 or later, with a certificate chain and its key.

    Raises:
        InputError: a file that cannot be used, by the setting's name and what was expected.
    """
    _read_pem("sip.tls_certificate", certificate, _PEM_CERTIFICATE, "certificate")
    _read_pem("sip.tls_key", key, _PEM_KEY, "private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _Encrypted:
        wanted = "a key without a password: openssl pkey -in KEY -out PLAIN"
        raise InputError("sip.tls_key", str(key), wanted) from None
    except ssl.SSLError as fault:
        if fault.reason in _MISMATCH:
            wanted = f"the private key of the certificate in {certificate}"
            raise InputError("sip.tls_key", str(key), wanted) from None
        files = f"{certificate}, {key}"
        wanted = f"a certificate and a key that OpenSSL can use: {fault.reason or fault}"
        raise InputError("sip.tls_certificate, sip.tls_key", files, wanted) from None
    return context


def _read_pem(setting: str, path: Path, mark: str, what: str) -> str:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as fault:
        wanted = f"a readable PEM file with a {what}: {fault.strerror}"
        raise InputError(setting, str(path), wanted) from None
    if mark not in text:
        raise InputError(setting, str(path), f"a PEM file with a {what}")
    return text


def valid_until(certificate: Path) -> datetime:
    """Return when the first certificate of a PEM file expires (notAfter, RFC 5280 §4.1.2.5).

    Raises:
        InputError: there is none that can be read.
    """
    text = _read_pem("sip.tls_certificate", certificate, _PEM_CERTIFICATE, "certificate")
    start = text.index(_PEM_CERTIFICATE)
    end = "-----END CERTIFICATE-----"
    try:
        der = ssl.PEM_cert_to_DER_cert(text[start : text.index(end) + len(end)])
        return _not_after(der)
    except (ValueError, IndexError):  # of Base64, and of bytes that are no certificate
        wanted = "a PEM file with a certificate"
        raise InputError("sip.tls_certificate", str(certificate), wanted) from None


def _not_after(der: bytes) -> datetime:
    """Walk Certificate, TBSCertificate, Validity to its second time (RFC 5280 §4.1)."""
    _, certificate, _ = _element(der)
    _, fields, _ = _element(certificate)
    tag, _, rest = _element(fields)
    if tag == 0xA0:  # [0] version; then serialNumber
        _, _, rest = _element(rest)
    for _ in range(2):  # signature, issuer
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    _, _, rest = _element(validity)  # notBefore
    tag, value, _ = _element(rest)
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first element of DER, and what comes after it."""
    tag, length, at = der[0], der[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(der[2:at], "big")
    return tag, der[at : at + length], der[at + length :]


def bind(listen: Address) -> socket.socket:
    """Return a bound, non-blocking socket that is not listening yet.

    Raises:
        OSError: the port is taken or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with contextlib.ExitStack() as undo:
        # Named TCP, asyncio sets TCP_NODELAY on what is accepted.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        undo.callback(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(listen)
        undo.pop_all()
    return sock


class TlsDoor:
    """Accepts connections and makes their handshakes, each in its own time.

    A handshake costs a millisecond. They are begun one in each turn of the loop, when a client has
    spoken: of 500 that connect at once none holds up the rest of SIP.

    A handshake that fails or takes too long is counted: `drop.tls_handshake_failed` (plain text
    sent to this port is one) and `drop.tls_handshake_timeout`.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        protocol: Callable[[], asyncio.Protocol],
        *,
        room: Callable[[int], bool],
        count: Callable[[str], None],
    ) -> None:
        """Take a bound socket; `room` says if there is some beside so many open handshakes."""
        self._sock = sock
        self._context = context
        self._protocol = protocol
        self._room = room
        self._count = count
        self._handshakes: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._sock.listen()
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Accept no more and give up what is not through its handshake."""
        self._accepting.cancel()
        for handshake in self._handshakes:
            handshake.cancel()
        self._sock.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._sock)
            except OSError:
                self._count("receive_error")
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            if not self._room(len(self._handshakes)):
                self._count("drop.stream_too_many")
                sock.close()
                continue
            task = loop.create_task(self._shake_hands(sock))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await self._its_turn(sock)
                await loop.connect_accepted_socket(
                    self._protocol, sock, ssl=self._context, ssl_shutdown_timeout=SHUTDOWN_S
                )
        except TimeoutError:
            self._count("drop.tls_handshake_timeout")
        except OSError:  # ssl.SSLError is one
            self._count("drop.tls_handshake_failed")

    async def _its_turn(self, sock: socket.socket) -> None:
        """Wait until a client has sent something and no other begins in this turn of the loop."""
        loop = asyncio.get_running_loop()
        spoken = asyncio.Event()
        with contextlib.ExitStack() as undo:
            undo.callback(sock.close)
            loop.add_reader(sock, spoken.set)
            try:
                await spoken.wait()
            finally:
                loop.remove_reader(sock)
            async with self._turn:
                await asyncio.sleep(0)
            undo.pop_all()
