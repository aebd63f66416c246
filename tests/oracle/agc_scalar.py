"""Automatic gain and gate of one leg, sample by sample."""

from dataclasses import dataclass
from math import sqrt

TARGET, SPEECH = 3_276.8**2, 60.0**2


@dataclass
class Leg:
    automatic_gain: bool
    noise_gate: bool
    noise: float = SPEECH / 8
    level: float = TARGET
    gain: float = 1.0
    door: float = 1.0
    last: float = 1.0
    since: int = 0

    def frame(self, samples: list[int]) -> list[int]:
        power = sum(value * value for value in samples) / len(samples)
        speech = power > max(self.noise * 8, SPEECH)
        if power < self.noise:
            self.noise += (power - self.noise) * 0.25
        else:
            self.noise *= 1.005
        self.noise = min(max(self.noise, 1.0), 600.0**2)
        self.since = 0 if speech else self.since + 1
        if self.automatic_gain and speech:
            self.level += (power - self.level) * (0.3 if power > self.level else 0.03)
            wanted = min(max(sqrt(TARGET / max(self.level, 1.0)), 0.25), 4.0)
            self.gain *= min(max(wanted / self.gain, 10 ** (-1 / 20)), 10 ** (0.1 / 20))
        if self.noise_gate:
            self.door = 1.0 if self.since < 15 else max(self.door * 0.8, 0.1)
        peak = max(abs(value) for value in samples)
        after = min(self.gain * self.door, 32_000 / max(peak, 1))
        out = []
        for n, value in enumerate(samples):
            share = (n + 1) / len(samples)
            share = min(share * 4, 1.0) if after > self.last else share
            factor = self.last + (after - self.last) * share
            out.append(min(max(round(value * factor), -32_768), 32_767))
        self.last = after
        return out
