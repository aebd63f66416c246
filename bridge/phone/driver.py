"""Drives PJSIP from one asyncio task: orders come by name, what happens goes out as notices.

Calls and accounts are known outside by number only. Callbacks are noted while PJSIP works and told
after it, so that user code never runs inside a callback.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from bridge.errors import InputError
from bridge.phone.pjsip import HANG_UP_S, POLL_S, Entry, Pjsip
from bridge.phone.refuser import Refuser
from bridge.phone.router import Router
from bridge.phone.telling import Telling
from bridge.phone.values import (
    KEYS,
    RATES_HZ,
    AccountConfig,
    Block,
    NoLineFree,
    PhoneConfig,
    PhoneTrouble,
    Samples,
    Statistics,
)

LINGER_S: Final = 0.3
"""After the last call: for the BYE to be answered, or sent again once."""

FREED_S: Final = 1.5
"""Until PJSIP has freed the place of a call that has ended: its BYE sent twice."""

ORDER_S: Final = 15.0
KEY_MS: Final = 100
KEY_APART_S: Final = 0.16
COUNTER: Final = 0
"""The number of the account, and of the calls, that count how many calls there may be."""
TOO_MANY: Final = 70_010
"""PJ_ETOOMANY: the build's PJSUA_MAX_CALLS is reached."""


