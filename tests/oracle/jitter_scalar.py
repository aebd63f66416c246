"""One leg's jitter buffer, a cell list and plain integers: the twin of `bridge.media.jitter`."""

from dataclasses import dataclass, field

from bridge.media import jitter as rules
from bridge.media.shape import FRAME

CIRCLE = 2**32


def signed(value: int) -> int:
    value %= CIRCLE
    return value - CIRCLE if value >= CIRCLE // 2 else value


@dataclass
class Cell:
    ts: int = -1
    samples: list[int | None] = field(default_factory=lambda: [0] * FRAME)


@dataclass
class Tick:
    """What one tick plays: the frame, or None for one to be made up or silence."""

    frame: list[int | None] | None
    made_up: bool
    held: bool
    resumed: int
    merged: bool


@dataclass
class Buffer:
    cells: dict[int, Cell] = field(default_factory=dict)
    started: bool = False
    ssrc: bytes = b""
    play_ts: int = 0
    run: int = rules.RUN_MAX
    gap: int = rules.RUN_MAX
    low: list[int | None] = field(default_factory=lambda: [None, None])
    late_by: int = 0
    wish: int = 0
    wish_age: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def insert(self, ts: int, ssrc: bytes, samples: list[int], *, waits: int = 0) -> None:
        ahead = signed(ts - self.play_ts)
        slack = ahead // FRAME
        if (
            not self.started
            or ssrc != self.ssrc
            or slack > rules.SLACK_MAX
            or slack < -rules.LATE_MAX
        ):
            if self.started:
                self.count("resync")
            self.cells.clear()
            self.started, self.ssrc = True, ssrc
            slack = rules.START_SLACK - (waits >= rules.EARLY_SAMPLES)
            self.play_ts = (ts - slack * FRAME) % CIRCLE
            self.low, self.late_by, self.wish = [None, None], 0, 0
            ahead = slack * FRAME
        if slack < 0:
            if -slack <= min(self.gap, rules.WAIT_MAX):
                self.count("pulled_back")
                for step in range(-slack):  # made up for these: not history any more
                    self.cells.pop((self.play_ts + (slack + step) * FRAME) % CIRCLE, None)
                self.play_ts = (self.play_ts + slack * FRAME) % CIRCLE
                self.gap += slack
                self.low = [None if low is None else low - slack * FRAME for low in self.low]
                ahead, slack = ahead - slack * FRAME, 0
            else:
                self.count("late")
                self.late_by = max(self.late_by, min(-slack, rules.WAIT_MAX))
                if len(samples) <= -ahead:
                    return
        waits += slack * FRAME
        self.low[0] = waits if self.low[0] is None else min(self.low[0], waits)
        whole = len(samples) == FRAME and ahead % FRAME == 0
        for n, sample in enumerate(samples):
            number, offset = divmod(ahead + n, FRAME)
            stamp = (self.play_ts + number * FRAME) % CIRCLE
            cell = self.cells.get(stamp)
            if cell is None:
                cell = self.cells[stamp] = Cell(stamp, [None] * FRAME)
            elif whole and n == 0:
                self.count("duplicate")
            cell.samples[offset] = sample

    def tick(self, tick: int, slot: int) -> Tick:
        cell = self.cells.get(self.play_ts) if self.started else None
        held, merged = self._adjust(cell, tick)
        if held:
            cell = None
        before = self.run
        self.run = 0 if cell else min(self.run + 1, rules.RUN_MAX)
        made_up = cell is None and self.run <= rules.CONCEAL_MAX
        resumed = before if cell and 0 < before <= rules.CONCEAL_MAX else 0
        played = Tick(cell.samples if cell else None, made_up, held, resumed, merged)
        if made_up and not held:
            self.cells[self.play_ts] = Cell(self.play_ts)  # kept as history
        self.gap = 0 if cell else min(self.gap + (not held), rules.RUN_MAX)
        self.play_ts = (self.play_ts + FRAME * (1 - held + merged)) % CIRCLE
        for ts in [ts for ts in self.cells if signed(ts - self.play_ts) < -5 * FRAME]:
            del self.cells[ts]
        turns = rules.WINDOW // rules.JUDGE_EVERY
        if tick % rules.WINDOW == slot % turns * rules.JUDGE_EVERY:
            self._judge()
        return played

    def _adjust(self, cell: Cell | None, tick: int) -> tuple[bool, bool]:
        looks = tick % rules.WISH_EVERY == 0
        if self.late_by == 0 and not (looks and self.wish):
            return False, False
        self.wish_age += rules.WISH_EVERY * looks
        quiet = cell is None or max(abs(s or 0) for s in cell.samples) < rules.SPOKE
        if self.late_by > 0:
            self.late_by -= 1
            self._waits(FRAME)
            self.wish = 0
            return True, False
        if self.wish > 0 and quiet:
            self._waits(FRAME)
            self.wish = 0
            return True, False
        following = self.cells.get((self.play_ts + FRAME) % CIRCLE)
        if self.wish < 0 and following and (quiet or self.wish_age > rules.FORCE_AFTER):
            self._waits(-FRAME)
            self.wish = 0
            return False, True
        return False, False

    def _waits(self, step: int) -> None:
        self.low = [None if low is None else low + step for low in self.low]

    def _judge(self) -> None:
        was = self.wish
        self.wish = 0
        if self.low[0] is not None and self.low[1] is not None:
            least = min(self.low[0], self.low[1])
            self.wish = -1 if least >= rules.WAITS_END else int(least < rules.WAITS_MIN)
        if not (was < 0 and self.wish < 0):
            self.wish_age = 0
        self.low = [None, self.low[0]]
