"""Keeps what a sample of listeners receives in a turn, with who was to be heard; arrays only."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.load.crowd import Crowd
from bridge.lab.load.ears import Capture
from bridge.lab.load.streams import rounds
from bridge.lab.load.voices import SILENCE, SILENT_TICKS, TURN_TICKS, turn_at
from bridge.lab.load.wire import ROW_BYTES
from bridge.units import FRAME_SAMPLES

Ints = NDArray[np.int64]

PACKETS_MAX: Final = TURN_TICKS + 20
"""Of one listener in one turn; more than come are a burst of late ones."""

END_TICK: Final = TURN_TICKS - 2
HEADER_BYTES: Final = 12
PACKET_BYTES: Final = HEADER_BYTES + FRAME_SAMPLES
assert ROW_BYTES >= PACKET_BYTES


@dataclass(slots=True)
class _Open:
    """A sample that is being taken, and who was there when it began."""

    turn: int
    began_ns: int
    listener: Ints
    there: NDArray[np.bool_]
    steady: NDArray[np.bool_]
    count: Ints
    codes: NDArray[np.uint8]
    seq: Ints
    came_ns: Ints
    lead_ns: Ints


@dataclass(slots=True)
class Sampler:
    """Draws listeners each turn and keeps their packets.

    Attributes:
        sample: listeners of a turn of even, or odd, conferences.
    """

    crowd: Crowd
    codec: str
    amplitude: float
    sample: int
    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    _open: list[_Open | None] = field(default_factory=lambda: [None, None])
    _row: Ints = field(init=False)
    """(N,) row of each caller in the sample of his half, -1 for none."""
    _queue: list[list[int]] = field(default_factory=lambda: [[], []])

    def __post_init__(self) -> None:
        """Take the arrays."""
        self._row = np.full(self.crowd.count, -1)

    def begin(self, half: int, turn: int, now_ns: int) -> None:
        """Draw the listeners of a turn: nobody twice before everybody has been drawn."""
        crowd = self.crowd
        steady = crowd.steady(now_ns)
        queue = [caller for caller in self._queue[half] if steady[caller]]
        if len(queue) < self.sample:
            mine = np.flatnonzero(steady & (crowd.half == half))
            fresh = self.draw.permutation(mine).tolist()
            queue += [caller for caller in fresh if caller not in set(queue)]
        self._queue[half] = queue[self.sample :]
        listener = np.sort(np.array(queue[: self.sample], np.int64))
        mine = crowd.half == half
        self._row[mine] = -1
        self._row[listener] = np.arange(len(listener))
        rows = len(listener)
        self._open[half] = _Open(
            turn=turn,
            began_ns=now_ns,
            listener=listener,
            there=crowd.sending.copy(),
            steady=steady,
            count=np.zeros(rows, np.int64),
            codes=np.zeros((rows, PACKETS_MAX, FRAME_SAMPLES), np.uint8),
            seq=np.zeros((rows, PACKETS_MAX), np.int64),
            came_ns=np.zeros((rows, PACKETS_MAX), np.int64),
            lead_ns=np.zeros(crowd.count, np.int64),
        )

    def take(
        self, caller: Ints, seq: Ints, came_ns: Ints, data: NDArray[np.uint8], at: Ints
    ) -> None:
        """Keep the packets of listeners: (n,) each, and their rows `at` in `data`."""
        for half, sample in enumerate(self._open):
            if sample is None:
                continue
            kept = (self._row[caller] >= 0) & (self.crowd.half[caller] == half)
            mine = np.flatnonzero(kept)
            for one in rounds(caller[mine]):  # bound: packets of one caller in one tick
                chosen = mine[one]
                row = self._row[caller[chosen]]
                fits = sample.count[row] < PACKETS_MAX
                chosen, row = chosen[fits], row[fits]
                place = sample.count[row]
                sample.codes[row, place] = data[at[chosen], HEADER_BYTES:PACKET_BYTES]
                sample.seq[row, place] = seq[chosen]
                sample.came_ns[row, place] = came_ns[chosen]
                sample.count[row] += 1

    def step(self, tick: int, now_ns: int) -> list[Capture]:
        """Take notice that a tick is over; return the samples that it completes."""
        done = []
        for half in (0, 1):
            turn, at = turn_at(tick, half)
            sample = self._open[half]
            if sample is not None and at == SILENT_TICKS:
                sample.lead_ns = np.where(self.crowd.leads, self.crowd.sent_ns, 0)
            if sample is not None and (at >= END_TICK or turn != sample.turn):
                self._open[half] = None
                if turn == sample.turn:
                    done.append(self._capture(half, sample))
            if at == TURN_TICKS - 1:
                self.begin(half, turn + 1, now_ns)
        return done

    def drop(self) -> None:
        """Give up the samples that are being taken: the grid has a hole."""
        self._open = [None, None]

    def _capture(self, half: int, sample: _Open) -> Capture:
        """Return a sample with who had to be heard in it."""
        crowd = self.crowd
        # A caller who hung up and came back within the turn is not steady any more.
        steady = sample.steady & crowd.sending & (crowd.steady_ns <= sample.began_ns)
        rows = np.flatnonzero(steady[sample.listener])
        listener = sample.listener[rows]
        tone = np.full((len(listener), crowd.talkers), SILENCE)
        caller = np.full((len(listener), crowd.talkers), -1)
        lead = np.full(len(listener), -1)
        lead_ns = np.zeros(len(listener), np.int64)
        talking = np.flatnonzero(crowd.place >= 0)
        order = talking[np.argsort(crowd.conference[talking], kind="stable")]
        theirs = crowd.conference[listener]
        bounds = np.searchsorted(crowd.conference[order], np.stack([theirs, theirs + 1]))
        for row, (first, end) in enumerate(bounds.T.tolist()):  # bound: the sample
            who = order[first:end]
            tone[row, crowd.place[who]] = crowd.tone[who]
            caller[row, crowd.place[who]] = who
            leader = who[crowd.leads[who] & (sample.lead_ns[who] > 0)]
            if len(leader) and leader[0] != listener[row]:
                lead[row], lead_ns[row] = crowd.place[leader[0]], sample.lead_ns[leader[0]]
        most = int(sample.count[rows].max(initial=1))
        known = np.maximum(caller, 0)
        must = (caller >= 0) & steady[known]
        may = (caller >= 0) & (sample.there | crowd.sending)[known]
        return Capture(
            turn=sample.turn,
            half=half,
            began_ns=sample.began_ns,
            codec=self.codec,
            amplitude=self.amplitude,
            listener=listener,
            conference=theirs,
            tone=tone,
            caller=caller,
            must=must,
            may=may,
            lead=lead,
            lead_ns=lead_ns,
            count=sample.count[rows],
            codes=sample.codes[rows, :most],
            seq=sample.seq[rows, :most],
            came_ns=sample.came_ns[rows, :most],
        )
