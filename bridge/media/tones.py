"""Keys as tones in the audio (ITU-T Q.23, Q.24), for legs without telephone-events.

Knows frames, nothing of RTP. Each half frame the energy of the eight frequencies is measured over
13 ms, as Goertzel's filters would; all legs and windows are one matrix product. A window is a hit
when two tones, one of each group, are nearly all there is. Two hits in a row are a key; what only
sounds like one, for instance a vowel, does not keep both frequencies so clean for so long.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.dtmf import Key
from bridge.media.shape import FRAME
from bridge.units import SAMPLE_RATE_HZ

WINDOW: Final = 104
"""Samples of a window: the frequencies of a group are one bin apart."""

HOP: Final = 80
ROWS_HZ: Final = (697, 770, 852, 941)
COLUMNS_HZ: Final = (1_209, 1_336, 1_477, 1_633)
KEYPAD: Final = "123A456B789C*0#D"

PURITY_MIN: Final = 0.7
"""Share of the energy that both tones have at least."""

TWIST_MAX: Final = 8.0
"""Power of the stronger tone over the weaker, 9 dB."""

POWER_MIN: Final = 300.0**2 / 2
"""Power of the weaker tone at the least, -41 dBFS."""

HITS_MIN: Final = 2
MISSES_MAX: Final = 2
"""Windows without the key after which it is up."""

CLIP_S: Final = 0.12
CLIP_PEAK: Final = 4_000.0
"""How long and how loud a key is heard where keys are passed on: each tone at -18 dBFS."""

_TAIL = WINDOW - HOP
_TURN = 2 * np.pi * np.arange(WINDOW)[:, None] * np.array([*ROWS_HZ, *COLUMNS_HZ])
_ANGLE = _TURN / SAMPLE_RATE_HZ
_BASIS: Final = np.concatenate([np.cos(_ANGLE), np.sin(_ANGLE)], axis=1).astype(np.float32)
_SILENT = -1


@dataclass(slots=True)
class Tones:
    """Row i of every array is leg slot i; L = leg slots.

    Attributes:
        tail: (L, WINDOW - HOP) int16, the end of the leg's last frame.
        code: (L,) int64, index into KEYPAD of the key that is or may be down, -1 for none.
        hits, misses: (L,) int64, windows with it, and windows in a row without.
    """

    tail: NDArray[np.int16]
    code: NDArray[np.int64]
    hits: NDArray[np.int64]
    misses: NDArray[np.int64]

    @classmethod
    def of(cls, legs_max: int) -> "Tones":
        """Return idle rows."""
        return cls(
            tail=np.zeros((legs_max, _TAIL), np.int16),
            code=np.full(legs_max, _SILENT),
            hits=np.zeros(legs_max, np.int64),
            misses=np.zeros(legs_max, np.int64),
        )

    def open_leg(self, slot: int) -> None:
        """Make a row idle."""
        self.tail[slot] = 0
        self.code[slot] = _SILENT
        self.hits[slot] = self.misses[slot] = 0


def clip_name(key: str) -> str:
    """Return the name of the clip that sounds like a key.

    >>> clip_name("5")
    'key/5'
    """
    return f"key/{key}"


def clips() -> dict[str, NDArray[np.int16]]:
    """Return what the sixteen keys sound like, by clip name."""
    t = np.arange(round(CLIP_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    turn = 2 * np.pi * t
    made = {}
    for at, key in enumerate(KEYPAD):
        row, column = ROWS_HZ[at // len(COLUMNS_HZ)], COLUMNS_HZ[at % len(COLUMNS_HZ)]
        both = np.sin(turn * row) + np.sin(turn * column)
        made[clip_name(key)] = np.asarray(CLIP_PEAK * both, np.int16)
    return made


def codes_of(windows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return which key each of `windows`, (n, WINDOW) float32, holds; -1 for none."""
    part = windows @ _BASIS
    power = (part[:, :8] ** 2 + part[:, 8:] ** 2) * (2 / WINDOW**2)
    total = np.einsum("nw,nw->n", windows, windows) / WINDOW
    row, column = power[:, :4].argmax(axis=1), power[:, 4:].argmax(axis=1)
    each = np.arange(len(windows))
    low, high = power[each, row], power[each, 4 + column]
    hit = low + high > PURITY_MIN * total
    hit &= np.minimum(low, high) * TWIST_MAX > np.maximum(low, high)
    hit &= np.minimum(low, high) > POWER_MIN
    return np.where(hit, row * 4 + column, _SILENT)


def hear(
    state: Tones, slots: NDArray[np.int64], frames: NDArray[np.int16]
) -> tuple[list[Key], NDArray[np.bool_]]:
    """Take in a frame of each of `slots`, (n, S); return keys that are up again, and who beeps.

    The second is (n,) bool: the leg's frame holds a key's tones and should not be heard.
    """
    both = np.concatenate([state.tail[slots], frames], axis=1).astype(np.float32)
    state.tail[slots] = frames[:, FRAME - _TAIL :]
    looks = FRAME // HOP
    windows = np.stack([both[:, at * HOP : at * HOP + WINDOW] for at in range(looks)])
    codes = codes_of(windows.reshape(-1, WINDOW)).reshape(looks, -1)
    keys: list[Key] = []
    for code in codes:  # two of a frame
        keys += _one_look(state, slots, code)
    return keys, (codes != _SILENT).any(axis=0)


def _one_look(state: Tones, slots: NDArray[np.int64], code: NDArray[np.int64]) -> list[Key]:
    """Take in one window of each slot."""
    down = state.code[slots]
    same = (code == down) & (code != _SILENT)
    state.hits[slots] += same
    state.misses[slots] = np.where(same, 0, state.misses[slots] + 1)
    other = (code != _SILENT) & ~same
    over = ~same & (down != _SILENT) & (other | (state.misses[slots] >= MISSES_MAX))
    up = slots[over & (state.hits[slots] >= HITS_MIN)]
    keys = [
        Key(slot, KEYPAD[key], hits * HOP * 1_000 // SAMPLE_RATE_HZ)
        for slot, key, hits in zip(
            up.tolist(), state.code[up].tolist(), state.hits[up].tolist(), strict=True
        )
    ]
    state.code[slots[over]] = _SILENT
    fresh = slots[other]
    state.code[fresh], state.hits[fresh], state.misses[fresh] = code[other], 1, 0
    return keys
