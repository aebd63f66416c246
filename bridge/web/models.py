"""The API's bodies, in and out, as OpenAPI shows them. Strict: an unknown key is refused."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from bridge.conference.numberplan import NumberPlan
from bridge.web.call_models import CallState, QualityOut

LANGUAGES: Final = ("en", "fr", "it", "de", "es", "pt", "nl")
"""R19."""

TOLL_FREE_COUNTRIES: Final = NumberPlan.build().toll_free_countries
COUNTRIES_MAX: Final = 300
RECIPIENTS_MAX: Final = 100
SEATS_MAX: Final = 5_000
GAIN_DB_MIN: Final = -40
GAIN_DB_MAX: Final = 20

Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Language = Literal["en", "fr", "it", "de", "es", "pt", "nl"]
Title = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Code = Annotated[str, Field(pattern=r"^[0-9]{3,20}$")]
Pin = Annotated[str, Field(pattern=r"^[0-9]{4,20}$")]
Start = Literal["on_join", "on_command"]
EntrySound = Literal["tone", "name", "nothing"]
SessionState = Literal["scheduled", "open", "started", "cancelled"]
NumberKind = Literal["toll_free", "toll"]
Email = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){0,5}$")
]


def _whole(value: object) -> object:
    """Take 6.0 for 6: JSON has one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _country(value: str) -> str:
    if value not in TOLL_FREE_COUNTRIES:
        raise ValueError("expected a country with a toll-free number, such as US")
    return value


def _instant(value: str) -> str:
    try:
        at = datetime.fromisoformat(value.upper())
        if at.tzinfo is None or "T" not in value.upper():
            raise ValueError
        at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("expected a time with offset, such as 2026-02-10T09:00:00Z") from None
    return value


