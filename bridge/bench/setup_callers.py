"""Calls at a steady rate from one socket, as cheap as they can be: bytes in, bytes out.

    python -m bridge.bench.setup_callers HOST PORT

Reads orders as lines of JSON, `{"rate", "seconds", "hold_s", "users", "pause_s"}`, and writes one
line of JSON for each when its calls are over. A call is INVITE, 200, ACK, a pause, BYE, 200; a
request without an answer is repeated as RFC 3261 §17.1 wants. Ends at the end of its input.
"""

import contextlib
import heapq
import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.units import NS_PER_MS, NS_PER_S

T1_NS: Final = 500 * NS_PER_MS
T2_NS: Final = 4 * NS_PER_S
GIVE_UP_NS: Final = 64 * T1_NS
DATAGRAM_BYTES_MAX: Final = 65_535
BUFFER_BYTES: Final = 16 << 20
MEDIA_PORT: Final = 20_000
"""First port that calls name for their media; no packet is sent from there."""

_SDP = (
    "v=0\r\no=- {number} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {media} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
)
_HEAD = (
    "{method} {target} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch}-{number};rport\r\n"
    "Max-Forwards: 70\r\n"
    "From: <sip:+1212555{number:07d}@{host}:{port}>;tag=t{number}\r\n"
    "To: {to}\r\n"
    "Call-ID: bench-{run}-{number}\r\n"
    "CSeq: {cseq} {cseq_method}\r\n"
)


@dataclass(slots=True)
class _Call:
    """One call: what it waits for, and what it sends again until that comes."""

    number: int
    user: str
    began_ns: int
    state: str = "inviting"  # inviting, talking, leaving, over
    data: bytes = b""
    interval_ns: int = T1_NS
    to: str = ""
    target: str = ""
    answered: bool = False


@dataclass(slots=True)
class _Tally:
    """What became of the calls of one order."""

    calls: int = 0
    completed: int = 0
    repeats: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    setup_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)


