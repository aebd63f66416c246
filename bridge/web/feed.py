"""Facts and notices as one stream that followers can leave and take up again by id.

Facts are in the outbox for ever; notices live in a ring of the last `EVENTS_KEPT_MAX`. Nobody who
is slow holds anybody up: a follower has a place in the ring and no queue. Knows events and whose
they are; knows no HTTP.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from bridge.conference.api import Fact, Notice
from bridge.session_store import SessionStore
from bridge.units import ConfMs, utc_of

EVENTS_KEPT_MAX: Final = 10_000
LEGS_KEPT_MAX: Final = 20_000
"""Answered legs that are not identified yet; the oldest is forgotten first."""

MISSED: Final = "stream.reset"
"""Sent instead of what cannot be had any more: read the state anew, then go on."""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact or notice as it goes out.

    Attributes:
        account: whose it is; None while nobody knows.
        late: said to its account later than to operators, who have seen it: `leg.answered`.
    """

    id: str
    type: str
    at: str
    account: str | None
    session: str | None
    leg: str | None
    data: dict[str, Any]
    fact: bool
    late: bool = False

    def shown_to(self, account: str | None) -> bool:
        """Say whether it is for this account's eyes; None is an operator's."""
        return not self.late if account is None else self.account == account

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON that streams and webhooks carry."""
        return {
            "id": self.id,
            "type": self.type,
            "time": self.at,
            "account": self.account,
            "session": self.session,
            "leg": self.leg,
            "kind": "fact" if self.fact else "notice",
            "data": self.data,
        }


RESET: Final = Event("", MISSED, "", None, None, None, {}, fact=False)


class Feed:
    """The stream of one bridge; `take` is given each fact after its commit, and each notice.

    Attributes:
        followers: how many follow now.
    """

    def __init__(self, store: SessionStore, boot: str) -> None:
        self._store = store
        self._boot = boot
        self._ring: deque[Event] = deque(maxlen=EVENTS_KEPT_MAX)
        self._end = 0
        self._notices = 0
        self._answered: dict[str, Event] = {}
        self._grown = asyncio.Event()
        self._closed = False
        self.followers = 0

    def take(self, item: Fact | Notice) -> None:
        """Add one; who follows is told."""
        if isinstance(item, Notice):
            self._notices += 1
            self._append(_of_notice(item, f"n{self._boot}-{self._notices}"))
        else:
            event = _event(item.id, item.type, _time(item.at), item.subject, dict(item.data))
            for one in self._with_answer(event):
                self._append(one)
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def close(self) -> None:
        """End every follower's stream."""
        self._closed = True
        self._grown.set()

    async def follow(self, account: str | None, after: str = "") -> AsyncIterator[Event]:
        """Yield what comes, from behind the event `after` on; from now on when it is empty."""
        self.followers += 1
        try:
            async for event in self._follow(account, after):
                yield event
        finally:
            self.followers -= 1

    async def _follow(self, account: str | None, after: str) -> AsyncIterator[Event]:
        place, sent = self._end, after
        if after:
            found = self._place_of(after, account)
            if found is None:
                async for event in self._stored(account, after):
                    sent = event.id or sent
                    yield event
            else:
                place = found
        skip = self._ids_since(place, sent) if sent != after else set()
        while not self._closed:
            grown = self._grown
            if place < self._end - len(self._ring):  # fell behind: notices in between are gone
                yield RESET
                place = self._end - len(self._ring)
            fresh = list(islice(self._ring, place - self._end + len(self._ring), None))
            place = self._end
            for event in fresh:
                if event.shown_to(account) and event.id not in skip:
                    yield event
            if place == self._end:
                await grown.wait()

    def _append(self, event: Event) -> None:
        self._ring.append(event)
        self._end += 1

    def _with_answer(self, event: Event) -> list[Event]:
        """Return the event, before it the leg's answer when its account is known only now."""
        leg = event.leg or ""
        if event.type == "leg.answered":
            self._answered[leg] = event
            if len(self._answered) > LEGS_KEPT_MAX:
                del self._answered[next(iter(self._answered))]
        elif event.type == "leg.identified" and leg in self._answered:
            answered = self._answered.pop(leg)
            return [_told_late(answered, event), event]
        elif event.type == "leg.left":
            self._answered.pop(leg, None)
        return [event]

    def _place_of(self, after: str, account: str | None) -> int | None:
        """Return the place behind an event that is still in the ring."""
        for back, event in enumerate(reversed(self._ring)):
            if event.id == after and event.shown_to(account):
                return self._end - back
        return None

    def _ids_since(self, place: int, last: str) -> set[str]:
        """Return the facts that came into the ring while older ones were read, up to `last`."""
        fresh = list(islice(self._ring, max(place - self._end + len(self._ring), 0), None))
        ids = [event.id for event in fresh]
        read = ids.index(last) + 1 if last in ids else 0
        return {event.id for event in fresh[:read] if event.fact}

    async def _stored(self, account: str | None, after: str) -> AsyncIterator[Event]:
        """Yield the facts behind `after` from the outbox; first that notices may be missing."""
        yield RESET
        seq = await asyncio.to_thread(self._store.seq_of, after)
        while seq is not None:
            rows = await asyncio.to_thread(self._store.facts_after, seq)
            for place, row in rows:
                seq = place
                for event in await self._read(row, account):
                    if event.shown_to(account):
                        yield event
            if not rows:
                return

    async def _read(self, row: dict[str, Any], account: str | None) -> list[Event]:
        """Return a stored fact as an event, before it the leg's answer as `take` would."""
        event = _stored_event(row)
        if event.type != "leg.identified" or account is None:
            return [event]
        answer = await asyncio.to_thread(self._store.fact, f"{event.leg}/1")
        if answer is None:
            return [event]
        return [_told_late(_stored_event(answer), event), event]


def _told_late(answered: Event, identified: Event) -> Event:
    """Return a leg's answer as its account is told it, once it is known whose leg it is."""
    account, session = identified.account, identified.session
    return replace(answered, account=account, session=session, late=True)


def _stored_event(row: dict[str, Any]) -> Event:
    return _event(row["id"], row["type"], row["time"], row["subject"], row["data"])


def _event(id_: str, type_: str, at: str, subject: str, data: dict[str, Any]) -> Event:
    leg = subject if type_.startswith("leg.") else data.get("leg")
    return Event(id_, type_, at, data.get("account"), data.get("session"), leg, data, fact=True)


def _of_notice(notice: Notice, id_: str) -> Event:
    return Event(
        id_,
        notice.type,
        _time(notice.at),
        notice.account,
        notice.session,
        notice.leg,
        dict(notice.data),
        fact=False,
    )


def _time(at: ConfMs) -> str:
    return utc_of(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
