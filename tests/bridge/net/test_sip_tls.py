"""SIP over TLS: certificates that can be used and those that cannot, and the shell on loopback."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.errors import InputError, OperatingTrouble
from bridge.net import sip_tcp, sip_tls
from bridge.net.sip_tls import Tls, server_context, valid_until
from bridge.net.sip_udp import SipUdp
from bridge.sip.api import (
    Accept,
    Address,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    Dial,
    EndCause,
    HangUp,
    LocalMedia,
    SipConfig,
    SipNotice,
)
from bridge.units import LegId
from tests.bridge.net.test_sip_tcp import HOST, OPTIONS, PATIENCE_S, rest_of
from tests.certificates import SelfSigned, self_signed

TLS_OPTIONS = OPTIONS.replace(b"/TCP", b"/TLS")
SDP = (
    f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
    "m=audio 30000 RTP/AVP 0\r\n"
)
POLLS_MAX = 2_000
RESET = struct.pack("ii", 1, 0)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SelfSigned:
    return self_signed(tmp_path_factory.mktemp("tls"))


# --- files --------------------------------------------------------------------------------


def test_a_certificate_says_until_when_it_is_valid(made: SelfSigned) -> None:
    left = valid_until(made.certificate) - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_a_context_takes_nothing_older_than_tls_1_2(made: SelfSigned) -> None:
    assert server_context(*made).minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_file_that_is_missing_is_named(made: SelfSigned, tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    wanted = f"sip.tls_certificate: '{absent}': expected a readable PEM file with a certificate"
    with pytest.raises(InputError, match=re.escape(wanted)):
        server_context(absent, made.key)
    with pytest.raises(InputError, match=r"sip\.tls_key: .*: No such file"):
        server_context(made.certificate, absent)


def test_files_that_are_exchanged_are_named(made: SelfSigned) -> None:
    with pytest.raises(InputError, match=r"sip\.tls_certificate: .*a PEM file with a certificate"):
        server_context(made.key, made.key)
    with pytest.raises(InputError, match=r"sip\.tls_key: .*a PEM file with a private key"):
        server_context(made.certificate, made.certificate)


def test_the_key_of_another_certificate_is_refused(made: SelfSigned, tmp_path: Path) -> None:
    other = self_signed(tmp_path, "other")
    with pytest.raises(InputError, match=r"sip\.tls_key: .*the private key of the certificate in"):
        server_context(made.certificate, other.key)


def test_an_encrypted_key_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sip\.tls_key: .*a key without a password"):
        server_context(*self_signed(tmp_path, password="secret"))


@pytest.mark.parametrize("inside", ["", "AAAA", "MAA=", "!", "MIIB"])
def test_a_certificate_that_is_none_is_refused(
    made: SelfSigned, tmp_path: Path, inside: str
) -> None:
    path = tmp_path / "bad.crt"
    path.write_text(f"-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n")
    with pytest.raises(InputError, match="that OpenSSL can use"):
        server_context(path, made.key)
    with pytest.raises(InputError, match="a PEM file with a certificate"):
        valid_until(path)


# --- the shell ----------------------------------------------------------------------------


class Bridge:
    """A bridge that accepts every call over TLS, and what clients need to reach it."""

    def __init__(self, made: SelfSigned) -> None:
        self.made = made
        self.events: list[SipNotice] = []
        self.sip: SipUdp
        self._changed = asyncio.Event()

    async def open(self) -> None:
        tls = Tls(Address(HOST, 0), server_context(*self.made))
        config = SipConfig(Address("", 0), t1_ns=20_000_000)
        self.sip = await SipUdp.open(Address(HOST, 0), config, self.take, tls=tls)

    @property
    def address(self) -> Address:
        assert self.sip.config.tls_contact
        return self.sip.config.tls_contact

    def take(self, notice: SipNotice) -> None:
        self.events.append(notice)
        self._changed.set()
        if isinstance(notice, CallIncoming):
            self.sip.order(Accept(notice.leg, LocalMedia(HOST, 40_000)))

    async def until(self, kind: type) -> SipNotice:
        async with asyncio.timeout(PATIENCE_S):
            while not any(isinstance(event, kind) for event in self.events):
                self._changed.clear()
                await self._changed.wait()
        return next(event for event in self.events if isinstance(event, kind))

    async def counted(self, key: str) -> int:
        """Return a counter as soon as it is not 0."""
        for _ in range(POLLS_MAX):
            if key in self.sip.counters:
                break
            await asyncio.sleep(0.005)
        return self.sip.counters[key]

    async def client(self, **limits: ssl.TLSVersion) -> Stream:
        """Connect as a phone that trusts the certificate and checks the address in it."""
        context = ssl.create_default_context(cafile=str(self.made.certificate))
        for name, version in limits.items():
            setattr(context, name, version)
        return await asyncio.open_connection(*self.address, ssl=context)


@pytest.fixture
async def bridge(made: SelfSigned) -> AsyncIterator[Bridge]:
    bridge = Bridge(made)
    await bridge.open()
    yield bridge
    bridge.sip.close()
    await asyncio.sleep(0.02)  # aborted connections are closed in the next turns of the loop


@pytest.fixture
async def stream(bridge: Bridge) -> AsyncIterator[Stream]:
    reader, writer = await bridge.client()
    yield reader, writer
    writer.transport.abort()


async def message(reader: asyncio.StreamReader) -> str:
    """Return the next whole message."""
    async with asyncio.timeout(PATIENCE_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = re.search(r"\r\nContent-Length: (\d+)\r\n", head)
        assert found
        return head + (await reader.readexactly(int(found[1]))).decode()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_request_in_any_pieces_is_answered_on_its_connection(
    bridge: Bridge, version: ssl.TLSVersion
) -> None:
    reader, writer = await bridge.client(minimum_version=version, maximum_version=version)
    for step in (1, 7, 1_000):
        text = TLS_OPTIONS % (step, step)
        for start in range(0, len(text), step):
            writer.write(text[start : start + step])  # a TLS record each
            await writer.drain()
        answer = await message(reader)
        assert answer.startswith("SIP/2.0 200 OK\r\n")
        assert f"Via: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK{step}\r\n" in answer
    writer.write(b"\r\n\r\n")
    assert await asyncio.wait_for(reader.readexactly(2), PATIENCE_S) == b"\r\n"
    writer.transport.abort()


async def test_a_whole_call_is_ended_by_either_side_on_the_callers_connection(
    bridge: Bridge, stream: Stream
) -> None:
    reader, writer = stream
    head = (
        f"From: <sip:ann@{HOST}>;tag=a\r\nContact: <sips:ann@{HOST}:1>\r\nMax-Forwards: 70\r\n"
        "Call-ID: c\r\n"
    )

    def request(method: str, tag: str = "") -> bytes:
        body = SDP if method == "INVITE" else ""
        return (
            f"{method} sips:join@{HOST} SIP/2.0\r\n"
            f"Via: SIP/2.0/TLS {HOST}:1;branch=z9hG4bK{method}\r\n{head}"
            f"To: <sips:join@{HOST}>{tag}\r\nCSeq: 1 {method}\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    writer.write(request("INVITE"))
    while not (ok := await message(reader)).startswith("SIP/2.0 200 "):
        pass
    tag = re.search(r"\r\nTo: .*(;tag=\S+)\r\n", ok)
    assert tag
    assert f"Contact: <sips:bridge@{HOST}:{bridge.address.port}>\r\n" in ok
    writer.write(request("ACK", tag[1]))
    confirmed = await bridge.until(CallConfirmed)
    assert isinstance(confirmed, CallConfirmed)
    assert confirmed.proven
    bridge.sip.order(HangUp(confirmed.leg))
    assert (await message(reader)).startswith(f"BYE sips:ann@{HOST}:1 SIP/2.0\r\n")


async def test_a_phone_that_is_gone_is_not_looked_for(bridge: Bridge) -> None:
    media = LocalMedia(HOST, 30_000)
    place = Address(HOST, 1)
    bridge.sip.order(
        Dial(LegId("l"), f"sips:a@{HOST}", "", HOST, place, media, transport="TLS"),
    )
    ended = await bridge.until(CallEnded)
    assert isinstance(ended, CallEnded)
    assert (ended.cause, ended.status) == (EndCause.REFUSED, 503)
    assert bridge.sip.counters["send_error"] == 1


async def test_a_phone_is_called_on_the_connection_that_it_made(
    bridge: Bridge, stream: Stream
) -> None:
    reader, writer = stream
    writer.write(TLS_OPTIONS % (1, 1))
    await message(reader)
    place = Address(*writer.get_extra_info("sockname")[:2])
    media = LocalMedia(HOST, 30_000)
    target = f"sip:a@{HOST};transport=tls"
    bridge.sip.order(Dial(LegId("l"), target, "", HOST, place, media, transport="TLS"))
    call = await message(reader)
    assert call.startswith(f"INVITE {target} SIP/2.0\r\n")
    kept = re.findall(r"((?:Via|From|To|Call-ID|CSeq): .*\r\n)", call)
    answer = "".join(line.replace(f"{target}>", f"{target}>;tag=b") for line in kept)
    length = f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n"
    writer.write(f"SIP/2.0 200 OK\r\n{answer}Contact: <{target}>\r\n{length}{SDP}".encode())
    await bridge.until(CallAnswered)
    assert (await message(reader)).startswith(f"ACK {target} SIP/2.0\r\n")


# --- handshakes ---------------------------------------------------------------------------


async def answers_others(bridge: Bridge) -> None:
    """Prove that somebody else is served."""
    reader, writer = await bridge.client()
    writer.write(TLS_OPTIONS % (9, 9))
    assert (await message(reader)).startswith("SIP/2.0 200 OK\r\n")
    writer.transport.abort()


@pytest.mark.parametrize("data", [OPTIONS % (1, 1), b"GET / HTTP/1.1\r\n\r\n", b"\0" * 70_000])
async def test_plain_text_is_counted_as_a_failed_handshake(bridge: Bridge, data: bytes) -> None:
    reader, writer = await asyncio.open_connection(*bridge.address)
    writer.write(data)
    heard = await rest_of(reader)  # an alert of TLS, or nothing
    assert b"SIP/2.0" not in heard
    assert await bridge.counted("drop.tls_handshake_failed") == 1
    await answers_others(bridge)
    writer.close()


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_handshake_that_is_not_finished_in_time_is_counted_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, bridge: Bridge, data: bytes
) -> None:
    _, first = await asyncio.open_connection(*bridge.address)
    first.write(data)
    await answers_others(bridge)
    assert "drop.tls_handshake_timeout" not in bridge.sip.counters
    monkeypatch.setattr(sip_tls, "HANDSHAKE_S", 0.2)  # of those that begin from now on
    reader, writer = await asyncio.open_connection(*bridge.address)
    writer.write(data)
    assert await rest_of(reader) == b""
    assert await bridge.counted("drop.tls_handshake_timeout") == 1
    first.close()
    writer.close()


@pytest.mark.parametrize("reset", [False, True])
async def test_who_leaves_during_the_handshake_is_counted(bridge: Bridge, reset: bool) -> None:
    with socket.create_connection(bridge.address) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01")
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert await bridge.counted("drop.tls_handshake_failed") == 1
    assert bridge.sip._tls is not None
    assert len(bridge.sip._tls) == 0


async def test_handshakes_that_come_at_once_are_begun_in_turns(bridge: Bridge) -> None:
    clients = [socket.create_connection(bridge.address) for _ in range(30)]
    for client in clients:
        client.sendall(b"no handshake")
    steps, failed, turns = [], 0, 0
    while failed < len(clients):
        await asyncio.sleep(0)  # a turn of the loop
        now = bridge.sip.counters.get("drop.tls_handshake_failed", 0)
        steps.append(now - failed)
        failed, turns = now, turns + 1
        assert turns < 1_000_000
    assert max(steps) <= 2
    for client in clients:
        client.close()


async def test_a_client_of_tls_1_1_is_refused(
    bridge: Bridge, recwarn: pytest.WarningsRecorder
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert {warning.category for warning in recwarn} == {DeprecationWarning}
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection(*bridge.address, ssl=context)
    assert await bridge.counted("drop.tls_handshake_failed") == 1


async def test_open_handshakes_count_as_connections(
    monkeypatch: pytest.MonkeyPatch, bridge: Bridge
) -> None:
    monkeypatch.setattr(bridge.sip._tls, "_connections_max", 1)
    _, first = await asyncio.open_connection(*bridge.address)
    reader, second = await asyncio.open_connection(*bridge.address)
    assert await rest_of(reader) == b""
    assert bridge.sip.counters["drop.stream_too_many"] == 1
    first.close()
    second.close()


async def test_a_silent_connection_is_closed_as_over_tcp(
    monkeypatch: pytest.MonkeyPatch, bridge: Bridge
) -> None:
    monkeypatch.setattr(sip_tcp, "MESSAGE_S", 0.05)
    reader, writer = await bridge.client()
    assert await rest_of(reader) == b""
    assert bridge.sip.counters["drop.stream_timeout"] == 1
    writer.transport.abort()


async def test_a_port_that_is_taken_is_named_with_its_setting(made: SelfSigned) -> None:
    with socket.create_server((HOST, 0)) as taken:
        listen = Address(*taken.getsockname())
        tls = Tls(listen, server_context(*made))
        config = SipConfig(Address("", 0))
        with pytest.raises(OperatingTrouble, match=f"sip.tls {HOST}:{listen.port}: .*in use"):
            await SipUdp.open(Address(HOST, 0), config, lambda _: None, tls=tls)