class Callers:
    """All calls of one process."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for forced in (32, 33):  # SO_SNDBUFFORCE, SO_RCVBUFFORCE
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
        self._socket.bind((server[0], 0))
        self._socket.connect(server)
        self._socket.setblocking(False)
        self._host, self._port = self._socket.getsockname()
        self._run = f"{time.time_ns():x}"
        self._number = 0
        self._calls: dict[str, _Call] = {}
        self._timers: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = 0
        self.tally = _Tally()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    # --- one order ------------------------------------------------------------------------

    def carry_out(self, order: dict[str, Any]) -> dict[str, Any]:
        """Make the calls of one order and return what became of them."""
        self.tally = tally = _Tally()
        hold_ns = int(order["hold_s"] * NS_PER_S)
        step_ns = NS_PER_S / order["rate"]
        count = int(order["rate"] * order["seconds"])
        began = time.monotonic_ns()
        sent = 0
        while sent < count or self._calls:
            now = time.monotonic_ns()
            while sent < count and began + sent * step_ns <= now:
                self._invite(order["users"][sent % len(order["users"])], hold_ns)
                sent += 1
            while self._timers and self._timers[0][0] <= now:
                _, _, action = heapq.heappop(self._timers)
                action(now)
            due = [self._timers[0][0]] if self._timers else []
            due += [int(began + sent * step_ns)] if sent < count else []
            wait = max(min(due, default=now + NS_PER_S) - time.monotonic_ns(), 0)
            if select.select([self._socket], [], [], wait / NS_PER_S)[0]:
                self._receive(hold_ns)
        took = (time.monotonic_ns() - began) / NS_PER_S
        return {
            "calls": tally.calls,
            "completed": tally.completed,
            "failures": dict(sorted(tally.failures.items())),
            "repeats": tally.repeats,
            "setup_ms": _percentiles(tally.setup_ms),
            "refused_ms": _percentiles(tally.refused_ms),
            "took_s": round(took, 2),
        }

    def _invite(self, user: str, hold_ns: int) -> None:
        self._number += 1
        self.tally.calls += 1
        call = _Call(self._number, user, time.monotonic_ns())
        call.target = f"sip:{user}@{self._server[0]}:{self._server[1]}"
        call.to = f"<{call.target}>"
        self._calls[f"bench-{self._run}-{call.number}"] = call
        body = _SDP.format(number=call.number, host=self._host, media=self._media(call))
        head = self._head(call, "INVITE", cseq=1) + (
            f"Contact: <sip:bench@{self._host}:{self._port}>\r\n"
            f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._request(call, (head + body).encode())

    def _media(self, call: _Call) -> int:
        return MEDIA_PORT + 2 * (call.number % 10_000)

    def _head(self, call: _Call, method: str, *, cseq: int, branch: str = "", of: str = "") -> str:
        return _HEAD.format(
            method=method,
            target=call.target,
            host=self._host,
            port=self._port,
            branch=branch or method.lower(),
            number=call.number,
            to=call.to,
            run=self._run,
            cseq=cseq,
            cseq_method=of or method,
        )

    # --- requests -------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):  # it is sent again
            self._socket.send(data)

    def _request(self, call: _Call, data: bytes) -> None:
        call.data, call.interval_ns = data, T1_NS
        self._send(data)
        self._again(call, data, time.monotonic_ns() + T1_NS, time.monotonic_ns() + GIVE_UP_NS)

    def _again(self, call: _Call, data: bytes, at: int, until: int) -> None:
        def fire(now: int) -> None:
            if call.data is not data:
                return
            if now >= until:
                self._end(call, "timeout")
                return
            self.tally.repeats += 1
            self._send(data)
            call.interval_ns = min(2 * call.interval_ns, T2_NS)
            self._again(call, data, now + call.interval_ns, until)

        self._at(at, fire)

    def _at(self, at: int, action: Callable[[int], None]) -> None:
        self._order += 1
        heapq.heappush(self._timers, (at, self._order, action))

    # --- answers --------------------------------------------------------------------------

    def _receive(self, hold_ns: int) -> None:
        while True:
            try:
                data = self._socket.recv(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue
            head = data.partition(b"\r\n\r\n")[0].decode()
            call = self._calls.get(_value(head, "Call-ID: "))
            if head.startswith("SIP/2.0 ") and call is not None:
                self._answer(call, head, hold_ns)

    def _answer(self, call: _Call, head: str, hold_ns: int) -> None:
        status, invite = head[8:11], head.find("CSeq: 1 INVITE") > 0
        if status[0] == "1":
            call.data = b""  # heard: not sent again (RFC 3261 §17.1.1.2)
        elif invite and status[0] == "2":
            call.to, target = _value(head, "To: "), _value(head, "Contact: ")
            call.target = target[target.find("<") + 1 : target.find(">")]
            self._send((self._head(call, "ACK", cseq=1) + "Content-Length: 0\r\n\r\n").encode())
            if not call.answered:
                call.answered, call.state, call.data = True, "talking", b""
                now = time.monotonic_ns()
                self.tally.setup_ms.append((now - call.began_ns) / NS_PER_MS)
                self._at(now + hold_ns, lambda _: self._bye(call))
        elif invite:
            call.to = _value(head, "To: ")
            ack = self._head(call, "ACK", cseq=1, branch="invite") + "Content-Length: 0\r\n\r\n"
            self._send(ack.encode())
            self.tally.refused_ms.append((time.monotonic_ns() - call.began_ns) / NS_PER_MS)
            self._end(call, status)
        else:
            self._end(call, "" if status[0] == "2" else f"BYE {status}")

    def _bye(self, call: _Call) -> None:
        call.state = "leaving"
        self._request(
            call, (self._head(call, "BYE", cseq=2) + "Content-Length: 0\r\n\r\n").encode()
        )

    def _end(self, call: _Call, failure: str) -> None:
        call.data, call.state = b"", "over"
        self._calls.pop(f"bench-{self._run}-{call.number}", None)
        if failure:
            self.tally.failures[failure] += 1
        else:
            self.tally.completed += 1


def _value(head: str, name: str) -> str:
    at = head.find("\r\n" + name)
    if at < 0:
        return ""
    at += 2 + len(name)
    end = head.find("\r\n", at)
    return head[at:] if end < 0 else head[at:end]


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ranked = sorted(values)
    last = len(ranked) - 1
    return {
        name: round(ranked[round(last * share)], 2)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    }


def main(host: str, port: int) -> int:
    """Carry out orders until there are no more."""
    callers = Callers((host, port))
    for line in sys.stdin:
        print(json.dumps(callers.carry_out(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
