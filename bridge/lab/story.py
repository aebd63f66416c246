"""A story: the models of one scenario file, how it is read, and what is impossible in it.

Knows the format; starts nothing. Every fault is told with file, line and, where a word is near
a known one, a suggestion.
"""

import itertools
import re
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from bridge.lab.account import CONTRACTS, Account, contract_table
from bridge.lab.expectations import DTMF, Audio, Expect
from bridge.lab.network import Impairment
from bridge.lab.source import KeyPath, Source, StoryRefused, read_source, suggestion
from bridge.lab.steps import (
    STEP_KEYS,
    AddNumbersStep,
    CallerStep,
    CallMeStep,
    ExpectStep,
    KillStep,
    MigrateStep,
    OrganizerStep,
    RestartStep,
    Step,
    StepReader,
    TogetherStep,
    WaitStep,
    complain_of,
)
from bridge.lab.words import (
    TONE_APART_HZ,
    TONE_HZ_MAX,
    Country,
    Kind,
    Part,
    Voice,
    VoiceText,
    fault,
    known_word,
)
from bridge.media.codecs import WIDE, missing_library
from bridge.units import ConfMs, conf_ms_of

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
CALLERS_MAX: Final = 5_000
STARTS_AT: Final = datetime(2026, 2, 10, 14, 0, tzinfo=UTC)
FIRST_TONE_HZ: Final = 440
TONE_STEP_HZ: Final = 70
FINAL_KEYS: Final = ("left", "events", "never", "bill", "recording")
PJSIP_CALLERS_MAX: Final = 12
"""In one crowd: three processes of four phones."""

PJSIP_LACKS: Final = ("G729", "L16", "OPUS")
"""Codecs that the wheel's PJSIP is built without."""

SPOKEN_CODECS: Final = ("PCMU", "PCMA", "G722", "L16", "OPUS")
CALL_ME_CODEC: Final = "PCMU"
REFUSED_CODECS: Final = ("G729", "GSM")
"""Codecs that a caller may offer to be refused with 488: nobody here speaks them."""


def _rule(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"[RDB][1-9]\d?", text):
        raise fault(f"{text!r} is no rule: R, D or B and a number, as in domain.md")
    return text


def _starts_at(value: Any) -> datetime:
    text = str(value)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise fault(f"{text!r} is no time: write 2026-02-10T09:00-05:00") from None
    if at.tzinfo is None:
        raise fault(f"{text!r} has no UTC offset: write 2026-02-10T09:00-05:00")
    return at


def _codec(value: Any) -> str:
    name = known_word(str(value), (*SPOKEN_CODECS, *REFUSED_CODECS), "codec")
    if missing := missing_library(name):
        raise fault(f"codec {name} needs the module {missing}: pip install 'tollbridge[wideband]'")
    return name


def _via(value: Any) -> str:
    return known_word(str(value), get_args(Kind), "way to call in")


def _agent(value: Any) -> str:
    return known_word(str(value), ("vector", "pjsip"), "agent")


def _number(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"\+[1-9]\d{6,14}|anonymous", text):
        raise fault(f"{text!r} is no number: write +12125550111, in quotes, or anonymous")
    return text


class Session(Part):
    """The scheduled session."""

    toll_free: tuple[Country, ...] = ("US",)
    start: Literal["on_join", "on_command"] = "on_join"
    access_code: str = Field(default="482913", pattern=r"^\d{3,20}$", coerce_numbers_to_str=True)
    organizer_pin: str = Field(default="771144", pattern=r"^\d{4,20}$", coerce_numbers_to_str=True)
    security_code: str | None = Field(
        default=None, pattern=r"^\d{3,20}$", coerce_numbers_to_str=True
    )
    entry: Literal["tone", "name", "nothing"] | None = None
    participants_max: int | None = Field(default=None, ge=1, le=5_000)
    continue_minutes: int | None = Field(default=None, ge=0, le=60)


