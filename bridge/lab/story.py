"""A story: the models of one scenario file.

Knows the format; starts nothing. Every fault is told with file, line and, where a word is near
a known one, a suggestion.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from bridge.lab.account import Account
from bridge.lab.copies import INVITES
from bridge.lab.cutter import PTIMES_MS
from bridge.lab.expectations import Expect
from bridge.lab.network import Impairment
from bridge.lab.source import Source
from bridge.lab.steps import ExpectStep, Step
from bridge.lab.times import parse_instant
from bridge.lab.words import (
    NOTHING,
    TONE_APART_HZ,
    TONE_HZ_MAX,
    Country,
    Kind,
    Part,
    Voice,
    VoiceText,
    either,
    fault,
    known_word,
    like,
)
from bridge.media.codecs import WIDE, missing_library
from bridge.units import FRAME_MS, ConfMs, conf_ms_of

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
RULE: Final = r"[RDB][1-9]\d?"
NUMBER: Final = r"\+[1-9]\d{6,14}|anonymous"
INSTANT: Final = r"\d{4}-\d{2}-\d{2}T.*(?:Z|[+-]\d{2}:\d{2})"
CALLERS_MAX: Final = 5_000
STARTS_AT: Final = datetime(2026, 2, 10, 14, 0, tzinfo=UTC)
FIRST_TONE_HZ: Final = 440
TONE_STEP_HZ: Final = 70
FINAL_KEYS: Final = ("left", "events", "exactly", "never", "sip", "metrics", "bill", "recording")
PJSIP_CALLERS_MAX: Final = 12
"""In one crowd: three processes of four phones."""

PJSIP_LACKS: Final = ("G729", "L16", "OPUS")
"""Codecs that the wheel's PJSIP is built without."""

SPOKEN_CODECS: Final = ("PCMU", "PCMA", "G722", "L16", "OPUS")
CALL_ME_CODEC: Final = "PCMU"
REFUSED_CODECS: Final = ("G729", "GSM")
"""Codecs that a caller may offer to be refused with 488: nobody here speaks them."""
CODECS: Final = (*SPOKEN_CODECS, *REFUSED_CODECS)
AGENTS: Final = ("vector", "pjsip")


