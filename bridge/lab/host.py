"""The bridge under a story: the one place where the lab touches the server and billing.

Each story gets a fresh store and a fresh bridge on loopback; the media worker is started once
and handed on. What the lab knows of the bridge beyond SIP and RTP goes through here.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from billing import Billing, BillingError, Invoice
from bridge.conference.api import (
    CallMe,
    CancelSession,
    ConferenceEvent,
    EndSession,
    Fact,
    LegKind,
    LegView,
    PutSession,
    SessionSpec,
    SetTollFree,
)
from bridge.config import Settings, load_settings
from bridge.errors import OperatingTrouble
from bridge.ids import new_id
from bridge.invoicing import settled
from bridge.lab.account import CONTRACTS
from bridge.lab.callers import Target
from bridge.lab.gauges import Series, parsed
from bridge.lab.invoices import BillSeen, bill_of
from bridge.lab.story import CallerSpec, Story, entry_keys
from bridge.lab.times import months_between
from bridge.net.sip_udp import Tap
from bridge.server import Bridge
from bridge.sip.api import Address
from bridge.stepper import now_ns
from bridge.units import NS_PER_MS, ConfMs, LegId, OccurrenceId, SessionId, utc_of
from bridge.web import metrics
from bridge.worker_link import MediaWorker

ACCOUNT: Final = "acme"
SESSION: Final = SessionId("s1")
BY: Final = "scenario"
WORKER_S: Final = 15.0
METRICS_S: Final = 5.0
POLL_S: Final = 0.05
PACKETS_COME_NS: Final = 100 * NS_PER_MS
"""Within it a packet of every caller's has come."""

CALLER_ID: Final = "+12025550100"
"""Who Call Me says that it is."""

Result = TypeVar("Result")


def settings_of(
    story: Story,
    store: Path,
    *,
    ports: tuple[int, int] | None = None,
    gateway: Address | None = None,
) -> Settings:
    """Return a story's settings: one account, one contract, one session, its overrides.

    Raises:
        SettingsError: an override is unknown or impossible.
    """
    account, session = story.account, story.session
    base: dict[str, Any] = {
        "sip": {"listen": "127.0.0.1:0"},
        "rtp": {
            "address": "127.0.0.1",
            "workers": 1,
            **({"port_range": list(ports)} if ports else {}),
        },
        "store": {"url": f"sqlite:///{store}"},
        "trunk": [{"id": "carrier", "cidr": ["127.0.0.0/8"]}],
        "contract": _contracts(story),
        "account": [
            {
                "id": ACCOUNT,
                "contract": account.contract,
                "product": account.product,
                "time_zone": account.time_zone,
                "vat_country": account.vat_country,
            }
        ],
        "session": [
            {
                "id": SESSION,
                "account": ACCOUNT,
                "access_code": session.access_code,
                "organizer_pin": session.organizer_pin,
                "start": session.start,
                "toll_free": list(session.toll_free),
                "security_code": session.security_code,
                "entry": session.entry,
                "participants_max": session.participants_max,
                "continue_minutes": session.continue_minutes,
            }
        ],
    }
    if gateway is not None:
        base["call_me"] = {"gateway": f"{gateway.host}:{gateway.port}", "caller_id": CALLER_ID}
    overrides = {key: _number(value) for key, value in story.settings.items()}
    return load_settings(None, overrides={**base, **overrides}, environment={})


def _contracts(story: Story) -> list[dict[str, Any]]:
    named = [{"id": name, **table} for name, table in CONTRACTS.items()]
    return [*named, *story.contracts.values()]


