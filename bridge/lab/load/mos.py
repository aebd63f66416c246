"""An estimate of speech quality from loss and delay: the E-model of ITU-T G.107, simplified.

No echo, no noise, no loudness fault, narrow band: what remains is R = 93.2 - Id - Ie,eff. It is
what networks are planned with; it has listened to nothing.
"""

import math
from typing import Final

R_BASE: Final = 93.2
BPL: Final = 25.1
"""Robustness of G.711 with concealment against random loss (G.113 Appendix I)."""

DELAY_FREE_MS: Final = 100.0
PACKET_MS: Final = 20.0
PLAYOUT_MS: Final = 40.0
"""What the listener's own jitter buffer is taken to add."""

MOS_BEST: Final = 4.41


def r_factor(loss: float, bridge_delay_ms: float) -> float:
    """Return R for a share of lost packets in [0, 1] and the delay that the bridge adds.

    >>> round(r_factor(0.0, 30.0), 1), round(r_factor(0.03, 30.0), 1)
    (93.2, 83.1)
    """
    percent = 100.0 * loss
    impairment = 95.0 * percent / (percent + BPL)
    return R_BASE - impairment - _delay_impairment(PACKET_MS + bridge_delay_ms + PLAYOUT_MS)


def _delay_impairment(one_way_ms: float) -> float:
    """Return Idd of G.107 (7-27): nothing up to 100 ms."""
    if one_way_ms <= DELAY_FREE_MS:
        return 0.0
    x = math.log2(one_way_ms / DELAY_FREE_MS)
    sixth = 1.0 / 6.0
    return float(25.0 * ((1.0 + x**6) ** sixth - 3.0 * (1.0 + (x / 3.0) ** 6) ** sixth + 2.0))


def mos(loss: float, bridge_delay_ms: float) -> float:
    """Return the mean opinion score, 1 to 4.41.

    >>> round(mos(0.0, 30.0), 2), round(mos(0.05, 30.0), 2), mos(1.0, 500.0)
    (4.41, 3.92, 1.0)
    """
    r = min(max(r_factor(loss, bridge_delay_ms), 0.0), 100.0)
    return max(1.0, 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6)