class Driver:
    """PJSIP in this process, as a line for calls: there can be one at a time."""

    def __init__(self, config: PhoneConfig, router: Router | None = None) -> None:
        if config.rate_hz not in RATES_HZ:
            raise InputError("rate_hz", config.rate_hz, f"one of {', '.join(map(str, RATES_HZ))}")
        self.router = router or Router()
        self._pjsip = Pjsip(config, on_closed=self._on_closed)
        self._telling = Telling(self._pjsip, self.router)
        self._task: asyncio.Task[None] | None = None
        self._under_way = 0
        self._closing = False
        self._counting = asyncio.Lock()

    @property
    def address(self) -> str:
        """Where SIP over UDP is heard, `host:port`; "" when PJSIP does not run."""
        return self._pjsip.address

    @property
    def version(self) -> str:
        """PJSIP's version, while it runs."""
        return self._pjsip.version

    async def start(self) -> None:
        """Start PJSIP, or raise as `Pjsip.start` does."""
        Pjsip.close_left(lambda left: left.loop.is_closed())
        self._pjsip.loop = self._loop = asyncio.get_running_loop()
        self._pjsip.start()
        self._closing = False
        self._task = self._loop.create_task(self._poll())

    async def _poll(self) -> None:
        while True:
            self._turn()
            await asyncio.sleep(POLL_S)

    def _turn(self) -> None:
        self._pjsip.work()
        self._telling.tell()

    async def order(self, name: str, *args: Any) -> Any:
        """Carry out an order of `do_…` and return its answer.

        Raises:
            PhoneTrouble: PJSIP refuses it, the call is over, or the endpoint closes meanwhile.
            CallRefused: the other side refuses it.
        """
        self._need_open(name)
        self._under_way += 1
        try:
            answer = await getattr(self, f"do_{name}")(*args)
        except self._pjsip.pj.Error as error:
            raise PhoneTrouble(f"{name}: {error.reason}") from None
        finally:
            self._under_way -= 1
        self._telling.tell()
        return answer

    def _need_open(self, name: str) -> None:
        if self._closing or not self._pjsip.is_open:
            raise PhoneTrouble(f"{name}: the endpoint is closed")

    # --- accounts -----------------------------------------------------------------------------

    async def do_open_account(self, number: int, account: AccountConfig) -> None:
        """Make an account; one with a registrar registers, and the answer is a notice."""
        self._pjsip.accounts[number] = self._pjsip.new_account(number, account)

    async def do_close_account(self, number: int) -> None:
        """Unregister and forget an account; its calls must be over. Nothing when it is closed."""
        registered = self._telling.registered
        if number in self._pjsip.accounts and number in registered:
            with contextlib.suppress(self._pjsip.pj.Error):  # it is about to already
                self._pjsip.accounts[number].setRegistration(False)
            await self._until(lambda: number not in registered)
        self._pjsip.drop_account(number)

    # --- calls --------------------------------------------------------------------------------

    async def do_dial(self, number: int, account: int, uri: str) -> None:
        """Send an INVITE; wait while a call that has just ended is still in its place."""
        pjsip = self._pjsip
        entry = pjsip.entry(pjsip.new_call(number, self._account(account)))
        pjsip.dialling[number] = entry
        try:
            while not self._made(entry, uri):
                await asyncio.sleep(POLL_S)  # PJSIP has no event for it
                self._need_open("dial")
                self._account(account)
            pjsip.calls[number] = pjsip.dialling.pop(number)
        finally:
            pjsip.undial(number)
        entry.call_id, entry.dialled = entry.call.getInfo().callIdString, True

    def _account(self, number: int) -> Any:
        account = self._pjsip.accounts.get(number)
        if account is None:
            raise PhoneTrouble("the account is closed")
        return account

    def _made(self, entry: Entry, uri: str) -> bool:
        """Make a call; false while one that has just ended is still in its place.

        We say that a call has ended when its BYE goes out, PJSIP frees its place when that is
        answered.
        """
        pj = self._pjsip.pj
        try:
            entry.call.makeCall(uri, pj.CallOpParam(True))
        except pj.Error as error:
            if error.status != TOO_MANY:
                raise PhoneTrouble(f"{uri}: {error.reason}") from None
            if not self._telling.over_for(FREED_S):
                return False
            live = sum(not entry.over for entry in self._pjsip.calls.values())
            raise NoLineFree(f"{live} calls are all that this build allows a process") from None
        return True

    def _entry(self, number: int) -> Entry:
        entry = self._pjsip.calls.get(number)
        if entry is None or entry.over:
            raise PhoneTrouble("the call is over")
        return entry

    async def do_answer(self, number: int, status: int) -> None:
        """Answer an incoming call."""
        param = self._pjsip.pj.CallOpParam(True)
        param.statusCode = status
        self._entry(number).call.answer(param)

    async def do_hang_up(self, number: int, status: int) -> None:
        """End a call in whatever state it is; nothing when it is over."""
        entry = self._pjsip.calls.get(number)
        if entry is not None and not entry.over:
            param = self._pjsip.pj.CallOpParam(True)
            param.statusCode = status
            entry.call.hangup(param)

    async def do_press(self, number: int, keys: str) -> None:
        """Send keys by RFC 4733 one after the other; returns when the last is sent."""
        for key in keys:
            if key not in KEYS:
                raise InputError("press", keys, "keys of 0-9 * # A B C D")
        for key in keys:
            param = self._pjsip.pj.CallSendDtmfParam()
            param.method = self._pjsip.pj.PJSUA_DTMF_METHOD_RFC2833
            param.duration, param.digits = KEY_MS, key
            self._entry(number).call.sendDtmf(param)
            await asyncio.sleep(KEY_APART_S)
            self._need_open("press")

    async def do_hold(self, number: int, on: bool) -> None:
        """Put a call on hold by a re-INVITE, or take it off; returns when it is agreed."""
        entry = self._entry(number)
        if not entry.confirmed:
            raise PhoneTrouble("the call is not answered: it cannot be held")
        agreed = self._telling.expect(number, "hold" if on else "resume")
        param = self._pjsip.pj.CallOpParam(True)
        if on:
            entry.call.setHold(param)
        else:
            param.opt.flag = self._pjsip.pj.PJSUA_CALL_UNHOLD
            entry.call.reinvite(param)
        self._telling.tell()
        await self._in_time(agreed, "hold" if on else "resume")

    async def do_transfer(self, number: int, uri: str) -> None:
        """Ask the other side to call somebody else (REFER); returns when that has succeeded."""
        entry = self._entry(number)
        done = self._telling.expect(number, "transfer")
        entry.call.xfer(uri, self._pjsip.pj.CallOpParam(True))
        await self._in_time(done, "transfer")

    async def do_connect(self, number: int, other: int) -> None:
        """Let two calls hear each other, in PJSIP's own mixer."""
        self._entry(number).joined.add(other)
        self._entry(other).joined.add(number)
        self._pjsip.connect(number)

    async def _in_time(self, answer: asyncio.Future[None], what: str) -> None:
        try:
            await asyncio.wait_for(answer, ORDER_S)
        except TimeoutError:
            raise PhoneTrouble(f"{what}: not answered within {ORDER_S:.0f} s") from None

    async def do_statistics(self, number: int) -> Statistics:
        """Return what was counted up to now, or to the call's end."""
        entry = self._known(number)
        if entry.over:
            return entry.statistics
        return entry.statistics.followed_by(self._pjsip.directors.statistics(entry.call))

    def _known(self, number: int) -> Entry:
        entry = self._pjsip.calls.get(number)
        if entry is None:
            raise PhoneTrouble("the call is forgotten")
        return entry

    async def do_forget(self, number: int) -> None:
        """Drop what is kept of a call that is over, so that its port serves another."""
        entry = self._pjsip.calls.get(number)
        if entry is not None and entry.over:
            del self._pjsip.calls[number]
            self._pjsip.drop(entry)

    async def do_capacity(self) -> int:
        """Return how many calls this build allows: call until it refuses, be refused, let go."""
        async with self._counting:
            await self._until(lambda: self._closing or self._telling.over_for(FREED_S))
            self._need_open("capacity")
            return await self._count()

    async def _count(self) -> int:
        pjsip, host = self._pjsip, self._pjsip.config.host
        account = pjsip.new_account(COUNTER, AccountConfig(f"sip:capacity@{host}"))
        pjsip.accounts[COUNTER] = account
        try:
            with Refuser(host) as refuser:
                self._call_until_refused(account, refuser.uri)
                counted = len(pjsip.tried) + sum(not entry.over for entry in pjsip.calls.values())
                await self._until(lambda: self._refused(refuser))
        finally:  # nothing is left to free when PJSIP was taken down meanwhile
            pjsip.release_tried()
            pjsip.drop_account(COUNTER)
        return counted

    def _call_until_refused(self, account: Any, uri: str) -> None:
        """Make calls, in `tried`, as many as the build allows."""
        pjsip, pj = self._pjsip, self._pjsip.pj
        try:
            while True:  # bounded by the build, and by calls_max
                pjsip.tried.append(pjsip.new_call(COUNTER, account))
                pjsip.tried[-1].makeCall(uri, pj.CallOpParam(True))
        except pj.Error as error:
            pjsip.directors.release(pjsip.tried.pop())
            if error.status != TOO_MANY:
                raise

    def _refused(self, refuser: Refuser) -> bool:
        refuser.refuse()
        self._turn()
        return not any(call.isActive() for call in self._pjsip.tried)

    # --- audio --------------------------------------------------------------------------------

    async def do_play(self, number: int, samples: Samples, loop: bool) -> None:
        """Say samples from now on; returns when they are said, at once when they are repeated."""
        done = asyncio.Event()

        def finished() -> None:  # in the clock thread, or in ours
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(done.set)

        self._entry(number).sound.play(samples, loop=loop, done=finished)
        if not loop:
            await done.wait()

    async def do_write(self, number: int, samples: Samples) -> None:
        """Say live samples after those that wait already; nothing when the call is over."""
        if entry := self._pjsip.calls.get(number):
            entry.sound.write(samples)

    async def do_mute(self, number: int, on: bool) -> None:
        """Say silence, or again what there is to say."""
        self._entry(number).sound.muted = on

    async def do_listen(self, number: int, on: bool) -> None:
        """Give each frame that is heard as a notice, or no more."""
        if entry := self._pjsip.calls.get(number):
            entry.sound.listen(self._hearer(number) if on else None)

    def _hearer(self, number: int) -> Callable[[int, bytes], None]:
        def on_block(at_ns: int, data: bytes) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.router.notify, number, Block.of(at_ns, data))

        return on_block

    async def do_heard(self, number: int, from_ns: int, to_ns: int) -> Block:
        """Return what was heard in a span of monotonic time; also of a call that is over."""
        return self._known(number).sound.heard(from_ns, to_ns)

    # --- the end ------------------------------------------------------------------------------

    async def close(self) -> None:
        """Hang up all calls, unregister, and take PJSIP down; nothing when it is closed.

        Orders under way come to their end first: none may meet a library that is gone.
        """
        pjsip = self._pjsip
        if not pjsip.is_open:
            return
        self._closing = True
        try:
            pjsip.hang_up_all()
            await self._until(lambda: not self._under_way and pjsip.all_over)
            for number in list(pjsip.accounts):
                await self.do_close_account(number)
            await self._until(lambda: self._telling.over_for(LINGER_S))
        finally:
            pjsip.close_now()

    async def _until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true, or PJSIP is down; it has no event that says so."""
        end = self._loop.time() + HANG_UP_S
        while self._pjsip.is_open and not true() and self._loop.time() < end:  # noqa: ASYNC110 - above
            await asyncio.sleep(POLL_S)

    def _on_closed(self) -> None:
        if self._task is not None and not self._loop.is_closed():
            self._task.cancel()
        self._telling.end()
        self.router.lost("the endpoint is closed")
