"""Streams out: in order, at least once, forgotten only when acknowledged (issue 3, item 6)."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cloudevents.http import from_json
from typer.testing import CliRunner

from billing import Billing, BillingSettings
from billing.cli import app
from billing.errors import BillingInputError
from billing.settings import SinkConfig
from billing.sinks import lago_event
from tests.billing.conftest import ACME, C1
from tests.billing.facts import Story
from tests.billing.postgres import skip_or_fail
from tests.billing.test_bills import b1

Answer = Callable[[int], tuple[int, str]]
NOW_MS = 1_770_000_000_000


class Collector:
    """An HTTP sink whose answers the test decides; it keeps what it accepted."""

    def __init__(self) -> None:
        self.accepted: list[Any] = []
        self.types: list[str] = []
        self.requests = 0
        self.answer: Answer = lambda _: (204, "")
        self.raw: bytes | None = None
        self.release = threading.Event()
        self.last = ""
        self.refused: list[str] = []
        self.pages: list[dict[str, str]] = []


@contextmanager
def http_sink(collector: Collector) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.requests += 1
            collector.last = body.decode()
            collector.types.append(self.headers["Content-Type"])
            status, text = collector.answer(collector.requests)
            if status == 0:  # hang until the test is over
                collector.release.wait(30)
                return
            if 200 <= status < 300:
                collector.accepted.append(json.loads(body))
            if collector.raw is not None:
                self.wfile.write(collector.raw)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self) -> None:
            collector.pages += [dict(self.headers)]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1/events"
    finally:
        collector.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


def ready(billing: Billing, **sink: Any) -> None:
    billing.configure([], [], BillingSettings(sinks=(SinkConfig(id="out", **sink),)))
    billing.ingest(b1().events)
    billing.settle()


def test_the_stream_is_cloudevents_exactly_as_charged(billing: Billing) -> None:
    ready(billing, type="file", target="unused")
    events = list(billing.export())
    assert [event["id"] for event in events] == [
        "leg-org/settled.1",  # in the order in which they came
        "leg-a/settled.1",
        "leg-b/settled.1",
        "leg-c/settled.1",
    ]
    for event in events:
        parsed = from_json(json.dumps(event))
        assert parsed["type"] == "usage.settled"
        assert parsed["subject"] == "acme"
        assert parsed["source"] == "/tollbridge/local"
    assert sum(event["data"]["billed_seconds"] for event in events) == 1_800
    assert {event["data"]["reason"] for event in events} == {"included", "billable"}


def test_a_file_sink_gets_everything_once(billing: Billing, tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    ready(billing, type="file", target=str(path), facts=True)
    assert [(s.sent, s.error) for s in billing.push()] == [(27, "")]
    assert [(s.sent, s.error) for s in billing.push()] == [(0, "")]
    kinds = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    assert len(kinds) == 27
    assert kinds.count("usage.settled") == 4
    billing.rewind("out")
    assert billing.push()[0].sent == 27


def test_a_late_fact_takes_back_and_sends_anew(billing: Billing, tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    billing.configure(
        [], [], BillingSettings(sinks=(SinkConfig(id="o", type="file", target=str(path)),))
    )
    story = b1()
    late = next(e for e in story.events if e["type"] == "organizer.joined")
    late["id"] = "s1.o1/3"  # so that nothing seems to be missing before it comes
    next(e for e in story.events if e["type"] == "session.started")["id"] = "s1.o1/1"
    next(e for e in story.events if e["type"] == "session.ended")["id"] = "s1.o1/2"
    billing.ingest([e for e in story.events if e is not late])
    billing.settle()
    billing.push()
    assert all(e["data"]["reason"] == "never_started" for e in billing.export())
    billing.ingest([late])
    billing.settle()
    billing.push()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(line["data"]["billed_seconds"] for line in lines) == 1_800
    assert len({line["id"] for line in lines}) == len(lines) == 12
    reversed_ids = {line["data"]["reverses"] for line in lines if line["data"]["reverses"]}
    assert reversed_ids == {f"leg-{x}/settled.1" for x in ("a", "b", "c", "org")}


def test_openmeter_gets_batches_and_a_sink_that_fails_gets_them_again(billing: Billing) -> None:
    collector = Collector()
    collector.answer = lambda n: (503, "busy") if n < 3 else (204, "")
    with http_sink(collector) as url:
        ready(billing, type="openmeter", target=url)
        state = billing.push(at_ms=NOW_MS)[0]
        assert (state.sent, state.error[:8]) == (0, "HTTP 503")
        assert billing.push(at_ms=NOW_MS + 500)[0].sent == 0
        assert collector.requests == 1  # it waited: the pause is not over
        assert billing.push(at_ms=NOW_MS + 1_000)[0].error
        assert billing.push(at_ms=NOW_MS + 2_000)[0].sent == 0
        assert collector.requests == 2  # the second pause is twice as long
        assert billing.push(at_ms=NOW_MS + 3_000)[0].sent == 4
    assert len(collector.accepted) == 1
    assert len(collector.accepted[0]) == 4
    assert set(collector.types) == {"application/cloudevents-batch+json"}


@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_a_redirect_is_no_acknowledgement_and_is_not_followed(
    billing: Billing, tmp_path: Path, status: int
) -> None:
    """A login page answers GET with 200, and it is nobody to show the token to."""
    token = tmp_path / "token"
    token.write_text("secret")
    collector = Collector()
    collector.raw = f"HTTP/1.0 {status} Elsewhere\r\nLocation: /login\r\n\r\n".encode()
    with http_sink(collector) as url:
        ready(billing, type="openmeter", target=url, token_file=str(token))
        (state,) = billing.push(at_ms=NOW_MS)
    assert (state.sent, state.dead) == (0, 0)
    assert state.error.startswith(f"HTTP {status}")
    assert collector.pages == []


def test_a_sink_that_hangs_is_given_up_and_tried_again(billing: Billing) -> None:
    collector = Collector()
    collector.answer = lambda n: (0, "") if n == 1 else (204, "")
    with http_sink(collector) as url:
        ready(billing, type="openmeter", target=url, timeout_s=1)
        assert billing.push(at_ms=NOW_MS)[0].error
        assert billing.push(at_ms=NOW_MS + 1_000)[0].sent == 4
    assert sum(len(batch) for batch in collector.accepted) == 4


def test_a_sink_that_answers_twice_or_nonsense_loses_nothing(billing: Billing) -> None:
    collector = Collector()
    with http_sink(collector) as url:
        ready(billing, type="openmeter", target=url)
        collector.raw = b"this is not HTTP\r\n\r\n"
        assert billing.push(at_ms=NOW_MS)[0].error
        answer = b"HTTP/1.0 204 No Content\r\n\r\n"
        collector.raw = answer + answer
        assert billing.push(at_ms=NOW_MS + 1_000)[0].sent == 4


def test_lago_gets_one_by_one_and_its_422_for_known_ones_is_an_acknowledgement(
    billing: Billing,
) -> None:
    collector = Collector()
    known = '{"status":422,"error_details":{"transaction_id":["value_already_exist"]}}'
    collector.answer = lambda n: (422, known) if n == 2 else (200, "{}")
    with http_sink(collector) as url:
        ready(billing, type="lago", target=url)
        assert billing.push(at_ms=NOW_MS)[0].sent == 4
        assert collector.requests == 4
    event = collector.accepted[1]["event"]
    assert event["code"] == "usage_settled"
    assert event["external_subscription_id"] == "acme"
    assert event["properties"]["billed_seconds"] == 600


def two_sessions(billing: Billing, **sink: Any) -> None:
    """Session s1 has legs org, a, b and c; s2 has leg z, settled after them."""
    other = Story(session="s2", occurrence="s2.o1")
    other.organizer(0)
    other.leg("leg-z", 0, 60_000)
    other.ended(60_000)
    ready(billing, **sink)
    billing.ingest(other.events)
    billing.settle()


def refusing(collector: Collector, *words: str, status: int = 422) -> Answer:
    """Refuse what holds one of the words, as long as it is in the collector's list."""
    refused = list(words)
    collector.refused = refused
    return lambda _: (
        (status, '{"error_details":{"code":["not_found"]}}')
        if any(word in collector.last for word in refused)
        else (200, "{}")
    )


