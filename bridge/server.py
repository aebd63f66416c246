"""The control process: carries events between the SIP, conference and media rooms.

A shell: it owns the loop, the clock, the sockets and the store, and decides nothing. Facts are
committed before the commands beside them are carried out; commands wait in one queue, in order.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from billing import Invoice
from bridge import callme, prompts
from bridge.clock import ConferenceClock
from bridge.committer import Committer
from bridge.conference.api import (
    CancelDial,
    ConferenceCommand,
    ConferenceEvent,
    DialLeg,
    EndSession,
    Fact,
    KickLeg,
    LegAbandoned,
    LegConfirmed,
    LegHeld,
    LegHungUp,
    LegKey,
    LegLost,
    LegPlayed,
    LegReady,
    LegView,
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
from bridge.errors import OperatingTrouble, WorkerLost
from bridge.ids import new_id
from bridge.incoming import invited
from bridge.invoicing import invoice_of
from bridge.legstory.keeper import Keeper
from bridge.legtable import LegRecord, LegTable, set_remote
from bridge.link import (
    CloseLeg,
    FromWorker,
    KeyPressed,
    LegRefused,
    LegSilent,
    OpenLeg,
    PlayDone,
    RecordingDone,
    Status,
    ToWorker,
)
from bridge.metering import Elapsed, Outbox
from bridge.recordings import Recordings
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
from bridge.sip_side import HANG_UP_CAUSES, open_sip, told_media
from bridge.stepper import Stepper, Watcher, conf_ms_now, now_ns
from bridge.units import ConfMs, LegId, NowNs, OccurrenceId
from bridge.voices import Voices
from bridge.worker_link import MediaWorker

log = structlog.get_logger(__name__)

RETRY_AFTER_S: Final = 5
CHECKPOINTS_PER_INTERVAL: Final = 2
"""Twice, so that D13 holds also when a commit waits for the disk."""

BYE_POLL_S: Final = 0.02
BYE_POLLS_MAX: Final = 100


@dataclass(slots=True)
class BridgeStatus:
    """What the worker last said of itself; for `serve`, metrics and tests."""

    worker: Status = field(default_factory=lambda: Status(now_ns=0))
    dropped: dict[str, int] = field(default_factory=dict)


class Bridge:
    """A whole bridge on one event loop; the media worker is a process of its own.

    Attributes:
        status: counters of the worker and of SIP.
        voices: who talks, how loud and how well.
        plan: the number plan (D18).
        stories: what happened to each leg.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock_running: bool = True,
        starts_at: ConfMs | None = None,
        worker: MediaWorker | None = None,
    ) -> None:
        self.settings = settings
        self.plan = NumberPlan.build()
        self.status = BridgeStatus()
        anchor = conf_ms_now() if starts_at is None else starts_at
        self._stepper = Stepper(
            Conference(settings.conference_config(), self.plan, new_id),
            ConferenceClock(anchor, now_ns(), clock_running),
            carry_out=self._carry_out,
            refuse=self._abandon,
            guard=lambda action: self._guarded(None, action),
        )
        self._legs = LegTable()
        self.voices = Voices(self._legs, self._stepper.step)
        self.stories = Keeper(
            settings, self._stepper.clock, self._legs, lambda action: self._guarded(None, action)
        )
        self._worker = worker
        self._worker_lost = False
        self._recordings = Recordings(settings.recording, self._send_worker)
        self._tasks: set[asyncio.Task[None]] = set()
        self._checkpoint_timer: asyncio.TimerHandle | None = None
        self._stopping = False

    # --- life ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the store, recover what a kill left open, start the worker, listen.

        Raises:
            OperatingTrouble: what could not be opened, by name.
            InputError: an operator's own prompt that cannot be played.
        """
        source = f"/tollbridge/{self.settings.cluster.id}"
        self._outbox = Outbox(self.settings.store.outbox_url, source)
        recovered = self._outbox.recover()
        if recovered:
            log.warning("recovered", facts=len(recovered))
        self._stepper.committer = Committer(self._outbox, asyncio.get_running_loop())
        self._stepper.subscribe(self.stories.on_news)
        self._outbox.put_sessions(session.spec() for session in self.settings.session)
        for spec in self._outbox.sessions():
            self._stepper.step(PutSession(spec))
        await self._start_worker()
        try:
            self._sip = await open_sip(self.settings, self._on_sip, self.stories.on_sip)
        except OperatingTrouble:
            await self.worker.stop()
            await self._stepper.close()
            raise
        self._dispatch = Dispatcher(self._sip, self._send_worker, self._legs)
        domain = self._sip.config.contact.host
        self._caller = callme.Caller(self.settings.call_me, domain, self._legs)
        self._arm_checkpoint()

    async def _start_worker(self) -> None:
        if self._worker is None:
            if own := self.settings.prompts.own:
                prompts.check(own)
            self._worker = await MediaWorker.start(
                self.settings.worker_settings(),
                self._on_worker,
                self._on_worker_lost,
                own_prompts=own,
            )
        else:
            self._worker.hand_over(self._on_worker, self._on_worker_lost)
            await self._worker.reset(self.settings.worker_settings())

    async def stop(self, *, keep_worker: bool = False) -> None:
        """End every leg and occurrence, commit the facts of it, close everything."""
        self._stopping = True
        for spec in self._stepper.conference.sessions():
            self._stepper.step(EndSession(spec.id, by="shutdown"))
        for view in self.roster():
            self._stepper.step(KickLeg(view.leg, by="shutdown"))
        if self._checkpoint_timer:
            self._checkpoint_timer.cancel()
        for task in self._tasks:
            task.cancel()
        await self._stepper.close()
        self._outbox.close()
        await self._await_byes()
        self._sip.close()
        await self.stories.close()
        if self._worker is not None and not keep_worker:  # it may have ended before us
            await self.worker.stop()

    async def _await_byes(self) -> None:
        """Give the BYEs that are on their way time to be answered or repeated."""
        for _ in range(BYE_POLLS_MAX):
            if not self._sip.sizes["client_transactions"]:
                return
            await asyncio.sleep(BYE_POLL_S)

    @property
    def worker(self) -> MediaWorker:
        """The media worker; may be handed to the next bridge after `stop(keep_worker=True)`."""
        assert self._worker is not None, "the bridge has not been started"
        return self._worker

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

    async def start_recording(self, occurrence: OccurrenceId, path: Path) -> None:
        """Record an occurrence's whole mix from now on."""
        self._recordings.start(self._legs.group_of(occurrence), path)

    async def stop_recording(self, occurrence: OccurrenceId) -> RecordingDone:
        """Close the recording and return what it holds; `OperatingTrouble` when it failed."""
        return await self._recordings.stop(self._legs.group_of(occurrence))

    async def load_clip(self, path: Path) -> str:
        """Make a WAV file playable; return the name that `Announce` takes for it.

        Raises:
            OperatingTrouble: it is no mono 8 kHz WAV file, or longer than two minutes.
        """
        name = f"{CLIP}{new_id()}"
        loaded = await self.worker.load_clip(name, path)
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
        self._guarded(leg, lambda: self._on_notice(notice))

    def _on_notice(self, notice: SipNotice) -> None:
        match notice:
            case CallIncoming():
                self._on_incoming(notice)
            case CallConfirmed(leg, remote, proven) | CallMedia(leg, remote, proven):
                record = self._legs.get(leg)
                if record is None:
                    return
                self._send_worker(set_remote(record, remote, proven=proven))
                fresh = isinstance(notice, CallConfirmed)
                self._stepper.step(LegConfirmed(leg) if fresh else LegHeld(leg, record.held))
            case CallProgress():
                if rings := callme.ringing(notice):
                    self._stepper.step(rings)
            case CallAnswered(leg):
                if record := self._legs.get(leg):
                    agreed, event = callme.answered(record, notice)
                    self._send_worker(agreed)
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
        self._close_media(record)
        cause = HANG_UP_CAUSES.get(notice.cause, notice.cause.value)
        self._stepper.step(LegHungUp(notice.leg, cause, notice.status))

    # --- from and to the worker ---------------------------------------------------------

    def _send_worker(self, message: ToWorker) -> None:
        if not self._worker_lost:
            self.worker.send(message)

    def _on_worker(self, message: FromWorker) -> None:
        self.voices.take(message)
        self.stories.on_worker(message)
        match message:
            case Status():
                self._on_status(message)
            case RecordingDone():
                self._recordings.on_done(message)
            case KeyPressed(number) | PlayDone(number) | LegSilent(number):
                record = self._legs.by_number(number)
                if record:
                    self._guarded(record.leg, lambda: self._on_leg_message(record.leg, message))
            case _:
                pass

    def _on_leg_message(self, leg: LegId, message: FromWorker) -> None:
        match message:
            case KeyPressed(_, key):
                self._stepper.step(LegKey(leg, key))
            case PlayDone(_, token):
                self._stepper.step(LegPlayed(leg, token))
            case LegSilent(_, last_packet_ns):
                self._stepper.step(LegLost(leg, self._stepper.clock.at(NowNs(last_packet_ns))))
            case _:
                pass

    def _on_status(self, status: Status) -> None:
        self.status.worker = status
        self._stepper.changed.set()

    def _on_worker_lost(self, reason: str) -> None:
        """End the legs of a worker that died, as D12 says, and start another."""
        if self._stopping:
            return
        self._worker_lost = True
        log.error("worker.lost", reason=reason, legs=len(self._legs))
        now = now_ns()
        for record in self._legs:
            last = self._stepper.clock.at(record.last_packet_ns or now)
            self._stepper.step(LegLost(record.leg, last, cause="worker_lost"))
        self._worker = None
        self._spawn(self._restart_worker())

    async def _restart_worker(self) -> None:
        await self._start_worker()
        self._worker_lost = False
        log.info("worker.restarted")

    async def _open_media(self, record: LegRecord) -> None:
        """Get a port for a leg; the call is refused with 503 when there is none."""
        host, port = (record.remote.address if record.remote else None) or ("", 0)
        try:
            if self._worker_lost:
                raise WorkerLost("the media worker is being restarted")
            opened = await self.worker.open_leg(OpenLeg(record.number, host, port))
        except OperatingTrouble as fault:
            self._abandon(record.leg, fault)
            return
        if isinstance(opened, LegRefused):
            self._abandon(record.leg, WorkerLost(opened.reason))
        elif self._legs.get(record.leg) is not record:  # cancelled meanwhile
            self._send_worker(CloseLeg(record.number))
        else:
            record.opened = told_media(self.settings, opened)
            if record.remote:  # keys may come before the ACK, which can be lost and repeated
                self._send_worker(set_remote(record, record.remote, proven=False))
            self._stepper.step(LegReady(record.leg))

    def _close_media(self, record: LegRecord | None) -> None:
        """Free the slot and port of a leg that is over, if it had them."""
        if record and record.opened:
            self._send_worker(CloseLeg(record.number))

    def _abandon(self, leg: LegId, fault: OperatingTrouble) -> None:
        """Refuse a call that could not be answered; nothing of it is written (503)."""
        log.error("leg.refused", leg=leg, code=fault.code, error=str(fault))
        self._close_media(self._legs.remove(leg))
        self._stepper.step(LegAbandoned(leg))
        self._sip.order(Reject(leg, 503, "Service Unavailable", RETRY_AFTER_S))

    # --- commands, checkpoints ----------------------------------------------------------

    def _carry_out(self, command: ConferenceCommand) -> None:
        self.stories.on_command(command)
        if isinstance(command, DialLeg):
            if order := self._caller.dial(command):
                self._sip.order(order)
            return
        if isinstance(command, StartMixRecording | StopMixRecording):
            self._recordings.carry_out(self._legs.group_of(command.occurrence), command)
            return
        if isinstance(command, CancelDial):  # its end is no news
            self._close_media(self._legs.remove(command.leg))
        if isinstance(command, OpenMedia):
            record = self._legs.get(command.leg)
            if command.outbound:
                record = self._legs.add_outbound(command.leg)
            if record:
                self._spawn(self._open_media(record))
            return
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

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _guarded(self, leg: LegId | None, action: Callable[[], object]) -> None:
        """Run one event's work; a fault of ours ends that leg and nothing else."""
        try:
            action()
        except Exception:
            log.exception("fault", leg=leg)
            if leg is not None:
                self._legs.remove(leg)
                self._sip.order(HangUp(leg, "internal fault"))
