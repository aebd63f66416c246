"""The words a story may use, and the small value types made of them; knows no file."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import phonenumbers
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from bridge.lab.source import suggestion
from bridge.lab.times import DURATION, parse_duration
from bridge.lab.voice import TONE_DBFS

LEFT_REASONS: Final = (
    "hung_up",
    "waiting_timeout",
    "wrong_code",
    "no_code",
    "not_offered",
    "locked",
    "full",
    "kicked",
    "session_ended",
    "session_cancelled",
    "organizer_gone",
    "rtp_timeout",
    "no_ack",
    "session_expired",
    "worker_lost",
    "bridge_restarted",
    "not_accepted",
)
SETTLED_REASONS: Final = (
    "billable",
    "not_admitted",
    "not_accepted",
    "not_answered",
    "never_started",
    "carrier_billed",
    "included",
)
FACT_TYPES: Final = (
    "leg.answered",
    "leg.identified",
    "leg.waiting",
    "leg.joined",
    "leg.left",
    "organizer.joined",
    "session.started",
    "session.ended",
    "session.cancelled",
)
COUNTRIES: Final = tuple(sorted(phonenumbers.SUPPORTED_REGIONS))
TONE_HZ_MIN: Final = 300
TONE_HZ_MAX: Final = 3_400
TONE_HZ_WIDE_MAX: Final = 7_000
"""What a wideband codec carries; from 3,400 Hz on only such a caller can say it."""
TONE_APART_HZ: Final = 40
"""Two callers' tones nearer than this cannot be told apart within a fifth of a second."""

WORDS_LISTED_MAX: Final = 16

SAID_DBFS: Final = round(TONE_DBFS)

SAID_DBFS_MIN: Final = -30
SAID_DBFS_MAX: Final = 20

PLAIN: Final = {
    "tuple_type": "must be a list: [{value}]",
    "dict_type": "must be a mapping: {{key: value}}",
    "model_type": "must be a mapping: {{key: value}}",
    "string_type": "must be text",
    "int_parsing": "{value!r} is no whole number",
    "int_type": "{value!r} is no whole number",
    "float_parsing": "{value!r} is no number",
    "float_type": "{value!r} is no number",
    "bool_parsing": "{value!r} is neither true nor false",
    "bool_type": "{value!r} is neither true nor false",
    "greater_than_equal": "{value} is too little: at least {ge}",
    "less_than_equal": "{value} is too much: at most {le}",
    "string_too_short": "{value!r} is too short: at least {min_length} characters",
    "string_pattern_mismatch": "{value!r} is not of the form {pattern}",
}
"""What pydantic says in its own terms, in those of who writes a story."""

Kind = Literal["toll-free", "toll", "voip", "call-me"]


def in_plain_words(details: ErrorDetails) -> str:
    """Return what is wrong, without pydantic's own terms."""
    if words := PLAIN.get(details["type"]):
        return words.format(value=details["input"], **details.get("ctx", {}))
    return details["msg"].removeprefix("Value error, ")


