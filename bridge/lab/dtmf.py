"""Finds the tones of keys in received samples: two of eight frequencies at once (ITU-T Q.23).

Pure array work; callers' own tones are fitted beside them, so that no voice is taken for a key.
"""

import itertools
from collections.abc import Iterable
from typing import Final

import numpy as np

from bridge.lab.places import Reals
from bridge.lab.voice import FULL_SCALE
from bridge.units import SAMPLE_RATE_HZ

LOW_HZ: Final = (697, 770, 852, 941)
HIGH_HZ: Final = (1_209, 1_336, 1_477, 1_633)
KEYS: Final = ("123A", "456B", "789C", "*0#D")
BLOCK: Final = SAMPLE_RATE_HZ // 25
STEP: Final = BLOCK // 2
"""40 ms, every 20: the shortest key that a receiver must take fills one."""

HEARD_DBFS: Final = -38.0
TWIST_DB_MAX: Final = 9.0
OTHERS_DB: Final = 8.0
"""How much the pair must be above every other key frequency: speech and music are not."""

LEFT_MAX: Final = 0.1
"""Share of a block's energy that keys and voices may leave unexplained: speech leaves more."""

APART_HZ: Final = 35
"""A key frequency nearer to a caller's tone cannot be told from it and is left out."""


def keys_heard(pcm: Reals, tones_hz: Iterable[int]) -> str:
    """Return the keys whose tones are in the samples, in order, each once for as long as it lasts.

    A key counts when two blocks that follow each other hold it.
    """
    blocks = [pcm[at : at + BLOCK] for at in range(0, len(pcm) - BLOCK + 1, STEP)]
    tones = sorted(set(tones_hz))
    known = [f for f in (*LOW_HZ, *HIGH_HZ) if all(abs(f - tone) >= APART_HZ for tone in tones)]
    if not blocks or not known:
        return ""
    angles = 2 * np.pi * np.outer(np.arange(BLOCK) / SAMPLE_RATE_HZ, [*known, *tones])
    weight = np.sqrt(np.hanning(BLOCK + 2)[1:-1])[:, None]
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * weight
    heard = np.stack(blocks).T * weight
    fitted = np.linalg.pinv(waves, rcond=1e-2) @ heard
    left = np.sum((heard - waves @ fitted) ** 2, axis=0)
    plain = left <= LEFT_MAX * np.sum(heard**2, axis=0)
    count = len(fitted) // 2
    level = 20 * np.log10(np.maximum(np.hypot(fitted[:count], fitted[count:]) / FULL_SCALE, 1e-6))
    named = [
        _key_of(dict(zip(known, row, strict=False))) if sure else ""
        for row, sure in zip(level.T, plain, strict=True)
    ]
    result, last = "", ""
    for one, other in itertools.pairwise(named):
        both = one if one == other else ""
        if both and both != last:
            result += both
        last = both
    return result


def _key_of(level: dict[int, float]) -> str:
    """Return the key whose two frequencies stand out, "" when none does."""
    low = max((f for f in LOW_HZ if f in level), key=lambda f: level[f], default=0)
    high = max((f for f in HIGH_HZ if f in level), key=lambda f: level[f], default=0)
    if not low or not high:
        return ""
    weaker = min(level[low], level[high])
    others = [value for f, value in level.items() if f not in {low, high}]
    clear = weaker - max(others, default=-120.0) >= OTHERS_DB
    even = abs(level[low] - level[high]) <= TWIST_DB_MAX
    return (
        KEYS[LOW_HZ.index(low)][HIGH_HZ.index(high)]
        if (weaker >= HEARD_DBFS and clear and even)
        else ""
    )
