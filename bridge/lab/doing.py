"""Small parts of running a story: orders by their words, numbers, doing things at once.

Knows a story's words and a few of the conference's orders; holds no state.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Final, TypeVar

from bridge.conference.api import ConferenceEvent, LockSession, MuteAll, SetLecture, StartSession
from bridge.errors import OperatingTrouble, TollbridgeError
from bridge.lab.callers import Caller, CallFailed
from bridge.lab.host import BY, SESSION
from bridge.lab.phones import Phone
from bridge.lab.steps import CallerStep
from bridge.lab.story import CALL_ME_CODEC, Story
from bridge.lab.verdicts import StoryResult, Verdict
from bridge.units import MS_PER_S

Result = TypeVar("Result")

ORDERS: Final[Mapping[str, ConferenceEvent]] = {
    "start": StartSession(SESSION, BY),
    "lock": LockSession(SESSION, locked=True, by=BY),
    "unlock": LockSession(SESSION, locked=False, by=BY),
    "lecture": SetLecture(SESSION, on=True, by=BY),
    "end lecture": SetLecture(SESSION, on=False, by=BY),
    "mute all": MuteAll(SESSION, muted=True, by=BY),
    "unmute all": MuteAll(SESSION, muted=False, by=BY),
}


class StepFailed(OperatingTrouble):
    """A step could not be done; the message says why."""

    code = "step_failed"


async def gateway_of(story: Story) -> Phone | None:
    """Return where Call Me goes out, None where a story calls nobody."""
    called = any(spec.via == "call-me" for spec in story.callers.values())
    return await Phone.open(CALL_ME_CODEC) if called else None


async def all_of(works: Sequence[Coroutine[None, None, None]]) -> None:
    """Do all at the same time; raise the first failure once all are done."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def or_failed(work: Coroutine[None, None, Result], result: StoryResult) -> Result | None:
    """Do a part of a story; what goes wrong in it, whatever it is, fails this story alone."""
    (done,) = await asyncio.gather(work, return_exceptions=True)
    if not isinstance(done, BaseException):
        return done
    if not isinstance(done, Exception):  # the end of the program, not of a story
        raise done
    said = str(done) if isinstance(done, TollbridgeError) else f"{type(done).__name__}: {done}"
    result.verdicts.append(Verdict(1, "story", False, "to be run", said))
    return None


async def do_alone(caller: Caller, step: CallerStep) -> bool:
    """Do what needs nothing but the caller's own phone; false when a step is not of that kind."""
    match step.verb:
        case "dial":
            await caller.dial()
        case "dial and hang up":
            await caller.dial_and_hang_up()
        case "dial and cancel":
            await caller.dial_and_cancel()
        case "join":
            await caller.join()
        case "answer":
            await caller.answer()
        case "refuse":
            await caller.refuse(step.status)
        case "press":
            await caller.press(step.digits)
        case "say":
            await caller.say(step.voice, step.for_ms / MS_PER_S)
        case "mute":
            await caller.mute()
        case "hold" | "resume":
            await caller.hold(on=step.verb == "hold")
        case "hang up":
            caller.require_call()
            await caller.hang_up()
        case "drop":
            await caller.drop()
        case _:
            return False
    return True


def refused(reason: str) -> None:
    """Raise why an order was refused; nothing when it was not."""
    if reason:
        raise StepFailed(f"refused: {reason}")


async def refusal(caller: Caller) -> tuple[int | None, str]:
    """Dial and return the final status, and what happened in words."""
    try:
        await caller.dial()
    except CallFailed as failure:
        return caller.status, str(caller.status) if caller.status else str(failure)
    await caller.hang_up()
    return caller.status, "answered with 200"
