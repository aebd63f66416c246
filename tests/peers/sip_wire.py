"""A phone of plain sockets and message text, for probing; shares no code with `bridge.sip`.

What it sends is written out character by character, so that it can also be wrong on purpose.
"""

import itertools
import re
import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

HOST = "127.0.0.1"
PATIENCE_S = 5.0
QUIET_S = 0.15
DATAGRAM_MAX = 65_535

_serial = itertools.count(int(time.time() * 1_000))


def token() -> str:
    """Return a word that was never used before."""
    return f"{next(_serial):x}"


class Message(NamedTuple):
    """What came: start line, header lines in order, body."""

    start: str
    fields: tuple[tuple[str, str], ...]
    body: str

    @property
    def status(self) -> int:
        """The status of an answer, 0 of a request."""
        found = re.match(r"SIP/2\.0 (\d{3}) ", self.start)
        return int(found[1]) if found else 0

    @property
    def method(self) -> str:
        """The method of a request or of what is answered."""
        return self.value("CSeq").split()[1]

    def values(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name: str) -> str:
        """Return the first value of a header, "" when there is none."""
        return next(iter(self.values(name)), "")

    @property
    def to_tag(self) -> str:
        """The tag of To."""
        found = re.search(r";tag=([^;\s]+)", self.value("To"))
        return found[1] if found else ""

    @property
    def contact(self) -> str:
        """The URI of Contact."""
        found = re.search(r"<([^>]+)>", self.value("Contact"))
        return found[1] if found else ""

    def media_lines(self) -> list[str]:
        """Return the m= lines of the body."""
        return [line for line in self.body.split("\r\n") if line.startswith("m=")]


def parse(data: bytes) -> Message:
    """Read a message of the bridge; it must be well formed."""
    head, _, body = data.decode("utf-8", "surrogateescape").partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    fields = tuple(
        (line.partition(":")[0].strip(), line.partition(":")[2].strip()) for line in lines
    )
    message = Message(start, fields, body)
    assert int(message.value("Content-Length")) == len(body.encode("utf-8", "surrogateescape"))
    return message


def sdp(
    port: int,
    *,
    media: str = "",
    host: str = HOST,
    codecs: str = "0 8 101",
    attributes: Sequence[str] = ("rtpmap:101 telephone-event/8000", "ptime:20"),
    session: Sequence[str] = (),
    version: int = 1,
) -> str:
    """Write an offer or answer with one audio stream, or with the given m= sections."""
    family = "IP6" if ":" in host else "IP4"
    lines = ["v=0", f"o=probe 1 {version} IN {family} {host}", "s=-", f"c=IN {family} {host}"]
    lines += ["t=0 0", *(f"a={value}" for value in session)]
    if media:
        lines.append(media)
    else:
        lines.append(f"m=audio {port} RTP/AVP {codecs}")
        lines += [f"a={value}" for value in attributes]
    return "\r\n".join(lines) + "\r\n"


