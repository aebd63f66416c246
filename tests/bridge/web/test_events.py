"""The event stream: facts and notices in order, once each, per account, resumable by id."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.conference.api import Fact, Notice
from bridge.metering import Outbox
from bridge.session_store import SessionStore
from bridge.units import ConfMs, LegId, SessionId
from bridge.web.feed import EVENTS_KEPT_MAX, MISSED, Event, Feed
from tests.bridge.web.rig import OPERATOR, OTHER, Rig, running, until


@dataclass(slots=True)
class Heard:
    """What one follower of /events was sent."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def has(self, type_: str) -> None:
        await until(lambda: self._has(type_))

    async def _has(self, type_: str) -> bool:
        return type_ in self.types()


@asynccontextmanager
async def following(rig: Rig, token: str, after: str = "") -> AsyncIterator[Heard]:
    """Follow /events while the block runs."""
    heard, up = Heard(), asyncio.Event()

    async def follow() -> None:
        headers = {"Last-Event-ID": after} if after else {}
        async with (
            rig.client(token) as client,
            client.stream("GET", "/api/v1/events", headers=headers) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            up.set()
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    heard.events.append(json.loads(line.removeprefix("data: ")))

    task = asyncio.create_task(follow())
    try:
        await asyncio.wait_for(up.wait(), 40)
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_account_hears_its_own_facts_and_notices_and_nobody_elses(tmp_path: Path) -> None:
    async with (
        running(tmp_path) as rig,
        following(rig, OPERATOR) as all_,
        following(rig, OTHER) as other,
        following(rig, "viewer-token-of-acme-0001") as mine,
    ):
        ann = await rig.call("ann")
        await rig.ask("POST", f"/legs/{rig.leg(ann)}/mute", {"muted": True})
        await rig.ask("PATCH", "/sessions/s1", {"toll_free": ["US", "FR"]})
        await mine.has("session.numbers_changed")
        await all_.has("session.numbers_changed")
        wanted = ["leg.answered", "leg.identified", "leg.waiting", "participant.muted"]
        wanted += ["session.changed", "session.numbers_changed"]
        assert mine.types() == wanted, "answered is told once its account is known"
        assert sorted(all_.types()) == sorted(wanted)
        assert other.events == []
        muted = next(one for one in mine.events if one["type"] == "participant.muted")
        assert (muted["kind"], muted["data"]["by"]) == ("notice", "api:ada")
        ids = [event["id"] for event in mine.events]
        assert len(set(ids)) == len(ids)


async def test_a_stream_goes_on_behind_the_last_id_also_over_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        async with following(rig, OPERATOR) as first:
            ann = await rig.call("ann")
            await first.has("leg.waiting")
        middle = next(one["id"] for one in first.events if one["type"] == "leg.answered")
        async with following(rig, OPERATOR, middle) as again:
            await again.has("leg.waiting")
            assert again.types() == ["leg.identified", "leg.waiting"]
            await ann.hang_up()
            await again.has("leg.left")
    async with running(tmp_path) as rig:
        async with following(rig, OPERATOR, middle) as after:
            await after.has("leg.left")
            assert after.types()[:4] == [MISSED, "leg.identified", "leg.waiting", "leg.left"]
            rest = after.types()[4:]
            assert "leg.identified" not in rest, "each fact once"
        async with following(rig, "viewer-token-of-acme-0001", middle) as mine:
            await mine.has("leg.left")
            assert mine.types()[:2] == [MISSED, "leg.answered"]


def fact(number: int, account: str = "acme") -> Fact:
    data = {"leg": "leg-1", "session": "s1", "account": account, "occurrence": "s1.a"}
    return Fact(f"leg-1/{number}", "leg.waiting", ConfMs(1_000 + number), "leg-1", data)


def notice(number: int) -> Notice:
    data: dict[str, str | int | bool | None] = {"by": str(number)}
    at = ConfMs(number)
    return Notice("participant.muted", at, SessionId("s1"), "acme", LegId("leg-1"), data)


async def take_some(feed: Feed, account: str | None, after: str, count: int) -> list[Event]:
    """Return the next events of a follower."""
    found: list[Event] = []
    events = feed.follow(account, after)
    async with asyncio.timeout(30):
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_a_follower_that_fell_behind_the_ring_gets_a_reset_and_goes_on(
    tmp_path: Path,
) -> None:
    store = SessionStore(f"sqlite:///{tmp_path}/f.db", "/t")
    feed = Feed(store, "b")
    follower = feed.follow("acme")
    first = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    feed.take(notice(0))
    assert (await first).data == {"by": "0"}
    for number in range(1, EVENTS_KEPT_MAX + 10):
        feed.take(notice(number))
    assert (await anext(follower)).type == MISSED
    assert (await anext(follower)).data == {"by": "10"}, "the oldest that is kept"
    feed.close()
    store.close()


async def test_facts_of_the_store_come_once_also_when_new_ones_come_meanwhile(
    tmp_path: Path,
) -> None:
    outbox = Outbox(f"sqlite:///{tmp_path}/f.db", "/t")
    outbox.commit([fact(number) for number in range(1, 4)])
    store = SessionStore(f"sqlite:///{tmp_path}/f.db", "/t")
    feed = Feed(store, "b")
    follower = feed.follow("acme", "leg-1/1")
    assert (await anext(follower)).type == MISSED
    late = fact(4)
    outbox.commit([late])
    feed.take(late)
    feed.take(fact(5, "globex"))
    feed.take(notice(1))
    seen = [(await anext(follower)).id for _ in range(4)]
    assert seen == ["leg-1/2", "leg-1/3", "leg-1/4", "nb-1"]
    assert [e.id for e in await take_some(feed, "acme", "leg-1/4", 1)] == ["nb-1"]
    assert [e.id for e in await take_some(feed, "globex", "no-such-id", 1)] == [""]
    feed.close()
    store.close()
    outbox.close()
