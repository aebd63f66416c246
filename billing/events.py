"""The form of facts (docs/facts.md) and how one is read; knows no store and no price.

`read_fact` takes a CloudEvents 1.0 event as JSON and gives a plain tuple, or raises `BadEvent`
with a stable reason; what it lets through, settlement can trust to have the right types.
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

import orjson

from billing.times import TIME_MAX_MS, TIME_MIN_MS, iso, parse_time_ms
from billing.words import COUNTRIES, KINDS, VOIP

TEXT_MAX: Final = 512
"""Longest string of a fact; longer ones are refused."""

DURATION_MS_MAX: Final = 31 * 86_400_000
"""The longest leg that is believed."""

N_MAX: Final = 1_000_000
"""The highest number of a fact within its leg or occurrence."""

DATA_CHARS_MAX: Final = 16_384

TYPES: Final = (
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
ANSWERED, IDENTIFIED, WAITING, JOINED, LEFT, ORGANIZER, STARTED, ENDED, CANCELLED = range(9)
TYPE_NUMBERS: Final = {name: number for number, name in enumerate(TYPES)}

PLACE: Final = ("session", "account", "occurrence")
"""What names where a leg was, and who pays for it."""

REQUIRED: Final[tuple[tuple[str, ...], ...]] = (
    ("leg", "kind", "country", "did", "ani", "direction"),
    ("leg", *PLACE),
    ("leg", *PLACE),
    ("leg", *PLACE, "role"),
    ("leg", "reason"),
    ("occurrence", "session", "account", "leg"),
    ("occurrence", "session", "account"),
    ("occurrence", "session", "account", "reason"),
    ("occurrence", "session", "account"),
)
"""What must be a string in the data of each type."""

NOT_EMPTY: Final = frozenset(
    {"leg", "occurrence", "session", "account", "kind", "direction", "role", "reason"}
)
OPTIONAL: Final = ("name", "charge_code")
"""Strings that any fact may add, for reports: who somebody is, whom a session is charged to."""
_ALLOWED_NULL: Final = (*OPTIONAL, *PLACE)

_ENVELOPE: Final = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
)


class BadEvent(Exception):
    """An event that cannot be a fact; `reason` is stable, `detail` quotes what is wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Fact(NamedTuple):
    """One fact, checked; `text` is its data as canonical JSON."""

    source: str
    id: str
    type: int
    time_ms: int
    n: int
    subject: str
    data: Mapping[str, Any]
    text: str
    extra: str | None


def parse_fact(text: str | bytes) -> Fact:
    """Check one event given as JSON text, and take it apart.

    Nearly every event is as a bridge writes it, and a few comparisons show that. Only what they do
    not show is looked at attribute by attribute; what is wrong with it is found there too.
    """
    try:
        event = orjson.loads(text)
    except ValueError as error:
        raise BadEvent("not_json", str(error)[:200]) from None
    return _usual(event) or read_fact(event)


_ENVELOPE_SIZE: Final = len(_ENVELOPE)
_NUMBERS: Final = {str(n): n for n in range(1, 100)}
_VALUES: Final[tuple[Callable[[Any], tuple[str, ...]], ...]] = tuple(
    itemgetter(*names) for names in REQUIRED
)
_UNUSUAL: Final = (BadEvent, KeyError, TypeError, AttributeError, ValueError)


