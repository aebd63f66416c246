"""The loops over legs: compiled, with numpy, and one at a time give the same to the bit."""

from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media import samples_c, samples_numpy, voice
from bridge.media.known import Known
from bridge.media.shape import CELLS, FRAME

LEGS: Final = 37


def ring_state(rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return what `due` looks at: some legs started, some cells with what they play."""
    play_cell = rng.integers(0, CELLS, LEGS)
    play_ts = rng.integers(0, 2**32, LEGS, np.uint32)
    stamp = rng.integers(0, 2**32, LEGS * CELLS, np.uint32)
    there = np.flatnonzero(rng.random(LEGS) < 0.7)
    stamp[play_cell[there] * LEGS + there] = play_ts[there]
    started = rng.random(LEGS) < 0.8
    return {"play_cell": play_cell, "play_ts": play_ts, "started": started, "stamp": stamp}


@pytest.mark.parametrize("count", [0, 1, 20, LEGS])
def test_what_is_due_is_found_alike(c: samples_c.Loops, count: int) -> None:
    state = ring_state(np.random.default_rng(count))
    known: Known = {}
    for whole in (False, True):
        if whole:
            state["started"][:] = True
            state["stamp"][state["play_cell"] * LEGS + np.arange(LEGS)] = state["play_ts"]
        cell, good, all_due = c.due(**state, known=known, count=count)
        wanted = samples_numpy.due(**state, known={}, count=count)
        assert cell.tolist() == wanted[0].tolist()
        assert good.tolist() == wanted[1].tolist()
        assert all_due is wanted[2] is (whole or bool(good.all()))
        for slot in range(count):
            assert cell[slot] == state["play_cell"][slot] * LEGS + slot
            stamped = state["stamp"][cell[slot]] == state["play_ts"][slot]
            assert good[slot] == (stamped and state["started"][slot])


@pytest.mark.parametrize("index", [-1, CELLS, 2**60])
def test_a_cell_outside_the_ring_is_refused(c: samples_c.Loops, index: int) -> None:
    state = ring_state(np.random.default_rng(1))
    state["play_cell"][3] = index
    with pytest.raises(IndexError, match="outside the 32"):
        c.due(**state, known={}, count=LEGS)
    state["stamp"] = state["stamp"][1:]
    with pytest.raises(TypeError):
        c.due(**state, known={}, count=LEGS)
    with pytest.raises(TypeError):
        c.due(**ring_state(np.random.default_rng(1)), known={}, count=LEGS + 1)


@pytest.mark.parametrize("count", [0, 1, 20, LEGS])
def test_legs_go_on_alike(c: samples_c.Loops, count: int) -> None:
    """Timestamps go round at 2**32, cells at the end of the ring; idle legs stand still."""
    rng = np.random.default_rng(count)
    ts = rng.integers(2**32 - 300, 2**32, LEGS, np.uint32)
    cell, rate = rng.integers(CELLS - 2, CELLS, LEGS), rng.integers(1, 7, LEGS, np.uint32)
    clock = ts.copy()
    mine: list[NDArray[Any]] = [ts.copy(), cell.copy(), clock.copy()]
    theirs: list[NDArray[Any]] = [ts.copy(), cell.copy(), clock.copy()]
    known: Known = {}
    for _ in range(3):
        c.step(mine[0], mine[1], known, count)
        c.clock(mine[2], rate, known, count, 2 * FRAME)
        samples_numpy.step(theirs[0], theirs[1], {}, count)
        samples_numpy.clock(theirs[2], rate, {}, count, 2 * FRAME)
    for slot in range(LEGS):
        steps = 3 if slot < count else 0
        assert mine[0][slot] == (int(ts[slot]) + steps * FRAME) % 2**32
        assert mine[1][slot] == (cell[slot] + steps) % CELLS
        assert mine[2][slot] == (int(clock[slot]) + steps * 2 * FRAME * int(rate[slot])) % 2**32
    for by_c, by_numpy in zip(mine, theirs, strict=True):
        assert (by_c == by_numpy).all()
    with pytest.raises(TypeError):
        c.step(mine[0], mine[1], known, LEGS + 1)
    with pytest.raises(TypeError):
        c.clock(mine[2], rate, known, LEGS + 1, FRAME)


@pytest.mark.parametrize("count", [0, 1, 20])
def test_levels_are_alike_and_none_outside_groups(c: samples_c.Loops, count: int) -> None:
    rng = np.random.default_rng(count)
    talk = rng.integers(-32_768, 32_768, (count, FRAME)).astype(np.int16)
    order = rng.permutation(LEGS)[:count]
    level, wanted = np.full((2, LEGS), 7.0)
    c.levels(talk, order, level, {})
    samples_numpy.levels(talk, order, wanted, {})
    assert level.tolist() == wanted.tolist()
    powers = dict(zip(order.tolist(), samples_numpy.power_of(talk).tolist(), strict=True))
    assert level.tolist() == [powers.get(slot, 0.0) for slot in range(LEGS)]
    c.levels(talk, order, level[:0], {})
    if count:
        order[-1] = LEGS
        with pytest.raises(IndexError):
            c.levels(talk, order, level, {})


def test_who_talks_is_found_alike(c: samples_c.Loops) -> None:
    """Over hundreds of looks, at the edges of every rule."""
    rng = np.random.default_rng(5)
    states = [voice.Voice.of(LEGS) for _ in range(2)]
    edges = np.array(
        [voice.START_POWER, voice.START_POWER / 2, voice.NOISE_MIN, voice.NOISE_MAX, 0]
    )
    some = 0
    for _ in range(800):
        level = 10 ** rng.uniform(2, 7, LEGS)
        at = rng.random(LEGS) < 0.3
        level[at] = rng.choice(edges, int(at.sum()))
        level = np.where(rng.random(LEGS) < 0.5, states[0].noise * voice.START_TIMES, level)[:30]
        found = []
        ways: tuple[Any, Any] = (c, samples_numpy)
        for loops, state in zip(ways, states, strict=True):
            rest = state.noise, state.talking, state.streak, voice.RULES, state.known
            found.append(loops.follow(level, *rest).tolist())
        assert found[0] == found[1] == sorted(found[0])
        some += len(found[0])
        for name in ("noise", "talking", "streak"):
            mine, theirs = (getattr(state, name) for state in states)
            assert mine.tolist() == theirs.tolist(), name
    assert some > 500
    idle = states[0]
    with pytest.raises(TypeError):
        c.follow(np.zeros(LEGS + 1), idle.noise, idle.talking, idle.streak, voice.RULES, {})


def test_mixes_of_recordings_are_alike(c: samples_c.Loops) -> None:
    rng = np.random.default_rng(6)
    total = rng.integers(-50_000, 50_000, (9, FRAME)).astype(np.int32)
    row = np.array([3, -1, 8, 3, 0])
    blocks = rng.integers(-9, 9, (5, 6, FRAME)).astype(np.int16)
    filled = np.array([0, 1, 5, 4, 5])
    mine, theirs = (blocks.copy(), filled.copy()), (blocks.copy(), filled.copy())
    assert c.tap(total, row, *mine) == samples_numpy.tap(total, row, *theirs) == 2
    assert (mine[0] == theirs[0]).all()
    assert mine[1].tolist() == theirs[1].tolist() == [1, 2, 6, 5, 6]
    for at in range(5):
        wanted = blocks[at].copy()
        wanted[filled[at]] = 0 if row[at] < 0 else np.clip(total[row[at]], -32_768, 32_767)
        assert (mine[0][at] == wanted).all()
    with pytest.raises(IndexError):
        c.tap(total, row, *mine)  # two are full
    for wrong in (-2, 9):
        with pytest.raises(IndexError):
            c.tap(total, np.array([0, 0, wrong, 0, 0]), blocks, filled)
    assert c.tap(total, row[:0], blocks[:0], filled[:0]) == 0
