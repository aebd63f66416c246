"""Settings of what a conference offers beside talking: keys, guarding codes, prompts.

Knows names, bounds and defaults, as `bridge.config` does; opens nothing.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import phonenumbers
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bridge.conference.api import KEYS_DEFAULT
from bridge.sip.api import Address

PORT_MAX: Final = 65_535

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


def _gateway(value: str) -> str:
    host, _, port = value.rpartition(":")
    try:
        ipaddress.ip_address(host.strip("[]"))
        if not port.isascii() or not 0 < int(port) <= PORT_MAX:
            raise ValueError
    except ValueError:
        raise ValueError("address:port such as 192.0.2.10:5060") from None
    return value


def _country(value: str) -> str:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("a country of ISO 3166, two capital letters, such as US")
    return value


class CallMeSettings(_Table):
    """Where Call Me goes out, whom it may call, and how long it waits (R14, D11).

    Without a gateway there is no Call Me.
    """

    gateway: Annotated[str, AfterValidator(_gateway)] | None = None
    countries: list[Annotated[str, AfterValidator(_country)]] = ["US", "CA"]
    caller_id: Annotated[str, Field(pattern=r"^\+?[0-9A-Za-z]{0,32}$")] = ""
    caller_name: Annotated[str, Field(max_length=64, pattern=r"^[^\r\n]*$")] = ""
    ring_s: Annotated[float, Field(gt=0, le=180, strict=False)] = 45
    accept_s: Annotated[float, Field(gt=0, le=180, strict=False)] = 40
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    retry_after_s: Annotated[float, Field(gt=0, le=3_600, strict=False)] = 60

    @property
    def address(self) -> Address | None:
        """Where INVITEs are sent; None without a gateway."""
        if self.gateway is None:
            return None
        host, _, port = self.gateway.rpartition(":")
        return Address(host.strip("[]"), int(port))

    @property
    def allowed(self) -> frozenset[str]:
        """The countries that may be called: none without a gateway."""
        return frozenset(self.countries) if self.gateway else frozenset()


class PromptsSettings(_Table):
    """The language where no country says otherwise, and an operator's own prompts (R19).

    A file in `directory`, such as fr/greeting.wav or sounds/hold-music.wav, replaces the bridge's.
    """

    language: Literal["en", "fr", "it", "de", "es", "pt", "nl"] = "en"
    directory: str = ""

    @property
    def own(self) -> Path | None:
        """The operator's directory; None without one."""
        return Path(self.directory) if self.directory else None


class RecordingSettings(_Table):
    """Where conferences are recorded, whether each one is, how, and for how long (R12).

    With an empty directory nothing is recorded. `tracks`: each leg in a file of its own too.
    """

    directory: str = "recordings"
    on_start: bool = False
    format: Literal["wav", "flac", "opus"] = "wav"
    tracks: bool = False
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 365


class DiarySettings(_Table):
    """Of how many legs that are over the story is kept, beside the outbox; 0 keeps none."""

    legs_max: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000


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
