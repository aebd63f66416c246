"""PJSIP callers: what a vector caller does, done by a phone whose SIP and RTP are not ours.

They live in pools of processes, one pool a codec, that stay warm between stories. Where the wheel
is missing a story's PJSIP callers are vector callers, and the result says so; with CI=true that
is a failure.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bridge.lab.audibility import Window
from bridge.lab.callers import ANSWER_TIMEOUT_S, Caller, CallFailed
from bridge.lab.capture import Packet
from bridge.lab.spoken import samples_said
from bridge.lab.story import CallerSpec
from bridge.lab.voice import sine
from bridge.lab.words import Voice
from bridge.phone import (
    Account,
    Answered,
    Call,
    CallEvent,
    CallRefused,
    Ended,
    Media,
    MediaChanged,
    PhoneConfig,
    PhoneTrouble,
    Pool,
    Ringing,
    SipMessage,
    missing,
)
from bridge.phone.values import Samples
from bridge.sip.api import EndCause
from bridge.units import FRAME_NS, FRAME_SAMPLES, SAMPLE_RATE_HZ

HELD: Final = {Media.HELD: "on hold", Media.HELD_BY_PEER: "held by the bridge"}


class Agents:
    """Who calls in the stories of one lab: the class of each caller, and the pools behind.

    Attributes:
        notes: what is otherwise than a story says; given to its result.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._pools: dict[str, Pool] = {}

    async def maker(self, spec: CallerSpec) -> Callable[..., Caller]:
        """Return what makes the callers of a specification.

        Raises:
            CallFailed: it wants PJSIP, there is none, and CI must have it.
        """
        if spec.agent != "pjsip":
            return Caller
        if reason := missing():
            if os.environ.get("CI") == "true":
                raise CallFailed(f"agent pjsip: {reason}")
            note = f"vector callers stand in for PJSIP: {reason}"
            if note not in self.notes:
                self.notes.append(note)
            return Caller
        if spec.codec not in self._pools:
            config = PhoneConfig(codecs=(spec.codec,), tells_sip=True)
            pool = self._pools[spec.codec] = Pool(config)
            await pool.__aenter__()
        pool = self._pools[spec.codec]

        def make(**settings: object) -> Caller:
            return PjsipCaller(**settings, pool=pool)  # type: ignore[arg-type]  # Caller's own

        return make

    def notes_of_story(self) -> tuple[str, ...]:
        """Return the notes since the last story."""
        notes, self.notes = tuple(self.notes), []
        return notes

    async def close(self) -> None:
        """End the pools' processes."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()


@dataclass(slots=True, eq=False)
class PjsipCaller(Caller):
    """One caller with a PJSIP phone. He cannot vanish: others live in his phone's process.

    Attributes:
        sip: the messages of each of his calls, by PJSIP's own word.
    """

    pool: Pool | None = None
    sip: list[list[SipMessage]] = field(default_factory=list)
    _account: Account | None = None
    _made: Call | None = None
    _watching: asyncio.Task[None] | None = None
    _leaving: bool = False

    @property
    def in_call(self) -> bool:
        """Whether a call of his is up, as he knows it."""
        return self._made is not None and not self._over.is_set()

    @property
    def messages(self) -> list[Packet]:
        """His SIP so far, as a vector caller's phone keeps it."""
        return [
            Packet(one.at_ns, one.local, one.remote, one.sent, one.data)
            for call in self.sip
            for one in call
        ]

    @property
    def remembers(self) -> bool:
        """Whether what he received can be asked for when his call is over: PJSIP forgets it."""
        return False

    async def dial(self) -> None:
        """Call and wait for the answer; he speaks from the answer on.

        Raises:
            CallFailed: refused, or not answered in time.
        """
        if self.in_call:
            raise CallFailed(f"{self.name} is in a call already")
        await self.close()
        self.ended, self.status, self._leaving = None, None, False
        self._over = asyncio.Event()
        host, port = self.target.bridge
        uri = f"sip:{self.target.user}@{host}:{port}"
        self._note(f"→ INVITE {uri} (PJSIP)")
        assert self.pool is not None
        self._account = self.pool.account(self._from())
        try:
            await self._account.__aenter__()
            call = self._account.call(uri)
            self.sip.append(call.sip)
            self._made = await call.__aenter__()
            self._watching = asyncio.create_task(self._watch(self._made))
            await self._made.answered(ANSWER_TIMEOUT_S)
        except TimeoutError:
            await self.hang_up()
            raise CallFailed(f"not answered within {ANSWER_TIMEOUT_S:.0f} s") from None
        except CallRefused:
            await self._over.wait()
            raise CallFailed(f"{self.name}: {self._why()}") from None
        except PhoneTrouble as trouble:
            raise CallFailed(f"{self.name}: {trouble}") from None
        await self.speak(self.voice)

    def _from(self) -> str:
        if self.number == "anonymous":
            return '"Anonymous" <sip:anonymous@anonymous.invalid>'
        return f'"{self.name}" <sip:{self.number}@{self.target.bridge.host}>'

    async def press(self, digits: str) -> None:
        """Key digits by RFC 4733 and wait until they are sent."""
        call = self._call_up()
        self._note(f"→ keys {digits}")
        try:
            await call.press(digits)
        except PhoneTrouble as trouble:
            raise CallFailed(f"keys {digits} were not sent: {trouble}") from None

    async def say(self, voice: Voice, seconds: float, *, then: Voice | None = None) -> None:
        """Say something else for a while, then `then`, by default his own voice."""
        await self.speak(voice)
        await asyncio.sleep(seconds)
        if self.in_call:
            await self.speak(self.voice if then is None else then)

    async def speak(self, voice: Voice) -> None:
        """Say something else from now on."""
        call = self._call_up()
        with suppress(PhoneTrouble):  # the bridge has hung up meanwhile: the story sees that
            await call.play(samples_of(voice), loop=voice.audible)

    async def hold(self, *, on: bool) -> None:
        """Put the call on hold by PJSIP's re-INVITE, or take it off."""
        call = self._call_up()
        self._note("→ re-INVITE " + ("hold" if on else "resume"))
        try:
            await (call.hold() if on else call.resume())
        except (PhoneTrouble, CallRefused) as fault:
            raise CallFailed(str(fault)) from None

    async def hang_up(self) -> None:
        """End the call with BYE, if one is up."""
        if self.in_call and self._made is not None:
            self._note("→ BYE")
            self._leaving = True
            await self._made.hang_up()

    async def drop(self) -> None:
        """Raise: the story's check refuses it before."""
        raise CallFailed("a PJSIP caller cannot vanish: other phones live in its process")

    async def heard(self, from_ns: int, to_ns: int) -> Window:
        """Return what PJSIP played to him in a span of monotonic time, once it has come."""
        await self.until(to_ns)
        if self._made is None:
            raise CallFailed(f"{self.name} has made no call")
        block = await self._made.heard(from_ns, to_ns)
        return window_of(block.samples, block.at_ns - from_ns, to_ns - from_ns)

    async def close(self) -> None:
        """Give the phone back; a call that is not over is hung up."""
        call, self._made = self._made, None
        account, self._account = self._account, None
        if call is not None:
            await call.__aexit__(None, None, None)
        if account is not None:
            await account.__aexit__(None, None, None)
        if self._watching is not None:
            await asyncio.wait([self._watching])
            self._watching = None

    def _call_up(self) -> Call:
        self.require_call()
        assert self._made is not None, "who is in a call has one"
        return self._made

    async def _watch(self, call: Call) -> None:
        """Write the ladder of a call from what happens to it."""
        answered = False
        async for event in call.events():
            answered |= isinstance(event, Answered)
            if isinstance(event, Ended):
                self._on_over(event, answered)
            elif text := _rung(event):
                self._note(text)

    def _on_over(self, event: Ended, answered: bool) -> None:
        refused = not answered and event.status >= 300
        if self._leaving:
            self.ended = EndCause.LOCAL_BYE
        else:
            self.ended = EndCause.REFUSED if refused else EndCause.REMOTE_BYE
        self.status = event.status if refused else None
        self._note(f"over: {self.ended.value}" + (f" {event.status}" if refused else ""))
        self._over.set()


