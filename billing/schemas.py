"""JSON Schemas of the events, from the same tables that `billing.events` checks by.

`docs/schemas/` holds what this module makes; a test keeps the two alike.
"""

from typing import Any, Final

from billing.events import (
    ANSWERED,
    DURATION_MS_MAX,
    LEFT,
    NOT_EMPTY,
    OPTIONAL,
    REQUIRED,
    TEXT_MAX,
    TYPES,
)
from billing.stream import SETTLED
from billing.words import COUNTRIES, JURISDICTIONS, KINDS, REASONS

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_TIME: Final = {"type": "string", "format": "date-time"}
_INTEGER: Final = {"type": "integer"}
_NULLABLE: Final = {"type": ["string", "null"], "maxLength": TEXT_MAX}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of every event type, facts and `usage.settled`."""
    found = {name: _event(name, _fact_data(number)) for number, name in enumerate(TYPES)}
    found[SETTLED] = _event(SETTLED, _settled_data())
    return found


def _event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    numbered = "^.+/[1-9][0-9]*$" if name != SETTLED else r"^.+/settled\.[1-9][0-9]*"
    return {
        "$schema": DRAFT,
        "title": name,
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "pattern": numbered, "maxLength": TEXT_MAX},
            "source": {"type": "string", "minLength": 1, "maxLength": TEXT_MAX},
            "type": {"const": name},
            "subject": {"type": "string", "minLength": 1},
            "time": _TIME,
            "datacontenttype": {"const": "application/json"},
            "data": data,
        },
    }


def _fact_data(number: int) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name in REQUIRED[number]:
        properties[name] = {"type": "string", "maxLength": TEXT_MAX}
        if name in NOT_EMPTY:
            properties[name]["minLength"] = 1
    required = list(REQUIRED[number])
    if number == ANSWERED:
        properties["kind"] = {"enum": list(KINDS)}
        properties["country"] = {"enum": ["", *sorted(COUNTRIES)]}
        properties["direction"] = {"enum": ["inbound", "outbound"]}
    if number == LEFT:
        required.append("duration_ms")
        properties["duration_ms"] = {"type": "integer", "minimum": 0, "maximum": DURATION_MS_MAX}
        properties |= dict.fromkeys(("session", "account", "occurrence"), _NULLABLE)
    properties |= dict.fromkeys(OPTIONAL, _NULLABLE)
    return {"type": "object", "required": required, "properties": properties}


def _settled_data() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "leg": {"type": "string"},
        "part": {"type": "integer", "minimum": 1},
        "reverses": _NULLABLE,
        "session": _NULLABLE,
        "occurrence": _NULLABLE,
        "account": _NULLABLE,
        "month": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"},
        "kind": {"enum": [*KINDS, None]},
        "country": _NULLABLE,
        "direction": {"enum": ["inbound", "outbound", None]},
        "product": {"type": "string"},
        "seller": {"type": "string"},
        "contract": {"type": "string"},
        "currency": {"type": "string"},
        "rate_key": {"type": "string"},
        "jurisdiction": {"enum": ["", *JURISDICTIONS]},
        "started_at": _TIME,
        "ended_at": _TIME,
        "duration_ms": _INTEGER,
        "billable_seconds": _INTEGER,
        "billed_seconds": _INTEGER,
        "increment": {"type": "string"},
        "reason": {"enum": list(REASONS)},
    }
    return {"type": "object", "required": list(properties), "properties": properties}
