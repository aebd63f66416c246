"""Carries out the conference core's commands: a message to SIP or to the worker for each.

Decides nothing. A command for a leg that is over meanwhile is a no-op: the other side hung up
while the facts beside the command were being committed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.conference.api import (
    AnswerLeg,
    CancelDial,
    ConferenceCommand,
    EnterMix,
    HangUpLeg,
    LeaveMix,
    PlayPrompts,
    PlayToMix,
    RecordName,
    RefuseLeg,
    SetLegGain,
    SetLegMuted,
    StopName,
    StopPrompts,
)
from bridge.conference.prompts import CLIP, SOUNDS
from bridge.legtable import LegRecord, LegTable
from bridge.link import (
    Play,
    PlayToGroup,
    SetGain,
    SetGroup,
    SetMuted,
    StopPlay,
    StopTake,
    Take,
    ToWorker,
    clip_name,
)
from bridge.sip.api import Accept, HangUp, LocalMedia, Reject, SipEvent
from bridge.units import FRAME_NS

NO_GROUP: Final = -1

MediaCommand = (
    PlayPrompts
    | StopPrompts
    | EnterMix
    | LeaveMix
    | SetLegMuted
    | SetLegGain
    | RecordName
    | StopName
)
"""Commands that are one message to a leg's worker each."""


class SipOrders(Protocol):
    """The part of the SIP shell that takes orders."""

    def order(self, event: SipEvent, /) -> None:
        """Carry out one order."""


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Turns commands into messages for legs that are still there."""

    sip: SipOrders
    to_worker: Callable[[ToWorker], None]
    legs: LegTable

    def carry_out(self, command: ConferenceCommand) -> None:
        """Do one command; `OpenMedia`, `DialLeg` and `Refused` are the server's own."""
        match command:
            case PlayToMix(occurrence, prompts, language):
                clips = tuple(clip_of(prompt, language) for prompt in prompts)
                self.to_worker(PlayToGroup(self.legs.group_of(occurrence), clips))
            case RefuseLeg(leg, status, reason):
                self.sip.order(Reject(leg, status, reason))
            case HangUpLeg(leg, reason):
                self.sip.order(HangUp(leg, reason))
            case CancelDial(leg):
                self.sip.order(HangUp(leg))
            case AnswerLeg(leg):
                record = self.legs.get(leg)
                if record and record.opened:
                    media = LocalMedia(record.opened.host, record.opened.port)
                    self.sip.order(Accept(leg, media))
            case (
                PlayPrompts(leg)
                | StopPrompts(leg)
                | EnterMix(leg)
                | LeaveMix(leg)
                | SetLegMuted(leg)
                | SetLegGain(leg)
                | RecordName(leg)
                | StopName(leg)
            ):
                record = self.legs.get(leg)
                if record:
                    self.to_worker(self._media_order(record, command))
            case _:
                pass

    def _media_order(
        self,
        record: LegRecord,
        command: MediaCommand,
    ) -> ToWorker:
        number = record.number
        match command:
            case PlayPrompts(_, prompts, token, loop, language):
                clips = tuple(clip_of(prompt, language) for prompt in prompts)
                return Play(number, clips, token, loop)
            case StopPrompts():
                return StopPlay(number)
            case EnterMix(leg, occurrence):
                return SetGroup(number, self.legs.group_of(occurrence), leg)
            case LeaveMix():
                return SetGroup(number, NO_GROUP)
            case SetLegMuted(_, muted):
                return SetMuted(number, muted)
            case SetLegGain(_, gain_db):
                return SetGain(number, gain_db)
            case RecordName(_, clip, time_ns):
                return Take(number, clip, time_ns // FRAME_NS)
            case StopName():
                return StopTake(number)


def clip_of(prompt: str, language: str) -> str:
    """Return the worker's name of a prompt; sounds and files have no language.

    >>> clip_of("greeting", "fr"), clip_of("hold-music", "fr"), clip_of("greeting", "en")
    ('fr/greeting', 'hold-music', 'greeting')
    """
    plain = prompt in SOUNDS or prompt.startswith(CLIP)
    return prompt if plain else clip_name(language, prompt)
