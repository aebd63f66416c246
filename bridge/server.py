"""The control process: carries events between the SIP, conference and media rooms.

A shell: it owns the loop, the clock, the sockets and the store, and decides nothing. Facts are
committed before the commands beside them are carried out; commands wait in one queue, in order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from billing import Invoice
from bridge import callme
from bridge.clock import ConferenceClock
from bridge.committer import Committer
from bridge.conference.api import (
    CancelDial,
    ConferenceCommand,
    ConferenceEvent,
    DialLeg,
    EndSession,
    EnterMix,
    Fact,
    KickLeg,
    LegAbandoned,
    LegConfirmed,
    LegHeld,
    LegHungUp,
    LegKey,
    LegView,
    Notice,
    OccurrenceView,
    OpenMedia,
    PutSession,
    Refused,
    RefuseLeg,
    SessionSpec,
    StartMixRecording,
    StopMixRecording,
)
from bridge.conference.core import Conference
from bridge.conference.numberplan import NumberPlan
from bridge.conference.prompts import CLIP
from bridge.config import Settings
from bridge.dispatch import Dispatcher
from bridge.errors import InputError, OperatingTrouble
from bridge.ids import new_id
from bridge.incoming import invited
from bridge.invoicing import invoice_of
from bridge.legstory.keeper import Keeper
from bridge.legtable import LegTable, set_remote
from bridge.link import (
    RecordingDone,
)
from bridge.media_pool import MediaPool
from bridge.media_side import BridgeStatus, MediaSide
from bridge.metering import Elapsed, Outbox
from bridge.sip.api import (
    Address,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    CallKey,
    CallMedia,
    CallProgress,
    Dropped,
    HangUp,
    Reject,
    SipNotice,
)
from bridge.sip_side import HANG_UP_CAUSES, open_sip
from bridge.stepper import Stepper, Watcher, conf_ms_now, now_ns
from bridge.store_lock import StoreLock
from bridge.units import ConfMs, LegId, OccurrenceId
from bridge.voices import Voices
from bridge.worker_link import MediaWorker

log = structlog.get_logger(__name__)

RETRY_AFTER_S: Final = 5
CHECKPOINTS_PER_INTERVAL: Final = 2
"""Twice, so that D13 holds also when a commit waits for the disk."""

OVER: Final = frozenset({"session.ended", "session.cancelled"})
GROUP_KEPT_S: Final = 60.0
"""How long after its end the workers' number of an occurrence is known: till all is closed."""

BYE_POLL_S: Final = 0.02
BYE_POLLS_MAX: Final = 100


