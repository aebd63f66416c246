"""Mix-minus against loops, and what it must never do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import g711, mix
from bridge.media.shape import FRAME, PCMA, PCMU
from tests.oracle import mix_scalar

LEGS = 200


def mixed(
    frames: NDArray[np.int16],
    group_of: NDArray[np.int64],
    *,
    quiet: NDArray[np.bool_] | None = None,
    codec: NDArray[np.uint8] | None = None,
    extra: dict[int, NDArray[np.int16]] | None = None,
) -> tuple[NDArray[np.uint8], mix.MixBuffers, mix.Groups]:
    """Return the codes each leg hears, (L, S); silence rows for legs in no group."""
    legs = len(frames)
    groups = mix.arrange(group_of)
    buffers = mix.MixBuffers.of(legs)
    named = extra or {}
    voices = mix.Voices(
        ring=np.concatenate([frames, np.zeros((1, FRAME), np.int16)]),
        cell=np.arange(legs),
        gain=np.ones(legs, np.float32),
        quiet=np.zeros(legs, np.bool_) if quiet is None else quiet,
        codec=np.zeros(legs, np.uint8) if codec is None else codec,
        extra_group=np.array([groups.dense[number] for number in named], np.int64),
        extra=np.array([*named.values()], np.int16).reshape(-1, FRAME),
        codes=np.full((2 + 4 * legs, FRAME), 0xFF, np.uint8),
        pick=np.zeros(legs, np.int64),
        used=2,
    )
    mix.mix_minus(groups, voices, buffers)
    return voices.codes[voices.pick], buffers, groups


def random_frames(rng: np.random.Generator, legs: int, silent: float) -> NDArray[np.int16]:
    """Return decoded random codes; some legs say nothing."""
    codes = rng.integers(0, 256, (legs, FRAME))
    frames: NDArray[np.int16] = g711.DECODE[PCMU][codes]
    frames[rng.random(legs) < silent] = 0
    return frames


@pytest.mark.parametrize("silent", [0.0, 0.3, 0.95, 1.0])
@pytest.mark.parametrize("groups", [1, 2, 30, 150])
def test_random_conferences_are_mixed_as_by_loops(silent: float, groups: int) -> None:
    rng = np.random.default_rng(groups)
    frames = random_frames(rng, LEGS, silent)
    group_of = rng.integers(-1, groups, LEGS) * 7
    group_of[group_of < 0] = -1
    quiet = rng.random(LEGS) < 0.2 if silent else np.zeros(LEGS, np.bool_)
    codec = (rng.random(LEGS) < 0.3).astype(np.uint8)
    codes, _, _ = mixed(frames, group_of, quiet=quiet, codec=codec)
    expected = mix_scalar.mix_minus(frames.tolist(), group_of.tolist(), quiet.tolist())
    for leg in range(LEGS):
        heard = expected[leg]
        if heard is not None:
            index = np.array(heard, np.int16).view(np.uint16)
            assert (codes[leg] == g711.ENCODE[codec[leg]][index]).all(), leg


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_one_talker_passes_bit_exact(codec: int) -> None:
    """Every code there is, the negative zero of µ-law too."""
    said = np.resize(np.arange(256, dtype=np.uint8), (2, FRAME))
    frames = np.zeros((4, FRAME), np.int16)
    frames[:2] = g711.DECODE[codec][said]
    frames[1] = 0
    one = np.full(4, codec, np.uint8)
    codes, _, _ = mixed(frames, np.zeros(4, np.int64), codec=one)
    assert (codes[1:] == said[0]).all()
    assert (codes[0] == g711.SILENCE_CODE[codec]).all()


def test_several_voices_treat_both_zeros_alike() -> None:
    frames = np.zeros((3, FRAME), np.int16)
    frames[0], frames[1] = -1, 140
    frames[2, 0] = 8
    codes, _, _ = mixed(frames, np.zeros(3, np.int64))
    assert codes[2, 0] == g711.ENCODE[PCMU][140]
    assert codes[1, 1] == g711.ENCODE[PCMU][0]


def test_sum_is_clipped_once() -> None:
    """32,000 + 32,000 - 32,000 is 32,000 and no clipped value less something."""
    frames = np.zeros((4, FRAME), np.int16)
    frames[0], frames[1], frames[2] = 32_000, 32_000, -32_000
    codes, _, _ = mixed(frames, np.zeros(4, np.int64))
    assert g711.ITU_DECODE[PCMU][codes[3, 0]] > 31_000
    frames[2] = 32_000
    codes, buffers, _ = mixed(frames, np.zeros(4, np.int64))
    assert g711.ITU_DECODE[PCMU][codes[3, 0]] == 32_124
    assert buffers.total[0, 0] == 96_000
    assert mix.saturated(buffers.total[0])[0] == 32_767


def test_listeners_of_a_group_share_an_encoding() -> None:
    frames = np.zeros((50, FRAME), np.int16)
    frames[0] = 500
    groups = mix.arrange(np.zeros(50, np.int64))
    voices = mix.Voices(
        ring=frames,
        cell=np.arange(50),
        gain=np.ones(50, np.float32),
        quiet=np.zeros(50, np.bool_),
        codec=np.arange(50, dtype=np.uint8) % 2,
        extra_group=np.zeros(0, np.int64),
        extra=np.zeros((0, FRAME), np.int16),
        codes=np.zeros((202, FRAME), np.uint8),
        pick=np.zeros(50, np.int64),
        used=2,
    )
    mix.mix_minus(groups, voices, mix.MixBuffers.of(50))
    assert voices.used == 2 + 3, "the talker's own, one for each codec"


def test_extra_sound_is_heard_by_all_of_its_group_only() -> None:
    frames = np.zeros((4, FRAME), np.int16)
    frames[0] = 500
    group_of = np.array([3, 3, 9, -1])
    codes, _, _ = mixed(frames, group_of, extra={3: np.full(FRAME, 100, np.int16)})
    heard = [int(g711.ENCODE[PCMU][value]) for value in (100, 600, 0)]
    assert codes[:3, 0].tolist() == heard


def test_groups_are_laid_out_for_slices() -> None:
    """Every row once; in a span as many rows as groups, some times over, or one large group."""
    rng = np.random.default_rng(5)
    group_of = np.concatenate(
        [np.full(150, 40), np.full(70, 2), rng.integers(100, 130, 200), np.full(30, -1)]
    )
    rng.shuffle(group_of)
    groups = mix.arrange(group_of)
    assert sorted(groups.order.tolist()) == np.flatnonzero(group_of >= 0).tolist()
    numbers = {dense: number for number, dense in groups.dense.items()}
    assert [numbers[dense] for dense in groups.group.tolist()] == group_of[groups.order].tolist()
    at = 0
    for row, end, group, last in groups.spans:
        assert row == at
        at = end
        times, rest = divmod(end - row, last - group)
        assert rest == 0
        assert groups.group[row:end].tolist() == list(range(group, last)) * times
    assert at == 420
    assert len(groups.spans) < mix.RANKS


def test_nobody_in_a_group_is_no_mix() -> None:
    codes, _, groups = mixed(np.ones((3, FRAME), np.int16), np.full(3, -1))
    assert groups.dense == {}
    assert (codes == 0xFF).all()


def test_groups_are_made_anew_for_who_comes_and_goes_and_for_nobody_else() -> None:
    """Over a thousand turns they are what they would be if made anew each time."""
    rng = np.random.default_rng(5)
    seating = mix.Seating(LEGS)
    group_of, also = np.full(LEGS, -1, np.int64), np.zeros(0, np.int64)
    made = 0
    for _ in range(1_000):
        before = seating.groups
        same = rng.random() < 0.7
        if not same:
            group_of[rng.integers(0, LEGS, 3)] = rng.integers(-1, 5, 3)
            also = rng.permutation(7)[: rng.integers(0, 3)]
        groups, anew = seating.arrange(group_of, also), mix.arrange(group_of, also)
        assert not same or groups is before
        made += groups is not before
        assert groups.order.tolist() == anew.order.tolist()
        assert groups.group.tolist() == anew.group.tolist()
        assert (groups.dense, groups.spans) == (anew.dense, anew.spans)
    assert 200 < made < 400
