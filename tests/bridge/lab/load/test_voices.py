"""Every voice can be told from every other one, over the turns."""

import numpy as np
import pytest

from bridge.lab.load.crowd import Crowd
from bridge.lab.load.plan import LoadPlan
from bridge.lab.load.voices import (
    LEAD_TICKS,
    SILENCE,
    SILENT_TICKS,
    TONES_HZ,
    TURN_TICKS,
    frames,
    place_of,
    tone_of,
    turn_at,
)
from bridge.lab.voice import decode
from bridge.units import SAMPLE_RATE_HZ


def crowd(participants: int, conferences: int, talkers: int = 10) -> Crowd:
    plan = LoadPlan(participants=participants, conferences=conferences)
    result = Crowd.new(*plan.places(), talkers)
    for caller in range(participants):
        result.begin(caller, 0, np.zeros(10, np.uint8))
    return result


@pytest.mark.parametrize("turn", [0, 1, 77])
def test_no_two_talkers_of_a_conference_have_one_tone(turn: int) -> None:
    for conference in range(200):
        tones = tone_of(np.full(20, conference), turn, np.arange(20))
        assert len(set(tones.tolist())) == 20
        assert tones.min() >= 0
        assert tones.max() < SILENCE


def test_no_two_of_thousands_of_callers_share_their_tones_for_three_turns() -> None:
    plan = LoadPlan(participants=5_000, conferences=500)
    conference, seat = plan.places()
    turns = np.stack([tone_of(conference, turn, seat) for turn in range(3)], axis=1)
    keys = [tuple(row) for row in turns.tolist()]
    # By chance 5,000 callers have half a pair alike in three turns, and none in four.
    assert len(keys) - len(set(keys)) <= 3
    more = np.concatenate([turns, tone_of(conference, 3, seat)[:, None]], axis=1)
    assert len({tuple(row) for row in more.tolist()}) == 5_000


def test_tones_are_whole_and_clear_of_the_entry_sounds() -> None:
    assert len(TONES_HZ) == 293
    assert not (TONES_HZ % 10).any()
    for beep in (610, 820):
        assert np.abs(TONES_HZ - beep).min() > 30


def test_a_tone_of_the_table_is_that_tone_and_goes_on_without_a_seam() -> None:
    codes = frames("PCMU", 5_000.0)
    pcm = decode(codes[7].reshape(-1), "PCMU").astype(float)
    spectrum = np.abs(np.fft.rfft(np.tile(pcm, 2))) / SAMPLE_RATE_HZ
    assert int(spectrum.argmax()) == 2 * TONES_HZ[7]
    assert spectrum.max() == pytest.approx(5_000, rel=0.01)
    assert not decode(codes[SILENCE], "PCMU").any()


def test_all_talk_up_to_the_limit_and_take_turns_beyond_it() -> None:
    seat, size = np.arange(5), np.full(5, 5)
    assert place_of(seat, size, 3, 5).tolist() == [0, 1, 2, 3, 4]
    talked = [np.flatnonzero(place_of(seat, size, turn, 2) >= 0).tolist() for turn in range(5)]
    assert talked == [[0, 1], [2, 3], [0, 4], [1, 2], [3, 4]]


def test_a_turn_begins_quiet_then_one_leads_then_all_talk() -> None:
    callers = crowd(20, 2)
    for tick in range(2 * TURN_TICKS):
        callers.turn(tick, now_ns=1)
        voice = callers.voice(tick)
        for half in (0, 1):
            _, at = turn_at(tick, half)
            talking = int((voice[callers.half == half] != SILENCE).sum())
            wanted = 0 if at < SILENT_TICKS else 1 if at < LEAD_TICKS else 10
            if tick >= TURN_TICKS:
                assert talking == wanted, (tick, half)


def test_who_has_not_settled_does_not_lead() -> None:
    callers = crowd(4, 1)
    callers.steady_ns[:3] = 10**18
    for turn in range(4):
        callers.turn(turn * TURN_TICKS, now_ns=1)
        assert np.flatnonzero(callers.leads).tolist() == [3]
    callers.end(3)
    callers.turn(4 * TURN_TICKS, now_ns=1)
    assert not callers.leads.any()
