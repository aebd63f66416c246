"""Settings: one TOML file, every key also an environment variable, every fault named.

Knows the configuration's names and what is allowed; opens nothing but the file it is given.
A fault names the file, the key, the value and what was expected, and suggests the nearest name.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

import phonenumbers
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from billing.config import AccountConfig, ContractConfig
from billing.settings import BillingSettings
from bridge.conference.api import ConferenceConfig, Entry, SessionSpec, StartPolicy
from bridge.errors import InputError
from bridge.link import WorkerSettings
from bridge.service_settings import (
    CallMeSettings,
    DiarySettings,
    GuardSettings,
    KeysSettings,
    PromptsSettings,
    RecordingSettings,
)
from bridge.sip_settings import RtpSettings, Seconds, SipSettings, UserSettings
from bridge.units import SessionId, conf_ms_of, seconds_to_ms, seconds_to_ns
from bridge.web_settings import EVERY_ACCOUNT, SmtpSettings, TokenSettings, WebSettings

ENVIRONMENT_PREFIX: Final = "TOLLBRIDGE_"
CLIENT_PREFIX: Final = "TOLLBRIDGE_API_"
"""Of `tollbridge session`, which asks a bridge; no settings of one."""

SWITCHES: Final = frozenset({"TOLLBRIDGE_NUMPY"})
"""Read where they matter, by `bridge.media.samples`, before there are any settings."""


Code = Annotated[str, Field(pattern=r"^[0-9]{3,20}$", description="3 to 20 digits")]
Pin = Annotated[str, Field(pattern=r"^[0-9]{4,20}$", description="4 to 20 digits")]
Identity = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="1 to 64 letters, digits, - and _")
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("a network such as 192.0.2.0/24") from None


def _country(value: str) -> str:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("a country of ISO 3166, two capital letters, such as US")
    return value


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time with its UTC offset, such as 2026-02-10T09:00:00-05:00")
    return value


Aware = Annotated[datetime, AfterValidator(_aware)]


EntryName = Literal["tone", "name", "nothing"]
"""What the others hear when somebody joins or leaves (R18)."""


def continue_ms(minutes: int | None) -> int | None:
    """Return how long a conference goes on without organizer, None for the bridge's own time."""
    return None if minutes is None else minutes * 60_000


class ClusterSettings(_Section):
    """Who writes the facts: their source is the cluster, not the node (D4)."""

    id: Identity = "local"


class StoreSettings(_Section):
    """The database of sessions, facts and bills."""

    url: Annotated[str, Field(pattern=r"^(sqlite:///.+|postgresql(\+\w+)?://.+)$")] = (
        "sqlite:///tollbridge.db"
    )

    @property
    def outbox_url(self) -> str:
        """Where facts are committed: always a local SQLite file, the store itself if it is one."""
        return self.url if self.url.startswith("sqlite:") else "sqlite:///tollbridge-outbox.db"


class WaitingRoomSettings(_Section):
    """R5 and D1."""

    timeout_s: Annotated[Seconds, Field(gt=0)] = 300
    warning_s: Seconds = 30
    keys_count: bool = True


class ConferenceSettings(_Section):
    """Codes, keys and how long conferences last."""

    tries: Annotated[int, Field(ge=1, le=10)] = 3
    code_timeout_s: Annotated[Seconds, Field(gt=0)] = 20
    key_timeout_s: Annotated[Seconds, Field(gt=0)] = 3
    empty_close_s: Seconds = 1_800
    continue_s: Annotated[Seconds, Field(le=3_600)] = 3_600
    continue_warning_s: Seconds = 60
    participants_max: Annotated[int, Field(ge=1, le=5_000)] = 500
    entry: EntryName = "tone"
    name_s: Annotated[Seconds, Field(ge=1, le=10)] = 4
    dtmf: Literal["absorb", "pass"] = "absorb"
    entry_count: bool = False


class MeteringSettings(_Section):
    """D13: how much of a bill a crash may lose."""

    checkpoint_s: Annotated[Seconds, Field(gt=0)] = 10