class Part(BaseModel):
    """A mapping of a story: unknown keys are refused with a suggestion, beside its other faults.

    Attributes:
        SORTS_KEYS: whether the model itself says which keys it knows.
    """

    SORTS_KEYS: ClassVar[bool] = False

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="wrap")
    @classmethod
    def _known_keys(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if cls.SORTS_KEYS or not isinstance(value, dict):
            return handler(value)
        known = {field.alias or name: field for name, field in cls.model_fields.items()}
        faults = [*_unknown_keys(value, known), *_switches_for_numbers(value, known)]
        named = {key: item for key, item in value.items() if key in known}
        try:
            whole = handler(named)
        except ValidationError as error:
            if not faults:
                raise
            raise _together(cls.__name__, faults, error) from None
        if faults:
            raise _together(cls.__name__, faults)
        return whole


def _unknown_keys(value: Mapping[Any, Any], known: Collection[str]) -> list[PydanticCustomError]:
    names = list(known)
    return [
        fault(f"unknown key {key!r}{suggestion(str(key), names)}", key=key)
        for key in value
        if key not in known
    ]


def _switches_for_numbers(
    value: Mapping[Any, Any], known: Mapping[str, FieldInfo]
) -> list[PydanticCustomError]:
    """Refuse `count: true`: to Python it is 1."""
    return [
        fault(f"{key} is a number, not {str(item).lower()}", key=key)
        for key, item in value.items()
        if isinstance(item, bool) and key in known and known[key].annotation in (int, int | None)
    ]


def _together(
    title: str, faults: Iterable[PydanticCustomError], error: ValidationError | None = None
) -> ValidationError:
    """Return one error of all faults, those that `error` has included."""
    lines = [InitErrorDetails(type=one, input=None) for one in faults]
    for details in error.errors() if error else ():
        known = details["type"]
        context = details.get("ctx", {})
        kind: PydanticCustomError | str = known
        if known in {"story", "value_error"}:
            kind = fault(in_plain_words(details), key=context.get("key"))
        lines.append(
            InitErrorDetails(type=kind, loc=details["loc"], input=details["input"], ctx=context)
        )
    return ValidationError.from_exception_data(title, lines)


class Claim(Part):
    """A part of an expectation: what holds nothing would never be judged, so it is refused.

    Attributes:
        EMPTY_SAYS: entries whose emptiness says something, as `waiting: []` does: nobody waits.
    """

    EMPTY_SAYS: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _nothing_empty(cls, value: Any) -> Any:
        for key, item in value.items() if isinstance(value, dict) else ():
            may_be_empty = key in cls.EMPTY_SAYS
            if item is None or (item in ([], {}, ()) and not may_be_empty):
                more = ", write [] for none" if may_be_empty else ""
                raise fault(
                    f"{key} is empty: write what is expected{more}, or leave it out", key=key
                )
        return value


def refuse_unknown(value: Iterable[Any], known: Iterable[str]) -> None:
    """Raise for the first key that is not known; the error carries the key for its line."""
    names = list(known)
    for key in value:
        if key not in names:
            raise fault(f"unknown key {key!r}{suggestion(str(key), names)}", key=key)


def fault(message: str, *, key: Any = None) -> PydanticCustomError:
    """Return the error of a validator; `key` says which key of the mapping is meant."""
    context = {}
    if key is not None:
        context["key"] = ", ".join(key) if isinstance(key, tuple) else str(key)
    context["text"] = message  # the last to be filled in: braces in it stay as they are
    return PydanticCustomError("story", "{text}", context)


def known_word(word: str, known: Iterable[str], what: str) -> str:
    """Return the word if it is known, or raise with what is near, or all there are if few."""
    names = list(known)
    if word not in names:
        few = f" (of {', '.join(names)})" if 0 < len(names) <= WORDS_LISTED_MAX else ""
        raise fault(f"unknown {what} {word!r}{suggestion(word, names) or few}")
    return word


def either(words: Iterable[str]) -> Any:
    """Return the type of one of some words, for the schema."""
    return Literal[tuple(words)]


def like(pattern: str) -> Any:
    """Return the type of a text of a form, for the schema."""
    return Annotated[str, Field(pattern=f"^(?:{pattern})$")]


def _spelt(words: Iterable[str]) -> list[str]:
    """Return words as stories may spell them, with `_` or `-`."""
    known = list(words)
    return list(dict.fromkeys([*known, *(word.replace("_", "-") for word in known)]))


def _country(value: Any) -> str:
    return known_word(str(value), COUNTRIES, "country")


def _reason(value: Any) -> str:
    return known_word(str(value).replace("-", "_"), LEFT_REASONS, "reason")


def _settled(value: Any) -> str:
    return known_word(str(value).replace("-", "_"), SETTLED_REASONS, "reason of settlement")


def _fact_type(value: Any) -> str:
    return known_word(str(value), FACT_TYPES, "event")


def duration_ms(value: Any) -> int:
    """Return a time as stories write it in milliseconds."""
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise fault(str(error)) from None


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Country = Annotated[str, BeforeValidator(_country, json_schema_input_type=either(COUNTRIES))]
LeftReason = Annotated[
    str,
    BeforeValidator(_reason, json_schema_input_type=either(_spelt(LEFT_REASONS))),
]
SettledReason = Annotated[
    str,
    BeforeValidator(_settled, json_schema_input_type=either(_spelt(SETTLED_REASONS))),
]
FactType = Annotated[str, BeforeValidator(_fact_type, json_schema_input_type=either(FACT_TYPES))]
Duration = Annotated[int, BeforeValidator(duration_ms, json_schema_input_type=like(DURATION))]
Names = Annotated[
    tuple[str, ...], BeforeValidator(_one_or_more, json_schema_input_type=str | list[str])
]


class Range(BaseModel):
    """A number, or the least and the most that it may be: `3`, `1..3`, `1..`, `..3`."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:g}"
        low = "" if self.low == -math.inf else f"{self.low:g}"
        high = "" if self.high == math.inf else f"{self.high:g}"
        return f"{low}..{high}"

    def holds(self, value: float) -> bool:
        """Return whether a value lies in it, its ends included."""
        return self.low <= value <= self.high


def parse_range(value: Any) -> Range:
    """Return a range as stories write it.

    >>> str(parse_range("-18..-14")), str(parse_range(3)), str(parse_range("1.."))
    ('-18..-14', '3', '1..')
    """
    if isinstance(value, Range):
        return value
    number = r"-?\d{1,12}(?:\.\d{1,6})?"
    match = re.fullmatch(rf"({number})?(\.\.)?({number})?", str(value))
    if not match or not (match[1] or match[3]) or (match[1] and match[3] and not match[2]):
        raise fault(f"{value!r} is no range: write 3, 1..3, 1.. or ..3")
    low = float(match[1]) if match[1] else -math.inf
    high = float(match[3]) if match[3] else math.inf if match[2] else low
    if low > high:
        raise fault(f"{value!r} ends before it begins")
    return Range(low=low, high=high)


RangeSpelt = int | float | like(r"-?\d.*|\.\.-?\d.*")
"""A range as the schema knows it: editors read `-16.5` as a number."""

RangeText = Annotated[Range, BeforeValidator(parse_range, json_schema_input_type=RangeSpelt)]


MONEY: Final = r"(\d+(?:\.\d{1,6})?) ([A-Z]{3})"


class Money(BaseModel):
    """An exact amount with its currency, as `0.42 USD` says it."""

    model_config = ConfigDict(frozen=True)

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def parse_money(value: Any) -> Money:
    """Return `0.42 USD` as money.

    >>> parse_money("0.42 USD")
    Money(amount=Decimal('0.42'), currency='USD')
    """
    match = re.fullmatch(MONEY, str(value))
    if not match:
        raise fault(f"{value!r} is no amount: write 0.42 USD")
    return Money(amount=Decimal(match[1]), currency=match[2])


Amount = Annotated[Money, BeforeValidator(parse_money, json_schema_input_type=like(MONEY))]


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise fault(f"{value!r} is no amount: write 0.90") from None


PlainAmount = Annotated[
    Decimal,
    BeforeValidator(_decimal, json_schema_input_type=int | float | like(r"-?\d+(?:\.\d+)?")),
]


class Voice(BaseModel):
    """What a caller says: `tone 440`, `speech`, a WAV file, `silence`, or `nothing`.

    Attributes:
        sound: "speech", or the path of a mono 8 kHz WAV file; said again and again.
        dbfs: level of the tone; above 0 it is cut off at full scale, as by an overdriven phone.
        sends: false for `nothing`: no packet is sent while one says it (RFC 3551 §4.1).
    """

    model_config = ConfigDict(frozen=True)

    tone_hz: int | None = Field(default=None, ge=TONE_HZ_MIN, le=TONE_HZ_WIDE_MAX)
    sound: str = ""
    dbfs: int = SAID_DBFS
    sends: bool = True

    def __str__(self) -> str:
        if self.tone_hz:
            level = "" if self.dbfs == SAID_DBFS else f" at {self.dbfs} dBFS"
            return f"tone {self.tone_hz}{level}"
        return self.sound or ("silence" if self.sends else "nothing")

    @property
    def audible(self) -> bool:
        """Whether there is anything to hear."""
        return bool(self.tone_hz or self.sound)

    def beside(self, folder: Path) -> "Voice":
        """Return it with the path of its file, which is given from the story's folder."""
        if self.sound in {"", SPEECH}:
            return self
        return Voice(sound=str(folder / self.sound))


TONE: Final = r"tone (\d{1,5})(?: at ([+-]?\d{1,3}) ?dBFS)?"
VOICE: Final = rf"{TONE}|speech|silence|nothing|.+\.wav"
SPEECH: Final = "speech"
SILENT: Final = Voice()
NOTHING: Final = Voice(sends=False)


def parse_voice(value: Any) -> Voice:
    """Return a voice as stories write it.

    >>> parse_voice("tone 440")
    Voice(tone_hz=440)
    """
    if isinstance(value, Voice):
        return value
    text = str(value)
    match = re.fullmatch(TONE, text)
    if match:
        tone_hz, dbfs = int(match[1]), SAID_DBFS if match[2] is None else int(match[2])
        if not TONE_HZ_MIN <= tone_hz <= TONE_HZ_WIDE_MAX:
            raise fault(f"tone {tone_hz} is out of range: {TONE_HZ_MIN} to {TONE_HZ_WIDE_MAX} Hz")
        if not SAID_DBFS_MIN <= dbfs <= SAID_DBFS_MAX:
            text = f"{dbfs} dBFS is out of range: {SAID_DBFS_MIN} to {SAID_DBFS_MAX} dBFS"
            raise fault(f"{text}; above 0 it is cut off")
        return Voice(tone_hz=tone_hz, dbfs=dbfs)
    if text in {"silence", "nothing"}:
        return SILENT if text == "silence" else NOTHING
    if text == SPEECH or text.endswith(".wav"):
        return Voice(sound=text)
    known = "'tone 440', 'tone 440 at -30 dBFS', 'speech', 'hello.wav', 'silence' or 'nothing'"
    raise fault(f"unknown voice {text!r}: write {known}")


VoiceText = Annotated[Voice, BeforeValidator(parse_voice, json_schema_input_type=like(VOICE))]