def ids_of(collector: Collector) -> list[str]:
    events = [
        e for body in collector.accepted for e in (body if isinstance(body, list) else [body])
    ]
    return [
        e["event"]["transaction_id"].partition(":")[2] if "event" in e else e["id"] for e in events
    ]


@pytest.mark.parametrize("kind", ["lago", "openmeter"])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_refused_for_good_holds_up_its_own_session_only(
    billing: Billing, kind: str, status: int
) -> None:
    collector = Collector()
    collector.answer = refusing(collector, "leg-b/settled", status=status)
    with http_sink(collector) as url:
        two_sessions(billing, type=kind, target=url)
        state = billing.push(at_ms=NOW_MS)[0]
        assert (state.sent, state.dead, state.error) == (3, 2, "")
        got = dict.fromkeys(ids_of(collector))
        assert list(got) == [f"leg-{name}/settled.1" for name in ("org", "a", "z")]
        letters = billing.dead_letters()
        assert [(x.id, x.state) for x in letters] == [
            ("leg-b/settled.1", "refused"),
            ("leg-c/settled.1", "behind"),
        ]
        assert "not_found" in letters[0].error
        assert billing.push(at_ms=NOW_MS)[0].dead == 2  # by itself nothing of it is sent again
        assert billing.push_dead_letters(at_ms=NOW_MS)[0].dead == 2
        assert [x.tries for x in billing.dead_letters()] == [2, 0]
        collector.refused.clear()
        state = billing.push_dead_letters(at_ms=NOW_MS)[0]
        assert (state.dead, billing.dead_letters()) == (0, [])
        assert list(dict.fromkeys(ids_of(collector)))[3:] == ["leg-b/settled.1", "leg-c/settled.1"]