class TrunkSettings(_Section):
    """A carrier, known by address: toll and toll-free legs come from trunks only."""

    id: Identity
    cidr: Annotated[list[Annotated[str, AfterValidator(_network)]], Field(min_length=1)]

    def holds(self, host: str) -> bool:
        """Whether an address belongs to this trunk."""
        address = ipaddress.ip_address(host)
        return any(address in ipaddress.ip_network(network) for network in self.cidr)


class SessionSettings(_Section):
    """A session that is put into the store at start when it is not there yet."""

    id: Identity
    account: Identity
    access_code: Code
    organizer_pin: Pin
    start: Literal["on_join", "on_command"] = "on_join"
    toll_free: list[Annotated[str, AfterValidator(_country)]] = []
    opens: Aware | None = None
    closes: Aware | None = None
    security_code: Code | None = None
    entry: EntryName | None = None
    participants_max: Annotated[int, Field(ge=1, le=5_000)] | None = None
    continue_minutes: Annotated[int, Field(ge=0, le=60)] | None = None

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.opens and self.closes and self.closes <= self.opens:
            raise ValueError("closes: a time after opens")
        return self

    def spec(self) -> SessionSpec:
        """Return the session as the conference core takes it."""
        return SessionSpec(
            id=SessionId(self.id),
            account=self.account,
            access_code=self.access_code,
            organizer_pin=self.organizer_pin,
            start=StartPolicy(self.start),
            toll_free=frozenset(self.toll_free),
            opens=conf_ms_of(self.opens) if self.opens else None,
            closes=conf_ms_of(self.closes) if self.closes else None,
            security_code=self.security_code or "",
            entry=Entry(self.entry) if self.entry else None,
            participants_max=self.participants_max,
            continue_ms=continue_ms(self.continue_minutes),
        )


