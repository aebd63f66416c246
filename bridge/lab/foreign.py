"""Stories against a SIP bridge that is not ours: who hears whom, and what SIP answers.

Nothing but SIP and RTP is known of it, so rosters, facts, bills, recordings and orders do not
apply there and are reported as that. Its clock is the real one: `advance` waits.
"""

import asyncio
import re
import socket
import time
from dataclasses import dataclass, field
from typing import Final

from bridge.conference.api import LegKind
from bridge.conference.numberplan import NumberPlan
from bridge.errors import InputError, OperatingTrouble, RemoteFault
from bridge.lab import observing
from bridge.lab.callers import Caller, Target
from bridge.lab.cast import Cast
from bridge.lab.checks import shown_audio
from bridge.lab.doing import StepFailed, all_of, do_alone, refusal
from bridge.lab.expectations import Audio, Expect
from bridge.lab.hearing import Listened
from bridge.lab.ladders import Ladder, keys_of
from bridge.lab.steps import AdvanceStep, CallerStep, ExpectStep, Step, TogetherStep, WaitStep, acts
from bridge.lab.story import CallerSpec, Story, entry_keys
from bridge.lab.verdicts import StoryResult, Verdict, checks_of_expect, final_line
from bridge.sip.api import Address
from bridge.units import MS_PER_S

NOT_APPLICABLE: Final = "not applicable: the bridge is not ours"
SIP_PORT: Final = 5_060
CLOSE_S: Final = 3.0
"""How long a BYE may take to be answered at the end."""