def test_a_reversal_waits_behind_what_it_reverses(billing: Billing) -> None:
    """A meter that got only the reversal would count less than nothing."""
    collector = Collector()
    collector.answer = refusing(collector, '"id":"leg-a/settled.1"')
    with http_sink(collector) as url:
        ready(billing, type="openmeter", target=url)
        assert billing.push(at_ms=NOW_MS)[0].dead == 3
        left = next(e for e in b1().events if e["id"] == "leg-a/5")
        billing.ingest([{**left, "data": {**left["data"], "duration_ms": 1_000}}])
        billing.choose(billing.problems()[0].no, newer=True)
        assert billing.push(at_ms=NOW_MS)[0].dead > 3
        assert not [i for i in ids_of(collector) if i.startswith("leg-a")]
        first = billing.dead_letters()[0]
        billing.drop_dead_letter(first.no)
        state = billing.push(at_ms=NOW_MS)[0]
        assert (state.dead, state.error) == (0, "")  # what was behind it goes on without it
        assert [x.state for x in billing.dead_letters()] == ["dropped"] * 2
        assert "leg-a/settled.1.reversed" not in ids_of(collector)
        assert "leg-a/settled.1.2" in ids_of(collector)
        again = {**left, "data": {**left["data"], "duration_ms": 2_000}}
        billing.ingest([again])
        billing.choose(billing.problems()[0].no, newer=True)
        assert billing.push(at_ms=NOW_MS)[0].dead == 0
        assert "leg-a/settled.1.2.reversed" in ids_of(collector)
        with pytest.raises(BillingInputError, match="dead letter"):
            billing.drop_dead_letter(first.no)


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
def test_what_is_no_fault_of_the_event_makes_no_dead_letter(billing: Billing, status: int) -> None:
    collector = Collector()
    collector.answer = lambda n: (status, "no") if n == 1 else (204, "")
    with http_sink(collector) as url:
        ready(billing, type="openmeter", target=url)
        state = billing.push(at_ms=NOW_MS)[0]
        assert (state.sent, state.dead) == (0, 0)
        assert f"HTTP {status}" in state.error
        assert billing.push(at_ms=NOW_MS + 1_000)[0].sent == 4


def test_a_sink_that_has_an_event_already_says_409_and_is_believed(billing: Billing) -> None:
    collector = Collector()
    collector.answer = lambda n: (409, "known") if n <= 2 else (204, "")
    with http_sink(collector) as url:
        ready(billing, type="openmeter", target=url)
        state = billing.push(at_ms=NOW_MS)[0]
    assert (state.sent, state.dead, state.error) == (4, 0, "")
    assert collector.requests == 5  # the batch, then one by one