def _rule(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(RULE, text):
        raise fault(f"{text!r} is no rule: R, D or B and a number, as in domain.md")
    return text


def _starts_at(value: Any) -> datetime:
    try:
        return parse_instant(str(value))
    except ValueError as error:
        raise fault(str(error)) from None


def _codec(value: Any) -> str:
    name = known_word(str(value), CODECS, "codec")
    if missing := missing_library(name):
        raise fault(f"codec {name} needs the module {missing}: pip install 'tollbridge[wideband]'")
    return name


PtimeText = Literal["10ms", "20ms", "30ms", "40ms", "50ms", "60ms"]


def _ptime(value: Any) -> int:
    if value not in PTIMES_MS:  # read already
        match = re.fullmatch(r"([1-9]\d)ms", str(value))
        if not match or int(match[1]) not in PTIMES_MS:
            raise fault(f"{value!r} is no length of a packet: 10ms, 20ms, ... or 60ms")
        return int(match[1])
    return int(value)


def _via(value: Any) -> str:
    return known_word(str(value), get_args(Kind), "way to call in")


def _agent(value: Any) -> str:
    return known_word(str(value), AGENTS, "agent")


def _invite(value: Any) -> str:
    return known_word(str(value), INVITES, "number of INVITEs")


def _number(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(NUMBER, text):
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
        invite: how often his INVITE comes: once, twice, again after the answer, merged (over
            another way too).
        ptime: milliseconds of sound in each packet that he sends and asks for.
        dials: whom he calls instead of his country's number or the session: a number or a name.
    """

    via: Annotated[Kind, BeforeValidator(_via)]
    country: Country | None = None
    role: Literal["participant", "organizer"] = "participant"
    number: Annotated[str, BeforeValidator(_number, json_schema_input_type=like(NUMBER))] | None = (
        Field(default=None, alias="from")
    )
    dials: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+*#_.-]{1,64}$")
    codec: Annotated[str, BeforeValidator(_codec, json_schema_input_type=either(CODECS))] = "PCMU"
    invite: Annotated[str, BeforeValidator(_invite, json_schema_input_type=either(INVITES))] = (
        "once"
    )
    ptime: Annotated[int, BeforeValidator(_ptime, json_schema_input_type=PtimeText)] = FRAME_MS
    voice: VoiceText | None = None
    count: int = Field(default=1, ge=1, le=CALLERS_MAX)
    agent: Annotated[str, BeforeValidator(_agent, json_schema_input_type=either(AGENTS))] = "vector"

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
        if self.count > 1 and self.voice is not None and self.voice.audible:
            raise fault("a crowd listens: give single callers a voice", key="voice")
        if self.ptime not in (WIDE[self.codec].ptimes_ms if self.codec in WIDE else PTIMES_MS):
            text = f"{self.codec} has no packets of {self.ptime} ms"
            raise fault(text, key="ptime")
        if self.voice and (self.voice.tone_hz or 0) > TONE_HZ_MAX and self.codec not in WIDE:
            text = f"a caller in {self.codec} can say no tone above {TONE_HZ_MAX} Hz"
            raise fault(text, key="voice")
        return self

    def _can_be_pjsip(self) -> None:
        """Refuse what a PJSIP phone cannot do."""
        if self.via == "call-me":
            raise fault("a PJSIP caller is not called: use agent 'vector'", key="agent")
        if self.invite != "once":
            raise fault("PJSIP callers call once: use agent 'vector'", key="invite")
        if self.ptime != FRAME_MS:
            raise fault("PJSIP callers send packets of 20 ms: use agent 'vector'", key="ptime")
        if self.voice == NOTHING:
            raise fault("PJSIP callers send silence, not nothing: use agent 'vector'", key="voice")
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
        if self.invite != "once":
            raise fault("whom Call Me calls sends no INVITE", key="invite")
        if self.codec != CALL_ME_CODEC:
            raise fault(f"the phones that Call Me calls speak {CALL_ME_CODEC}", key="codec")
        if self.country != "US" and self.number is None:
            raise fault("give the number that is called: from", key="from")


class Story(Part):
    """One scenario file."""

    scenario: str = Field(min_length=3)
    rules: tuple[
        Annotated[str, BeforeValidator(_rule, json_schema_input_type=like(RULE))], ...
    ] = ()
    tags: tuple[str, ...] = ()
    account: Account = Account()
    contracts: dict[str, dict[str, Any]] = Field(default_factory=dict)
    session: Session = Session()
    starts_at: Annotated[
        datetime, BeforeValidator(_starts_at, json_schema_input_type=like(INSTANT))
    ] = STARTS_AT
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

    def tell_from(self, source: Source) -> None:
        """Say where its parts stand."""
        self._source = source

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
        given = (tone for tone in _tones() if all(apart(tone, other) for other in taken))
        result: dict[str, Voice] = {}
        for name, spec in self.callers.items():
            if spec.voice is not None:
                result[name] = spec.voice.beside(self.file.parent)
            else:
                result[name] = Voice() if spec.count > 1 else Voice(tone_hz=next(given, None))
        return result

    def expects_bill(self) -> bool:
        """Whether it says anything of the bill at its end."""
        return self.expect is not None and bool(self.expect.bill)

    def expects(self) -> Iterator[Expect]:
        """Yield everything that it expects, in the order of its lines."""
        yield from (step.expect for step in self.steps if isinstance(step, ExpectStep))
        if self.expect is not None:
            yield self.expect

    def cancelled(self) -> bool:
        """Whether the story cancels its session."""
        return any(step.text == "cancel" for step in self.steps)


def _tones() -> range:
    return range(FIRST_TONE_HZ, TONE_HZ_MAX, TONE_STEP_HZ)


def apart(one_hz: int, other_hz: int | None) -> bool:
    """Return whether two tones can be told apart."""
    return other_hz is None or abs(one_hz - other_hz) >= TONE_APART_HZ


def numbers_of(name: str, spec: CallerSpec, index: int) -> list[str]:
    """Return the calling numbers of a story's caller or crowd: the given one, or some of its own.

    `index` is the caller's place among the story's.
    """
    if spec.number is not None:
        return [spec.number]
    if spec.via == "voip":
        return [name] if spec.count == 1 else [f"{name}-{n + 1}" for n in range(spec.count)]
    if spec.count == 1:
        return [f"+1212{5_550_100 + index}"]
    return [f"+1212{6_000_000 + index * 10_000 + member}" for member in range(spec.count)]


def shared_numbers(callers: Mapping[str, CallerSpec]) -> Iterator[tuple[str, str]]:
    """Yield each caller whose number another has, and what is wrong: legs are known by it.

    Who hides his number has that of all who do.
    """
    owners: dict[str, str] = {}
    for index, (name, spec) in enumerate(callers.items()):
        for number in numbers_of(name, spec, index):
            owner = owners.setdefault(number.lstrip("+"), name)
            if owner != name:
                text = f"{name} calls from {number}, as {owner} does: they could not be told apart"
                yield name, f"{text}; give one of them another number: from"
                break


def entry_keys(caller: CallerSpec, *, code: str, security_code: str | None, pin: str) -> str:
    """Return what a caller keys to be let in: session's code, security code, PIN (R18, D20)."""
    security = f"{security_code}#" if security_code else ""
    if caller.dials:
        return f"{code}#{security}"
    if caller.via == "voip":
        return f"{security}*0{pin}#" if caller.role == "organizer" else security
    return f"{code}#{security}*{pin}#" if caller.role == "organizer" else f"{code}#{security}"
