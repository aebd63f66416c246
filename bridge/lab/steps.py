"""The steps of a story as values, and how they are read; carries nothing out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from bridge.lab.account import Product
from bridge.lab.bills import MONTH
from bridge.lab.expectations import Expect
from bridge.lab.source import KeyPath, Source, suggestion
from bridge.lab.times import parse_day_or_instant, parse_duration
from bridge.lab.words import (
    FACT_TYPES,
    Country,
    Voice,
    in_plain_words,
    known_word,
    parse_voice,
    refuse_unknown,
)

DIALS: Final = ("dial", "dial and hang up", "dial and cancel")
PLAIN_VERBS: Final = ("join", *DIALS, "answer", "mute", "hold", "resume", "hang up", "drop")
CALLER_VERBS: Final = (*PLAIN_VERBS, "is refused", "refuse", "press", "say")
ORGANIZER_ALONE: Final = (
    *("start", "end", "record", "lock", "unlock", "lecture", "end lecture"),
    *("mute all", "unmute all"),
)
ORGANIZER_OF: Final = ("kick", "mute", "unmute")
"""Commands about one caller, who is named after them."""
STEP_KEYS: Final = (
    "advance",
    "wait",
    "organizer",
    "cancel",
    "call-me",
    "add numbers",
    "remove toll-free",
    "migrate",
    "finalize",
    "kill",
    "restart",
    "expect",
)
KILLS: Final = ("control", "worker")
LEG_MOMENTS: Final = ("warning", "timeout", "waiting", "joined", "left")
MIGRATION_KEYS: Final = ("product", "contract", "at")
STATUS: Final = re.compile(r"[3-6]\d\d")
DIGITS: Final = re.compile(r"[0-9*#A-D]{1,40}")


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True)

    line: int
    text: str


class CallerStep(_Step):
    """Callers do something, all at the same time."""

    who: tuple[str, ...]
    verb: Literal[
        "join",
        "dial",
        "dial and hang up",
        "dial and cancel",
        "answer",
        "refuse",
        "is refused",
        "press",
        "say",
        "mute",
        "hold",
        "resume",
        "hang up",
        "drop",
    ]
    status: int = 0
    digits: str = ""
    voice: Voice = Voice()
    for_ms: int = 0


class TogetherStep(_Step):
    """Several callers do different things at the same time."""

    steps: tuple[CallerStep, ...]


class AdvanceStep(_Step):
    """The conference clock moves by `by_ms`, or to a moment: `ann.warning`, `month-end`."""

    by_ms: int = 0
    to: str = ""


class WaitStep(_Step):
    """Real time passes; the conference clock stands still."""

    for_ms: int


class OrganizerStep(_Step):
    """A command of the organizer's (dashboard or API)."""

    verb: str
    who: str = ""


class CallMeStep(_Step):
    """The bridge is told to call somebody, whose phone then rings (R14, D11)."""

    who: str


class CancelStep(_Step):
    """The session is cancelled."""


class AddNumbersStep(_Step):
    """Toll-free countries are added to the scheduled session (R10)."""

    countries: tuple[Country, ...]


class RemoveTollFreeStep(_Step):
    """An administrator removes toll-free from the account (R13)."""


class MigrateStep(_Step):
    """The account moves to another product or contract, now or at an instant (R17, D8)."""

    product: Product | None = None
    contract: str | None = None
    at: str | None = None


class FinalizeStep(_Step):
    """A month's invoices are finalized (D14)."""

    month: str


class KillStep(_Step):
    """The bridge's control process or its media workers die (D13, D12)."""

    what: Literal["control", "worker"]


class RestartStep(_Step):
    """The bridge is started again on its store; one that runs is stopped first."""


class ExpectStep(_Step):
    """Something must be true now, or become true within the patience of the runner."""

    expect: Expect


Step = (
    CallerStep
    | TogetherStep
    | AdvanceStep
    | WaitStep
    | OrganizerStep
    | CallMeStep
    | CancelStep
    | AddNumbersStep
    | RemoveTollFreeStep
    | MigrateStep
    | FinalizeStep
    | KillStep
    | RestartStep
    | ExpectStep
)


LONE_STEPS: Final[Mapping[str, type[CancelStep | RemoveTollFreeStep | RestartStep]]] = {
    "cancel": CancelStep,
    "remove toll-free": RemoveTollFreeStep,
    "restart": RestartStep,
}