def _usual(event: Any) -> Fact | None:
    """Take a parsed event apart that has the usual form; None when more than a glance is needed.

    It accepts nothing that `read_fact` refuses, and gives the same fact: a test holds them
    together. It relies on the plain types that parsing gives.
    """
    try:
        identity, name, data, source = event["id"], event["type"], event["data"], event["source"]
        subject, _, digits = identity.rpartition("/")
        kind, n = TYPE_NUMBERS[name], _NUMBERS[digits]
        "".join(_VALUES[kind](data))  # a TypeError unless all of them are strings
        if (
            len(event) != _ENVELOPE_SIZE  # so these eight and no others
            or event["specversion"] != "1.0"
            or event["subject"] != subject
            or data["leg" if kind <= LEFT else "occurrence"] != subject
            or "datacontenttype" not in event
            or "name" in data
            or "charge_code" in data
            or not identity.isprintable()
            or not 0 < len(subject) <= TEXT_MAX - len("/99")
            or not _is_good(source)
        ):
            return None
        text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode()
        if len(text) > TEXT_MAX or "\\u0000" in text:
            return None  # else no string of it is longer
        if kind == ANSWERED:
            _check_answered(data)
        elif '""' in text:
            return None  # an empty string, where there may be none
        elif kind == LEFT:
            _check_left(data)
            "".join((data["session"], data["account"], data["occurrence"]))
        at_ms = _time(event["time"])
    except _UNUSUAL:
        return None
    return tuple.__new__(Fact, (source, identity, kind, at_ms, n, subject, data, text, None))


@lru_cache(maxsize=256)
def _is_good(source: object) -> bool:
    """Tell whether a source can be stored; there are few, so each is looked at once."""
    return type(source) is str and 0 < len(source) <= TEXT_MAX and source.isprintable()


def read_fact(event: object) -> Fact:
    """Check any event, attribute by attribute; say what is wrong with it."""
    if type(event) is not dict and not isinstance(event, Mapping):
        raise BadEvent("not_an_event", f"expected a JSON object, got {_short(event)}")
    try:
        version, identity, source = event["specversion"], event["id"], event["source"]
        name, at, data = event["type"], event["time"], event["data"]
    except KeyError as error:
        raise BadEvent("missing_attribute", f"expected {error.args[0]!r}") from None
    if version != "1.0":
        raise BadEvent("bad_specversion", f"{_short(version)}: expected '1.0'")
    kind = TYPE_NUMBERS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadEvent("unknown_type", f"{_short(name)}: expected one of {', '.join(TYPES)}")
    _check_text("id", identity)
    _check_text("source", source)
    subject, n = _taken_apart(identity)
    if type(data) is not dict and not isinstance(data, Mapping):
        raise BadEvent("bad_data", f"data is {_short(data)}: expected an object")
    text = canonical(data)
    _check_data(kind, data)
    owner = data["leg" if kind <= LEFT else "occurrence"]
    if owner != subject or event.get("subject", subject) != subject:
        raise BadEvent(
            "bad_id", f"{_short(identity)}: expected '<subject>/<n>' with subject {_short(owner)}"
        )
    extra = None
    if len(event) > 8 or not event.keys() <= _ENVELOPE:
        extra = canonical({k: v for k, v in event.items() if k not in _ENVELOPE})
    return Fact(source, identity, kind, _time(at), n, subject, data, text, extra)


def canonical(data: Mapping[str, Any]) -> str:
    """Write an object so that equal content is equal text; no null character gets through."""
    try:
        text = orjson.dumps(
            data if type(data) is dict else dict(data), option=orjson.OPT_SORT_KEYS
        ).decode()
    except (TypeError, ValueError) as error:
        raise BadEvent("bad_data", f"not JSON: {error}"[:200]) from None
    if len(text) > DATA_CHARS_MAX:
        raise BadEvent("bad_data", f"{len(text)} characters: expected at most {DATA_CHARS_MAX}")
    if "\\u0000" in text:
        raise BadEvent("bad_data", "a null character: expected text")
    return text


def stored_fact(row: tuple[Any, ...]) -> Fact:
    """Return a stored fact, (source, id, type, time_ms, data, extra), as it was read."""
    source, identity, kind, time_ms, data, extra = row
    subject, _, digits = identity.rpartition("/")
    return Fact(
        source, identity, kind, time_ms, int(digits), subject, orjson.loads(data), data, extra
    )


