"""A SIP core on the bench: hand-written messages in, what it sends and when out."""

from typing import NamedTuple

from bridge.sip.api import (
    Accept,
    Address,
    CallEnded,
    CallIncoming,
    Dropped,
    LocalMedia,
    Received,
    SipConfig,
    SipEvent,
    SipNotice,
    Wake,
)
from bridge.sip.core import SipCore
from bridge.units import LegId, NowNs
from tests.bridge.sip.pair import MS, S, tokens

CORE = Address("192.0.2.10", 5060)
PEER = Address("192.0.2.20", 5062)
MEDIA = LocalMedia("192.0.2.10", 40_000)

OFFER = "\r\n".join(
    (
        "v=0",
        "o=ann 1 1 IN IP4 192.0.2.20",
        "s=-",
        "c=IN IP4 192.0.2.20",
        "t=0 0",
        "m=audio 30000 RTP/AVP 8 0 101",
        "a=rtpmap:101 telephone-event/8000",
        "",
    )
)


class Sent(NamedTuple):
    """One message that the core sent."""

    at_ns: int
    data: bytes
    destination: Address

    @property
    def start(self) -> str:
        return self.data.split(b"\r\n", 1)[0].decode()

    @property
    def status(self) -> int:
        """The status of a response, 0 for a request."""
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The method of a request, or of the CSeq of a response."""
        return self.header("CSeq").split(" ")[1]

    def headers(self, name: str) -> list[str]:
        head = self.data.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
        lines = [line.partition(": ") for line in head.split("\r\n")[1:]]
        return [value for key, _, value in lines if key == name]

    def header(self, name: str) -> str:
        found = self.headers(name)
        return found[0] if found else ""

    @property
    def to_tag(self) -> str:
        return self.header("To").partition(";tag=")[2]

    @property
    def body(self) -> str:
        return self.data.partition(b"\r\n\r\n")[2].decode()


class Bench:
    """A core, the time, and everything it did so far."""

    def __init__(self, config: SipConfig | None = None) -> None:
        self.core = SipCore(config or SipConfig(CORE), tokens("t"))
        self.now_ns = 0
        self.sent: list[Sent] = []
        self.events: list[SipNotice] = []
        self.deadline_ns: int | None = None

    def step(self, event: SipEvent) -> list[Sent]:
        """Step the core; return what it sends now."""
        effects = self.core.step(event, NowNs(self.now_ns))
        self.deadline_ns = effects.deadline_ns
        now = [Sent(self.now_ns, send.data, send.destination) for send in effects.sends]
        self.sent += now
        self.events += effects.events
        return now

    def hear(self, message: str | bytes, source: Address = PEER) -> list[Sent]:
        """Let a message come in."""
        data = message.encode() if isinstance(message, str) else message
        return self.step(Received(data, source, CORE))

    def wait(self, for_ns: int) -> list[Sent]:
        """Let time pass, waking the core whenever it asks for it; return what it sends then."""
        until_ns = self.now_ns + for_ns
        sent: list[Sent] = []
        while self.deadline_ns is not None and self.deadline_ns <= until_ns:
            assert self.deadline_ns >= self.now_ns
            self.now_ns = self.deadline_ns
            sent += self.step(Wake())
        self.now_ns = until_ns
        return sent

    # --- what happened --------------------------------------------------------------------

    @property
    def leg(self) -> LegId:
        """The leg of the last call that came in."""
        return [event for event in self.events if isinstance(event, CallIncoming)][-1].leg

    @property
    def dropped(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Dropped)]

    @property
    def ends(self) -> list[CallEnded]:
        return [event for event in self.events if isinstance(event, CallEnded)]

    def answered_call(self, **changes: str) -> str:
        """Set up an inbound call up to our 200; return our tag."""
        self.hear(invite(**changes))
        (ok,) = self.step(Accept(self.leg, MEDIA))
        assert ok.status == 200
        return ok.to_tag

    def confirmed_call(self, **changes: str) -> str:
        """Set up an inbound call with its ACK; return our tag."""
        tag = self.answered_call(**changes)
        self.hear(request("ACK", to_tag=tag, branch="ack1"))
        return tag

    def assert_empty(self) -> None:
        """Nothing is remembered any more."""
        assert set(self.core.sizes.values()) == {0}, self.core.sizes


def request(
    method: str,
    *,
    branch: str = "a1",
    to_tag: str = "",
    from_tag: str = "f1",
    call_id: str = "c1",
    cseq: int = 1,
    uri: str = "sip:join@192.0.2.10",
    via: str = "",
    headers: str = "",
    body: str = "",
    content_type: str = "application/sdp",
) -> str:
    """Write a request as a phone would; `headers` are whole lines."""
    to = f";tag={to_tag}" if to_tag else ""
    via = via or f"SIP/2.0/UDP 192.0.2.20:5062;branch=z9hG4bK{branch};rport"
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: {via}",
        f'From: "Ann" <sip:ann@phones.example>;tag={from_tag}',
        f"To: <sip:join@192.0.2.10>{to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        "Max-Forwards: 70",
        "Contact: <sip:ann@192.0.2.20:5062>",
        *(line for line in headers.split("\n") if line),
    ]
    if body:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"Content-Length: {len(body.encode())}", "", body]
    return "\r\n".join(lines)


def invite(*, body: str = OFFER, branch: str = "a1", **changes: str) -> str:
    """Write an INVITE with an offer."""
    return request("INVITE", branch=branch, body=body, **changes)  # type: ignore[arg-type]  # str


def response(
    to: Sent, status: int, *, to_tag: str = "r1", headers: str = "", body: str = ""
) -> str:
    """Write an answer to a request that the core sent; `headers` are whole lines."""
    to_value = to.header("To")
    if ";tag=" not in to_value and to_tag and status > 100:
        to_value += f";tag={to_tag}"
    lines = [
        f"SIP/2.0 {status} Whatever",
        f"Via: {to.header('Via')}",
        f"From: {to.header('From')}",
        f"To: {to_value}",
        f"Call-ID: {to.header('Call-ID')}",
        f"CSeq: {to.header('CSeq')}",
        *(line for line in headers.split("\n") if line),
    ]
    if body:
        lines.append("Content-Type: application/sdp")
    lines += [f"Content-Length: {len(body.encode())}", "", body]
    return "\r\n".join(lines)


def times_ms(sent: list[Sent], since_ns: int = 0) -> list[int]:
    """Return when messages were sent."""
    return [(message.at_ns - since_ns) // MS for message in sent]


__all__ = ["CORE", "MEDIA", "MS", "OFFER", "PEER", "Bench", "S", "invite", "request", "response"]
