"""What callers do by themselves: what cannot be done says so, it is not passed over."""

from typing import Any

import pytest

from bridge.lab.callers import Caller, CallFailed, Target
from bridge.lab.doing import do_alone
from bridge.lab.pjsip_callers import PjsipCaller
from bridge.lab.steps import CallerStep
from bridge.sip.api import Address, EndCause

NOTHING: Any = None
"""No phone and no engine: who is in no call needs none."""


def step(verb: str) -> CallerStep:
    return CallerStep.model_validate({"line": 1, "text": verb, "who": ("ann",), "verb": verb})


def caller(kind: type[Caller] = Caller) -> Caller:
    return kind("ann", "ann", Target("join", Address("127.0.0.1", 9)), NOTHING, NOTHING)


@pytest.mark.parametrize("verb", ["hang up", "drop", "say", "press", "mute", "hold", "resume"])
async def test_who_has_not_called_can_do_nothing_in_a_call(verb: str) -> None:
    with pytest.raises(CallFailed, match=r"^ann is in no call$"):
        await do_alone(caller(), step(verb))


@pytest.mark.parametrize("verb", ["hang up", "say", "press", "hold"])
async def test_a_pjsip_caller_who_has_not_called_can_neither(verb: str) -> None:
    with pytest.raises(CallFailed, match=r"^ann is in no call$"):
        await do_alone(caller(PjsipCaller), step(verb))


async def test_what_cannot_be_done_says_what_became_of_the_call() -> None:
    ann = caller()
    ann.ended = EndCause.REMOTE_BYE
    with pytest.raises(CallFailed, match=f"ann is in no call: ended by {ann.ended.value}"):
        await do_alone(ann, step("hang up"))
    await ann.hang_up()  # at the end of a story everybody is, in a call or not
