"""SIP over TCP: cutting messages out of a stream, and the shell over real loopback sockets."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from bridge.net import sip_tcp
from bridge.net.addresses import told_host
from bridge.net.sip_tcp import Framer
from bridge.net.sip_udp import SipUdp
from bridge.sip.api import (
    Accept,
    Address,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    CallProgress,
    Dial,
    EndCause,
    HangUp,
    LocalMedia,
    SipConfig,
    SipNotice,
)
from bridge.units import LegId

HOST = "127.0.0.1"
LEG = LegId("out-1")
PATIENCE_S = 10
OPTIONS = (
    b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK%d\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: c%d\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)
WITH_BODY = b"MESSAGE x SIP/2.0\r\nl : 5\r\n\r\nhello"


# --- framing ------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1_000])
def test_messages_are_cut_wherever_the_segments_end(step: int) -> None:
    stream = b"\r\n\r\n" + WITH_BODY + b"\r\n" + OPTIONS + b"\r\n\r\n" + WITH_BODY
    framer = Framer()
    messages: list[bytes] = []
    for start in range(0, len(stream), step):
        messages += framer.feed(stream[start : start + step])
    assert messages == [WITH_BODY, OPTIONS, WITH_BODY]
    assert framer.pings == 2
    assert not framer.partial


@pytest.mark.parametrize("length", [b"l:\r\n 5", b"l\r\n\t:5", b"l:\r\n \r\n\t5\r\n "])
def test_a_folded_length_is_a_length(length: bytes) -> None:
    folded = WITH_BODY.replace(b"l : 5", length)
    framer = Framer()
    assert framer.feed(folded + WITH_BODY) == [folded, WITH_BODY]
    assert framer.fault == ""


def test_a_length_within_a_folded_line_is_none() -> None:
    message = OPTIONS.replace(b"Call-ID", b"Subject: a\r\n l: 7\r\nCall-ID", 1)
    assert Framer().feed(message) == [message]


def test_a_head_is_read_once_however_its_body_comes() -> None:
    head = b"INVITE x SIP/2.0\r\nl: 3000\r\n" + b"l\r\n " * 10_000 + b"\r\nx: y\r\n\r\n"
    framer = Framer()
    before_s = time.process_time()
    assert framer.feed(head) == []
    for _ in range(2_999):
        assert framer.feed(b"x") == []
    assert framer.feed(b"x" + OPTIONS) == [head + b"x" * 3_000, OPTIONS]
    assert time.process_time() - before_s < 0.5, "it took 1.5 ms a segment"


def test_a_single_line_break_is_no_message_that_has_begun() -> None:
    framer = Framer()
    assert framer.feed(b"\r\n") == []
    assert (framer.pings, framer.partial) == (0, False)
    framer.feed(b"O")
    assert framer.partial


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (b"A x\r\n\r\n", "stream_no_length"),
        (b"A x\r\nContent-Type: application/sdp\r\n\r\n", "stream_no_length"),
        (b"A x\r\nContent-Length: many\r\n\r\n", "stream_bad_length"),
        (b"A x\r\nContent-Length: 1\r\nl: 1\r\n\r\n", "stream_bad_length"),
        (b"A x\r\nContent-Length: -1\r\n\r\n", "stream_bad_length"),
        (b"A x\r\nContent-Length: 99999999999\r\n\r\n", "stream_bad_length"),
        (b"A x\r\nContent-Length: 65537\r\n\r\n", "stream_body_too_large"),
    ],
)
def test_a_length_that_cannot_be_used_ends_the_stream_after_an_answer(
    head: bytes, fault: str
) -> None:
    framer = Framer()
    assert framer.feed(OPTIONS + head + b"rest") == [OPTIONS, head]
    assert framer.fault == fault
    assert framer.feed(OPTIONS) == []


def test_a_head_without_end_ends_the_stream() -> None:
    framer = Framer()
    (head,) = framer.feed(b"A" * (sip_tcp.HEAD_BYTES_MAX + 1))
    assert head == b"A" * sip_tcp.HEAD_BYTES_MAX + b"\r\n\r\n", "it may be answered"
    assert framer.fault == "stream_head_too_large"


def test_what_others_are_told() -> None:
    assert told_host("192.0.2.1") == "192.0.2.1"
    assert told_host("192.0.2.1", "198.51.100.7") == "198.51.100.7"
    assert told_host("0.0.0.0") not in ("", "0.0.0.0")


# --- the shell ----------------------------------------------------------------------------


class Ends:
    """A bridge that accepts every call and a phone, both with TCP."""

    def __init__(self) -> None:
        self.bridge_events: list[SipNotice] = []
        self.phone_events: list[SipNotice] = []
        self.bridge: SipUdp
        self.phone: SipUdp
        self._changed = asyncio.Event()

    async def open(self, t1_ns: int = 20_000_000) -> None:
        def make(contact: Address) -> SipConfig:
            return SipConfig(contact, t1_ns=t1_ns)

        any_port = Address(HOST, 0)
        self.bridge = await SipUdp.open(any_port, make, self.on_bridge, tcp=True)
        self.phone = await SipUdp.open(any_port, make, self.on_phone, tcp=True)

    def on_bridge(self, notice: SipNotice) -> None:
        self.bridge_events.append(notice)
        self._changed.set()
        if isinstance(notice, CallIncoming):
            self.bridge.order(Accept(notice.leg, LocalMedia(HOST, 40_000)))

    def on_phone(self, notice: SipNotice) -> None:
        self.phone_events.append(notice)
        self._changed.set()

    def dial(self, destination: Address | None = None) -> None:
        media = LocalMedia(HOST, 30_000)
        order = Dial(
            LEG, f"sip:join@{HOST}", "ann", "phones.example",
            destination or self.bridge.address, media, transport="TCP",
        )  # fmt: skip
        self.phone.order(order)

    async def until(self, kind: type, events: list[SipNotice]) -> SipNotice:
        async with asyncio.timeout(PATIENCE_S):
            while not any(isinstance(event, kind) for event in events):
                self._changed.clear()
                await self._changed.wait()
        return next(event for event in events if isinstance(event, kind))

    def close(self) -> None:
        self.bridge.close()
        self.phone.close()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    await made.open()
    yield made
    made.close()
    await asyncio.sleep(0.01)  # aborted connections are closed in the next turn of the loop


@pytest.fixture
async def stream(ends: Ends) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*ends.bridge.address)
    yield reader, writer
    writer.close()


async def test_a_call_over_tcp_uses_one_connection_both_ways(ends: Ends) -> None:
    ends.dial()
    confirmed = await ends.until(CallConfirmed, ends.bridge_events)
    await ends.until(CallAnswered, ends.phone_events)
    assert isinstance(confirmed, CallConfirmed)
    assert confirmed.proven
    ends.bridge.order(HangUp(confirmed.leg))  # back on the connection that the phone opened
    ended = await ends.until(CallEnded, ends.phone_events)
    assert isinstance(ended, CallEnded)
    assert ended.cause is EndCause.REMOTE_BYE
    streams = (ends.bridge._streams, ends.phone._streams)
    assert [len(s) for s in streams if s is not None] == [1, 1]
    assert ends.bridge.counters["in.INVITE"] == 1


async def test_a_bye_opens_a_connection_when_the_phone_closed_its_own(ends: Ends) -> None:
    ends.dial()
    confirmed = await ends.until(CallConfirmed, ends.bridge_events)
    assert isinstance(confirmed, CallConfirmed)
    streams = ends.bridge._streams
    assert streams is not None
    for connection in list(streams._connections.values()):
        connection.transport.abort()
    await asyncio.sleep(0.05)
    assert len(streams) == 0
    ends.bridge.order(HangUp(confirmed.leg))
    ended = await ends.until(CallEnded, ends.phone_events)
    assert isinstance(ended, CallEnded)
    assert ended.cause is EndCause.REMOTE_BYE


@pytest.fixture
async def patient() -> AsyncIterator[Ends]:
    """Two ends whose timer B takes its 32 s: what fails at once, fails for another reason."""
    made = Ends()
    await made.open(t1_ns=500_000_000)
    yield made
    made.close()
    await asyncio.sleep(0.01)


async def test_a_call_to_nobody_fails_at_once_and_is_counted(patient: Ends) -> None:
    patient.dial(Address(HOST, 1))
    assert await patient.until(CallEnded, patient.phone_events) == CallEnded(
        LEG, EndCause.REFUSED, 503
    )
    assert patient.phone.counters["send_error"] == 1
    assert patient.phone.counters["drop.undelivered"] == 1


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_call_on_a_connection_that_breaks_before_any_answer_fails_at_once(
    patient: Ends, how: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close() if how == "close" else writer.transport.abort()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        patient.dial(Address(*server.sockets[0].getsockname()))
        assert await patient.until(CallEnded, patient.phone_events) == CallEnded(
            LEG, EndCause.REFUSED, 503
        )


async def test_a_call_that_rings_goes_on_though_its_connection_ends(patient: Ends) -> None:
    """The answer may come on another connection (RFC 3261 §18.2.2)."""
    ringing = (
        b"SIP/2.0 180 Ringing\r\nVia: %b\r\nFrom: %b\r\nTo: <sip:join@127.0.0.1>;tag=9\r\n"
        b"Call-ID: %b\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        writer.write(ringing % (fields[b"Via"], fields[b"From"], fields[b"Call-ID"]))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        patient.dial(Address(*server.sockets[0].getsockname()))
        await patient.until(CallProgress, patient.phone_events)
        streams = patient.phone._streams
        assert streams is not None
        async with asyncio.timeout(PATIENCE_S):
            while len(streams):  # noqa: ASYNC110 - the loop itself takes the connection away
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert not any(isinstance(one, CallEnded) for one in patient.phone_events)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the other side closes."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE_S)
    except ConnectionResetError:
        return b""


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def test_a_keep_alive_gets_its_pong(stream: Stream) -> None:
    reader, writer = stream
    writer.write(b"\r\n\r\n")
    assert await asyncio.wait_for(reader.readexactly(2), PATIENCE_S) == b"\r\n"


async def test_requests_in_one_segment_are_all_answered(stream: Stream) -> None:
    reader, writer = stream
    writer.write(b"".join(OPTIONS % (n, n) for n in range(5)))
    for n in range(5):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        assert head.startswith(b"SIP/2.0 200 OK\r\n")
        assert b"z9hG4bK%d" % n in head


async def test_a_bad_length_is_answered_and_the_connection_ends(stream: Stream) -> None:
    reader, writer = stream
    writer.write((OPTIONS % (1, 1)).replace(b"Length: 0", b"Length: x"))
    heard = await asyncio.wait_for(reader.read(), PATIENCE_S)
    assert heard.startswith(b"SIP/2.0 400 ")


async def test_a_request_without_length_is_answered_400_and_no_byte_after_it_is_read(
    stream: Stream,
) -> None:
    """What follows may be its body or the next message: nobody can tell (RFC 3261 §18.3)."""
    reader, writer = stream
    bare = (OPTIONS % (1, 1)).replace(b"Content-Length: 0\r\n", b"Content-Type: text/plain\r\n")
    writer.write(OPTIONS % (7, 7) + bare + b"v=0\r\n" + OPTIONS % (2, 2))
    heard = await rest_of(reader)
    starts = [line for line in heard.split(b"\r\n") if line.startswith(b"SIP/2.0 ")]
    assert starts == [b"SIP/2.0 200 OK", b"SIP/2.0 400 Bad Request (missing content length)"]
    assert heard.count(b"CSeq: 1 OPTIONS") == 2


async def test_an_answer_is_not_lost_with_what_comes_after_the_fault(
    monkeypatch: pytest.MonkeyPatch, ends: Ends
) -> None:
    """Closed with unread bytes a connection is reset, and what was sent on it is thrown away."""
    monkeypatch.setattr(sip_tcp, "LINGER_S", 0.3)
    large = (OPTIONS % (1, 1)).replace(b"Length: 0", b"Length: 9000000") + b"x" * 3_000_000
    reader, writer = await asyncio.open_connection(*ends.bridge.address)
    writer.write(large)
    heard = await rest_of(reader)
    assert heard.startswith(b"SIP/2.0 413 Request Entity Too Large\r\n")
    streams = ends.bridge._streams
    assert streams is not None
    async with asyncio.timeout(PATIENCE_S):
        while len(streams):  # noqa: ASYNC110 - whoever goes on sending is cut off
            await asyncio.sleep(0.02)
    writer.close()


async def test_a_response_without_length_ends_the_connection_and_nothing_is_sent(
    stream: Stream,
) -> None:
    reader, writer = stream
    writer.write(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n\r\n")
    assert await rest_of(reader) == b""


async def test_a_message_that_does_not_end_in_time_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, ends: Ends
) -> None:
    monkeypatch.setattr(sip_tcp, "MESSAGE_S", 0.05)
    reader, writer = await asyncio.open_connection(*ends.bridge.address)
    writer.write(OPTIONS[:40])
    assert await rest_of(reader) == b""
    assert ends.bridge.counters["drop.stream_timeout"] == 1
    writer.close()


async def test_connections_beyond_the_limit_are_closed(
    monkeypatch: pytest.MonkeyPatch, ends: Ends
) -> None:
    assert ends.bridge._streams is not None
    monkeypatch.setattr(ends.bridge._streams, "_connections_max", 1)
    first_reader, first = await asyncio.open_connection(*ends.bridge.address)
    first.write(b"\r\n\r\n")
    await asyncio.wait_for(first_reader.readexactly(2), PATIENCE_S)
    reader, second = await asyncio.open_connection(*ends.bridge.address)
    assert await rest_of(reader) == b""
    assert ends.bridge.counters["drop.stream_too_many"] == 1
    first.close()
    second.close()


async def test_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch, ends: Ends) -> None:
    monkeypatch.setattr(sip_tcp, "WRITE_BUFFER_BYTES_MAX", 0)
    _, writer = await asyncio.open_connection(*ends.bridge.address)
    async with asyncio.timeout(PATIENCE_S):
        n = 0
        while "drop.stream_not_read" not in ends.bridge.counters:
            writer.write(b"".join(OPTIONS % (n + k, n + k) for k in range(500)))
            n += 500
            await asyncio.sleep(0.01)
    writer.transport.abort()


async def test_without_tcp_what_should_go_over_it_is_counted() -> None:
    sip = await SipUdp.open(Address(HOST, 0), SipConfig(Address("", 0)), lambda _: None)
    media = LocalMedia(HOST, 30_000)
    sip.order(Dial(LEG, "sip:a@b.example", "", "b", sip.address, media, transport="TCP"))
    assert sip.counters["send_error"] == 1
    sip.close()
