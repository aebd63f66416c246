"""PJSIP callers of stories: which agent calls, and what is heard when; no phone is started."""

import sys

import numpy as np
import pytest

from bridge.lab.callers import Caller, CallFailed
from bridge.lab.pjsip_callers import Agents, samples_of, window_of
from bridge.lab.story import CallerSpec
from bridge.lab.words import Voice
from bridge.units import FRAME_NS, FRAME_SAMPLES

PJSIP = CallerSpec(via="voip", agent="pjsip")


async def test_without_the_wheel_vector_callers_stand_in_and_the_result_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pjsua2", None)
    monkeypatch.delenv("CI", raising=False)
    agents = Agents()
    assert await agents.maker(PJSIP) is Caller
    assert await agents.maker(PJSIP) is Caller
    (note,) = agents.notes_of_story()
    assert note.startswith("vector callers stand in for PJSIP: pjsua2-python is not installed")
    assert agents.notes_of_story() == ()


async def test_with_ci_a_missing_wheel_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pjsua2", None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(CallFailed, match="agent pjsip: pjsua2-python is not installed"):
        await Agents().maker(PJSIP)


async def test_a_vector_caller_needs_no_pool() -> None:
    assert await Agents().maker(CallerSpec(via="voip")) is Caller


def test_what_was_heard_lies_in_its_window_where_it_came() -> None:
    pcm = np.ones(3 * FRAME_SAMPLES, np.int16)
    window = window_of(pcm, 2 * FRAME_NS + 1, 10 * FRAME_NS)
    assert window.present.tolist() == [False] * 2 + [True] * 3 + [False] * 5
    assert window.pcm.reshape(10, -1)[:, 0].tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    late = window_of(pcm, 9 * FRAME_NS, 10 * FRAME_NS)
    assert late.present.tolist() == [False] * 9 + [True]
    none = window_of(pcm[:0], 0, 2 * FRAME_NS)
    assert not none.present.any()


def test_a_tone_is_repeated_without_a_seam_and_silence_is_nothing() -> None:
    tone = samples_of(Voice(tone_hz=440)).astype(np.float64)
    assert len(tone) == 8_000
    assert abs(tone[0] - tone[-1] - (tone[1] - tone[0])) < 2  # as if it went on
    assert not len(samples_of(Voice()))
