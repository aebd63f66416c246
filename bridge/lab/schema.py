"""The JSON Schema of story files, from the models; steps and caller names are added by hand."""

from typing import Any, Final, get_args

from bridge.lab.account import Product
from bridge.lab.bills import MONTH
from bridge.lab.expectations import Audio, Expect
from bridge.lab.steps import (
    CALLER_VERBS,
    KILLS,
    LEG_MOMENTS,
    MIGRATION_KEYS,
    ORGANIZER_ALONE,
    ORGANIZER_OF,
    PLAIN_VERBS,
)
from bridge.lab.story import INSTANT, NAME, Story
from bridge.lab.times import DURATION
from bridge.lab.words import COUNTRIES, FACT_TYPES

CALLER_STEP = (
    rf"^({'|'.join(PLAIN_VERBS)}|press [0-9*#A-D]+|say .+ for .+|(is refused|refuse) [3-6]\d\d)$"
)
ADVANCE: Final = (
    rf"^(?:{DURATION}|to (?:month-end|{'|'.join(FACT_TYPES)}"
    rf"|{NAME.pattern}\.(?:{'|'.join(LEG_MOMENTS)})))$"
)
MIGRATION: Final[dict[str, Any]] = {
    "product": {"enum": list(get_args(Product))},
    "contract": {"type": "string"},
    "at": {"type": "string", "pattern": rf"^(?:\d{{4}}-\d{{2}}-\d{{2}}|{INSTANT})$"},
}
CODES: Final = ("access_code", "organizer_pin", "security_code")
"""Of a session: digits, which YAML takes for numbers."""

ORGANIZER_STEP = rf"^({'|'.join(ORGANIZER_ALONE)}|({'|'.join(ORGANIZER_OF)}) .+)$"


def story_schema() -> dict[str, Any]:
    """Return the schema that editors complete and check story files with."""
    schema = Story.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    audio = Audio.model_json_schema(ref_template="#/$defs/{model}")
    audio.pop("$defs", None)
    definitions["Audio"] = audio
    expect = definitions["Expect"]
    expect["properties"].pop("audio", None)
    ours = "|".join(expect["properties"])
    who = f"^(?!(?:{ours})$){NAME.pattern}$"
    expect["patternProperties"] = {who: {"$ref": "#/$defs/Audio"}}
    one = {"$ref": "#/$defs/Bill"}
    bill = {"anyOf": [one, {"type": "array", "minItems": 2, "items": one}]}
    months = {"type": "object", "patternProperties": {f"^{MONTH.pattern}$": bill}}
    expect["properties"]["bill"] = {"anyOf": [bill, {**months, "additionalProperties": False}]}
    for name in [name for name in definitions if name.endswith("Step")]:
        del definitions[name]
    definitions["Step"] = _step()
    schema["properties"]["steps"] = {
        "type": "array",
        "minItems": 1,
        "items": {"$ref": "#/$defs/Step"},
    }
    for key in CODES:
        _as_number_too(definitions["Session"]["properties"][key])
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"{Expect.__module__.split('.')[0]} story"
    schema["required"] = ["scenario", "callers", "steps"]
    schema["additionalProperties"] = False
    return schema


def _as_number_too(code: dict[str, Any]) -> None:
    """Let digits stand without quotes: editors read them as a number."""
    forms = code.pop("anyOf", None) or [{k: code.pop(k) for k in ("type", "pattern")}]
    code["anyOf"] = [*forms, {"type": "integer", "minimum": 100}]


def _step() -> dict[str, Any]:
    country = {"enum": list(COUNTRIES)}
    caller = {
        "type": "string",
        "pattern": CALLER_STEP,
        "description": f"what the caller does: {', '.join(CALLER_VERBS)}",
    }
    return {
        "anyOf": [
            {
                "enum": [
                    "cancel",
                    "remove toll-free",
                    "restart",
                    *(f"kill {what}" for what in KILLS),
                ]
            },
            {"type": "string", "pattern": rf"^call-me {NAME.pattern}$"},
            {"type": "array", "items": {"type": "object", "additionalProperties": caller}},
            {
                "type": "object",
                "minProperties": 1,
                "properties": {
                    "advance": {
                        "type": "string",
                        "pattern": ADVANCE,
                        "description": "4m, or `to ann.warning`",
                    },
                    "wait": {
                        "type": "string",
                        "pattern": f"^(?:{DURATION})$",
                        "description": "real time, 2s",
                    },
                    "organizer": {
                        "type": "string",
                        "pattern": ORGANIZER_STEP,
                    },
                    "call-me": {"type": "string", "description": "whom the bridge calls"},
                    "kill": {"enum": list(KILLS)},
                    "restart": {"type": "null"},
                    "cancel": {"type": "null"},
                    "remove toll-free": {"type": "null"},
                    "migrate": {
                        "type": "object",
                        "properties": {key: MIGRATION[key] for key in MIGRATION_KEYS},
                        "additionalProperties": False,
                        "anyOf": [{"required": ["product"]}, {"required": ["contract"]}],
                    },
                    "finalize": {
                        "type": "string",
                        "pattern": f"^{MONTH.pattern}$",
                        "description": "a month, 2026-01",
                    },
                    "add numbers": {"anyOf": [country, {"type": "array", "items": country}]},
                    "expect": {"$ref": "#/$defs/Expect"},
                },
                "additionalProperties": caller,
            },
        ]
    }