class Settings(_Section):
    """Everything `tollbridge serve` is told."""

    cluster: ClusterSettings = ClusterSettings()
    sip: SipSettings = SipSettings()
    rtp: RtpSettings = RtpSettings()
    store: StoreSettings = StoreSettings()
    waiting_room: WaitingRoomSettings = WaitingRoomSettings()
    conference: ConferenceSettings = ConferenceSettings()
    keys: KeysSettings = KeysSettings.model_validate({})
    prompts: PromptsSettings = PromptsSettings()
    recording: RecordingSettings = RecordingSettings()
    diary: DiarySettings = DiarySettings()
    call_me: CallMeSettings = CallMeSettings()
    guard: GuardSettings = GuardSettings()
    metering: MeteringSettings = MeteringSettings()
    user: list[UserSettings] = []
    trunk: list[TrunkSettings] = []
    contract: list[ContractConfig] = []
    account: list[AccountConfig] = []
    billing: BillingSettings = BillingSettings()
    session: list[SessionSettings] = []
    web: WebSettings = WebSettings()
    smtp: SmtpSettings = SmtpSettings()
    token: list[TokenSettings] = []

    @model_validator(mode="after")
    def _references(self) -> Self:
        faults = [
            *_twice("user", "name", [user.name for user in self.user]),
            *_twice("trunk", "id", [trunk.id for trunk in self.trunk]),
            *_twice("contract", "id", [_dated(contract) for contract in self.contract]),
            *_twice("account", "id", [_dated(account) for account in self.account]),
            *_twice("session", "id", [session.id for session in self.session]),
            *_twice("session", "access_code", [s.access_code for s in self.session]),
            *_unknown(
                "account", "contract", [a.contract for a in self.account], self._ids("contract")
            ),
            *_unknown(
                "session", "account", [s.account for s in self.session], self._ids("account")
            ),
            *_unknown(
                "token",
                "account",
                [token.account for token in self.token],
                [*self._ids("account"), EVERY_ACCOUNT],
            ),
        ]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _ids(self, kind: Literal["contract", "account"]) -> list[str]:
        return [item.id for item in getattr(self, kind)]

    @property
    def web_listens(self) -> bool:
        """Whether the web side is on: an address was set, or somebody may ask it something."""
        wanted = bool(self.token) or "listen" in self.web.model_fields_set
        return wanted and self.web.listen != ""

    def trunk_of(self, host: str) -> str | None:
        """Return the id of the trunk an address belongs to, or None."""
        return next((trunk.id for trunk in self.trunk if trunk.holds(host)), None)

    def conference_config(self) -> ConferenceConfig:
        """Return what the conference core is told."""
        return ConferenceConfig(
            waiting_timeout_ms=seconds_to_ms(self.waiting_room.timeout_s),
            waiting_warning_ms=seconds_to_ms(self.waiting_room.warning_s),
            waiting_keys_count=self.waiting_room.keys_count,
            code_tries=self.conference.tries,
            code_timeout_ns=seconds_to_ns(self.conference.code_timeout_s),
            key_timeout_ns=seconds_to_ns(self.conference.key_timeout_s),
            empty_close_ms=seconds_to_ms(self.conference.empty_close_s),
            organizer_gone_ms=seconds_to_ms(self.conference.continue_s),
            organizer_gone_warning_ms=seconds_to_ms(self.conference.continue_warning_s),
            participants_max=self.conference.participants_max,
            entry=Entry(self.conference.entry),
            name_ns=seconds_to_ns(self.conference.name_s),
            entry_count=self.conference.entry_count,
            keys=self.keys.model_dump(),
            language=self.prompts.language,
            recording=bool(self.recording.directory),
            recording_on=self.recording.on_start,
            call_me_countries=self.call_me.allowed,
            call_me_ring_ms=seconds_to_ms(self.call_me.ring_s),
            call_me_accept_ms=seconds_to_ms(self.call_me.accept_s),
            call_me_retries=self.call_me.retries,
            call_me_retry_after_ms=seconds_to_ms(self.call_me.retry_after_s),
            guard_delay_ns=seconds_to_ns(self.guard.delay_s),
            guard_delay_max_ns=seconds_to_ns(self.guard.delay_max_s),
            guard_source_tries=self.guard.source_tries,
            guard_session_tries=self.guard.session_tries,
            guard_lockout_ns=seconds_to_ns(self.guard.lockout_s),
            guard_forget_ns=seconds_to_ns(self.guard.forget_s),
        )

    def worker_settings(self, worker: int = 0, link_dir: str = "") -> WorkerSettings:
        """Return what a media worker is told."""
        first, last = self.rtp.ports_of(worker)
        return WorkerSettings(
            host=self.rtp.address,
            port_first=first,
            port_last=last,
            silence_ns=seconds_to_ns(self.rtp.timeout_s),
            hear_keys=self.conference.dtmf == "pass",
            index=worker,
            link_dir=link_dir if self.rtp.workers_count > 1 else "",
            automatic_gain=self.rtp.automatic_gain,
            noise_gate=self.rtp.noise_gate,
        )


def _dated(item: ContractConfig | AccountConfig) -> str:
    """Contracts and accounts may change at a date: then the date tells them apart."""
    return f"{item.id} from {item.valid_from}" if item.valid_from else item.id


def _twice(table: str, key: str, values: list[str]) -> Iterator[str]:
    """Yield one fault for each value that stands twice; codes and ids are told apart by it."""
    for index, value in enumerate(values):
        if value in values[:index]:
            first = f"{table}[{values.index(value)}]"
            yield f"{table}[{index}].{key}: {value!r}: expected a value that {first} has not"


def _unknown(table: str, key: str, values: list[str], known: list[str]) -> Iterator[str]:
    for index, value in enumerate(values):
        if value not in known:
            yield (
                f"{table}[{index}].{key}: {value!r}: expected the id of one of the [[{key}]]"
                f" tables{_suggestion(value, known)}"
            )


