"""Which worker a leg is on: by load and by session; workers that share a conference are linked."""

import random

import pytest

from bridge.placement import Link, Placement


def two(legs_max: int = 10) -> Placement:
    return Placement(legs_max, [True, True])


def test_legs_without_a_session_go_where_the_load_is_least() -> None:
    placement = two()
    assert [placement.place(leg, None) for leg in range(4)] == [0, 1, 0, 1]
    placement.remove(1)
    placement.remove(3)
    assert [placement.place(leg, None) for leg in (5, 6)] == [1, 1]


def test_a_session_stays_on_one_worker_while_that_has_room() -> None:
    placement = two(legs_max=3)
    assert [placement.place(leg, "s1") for leg in range(3)] == [0, 0, 0]
    assert placement.place(3, "s1") == 1
    assert placement.place(4, "s2") == 1
    placement.remove(0)
    assert placement.place(5, "s1") == 0


def test_a_session_that_was_keyed_draws_those_who_name_it() -> None:
    placement = two()
    placement.place(0, None)
    assert placement.place(1, None) == 1
    placement.identify(1, "s1")
    assert placement.place(2, "s1") == 1
    placement.identify(1, "s2")
    placement.remove(2)
    assert placement.place(3, "s1") == 0


def test_nobody_is_placed_on_a_worker_that_is_full_or_down() -> None:
    placement = two(legs_max=1)
    placement.lose(0)
    assert placement.place(0, None) == 1
    assert placement.place(1, None) is None
    placement.up[0] = True
    assert placement.place(1, "s1") == 0


def test_workers_that_share_a_group_are_linked_until_they_do_not() -> None:
    placement = two()
    placement.place(0, None)
    placement.place(1, None)
    assert placement.enter(0, 7) == []
    assert placement.enter(1, 7) == [Link(0, 7, (1,)), Link(1, 7, (0,))]
    assert placement.enter(1, 7) == []
    assert placement.remove(0) == [Link(0, 7, ()), Link(1, 7, ())]
    assert placement.workers_of(7) == (1,)


def test_a_leg_that_moves_to_another_group_takes_its_link_along() -> None:
    placement = two()
    for leg, group in ((0, 7), (1, 8), (2, 8)):
        placement.place(leg, None)
        placement.enter(leg, group)
    assert placement.workers_of(8) == (0, 1)
    assert placement.enter(2, 7) == [Link(0, 8, ()), Link(1, 8, ())]


def test_the_recorder_of_a_group_is_linked_though_its_legs_are_elsewhere() -> None:
    placement = two()
    placement.place(0, None)
    placement.enter(0, 7)
    assert placement.record(7) == (0, [])
    placement.place(1, None)
    placement.enter(1, 7)
    assert placement.remove(0) == []
    assert placement.workers_of(7) == (0, 1)
    assert placement.record(7) == (0, [])
    assert placement.end_recording(7) == (0, [Link(0, 7, ()), Link(1, 7, ())])
    assert placement.end_recording(7) == (None, [])


def test_a_worker_that_died_takes_its_own_legs_and_links_along() -> None:
    placement = Placement(10, [True] * 3)
    for leg in range(6):
        placement.place(leg, None)
        placement.enter(leg, 7)
    placement.record(7)
    lost, links = placement.lose(0)
    assert lost == [0, 3]
    assert links[-2:] == [Link(1, 7, (2,)), Link(2, 7, (1,))]
    assert all(link.worker != 0 for link in links)
    assert placement.load == [0, 2, 2]
    assert placement.recorders == {}
    assert placement.record(7)[0] == 1


def test_nothing_is_recorded_while_no_worker_runs() -> None:
    placement = Placement(10, [False])
    assert placement.record(7) == (None, [])


@pytest.mark.parametrize("seed", range(5))
def test_what_workers_were_told_is_what_holds_whatever_happens(seed: int) -> None:
    rng = random.Random(seed)
    placement = Placement(6, [True] * 3)
    told: dict[tuple[int, int], tuple[int, ...]] = {}
    there: dict[int, int] = {}
    for number in range(400):
        links = []
        what = rng.random()
        if what < 0.4 and placement.place(number, rng.choice([None, "a", "b"])) is not None:
            there[number] = -1
            links = placement.enter(number, rng.randrange(3))
        elif what < 0.6 and there:
            links = placement.enter(rng.choice([*there]), rng.randrange(-1, 3))
        elif what < 0.9 and there:
            leg = rng.choice([*there])
            del there[leg]
            links = placement.remove(leg)
        elif what < 0.92:
            worker = rng.randrange(3)
            lost, links = placement.lose(worker)
            there = {leg: 0 for leg in there if leg not in lost}
            placement.up[worker] = True  # started again: it knows of no link
            told = {key: peers for key, peers in told.items() if key[0] != worker}
        told.update({(link.worker, link.group): link.peers for link in links})
        for group in range(3):
            sharing = placement.workers_of(group)
            for worker in range(3):
                peers = tuple(w for w in sharing if w != worker) if worker in sharing else ()
                assert told.get((worker, group), ()) == peers
    for leg in there:
        placement.remove(leg)
    assert placement.load == [0, 0, 0]