class Wire:
    """One UDP socket that talks to the bridge."""

    def __init__(self, bridge: tuple[str, int]) -> None:
        self.bridge = bridge
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((HOST, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None
    ) -> None:
        self.socket.close()
        self.rtp.close()

    @property
    def port(self) -> int:
        """Where this phone hears SIP."""
        return int(self.socket.getsockname()[1])

    @property
    def rtp_port(self) -> int:
        """Where this phone hears RTP."""
        return int(self.rtp.getsockname()[1])

    def send(self, text: str | bytes) -> None:
        """Send one datagram."""
        self.socket.sendto(text.encode() if isinstance(text, str) else text, self.bridge)

    def hear(self, timeout_s: float = PATIENCE_S) -> Message | None:
        """Return the next message, None when none came in time."""
        self.socket.settimeout(timeout_s)
        try:
            return parse(self.socket.recv(DATAGRAM_MAX))
        except TimeoutError:
            return None

    def answer(self, *methods: str, timeout_s: float = PATIENCE_S) -> Message:
        """Return the next final answer, to one of some methods if they are given."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            heard = self.hear(left_s)
            if heard and heard.status >= 200 and (not methods or heard.method in methods):
                return heard
        raise AssertionError(f"no final answer to {methods or 'anything'}")

    def request(self, method: str, timeout_s: float = PATIENCE_S) -> Message:
        """Return the next request of a method that the bridge sends."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            heard = self.hear(left_s)
            if heard and heard.start.startswith(method + " "):
                return heard
        raise AssertionError(f"no {method} came")

    def drain(self, quiet_s: float = QUIET_S) -> list[Message]:
        """Return what comes until nothing comes for a while."""
        heard = []
        while message := self.hear(quiet_s):
            heard.append(message)
        return heard

    def reply(self, request: Message, status: str = "200 OK", *extra: str, body: str = "") -> None:
        """Answer a request of the bridge."""
        lines = [f"SIP/2.0 {status}"]
        lines += [f"Via: {value}" for value in request.values("Via")]
        lines += [f"{name}: {request.value(name)}" for name in ("From", "To", "Call-ID", "CSeq")]
        lines += [*extra, f"Content-Length: {len(body)}"]
        self.send("\r\n".join(lines) + "\r\n\r\n" + body)


class Talk:
    """One call of a phone of text: what has to be the same from message to message.

    `name` is the user in From; the facts of a leg hold it as `ani`.
    """

    def __init__(self, wire: Wire, user: str = "482913") -> None:
        self.wire = wire
        self.uri = f"sip:{user}@{HOST}"
        self.to = f"<{self.uri}>"
        self.name = token()
        self.call_id = f"{token()}@probe"
        self.from_tag = token()
        self.to_tag = ""
        self.cseq = 1
        self.target = self.uri
        self.branch = ""

    def text(
        self,
        method: str,
        *extra: str,
        body: str = "",
        branch: str = "",
        cseq: int | None = None,
        uri: str = "",
        via: str = "",
        contact: str | None = None,
        to: str | None = None,
        body_type: str = "application/sdp",
        swap: dict[str, str] | None = None,
    ) -> str:
        """Write a request; `swap` replaces header lines by the start of the line ("" drops it)."""
        self.branch = branch or f"z9hG4bK{token()}"
        to_value = to if to is not None else self.to + (f";tag={self.to_tag}" * bool(self.to_tag))
        port = self.wire.port
        lines = [
            f"{method} {uri or self.target} SIP/2.0",
            via or f"Via: SIP/2.0/UDP {HOST}:{port};branch={self.branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.name}@{HOST}>;tag={self.from_tag}",
            f"To: {to_value}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq if cseq is None else cseq} {method}",
            contact if contact is not None else f"Contact: <sip:probe@{HOST}:{port}>",
            *extra,
        ]
        if body:
            lines.append(f"Content-Type: {body_type}")
        lines.append(f"Content-Length: {len(body.encode())}")
        for start, instead in (swap or {}).items():
            assert any(line.startswith(start) for line in lines), start
            lines = [instead if line.startswith(start) else line for line in lines]
        return "\r\n".join(line for line in lines if line) + "\r\n\r\n" + body

    def offer(self) -> str:
        """Return a plain offer."""
        return sdp(self.wire.rtp_port)

    def invite(self, *extra: str, body: str | None = None, **over: Any) -> str:
        """Send an INVITE and return its text, to be repeated."""
        text = self.text(
            "INVITE",
            *extra,
            body=self.offer() if body is None else body,
            **over,
        )
        self.wire.send(text)
        return text

    def up(self, *extra: str, body: str | None = None, **over: Any) -> Message:
        """Call until the bridge has answered and our ACK is out; return its 200."""
        self.invite(*extra, body=body, **over)
        answer = self.wire.answer("INVITE")
        assert answer.status == 200, answer
        self.take(answer)
        self.ack()
        return answer

    def take(self, answer: Message) -> None:
        """Remember the other half of the dialog."""
        self.to_tag = answer.to_tag
        self.target = answer.contact or self.target

    def ack(self, *extra: str, body: str = "") -> None:
        """Acknowledge the 200 to the last INVITE."""
        self.wire.send(self.text("ACK", *extra, body=body))

    def ack_failure(self, answer: Message) -> None:
        """Acknowledge a failure, on the branch of its INVITE."""
        branch = self.branch
        self.wire.send(self.text("ACK", branch=branch, to=answer.value("To")))

    def ask(self, method: str, *extra: str, body: str = "", **over: Any) -> Message:
        """Send the next request of the call and return its final answer."""
        self.cseq += 1
        self.wire.send(self.text(method, *extra, body=body, **over))
        return self.wire.answer(method)

    def bye(self) -> None:
        """Hang up."""
        assert self.ask("BYE").status == 200
