"""Who was heard by whom: talk in the same conference at the same time, and no other."""

from bridge.legstory.talks import SPANS_MAX, Talks
from bridge.units import NS_PER_MS, LegId, NowNs

ANN, BEN, CAT = LegId("ann"), LegId("ben"), LegId("cat")


def at(ms: int) -> NowNs:
    return NowNs(ms * NS_PER_MS)


def test_a_leg_hears_only_what_is_said_while_both_are_in_the_same_conference() -> None:
    talks = Talks()
    talks.join("one", ANN, at(0))
    talks.join("two", CAT, at(0))
    talks.change([ANN, CAT], [], at(1_000))
    talks.join("one", BEN, at(2_000))
    talks.change([], [ANN, CAT], at(5_000))
    assert talks.heard_by(BEN, at(6_000)) == {ANN: [(at(2_000), at(5_000))]}
    assert talks.heard_by(ANN, at(6_000)) == {}
    assert talks.of(ANN, at(6_000)) == [(at(1_000), at(5_000))]


def test_what_is_being_said_now_is_heard_until_now_and_leaving_ends_talk() -> None:
    talks = Talks()
    talks.join("one", ANN, at(0))
    talks.join("one", BEN, at(0))
    talks.change([ANN], [], at(100))
    assert talks.heard_by(BEN, at(700)) == {ANN: [(at(100), at(700))]}
    talks.leave(ANN, at(800))
    assert talks.heard_by(BEN, at(2_000)) == {ANN: [(at(100), at(800))]}
    talks.change([], [ANN], at(2_100))
    assert talks.of(ANN, at(3_000)) == [(at(100), at(800))]


def test_pauses_between_words_are_no_end_of_talk_and_who_talked_most_is_first() -> None:
    talks = Talks()
    for leg in (ANN, BEN, CAT):
        talks.join("one", leg, at(0))
    for begin, end in ((0, 1_000), (1_300, 2_000), (5_000, 6_000)):
        talks.change([BEN], [], at(begin))
        talks.change([], [BEN], at(end))
    talks.change([CAT], [], at(0))
    talks.change([], [CAT], at(500))
    heard = talks.heard_by(ANN, at(9_000))
    assert list(heard) == [BEN, CAT]
    assert heard[BEN] == [(at(0), at(2_000)), (at(5_000), at(6_000))]


def test_who_moves_to_another_conference_is_heard_there_alone() -> None:
    talks = Talks()
    for leg in (ANN, BEN):
        talks.join("one", leg, at(0))
    talks.join("two", CAT, at(0))
    talks.change([ANN], [], at(0))
    talks.join("two", ANN, at(1_000))
    talks.change([ANN], [], at(1_500))
    assert talks.heard_by(BEN, at(3_000)) == {ANN: [(at(0), at(1_000))]}
    assert talks.heard_by(CAT, at(3_000)) == {ANN: [(at(1_500), at(3_000))]}


def test_talk_of_a_leg_that_is_forgotten_stays_while_its_listeners_are_there() -> None:
    talks = Talks()
    talks.join("one", ANN, at(0))
    talks.join("one", BEN, at(0))
    talks.change([ANN], [], at(0))
    talks.leave(ANN, at(1_000))
    talks.forget(ANN)
    assert talks.heard_by(BEN, at(2_000)) == {ANN: [(at(0), at(1_000))]}
    talks.forget(BEN)
    assert not talks._halls
    assert not talks._talkers


def test_a_conference_that_never_ends_keeps_the_latest_talk() -> None:
    talks = Talks()
    talks.join("one", ANN, at(0))
    talks.join("one", BEN, at(0))
    for number in range(SPANS_MAX + 100):
        talks.change([ANN], [], at(1_000 * number))
        talks.change([], [ANN], at(1_000 * number + 100))
    assert len(talks._halls["one"].spans) == SPANS_MAX
    assert talks.heard_by(BEN, at(10**9))[ANN][-1][1] == at(1_000 * (SPANS_MAX + 99) + 100)
