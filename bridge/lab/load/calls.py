"""The SIP side of a crowd: dials at a rate, keys, hangs up, calls again; counts how it went.

Knows the plan and the engine's orders; knows nothing of the bridge but its SIP address.
"""

import asyncio
import random
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.ids import new_id
from bridge.lab.load.book import Book, CallLost, CallMade
from bridge.lab.load.link import EngineLink
from bridge.lab.load.plan import LoadPlan, address_of
from bridge.lab.phones import Phone
from bridge.sip.api import (
    Address,
    CallAnswered,
    CallEnded,
    CallMedia,
    Dial,
    EndCause,
    LocalMedia,
    SipNotice,
)
from bridge.units import NS_PER_S, LegId

ANSWER_TIMEOUT_S: Final = 32.0
"""Timer B of RFC 3261: no longer does an INVITE wait for an answer."""

AWAY_S: Final = 1.0
"""Between hanging up and calling again, in profile `churn`."""

END_POLL_S: Final = 0.05
END_POLLS_MAX: Final = 40
"""Two seconds for BYEs to be answered, or repeated."""

NUMBER: Final = 15_550_000_000
"""Callers' numbers follow it, so that each is somebody else to the bridge."""

NEVER_NS: Final = 1 << 62


@dataclass(slots=True)
class Call:
    """A caller's present call."""

    leg: LegId
    caller: int
    dialled_ns: int
    over: bool = False
    answered: asyncio.Future[CallAnswered] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


