"""Everybody who calls in a story: their phones, their voices, and what they say of them.

Makes callers as the story has them; whom they dial is told by whoever runs the story.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from bridge.conference.languages import LANGUAGES, language_of
from bridge.lab.callers import Caller, Rung, Target
from bridge.lab.capture import Packet
from bridge.lab.evidence import Witness
from bridge.lab.phones import Phone
from bridge.lab.pjsip_callers import Agents, PjsipCaller
from bridge.lab.rtp import RtpEngine
from bridge.lab.sounds import Pcm
from bridge.lab.spoken import samples_said
from bridge.lab.story import Story, numbers_of
from bridge.lab.verdicts import StoryResult

CROWD_RING_FRAMES: Final = 1_000


@dataclass(slots=True)
class Cast:
    """The callers of one run.

    Attributes:
        seed: what bad networks lose and delay is drawn from it.
        callers: all callers by name; a crowd has several.
        tones: the callers' tones.
        levels: of these tones, in dBFS.
        said: what the others say, (n,) int16.
        languages: what is spoken to the callers beside English (R19).
    """

    story: Story
    engine: RtpEngine
    agents: Agents
    witness: Witness
    seed: int = 0
    callers: dict[str, list[Caller]] = field(default_factory=dict)
    tones: dict[str, int] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    said: dict[str, Pcm] = field(default_factory=dict)
    languages: frozenset[str] = frozenset()
    _phones: list[Phone] = field(default_factory=list)
    _asked: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Know whose SIP the story asks for; a test in Python may ask for anybody's."""
        self._asked = frozenset(name for one in self.story.expects() for name in one.sip)

    @classmethod
    def unwatched(cls, story: Story, engine: RtpEngine, agents: Agents) -> Self:
        """Return the callers of a run of which no evidence is kept."""
        return cls(story, engine, agents, Witness(engine, None, StoryResult(story)))

    async def add(self, name: str, target: Target, *, gateway: Phone | None = None) -> None:
        """Give one of the story's callers, or a crowd, a phone and a voice.

        Behind `gateway` are the phones that Call Me calls.
        """
        story = self.story
        spec, voice = story.callers[name], story.voices()[name]
        called = gateway is not None and spec.via == "call-me"
        phone = gateway if called and gateway else await Phone.open(spec.codec)
        self._phones.append(phone)
        self.witness.watch(phone)
        if phone.messages is None and (name in self._asked or not story.steps):
            phone.messages = []
        make = await self.agents.maker(spec)
        numbers = numbers_of(name, spec, len(self.callers))
        self.callers[name] = [
            make(
                name=name if spec.count == 1 else f"{name} {member + 1}",
                number=numbers[member],
                target=target,
                phone=phone,
                engine=self.engine,
                voice=voice,
                ring_frames=0 if spec.count == 1 else CROWD_RING_FRAMES,
                invite=spec.invite,
                ptime_ms=spec.ptime,
                network=story.network.get(name),
                seed=f"{self.seed} {name} {member}",
            )
            for member in range(spec.count)
        ]
        if called:
            self.callers[name][0].await_calls()
        if voice.tone_hz:
            self.tones[name], self.levels[name] = voice.tone_hz, voice.dbfs
        elif voice.sound:
            self.said[name] = samples_said(voice)
        self.languages |= {language_of(spec.country or "", LANGUAGES[0])} - {LANGUAGES[0]}

    def messages(self, name: str) -> Sequence[Packet]:
        """Return the SIP that went over a single caller's phone.

        Behind a gateway are several; theirs are the messages with his number.
        """
        caller = self.callers[name][0]
        if isinstance(caller, PjsipCaller):
            return caller.messages
        kept = caller.phone.messages or ()
        if self._phones.count(caller.phone) == 1:
            return kept
        return [one for one in kept if caller.number.encode() in one.payload]

    @property
    def everybody(self) -> list[Caller]:
        """Every caller."""
        return [caller for group in self.callers.values() for caller in group]

    def ladders(self) -> dict[str, list[Rung]]:
        """Return the SIP ladder of every single caller, and of the first of each crowd."""
        return {group[0].name: group[0].ladder for group in self.callers.values()}

    async def close(self) -> None:
        """Give ports and sockets back; the calls must be over."""
        for caller in self.everybody:
            await caller.close()
        for phone in {*self._phones}:
            phone.close()
