"""Settings of what a conference offers beside talking: keys, guarding codes, prompts.

Knows names, bounds and defaults, as `bridge.config` does; opens nothing.
"""

from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.conference.api import KEYS_DEFAULT

CONTROL_KEYS: Final = r"^(\*[1-9#]|#[0-9])?$"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _keys(control: str) -> Any:
    description = 'star and 1 to 9 or #, or # and a digit, such as "*2"; "" for none'
    return Field(default=KEYS_DEFAULT[control], pattern=CONTROL_KEYS, description=description)


class GuardSettings(_Table):
    """Guessing codes and PINs: slower with each wrong one, then not at all for a time."""

    delay_s: Annotated[float, Field(ge=0, le=60, strict=False)] = 1
    delay_max_s: Annotated[float, Field(ge=0, le=60, strict=False)] = 8
    source_tries: Annotated[int, Field(ge=0, le=100_000)] = 20
    session_tries: Annotated[int, Field(ge=0, le=100_000)] = 20
    lockout_s: Annotated[float, Field(ge=0, le=86_400, strict=False)] = 300
    forget_s: Annotated[float, Field(gt=0, le=86_400, strict=False)] = 600


class KeysSettings(_Table):
    """The keys of each control (R18). Star zero always begins a PIN (D20)."""

    start: Annotated[str, _keys("start")]
    mute: Annotated[str, _keys("mute")]
    record: Annotated[str, _keys("record")]
    mute_all: Annotated[str, _keys("mute_all")]
    lock: Annotated[str, _keys("lock")]
    lecture: Annotated[str, _keys("lecture")]
    raise_hand: Annotated[str, _keys("raise_hand")]
    help: Annotated[str, _keys("help")]
    leave: Annotated[str, _keys("leave")]
    roll_call: Annotated[str, _keys("roll_call")]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        taken: dict[str, str] = {}
        for control, keys in self.model_dump().items():
            if keys and keys in taken:
                raise ValueError(f"{control}: keys that {taken[keys]} has not")
            taken[keys] = control
        return self
