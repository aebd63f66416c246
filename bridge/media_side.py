"""The server's media half: carries events between the media workers and the conference core.

A shell: it knows legs by name and number, what a worker's news means to the conference, and what
a worker's end means to its legs (D12). It decides nothing and knows no SIP.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from bridge.conference.api import (
    LegKey,
    LegLost,
    LegPlayed,
    LegReady,
    Notice,
    StartMixRecording,
    StopMixRecording,
)
from bridge.config import Settings
from bridge.errors import OperatingTrouble, WorkerLost
from bridge.legtable import LegRecord, LegTable, set_remote
from bridge.link import (
    CloseLeg,
    FromWorker,
    KeyPressed,
    LegOpened,
    LegRefused,
    LegSilent,
    MixHeard,
    OpenLeg,
    PlayDone,
    RecordingDone,
    Status,
)
from bridge.listening import Listening
from bridge.media_pool import MediaPool, WorkerEnd
from bridge.recordings import Recordings
from bridge.sip_side import told_media
from bridge.stepper import Stepper, now_ns
from bridge.units import LegId, NowNs
from bridge.voices import Voices
from bridge.worker_link import MediaWorker

WORKER_LOST = "worker.lost"
"""The notice that a media worker died."""


@dataclass(slots=True)
class BridgeStatus:
    """What the workers last said of themselves, together; for `serve`, metrics and tests."""

    worker: Status = field(default_factory=lambda: Status(now_ns=0))
    dropped: dict[str, int] = field(default_factory=dict)


class Host(Protocol):
    """What the server does for its media half."""

    def guarded(self, leg: LegId | None, action: Callable[[], object], /) -> None:
        """Run one event's work; a fault of ours ends that leg and nothing else."""

    def abandon(self, leg: LegId, fault: OperatingTrouble, /) -> None:
        """Refuse a call that could not be answered."""


class MediaSide:
    """The media workers as the server sees them.

    Attributes:
        pool: the workers.
        recordings: those under way.
        listening: who follows a conference live.
        voices: who talks, how loud and how well.
        status: what the workers last said.
    """

    def __init__(
        self,
        settings: Settings,
        host: Host,
        stepper: Stepper,
        legs: LegTable,
        watcher: Callable[[FromWorker], None],
        warm: Sequence[MediaWorker] = (),
    ) -> None:
        self._settings, self._host = settings, host
        self._stepper, self._legs, self._watcher = stepper, legs, watcher
        self.pool = MediaPool(settings, self._on_message, self._on_end, warm)
        self.recordings = Recordings(settings.recording, self.pool.send)
        self.listening = Listening(self.pool.send)
        self.voices = Voices(legs, stepper.step)
        self.status = BridgeStatus()

    # --- legs -----------------------------------------------------------------------------

    def open(self, record: LegRecord) -> None:
        """Get a port for a leg; the call is refused with 503 when there is none."""
        host, port = (record.remote.address if record.remote else None) or ("", 0)
        # Keys may come before the ACK, which can be lost and repeated.
        remote = set_remote(record, record.remote, proven=False) if record.remote else None
        session = self._stepper.conference.session_of(record.leg)
        order = OpenLeg(record.number, host, port, remote)
        self.pool.open(order, session, partial(self._on_opened, record))

    def _on_opened(self, record: LegRecord, answer: LegOpened | LegRefused | WorkerLost) -> None:
        self._host.guarded(record.leg, partial(self._go_on, record, answer))

    def _go_on(self, record: LegRecord, answer: LegOpened | LegRefused | WorkerLost) -> None:
        """Answer a call that has its port, or refuse it."""
        if isinstance(answer, WorkerLost):
            self._host.abandon(record.leg, answer)
        elif isinstance(answer, LegRefused):
            self._host.abandon(record.leg, WorkerLost(answer.reason))
        elif self._legs.get(record.leg) is not record:  # cancelled meanwhile
            self.pool.send(CloseLeg(record.number))
        else:
            record.opened = told_media(self._settings, answer)
            self._stepper.step(LegReady(record.leg))

    def close(self, record: LegRecord | None) -> None:
        """Free the slot and port of a leg that is over, if it had them."""
        if record and record.opened:
            self.pool.send(CloseLeg(record.number))

    def identify(self, leg: LegId) -> None:
        """Tell the pool which session a leg has come to."""
        record = self._legs.get(leg)
        session = self._stepper.conference.session_of(leg)
        if record and session:
            self.pool.identify(record.number, session)

    def record(self, command: StartMixRecording | StopMixRecording) -> None:
        """Begin or end the recording of a conference."""
        self.recordings.carry_out(self._legs.group_of(command.occurrence), command)

    # --- from the workers -----------------------------------------------------------------

    def _on_message(self, message: FromWorker) -> None:
        self.voices.take(message)
        self._watcher(message)
        match message:
            case Status():
                self.status.worker = self.pool.status()
                self._stepper.changed.set()
            case MixHeard():
                self.listening.on_heard(message)
            case RecordingDone():
                self.recordings.on_done(message)
            case KeyPressed(number) | PlayDone(number) | LegSilent(number):
                record = self._legs.by_number(number)
                if record:
                    self._host.guarded(
                        record.leg, lambda: self._on_leg_message(record.leg, message)
                    )
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

    def _on_end(self, end: WorkerEnd) -> None:
        """End the legs of a worker that died: billed to their last packets (D12)."""
        now = now_ns()
        lost = [record for record in map(self._legs.by_number, end.legs) if record]
        told: dict[str, str | int | bool | None] = {"worker": end.worker, "reason": end.reason}
        told["legs"] = len(lost)
        self._stepper.tell(Notice(WORKER_LOST, self._stepper.clock.at(now), None, None, data=told))
        for record in lost:
            if record.opened is None:  # its call is refused by who waits for its port
                continue
            last = self._stepper.clock.at(record.last_packet_ns or now)
            self._stepper.step(LegLost(record.leg, last, cause="worker_lost"))
