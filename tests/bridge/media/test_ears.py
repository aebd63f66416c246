"""Groups that are listened to: each 100 ms of their mix, once."""

import numpy as np

from bridge.media.ears import LIVE_FRAMES, Ears

S = 160


def mixes(*values: int) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    return np.stack([np.full(S, value, np.int32) for value in values])


def test_five_frames_of_a_mix_come_together_saturated() -> None:
    ears = Ears()
    ears.listen(7, on=True)
    ears.listen(7, on=True)  # said again by a follower who looks whether it has moved
    for value in range(LIVE_FRAMES - 1):
        assert ears.gather({7: 1}, mixes(0, value)) == []
    (heard,) = ears.gather({7: 1}, mixes(0, 99_000))
    assert heard.group == 7
    assert heard.samples.reshape(-1, S)[:, 0].tolist() == [0, 1, 2, 3, 32_767]


def test_a_group_without_legs_is_silent_and_one_that_nobody_follows_is_not_told() -> None:
    ears = Ears()
    ears.listen(1, on=True)
    told = [ears.gather({}, mixes(5)) for _ in range(LIVE_FRAMES)]
    assert not told[-1][0].samples.any()
    ears.listen(1, on=False)
    ears.listen(1, on=False)
    assert all(ears.gather({1: 0}, mixes(5)) == [] for _ in range(LIVE_FRAMES))


def test_what_is_told_is_not_written_to_any_more() -> None:
    ears = Ears()
    ears.listen(1, on=True)
    told = [ears.gather({1: 0}, mixes(1)) for _ in range(LIVE_FRAMES)]
    for _ in range(LIVE_FRAMES):
        ears.gather({1: 0}, mixes(2))
    assert set(told[-1][0].samples.tolist()) == {1}
