"""The UDP shell over real loopback sockets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable

import pytest

from bridge.net import addresses, sip_udp
from bridge.net.addresses import routed_host
from bridge.net.sip_udp import (
    BEHIND_NS,
    LATE_MAX,
    SipUdp,
    bind_udp,
    configured,
    fresh_token,
)
from bridge.sip.api import (
    Accept,
    Address,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    Dial,
    Dropped,
    EndCause,
    HangUp,
    LocalMedia,
    Ring,
    SipConfig,
    SipNotice,
)
from bridge.units import NS_PER_S, LegId
from tests.bridge.sip.bench import request

LEG = LegId("out-1")
PATIENCE_S = 10
HOSTS = ["127.0.0.1", "::1"]


class Ends:
    """A bridge that accepts every call and a phone, on two sockets."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.bridge_events: list[SipNotice] = []
        self.phone_events: list[SipNotice] = []
        self.bridge: SipUdp
        self.phone: SipUdp
        self._changed = asyncio.Event()

    async def open(self, **config: int) -> None:
        def make(contact: Address) -> SipConfig:
            return SipConfig(contact, **config)  # type: ignore[arg-type]  # integers only

        any_port = Address(self.host, 0)
        self.bridge = await SipUdp.open(any_port, make, self.on_bridge)
        self.phone = await SipUdp.open(any_port, make, self.on_phone)

    def on_bridge(self, notice: SipNotice) -> None:
        self.bridge_events.append(notice)
        self._changed.set()
        if isinstance(notice, CallIncoming):
            self.bridge.order(Ring(notice.leg))
            self.bridge.order(Accept(notice.leg, LocalMedia(self.host, 40_000)))

    def on_phone(self, notice: SipNotice) -> None:
        self.phone_events.append(notice)
        self._changed.set()

    def dial(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        media = LocalMedia(self.host, 30_000)
        target = f"sip:join@{host}"
        self.phone.order(Dial(LEG, target, "ann", "phones.example", self.bridge.address, media))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def close(self) -> None:
        self.bridge.close()
        self.phone.close()


@pytest.fixture(params=HOSTS)
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    made = Ends(request.param)
    await made.open()
    yield made
    made.close()


def kinds(events: list[SipNotice]) -> list[type]:
    return [type(event) for event in events]


async def test_a_call_over_real_sockets(ends: Ends) -> None:
    ends.dial()
    await ends.until(lambda: CallConfirmed in kinds(ends.bridge_events))
    ends.phone.order(HangUp(LEG))
    await ends.until(lambda: CallEnded in kinds(ends.bridge_events))
    incoming, confirmed, ended = ends.bridge_events
    assert isinstance(incoming, CallIncoming)
    assert incoming.source == ends.phone.address
    assert isinstance(confirmed, CallConfirmed)
    assert confirmed.proven
    assert isinstance(ended, CallEnded)
    assert ended.cause is EndCause.REMOTE_BYE
    assert CallAnswered in kinds(ends.phone_events)
    assert ends.bridge.counters == {
        "in.INVITE": 1,
        "out.100": 1,
        "out.180": 1,
        "out.200": 2,
        "in.ACK": 1,
        "in.BYE": 1,
    }
    assert ends.bridge.sizes["legs"] == 0
    assert ends.bridge.config.contact == ends.bridge.address


async def test_timers_run_on_the_loop() -> None:
    ends = Ends("127.0.0.1")
    await ends.open(t1_ns=2_000_000)
    deaf = bind_udp(Address("127.0.0.1", 0))
    media = LocalMedia("127.0.0.1", 30_000)
    nobody = Address(*deaf.getsockname())
    ends.phone.order(Dial(LEG, "sip:x@127.0.0.1", "ann", "phones.example", nobody, media))
    await ends.until(lambda: CallEnded in kinds(ends.phone_events))
    assert ends.phone_events == [CallEnded(LEG, EndCause.NO_ANSWER, 408)]
    assert ends.phone.counters["out.INVITE"] >= 4  # 7 on an idle machine
    deaf.close()
    ends.close()


async def test_bad_packets_are_counted_by_reason_and_the_socket_lives_on(ends: Ends) -> None:
    family = socket.AF_INET6 if ":" in ends.host else socket.AF_INET
    junk = [
        b"",
        b"\r\n\r\n",
        b"\0" * 100,
        b"x" * 9_000,
        b"SIP/2.0 999\r\n\r\n",
        request("OPTIONS", via="SIP/2.0/UDP nowhere.invalid:99999;branch=z9hG4bK1").encode(),
        request("OPTIONS", headers="X: " + "y" * 60_000).encode(),
        request("SUBSCRIBE").encode(),
    ]
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for data in junk:
            sender.sendto(data, ends.bridge.address)
    await ends.until(lambda: len(ends.bridge_events) == len(junk))
    reasons = {event.reason for event in ends.bridge_events if isinstance(event, Dropped)}
    assert reasons == {
        "empty",
        "keepalive",
        "no_end_of_headers",
        "malformed_status",
        "via_port_out_of_range",
        "headers_too_large",
        "method_not_allowed",
    }
    assert {ends.bridge.counters[f"drop.{reason}"] for reason in reasons} == {1, 2}
    assert ends.bridge.counters["in.other"] == 4
    ends.dial()
    await ends.until(lambda: CallConfirmed in kinds(ends.bridge_events))


async def test_a_send_that_the_system_refuses_is_counted(ends: Ends) -> None:
    media = LocalMedia(ends.host, 30_000)
    for number, port in enumerate((70_000, -1)):
        bad = Address(ends.host, port)
        leg = LegId(f"bad-{number}")
        ends.phone.order(Dial(leg, "sip:x@192.0.2.1", "ann", "phones.example", bad, media))
    assert ends.phone.counters == {"send_error": 2}


async def test_notices_keep_their_order_when_one_causes_an_order() -> None:
    seen: list[str] = []
    ended = asyncio.Event()
    shell: SipUdp

    def on_event(notice: SipNotice) -> None:
        seen.append(type(notice).__name__)
        if isinstance(notice, CallEnded):
            ended.set()
        if isinstance(notice, CallIncoming):
            shell.order(HangUp(notice.leg))
            assert seen == ["CallIncoming"]

    shell = await SipUdp.open(Address("127.0.0.1", 0), SipConfig(Address("", 0)), on_event)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(request("INVITE").encode(), shell.address)
        await asyncio.wait_for(ended.wait(), PATIENCE_S)
    assert seen == ["CallIncoming", "CallEnded"]
    shell.close()


async def test_an_error_of_the_server_does_not_stop_later_notices() -> None:
    seen: list[SipNotice] = []

    def on_event(notice: SipNotice) -> None:
        seen.append(notice)
        if len(seen) == 1:
            raise RuntimeError("server")

    shell = await SipUdp.open(Address("127.0.0.1", 0), SipConfig(Address("", 0)), on_event)
    with pytest.raises(RuntimeError, match="server"):
        shell.order(HangUp(LEG))
    shell.order(HangUp(LEG))
    assert seen == [Dropped("order_for_ended_leg")] * 2
    shell.close()


async def test_a_closed_shell_takes_no_orders_and_closes_twice() -> None:
    seen: list[SipNotice] = []
    shell = await SipUdp.open(Address("127.0.0.1", 0), SipConfig(Address("", 0)), seen.append)
    media = LocalMedia("127.0.0.1", 30_000)
    shell.order(Dial(LEG, "sip:x@127.0.0.1", "ann", "phones.example", shell.address, media))
    shell.close()
    shell.close()
    shell.order(HangUp(LEG))
    shell._read()
    assert seen == []


async def test_an_address_that_cannot_be_bound_is_an_os_error() -> None:
    taken = bind_udp(Address("127.0.0.1", 0))
    with pytest.raises(OSError, match="in use"):
        await SipUdp.open(Address(*taken.getsockname()), SipConfig(Address("", 0)), print)
    taken.close()


async def test_a_configuration_that_cannot_be_made_leaves_no_socket() -> None:
    def fails(_contact: Address) -> SipConfig:
        raise ValueError("no configuration")

    with pytest.raises(ValueError, match="no configuration"):
        await SipUdp.open(Address("127.0.0.1", 0), fails, print)


def test_the_contact_is_filled_in_where_it_is_open() -> None:
    bound = Address("127.0.0.1", 5_070)

    def contact(host: str, port: int) -> Address:
        return configured(SipConfig(Address(host, port)), bound).contact

    assert contact("", 0) == bound
    assert contact("203.0.113.5", 0) == Address("203.0.113.5", 5_070)
    assert contact("203.0.113.5", 5_060) == Address("203.0.113.5", 5_060)
    made = configured(lambda address: SipConfig(address), Address("0.0.0.0", 5_070)).contact
    assert made.port == 5_070
    assert made.host not in ("", "0.0.0.0")


def test_the_routed_host_falls_back_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAR_AWAY", "FAR_AWAY_6"):
        monkeypatch.setattr(addresses, name, ("256.0.0.0", 9))
    assert routed_host("0.0.0.0") == "127.0.0.1"
    assert routed_host("::") == "::1"


def test_tokens_are_alphanumeric_and_differ() -> None:
    made = {fresh_token() for _ in range(100)}
    assert len(made) == 100
    assert all(token.isalnum() for token in made)


def test_the_receive_buffer_is_large() -> None:
    with bind_udp(Address("127.0.0.1", 0)) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 212_992


async def test_a_receive_error_is_counted_and_survived(ends: Ends) -> None:
    class Broken:
        family = socket.AF_INET

        def recvmsg(self, *_: object) -> object:
            raise BlockingIOError("no error waits")

        def recvmsg_into(self, _buffers: object, _notes: int) -> tuple[int, tuple[str, int]]:
            raise OSError("broken")

    real = ends.bridge._socket
    ends.bridge._socket = Broken()  # type: ignore[assignment]  # stands in for a socket
    ends.bridge._read()
    ends.bridge._socket = real
    assert ends.bridge.counters == {"receive_error": 1}


def dial_to(ends: Ends, leg: str, destination: Address) -> None:
    media = LocalMedia(ends.host, 30_000)
    order = Dial(LegId(leg), "sip:x@192.0.2.1", "ann", "phones.example", destination, media)
    ends.phone.order(order)


def closed_port(host: str) -> Address:
    with bind_udp(Address(host, 0)) as sock:
        return Address(*sock.getsockname()[:2])


async def test_a_call_to_a_closed_port_fails_at_once(ends: Ends) -> None:
    """ICMP says so: nobody waits 32 s for timer B (RFC 3261 §8.1.3.1, §18.4)."""
    dial_to(ends, "lost", closed_port(ends.host))
    await ends.until(lambda: CallEnded in kinds(ends.phone_events))
    ended = ends.phone_events[-1]
    assert ended == CallEnded(LegId("lost"), EndCause.REFUSED, 503)
    assert ends.phone.counters["out.INVITE"] == 1
    assert ends.phone.counters["drop.undelivered"] == 1


async def test_errors_of_one_destination_cost_no_message_to_another(ends: Ends) -> None:
    """An error that waits in the socket fails the next call on it, whatever that is about."""
    calls = 40
    closed = closed_port(ends.host)
    for number in range(calls):
        dial_to(ends, f"lost-{number}", closed)
        dial_to(ends, f"good-{number}", ends.bridge.address)
    await ends.until(lambda: kinds(ends.phone_events).count(CallAnswered) == calls)
    await ends.until(lambda: kinds(ends.phone_events).count(CallEnded) == calls)
    assert {e.leg[:4] for e in ends.phone_events if isinstance(e, CallEnded)} == {"lost"}
    assert ends.bridge.counters["in.INVITE"] == calls, "none was sent twice"
    assert "send_error" not in ends.phone.counters
    assert "receive_error" not in ends.phone.counters


async def test_an_address_without_a_way_there_fails_at_once() -> None:
    ends = Ends("127.0.0.1")
    await ends.open()
    dial_to(ends, "lost", Address("240.0.0.1", 5_060))
    await ends.until(lambda: CallEnded in kinds(ends.phone_events))
    assert ends.phone_events == [
        Dropped("undelivered", Address("240.0.0.1", 5_060)),
        CallEnded(LegId("lost"), EndCause.REFUSED, 503),
    ]
    ends.close()


async def test_a_caller_who_is_gone_before_the_answer_is_no_call(ends: Ends) -> None:
    """The 200 meets a closed port: nobody can acknowledge it (RFC 3261 §17.2.4)."""
    host = f"[{ends.host}]" if ":" in ends.host else ends.host
    invite = (
        f"INVITE sip:join@{host} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{{port}};branch=z9hG4bK1\r\n"
        f"From: <sip:ann@phones.example>;tag=1\r\nTo: <sip:join@{host}>\r\nCall-ID: 1\r\n"
        f"CSeq: 1 INVITE\r\nContact: <sip:ann@{host}:{{port}}>\r\n\r\n"
    )
    with bind_udp(Address(ends.host, 0)) as sock:
        text = invite.replace("{port}", str(sock.getsockname()[1]))
        sock.sendto(text.encode(), ends.bridge.address)
    await ends.until(lambda: CallEnded in kinds(ends.bridge_events))
    ended = ends.bridge_events[-1]
    assert isinstance(ended, CallEnded)
    assert ended.cause is EndCause.NO_ACK


async def test_calls_that_waited_too_long_are_refused_and_those_under_way_are_not(
    monkeypatch: pytest.MonkeyPatch, ends: Ends
) -> None:
    monkeypatch.setattr(sip_udp, "LATE_FOR_NS", 0)
    bridge = ends.bridge
    host, port = bridge.address
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((host, 0))
        first = request("INVITE", call_id="first", branch="first").encode()
        s.sendto(first, (host, port))
        bridge._read()
        assert bridge.sizes["legs"] == 1
        for number in range(LATE_MAX + 20):
            name = f"late{number}"
            s.sendto(request("INVITE", call_id=name, branch=name).encode(), (host, port))
        s.sendto(first, (host, port))
        time.sleep(BEHIND_NS / NS_PER_S + 0.05)  # noqa: ASYNC251  # the loop is what is late
        while bridge.counters["in.INVITE"] < LATE_MAX + 22:
            bridge._read()
        assert bridge.counters["drop.overload"] == 20
        assert bridge.sizes["legs"] == LATE_MAX + 1
        s.sendto(request("INVITE", call_id="then", branch="then").encode(), (host, port))
        bridge._read()
        assert bridge.counters["drop.overload"] == 20
        assert bridge.sizes["legs"] == LATE_MAX + 2


async def test_a_hiccup_refuses_nobody(ends: Ends) -> None:
    bridge = ends.bridge
    host, port = bridge.address
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as s:
        for number in range(LATE_MAX + 20):
            name = f"late{number}"
            s.sendto(request("INVITE", call_id=name, branch=name).encode(), (host, port))
        time.sleep(BEHIND_NS / NS_PER_S + 0.05)  # noqa: ASYNC251  # the loop is what is late
        while bridge.counters.get("in.INVITE", 0) < LATE_MAX + 20:
            bridge._read()
    assert "drop.overload" not in bridge.counters
    assert bridge.sizes["legs"] == LATE_MAX + 20