def _suggestion(value: str, known: list[str]) -> str:
    near = difflib.get_close_matches(value, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


class SettingsError(InputError):
    """A configuration file or environment variable is wrong; one line for each fault."""

    code = "bad_settings"

    def __init__(self, lines: list[str]) -> None:
        Exception.__init__(self, "\n".join(lines))
        self.lines = lines


def load_settings(
    path: Path | None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read a TOML file, then the environment, then `overrides` ({"rtp.timeout_s": 1}).

    Raises:
        SettingsError: with one line for each fault, naming file, key, value and what was expected.
    """
    place = str(path) if path else "settings"
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as fault:
            raise SettingsError([f"{place}: expected a readable UTF-8 file: {fault}"]) from None
        except tomllib.TOMLDecodeError as fault:
            raise SettingsError([f"{place}: expected TOML: {fault}"]) from None
    _apply_environment(data, os.environ if environment is None else environment)
    for dotted, value in (overrides or {}).items():
        _put(data, dotted.split("."), value, f"override {dotted}")
    return parse_settings(data, place)


def parse_settings(data: Mapping[str, Any], place: str = "settings") -> Settings:
    """Check settings that are in memory already. Raises `SettingsError` as `load_settings`."""
    try:
        return Settings.model_validate(data)
    except ValidationError as fault:
        seen: dict[str, list[str]] = {}
        for error in fault.errors():  # one member of a union is enough to say what was expected
            seen.setdefault(_where(error), list(_explain(error, place)))
        raise SettingsError([line for lines in seen.values() for line in lines]) from None


def _apply_environment(data: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Put TOLLBRIDGE_SECTION_KEY values into `data`; a name that fits no key is refused."""
    keys = {
        f"{ENVIRONMENT_PREFIX}{section}_{key}".upper(): (section, key)
        for section, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
    }
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name.startswith(CLIENT_PREFIX):
            continue
        if name in SWITCHES:
            continue
        if name not in keys:
            near = _suggestion(name, list(keys))
            raise SettingsError([f"environment: {name}: {text!r}: expected a setting's name{near}"])
        _put(data, list(keys[name]), _toml_value(text), f"environment: {name}")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(data: dict[str, Any], path: list[str], value: Any, place: str) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
        if not isinstance(data, dict):
            raise SettingsError([f"{place}: expected the name of a setting"])
    data[path[-1]] = value


def _where(error: ErrorDetails) -> str:
    """Return the key of a fault as people write it; the names of a union's members left out."""
    parts = [part for part in error["loc"] if not re.match(r"function-|RateConfig$", str(part))]
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).lstrip(".")


def _explain(error: ErrorDetails, place: str) -> Iterator[str]:
    """Turn one pydantic error into lines of `file: key: value: expected ...`."""
    where = _where(error)
    if not where:  # a fault between tables: its text names the keys already
        text = str(error.get("ctx", {}).get("error", error["msg"]))
        yield from (f"{place}: {line}" for line in text.splitlines())
        return
    secret = re.match(r"token\[|user\[|smtp\.password", where)
    value = "(not shown)" if secret else error["input"]
    if error["type"] == "extra_forbidden":
        known = _names_at(error["loc"][:-1])
        near = _suggestion(str(error["loc"][-1]), known)
        yield f"{place}: {where}: {value!r}: expected one of the keys {', '.join(known)}{near}"
    elif error["type"] == "missing":
        yield f"{place}: {where}: missing: expected a value for this key"
    elif error["type"] == "value_error":
        expected = str(error["ctx"]["error"]).rpartition("expected ")[2]
        yield f"{place}: {where}: {_short(value)}: expected {expected}"
    else:
        expected = _description(error["loc"]) or error["msg"].removeprefix("Input should be ")
        yield f"{place}: {where}: {_short(value)}: expected {expected}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _model_at(loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    model: type[BaseModel] = Settings
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        if field is None:
            return None
        inner = get_args(field.annotation)
        kind = inner[0] if inner else field.annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return None
        model = kind
    return model


def _names_at(loc: tuple[int | str, ...]) -> list[str]:
    model = _model_at(loc)
    return sorted(model.model_fields) if model else []


def _description(loc: tuple[int | str, ...]) -> str | None:
    name = next((part for part in reversed(loc) if isinstance(part, str)), "")
    model = _model_at(loc[: loc.index(name)]) if name else None
    field = model.model_fields.get(name) if model else None
    return field.description if field else None