Country = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema({"type": "string", "enum": list(TOLL_FREE_COUNTRIES)}),
]
When = Annotated[
    str, AfterValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Seats = Annotated[int, Field(ge=1, le=SEATS_MAX), BeforeValidator(_whole)]
Minutes = Annotated[int, Field(ge=0, le=60), BeforeValidator(_whole)]
Countries = Annotated[list[Country], Field(max_length=COUNTRIES_MAX)]


_OURS: Final = "Without it the bridge's own setting holds."


class _In(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SessionNew(_In):
    """A session to create. Code and PIN are random unless given; they never change (R10)."""

    account: Identity | None = Field(None, description="Needed with an operator's token only.")
    id: Identity | None = None
    title: Title = ""
    language: Language = "en"
    access_code: Code | None = None
    organizer_pin: Pin | None = None
    start: Start = "on_join"
    toll_free: Countries = []
    opens: When | None = Field(None, description="With `closes`: a one-off session.")
    closes: When | None = None
    security_code: Code | None = Field(None, description="Asked for after the access code.")
    entry: EntrySound | None = Field(None, description=_OURS)
    participants_max: Seats | None = Field(None, description=_OURS)
    continue_minutes: Minutes | None = Field(
        None, description=f"After the last organizer left (D17). {_OURS}"
    )


class SessionChange(_In):
    """What may change of a session; what is left out stays. `null` takes a value away."""

    title: Title = ""
    language: Language = "en"
    start: Start = "on_join"
    toll_free: Countries = []
    opens: When | None = None
    closes: When | None = None
    security_code: Code | None = None
    entry: EntrySound | None = None
    participants_max: Seats | None = None
    continue_minutes: Minutes | None = None


class SessionOut(BaseModel):
    """A session.

    `organizer_pin` and `security_code` are null for viewers; `secured` says that the second is
    asked for. `entry`, `participants_max` and `continue_minutes` are null where the bridge's own
    settings hold. `state`: `started` once the organizer is there (D2),
    `open` while somebody waits.
    """

    id: str
    account: str
    title: str
    language: str
    state: SessionState
    start: Start
    access_code: str
    organizer_pin: str | None
    toll_free: list[str]
    opens: str | None
    closes: str | None
    security_code: str | None
    secured: bool
    entry: EntrySound | None
    participants_max: int | None
    continue_minutes: int | None
    join_url: str
    sip_uri: str
    sequence: int
    created_at: str
    changed_at: str


class SessionPage(BaseModel):
    """Sessions in the order of their ids; `next_cursor` is null on the last page."""

    items: list[SessionOut]
    next_cursor: str | None


class NumberOut(BaseModel):
    """One number to dial, as it is written in its country and abroad."""

    country: str
    country_name: str
    kind: NumberKind
    e164: str
    national: str
    international: str


class NumbersOut(BaseModel):
    """What a session offers now."""

    session: str
    toll_free_enabled: bool
    items: list[NumberOut]


class LegOut(BaseModel):
    """One leg that is not over. Times are conference time; `via` is how it joined.

    `talking` and `level_db` (against full scale, null while it says nothing) are of this moment.
    `call` is what Call Me has come to, `attempt` how often it dialled.
    """

    leg: str
    session: str | None
    occurrence: str | None
    via: Literal["toll_free", "toll", "voip", "call_me"]
    country: str
    number: str
    name: str
    state: str
    role: str
    hosting: bool
    muted: bool
    hand_raised: bool
    has_floor: bool
    gain_db: int
    held: bool
    talking: bool
    level_db: int | None
    quality: QualityOut | None
    name_recorded: bool
    call: CallState
    attempt: int
    answered_at: str | None
    waiting_since: str | None
    joined_at: str | None
    talk_ms: int


class OccurrenceOut(BaseModel):
    """An open occurrence of a session; `started_at` is null while it waits for the start."""

    session: str
    occurrence: str
    account: str
    opened_at: str | None
    started_at: str | None
    locked: bool
    lecture: bool
    mute_all: bool
    recording: bool


class RosterOut(BaseModel):
    """Who is there, and whether the session is started."""

    session: str
    now: str
    occurrence: OccurrenceOut | None
    legs: list[LegOut]


class NowOut(BaseModel):
    """What is happening now: open occurrences, and every leg that is not over."""

    now: str
    occurrences: list[OccurrenceOut]
    legs: list[LegOut]


class Done(BaseModel):
    """An order was carried out and its facts are committed."""

    done: Literal[True] = True


class MuteIn(_In):
    """Whether the leg is muted from now on."""

    muted: bool


class LockIn(_In):
    """Whether nobody else is let in."""

    locked: bool


class OnIn(_In):
    """Whether it is on from now on."""

    on: bool


class HandIn(_In):
    """Whether the participant asks for the floor."""

    raised: bool


class VolumeIn(_In):
    """How loud the leg is in the mix; 0 is as it came."""

    gain_db: Annotated[int, Field(ge=GAIN_DB_MIN, le=GAIN_DB_MAX), BeforeValidator(_whole)]


class MoveIn(_In):
    """The session to take the leg to; it must be the same account's."""

    session: Identity


class AnnounceIn(_In):
    """What to play, a prompt by its name or a text; to one leg when named, else to everybody."""

    prompt: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] | None = None
    text: Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    language: Language | None = Field(None, description="Of the text; else the session's.")
    leg: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None


class CallMeIn(_In):
    """Whom to call (R14); he must press 1 to be let in (D11)."""

    number: Annotated[str, Field(pattern=r"^\+[1-9][0-9]{4,14}$", description="E.164")]
    name: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class CalledOut(BaseModel):
    """The leg that is being called; events and the roster tell what becomes of it."""

    leg: str


class EstimateOut(BaseModel):
    """One leg that is not settled: what it would come to if it ended, or ended, now."""

    leg: str
    session: str
    kind: str
    country: str
    running: bool
    billed_seconds: int
    rate: str | None
    amount: str
    reason: str


class ChargesOut(BaseModel):
    """What is settled for this month, and an estimate of what is not.

    The estimate leaves out included minutes, tiers, minimum and tax; only settlement decides.
    """

    account: str
    session: str | None
    month: str
    currency: str
    settled: str
    settled_legs: int
    estimate: str
    estimate_is_final: Literal[False] = False
    running_legs: int
    legs: list[EstimateOut]


class SwitchIn(_In):
    """Whether the account's toll-free numbers are offered (R13)."""

    enabled: bool


class SwitchOut(BaseModel):
    """One switching, on record."""

    enabled: bool
    at: str
    by: str


class TollFreeOut(BaseModel):
    """Whether an account's toll-free numbers are on, and every switching of them."""

    account: str
    enabled: bool
    record: list[SwitchOut]


class MigrationIn(_In):
    """Another product or contract for an account, from an instant on (R17, D8)."""

    at: When
    product: Literal["integrated", "ovi", "openvoice"] | None = None
    contract: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class HistoryOut(BaseModel):
    """Every version of an account on record, by the instant it holds from."""

    account: str
    items: list[dict[str, Any]]


class AccountsOut(BaseModel):
    """The accounts that this token sees."""

    items: list[str]
    role: str
    operator: bool


class InvitationSend(_In):
    """Whom to send the invitation to."""

    to: Annotated[list[Email], Field(min_length=1, max_length=RECIPIENTS_MAX)]
    language: Language | None = None


class InvitationOut(BaseModel):
    """An invitation in every form it is sent in."""

    subject: str
    language: str
    text: str
    html: str
    ics: str


class SentOut(BaseModel):
    """Who was sent the invitation, and who was refused by the mail server."""

    sent: list[str]
    refused: dict[str, str]


_HOST: Final = r"[A-Za-z0-9.-]{1,253}|\[::1\]|\[[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}\]"


class WebhookNew(_In):
    """Where to send events. Each request is signed; see docs/api.md."""

    url: Annotated[
        str, Field(max_length=2_000, pattern=rf"^https?://({_HOST})(:[0-9]{{1,5}})?(/[!-~]*)?$")
    ]
    types: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z_.]{1,64}$")]], Field(max_length=50)
    ] = []
    account: Identity | None = Field(None, description="Needed with an operator's token only.")


class WebhookOut(BaseModel):
    """A webhook; `secret` is shown once, when it is made."""

    id: str
    account: str
    url: str
    types: list[str]
    created_at: str
    secret: str | None = None
    state: Literal["fine", "retrying"] = "fine"
    failures: int = 0
    last_error: str = ""


class WebhooksOut(BaseModel):
    """The webhooks of the account."""

    items: list[WebhookOut]


class JoinOut(BaseModel):
    """What a participant's page shows: no PIN, no token needed, only the join URL."""

    title: str
    language: str
    state: str
    access_code: str
    secured: bool
    sip_uri: str
    opens: str | None
    closes: str | None
    numbers: list[NumberOut]
