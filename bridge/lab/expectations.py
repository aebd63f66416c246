"""What a story expects: of rosters, audio, facts, bills and recordings; compares nothing."""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from bridge.lab.bills import Bill, by_month
from bridge.lab.source import suggestion
from bridge.lab.times import parse_duration
from bridge.lab.words import (
    Duration,
    FactType,
    LeftReason,
    Names,
    Part,
    fault,
)

DTMF: Final = "dtmf"
"""In `not_hears`: the tones of keys, which must never reach the others."""


class Audio(Part):
    """What one caller must hear, measured in what he receives.

    Attributes:
        hears: callers and sounds that must be heard, all at once and without gaps.
        not_hears: callers and sounds that must not be heard at any moment while we listen.
        silence: nothing at all is heard, at no moment since the listening began.
        quality: the least PESQ of the one voice in `hears`, that of somebody who speaks.
    """

    hears: Names = ()
    not_hears: Names = ()
    silence: bool = False
    quality: Annotated[float, Field(ge=1, le=4.6, strict=False)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> "Audio":
        both = set(self.hears) & set(self.not_hears)
        if both:
            raise fault(f"{sorted(both)[0]!r} stands in hears and in not_hears")
        if self.silence and self.hears:
            raise fault("who hears something does not hear silence")
        if self.quality is not None and len(self.hears) != 1:
            raise fault("one voice is scored: give one name in hears", key="quality")
        if not (self.hears or self.not_hears or self.silence):
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


class Recording(Part):
    """The recording of the conference, after the story.

    Attributes:
        length: real time, as media keeps real time; half a second either way.
        voices: exactly these callers are heard in it.
        silent: spans without any sound.
    """

    length: Duration | None = None
    voices: Names | None = None
    silent: tuple[Annotated[Span, BeforeValidator(_span, json_schema_input_type=str)], ...] = ()


class Expect(Part):
    """One `expect`; `audio` holds the entries that are named after callers.

    `waiting`, `hosting` and `joined` name all callers in that state, no more and no less.
    """

    waiting: Names | None = None
    hosting: Names | None = None
    joined: Names | None = None
    left: dict[str, LeftReason] = Field(default_factory=dict)
    events: tuple[FactType, ...] = ()
    never: tuple[FactType, ...] = ()
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
