"""A conference on several workers sounds like one on one worker, to the sample."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import g711, mix
from bridge.media.linked import BUNDLES_MAX, Exchange, Links, Sums
from bridge.media.rtp import Counters
from bridge.media.shape import FRAME, PCMU
from tests.oracle import mix_scalar

LEGS = 60


class Side:
    """One worker's mix."""

    def __init__(self, frames: NDArray[np.int16], group_of: NDArray[np.int64]) -> None:
        self.frames, self.group_of = frames, group_of
        self.links = Links()
        self.counters = Counters()

    def tick(self, quiet: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return the codes that each leg hears, and the sums by dense group."""
        legs = len(self.frames)
        groups = mix.arrange(self.group_of, self.links.groups)
        self.dense = groups.dense
        buffers = mix.MixBuffers.of(max(legs, 8))
        voices = mix.Voices(
            ring=np.concatenate([self.frames, np.zeros((1, FRAME), np.int16)]),
            cell=np.arange(legs),
            gain=np.ones(legs, np.float32),
            quiet=quiet,
            codec=np.zeros(legs, np.uint8),
            extra_group=np.zeros(0, np.int64),
            extra=np.zeros((0, FRAME), np.int16),
            codes=np.full((2 + 4 * legs, FRAME), 0xFF, np.uint8),
            pick=np.zeros(legs, np.int64),
            used=2,
            linked=self.links.begin(groups.dense, self.counters),
        )
        mix.mix_minus(groups, voices, buffers)
        self.given = self.links.give(voices.linked)
        return voices.codes[voices.pick], buffers.total[: len(groups.dense)].copy()


def exchange(sides: list[Side]) -> None:
    """Carry what each side gave to its peers."""
    for number, side in enumerate(sides):
        for peer, sums in side.given:
            sides[peer].links.put(number, sums, sides[peer].counters)


def silence() -> Sums:
    return Sums(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, FRAME), np.int32))


def voice(group: int, value: int) -> Sums:
    return Sums(np.array([group]), np.array([1]), np.full((1, FRAME), value, np.int32))


@pytest.mark.parametrize("silent", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("workers", [2, 3])
def test_legs_on_several_workers_hear_what_they_would_on_one(workers: int, silent: float) -> None:
    rng = np.random.default_rng(workers)
    frames: NDArray[np.int16] = g711.DECODE[PCMU][rng.integers(0, 256, (LEGS, FRAME))]
    frames[rng.random(LEGS) < silent] = 0
    group_of = rng.integers(-1, 12, LEGS)
    quiet = rng.random(LEGS) < 0.2
    on = rng.integers(0, workers, LEGS)
    sides = [Side(frames[on == w], group_of[on == w]) for w in range(workers)]
    for group in range(12):
        sharing = sorted(set(on[group_of == group].tolist()))
        for worker in sharing:
            sides[worker].links.set(group, tuple(w for w in sharing if w != worker))
    for _ in range(2):  # what was said a frame ago is said again: the delay does not show
        heard = [side.tick(quiet[on == w])[0] for w, side in enumerate(sides)]
        exchange(sides)
    expected = mix_scalar.mix_minus(frames.tolist(), group_of.tolist(), quiet.tolist())
    for worker in range(workers):
        for codes, leg in zip(heard[worker], np.flatnonzero(on == worker), strict=True):
            wanted = expected[leg]
            if wanted is not None:
                assert codes.tolist() == g711.ENCODE[PCMU][np.array(wanted)].tolist()


def test_sums_are_not_saturated_on_the_way() -> None:
    loud = np.full((3, FRAME), 32_124, np.int16)
    sides = [Side(loud, np.zeros(3, np.int64)), Side(-loud[:2], np.zeros(2, np.int64))]
    sides[0].links.set(0, (1,))
    sides[1].links.set(0, (0,))
    for _ in range(2):
        totals = [side.tick(np.zeros(len(side.frames), np.bool_))[1] for side in sides]
        exchange(sides)
    assert totals[0][0, 0] == totals[1][0, 0] == 32_124


def test_the_whole_conference_is_summed_where_none_of_its_legs_are() -> None:
    rng = np.random.default_rng(1)
    frames: NDArray[np.int16] = g711.DECODE[PCMU][rng.integers(0, 256, (2, FRAME))]
    sides = [Side(frames[:0], np.zeros(0, np.int64)), Side(frames, np.full(2, 5))]
    sides[0].links.set(5, (1,))
    sides[1].links.set(5, (0,))
    for _ in range(2):
        total = sides[0].tick(np.zeros(0, np.bool_))[1]
        sides[1].tick(np.zeros(2, np.bool_))
        exchange(sides)
    clean = np.where(frames == g711.NEGATIVE_ZERO, 0, frames).astype(np.int32)
    assert (total[sides[0].dense[5]] == clean.sum(axis=0)).all()


def test_a_peer_that_ran_late_is_made_up_for_in_silence() -> None:
    links, counters = Links(), Counters()
    links.set(3, (1,))
    dense = {3: 0}

    def next_said() -> int:
        taken = links.begin(dense, counters)
        assert isinstance(taken, Exchange)
        return int(taken.came[0].frames[0, 0]) if len(taken.came[0].group) else 0

    for value in (1, 2):
        links.put(1, voice(3, value), counters)
    assert next_said() == 1
    links.put(1, silence(), counters)
    assert next_said() == 2
    links.put(1, voice(3, 4), counters)
    assert next_said() == 4
    assert counters.totals == {}


def test_missing_and_surplus_bundles_are_counted() -> None:
    links, counters = Links(), Counters()
    links.set(3, (1,))
    taken = links.begin({3: 0}, counters)
    assert taken is not None
    assert taken.came == []
    for value in range(1, BUNDLES_MAX + 2):
        links.put(1, voice(3, value), counters)
    links.put(2, voice(3, 9), counters)
    assert counters.totals == {"link_missed": 1, "link_dropped": 1, "link_stray": 1}
    taken = links.begin({3: 0}, counters)
    assert taken is not None
    assert taken.came[0].frames[0, 0] == 2


def test_a_group_that_is_not_shared_with_a_peer_is_not_taken_from_it() -> None:
    links, counters = Links(), Counters()
    links.set(3, (1,))
    links.set(4, (2,))
    links.put(1, voice(4, 7), counters)
    taken = links.begin({3: 0, 4: 1}, counters)
    assert taken is not None
    assert [len(sums.group) for sums in taken.came] == [0]
    links.set(3, ())
    links.set(4, ())
    assert links.begin({}, counters) is None
