"""The bridge's way to a bill: facts go to billing, and invoices come back; blocks on a disk.

Whoever asks from the event loop asks on a thread. It knows billing's façade and no rule of it.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from billing import Billing, BillingError, BillingInputError, Invoice
from bridge.config import Settings, SettingsError

TEND_S: Final = 60.0

log = structlog.get_logger(__name__)


@contextlib.contextmanager
def settled(settings: Settings) -> Iterator[Billing]:
    """Give billing with the settings in force and every fact so far taken in and settled."""
    with Billing(settings.store.url) as billing:
        billing.configure(settings.contract, settings.account, settings.billing)
        billing.ingest_outbox(settings.store.outbox_url)
        billing.settle()
        yield billing


def invoice_of(settings: Settings, account: str, month: str) -> Invoice:
    """Settle what is final and return an account's invoice of a month ("2026-02")."""
    with settled(settings) as billing:
        return billing.invoice(account, month)


class Tending:
    """Does what billing has due once a minute while a bridge serves, on a thread.

    Facts are taken in and settled, months whose grace is over are finalized and mailed, and sinks
    are fed. What fails is logged and tried again the next time; the bridge does not wait for it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._dead: dict[str, int] = {}

    async def start(self) -> None:
        """Put contracts and accounts into force, then go on in the background.

        Raises:
            SettingsError: a change that would alter months that were invoiced already.
        """
        try:
            await asyncio.to_thread(self._configure)
        except BillingInputError as fault:
            raise SettingsError([f"billing: {fault}"]) from fault
        except (BillingError, SQLAlchemyError) as fault:
            log.error("billing.not_configured", error=str(fault))
        await self._once()
        self._task = asyncio.create_task(self._run(), name="billing")

    async def stop(self) -> None:
        """Do it a last time, so that the bills hold what was committed."""
        if self._task:
            self._task.cancel()
            await self._once()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TEND_S)
            await self._once()

    async def _once(self) -> None:
        try:
            await asyncio.to_thread(self._tend)
        except (BillingError, SQLAlchemyError) as fault:
            log.error("billing.not_tended", error=str(fault))

    def _configure(self) -> None:
        settings = self._settings
        with Billing(settings.store.url) as billing:
            billing.configure(settings.contract, settings.account, settings.billing)

    def _tend(self) -> None:
        settings = self._settings
        with Billing(settings.store.url) as billing:
            billing.configure(settings.contract, settings.account, settings.billing)
            for invoice in billing.tend(settings.store.outbox_url):
                log.info("invoice.finalized", account=invoice.account.id, month=invoice.month)
            dead = billing.dead_letter_counts()
        for sink, count in dead.items():
            if count > self._dead.get(sink, 0):
                log.warning("sink.refused", sink=sink, dead_letters=count)
        self._dead = dead
