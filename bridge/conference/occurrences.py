"""One meeting of a session (D6), as a record.

Knows who is in it and where. It must not know when it starts or closes.
"""

from dataclasses import dataclass, field

from bridge.conference.api import OccurrenceView, Role, SessionSpec
from bridge.conference.legs import Leg
from bridge.units import ConfMs, LegId, OccurrenceId


@dataclass(slots=True)
class Occurrence:
    """An open occurrence. The sets are dicts, so that they keep the order of coming.

    Attributes:
        spec: its session as scheduled now; replaced when the session is changed (R10).
        legs: every identified leg that has not left, also one that hears why it must go.
        admitted: those let in: waiting or joined.
        mixed: those in the mix.
        organizers: those whose PIN was right.
        facts: how many facts it has, so the number of its last one.
        empty_since: when its last leg left; None while it has one.
        gone_at: when it was last left without an organizer after the start (D17).
        gone_ms: how long it goes on from then.
        handed_over: that organizer left by `#2`.
        gone_warned: the warning of that end has been played.
        locked: nobody else is let in.
        lecture: participants are heard only with the floor.
        mute_all: participants who come start muted.
        language: of what everybody hears: the last organizer's.
        record: it is to be recorded; `recording`: it is now; `parts`: how often that began.
    """

    id: OccurrenceId
    spec: SessionSpec
    legs: dict[LegId, Leg] = field(default_factory=dict)
    admitted: dict[LegId, Leg] = field(default_factory=dict)
    mixed: dict[LegId, Leg] = field(default_factory=dict)
    organizers: dict[LegId, Leg] = field(default_factory=dict)
    started: bool = False
    facts: int = 0
    empty_since: ConfMs | None = None
    gone_at: ConfMs | None = None
    gone_ms: int = 0
    gone_warned: bool = False
    handed_over: bool = False
    locked: bool = False
    lecture: bool = False
    mute_all: bool = False
    language: str = "en"
    record: bool = False
    recording: bool = False
    parts: int = 0

    def participants(self) -> list[Leg]:
        """Return the admitted legs that are no organizer's, in the order of coming."""
        return [leg for leg in self.admitted.values() if leg.role is Role.PARTICIPANT]

    @property
    def view(self) -> OccurrenceView:
        """What the page shows."""
        return OccurrenceView(
            session=self.spec.id,
            occurrence=self.id,
            account=self.spec.account,
            started=self.started,
            locked=self.locked,
            lecture=self.lecture,
            mute_all=self.mute_all,
            participants=len(self.admitted),
            organizers=len(self.organizers),
            recording=self.recording,
            part=self.parts,
        )