def _number(value: Any) -> Any:
    """Return a decimal of the YAML file as a number; story files keep them as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


@dataclass(slots=True)
class Host:
    """A running bridge with one account and one session.

    Attributes:
        spec: the session as it is now; its numbers may grow (R10).
        clock_running: false when only `advance` moves conference time (D19).
        earlier: the facts committed before the last restart.
        sip_watcher: told of every SIP message, when somebody watches.
        before: the counters when the story began.
    """

    bridge: Bridge
    settings: Settings
    spec: SessionSpec
    begins: ConfMs
    clock_running: bool
    time_zone: str
    recorded: OccurrenceId | None = None
    earlier: tuple[Fact, ...] = ()
    sip_watcher: Tap | None = None
    before: Series = field(default_factory=dict)

    @classmethod
    async def start(
        cls,
        story: Story,
        folder: Path,
        *,
        clock_running: bool = False,
        workers: Sequence[MediaWorker] = (),
        ports: tuple[int, int] | None = None,
        gateway: Address | None = None,
    ) -> Self:
        """Start a fresh bridge for a story, its store in `folder`, its RTP on `ports`.

        `gateway` is where Call Me goes out.
        """
        settings = settings_of(story, folder / "story.db", ports=ports, gateway=gateway)
        bridge = Bridge(
            settings, clock_running=clock_running, starts_at=story.begins, workers=workers
        )
        await bridge.start()
        spec = settings.session[0].spec()
        zone = story.account.time_zone
        return cls(bridge, settings, spec, story.begins, clock_running, zone)

    async def stop(self) -> tuple[MediaWorker, ...]:
        """Stop the bridge; return its media workers, which go on for the next story."""
        return await self.bridge.stop(keep_workers=True)

    async def kill_control(self) -> None:
        """End the bridge as a kill does: no BYE, no fact (D13); `restart` starts it again."""
        await self.bridge.vanish()

    async def kill_workers(self) -> None:
        """Kill the media workers, and wait until the bridge has started others.

        Before, the bridge hears of the packets of this moment: a leg is billed to its last one
        (D12), and one from before an `advance` would make the bill a matter of luck.

        Raises:
            OperatingTrouble: it does not in time.
        """
        pool = self.bridge.media
        heard_ns = now_ns() + PACKETS_COME_NS
        # bound: WORKER_S in steps of POLL_S
        for _ in range(round(WORKER_S / POLL_S)):
            if all(status.now_ns >= heard_ns for status in pool.statuses):
                break
            await asyncio.sleep(POLL_S)
        before = pool.starts
        killed = pool.workers
        for worker in killed:
            os.kill(worker.pid, signal.SIGKILL)
        # bound: WORKER_S in steps of POLL_S
        for _ in range(round(WORKER_S / POLL_S)):
            if pool.starts >= before + len(killed) and all(pool.up):
                return
            await asyncio.sleep(POLL_S)
        raise OperatingTrouble(f"no media worker was started again within {WORKER_S:.0f} s")

    async def restart(self, *, killed: bool) -> None:
        """Start the bridge again on its store and its SIP address, at the same conference time.

        One that was not `killed` is stopped first.
        """
        now, address = self.now(), self.sip_address
        workers: tuple[MediaWorker, ...] = ()
        if not killed:
            workers = await self.bridge.stop(keep_workers=True)
        self.earlier = (*self.earlier, *self.bridge.facts)
        sip = self.settings.sip.model_copy(update={"listen": f"{address.host}:{address.port}"})
        settings = self.settings.model_copy(update={"sip": sip})
        self.bridge = Bridge(
            settings, clock_running=self.clock_running, starts_at=now, workers=workers
        )
        self.watch_sip(self.sip_watcher)
        await self.bridge.start()

    def watch_sip(self, watcher: Tap | None) -> None:
        """Tell somebody of every SIP message from now on, also after a restart; None ends that."""
        self.sip_watcher = self.bridge.stories.sip_watcher = watcher

    def target(self, caller: CallerSpec) -> Target:
        """Return whom a caller dials and what he keys to be let in (D20).

        Raises:
            OperatingTrouble: the number plan has no such number.
        """
        if caller.via == "call-me":
            return Target("", self.bridge.sip_address)
        spec = self.spec
        keys = entry_keys(
            caller,
            code=spec.access_code,
            security_code=spec.security_code,
            pin=spec.organizer_pin,
        )
        if caller.dials or caller.via == "voip":
            return Target(caller.dials or spec.access_code, self.bridge.sip_address, keys)
        kind = LegKind.TOLL if caller.via == "toll" else LegKind.TOLL_FREE
        did = self.bridge.plan.did(caller.country or "", kind)
        if did is None:
            raise OperatingTrouble(f"{caller.country}: no {caller.via} number in the plan")
        return Target(did.e164, self.bridge.sip_address, keys)

    @property
    def sip_address(self) -> Address:
        """Where the bridge hears SIP."""
        return self.bridge.sip_address

    @property
    def facts(self) -> Sequence[Fact]:
        """The committed facts, in order."""
        return (*self.earlier, *self.bridge.facts) if self.earlier else self.bridge.facts

    def roster(self) -> tuple[LegView, ...]:
        """Return every leg that is not over."""
        return self.bridge.roster()

    def now(self) -> ConfMs:
        """Return conference time."""
        return self.bridge.now_conf()

    def leg_of(self, number: str) -> str | None:
        """Return the last leg that was answered for a calling number."""
        legs = [
            fact.subject
            for fact in self.facts
            if fact.type == "leg.answered" and _same_number(str(fact.data["ani"]), number)
        ]
        return legs[-1] if legs else None

    def watch_metrics(self) -> None:
        """Have counters told since now."""
        self.before = self.metrics()

    async def metrics_known(self) -> bool:
        """Wait until the media workers have said what they count; false when they do not."""
        # bound: METRICS_S in steps of POLL_S
        for _ in range(round(METRICS_S / POLL_S)):
            if self.bridge.status.worker.ticks:
                return True
            await asyncio.sleep(POLL_S)
        return False

    def metrics(self) -> Series:
        """Return all that the bridge counts and measures, as Prometheus reads it."""
        facts = Counter(fact.type for fact in self.bridge.facts)
        waiting = self.bridge.outbox_waiting()
        return parsed(metrics.text(self.bridge, facts, outbox_waiting=waiting))

    def view_of(self, number: str) -> LegView | None:
        """Return the present leg of a calling number, None when it is over or was never there."""
        leg = self.leg_of(number)
        return next((view for view in self.roster() if view.leg == leg), None)

    async def wait_for(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something is true of the bridge; false when it did not come in time."""
        return await self.bridge.wait_for(lambda _: predicate(), timeout_s)

    async def order(self, event: ConferenceEvent) -> str:
        """Carry out an order; return why it was refused, "" when it was not."""
        refused = await self.bridge.order(event)
        return "; ".join(f"{one.code}: {one.message}" for one in refused)

    async def call_me(self, number: str, name: str) -> str:
        """Have the bridge call somebody into the session (R14)."""
        return await self.order(CallMe(LegId(new_id()), SESSION, number, name, BY))

    async def add_numbers(self, countries: Sequence[str]) -> str:
        """Offer more toll-free countries in the scheduled session (R10)."""
        self.spec = replace(self.spec, toll_free=self.spec.toll_free | set(countries))
        return await self.order(PutSession(self.spec))

    async def remove_toll_free(self) -> str:
        """Have toll-free removed from the account (R13)."""
        return await self.order(SetTollFree(ACCOUNT, enabled=False))

    async def end(self) -> str:
        """End the open occurrence, if there is one."""
        return await self.order(EndSession(SESSION, BY))

    async def cancel(self) -> str:
        """Cancel the session."""
        return await self.order(CancelSession(SESSION, BY))

    async def late_up_to(self, now_ns: int) -> int:
        """Return how many ticks of the media workers were late, of those up to a time at least.

        They say so once a second, so that may take a second; workers that say nothing are not
        waited for any longer than those are whose counts are asked for.
        """
        # bound: METRICS_S in steps of POLL_S
        for _ in range(round(METRICS_S / POLL_S)):
            if self.bridge.status.worker.now_ns >= now_ns:
                break
            await asyncio.sleep(POLL_S)
        return self.bridge.status.worker.late_ticks

    def late_ticks(self) -> str:
        """Return how many of the media worker's ticks were late, as far as it has said."""
        status = self.bridge.status.worker
        return f"media worker {status.late_ticks} of {status.ticks}" if status else "not known"

    def occurrence(self) -> OccurrenceId | None:
        """Return the occurrence that legs are in now."""
        return next((view.occurrence for view in self.roster() if view.occurrence), None)

    async def start_recording(self, file: Path) -> None:
        """Record the open occurrence's mix from now on.

        Raises:
            OperatingTrouble: nobody is in a conference.
        """
        occurrence = self.occurrence()
        if occurrence is None:
            raise OperatingTrouble("no occurrence is open: nothing to record")
        await self.bridge.start_recording(occurrence, file)
        self.recorded = occurrence

    async def stop_recording(self) -> None:
        """Close the recording, if one is under way."""
        if self.recorded is not None:
            await self.bridge.stop_recording(self.recorded)
            self.recorded = None

    async def invoices(self, month: str = "") -> list[Invoice]:
        """Return the account's invoices: of one month, or of all that the story touched."""
        months = [month] if month else months_between(self.begins, self.now(), self.time_zone)
        await self.bridge.committed()

        def read(billing: Billing) -> list[Invoice]:
            billing.settle()
            return [one for month in months for one in billing.invoices(ACCOUNT, month)]

        return await asyncio.to_thread(self._with_billing, read)

    async def bill(self, month: str = "") -> BillSeen:
        """Return what the account is charged: in one month, or in all that the story touched."""
        return bill_of(await self.invoices(month))

    async def migrate(self, *, at: str | None, product: str | None, contract: str | None) -> None:
        """Move the account to another product or contract, by default now (R17).

        Raises:
            OperatingTrouble: billing refuses it, with its reason.
        """
        instant = at or utc_of(self.now()).isoformat()
        await self._change(
            lambda b: b.migrate(ACCOUNT, instant, product=product, contract=contract)
        )

    async def finalize(self, month: str) -> None:
        """Finalize a month as of conference time (D14).

        Raises:
            OperatingTrouble: the month is not over.
        """
        await self.bridge.committed()
        at_ms = int(self.now())
        await self._change(lambda b: b.finalize(ACCOUNT, month, at_ms=at_ms))

    async def _change(self, change: Callable[[Billing], object]) -> None:
        try:
            await asyncio.to_thread(self._with_billing, change)
        except BillingError as refused:
            raise OperatingTrouble(str(refused)) from refused

    def _with_billing(self, work: Callable[[Billing], Result]) -> Result:
        with settled(self.settings) as billing:
            return work(billing)


def _same_number(ani: str, number: str) -> bool:
    if number == "anonymous":
        return ani in {"", "anonymous"}
    return ani.lstrip("+") == number.lstrip("+")
