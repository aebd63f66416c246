"""Names: what one leg says when it is asked, without the silence around it."""

import numpy as np

from bridge.media.shape import FRAME
from bridge.media.takes import MARGIN_FRAMES, QUIET_FRAMES, Taken
from tests.bridge.media.rig import Rig, coded, tone


def say(rig: Rig, n: int, slot: int = 0, *, loud: bool) -> list[Taken]:
    samples = tone(500, n) if loud else np.zeros(FRAME, np.int16)
    return rig.tick(rig.packet(slot, n, coded(samples))).takes


def ready() -> Rig:
    rig = Rig()
    rig.add(0)
    for n in range(10):
        say(rig, n, loud=False)
    return rig


def test_a_take_ends_by_itself_when_its_leg_is_quiet_again() -> None:
    rig = ready()
    rig.plane.takes.start(0, "ann", 500)
    taken = [t for n in range(10, 210) for t in say(rig, n, loud=30 <= n < 70)]
    (one,) = taken
    assert (one.slot, one.name) == (0, "ann")
    assert abs(len(one.samples) / FRAME - (40 + 2 * MARGIN_FRAMES)) <= 4
    assert np.abs(one.samples).max() > 7_000
    assert not rig.plane.takes


def test_it_ends_when_its_time_is_over_and_when_it_is_stopped() -> None:
    rig = ready()
    rig.plane.takes.start(0, "ann", 25)
    taken = [(n, t) for n in range(10, 60) for t in say(rig, n, loud=True)]
    assert [n for n, _ in taken] == [34]
    rig.plane.takes.start(0, "ann", 500)
    taken = []
    for n in range(60, 120):
        if n == 90:
            rig.plane.takes.stop(0)
        taken += [(n, t) for t in say(rig, n, loud=True)]
    assert [n for n, _ in taken] == [90]
    assert len(taken[0][1].samples) >= 29 * FRAME


def test_silence_and_a_click_are_no_name() -> None:
    rig = ready()
    rig.plane.takes.start(0, "ann", 50)
    (one,) = [t for n in range(10, 70) for t in say(rig, n, loud=20 <= n < 23)]
    assert len(one.samples) == 0
    assert QUIET_FRAMES > 3


def test_the_tone_of_a_key_is_no_name() -> None:
    rig = Rig()
    rig.add(0)
    rig.remote(0, events=False)
    t = np.arange(FRAME * 40)
    beep = 6_000 * (np.sin(2 * np.pi * 697 * t / 8_000) + np.sin(2 * np.pi * 1_209 * t / 8_000))
    frames = beep.astype(np.int16).reshape(-1, FRAME)
    for n in range(10):
        say(rig, n, loud=False)
    rig.plane.takes.start(0, "ann", 60)
    takes: list[Taken] = []
    for n in range(10, 90):
        at = n - 20
        samples = frames[at] if 0 <= at < 40 else np.zeros(FRAME, np.int16)
        takes += rig.tick(rig.packet(0, n, coded(samples))).takes
    (one,) = takes
    assert len(one.samples) < 4 * FRAME


def test_a_leg_that_is_closed_has_no_take_any_more() -> None:
    rig = ready()
    rig.plane.takes.start(0, "ann", 500)
    rig.plane.close_leg(0)
    assert not rig.plane.takes
    assert rig.tick().takes == []
