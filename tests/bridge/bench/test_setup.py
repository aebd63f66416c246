"""`bench setup` counts calls of a whole bridge, and what a bridge that is too busy says."""

import socket
import threading
from typing import Any

from bridge.bench.setup import run
from bridge.bench.setup_callers import Callers

ORDER: dict[str, Any] = {"rate": 50, "seconds": 0.1, "hold_s": 0.02, "users": ["482900"]}


def test_calls_of_a_whole_bridge_are_counted_with_what_they_cost() -> None:
    result = run(10, 1.0)
    assert (result["calls"], result["completed"], result["failures"]) == (10, 10, {})
    assert result["control_cpu_ms_per_call"] > 0.1
    assert result["worker_cpu_ms_per_call"] >= 0
    assert set(result["setup_ms"]) == {"p50", "p95", "p99", "max"}
    assert 0 < result["setup_ms"]["p50"] <= result["setup_ms"]["max"]


class Answers(threading.Thread):
    """A server of few words: what it says to each method, the request's own headers repeated."""

    def __init__(self, says: dict[str, list[str]]) -> None:
        super().__init__(daemon=True)
        self.says, self.heard = says, list[str]()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))

    def run(self) -> None:
        while True:
            data, source = self.socket.recvfrom(65_535)
            if not data:
                return
            head = data.decode().partition("\r\n\r\n")[0].split("\r\n")
            method = head[0].split(" ")[0]
            self.heard.append(method)
            kept = [line for line in head[1:] if line.split(":")[0] in KEPT]
            for status in self.says.get(method, []):
                contact = f"Contact: <sip:bridge@127.0.0.1:{self.socket.getsockname()[1]}>"
                lines = [f"SIP/2.0 {status}", *kept, contact, "Content-Length: 0", "", ""]
                self.socket.sendto("\r\n".join(lines).encode(), source)

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.join()
        self.socket.close()


KEPT = ("Via", "From", "To", "Call-ID", "CSeq")


def heard_and_done(says: dict[str, list[str]]) -> tuple[list[str], dict[str, Any]]:
    server = Answers(says)
    server.start()
    callers = Callers(server.socket.getsockname())
    done = callers.carry_out(ORDER)
    callers.close()
    server.stop()
    return server.heard, done


def test_a_refused_call_is_acknowledged_and_counted_by_its_status() -> None:
    heard, done = heard_and_done({"INVITE": ["100 Trying", "503 Service Unavailable"]})
    assert sorted(heard) == ["ACK"] * 5 + ["INVITE"] * 5
    assert (done["completed"], done["failures"]) == (0, {"503": 5})
    assert set(done["refused_ms"]) == {"p50", "p95", "p99", "max"}


def test_a_bye_that_is_refused_is_a_failure() -> None:
    _, done = heard_and_done({"INVITE": ["200 OK"], "BYE": ["481 Gone"]})
    assert (done["completed"], done["failures"]) == (0, {"BYE 481": 5})


def test_a_200_that_comes_twice_is_acknowledged_twice_and_is_one_call() -> None:
    heard, done = heard_and_done({"INVITE": ["200 OK", "200 OK"], "BYE": ["200 OK"]})
    assert heard.count("ACK") == 10
    assert (done["completed"], done["failures"]) == (5, {})
