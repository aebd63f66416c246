"""Vector callers: each dials, keys, speaks, listens and leaves over real SIP and real RTP.

A caller joins a `Phone` (SIP) and a row of the `RtpEngine` (audio). Knows whom to dial and what
to key; knows nothing of the bridge but its SIP address.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Final

from bridge.errors import RemoteFault
from bridge.ids import new_id
from bridge.lab.audibility import Window
from bridge.lab.network import Impairment
from bridge.lab.phones import Phone
from bridge.lab.rtp import RtpEngine, RtpPort
from bridge.lab.sounds import Pcm
from bridge.lab.words import SILENT, Voice
from bridge.sip.api import (
    Address,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    CallMedia,
    CallProgress,
    Dial,
    Direction,
    EndCause,
    LocalMedia,
    RemoteMedia,
    SipNotice,
)
from bridge.units import FRAME_MS, NS_PER_MS, NS_PER_S, LegId

ANSWER_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.02
SETTLE_NS: Final = 120 * NS_PER_MS
"""How long after the end of a window its last frames may still arrive."""

ANONYMOUS: Final = ("anonymous", "anonymous.invalid")


class CallFailed(RemoteFault):
    """A call was refused, not answered, or is over when it should not be."""

    code = "call_failed"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a caller dials, and what he keys to be let in.

    Attributes:
        user: user part of the request URI: a DID, an access code, or "join".
        bridge: where the INVITE goes.
        keys: keyed once answered; "" when there is nothing to key.
    """

    user: str
    bridge: Address
    keys: str = ""


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of a caller's SIP ladder: monotonic time and what was sent or received."""

    at_ns: int
    text: str