@dataclass(slots=True, eq=False)
class Calls:
    """All calls of a crowd.

    Attributes:
        up: calls that are answered, by caller, in the order in which they were.
        opened: conferences that their organizer is in, as the crowd knows: before that nobody
            there has to hear anybody.
    """

    plan: LoadPlan
    phone: Phone
    engine: EngineLink
    addresses: Sequence[Address]
    book: Book
    up: dict[int, Call] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)
    _calls: dict[int, Call] = field(default_factory=dict)
    _work: set[asyncio.Task[None]] = field(default_factory=set)
    _leaving: bool = False

    async def dial(self, callers: Sequence[int], stop: asyncio.Event) -> None:
        """Let callers call, `plan.rate` a second, until each is answered or refused, or `stop`."""
        began = asyncio.get_running_loop().time()
        tasks: set[asyncio.Task[Any]] = set()
        for number, caller in enumerate(callers):
            due = began + number / self.plan.rate
            await _sleep_until(due, stop)
            if stop.is_set():
                break
            tasks.add(self._spawn(self._call(caller)))
        halt: asyncio.Task[Any] = asyncio.get_running_loop().create_task(stop.wait())
        while tasks and not halt.done():
            await asyncio.wait({*tasks, halt}, return_when=asyncio.FIRST_COMPLETED)
            tasks = {task for task in tasks if not task.done()}
        halt.cancel()

    async def churn(self, stop: asyncio.Event, until_s: float, seed: int) -> None:
        """Let callers leave and call again until `until_s` of the loop's clock.

        Seat 0 stays: an organizer who leaves is another test.
        """
        draw = random.Random(seed)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while due < until_s and not stop.is_set():
            now_ns = time.monotonic_ns()
            settled_ns = now_ns - int(self.plan.settle_s * NS_PER_S)
            able = [
                caller
                for caller, call in self.up.items()
                if self.plan.place(caller)[1] and call.dialled_ns < settled_ns
            ]
            if able:
                self._spawn(self._again(draw.choice(able), stop))
            due += 1 / self.plan.churn_rate
            await _sleep_until(min(due, until_s), stop)

    async def hang_up(self) -> None:
        """End every call, at `plan.rate` a second twice over; wait for the BYEs' answers."""
        self._leaving = True
        loop = asyncio.get_running_loop()
        due = loop.time()
        for call in list(self._calls.values()):
            self.phone.hang_up(call.leg)
            due += 0.5 / self.plan.rate
            await asyncio.sleep(max(due - loop.time(), 0))
        for _ in range(END_POLLS_MAX):
            if not (self._work or self.phone.busy):
                return
            await asyncio.sleep(END_POLL_S)
        for task in self._work:
            task.cancel()

    async def _again(self, caller: int, stop: asyncio.Event) -> None:
        call = self.up.pop(caller, None)
        if call is None:
            return
        call.over = True
        self.book.hung_up += 1
        await self.engine.stop_caller(caller)
        self.phone.hang_up(call.leg)
        await asyncio.sleep(AWAY_S)
        if not stop.is_set() and not self._leaving:
            await self._call(caller)

    async def _call(self, caller: int) -> None:
        """Make one call and write down how it went."""
        call = Call(LegId(new_id()), caller, time.monotonic_ns())
        self._calls[caller] = call
        media = self.addresses[caller]
        uri = self.plan.uri(caller)
        order = Dial(
            leg=call.leg,
            target=uri,
            caller=number_of(caller),
            domain=self.phone.address.host,
            destination=address_of(uri),
            media=LocalMedia(media.host, media.port),
        )
        self.phone.dial(order, lambda notice: self._on_notice(call, notice))
        try:
            answered = await asyncio.wait_for(asyncio.shield(call.answered), ANSWER_TIMEOUT_S)
        except TimeoutError:
            call.over = True  # what follows from hanging up is no news
            self.phone.hang_up(call.leg)
            self._failed(call, "timeout")
        except CallRefusedError as refused:
            self._failed(call, str(refused))
        else:
            now_ns = time.monotonic_ns()
            took_ms = (now_ns - call.dialled_ns) / 1e6
            self.book.calls.append(CallMade(call.dialled_ns, caller, took_ms, connected_ns=now_ns))
            await self._enter(call, answered)

    async def _enter(self, call: Call, answered: CallAnswered) -> None:
        """Speak, key, and be judged from a while later on."""
        if call.over:
            return
        caller, keys = call.caller, self.plan.digits(call.caller)
        self.up[caller] = call
        await self.engine.connect(caller, answered.remote, NEVER_NS)
        if keys and not await self.engine.press(caller, keys):
            if not call.over:
                self.book.lost.append(
                    CallLost(time.monotonic_ns(), caller, "no_telephone_events_agreed")
                )
            return
        conference, seat = self.plan.place(caller)
        settled_ns = time.monotonic_ns() + int(self.plan.settle_s * NS_PER_S)
        opens = seat == 0 or not self.plan.organizer_keys
        if opens and conference not in self.opened:
            self.opened[conference] = settled_ns
            waiting = [c for c in self.up if self.plan.place(c)[0] == conference]
        else:
            waiting = [caller] if conference in self.opened else []
        for one in waiting:  # bound: a conference
            await self.engine.steady(one, max(settled_ns, self.opened[conference]))

    def _failed(self, call: Call, why: str) -> None:
        call.over = True
        self._calls.pop(call.caller, None)
        if self._leaving:
            return
        self.book.calls.append(CallMade(call.dialled_ns, call.caller, None, why))

    def _on_notice(self, call: Call, notice: SipNotice) -> None:
        match notice:
            case CallAnswered() if not call.answered.done():
                call.answered.set_result(notice)
            case CallMedia():
                self._spawn(self.engine.retarget(call.caller, notice.remote))
            case CallEnded():
                self._on_ended(call, notice)
            case _:
                pass

    def _on_ended(self, call: Call, notice: CallEnded) -> None:
        if self._calls.get(call.caller) is call:
            del self._calls[call.caller]
        if call.over:
            return
        if not call.answered.done():
            why = str(notice.status) if notice.status else notice.cause.value
            call.answered.set_exception(CallRefusedError(why))
        elif not self._leaving:
            cause = "bye" if notice.cause is EndCause.REMOTE_BYE else notice.cause.value
            self.book.lost.append(CallLost(time.monotonic_ns(), call.caller, cause))
        call.over = True
        if self.up.pop(call.caller, None) is not None:
            self._spawn(self.engine.stop_caller(call.caller))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task


def number_of(caller: int) -> str:
    """Return the number that a caller calls from.

    >>> number_of(7)
    '+15550000007'
    """
    return f"+{NUMBER + caller}"


class CallRefusedError(Exception):
    """A call was not answered; its text is the status or the cause."""


async def _sleep_until(due: float, stop: asyncio.Event) -> None:
    """Wait until a time of the loop's clock, or until `stop`."""
    wait = due - asyncio.get_running_loop().time()
    if wait > 0 and not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), wait)
        except TimeoutError:
            return
