"""State of all callers: who sends, where to, and what he says in each tick; arrays only.

Row i is caller i everywhere. Knows the plan of voices; knows no socket and no clock.
"""

from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from bridge.lab.load.voices import (
    LEAD_TICKS,
    SILENCE,
    SILENT_TICKS,
    place_of,
    tone_of,
    turn_at,
)

Ints = NDArray[np.int64]
NEVER_NS: Final = 1 << 62


@dataclass(slots=True)
class Crowd:
    """N callers in C conferences.

    Attributes:
        conference, seat: (N,) where each sits; `size`: (N,) seats of his conference.
        sending: (N,) bool, in a call; `steady_ns`: (N,) from when on he is judged, monotonic.
        destination: (N,) uint64, as batches write it.
        payload_type, dtmf_type: (N,) of the codec and of telephone-event, -1 for none.
        seq, ts, ssrc: (N,) of the next packet.
        sent_ns: (N,) when the last packet left.
        place, tone: (N,) of this turn, -1 and SILENCE for who does not talk.
        leads: (N,) bool, who leads in his conference in this turn.
        half: (N,) 0 in even, 1 in odd conferences: theirs begin turns at other times.
    """

    talkers: int
    conference: Ints
    seat: Ints
    size: Ints
    sending: NDArray[np.bool_] = field(init=False)
    steady_ns: Ints = field(init=False)
    destination: NDArray[np.uint64] = field(init=False)
    payload_type: Ints = field(init=False)
    dtmf_type: Ints = field(init=False)
    seq: Ints = field(init=False)
    ts: Ints = field(init=False)
    ssrc: Ints = field(init=False)
    sent_ns: Ints = field(init=False)
    place: Ints = field(init=False)
    tone: Ints = field(init=False)
    leads: NDArray[np.bool_] = field(init=False)
    half: Ints = field(init=False)
    _turn: list[int] = field(default_factory=lambda: [-1, -1])

    @classmethod
    def new(cls, conference: Ints, seat: Ints, talkers: int) -> Self:
        """Return a crowd of which nobody is in a call, (N,) conferences and (N,) seats."""
        return cls(talkers, conference, seat, np.bincount(conference)[conference])

    def __post_init__(self) -> None:
        """Take the arrays."""
        count = len(self.conference)
        for name in ("payload_type", "seq", "ts", "ssrc", "sent_ns"):
            setattr(self, name, np.zeros(count, np.int64))
        self.sending, self.leads = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        self.steady_ns = np.full(count, NEVER_NS)
        self.destination = np.zeros(count, np.uint64)
        self.dtmf_type, self.place = np.full(count, -1), np.full(count, -1)
        self.tone = np.full(count, SILENCE)
        self.half = self.conference % 2

    @property
    def count(self) -> int:
        """How many callers there are."""
        return len(self.conference)

    def begin(self, caller: int, steady_ns: int, seed: NDArray[np.uint8]) -> None:
        """Put a caller in a call; ten random bytes give him his RTP numbers."""
        raw = seed.tobytes()
        self.seq[caller] = int.from_bytes(raw[:2])
        self.ts[caller] = int.from_bytes(raw[2:6])
        self.ssrc[caller] = int.from_bytes(raw[6:10])
        self.steady_ns[caller] = steady_ns
        self.sending[caller] = True

    def end(self, caller: int) -> None:
        """Take a caller out of his call."""
        self.sending[caller] = False
        self.steady_ns[caller] = NEVER_NS

    def steady(self, now_ns: int) -> NDArray[np.bool_]:
        """Return who is in a call and has settled there."""
        return self.sending & (self.steady_ns <= now_ns)

    def turn(self, tick: int, now_ns: int) -> None:
        """Give the conferences that are in a new turn their tones and leaders."""
        for half in (0, 1):
            number, _ = turn_at(tick, half)
            if number != self._turn[half]:
                self._turn[half] = number
                self._give_tones(np.flatnonzero(self.half == half), number, now_ns)

    def _give_tones(self, who: Ints, turn: int, now_ns: int) -> None:
        place = place_of(self.seat[who], self.size[who], turn, self.talkers)
        tone = tone_of(self.conference[who], turn, np.maximum(place, 0))
        self.place[who] = place
        self.tone[who] = np.where(place >= 0, tone, SILENCE)
        self.leads[who] = False
        able = who[(place >= 0) & self.steady(now_ns)[who]]
        # The first in each conference, counted from a place that moves with the turns.
        order = np.lexsort(((self.place[able] - turn) % self.talkers, self.conference[able]))
        able = able[order]
        first = np.concatenate([[True], np.diff(self.conference[able]) != 0])[: len(able)]
        self.leads[able[first]] = True

    def voice(self, tick: int) -> Ints:
        """Return (N,) indexes of what each says in a tick: a tone, or SILENCE."""
        result = self.tone.copy()
        for half in (0, 1):
            _, at = turn_at(tick, half)
            if at < LEAD_TICKS:
                mine = self.half == half
                result[mine & ~(self.leads & (at >= SILENT_TICKS))] = SILENCE
        return result