class Bridge:
    """A whole bridge on one event loop; each media worker is a process of its own.

    Attributes:
        plan: the number plan (D18).
        stories: what happened to each leg.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock_running: bool = True,
        starts_at: ConfMs | None = None,
        workers: Sequence[MediaWorker] = (),
    ) -> None:
        self.settings = settings
        self.plan = NumberPlan.build()
        anchor = conf_ms_now() if starts_at is None else starts_at
        self._stepper = Stepper(
            Conference(settings.conference_config(), self.plan, new_id),
            ConferenceClock(anchor, now_ns(), clock_running),
            carry_out=self._on_command,
            refuse=self.abandon,
            guard=partial(self.guarded, None),
        )
        self._legs = LegTable()
        self.stories = Keeper(
            settings, self._stepper.clock, self._legs, partial(self.guarded, None)
        )
        self._media = MediaSide(
            settings, self, self._stepper, self._legs, self.stories.on_worker, workers
        )
        self._checkpoint_timer: asyncio.TimerHandle | None = None
        self._stopping = False

    # --- life ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the store, recover what a kill left open, start the worker, listen.

        Raises:
            OperatingTrouble: what could not be opened, by name; a store that another bridge has.
            InputError: an operator's own prompt that cannot be played.
        """
        source = f"/tollbridge/{self.settings.cluster.id}"
        async with AsyncExitStack() as opened:  # what has to be undone when the rest fails
            opened.push_async_callback(self._media.pool.stop)
            self._store_lock = StoreLock(self.settings.store.outbox_url)
            opened.callback(self._store_lock.release)
            self._outbox = Outbox(self.settings.store.outbox_url, source)
            opened.callback(self._outbox.close)
            await self._open()
            opened.pop_all()

    async def _open(self) -> None:
        recovered = self._outbox.recover()
        if recovered:
            log.warning("recovered", facts=len(recovered))
        self._stepper.facts.extend(recovered)
        loop = asyncio.get_running_loop()
        self._stepper.committer = Committer(self._outbox, loop, attempt=attempted)
        self._stepper.subscribe(self.stories.on_news)
        self._stepper.subscribe(self._on_news)
        self._outbox.put_sessions(session.spec() for session in self.settings.session)
        for spec in self._outbox.sessions():
            self._stepper.step(PutSession(spec))
        await self._media.pool.start()
        try:
            self._sip = await open_sip(self.settings, self._on_sip, self.stories.on_sip)
        except (OperatingTrouble, InputError):
            await self._stepper.close()
            raise
        self._dispatch = Dispatcher(self._sip, self.media.send, self._legs)
        domain = self._sip.config.contact.host
        self._caller = callme.Caller(self.settings.call_me, domain, self._legs)
        self._arm_checkpoint()

    async def stop(self, *, keep_workers: bool = False) -> tuple[MediaWorker, ...]:
        """End every leg and occurrence, commit the facts of it, close everything.

        With `keep_workers` they run on, and are returned for the next bridge.
        """
        self._stopping = True
        for spec in self._stepper.conference.sessions():
            self._stepper.step(EndSession(spec.id, by="shutdown"))
        for view in self.roster():
            self._stepper.step(KickLeg(view.leg, by="shutdown"))
        if self._checkpoint_timer:
            self._checkpoint_timer.cancel()
        await self._stepper.close()
        self._outbox.close()
        self._store_lock.release()
        await self._await_byes()
        self._sip.close()
        await self.stories.close()
        return await self._media.pool.stop(keep=keep_workers)

    async def vanish(self) -> None:
        """End as a kill would: nothing is said to anybody, and no fact more is written (D13).

        The lab tells of kills with it; the media workers go too, as without their control.
        """
        self._stopping = True
        if self._checkpoint_timer:
            self._checkpoint_timer.cancel()
        self._sip.close()
        await self._stepper.vanish()
        self._outbox.close()
        self._store_lock.release()
        await self.stories.close()
        await self._media.pool.stop()

    async def _await_byes(self) -> None:
        """Give the BYEs that are on their way time to be answered or repeated."""
        for _ in range(BYE_POLLS_MAX):
            if not self._sip.sizes["unanswered"]:
                return
            await asyncio.sleep(BYE_POLL_S)

    @property
    def media(self) -> MediaPool:
        """The media workers."""
        return self._media.pool

    @property
    def voices(self) -> Voices:
        """Who talks, how loud and how well."""
        return self._media.voices

    @property
    def status(self) -> BridgeStatus:
        """What the media workers last said of themselves."""
        return self._media.status

    @property
    def sip_address(self) -> Address:
        """Where SIP is heard."""
        return self._sip.address

    @property
    def sip_counters(self) -> dict[str, int]:
        """Messages by direction and method or status ("in.INVITE", "out.200"), and drops."""
        return self._sip.counters

    # --- what others ask ----------------------------------------------------------------

    @property
    def facts(self) -> Sequence[Fact]:
        """The facts committed since start, in order."""
        return self._stepper.facts

    def now_conf(self) -> ConfMs:
        """Return conference time (D19)."""
        return self._stepper.now_conf()

    def next_deadline_conf(self) -> ConfMs | None:
        """Return when the conference clock's next timer is due, None when nothing waits."""
        return self._stepper.next_deadline_conf

    def roster(self) -> tuple[LegView, ...]:
        """Return every leg that is not over."""
        return self._stepper.conference.roster()

    def sessions(self) -> tuple[SessionSpec, ...]:
        """Return the sessions that can be dialled into."""
        return self._stepper.conference.sessions()

    def occurrences(self) -> tuple[OccurrenceView, ...]:
        """Return every open occurrence."""
        return self._stepper.conference.occurrences()

    def subscribe(self, watcher: Watcher) -> Callable[[], None]:
        """Tell of every committed fact and every notice, in order; return what ends that."""
        return self._stepper.subscribe(watcher)

    async def order(self, event: ConferenceEvent) -> tuple[Refused, ...]:
        """Carry out an order, wait until its facts are committed; return what was refused."""
        commands = self._stepper.step(event)
        await self.committed()
        return tuple(command for command in commands if isinstance(command, Refused))

    async def advance_to(self, target: ConfMs) -> None:
        """Move the conference clock, firing every timer on its way in order (D19)."""
        await self._stepper.advance_to(target)

    async def committed(self) -> None:
        """Wait until every fact so far is on disk and the commands beside it are carried out."""
        await self._stepper.committed()

    async def wait_for(self, predicate: Callable[["Bridge"], bool], timeout_s: float) -> bool:
        """Wait until something is true of this bridge; false when it did not become so in time."""
        return await self._stepper.wait_for(lambda: predicate(self), timeout_s)

    @property
    def store_trouble(self) -> str:
        """Why facts are not written now, "" while they are: as long as it lasts calls get 503."""
        return self._stepper.committer.trouble if self._stepper.committer else ""

    @property
    def facts_not_written(self) -> int:
        """How many facts the store will never hold: the log has them."""
        return self._stepper.committer.not_written if self._stepper.committer else 0

    def outbox_waiting(self) -> int:
        """Return how many facts billing has not taken yet; reads the store."""
        return self._outbox.waiting()

    async def start_recording(self, occurrence: OccurrenceId, path: Path) -> None:
        """Record an occurrence's whole mix from now on."""
        self._media.recordings.start(self._legs.group_of(occurrence), path)

    async def stop_recording(self, occurrence: OccurrenceId) -> RecordingDone:
        """Close the recording and return what it holds; `OperatingTrouble` when it failed."""
        return await self._media.recordings.stop(self._legs.group_of(occurrence))

    def listen(self, occurrence: OccurrenceId) -> AsyncIterator[bytes]:
        """Yield an occurrence's mix live, 16-bit little-endian at 8 kHz, until it ends."""
        group = self._legs.group_of(occurrence)
        return self._media.listening.follow(
            group, lambda: any(view.occurrence == occurrence for view in self.occurrences())
        )

    async def load_clip(self, path: Path) -> str:
        """Make a WAV file playable; return the name that `Announce` takes for it.

        Raises:
            OperatingTrouble: it is no mono 8 kHz WAV file, or longer than two minutes.
        """
        name = f"{CLIP}{new_id()}"
        loaded = await self.media.load_clip(name, path)
        if loaded.error:
            raise OperatingTrouble(loaded.error)
        return name

    async def invoice(self, account: str, month: str) -> Invoice:
        """Settle what is final and return an account's invoice of a month ("2026-02")."""
        await self.committed()
        return await asyncio.to_thread(invoice_of, self.settings, account, month)

    # --- from SIP -----------------------------------------------------------------------

    def _on_sip(self, notice: SipNotice) -> None:
        leg = None if isinstance(notice, Dropped) else notice.leg
        self.stories.on_notice(notice)
        self.guarded(leg, lambda: self._on_notice(notice))

    def _on_notice(self, notice: SipNotice) -> None:
        match notice:
            case CallIncoming():
                self._on_incoming(notice)
            case CallConfirmed(leg, remote, proven) | CallMedia(leg, remote, proven):
                record = self._legs.get(leg)
                if record is None:
                    return
                self.media.send(set_remote(record, remote, proven=proven))
                fresh = isinstance(notice, CallConfirmed)
                self._stepper.step(LegConfirmed(leg) if fresh else LegHeld(leg, record.held))
            case CallProgress():
                if rings := callme.ringing(notice):
                    self._stepper.step(rings)
            case CallAnswered(leg):
                if record := self._legs.get(leg):
                    agreed, event = callme.answered(record, notice)
                    self.media.send(agreed)
                    self._stepper.step(event)
            case CallKey(leg, key):
                self._stepper.step(LegKey(leg, key))
            case CallEnded():
                self._on_call_ended(notice)
            case _:
                pass

    def _on_incoming(self, notice: CallIncoming) -> None:
        if self._stopping:
            self._sip.order(Reject(notice.leg, 503, "Service Unavailable", RETRY_AFTER_S))
            return
        if notice.anonymous and not self.settings.sip.allow_anonymous:
            self._sip.order(Reject(notice.leg, 433, "Anonymity Disallowed"))
            return
        self._legs.add(notice)
        self._stepper.step(invited(self.settings, notice))

    def _on_call_ended(self, notice: CallEnded) -> None:
        record = self._legs.remove(notice.leg)
        if record is None:
            return
        self._media.close(record)
        cause = HANG_UP_CAUSES.get(notice.cause, notice.cause.value)
        self._stepper.step(LegHungUp(notice.leg, cause, notice.status))

    def abandon(self, leg: LegId, fault: OperatingTrouble) -> None:
        """Refuse a call that could not be answered; nothing of it is written (503)."""
        log.error("leg.refused", leg=leg, code=fault.code, error=str(fault))
        self._media.close(self._legs.remove(leg))
        self._stepper.step(LegAbandoned(leg))
        self._sip.order(Reject(leg, 503, "Service Unavailable", RETRY_AFTER_S))

    def _on_news(self, item: Fact | Notice) -> None:
        """Forget an occurrence's group once nothing of it can be on its way any more."""
        if item.type in OVER and isinstance(item, Fact):
            loop, occurrence = asyncio.get_running_loop(), OccurrenceId(item.subject)
            loop.call_later(GROUP_KEPT_S, self._legs.forget_group, occurrence)

    # --- commands, checkpoints ----------------------------------------------------------

    def _on_command(self, command: ConferenceCommand) -> None:
        self.guarded(getattr(command, "leg", None), lambda: self._carry_out(command))

    def _carry_out(self, command: ConferenceCommand) -> None:
        self.stories.on_command(command)
        if isinstance(command, DialLeg):
            if order := self._caller.dial(command):
                self._sip.order(order)
            return
        if isinstance(command, StartMixRecording | StopMixRecording):
            self._media.record(command)
            return
        if isinstance(command, CancelDial):  # its end is no news
            self._media.close(self._legs.remove(command.leg))
        if isinstance(command, OpenMedia):
            record = self._legs.get(command.leg)
            if command.outbound:
                record = self._legs.add_outbound(command.leg)
            if record:
                self._media.open(record)
            return
        if isinstance(command, EnterMix):
            self._media.identify(command.leg)
        if isinstance(command, RefuseLeg):
            self._legs.remove(command.leg)
        if not isinstance(command, Refused):
            self._dispatch.carry_out(command)

    def _arm_checkpoint(self) -> None:
        interval = self.settings.metering.checkpoint_s / CHECKPOINTS_PER_INTERVAL
        self._checkpoint_timer = asyncio.get_running_loop().call_later(
            interval, self._on_checkpoint
        )

    def _on_checkpoint(self) -> None:
        """Write how long each open leg has lasted (D13).

        A silent leg counts as there until D12 declares it dead: it may be muted or on hold.
        """
        now = self._stepper.now_conf()
        self._stepper.checkpoint(tuple(Elapsed(record.leg, now) for record in self._legs))
        self._arm_checkpoint()

    def guarded(self, leg: LegId | None, action: Callable[[], object]) -> None:
        """Run one event's work; a fault of ours ends that leg and nothing else."""
        try:
            action()
        except Exception:
            log.exception("fault", leg=leg)
            if leg is not None:  # its end comes back from SIP, and ends the rest of it
                self._sip.order(HangUp(leg, "internal fault"))


def attempted(action: Callable[[], object]) -> Exception | None:
    """Do something in a thread that must not end by it; return what it raised."""
    try:
        action()
    except Exception as fault:
        return fault
    return None
