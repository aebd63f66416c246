"""A leg's volume: how loud the others hear it, and nobody else's."""

import numpy as np
import pytest

from bridge.media.shape import FRAME
from tests.bridge.media.rig import Rig, coded, tone


def heard_levels(made: Rig, ticks: int) -> dict[int, float]:
    """Let slots 0 and 1 speak; return the peak that each of 0, 1 and 2 hears at last."""
    for seq in range(ticks):
        made.tick(
            made.packet(0, seq, coded(tone(500, seq, peak=4_000))),
            made.packet(1, seq, coded(np.zeros(FRAME, np.int16))),
        )
    return {slot: float(np.abs(made.heard(slot).astype(np.int32)).max()) for slot in (0, 1, 2)}


def rig() -> Rig:
    made = Rig()
    for slot in (0, 1, 2):
        made.add(slot, group=1)
    return made


@pytest.mark.parametrize(("factor", "peak"), [(0.5, 2_000), (1.0, 4_000), (2.0, 8_000)])
def test_a_voice_is_as_loud_as_its_gain_says(factor: float, peak: float) -> None:
    made = rig()
    made.plane.gain[0] = factor
    levels = heard_levels(made, 12)
    assert levels[0] < 20, "nobody hears himself, however loud he is"
    assert levels[1] == pytest.approx(peak, rel=0.08)
    assert levels[2] == pytest.approx(peak, rel=0.08)


def test_what_is_too_loud_is_cut_off_and_not_turned_over() -> None:
    made = rig()
    made.plane.gain[0] = 100.0
    assert heard_levels(made, 12)[1] >= 32_000


def test_a_slot_that_is_used_again_has_no_gain() -> None:
    made = rig()
    made.plane.gain[0] = 0.1
    made.plane.close_leg(0)
    made.add(0, group=1)
    assert heard_levels(made, 12)[1] == pytest.approx(4_000, rel=0.08)
