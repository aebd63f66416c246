"""One leg's voice activity in plain numbers: the twin of `bridge.media.voice`."""

from dataclasses import dataclass

from bridge.media import voice as rules


@dataclass
class Ear:
    noise: float = rules.NOISE_MIN
    streak: int = 0
    talking: bool = False

    def look(self, samples: list[int]) -> bool:
        """Take in a frame; return whether `talking` changed."""
        level = sum(sample * sample for sample in samples) / len(samples)
        threshold = max(self.noise * rules.START_TIMES, rules.START_POWER)
        talk = level > (threshold / 2 if self.talking else threshold)
        self.streak = self.streak + 1 if talk != self.talking else 0
        wanted = rules.STOP_LOOKS if self.talking else rules.START_LOOKS
        changed = self.streak >= wanted
        if changed:
            self.talking, self.streak = not self.talking, 0
        if level < self.noise:
            self.noise += (level - self.noise) * rules.FALL
        else:
            self.noise *= rules.RISE
        self.noise = min(max(self.noise, rules.NOISE_MIN), rules.NOISE_MAX)
        return changed
