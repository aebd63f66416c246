"""Rate conversion sample by sample: put zeros in or take samples out around one FIR filter."""

from collections.abc import Sequence


def up(samples: Sequence[float], taps: Sequence[float], factor: int) -> list[float]:
    spread = [0.0] * (len(samples) * factor)
    spread[::factor] = [float(value) * factor for value in samples]
    return filtered(spread, taps)


def down(samples: Sequence[float], taps: Sequence[float], factor: int) -> list[float]:
    return filtered(samples, taps)[factor - 1 :: factor]


def filtered(samples: Sequence[float], taps: Sequence[float]) -> list[float]:
    return [
        sum(taps[k] * samples[n - k] for k in range(min(n + 1, len(taps))))
        for n in range(len(samples))
    ]