class CallerSpec(Part):
    """One caller, or a crowd of `count` alike who listen and do not speak.

    Attributes:
        dials: whom he calls instead of his country's number or the session: a number or a name.
    """

    via: Annotated[Kind, BeforeValidator(_via)]
    country: Country | None = None
    role: Literal["participant", "organizer"] = "participant"
    number: Annotated[str, BeforeValidator(_number)] | None = Field(default=None, alias="from")
    dials: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+*#_.-]{1,64}$")
    codec: Annotated[str, BeforeValidator(_codec)] = "PCMU"
    voice: VoiceText | None = None
    count: int = Field(default=1, ge=1, le=CALLERS_MAX)
    agent: Annotated[str, BeforeValidator(_agent)] = "vector"

    @model_validator(mode="after")
    def _possible(self) -> "CallerSpec":
        if self.via == "voip" and self.country:
            raise fault("a VoIP caller dials no country's number", key="country")
        if self.via != "voip" and not self.country:
            raise fault(f"a {self.via} caller needs the country whose number he dials")
        if self.via == "call-me":
            self._can_be_called()
        if self.agent == "pjsip":
            self._can_be_pjsip()
        if self.count > 1 and self.role == "organizer":
            raise fault("a crowd cannot be the organizer", key="role")
        if self.count > 1 and self.number:
            raise fault("a crowd cannot call from one number", key="from")
        if self.count > 1 and self.voice and self.voice.tone_hz:
            raise fault("a crowd listens: give single callers a voice", key="voice")
        if self.voice and (self.voice.tone_hz or 0) > TONE_HZ_MAX and self.codec not in WIDE:
            text = f"a caller in {self.codec} can say no tone above {TONE_HZ_MAX} Hz"
            raise fault(text, key="voice")
        return self

    def _can_be_pjsip(self) -> None:
        """Refuse what a PJSIP phone cannot do."""
        if self.via == "call-me":
            raise fault("a PJSIP caller is not called: use agent 'vector'", key="agent")
        if self.codec in PJSIP_LACKS:
            raise fault(f"PJSIP has no {self.codec}: use agent 'vector'", key="agent")
        if self.count > PJSIP_CALLERS_MAX:
            text = f"at most {PJSIP_CALLERS_MAX} PJSIP callers: a crowd is of agent 'vector'"
            raise fault(text, key="count")

    def _can_be_called(self) -> None:
        if self.role == "organizer":
            raise fault("whom Call Me calls is a participant (R14)", key="role")
        if self.count > 1:
            raise fault("Call Me calls one person", key="count")
        if self.dials:
            raise fault("whom Call Me calls dials nobody", key="dials")
        if self.codec != CALL_ME_CODEC:
            raise fault(f"the phones that Call Me calls speak {CALL_ME_CODEC}", key="codec")
        if self.country != "US" and self.number is None:
            raise fault("give the number that is called: from", key="from")


class Story(Part):
    """One scenario file."""

    scenario: str = Field(min_length=3)
    rules: tuple[Annotated[str, BeforeValidator(_rule, json_schema_input_type=str)], ...] = ()
    tags: tuple[str, ...] = ()
    account: Account = Account()
    contracts: dict[str, dict[str, Any]] = Field(default_factory=dict)
    session: Session = Session()
    starts_at: Annotated[datetime, BeforeValidator(_starts_at, json_schema_input_type=str)] = (
        STARTS_AT
    )
    settings: dict[str, Any] = Field(default_factory=dict)
    callers: dict[str, CallerSpec] = Field(min_length=1)
    network: dict[str, Impairment] = Field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    expect: Expect | None = None
    _source: Source = PrivateAttr(default_factory=lambda: Source(Path("-")))

    @property
    def file(self) -> Path:
        """The file that tells it."""
        return self._source.file

    @property
    def source(self) -> Source:
        """Where its parts stand."""
        return self._source

    @property
    def begins(self) -> ConfMs:
        """Conference time at the first step."""
        return conf_ms_of(self.starts_at)

    def voices(self) -> dict[str, Voice]:
        """Return every caller's voice; who has none given gets a tone of his own."""
        taken = {spec.voice.tone_hz for spec in self.callers.values() if spec.voice}
        given = (tone for tone in _tones() if all(_apart(tone, other) for other in taken))
        result: dict[str, Voice] = {}
        for name, spec in self.callers.items():
            if spec.voice is not None:
                result[name] = spec.voice
            else:
                result[name] = Voice() if spec.count > 1 else Voice(tone_hz=next(given, None))
        return result

    def expects_bill(self) -> bool:
        """Whether it says anything of the bill at its end."""
        return self.expect is not None and bool(self.expect.bill)

    def cancelled(self) -> bool:
        """Whether the story cancels its session."""
        return any(step.text == "cancel" for step in self.steps)


def _tones() -> range:
    return range(FIRST_TONE_HZ, TONE_HZ_MAX, TONE_STEP_HZ)


def _apart(one_hz: int, other_hz: int | None) -> bool:
    return other_hz is None or abs(one_hz - other_hz) >= TONE_APART_HZ