class StepReader:
    """Reads the steps of one file; faults go to the source, so that all are told at once."""

    def __init__(self, source: Source, callers: Sequence[str]) -> None:
        self.source = source
        self.callers = tuple(callers)

    def read_all(self, raw: Any) -> tuple[Step, ...]:
        """Return all steps that could be read."""
        if not isinstance(raw, list) or not raw:
            self.source.complain(("steps",), "steps must be a list with at least one step")
            return ()
        steps = (self._guarded(item, ("steps", i)) for i, item in enumerate(raw))
        return tuple(step for step in steps if step is not None)

    def _guarded(self, raw: Any, path: KeyPath) -> Step | None:
        try:
            return self.read(raw, path)
        except (ValueError, PydanticCustomError) as error:
            complain_of(self.source, error, path)
            return None

    def read(self, raw: Any, path: KeyPath) -> Step:
        """Return one step, or raise with what is wrong with it."""
        if isinstance(raw, str):
            word, _, what = raw.partition(" ")
            raw = {word: what} if word in {"call-me", "kill"} else {raw: None}
        if isinstance(raw, list):
            return self._together([pair for item in raw for pair in _pairs(item)], path)
        if not isinstance(raw, dict) or not raw:
            raise ValueError("a step is one of `ann: join`, `advance: 4m`, `expect: {...}`")
        if len(raw) > 1:
            return self._together(list(raw.items()), path)
        key, value = next(iter(raw.items()))
        if isinstance(key, tuple) or key in self.callers:
            return self._caller(key, value, path)
        return self._service(key, value, path)

    def _together(self, pairs: list[tuple[Any, Any]], path: KeyPath) -> TogetherStep:
        for key, _ in pairs:
            if key not in self.callers and not isinstance(key, tuple):
                raise ValueError(
                    f"{key!r} cannot happen at the same time as another step: "
                    f"only callers can{suggestion(str(key), self.callers)}"
                )
        steps = tuple(self._caller(key, value, path) for key, value in pairs)
        _need_once([name for step in steps for name in step.who])
        return TogetherStep(**self._place(pairs[0][0], "together", path), steps=steps)

    def _place(self, key: Any, value: Any, path: KeyPath) -> dict[str, Any]:
        label = ", ".join(key) if isinstance(key, tuple) else str(key)
        text = label if value is None else f"{label}: {value}"
        return {"line": self.source.line_of(path), "text": text}

    def _caller(self, key: Any, value: Any, path: KeyPath) -> CallerStep:
        who = key if isinstance(key, tuple) else (key,)
        if not who:
            raise ValueError(f"nobody is named who does {value!r}: write [ann, ben]: join")
        for name in who:
            known_word(name, self.callers, "caller")
        _need_once(who)
        if not isinstance(value, str):
            raise ValueError(f"say what {who[0]} does: {', '.join(CALLER_VERBS)}")
        place = self._place(key, value, path)
        verb, _, rest = value.partition(" ")
        if value in PLAIN_VERBS:
            return CallerStep.model_validate({**place, "who": who, "verb": value})
        for refusal in ("is refused", "refuse"):
            if value.startswith(refusal):
                status = value.removeprefix(refusal).strip()
                if not STATUS.fullmatch(status):
                    text = f"write `{refusal} 404`, a SIP status from 300 to 699"
                    raise ValueError(f"{value!r}: {text}")
                spoken = {**place, "who": who, "verb": refusal, "status": int(status)}
                return CallerStep.model_validate(spoken)
        if verb == "press":
            if not rest:
                text = "press what? Keys that begin with # stand in quotes: 'press #2'"
                raise ValueError(f"{text}, else YAML takes them for a comment")
            if not DIGITS.fullmatch(rest):
                raise ValueError(f"{rest!r} are no keys: 0-9 * # A-D, at most 40")
            return CallerStep(**place, who=who, verb="press", digits=rest)
        if verb == "say":
            voice, for_, time = rest.rpartition(" for ")
            if not for_:
                raise ValueError(f"{value!r}: write `say tone 440 for 2s`")
            said = parse_voice(voice).beside(self.source.file.parent)
            return CallerStep(**place, who=who, verb="say", voice=said, for_ms=parse_duration(time))
        raise ValueError(f"unknown step {value!r}{suggestion(value, CALLER_VERBS)}")

    def _service(self, key: str, value: Any, path: KeyPath) -> Step:
        place = self._place(key, value, path)
        match key:
            case "advance":
                return self._advance(str(value), place)
            case "wait":
                return WaitStep(**place, for_ms=parse_duration(str(value)))
            case "organizer":
                return self._organizer(str(value), place)
            case "cancel" | "remove toll-free" | "restart":
                if value is not None:
                    raise ValueError(f"{key!r} takes nothing, not {value!r}")
                return LONE_STEPS[key](**place)
            case "kill":
                what = known_word(str(value), KILLS, "process")
                return KillStep.model_validate({**place, "what": what})
            case "call-me":
                return CallMeStep(**place, who=known_word(str(value), self.callers, "caller"))
            case "add numbers":
                countries = [value] if isinstance(value, str) else value
                if not countries:
                    raise ValueError("say whose numbers: `add numbers: [FR]`")
                return AddNumbersStep.model_validate({**place, "countries": countries})
            case "migrate":
                return self._migrate(value, place)
            case "finalize":
                return self._finalize(value, place)
            case "expect":
                return self._expect(value, place, path)
        near = suggestion(key, [*STEP_KEYS, *self.callers])
        raise ValueError(f"unknown step or caller {key!r}{near}")

    def _advance(self, value: str, place: Mapping[str, Any]) -> AdvanceStep:
        if not value.startswith("to "):
            return AdvanceStep(**place, by_ms=parse_duration(value))
        moment = value.removeprefix("to ").strip()
        name, _, what = moment.partition(".")
        if moment == "month-end" or moment in FACT_TYPES:
            return AdvanceStep(**place, to=moment)
        if name in self.callers:
            known_word(what, LEG_MOMENTS, f"moment of {name}")
            return AdvanceStep(**place, to=moment)
        known = ["month-end", *FACT_TYPES, *(f"{c}.{m}" for c in self.callers for m in LEG_MOMENTS)]
        raise ValueError(f"unknown moment {moment!r}{suggestion(moment, known)}")

    def _organizer(self, value: str, place: Mapping[str, Any]) -> OrganizerStep:
        if value in ORGANIZER_ALONE:
            return OrganizerStep(**place, verb=value)
        verb, _, who = value.partition(" ")
        if verb in ORGANIZER_ALONE:
            raise ValueError(f"organizer: {verb} takes nothing, not {who!r}")
        known_word(verb, (*ORGANIZER_ALONE, *ORGANIZER_OF), "organizer's command")
        if not who:
            raise ValueError(f"organizer: {verb} whom? Write `organizer: {verb} NAME`")
        known_word(who, self.callers, "caller")
        return OrganizerStep(**place, verb=verb, who=who)

    def _migrate(self, value: Any, place: Mapping[str, Any]) -> MigrateStep:
        if not isinstance(value, dict) or not {"product", "contract"} & set(value):
            raise ValueError("write `migrate: {product: integrated, contract: c1}`")
        refuse_unknown(value, MIGRATION_KEYS)
        if "at" in value:
            value = {**value, "at": parse_day_or_instant(str(value["at"]))}
        return MigrateStep.model_validate({**place, **value})

    def _finalize(self, value: Any, place: Mapping[str, Any]) -> FinalizeStep:
        if not MONTH.fullmatch(str(value)):
            raise ValueError(f"{value!r} is no month: write `finalize: 2026-01`")
        return FinalizeStep(**place, month=str(value))

    def _expect(self, value: Any, place: Mapping[str, Any], path: KeyPath) -> ExpectStep:
        context = {"callers": self.callers}
        try:
            expect = Expect.model_validate(value, context=context)
        except ValidationError as error:
            complain_of(self.source, error, (*path, "expect"))
            raise ValueError("") from None
        return ExpectStep(line=place["line"], text=f"expect: {value}", expect=expect)