def event_of(fact: tuple[str, str, int, int, str, str | None]) -> dict[str, Any]:
    """Return a stored fact, (source, id, type, time_ms, data, extra), as the event it was."""
    source, identity, kind, time_ms, data, extra = fact
    event = {
        "specversion": "1.0",
        "id": identity,
        "source": source,
        "type": TYPES[kind],
        "subject": identity.rpartition("/")[0],
        "time": iso(time_ms),
        "datacontenttype": "application/json",
        "data": json.loads(data),
    }
    if extra:
        event.update(json.loads(extra))
    return event


def _taken_apart(identity: str) -> tuple[str, int]:
    subject, _, digits = identity.rpartition("/")
    if not subject or not digits.isdecimal() or not digits.isascii() or digits[0] == "0":
        raise BadEvent("bad_id", f"{_short(identity)}: expected '<subject>/<n>', n from 1")
    if len(digits) > len(str(N_MAX)) or int(digits) > N_MAX:
        raise BadEvent("bad_id", f"{_short(identity)}: expected n up to {N_MAX}")
    return subject, int(digits)


def _time(at: object) -> int:
    if type(at) is not str:
        raise BadEvent("bad_time", f"{_short(at)}: expected RFC 3339 text")
    try:
        time_ms = parse_time_ms(at)
    except (ValueError, OverflowError):
        raise BadEvent("bad_time", f"{_short(at)}: expected RFC 3339 with zone") from None
    if not TIME_MIN_MS <= time_ms <= TIME_MAX_MS:
        raise BadEvent("bad_time", f"{_short(at)}: expected a time of this century")
    return time_ms


def _check_data(kind: int, data: Mapping[str, Any]) -> None:
    for name in REQUIRED[kind]:
        value = data.get(name)
        if type(value) is not str or len(value) > TEXT_MAX or (not value and name in NOT_EMPTY):
            raise BadEvent("bad_data", f"data.{name} is {_short(value)}: expected 1-512 characters")
    for name in OPTIONAL if kind != LEFT else _ALLOWED_NULL:
        if name in data:
            _check_optional(name, data)
    if kind == ANSWERED:
        _check_answered(data)
    elif kind == LEFT:
        _check_left(data)


def _check_optional(name: str, data: Mapping[str, Any]) -> None:
    value = data.get(name)
    if value is not None and (type(value) is not str or not 0 < len(value) <= TEXT_MAX):
        raise BadEvent("bad_data", f"data.{name} is {_short(value)}: expected 1-512 characters")


def _check_answered(data: Mapping[str, Any]) -> None:
    kind, country, direction = data["kind"], data["country"], data["direction"]
    if kind not in KINDS:
        raise BadEvent("unknown_kind", f"{_short(kind)}: expected one of {', '.join(KINDS)}")
    if country not in COUNTRIES and not (kind == VOIP and country == ""):
        raise BadEvent("unknown_country", f"{_short(country)}: expected ISO 3166 alpha-2")
    if direction not in ("inbound", "outbound"):
        raise BadEvent("bad_data", f"data.direction is {_short(direction)}: expected inbound")


def _check_left(data: Mapping[str, Any]) -> None:
    duration = data.get("duration_ms")
    if type(duration) is not int or not 0 <= duration <= DURATION_MS_MAX:
        raise BadEvent(
            "bad_duration", f"data.duration_ms is {_short(duration)}: expected 0 to 31 days"
        )


def _check_text(name: str, value: object) -> None:
    if type(value) is str and 0 < len(value) <= TEXT_MAX and value.isprintable():
        return  # what is printable has no null character and no half of a surrogate pair
    if type(value) is not str or not 0 < len(value) <= TEXT_MAX or not _storable(value):
        raise BadEvent("bad_data", f"{name} is {_short(value)}: expected 1-512 characters")


def _storable(text: str) -> bool:
    """No database takes a null character, nor half of a surrogate pair."""
    if text.isascii():
        return "\x00" not in text
    return not any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in text)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