_URI: Final = re.compile(r"sip:(?:([^@;?]+)@)?(\[[0-9A-Fa-f:]+\]|[^:;?@\[\]]+)(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Foreign:
    """A bridge that is not ours, and how one gets into a conference of it.

    Attributes:
        address: where INVITEs go.
        user: whom everybody dials; "" dials what our bridge would be dialled by: the access code
            for VoIP, the number of the plan (D18) for the others.
        keys: what is keyed after the answer; None keys what our bridge would want.
    """

    address: Address
    user: str = ""
    keys: str | None = None

    @classmethod
    def of(cls, uri: str, keys: str | None = None) -> "Foreign":
        """Return the bridge that a SIP URI names.

        Raises:
            InputError: it is no SIP URI, or its host has no IPv4 address.
        """
        match = _URI.fullmatch(uri)
        if not match:
            raise InputError("--target", uri, "a SIP URI, sip:1000@127.0.0.1:5060")
        if keys is not None and not re.fullmatch(r"[0-9*#A-D]{0,40}", keys):
            raise InputError("--target-keys", keys, "keys: 0-9 * # A-D, at most 40")
        user, host, port = match[1] or "", match[2], int(match[3] or SIP_PORT)
        if not 0 < port < 65_536:
            raise InputError("--target", uri, "a port from 1 to 65535")
        try:
            found = socket.getaddrinfo(host.strip("[]"), port, socket.AF_INET, socket.SOCK_DGRAM)
        except OSError as error:
            raise InputError("--target", uri, f"a host with an IPv4 address: {error}") from None
        return cls(Address(str(found[0][4][0]), port), user, keys)

    def target(self, story: Story, caller: CallerSpec, plan: NumberPlan) -> Target:
        """Return whom a caller dials and what he keys."""
        session = story.session
        keys = entry_keys(
            caller,
            code=session.access_code,
            security_code=session.security_code,
            pin=session.organizer_pin,
        )
        user = session.access_code
        if caller.via != "voip":
            kind = LegKind.TOLL if caller.via == "toll" else LegKind.TOLL_FREE
            did = plan.did(caller.country or "", kind)
            user = did.e164 if did else ""
        user = caller.dials or self.user or user
        if self.keys is not None:
            keys = self.keys
        elif self.user:
            keys = ""
        return Target(user, self.address, keys)


@dataclass(slots=True)
class ForeignRun:
    """One story under way against a bridge that is not ours."""

    cast: Cast
    result: StoryResult
    listened: list[Listened] = field(default_factory=list)
    acted_ns: int = 0

    @property
    def story(self) -> Story:
        """What is run."""
        return self.cast.story

    async def run(self, foreign: Foreign) -> None:
        """Carry out the steps and hang up; verdicts and ladders go into the result."""
        plan = NumberPlan.build()
        try:
            for name, spec in self.story.callers.items():
                await self.cast.add(name, foreign.target(self.story, spec, plan))
            for step in self.story.steps:
                await self._guarded(step)
            await self._hang_up()
            if self.story.expect is not None:
                line = final_line(self.story)
                await self._sip(line, self.story.expect)
                self._not_applicable(line, self.story.expect)
        finally:
            self.result.notes = self.cast.agents.notes_of_story()
            self.result.ladders = self.cast.ladders()
            await self._hang_up()
            await self.cast.close()

    async def _guarded(self, step: Step) -> None:
        began_ns = time.monotonic_ns()
        if acts(step):
            self.acted_ns = began_ns
        try:
            await self._do(step)
        except (RemoteFault, OperatingTrouble, InputError) as failure:
            self._note(step.line, step.text, False, "the step is done", str(failure))
        self.cast.witness.step(step.line, step.text, began_ns)

    async def _do(self, step: Step) -> None:
        match step:
            case CallerStep():
                await self._callers_do(step)
            case TogetherStep():
                await all_of([self._callers_do(one) for one in step.steps])
            case WaitStep():
                await asyncio.sleep(step.for_ms / MS_PER_S)
            case AdvanceStep(to="", by_ms=by_ms):
                await asyncio.sleep(by_ms / MS_PER_S)
            case ExpectStep():
                await self._listen(step)
            case _:
                self._skip(step.line, step.text)

    @property
    def _called(self) -> frozenset[str]:
        """Who is called by the bridge: one that is not ours calls nobody (R14)."""
        callers = self.story.callers.items()
        return frozenset(name for name, spec in callers if spec.via == "call-me")

    async def _callers_do(self, step: CallerStep) -> None:
        who = [name for name in step.who if name not in self._called]
        if len(who) < len(step.who):
            self._skip(step.line, step.text)

        async def one(caller: Caller) -> None:
            if step.verb == "is refused":
                status, observed = await refusal(caller)
                self._note(
                    step.line, f"{caller.name} is refused", status == step.status,
                    str(step.status), observed,
                )  # fmt: skip
            elif not await do_alone(caller, step):
                raise StepFailed(f"{step.verb}: not against a bridge that is not ours")

        await all_of([one(caller) for name in who for caller in self.cast.callers[name]])

    async def _listen(self, step: ExpectStep) -> None:
        """Judge what is heard; the rest does not apply."""
        audio, _ = self._judged(step.expect)
        listening = await observing.listen(self.cast, audio, self.acted_ns)
        for name, heard in (await listening.judged()).items():
            self.listened.append(Listened(step.line, name, audio[name], heard))
            self._note(step.line, name, heard.ok, shown_audio(audio[name]), heard.observed)
        await self._sip(step.line, step.expect)
        self._not_applicable(step.line, step.expect)

    async def _sip(self, line: int, expect: Expect) -> None:
        _, ladders = self._judged(expect)
        for name, one in await observing.sip(self.cast, ladders):
            self._note(line, f"sip.{name}.{one.key}", one.ok, one.expected, one.observed)

    def _not_applicable(self, line: int, expect: Expect) -> None:
        audio, ladders = self._judged(expect)
        judged = [
            *audio,
            *(f"sip.{name}.{key}" for name in ladders for key in keys_of(ladders[name])),
        ]
        for check in checks_of_expect(expect, line):
            if check.name not in judged:
                self._skip(line, check.name)

    def _judged(self, expect: Expect) -> tuple[dict[str, Audio], dict[str, Ladder]]:
        """Return what is heard, and the SIP, of those who are not called by the bridge.

        Nor is what others hear of whom it would have called.
        """
        called = self._called
        audio = {
            name: one
            for name, one in expect.audio.items()
            if name not in called and not called & {*one.hears}
        }
        return audio, {name: one for name, one in expect.sip.items() if name not in called}

    def _skip(self, line: int, name: str) -> None:
        verdict = Verdict(line, name, True, "", NOT_APPLICABLE, applies=False)
        self.result.verdicts.append(verdict)

    def _note(self, line: int, name: str, ok: bool, expected: str, observed: str) -> None:
        self.result.verdicts.append(Verdict(line, name, ok, expected, observed))

    async def _hang_up(self) -> None:
        """End what is still up."""
        for caller in self.cast.everybody:
            await caller.hang_up()
        over = [caller for caller in self.cast.everybody if caller.in_call]
        await asyncio.gather(*(caller.over(CLOSE_S) for caller in over))
