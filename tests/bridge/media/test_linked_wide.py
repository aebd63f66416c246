"""Conferences on several workers whose legs are wideband: as on one worker, a frame later."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media.linked import WIDE, Sums
from bridge.media.shape import FRAME
from tests.bridge.media.wide_rig import WideRig, level

GROUP = 5


class Workers:
    """Planes that share a group, a leg's slot being the same whichever it is on."""

    def __init__(self, *codecs: dict[int, str]) -> None:
        self.rigs = [WideRig() for _ in codecs]
        everybody = range(len(codecs))
        for index, (rig, legs) in enumerate(zip(self.rigs, codecs, strict=True)):
            for slot, codec in legs.items():
                rig.join(slot, codec, group=GROUP)
            others = tuple(peer for peer in everybody if peer != index)
            if others:
                rig.plane.links.set(GROUP, others)
        self.given: list[tuple[int, int, Sums]] = []

    def tick(self, n: int, tones: dict[int, float]) -> None:
        """Run a tick everywhere; `tones` by slot."""
        for sender, peer, sums in self.given:
            plane = self.rigs[peer].plane
            plane.links.put(sender, sums, plane.counters)
        self.given = []
        for index, rig in enumerate(self.rigs):
            said = [rig.hums(slot, n, hertz) for slot, hertz in tones.items() if slot in rig.codec]
            result = rig.tick(*said)
            self.given += [(index, peer, sums) for peer, sums in result.given]

    def heard(self, slot: int) -> NDArray[np.int16]:
        rig = next(rig for rig in self.rigs if slot in rig.codec)
        return rig.heard_since(slot, 0)


ALL = {0: "L16", 1: "PCMU", 2: "G722", 3: "L16", 4: "PCMA"}


@pytest.mark.parametrize("silent_from", [60, 25])
def test_wideband_ears_hear_the_other_workers_as_if_they_were_here(silent_from: int) -> None:
    one = Workers(ALL)
    two = Workers({0: "L16", 1: "PCMU", 2: "G722"}, {3: "L16", 4: "PCMA"})
    tones = {0: 6_200.0, 1: 700.0, 2: 2_500.0}
    for n in range(60):
        now = tones if n < silent_from else {}
        one.tick(n, now)
        two.tick(n, now)
    here, there = one.heard(3), two.heard(3)
    np.testing.assert_array_equal(there[WIDE:], here[:-WIDE])
    np.testing.assert_array_equal(two.heard(4)[FRAME:], one.heard(4)[:-FRAME])
    np.testing.assert_array_equal(two.heard(0), one.heard(0))
    if silent_from == 60:
        assert level(there[10 * WIDE :], 6_200, 16_000) == pytest.approx(8_000, rel=0.02)


def test_voices_of_three_workers_meet_each_other_once() -> None:
    three = Workers({0: "L16"}, {1: "G722", 2: "PCMU"}, {3: "L16"})
    for n in range(60):
        three.tick(n, {0: 5_000.0, 1: 6_000.0, 2: 900.0, 3: 7_000.0})
    for slot, others in ((0, (6_000, 900, 7_000)), (3, (5_000, 6_000, 900))):
        heard = three.heard(slot)[20 * WIDE :]
        for hertz in others:
            wanted = 8_000 if hertz < 6_500 else 6_000
            assert level(heard, hertz, 16_000) == pytest.approx(wanted, rel=0.4)
    assert level(three.heard(0)[20 * WIDE :], 5_000, 16_000) < 30, "not himself"
    assert level(three.heard(2)[20 * FRAME :], 900, 8_000) < 30


def test_where_nobody_is_wideband_nothing_more_goes_across() -> None:
    two = Workers({0: "PCMU"}, {1: "L16", 2: "PCMU"})
    widths = []
    for n in range(30):
        two.tick(n, {0: 500.0})
        widths += [sums.frames.shape[1] for _, _, sums in two.given]
    assert set(widths) == {FRAME}
    for n in range(30, 40):
        two.tick(n, {0: 500.0, 1: 5_000.0})
        widths += [sums.frames.shape[1] for _, _, sums in two.given]
    assert set(widths) == {FRAME, FRAME + FRAME + WIDE}