@dataclass(slots=True, eq=False)
class Caller:
    """One caller and his present call.

    Attributes:
        number: user part of From; "anonymous" hides it.
        ladder: what happened in SIP, in order.
        ended: why the last call is over; None while it is up or before the first.
        status: final status of a call that was refused.
        ports: his RTP ports, one after the other: each call has a new one.
        ptime_ms: length of the packets that he sends and asks for.
        invite: how often his INVITE comes, one of `copies.INVITES`.
        network: what happens to the packets that he sends, drawn from `seed`.
    """

    name: str
    number: str
    target: Target
    phone: Phone
    engine: RtpEngine
    voice: Voice = SILENT
    ring_frames: int = 0
    ptime_ms: int = FRAME_MS
    invite: str = "once"
    network: Impairment | None = None
    seed: str = ""
    ladder: list[Rung] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    ended: EndCause | None = None
    status: int | None = None
    _leaves: bool = False
    _port: RtpPort | None = None
    _leg: LegId | None = None
    _answered: asyncio.Future[CallAnswered] | None = None
    _agreed: asyncio.Future[RemoteMedia] | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _rang: asyncio.Event = field(default_factory=asyncio.Event)
    _call: CallIncoming | None = None
    _work: set[asyncio.Task[None]] = field(default_factory=set)
    _listens: set[asyncio.Future[Window]] = field(default_factory=set)

    @property
    def in_call(self) -> bool:
        """Whether a call of his is up, as he knows it."""
        return self._leg is not None and not self._over.is_set()

    @property
    def remembers(self) -> bool:
        """Whether what he received can be asked for when his call is over."""
        return True

    async def dial(self) -> None:
        """Call and wait for the answer; he speaks from the answer on.

        Raises:
            CallFailed: refused, or not answered in time.
        """
        await self._call_out()
        answered = await self._answer()
        assert self._port is not None
        await self.engine.connect(self._port, answered.remote)
        await self.engine.speak(self._port, self.voice)

    async def dial_and_hang_up(self) -> None:
        """Call, and send BYE right behind the ACK: no packet of sound is sent."""
        await self._call_out()
        self._leaves = True
        await self._answer()

    async def dial_and_cancel(self) -> None:
        """Call, and give up before the answer: CANCEL as soon as anything has come (§9.1).

        When the first thing that comes is the answer, it is acknowledged and ended with BYE.
        """
        await self._call_out()
        assert self._leg is not None
        self._note("→ CANCEL, when something has come; BYE when that is the answer")
        self._answered = None
        self.phone.hang_up(self._leg)
        # bound: ANSWER_TIMEOUT_S in steps of POLL_S
        for _ in range(round(ANSWER_TIMEOUT_S / POLL_S)):
            if not self.phone.busy:
                return
            await asyncio.sleep(POLL_S)
        raise CallFailed(f"neither INVITE nor CANCEL answered within {ANSWER_TIMEOUT_S:.0f} s")

    async def _call_out(self) -> None:
        if self.in_call:
            raise CallFailed(f"{self.name} is in a call already")
        await self._new_port()
        assert self._port is not None
        self._leg, self.ended, self.status = LegId(new_id()), None, None
        self._leaves = False
        self._over = asyncio.Event()
        self._answered = asyncio.get_running_loop().create_future()
        caller, domain = self.number, self.phone.address.host
        if caller == "anonymous":
            caller, domain = ANONYMOUS
        host, port = self.target.bridge
        uri = f"sip:{self.target.user}@{host}:{port}"
        self._note(f"→ INVITE {uri}")
        self.phone.dial(
            Dial(
                leg=self._leg,
                target=uri,
                caller=caller,
                domain=domain,
                destination=self.target.bridge,
                media=self._media(),
                display_name=self.name,
            ),
            self._on_notice,
            invite=self.invite,
        )

    async def _answer(self) -> CallAnswered:
        assert self._answered is not None, "he has called"
        assert self._leg is not None, "the same"
        try:
            return await asyncio.wait_for(self._answered, ANSWER_TIMEOUT_S)
        except TimeoutError:
            self.phone.hang_up(self._leg)
            raise CallFailed(f"not answered within {ANSWER_TIMEOUT_S:.0f} s") from None

    def await_calls(self) -> None:
        """Let his phone ring when the bridge calls his number (R14)."""
        self.phone.await_calls(self.number, self._on_notice)

    async def rings(self) -> None:
        """Wait until his phone rings.

        Raises:
            CallFailed: it did not in time.
        """
        try:
            await asyncio.wait_for(self._rang.wait(), ANSWER_TIMEOUT_S)
        except TimeoutError:
            text = f"the phone of {self.name} did not ring within {ANSWER_TIMEOUT_S:.0f} s"
            raise CallFailed(text) from None

    async def answer(self) -> None:
        """Take the call that rings, and speak.

        Raises:
            CallFailed: none rings, or it ended first.
        """
        call = await self._ringing()
        await self._new_port()
        assert self._port is not None
        self._leg, self.ended, self.status = call.leg, None, None
        self._over = asyncio.Event()
        self._agreed = asyncio.get_running_loop().create_future()
        self._note("→ 200")
        self.phone.accept(call.leg, self._media())
        try:
            remote = await asyncio.wait_for(self._agreed, ANSWER_TIMEOUT_S)
        except TimeoutError:
            raise CallFailed(f"no ACK within {ANSWER_TIMEOUT_S:.0f} s") from None
        await self.engine.connect(self._port, remote)
        await self.engine.speak(self._port, self.voice)

    async def refuse(self, status: int) -> None:
        """Refuse the call that rings: 486 is busy, 603 declines."""
        call = await self._ringing()
        self._note(f"→ {status}")
        self.phone.refuse(call.leg, status)

    async def _ringing(self) -> CallIncoming:
        await self.rings()
        call, self._call = self._call, None
        self._rang.clear()
        if call is None:
            raise CallFailed(f"the call to {self.name} has ended")
        return call

    async def join(self) -> None:
        """Dial and key what lets him in."""
        await self.dial()
        if self.target.keys:
            await self.press(self.target.keys)

    async def press(self, digits: str) -> None:
        """Key digits by RFC 4733 and wait until they are sent."""
        port = self._call_port()
        self._note(f"→ keys {digits}")
        if not await self.engine.press(port, digits):
            why = self._why() or "no telephone-events agreed"
            raise CallFailed(f"keys {digits} were not sent: {why}")

    async def say(self, voice: Voice, seconds: float, *, then: Voice | None = None) -> None:
        """Say something else for a while, then `then`, by default his own voice."""
        await self.speak(voice)
        await asyncio.sleep(seconds)
        if self.in_call:
            await self.speak(self.voice if then is None else then)

    async def speak(self, voice: Voice) -> None:
        """Say something else from now on."""
        port = self._call_port()
        await self.engine.speak(port, voice)

    async def mute(self) -> None:
        """Mute himself on the bridge with `*2` (R18)."""
        await self.press("*2")

    async def hold(self, *, on: bool) -> None:
        """Put the call on hold by a re-INVITE with `a=sendonly`, or take it off."""
        port = self._call_port()
        assert self._leg is not None, "he is in a call"
        direction = Direction.SENDONLY if on else Direction.SENDRECV
        self._note("→ re-INVITE " + ("hold" if on else "resume"))
        self._agreed = asyncio.get_running_loop().create_future()
        self.phone.reinvite(self._leg, self._media(direction))
        try:
            remote = await asyncio.wait_for(self._agreed, ANSWER_TIMEOUT_S)
        except TimeoutError:
            raise CallFailed(f"re-INVITE not answered in {ANSWER_TIMEOUT_S:.0f} s") from None
        await self.engine.connect(port, remote)
        await self.engine.send(port, not on)

    async def hang_up(self) -> None:
        """End the call with BYE, if one is up."""
        if self.in_call and self._leg is not None:
            self._note("→ BYE")
            self.phone.hang_up(self._leg)
            await self._silence(self._port)

    async def drop(self) -> None:
        """Vanish: no BYE, no RTP, no answer to anything any more (D12)."""
        self.require_call()
        self._note("vanishes")
        await self._silence(self._port)
        await self.phone.vanish()
        self._over.set()

    async def over(self, timeout_s: float) -> bool:
        """Wait until the call is over; false when it was not in time."""
        try:
            await asyncio.wait_for(self._over.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def until(self, at_ns: int) -> None:
        """Wait until all has come that belongs before a moment of monotonic time."""
        late_s = (at_ns + SETTLE_NS - time.monotonic_ns()) / NS_PER_S
        if late_s > 0:
            await asyncio.sleep(late_s)

    async def heard(self, from_ns: int, to_ns: int) -> Window:
        """Return what he received in a span of monotonic time, once all of it has come.

        Until then he keeps the port on which it comes.
        """
        if self._port is None:
            raise CallFailed(f"{self.name} has made no call")
        listening = asyncio.ensure_future(self._window(self._port, from_ns, to_ns))
        self._listens.add(listening)
        listening.add_done_callback(self._listens.discard)
        return await listening

    async def _window(self, port: RtpPort, from_ns: int, to_ns: int) -> Window:
        await self.until(to_ns)
        return await self.engine.window(port, from_ns, to_ns)

    async def packet_ms(self) -> int:
        """Return how much sound the last packet held that he received; 0 when none came."""
        if self._port is None:
            raise CallFailed(f"{self.name} has made no call")
        return await self.engine.packet_ms(self._port)

    async def probe(self, pcm: Pcm) -> int:
        """Say these samples once, in place of his voice; return when he began, monotonic ns."""
        sent_ns = await self.engine.probe(self._call_port(), pcm)
        if not sent_ns:
            raise CallFailed(f"{self.name} sends nothing now")
        return sent_ns

    async def close(self) -> None:
        """Give the RTP port back; the call must be over."""
        if self._listens:
            await asyncio.wait(self._listens)
        if self._port is not None:
            await self.engine.close(self._port)
            self._port = None

    def _media(self, direction: Direction = Direction.SENDRECV) -> LocalMedia:
        """Return what he says of his media: where he receives, and in packets of which length."""
        assert self._port is not None, "a call has a port"
        return LocalMedia(self._port.host, self._port.port, direction, self.ptime_ms)

    async def _new_port(self) -> None:
        await self.close()
        self._port = await self.engine.open(
            host=self.phone.address.host, ring_frames=self.ring_frames, ptime_ms=self.ptime_ms
        )
        self.ports.append(self._port.port)
        if self.network is not None:
            await self.engine.impair(self._port, self.network, self.seed)

    async def _silence(self, port: RtpPort | None) -> None:
        if port is not None:
            await self.engine.send(port, False)

    def require_call(self) -> None:
        """Raise CallFailed, with what became of his last call, unless one is up."""
        if not self.in_call:
            why = self._why()
            raise CallFailed(f"{self.name} is in no call" + (f": {why}" if why else ""))

    def _call_port(self) -> RtpPort:
        """Return the port of his call, or raise CallFailed when none is up."""
        self.require_call()
        assert self._port is not None, "who is in a call has a port"
        return self._port

    def _why(self) -> str:
        """Return why his last call is over, "" when he knows nothing of that."""
        if self.status is not None:
            return f"refused with {self.status}"
        return f"ended by {self.ended.value}" if self.ended else ""

    def _note(self, text: str) -> None:
        self.ladder.append(Rung(time.monotonic_ns(), text))

    def _on_notice(self, notice: SipNotice) -> None:
        match notice:
            case CallIncoming():
                self._note("← INVITE, → 180")
                self._call = notice
                self._rang.set()
            case CallConfirmed() if self._agreed is not None and not self._agreed.done():
                self._note("← ACK")
                self._agreed.set_result(notice.remote)
            case CallProgress(_, status):
                self._note(f"← {status}")
            case CallAnswered():
                self._note(f"← 200 ({notice.remote.codec.name}), → ACK")
                if self._answered is not None and not self._answered.done():
                    self._answered.set_result(notice)
                if self._leaves:
                    self._note("→ BYE")
                    self.phone.hang_up(notice.leg)
            case CallMedia() if self._agreed is not None and not self._agreed.done():
                self._note("← 200, → ACK")
                self._agreed.set_result(notice.remote)
            case CallMedia():
                self._note("← re-INVITE")
                if self._port is not None:
                    self._spawn(self.engine.connect(self._port, notice.remote))
            case CallEnded(_, cause, status):
                self._on_ended(cause, status)
            case _:
                pass

    def _on_ended(self, cause: EndCause, status: int | None) -> None:
        self._call = None
        self._note(f"over: {cause.value}" + (f" {status}" if status else ""))
        self.ended, self.status = cause, status
        self._over.set()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(CallFailed(f"{self.name}: {self._why()}"))
        self._spawn(self._silence(self._port))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