def _need_once(who: Sequence[str]) -> None:
    """Refuse a caller who would do two things at the same time: which is first is chance."""
    if twice := sorted({name for name in who if who.count(name) > 1}):
        raise ValueError(f"{twice[0]!r} is named twice in one step: write two steps")


def _pairs(item: Any) -> list[tuple[Any, Any]]:
    if not isinstance(item, dict):
        raise ValueError("steps at the same time are written [{ann: join}, {ben: join}]")
    return list(item.items())


def complain_of(source: Source, error: Exception, path: KeyPath) -> None:
    """Note what a validator raised at `path`; an empty text was noted already."""
    if isinstance(error, ValidationError):
        for details in error.errors():
            where = tuple(part for part in details["loc"] if part not in {"audio", ""})
            context = details.get("ctx", {})
            if "key" in context:
                where = (*where, context["key"])
            source.complain((*path, *where), _message(details, where))
    elif str(error):
        source.complain(path, str(error))


def _message(details: ErrorDetails, where: KeyPath) -> str:
    """Return what is wrong, with the key it is about."""
    label = ".".join(str(part) for part in where if not isinstance(part, int))
    kind, text = details["type"], in_plain_words(details)
    if kind == "missing":
        return f"{label} is missing"
    if kind == "literal_error":
        known = re.findall(r"'([^']+)'", str(details.get("ctx", {}).get("expected", "")))
        value = str(details["input"])
        return f"{label}: unknown word {value!r}{suggestion(value, known)} (of {', '.join(known)})"
    return f"{label}: {text}" if label and kind != "story" else text


def acts(step: Step) -> bool:
    """Return whether a step may have the bridge say something: to wait or to speak may not."""
    if isinstance(step, TogetherStep):
        return any(acts(one) for one in step.steps)
    speaks = isinstance(step, CallerStep) and step.verb == "say"
    return not speaks and not isinstance(step, ExpectStep | WaitStep)
