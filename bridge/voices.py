"""What the media side says of legs that talk: who does, how loud, how well, and under which name.

Carries news from workers to the conference core, and keeps what only people look at. It decides
nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bridge.conference.api import ConferenceEvent, LegNamed, LegTalked
from bridge.legtable import LegTable
from bridge.link import FromWorker, Levels, Status, TakeDone, TalkChanged
from bridge.link_rows import FigureRows
from bridge.units import LegId, NowNs

LEGS_KEPT_MAX: Final = 8_192
"""Legs whose quality is kept; the one heard of longest ago is forgotten first."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How a leg's packets come, by the last RTCP report made of it (RFC 3550 §6.4.1).

    Attributes:
        lost: packets that never came, since the leg began.
        loss: share of those lately expected that did not come, in [0, 1].
        jitter_ms: interarrival jitter.
        round_trip_ms: None while not known.
        remote_loss: share of what it was sent lately that did not get there.
        late: packets that came too late to be played.
    """

    lost: int
    loss: float
    jitter_ms: float
    round_trip_ms: float | None
    remote_loss: float
    late: int


class Voices:
    """Levels and quality by leg, and what the core is told of talking and names.

    Attributes:
        levels: dB against full scale of the legs that talk now.
        quality: of every leg that a report was made of.
    """

    def __init__(self, legs: LegTable, step: Callable[[ConferenceEvent], object]) -> None:
        self._legs = legs
        self._step = step
        self.levels: dict[LegId, int] = {}
        self.quality: dict[LegId, Quality] = {}

    def take(self, message: FromWorker) -> None:
        """Take one message of a worker; what is of no concern here is passed over."""
        match message:
            case TalkChanged(talking, quiet):
                self._talk(talking, talking_now=True)
                self._talk(quiet, talking_now=False)
            case TakeDone(number, clip, frames):
                if record := self._legs.by_number(number):
                    self._step(LegNamed(record.leg, clip if frames else ""))
            case Levels(dbfs):
                known = ((self._legs.by_number(number), level) for number, level in dbfs)
                self.levels = {record.leg: level for record, level in known if record}
            case Status(last_packet_ns=last, quality=quality):
                for number, last_packet_ns in last:
                    if record := self._legs.by_number(number):
                        record.last_packet_ns = NowNs(last_packet_ns)
                self._take_quality(quality)
            case _:
                pass

    def _talk(self, numbers: tuple[int, ...], *, talking_now: bool) -> None:
        for number in numbers:
            if record := self._legs.by_number(number):
                self._step(LegTalked(record.leg, talking_now))

    def _take_quality(self, quality: FigureRows) -> None:
        for number, lost, loss, jitter_ms, round_trip_ms, remote_loss, late in quality:
            record = self._legs.by_number(int(number))
            if record is None:
                continue
            self.quality.pop(record.leg, None)
            self.quality[record.leg] = Quality(
                lost=int(lost),
                loss=loss,
                jitter_ms=jitter_ms,
                round_trip_ms=round_trip_ms if round_trip_ms >= 0 else None,
                remote_loss=remote_loss,
                late=int(late),
            )
            if len(self.quality) > LEGS_KEPT_MAX:
                del self.quality[next(iter(self.quality))]
