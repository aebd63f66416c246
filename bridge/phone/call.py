"""One call, as an async context manager. Knows its line by `order` and number; no PJSIP.

Leaving the context hangs up, whatever happened inside. Everything that happens is kept, so that
`events` and `answered` see also what was before them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Final, Protocol, Self

from bridge.phone.router import Router
from bridge.phone.values import (
    Answered,
    Block,
    CallEvent,
    CallRefused,
    Ended,
    Media,
    MediaChanged,
    PhoneTrouble,
    Samples,
    SipMessage,
    Statistics,
)

ANSWER_S: Final = 60.0
END_S: Final = 3.0
BLOCKS_MAX: Final = 250
"""Five seconds of audio wait for a slow listener; the oldest is dropped."""

SIP_KEPT_MAX: Final = 2_000


class Line(Protocol):
    """Where calls live: PJSIP in this process, or in one of a pool's."""

    router: Router

    async def order(self, name: str, *args: object) -> object:
        """Carry out an order of `Driver`'s."""
        ...


class Call:
    """A call that was made or has come.

    Attributes:
        uri: the other side.
        called: whom a call that has come was for; "" for one that was made.
        media: none, active, or held by either side.
        ended: how it ended; None while it is not over.
        dropped: blocks of audio that nobody fetched in time.
        sip: its SIP messages so far, `SIP_KEPT_MAX` at most, where `PhoneConfig.tells_sip` is set.
    """

    def __init__(
        self,
        uri: str,
        *,
        dial: "Callable[[Call], Awaitable[None]] | None" = None,
        called: str = "",
    ) -> None:
        self.uri = uri
        self.called = called
        self.media = Media.NONE
        self.ended: Ended | None = None
        self.dropped = 0
        self.sip: list[SipMessage] = []
        self._line: Line | None = None
        self._number = 0
        self._takes = False
        self._dial = dial
        self._events: list[CallEvent] = []
        self._grown = asyncio.Event()
        self._blocks: asyncio.Queue[Block | None] | None = None
        self._kept: Statistics | None = None
        self._writing: set[asyncio.Task[None]] = set()

    def put_on(self, line: Line, number: int) -> None:
        """Say where it lives; for `Account`."""
        self._line, self._number = line, number
        line.router.taken += 1
        self._takes = True
        line.router.attach(number, self._told)
        line.router.when_lost(self._on_lost)

    # --- life -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Dial; a call that has come is only entered.

        Raises:
            NoLineFree: all phones are in calls.
            PhoneTrouble: the URI is none, or PJSIP has no way there.
        """
        if self._dial is not None:
            await self._dial(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up, wait until the call is over, and give its phone back."""
        try:
            await self.hang_up()
        finally:
            await self._forget()

    async def _forget(self) -> None:
        try:
            self._kept = await self.statistics()
            await self._order("forget")
        except PhoneTrouble:  # the line has gone, and the call with it
            self._kept = self._kept or Statistics()
        finally:
            self.leave()

    def leave(self) -> None:
        """Have nothing to do with the line any more; for `Account`."""
        if self._line is not None:
            self._give_back()
            self._line.router.detach(self._number)
            self._line = None

    def _give_back(self) -> None:
        if self._line is not None and self._takes:
            self._line.router.taken -= 1
            self._takes = False

    async def answered(self, timeout_s: float = ANSWER_S) -> Self:
        """Wait until the call is answered.

        Raises:
            CallRefused: a final status that is no 2xx, or it is over already.
            TimeoutError: nobody answered in time; the call rings on.
        """
        async with asyncio.timeout(timeout_s):
            async for event in self.events():
                if isinstance(event, Answered):
                    return self
        assert self.ended is not None
        raise CallRefused(self.uri, self.ended.status, self.ended.reason)

    async def answer(self, status: int = 200) -> None:
        """Answer a call that has come: 200 takes it, 183 gives early media, 486 refuses."""
        await self._order("answer", status)
        if status // 100 == 2:
            await self.answered()

    async def hang_up(self, status: int = 0) -> None:
        """End the call, in whatever state it is; `status` refuses one that has come."""
        if self.ended is None:
            try:
                await self._order("hang_up", status)
                async with asyncio.timeout(END_S):
                    await self.over()
            except (PhoneTrouble, TimeoutError):  # PJSIP ends it in its own time, or has gone
                return

    async def over(self) -> Ended:
        """Wait until the call is over; return how."""
        async for event in self.events():
            if isinstance(event, Ended):
                return event
        raise AssertionError("events end with Ended")

    @property
    def so_far(self) -> tuple[CallEvent, ...]:
        """All that has happened up to now."""
        return tuple(self._events)

    async def events(self) -> AsyncIterator[CallEvent]:
        """Yield all that happens, from the call's beginning; the last is `Ended`."""
        place = 0
        while True:
            while place < len(self._events):
                event = self._events[place]
                place += 1
                yield event
                if isinstance(event, Ended):
                    return
            self._grown.clear()
            await self._grown.wait()

    # --- what one does in a call --------------------------------------------------------------

    async def press(self, keys: str) -> None:
        """Press keys (RFC 4733); returns when the last is sent."""
        await self._order("press", keys)

    async def hold(self) -> None:
        """Put the other side on hold; returns when it has agreed."""
        await self._order("hold", True)

    async def resume(self) -> None:
        """Take the other side off hold; returns when it has agreed."""
        await self._order("hold", False)

    async def transfer(self, uri: str) -> None:
        """Ask the other side to call `uri` instead (REFER); returns when it has got through.

        The call goes on; hang up when it has served.

        Raises:
            CallRefused: the other side declines, or does not get through.
        """
        await self._order("transfer", uri)

    async def connect(self, other: "Call") -> None:
        """Let both other sides hear each other, in PJSIP's own mixer; both live in one process.

        Raises:
            PhoneTrouble: they do not, or one is over.
        """
        if other._line is not self._line:
            raise PhoneTrouble("calls of two processes cannot be connected: use an Endpoint")
        await self._order("connect", other._number)

    async def statistics(self) -> Statistics:
        """Return what RTP and RTCP counted, up to now or up to the call's end."""
        if self._kept is not None:
            return self._kept
        answer = await self._order("statistics")
        assert isinstance(answer, Statistics)
        return answer

    # --- audio --------------------------------------------------------------------------------

    async def play(self, samples: Samples, *, loop: bool = False) -> None:
        """Say samples instead of what is said now; (n,) int16 at the endpoint's rate.

        Returns when they are said; with `loop` at once, and they are said again and again. No
        samples at all make an end of it.
        """
        await self._order("play", samples, loop)

    async def write(self, samples: Samples) -> None:
        """Say live samples after those that wait; what comes too fast is dropped, oldest first."""
        await self._order("write", samples)

    def write_soon(self, samples: Samples) -> None:
        """Do as `write` without waiting; for callbacks. Nothing when the call is over."""
        if self.ended is None and self._line is not None:
            task = asyncio.ensure_future(self._write_quietly(samples))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write_quietly(self, samples: Samples) -> None:
        with contextlib.suppress(PhoneTrouble):  # over meanwhile
            await self.write(samples)

    async def mute(self, on: bool = True) -> None:
        """Say silence from now on, or no more; PJSIP goes on sending."""
        await self._order("mute", on)

    async def audio(self) -> AsyncIterator[Block]:
        """Yield what is heard from now on, 20 ms a block, until the call is over."""
        blocks = self._blocks = asyncio.Queue(BLOCKS_MAX)
        await self._order("listen", True)
        try:
            while self.ended is None:
                block = await blocks.get()
                if block is None:
                    return
                yield block
        finally:
            if self._blocks is blocks:
                self._blocks = None
            if self.ended is None:
                await self._order("listen", False)

    async def heard(self, from_ns: int, to_ns: int) -> Block:
        """Return what was heard in a span of monotonic time; the last 90 s are kept."""
        answer = await self._order("heard", from_ns, to_ns)
        assert isinstance(answer, Block)
        return answer

    # --- the line's end -----------------------------------------------------------------------

    async def _order(self, name: str, *args: object) -> object:
        if self._line is None:
            raise PhoneTrouble(f"{name}: the call to {self.uri} is not made: use `async with`")
        return await self._line.order(name, self._number, *args)

    def _told(self, notice: CallEvent | Block | SipMessage) -> None:
        if isinstance(notice, Block):
            self._hear(notice)
            return
        if isinstance(notice, SipMessage):
            if len(self.sip) < SIP_KEPT_MAX:
                self.sip.append(notice)
            return
        if isinstance(notice, MediaChanged):
            self.media = notice.media
        elif isinstance(notice, Ended):
            self.ended, self.media = notice, Media.NONE
            self._hear(None)
            self._give_back()
        self._events.append(notice)
        self._grown.set()

    def _hear(self, block: Block | None) -> None:
        blocks = self._blocks
        if blocks is None:
            return
        if blocks.full():
            blocks.get_nowait()
            self.dropped += 1
        blocks.put_nowait(block)

    def _on_lost(self, why: str) -> None:
        if self.ended is None:
            self._told(Ended(0, why))