def _rung(event: CallEvent) -> str:
    """Return a line of the ladder, "" for what was no message."""
    match event:
        case Ringing(status):
            return f"← {status}"
        case Answered(status):
            return f"← {status}, → ACK"
        case MediaChanged(media) if media in HELD:
            return HELD[media]
        case _:
            return ""


def samples_of(voice: Voice) -> Samples:
    """Return what a caller says, to be repeated: a second of his tone, nothing for silence."""
    if voice.sound:
        return samples_said(voice)
    if not voice.tone_hz:
        return np.zeros(0, np.int16)
    return sine(voice.tone_hz, SAMPLE_RATE_HZ, dbfs=voice.dbfs)


def window_of(pcm: Samples, late_ns: int, length_ns: int) -> Window:
    """Return a window of `length_ns` whose sound begins `late_ns` after it.

    PJSIP's frames come in a steady row, though not each at its time: only the first one's counts.
    """
    frames = round(length_ns / FRAME_NS)
    count = len(pcm) // FRAME_SAMPLES
    first = min(max(late_ns // FRAME_NS, 0), frames)
    count = min(count, frames - first)
    samples = np.zeros(frames * FRAME_SAMPLES, np.int16)
    present = np.zeros(frames, np.bool_)
    samples[first * FRAME_SAMPLES : (first + count) * FRAME_SAMPLES] = pcm[: count * FRAME_SAMPLES]
    present[first : first + count] = True
    return Window(samples, present)