def test_a_sink_that_goes_down_while_dead_letters_are_sent_is_waited_for(billing: Billing) -> None:
    collector = Collector()
    collector.answer = refusing(collector, "leg-a/settled")
    with http_sink(collector) as url:
        ready(billing, type="lago", target=url)
        assert billing.push(at_ms=NOW_MS)[0].dead == 3
        collector.answer = lambda _: (503, "busy")
        state = billing.push_dead_letters(at_ms=NOW_MS)[0]
        assert (state.dead, state.error[:8]) == (3, "HTTP 503")
        collector.answer = lambda _: (200, "{}")
        assert billing.push_dead_letters(at_ms=NOW_MS + 1_000)[0].dead == 0


def test_the_command_lists_sends_and_drops_dead_letters(sqlite_url: str) -> None:
    collector = Collector()
    collector.answer = refusing(collector, "leg-b/settled")
    where = ("--store", sqlite_url)
    run = CliRunner().invoke
    with http_sink(collector) as url:
        with Billing(sqlite_url) as opened:
            opened.configure([C1], [ACME])
            ready(opened, type="lago", target=url)
        pushed = run(app, ["push", *where])
        assert (pushed.exit_code, "2 refused or behind one" in pushed.stdout) == (1, True)
        shown = run(app, ["dead-letters", *where, "--json"])
        assert (shown.exit_code, [x["state"] for x in json.loads(shown.stdout)]) == (
            1,
            ["refused", "behind"],
        )
        assert "not_found" in run(app, ["dead-letters", *where]).stdout
        assert run(app, ["dead-letters", *where, "--drop", "99"]).exit_code == 2
        assert run(app, ["dead-letters", *where, "--resend"]).exit_code == 1
        collector.refused.clear()
        assert run(app, ["dead-letters", *where, "--resend"]).exit_code == 0
        assert run(app, ["dead-letters", *where]).stdout == "no dead letters\n"


def test_lago_times_keep_their_milliseconds() -> None:
    event = {
        "source": "/s",
        "id": "l/settled.1",
        "subject": "acme",
        "type": "usage.settled",
        "time": "2026-02-10T14:04:00.250Z",
        "data": {},
    }
    assert lago_event(event)["timestamp"] == "1770732240.250"


@contextmanager
def nats_server(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("nats-server") or "/usr/sbin/nats-server"
    if not os.access(program, os.X_OK):
        skip_or_fail("nats-server is not installed (Debian package nats-server)")
    words = [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(home)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


async def read_stream(url: str) -> list[tuple[str, str]]:
    import nats

    connection = await nats.connect(url)
    jetstream = connection.jetstream()
    info = await jetstream.stream_info("TOLLBRIDGE")
    found = []
    for number in range(1, info.state.messages + 1):
        message = await jetstream.get_msg("TOLLBRIDGE", number)
        body = json.loads(message.data or b"{}")
        found.append(((message.headers or {})["Nats-Msg-Id"], body["id"]))
    await connection.close()
    return found


@pytest.mark.peer
def test_nats_jetstream_has_each_event_once_over_kills_and_replays(
    billing: Billing, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"nats://127.0.0.1:{port}"
    ready(billing, type="nats", target=url, timeout_s=5)
    assert billing.push(at_ms=NOW_MS)[0].error  # nobody is there yet
    with nats_server(tmp_path / "js", port):
        assert billing.push(at_ms=NOW_MS + 1_000)[0].sent == 4
        billing.rewind("out")
        assert billing.push(at_ms=NOW_MS + 1_000)[0].sent == 4
    with nats_server(tmp_path / "js", port):  # it was killed
        billing.rewind("out")
        assert billing.push(at_ms=NOW_MS + 2_000)[0].sent == 4
        found = asyncio.run(read_stream(url))
    assert [identity for _, identity in found] == [event["id"] for event in billing.export()]
    assert [key for key, _ in found] == [f"/tollbridge/local:{identity}" for _, identity in found]