def load_story(file: Path, *, sounds: Collection[str] | None = None) -> Story:
    """Read one story, or raise StoryRefused with every fault that was found.

    `sounds` are the prompts that a story may name in `hears`; None skips that check.
    """
    source = read_source(file)
    raw = source.value
    if not isinstance(raw, dict):
        source.complain((), "a story is a mapping: scenario, callers, steps, expect")
        raise StoryRefused(file, source.problems)
    names = _names(raw.get("callers"), source)
    steps = StepReader(source, names).read_all(raw.get("steps"))
    contracts = _contracts(raw.get("contracts"), source)
    known = list(Story.model_fields)
    for key in raw:
        if key not in known:
            source.complain((key,), f"unknown key {key!r}{suggestion(str(key), known)}")
    try:
        values = {key: raw[key] for key in Story.model_fields if key in raw} | {
            "steps": steps,
            "contracts": contracts,
        }
        story = Story.model_validate(values, context={"callers": names})
    except ValidationError as error:
        complain_of(source, error, ())
        raise StoryRefused(file, source.problems) from None
    _check(story, source, sounds)
    if source.problems:
        raise StoryRefused(file, source.problems)
    story._source = source
    return story


def _names(callers: Any, source: Source) -> tuple[str, ...]:
    reserved = {*STEP_KEYS, *Expect.model_fields, "all", "together"}
    names = [str(name) for name in callers] if isinstance(callers, dict) else []
    for name in names:
        if not NAME.fullmatch(name) or name in reserved:
            text = f"{name!r} cannot be a caller's name: small letters, digits, _, no word of ours"
            source.complain(("callers", name), text)
    return tuple(names)


def _contracts(raw: Any, source: Source) -> dict[str, dict[str, Any]]:
    """Return the contracts that a story gives itself; faults go to the source."""
    result: dict[str, dict[str, Any]] = {}
    if raw is not None and not isinstance(raw, dict):
        source.complain(("contracts",), "must be a mapping from names to contracts")
        return result
    for name, value in (raw or {}).items():
        try:
            result[name] = contract_table(str(name), value)
        except PydanticCustomError as error:
            source.complain(("contracts", name), str(error.message()))
    return result


def _check_contracts(story: Story, source: Source) -> None:
    known = [*CONTRACTS, *story.contracts]
    named: list[tuple[KeyPath, str]] = [(("account", "contract"), story.account.contract)]
    named += [
        (("steps", index), step.contract)
        for index, step in enumerate(story.steps)
        if isinstance(step, MigrateStep) and step.contract
    ]
    for path, name in named:
        if name not in known:
            source.complain(path, f"unknown contract {name!r}{suggestion(name, known)}")


def _check(story: Story, source: Source, sounds: Collection[str] | None) -> None:
    """Note what is impossible although every part of it is well formed."""
    _check_tones(story, source)
    _check_contracts(story, source)
    _check_codecs(story, source)
    _check_called(story, source)
    _check_kills(story, source)
    for name in story.network:
        _check_name(story, name, source, ("network", name))
    _check_pjsip(story, source)
    _check_crowds(story, source)
    offered = set(story.session.toll_free)
    for index, step in enumerate(story.steps):
        path = ("steps", index)
        if isinstance(step, ExpectStep):
            _check_expect(story, step.expect, source, (*path, "expect"), sounds)
            if step.expect.recording:
                text = "the recording is complete at the end: expect it there"
                source.complain((*path, "expect", "recording"), text)
        if isinstance(step, AddNumbersStep):
            offered |= set(step.countries)
    if story.expect is not None:
        for key in sorted(story.expect.model_fields_set - {*FINAL_KEYS, "audio"}):
            source.complain(("expect", key), f"{key!r} is over at the end: expect it in a step")
        for name in story.expect.audio:
            source.complain(("expect", name), f"{name!r} has left at the end: expect it in a step")
        _check_expect(story, story.expect, source, ("expect",), sounds)
    if story.expect is None and not any(_checks(step) for step in story.steps):
        source.complain((), "expects nothing: a story that checks nothing cannot fail")


def _checks(step: Step) -> bool:
    return isinstance(step, ExpectStep) or (
        isinstance(step, CallerStep) and step.verb == "is refused"
    )


def _check_codecs(story: Story, source: Source) -> None:
    """Who offers what nobody speaks can only be refused."""
    for index, step in enumerate(story.steps):
        steps = step.steps if isinstance(step, TogetherStep) else (step,)
        for part in steps:
            if isinstance(part, CallerStep) and part.verb in {"join", "dial"}:
                for name in part.who:
                    if story.callers[name].codec in REFUSED_CODECS:
                        text = f"{name} offers {story.callers[name].codec} alone: he `is refused`"
                        source.complain(("steps", index), text)


def _check_called(story: Story, source: Source) -> None:
    """Whom Call Me calls does not dial, and only he has a phone to answer."""
    called = {name for name, spec in story.callers.items() if spec.via == "call-me"}
    for index, step in enumerate(story.steps):
        if isinstance(step, CallMeStep) and step.who not in called:
            text = f"Call Me calls who is `via: call-me`, not {step.who}"
            source.complain(("steps", index), text)
        for part in step.steps if isinstance(step, TogetherStep) else (step,):
            if not isinstance(part, CallerStep):
                continue
            if part.verb in {"join", "dial", "is refused"} and set(part.who) & called:
                text = f"{part.who[0]} is called: `call-me {part.who[0]}`, then `answer`"
                source.complain(("steps", index), text)
            if part.verb in {"answer", "refuse"} and not set(part.who) <= called:
                text = f"nobody calls {part.who[0]}: he is not via call-me"
                source.complain(("steps", index), text)


