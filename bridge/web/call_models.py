"""The API's bodies of calls, their quality, and recordings, as OpenAPI shows them."""

from typing import Literal

from pydantic import BaseModel

RecordingFormat = Literal["wav", "flac", "opus"]
CallState = Literal[
    "", "dialling", "ringing", "busy", "no_answer", "declined", "failed", "answered", "joined"
]


class QualityOut(BaseModel):
    """How a leg's packets come, by the last report of five seconds (RFC 3550).

    `loss` and `remote_loss` are shares in [0, 1]: of what it sent, and of what it was sent.
    """

    lost: int
    loss: float
    jitter_ms: float
    round_trip_ms: float | None
    remote_loss: float


class CallOut(BaseModel):
    """One call of Call Me (R14): what became of it, at the last, and why."""

    leg: str
    number: str
    name: str
    state: CallState
    attempt: int
    again: bool
    reason: str
    at: str


class CallsOut(BaseModel):
    """The calls of a session since the bridge started, the newest first."""

    session: str
    items: list[CallOut]


class RecordingOut(BaseModel):
    """One file of a recording. `leg` names the one it is of, null for the mix of all."""

    name: str
    occurrence: str
    part: int
    leg: str | None
    format: RecordingFormat
    bytes: int
    seconds: float | None
    recording: bool
    written_at: str
    kept_until: str


class RecordingsOut(BaseModel):
    """The files of a session's recordings, by occurrence, part and leg."""

    session: str
    keep_days: int
    items: list[RecordingOut]
