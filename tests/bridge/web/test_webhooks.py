"""Webhooks: signed, one after the other, again until taken; a target that hangs hurts nobody."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from bridge.errors import StoreUnavailable
from bridge.session_store import SessionStore, Webhook
from bridge.units import ConfMs
from bridge.web import webhooks
from bridge.web.feed import Event
from bridge.web.webhooks import signature
from tests.bridge.web.rig import OTHER, Rig, running, until


@dataclass(slots=True)
class Target:
    """A webhook target: answers each request with the next of `answers`, then with 204."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    hangs: bool = False
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.got]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.partition(": ") for line in head[1:] if line)
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            self.got.append((headers, body))
            if self.hangs:
                await asyncio.sleep(60)
            status = self.answers.pop(0) if self.answers else 204
            answer = f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            writer.write(answer.encode())
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def target(*answers: int, hangs: bool = False) -> AsyncIterator[Target]:
    one = Target(answers=list(answers), hangs=hangs)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(one.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the next turn of the loop


async def hook(rig: Rig, url: str, *types: str) -> dict[str, Any]:
    made = await rig.ask("POST", "/webhooks", {"url": url, "types": list(types)})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = webhooks.Sender.__init__

    def quick(self: webhooks.Sender, *given: Any, **named: Any) -> None:
        begin(self, *given, timeout_s=2.0, backoff_first_s=0.05, **named)

    monkeypatch.setattr(webhooks.Sender, "__init__", quick)


async def test_events_come_signed_and_the_secret_is_shown_once(tmp_path: Path) -> None:
    async with running(tmp_path) as rig, target() as there:
        made = await hook(rig, there.url, "session.created")
        await rig.ask("POST", "/sessions", {"title": "one"})
        await rig.ask("PATCH", "/sessions/s1", {"title": "not of this type"})
        await rig.ask("POST", "/sessions", {"title": "two"})
        await until(lambda: taken(there, 2))
        assert there.types() == ["session.created"] * 2
        headers, body = there.got[0]
        stamp, _, value = headers["tollbridge-signature"].removeprefix("t=").partition(",v1=")
        right = hmac.new(made["secret"].encode(), f"{stamp}.".encode() + body, hashlib.sha256)
        assert value == right.hexdigest()
        assert abs(int(stamp) - time.time_ns() // 10**9) < 60
        listed = (await rig.ask("GET", "/webhooks")).json()["items"]
        assert listed[0]["secret"] is None
        assert (await rig.ask("GET", "/webhooks", token=OTHER)).json()["items"] == []
        foreign = await rig.ask("DELETE", f"/webhooks/{made['id']}", token=OTHER)
        assert foreign.status_code == 404
        assert (await rig.ask("DELETE", f"/webhooks/{made['id']}")).status_code == 204
        assert (await rig.ask("DELETE", f"/webhooks/{made['id']}")).status_code == 404


async def taken(there: Target, count: int) -> bool:
    return len(there.got) >= count


async def test_what_is_refused_is_sent_again_in_order_until_it_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as rig, target(500, 302, 429) as there:
        await hook(rig, there.url)
        await rig.ask("POST", "/sessions", {"title": "one"})
        await rig.ask("PATCH", "/sessions/s1", {"title": "two"})
        await until(lambda: taken(there, 5))
        types = ["session.created"] * 4 + ["session.changed"]
        assert there.types() == types
        assert len({headers["tollbridge-delivery"] for headers, _ in there.got[:4]}) == 1
        listed = (await rig.ask("GET", "/webhooks")).json()["items"]
        assert (listed[0]["state"], listed[0]["failures"]) == ("fine", 0)


async def test_a_target_that_hangs_holds_up_neither_calls_nor_other_targets(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig, target(hangs=True) as deaf, target() as fine:
        await hook(rig, deaf.url)
        await hook(rig, fine.url)
        await rig.call("ann")
        await until(lambda: taken(fine, 3))
        assert fine.types() == ["leg.answered", "leg.identified", "leg.waiting"]
        await until(lambda: retrying(rig))
        assert set(deaf.types()) == {"leg.answered"}, "the first one is tried again"


async def last_is(there: Target, type_: str, behind: int) -> bool:
    return type_ in there.types()[behind:]


async def retrying(rig: Rig) -> bool:
    listed = (await rig.ask("GET", "/webhooks")).json()["items"]
    return any("no answer within" in one["last_error"] for one in listed)


async def test_a_restart_goes_on_behind_the_last_fact_that_was_taken(tmp_path: Path) -> None:
    async with target() as there:
        async with running(tmp_path) as rig:
            await hook(rig, there.url)
            ann = await rig.call("ann")
            await until(lambda: taken(there, 3))
            await ann.hang_up()
            await until(lambda: taken(there, 4))
            before = there.types()
        async with running(tmp_path) as rig:
            await rig.call("ben")
            await until(lambda: last_is(there, "leg.waiting", len(before)))
            facts = [headers["tollbridge-delivery"] for headers, _ in there.got]
            assert len(set(facts)) == len(facts), "no fact twice when all were taken"
            assert before == ["leg.answered", "leg.identified", "leg.waiting", "leg.left"]


async def test_a_store_that_fails_for_a_moment_ends_no_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target is sent facts whether or not its place can be written, or read, at the moment."""
    write, read = SessionStore.taken, SessionStore.seq_of
    faults = [StoreUnavailable("database is locked")]

    def taken_later(store: SessionStore, webhook: str, last_id: str) -> None:
        if faults:
            raise faults.pop()
        write(store, webhook, last_id)

    def read_later(store: SessionStore, fact: str) -> int | None:
        if unread:
            raise unread.pop()
        return read(store, fact)

    monkeypatch.setattr(SessionStore, "taken", taken_later)
    monkeypatch.setattr(SessionStore, "seq_of", read_later)
    unread: list[OperationalError] = []
    async with target() as there:
        async with running(tmp_path) as rig:
            await hook(rig, there.url)
            await rig.call("ann")
            await until(lambda: taken(there, 3))
        assert there.types() == ["leg.answered", "leg.identified", "leg.waiting"]
        unread.append(OperationalError("SELECT", {}, Exception("disk I/O error")))
        async with running(tmp_path) as rig:
            await rig.call("ben")
            await until(lambda: last_is(there, "leg.waiting", 3))
        assert not faults
        assert not unread


def test_the_signature_is_over_the_time_and_the_body() -> None:
    assert signature("s", 1, b"{}") != signature("s", 2, b"{}")
    assert signature("s", 1, b"{}") != signature("t", 1, b"{}")
    assert signature("s", 1, b"{}").startswith("t=1,v1=")


@pytest.mark.parametrize(
    ("types", "type_", "wanted"),
    [
        ((), "leg.joined", True),
        ((), "speaker.changed", False),
        (("speaker.changed",), "speaker.changed", True),
        (("leg.joined",), "leg.left", False),
    ],
)
def test_what_comes_some_a_second_goes_only_to_who_names_it(
    types: tuple[str, ...], type_: str, wanted: bool
) -> None:
    target = Webhook("w1", "acme", "http://127.0.0.1:9/", "secret", types, ConfMs(0))
    event = Event("n1", type_, "", "acme", "s1", None, {}, fact=False)
    assert webhooks._wants(target, event) is wanted
