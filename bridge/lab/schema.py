"""The JSON Schema of story files, from the models; steps and caller names are added by hand."""

from typing import Any

from bridge.lab.expectations import Audio, Expect
from bridge.lab.steps import (
    CALLER_VERBS,
    KILLS,
    MIGRATION_KEYS,
    ORGANIZER_ALONE,
    ORGANIZER_OF,
    PLAIN_VERBS,
)
from bridge.lab.story import NAME, Story

CALLER_STEP = (
    rf"^({'|'.join(PLAIN_VERBS)}|press [0-9*#A-D]+|say .+ for .+|(is refused|refuse) [3-6]\d\d)$"
)
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
    expect["patternProperties"] = {f"^{NAME.pattern}$": {"$ref": "#/$defs/Audio"}}
    one = {"$ref": "#/$defs/Bill"}
    bill = {"anyOf": [one, {"type": "array", "minItems": 2, "items": one}]}
    months = {"type": "object", "patternProperties": {r"^\d{4}-\d{2}$": bill}}
    expect["properties"]["bill"] = {"anyOf": [bill, {**months, "additionalProperties": False}]}
    for name in [name for name in definitions if name.endswith("Step")]:
        del definitions[name]
    definitions["Step"] = _step()
    schema["properties"]["steps"] = {
        "type": "array",
        "minItems": 1,
        "items": {"$ref": "#/$defs/Step"},
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"{Expect.__module__.split('.')[0]} story"
    schema["required"] = ["scenario", "callers", "steps"]
    schema["additionalProperties"] = False
    return schema


def _step() -> dict[str, Any]:
    countries = {"type": "array", "items": {"type": "string"}}
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
            {"type": "array", "items": {"type": "object"}},
            {
                "type": "object",
                "minProperties": 1,
                "properties": {
                    "advance": {"type": "string", "description": "4m, or `to ann.warning`"},
                    "wait": {"type": "string", "description": "real time, 2s"},
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
                        "properties": {key: {"type": "string"} for key in MIGRATION_KEYS},
                        "additionalProperties": False,
                    },
                    "finalize": {"type": "string", "description": "a month, 2026-01"},
                    "add numbers": {"anyOf": [{"type": "string"}, countries]},
                    "expect": {"$ref": "#/$defs/Expect"},
                },
                "additionalProperties": caller,
            },
        ]
    }
