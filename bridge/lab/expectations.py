"""What a story expects: of rosters, audio, facts, bills and recordings; compares nothing."""

import re
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from bridge.lab.bills import Bill, by_month
from bridge.lab.cutter import PTIMES_MS
from bridge.lab.gauges import read_metrics
from bridge.lab.ladders import LadderText
from bridge.lab.source import suggestion
from bridge.lab.times import parse_duration
from bridge.lab.words import (
    Claim,
    Duration,
    FactType,
    LeftReason,
    Names,
    Part,
    RangeSpelt,
    RangeText,
    duration_ms,
    fault,
    like,
)

GAUGED: Final = ("level", "gap", "delay", "echo", "clipped", "packets")
ECHO_DB_MAX: Final = 40
"""What stands out of the noise of G.711, and of the tones of three others."""

STATES: Final = ("waiting", "hosting", "joined")
"""Where a leg that was let in is: in one of them at a time."""

DTMF: Final = "dtmf"
"""In `not_hears`: the tones of keys, which must never reach the others."""


def _levels(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        raise fault("write level: {ben: -18..-14}, in dBFS")
    return value


def _packets(value: Any) -> Any:
    milliseconds = duration_ms(value)
    if milliseconds not in PTIMES_MS:
        raise fault(f"{value!r} is no length of a packet: 10ms, 20ms, ... or 60ms")
    return milliseconds


def _decibels(value: Any) -> Any:
    match = re.fullmatch(r"([1-9]\d) ?dB", str(value))
    if not match or int(match[1]) > ECHO_DB_MAX:
        raise fault(f"{value!r} is no echo: write 30dB, from 10dB to {ECHO_DB_MAX}dB")
    return int(match[1])


class Audio(Claim):
    """What one caller must hear, measured in what he receives.

    Attributes:
        hears: callers and sounds that must be heard, all at once and without gaps.
        not_hears: callers and sounds that must not be heard at any moment while we listen.
        silence: nothing at all is heard, at no moment since the listening began.
        quality: the least PESQ of the one voice in `hears`, that of somebody who speaks.
        level: of voices in `hears`, in dBFS.
        gap: the longest hole of any voice in `hears`, three seconds long, milliseconds.
        delay: what a sound of anybody in `hears` takes at most to this caller, milliseconds.
        echo: by how many dB, at least, what he says himself comes back weaker, if it does.
        clipped: whether what he hears is cut off at full scale.
        packets: milliseconds of sound in each packet that he receives.
    """

    hears: Names = ()
    not_hears: Names = ()
    silence: bool = False
    quality: Annotated[float, Field(ge=1, le=4.6, strict=False)] | None = None

    level: Annotated[
        dict[str, RangeText],
        BeforeValidator(_levels, json_schema_input_type=dict[str, RangeSpelt]),
    ] = Field(default_factory=dict)
    gap: Duration | None = None
    delay: Duration | None = None
    echo: (
        Annotated[int, BeforeValidator(_decibels, json_schema_input_type=like(r"[1-9]\d ?dB"))]
        | None
    ) = None
    clipped: bool | None = None
    packets: (
        Annotated[int, BeforeValidator(_packets, json_schema_input_type=like(r"[1-6]0ms"))] | None
    ) = None

    @property
    def gauged(self) -> bool:
        """Whether more is measured than who is heard and who is not."""
        return any(getattr(self, key) not in (None, {}) for key in GAUGED)

    @model_validator(mode="after")
    def _possible(self) -> "Audio":
        both = set(self.hears) & set(self.not_hears)
        if both:
            raise fault(f"{sorted(both)[0]!r} stands in hears and in not_hears")
        if self.silence and self.hears:
            raise fault("who hears something does not hear silence")
        if self.quality is not None and len(self.hears) != 1:
            raise fault("one voice is scored: give one name in hears", key="quality")
        for key in ("gap", "delay"):
            if getattr(self, key) is not None and not self.hears:
                raise fault(f"whose {key} is measured? give them in hears", key=key)
        for name in self.level:
            if name not in self.hears:
                raise fault(f"{name!r} is not in hears: who is not heard has no level", key="level")
        if not (self.hears or self.not_hears or self.silence or self.gauged):
            raise fault("says nothing: give hears, not_hears or silence")
        return self


class Span(Part):
    """A part of a recording, `0s..5m`."""

    from_ms: int
    to_ms: int


def _span(value: Any) -> Any:
    first, dots, last = str(value).partition("..")
    if not dots:
        raise fault(f"{value!r} is no span: write 0s..5m")
    try:
        from_ms = 0 if first.strip() in {"0", "0s", "0m"} else parse_duration(first)
        to_ms = parse_duration(last)
    except ValueError as error:
        raise fault(str(error)) from None
    if to_ms <= from_ms:
        raise fault(f"{value!r} ends before it begins")
    return Span(from_ms=from_ms, to_ms=to_ms)


class Recording(Claim):
    """The recording of the conference, after the story.

    Attributes:
        length: real time, as media keeps real time; half a second either way.
        voices: exactly these callers are heard in it.
        silent: spans without any sound.
    """

    EMPTY_SAYS: ClassVar[frozenset[str]] = frozenset({"voices"})

    length: Duration | None = None
    voices: Names | None = None
    silent: tuple[
        Annotated[Span, BeforeValidator(_span, json_schema_input_type=like(r".+\.\..+"))], ...
    ] = ()


class Expect(Claim):
    """One `expect`; `audio` holds the entries that are named after callers.

    `waiting`, `hosting` and `joined` name all callers in that state, no more and no less; `exactly`
    names all events of its types, each as often as it stands there and in that sequence.
    """

    EMPTY_SAYS: ClassVar[frozenset[str]] = frozenset({"waiting", "hosting", "joined", "audio"})
    SORTS_KEYS: ClassVar[bool] = True

    waiting: Names | None = None
    hosting: Names | None = None
    joined: Names | None = None
    left: dict[str, LeftReason] = Field(default_factory=dict)
    events: tuple[FactType, ...] = ()
    exactly: tuple[FactType, ...] = ()
    never: tuple[FactType, ...] = ()
    sip: dict[str, LadderText] = Field(default_factory=dict)
    metrics: Annotated[
        dict[str, RangeText],
        BeforeValidator(read_metrics, json_schema_input_type=dict[str, RangeSpelt]),
    ] = Field(default_factory=dict)
    bill: dict[str, tuple[Bill, ...]] = Field(default_factory=dict)
    recording: Recording | None = None
    audio: dict[str, Audio] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _sorted_out(cls, value: Any, info: ValidationInfo) -> Any:
        """Tell callers' names from keys; write a bill without month as that of month ""."""
        if not isinstance(value, dict):
            raise fault("must be a mapping: expect: {waiting: [ann]}")
        callers = (info.context or {}).get("callers", ())
        known = [name for name in cls.model_fields if name != "audio"]
        result: dict[str, Any] = {"audio": {}}
        for key, item in value.items():
            if key in callers:
                result["audio"][key] = item
            elif key in known:
                result[key] = item
            else:
                near = suggestion(str(key), [*known, *callers])
                raise fault(f"unknown key or caller {key!r}{near}", key=key)
        if not value:
            raise fault("says nothing: an expectation that checks nothing cannot fail")
        if "bill" in result:
            result["bill"] = by_month(result["bill"])
        return result

    @model_validator(mode="after")
    def _possible(self) -> "Expect":
        """Refuse what contradicts itself: nobody is in two states, what comes is not `never`."""
        where: dict[str, str] = {}
        for state in (*STATES, "left"):
            for name in getattr(self, state) or ():
                if (other := where.setdefault(name, state)) != state:
                    raise fault(f"{name!r} stands in {other} and in {state}", key=state)
        for state in STATES:
            names = getattr(self, state) or ()
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise fault(f"{twice[0]!r} stands twice in {state}", key=state)
        for key in ("events", "exactly"):
            if both := sorted(set(getattr(self, key)) & set(self.never)):
                raise fault(f"{both[0]} stands in {key} and in never", key="never")
        return self
