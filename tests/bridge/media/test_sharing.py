"""Legs that hear the same share an encoder, and nobody can tell; few encoders try harder."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.bench.speech import spoken
from bridge.media.opus import (
    COMPLEXITY,
    COMPLEXITY_FEW,
    COMPLEXITY_MANY,
    OpusDecoder,
    OpusEncoder,
)
from bridge.media.sharing import EASY_TICKS, FEW, HOLD_TICKS, MANY, Effort, Sharing
from tests.bridge.media.wide_rig import WideRig, level

LEGS = 4
SLOTS = np.arange(LEGS)
ONE_GROUP = np.full(LEGS, 7)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one with each frame that is encoded."""
    made: list[int] = []
    encode = OpusEncoder.encode

    def counted(self: OpusEncoder, samples: NDArray[np.int16]) -> bytes:
        made.append(len(samples))
        return encode(self, samples)

    monkeypatch.setattr(OpusEncoder, "encode", counted)
    return made


class Far:
    """Legs with speech to hear, and what their far ends' decoders make of it."""

    def __init__(self) -> None:
        self.said = spoken(rate_hz=16_000)[30:]
        self.own = spoken("Rice is often served in round bowls.", rate_hz=16_000)[28:] // 3
        self.sharing = Sharing(LEGS)
        self.sharing.set_complexity(COMPLEXITY)  # as the encoders begin
        self.encoders = [OpusEncoder() for _ in range(LEGS)]
        self.ears = [OpusDecoder() for _ in range(LEGS)]
        self.tick = 0

    def hears(self, slot: int, *, speaks: bool) -> NDArray[np.int16]:
        """Return what a leg hears next: one that speaks, something of its own."""
        heard = self.said[self.tick].astype(np.int32)
        own = self.own[(self.tick + slot) % len(self.own)] if speaks else 0
        return np.asarray(np.clip(heard + own, -32_768, 32_767), np.int16)

    def run(self, *speak: int, group: NDArray[np.int64] = ONE_GROUP) -> list[bytes]:
        """Run a tick; return the packets."""
        same = ~np.isin(SLOTS, speak)
        frames = np.array([self.hears(slot, speaks=slot in speak) for slot in SLOTS.tolist()])
        self.tick += 1
        return self.sharing.encode(SLOTS, self.encoders, frames, same=same, group=group)


def test_those_who_hear_the_same_cost_one_encoder_a_group(calls: list[int]) -> None:
    far = Far()
    for _ in range(HOLD_TICKS):
        far.run()
    assert len(calls) == HOLD_TICKS * LEGS
    calls.clear()
    assert len(set(far.run())) == 1
    assert len(calls) == 1
    far.run(2)
    assert len(calls) == 1 + 2
    calls.clear()
    far.run(0, 1, 2, 3)
    assert len(calls) == LEGS


def test_who_speaks_and_falls_silent_is_sent_the_bits_of_an_encoder_of_his_own() -> None:
    """Of the first leg: the shared encoder began as a copy of its, and goes back as one."""
    far, alone = Far(), OpusEncoder()
    for n in range(250):
        speaks = n < 20 or 70 < n < 100 or n == 230
        frame = far.hears(0, speaks=speaks)
        others = (1, 2, 3) if n < 180 else (2, 3)
        assert far.run(*([0] if speaks else []), *others)[0] == alone.encode(frame)


def test_a_leg_that_joins_hears_no_click_and_no_more_noise() -> None:
    far = Far()
    plain, plain_ear, common_ear = OpusEncoder(), OpusDecoder(), OpusDecoder()
    heard, wanted, noise = [], [], []
    for n in range(300):
        speaks = [2] if n % 100 < 60 else []
        own = plain.encode(far.hears(2, speaks=bool(speaks)))
        packets = far.run(*speaks)
        heard.append(far.ears[2].decode(packets[2]))
        common = common_ear.decode(packets[0])
        if n % 100 >= 60 + HOLD_TICKS:
            wanted.append(common - heard[-1].astype(np.float64))
            noise.append(common - plain_ear.decode(own).astype(np.float64))
        else:
            plain_ear.decode(own)
    assert np.square(wanted).mean() < 0.5 * np.square(noise).mean()
    first = np.array(wanted).reshape(3, -1)[:, :40]
    assert np.abs(first).max() < 1_000, "of a peak of 20,000"