def _check_kills(story: Story, source: Source) -> None:
    """While the control process is dead only callers do things, until `restart`."""
    dead: int | None = None
    for index, step in enumerate(story.steps):
        if isinstance(step, RestartStep):
            dead = None
        elif dead is not None and not isinstance(step, CallerStep | TogetherStep | WaitStep):
            source.complain(("steps", index), "the bridge is dead: `restart` comes first")
            return
        if isinstance(step, KillStep) and step.what == "control":
            dead = index
    if dead is not None:
        source.complain(("steps", dead), "a killed bridge gives no bill: `restart` it")


def _check_tones(story: Story, source: Source) -> None:
    voices = [(name, v.tone_hz) for name, v in story.voices().items() if v.tone_hz]
    for (name, one_hz), (other, other_hz) in itertools.combinations(voices, 2):
        if not _apart(one_hz, other_hz):
            text = f"tones of {name} ({one_hz} Hz) and {other} ({other_hz} Hz)"
            text += f" must be {TONE_APART_HZ} Hz apart to be told apart"
            source.complain(("callers", other, "voice"), text)


def _check_pjsip(story: Story, source: Source) -> None:
    """What is done to a vector caller's packets cannot be done to PJSIP's."""
    phones = {name for name, spec in story.callers.items() if spec.agent == "pjsip"}
    for name in sorted(phones & set(story.network)):
        text = f"{name} is a PJSIP caller: only packets of agent 'vector' go over a bad network"
        source.complain(("network", name), text)
    for index, step in enumerate(story.steps):
        steps = step.steps if isinstance(step, TogetherStep) else (step,)
        for part in steps:
            if isinstance(part, CallerStep) and part.verb == "drop" and phones & set(part.who):
                text = "a PJSIP caller cannot vanish without BYE: use agent 'vector'"
                source.complain(("steps", index), text)


def _check_crowds(story: Story, source: Source) -> None:
    total = sum(spec.count for spec in story.callers.values())
    if total > CALLERS_MAX:
        source.complain(("callers",), f"{total} callers, at most {CALLERS_MAX}")
    crowds = {name for name, spec in story.callers.items() if spec.count > 1}
    for index, step in enumerate(story.steps):
        steps = step.steps if isinstance(step, TogetherStep) else (step,)
        for part in steps:
            said = isinstance(part, CallerStep) and part.verb == "say" and set(part.who) & crowds
            if said or (isinstance(part, OrganizerStep) and part.who in crowds):
                source.complain(("steps", index), "a crowd cannot do this: name single callers")


def _check_expect(
    story: Story,
    expect: Expect,
    source: Source,
    path: tuple[str | int, ...],
    sounds: Collection[str] | None,
) -> None:
    for key in ("waiting", "hosting", "joined"):
        for name in getattr(expect, key) or ():
            _check_name(story, name, source, (*path, key))
    for name in expect.left:
        _check_name(story, name, source, (*path, "left", name))
    for name, audio in expect.audio.items():
        _check_audio(story, name, audio, source, (*path, name), sounds)
    if expect.recording:
        for name in expect.recording.voices or ():
            _check_name(story, name, source, (*path, "recording", "voices"))
        recorded = any(isinstance(s, OrganizerStep) and s.verb == "record" for s in story.steps)
        if not recorded:
            source.complain((*path, "recording"), "nothing is recorded: add `organizer: record`")


def _check_name(story: Story, name: str, source: Source, path: tuple[str | int, ...]) -> None:
    try:
        known_word(name, story.callers, "caller")
    except ValueError as error:
        source.complain(path, str(error))


def _check_audio(
    story: Story,
    listener: str,
    audio: Audio,
    source: Source,
    path: tuple[str | int, ...],
    sounds: Collection[str] | None,
) -> None:
    voices = story.voices()
    for key in ("hears", "not_hears"):
        for name in getattr(audio, key):
            if name in voices:
                if voices[name].tone_hz is None:
                    source.complain((*path, key), f"{name!r} is silent: give him a voice")
            elif name == DTMF and key == "not_hears":
                continue
            elif sounds is not None:
                try:
                    known_word(name, (*voices, *sounds), "caller or sound")
                except ValueError as error:
                    source.complain((*path, key), str(error))
    if story.callers[listener].count > 1 and audio.hears == ():
        source.complain(path, "a crowd is checked by what it hears: give hears")
