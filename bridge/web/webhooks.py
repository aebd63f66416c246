"""Webhooks: events sent to a URL, signed, one after the other, again until they are taken.

A target that hangs or fails holds up only itself: it has a place in the feed, no queue. The last
fact that was taken is kept, so a restart goes on behind it. Knows events and HTTP; no session.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError

from bridge.errors import StoreUnavailable
from bridge.session_store import SessionStore, Webhook
from bridge.web.feed import MISSED, Event, Feed
from bridge.web_settings import EVERY_ACCOUNT

TIMEOUT_S: Final = 10.0
BACKOFF_FIRST_S: Final = 1.0
BACKOFF_MAX_S: Final = 300.0
TRIES_MAX: Final = 20
"""About an hour; then the event is given up and the next one is tried."""

ONLY_WHEN_NAMED: Final = frozenset({"speaker.changed"})
"""Some a second in every conference: a target that wants them says so."""

WEBHOOKS_MAX: Final = 50
"""Of one account."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Delivery:
    """How sending to one target goes."""

    webhook: Webhook
    failures: int = 0
    last_error: str = ""


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the value of `Tollbridge-Signature`: HMAC-SHA256 over "<timestamp>.<body>".

    >>> signature("secret", 1, b"{}")[:12]
    't=1,v1=88ce2'
    """
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={digest.hexdigest()}"


def _wants(webhook: Webhook, event: Event) -> bool:
    """Say whether a target is to be sent an event: what is too many goes only to who names it."""
    if webhook.types:
        return event.type in webhook.types
    return event.type not in ONLY_WHEN_NAMED


class Sender:
    """Sends to every webhook; a task each."""

    def __init__(
        self,
        store: SessionStore,
        feed: Feed,
        *,
        timeout_s: float = TIMEOUT_S,
        backoff_first_s: float = BACKOFF_FIRST_S,
        wall_s: Callable[[], int] = lambda: time.time_ns() // 1_000_000_000,
    ) -> None:
        self._store = store
        self._feed = feed
        self._timeout_s = timeout_s
        self._backoff_first_s = backoff_first_s
        self._wall_s = wall_s
        self._deliveries: dict[str, Delivery] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Take up the webhooks of the store."""
        for webhook in await asyncio.to_thread(self._store.webhooks):
            self._begin(webhook)

    async def add(self, webhook: Webhook) -> None:
        """Write a new webhook and send to it from now on."""
        await asyncio.to_thread(self._store.add_webhook, webhook)
        self._begin(webhook)

    async def remove(self, webhook: str) -> None:
        """Forget a webhook; what is on its way is dropped."""
        await asyncio.to_thread(self._store.remove_webhook, webhook)
        self._deliveries.pop(webhook, None)
        task = self._tasks.pop(webhook, None)
        if task is not None:
            task.cancel()

    def deliveries(self, account: str | None) -> list[Delivery]:
        """Return how it goes for the webhooks of an account, None for all."""
        return [
            delivery
            for delivery in self._deliveries.values()
            if account in (None, delivery.webhook.account)
        ]

    async def stop(self) -> None:
        """Send no more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, webhook: Webhook) -> None:
        delivery = Delivery(webhook)
        self._deliveries[webhook.id] = delivery
        self._tasks[webhook.id] = asyncio.get_running_loop().create_task(self._run(delivery))

    async def _run(self, delivery: Delivery) -> None:
        webhook = delivery.webhook
        account = None if webhook.account == EVERY_ACCOUNT else webhook.account
        last_id = webhook.last_id
        async with httpx.AsyncClient(
            timeout=self._timeout_s, follow_redirects=False, trust_env=False
        ) as client:
            while True:
                try:
                    async for event in self._feed.follow(account, last_id):
                        if event.type == MISSED:
                            continue
                        if _wants(webhook, event):
                            await self._deliver(client, delivery, event)
                        if event.fact:
                            last_id = event.id
                            await self._keep(webhook.id, last_id)
                    return
                except SQLAlchemyError as fault:  # of facts that are in the store only
                    log.error("webhook.unread", webhook=webhook.id, error=str(fault))
                    await asyncio.sleep(self._backoff_first_s)

    async def _keep(self, webhook: str, last_id: str) -> None:
        """Write how far a target is; without it, it is sent some again after a restart."""
        try:
            await asyncio.to_thread(self._store.taken, webhook, last_id)
        except StoreUnavailable as fault:
            log.error("webhook.place_not_kept", webhook=webhook, error=str(fault))

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery, event: Event) -> None:
        """Send one event until it is taken, later and later; give up after `TRIES_MAX`."""
        webhook = delivery.webhook
        body = json.dumps(event.to_dict(), separators=(",", ":")).encode()
        for tried in range(TRIES_MAX):
            timestamp = self._wall_s()
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "tollbridge",
                "Tollbridge-Event": event.type,
                "Tollbridge-Delivery": event.id,
                "Tollbridge-Signature": signature(webhook.secret, timestamp, body),
            }
            fault = await self._post(client, webhook.url, body, headers)
            if not fault:
                delivery.failures, delivery.last_error = 0, ""
                return
            delivery.failures, delivery.last_error = delivery.failures + 1, fault
            log.warning("webhook.failed", webhook=webhook.id, tried=tried + 1, error=fault)
            await asyncio.sleep(min(self._backoff_first_s * 2**tried, BACKOFF_MAX_S))
        log.error("webhook.given_up", webhook=webhook.id, event_id=event.id)

    async def _post(
        self, client: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str]
    ) -> str:
        """Return why a target did not take a request, "" when it did."""
        try:
            async with asyncio.timeout(self._timeout_s):
                async with client.stream("POST", url, content=body, headers=headers) as answer:
                    return "" if answer.is_success else f"answered {answer.status_code}"
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as fault:
            return f"{type(fault).__name__}: {fault}"[:200]
