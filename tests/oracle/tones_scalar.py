"""One leg's in-band keys by Goertzel's recursion, sample by sample: the twin of `tones`."""

import math
from dataclasses import dataclass, field

from bridge.media import tones as rules


def power(samples: list[int], hertz: int) -> float:
    """Return the power of a frequency, that of a sine of amplitude A being A squared over 2."""
    turn = 2 * math.pi * hertz / 8_000
    one = two = 0.0
    for sample in samples:
        one, two = sample + 2 * math.cos(turn) * one - two, one
    square = one * one + two * two - 2 * math.cos(turn) * one * two
    return 2 * square / len(samples) ** 2


def code(samples: list[int]) -> int:
    rows = [power(samples, hertz) for hertz in rules.ROWS_HZ]
    columns = [power(samples, hertz) for hertz in rules.COLUMNS_HZ]
    low, high = max(rows), max(columns)
    total = sum(sample * sample for sample in samples) / len(samples)
    if low + high <= rules.PURITY_MIN * total or min(low, high) <= rules.POWER_MIN:
        return -1
    if min(low, high) * rules.TWIST_MAX <= max(low, high):
        return -1
    return rows.index(low) * 4 + columns.index(high)


@dataclass
class Ear:
    tail: list[int] = field(default_factory=lambda: [0] * 24)
    down: int = -1
    hits: int = 0
    misses: int = 0

    def frame(self, samples: list[int]) -> tuple[list[tuple[str, int]], bool]:
        both, keys, beeps = self.tail + samples, [], False
        self.tail = samples[-24:]
        for at in (0, 80):
            heard = code(both[at : at + 104])
            beeps |= heard >= 0
            if heard >= 0 and heard == self.down:
                self.hits, self.misses = self.hits + 1, 0
                continue
            self.misses += 1
            if self.down >= 0 and (heard >= 0 or self.misses >= 2):
                if self.hits >= 2:
                    keys.append((rules.KEYPAD[self.down], self.hits * 10))
                self.down = -1
            if heard >= 0:
                self.down, self.hits, self.misses = heard, 1, 0
        return keys, beeps