def test_a_leg_that_changes_its_group_does_not_share_at_once(calls: list[int]) -> None:
    far = Far()
    for _ in range(HOLD_TICKS + 5):
        far.run()
    calls.clear()
    moved = np.array([7, 7, 8, 7])
    far.run(group=moved)
    assert len(calls) == 2
    for _ in range(HOLD_TICKS - 1):
        far.run(group=moved)
    calls.clear()
    far.run(group=moved)
    assert len(calls) == 2, "each group has one now"


def test_a_leg_that_leaves_the_sharing_goes_on_where_the_shared_encoder_was() -> None:
    far = Far()
    for _ in range(HOLD_TICKS + 20):
        far.run()
    far.sharing.leave(1, far.encoders[1])
    far.sharing.forget(2)
    packets = far.run()
    assert packets[1] == packets[0]
    assert packets[2] != packets[0], "its own encoder has stood still"


def test_muted_legs_in_opus_share_and_hear_who_speaks(calls: list[int]) -> None:
    rig = WideRig()
    for slot in range(4):
        rig.join(slot, "OPUS")
    for slot in (1, 2, 3):
        rig.plane.muted[slot] = True
    for n in range(60):
        said = [rig.hums(slot, n, 400 + 100 * slot) for slot in range(4)]
        calls.clear()
        rig.tick(*said)
    assert len(calls) == 2, "one for who speaks, one for the others"
    for slot in (1, 2, 3):
        heard = rig.heard_since(slot, 40)
        assert level(heard, 400, 16_000) == pytest.approx(8_000, rel=0.1)
    rig.remote(1, "OPUS", ptime_ms=40)
    rig.plane.muted[2] = False
    for n in range(60, 120):
        rig.tick(*[rig.hums(slot, n, 400 + 100 * slot) for slot in range(4)])
    heard = rig.heard_since(2, 60)
    assert level(heard, 400, 16_000) == pytest.approx(8_000, rel=0.1)
    assert level(heard, 600, 16_000) < 100, "not himself"
    assert level(rig.heard_since(3, 80), 600, 16_000) == pytest.approx(8_000, rel=0.1)


def test_many_encoders_try_less_at_once_and_few_try_hard_when_that_has_lasted() -> None:
    effort = Effort()
    assert not effort.judge(FEW)
    assert effort.complexity == COMPLEXITY_FEW
    assert effort.judge(FEW + 1)
    assert effort.complexity == COMPLEXITY
    for n in range(2 * EASY_TICKS - 1):
        assert not effort.judge(FEW + 1 if n == EASY_TICKS - 1 else 0)
    assert effort.judge(FEW)
    assert effort.complexity == COMPLEXITY_FEW


def test_very_many_encoders_try_least_and_more_by_the_most_of_five_seconds() -> None:
    effort = Effort()
    assert effort.judge(MANY + 1)
    assert effort.complexity == COMPLEXITY_MANY
    for n in range(EASY_TICKS - 1):  # few, and once no longer few: that is what is allowed
        assert not effort.judge(MANY if n == 7 else 1)
    assert effort.judge(1)
    assert effort.complexity == COMPLEXITY
    assert not effort.judge(MANY)
    assert effort.judge(MANY + 1)
    assert effort.complexity == COMPLEXITY_MANY
    assert not effort.judge(MANY + 1)


def test_a_planes_encoders_try_as_hard_as_their_number_allows() -> None:
    rig = WideRig()
    legs = FEW + 2
    for slot in range(legs - 1):
        rig.join(slot, "OPUS")

    def tries(n: int) -> set[int]:
        rig.tick(*[rig.hums(slot, n, 400 + 30 * slot) for slot in rig.ears])
        inside = rig.plane.wide.bands[16_000].legs
        return {leg.encoder.complexity for leg in inside if isinstance(leg.encoder, OpusEncoder)}

    assert tries(0) == {COMPLEXITY}
    for slot in range(2, legs - 1):
        rig.plane.muted[slot] = True
    assert {frozenset(tries(n)) for n in range(1, EASY_TICKS)} == {frozenset([COMPLEXITY])}
    for n in range(EASY_TICKS, EASY_TICKS + HOLD_TICKS + 4):
        last = tries(n)
    assert last == {COMPLEXITY_FEW}
    rig.join(legs - 1, "OPUS")
    assert tries(EASY_TICKS + HOLD_TICKS + 4) == {COMPLEXITY_FEW}
    for slot in range(2, legs - 1):
        rig.plane.muted[slot] = False
    assert tries(EASY_TICKS + HOLD_TICKS + 5) == {COMPLEXITY}
