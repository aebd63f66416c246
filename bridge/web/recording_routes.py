"""Routes of recordings: list, download, delete (R12).

Knows files by name and who may have them; when and how they are made is none of its business.
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Final, cast

import structlog
from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import FileResponse

from bridge import recording_files
from bridge.conference.api import Notice
from bridge.recording_files import DAY_S, RecordingFile
from bridge.session_store import SessionRecord
from bridge.web.auth import Admin, Organizer, Principal
from bridge.web.call_models import RecordingFormat, RecordingOut, RecordingsOut
from bridge.web.context import Context, context_of
from bridge.web.problems import ApiProblem, unknown

MEDIA_TYPES: Final = {"wav": "audio/wav", "flac": "audio/flac", "opus": "audio/ogg"}

router = APIRouter(prefix="/api/v1", tags=["recordings"])
log = structlog.get_logger(__name__)
Ctx = Annotated[Context, Depends(context_of)]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.+-]{1,300}$", description="As listed.")]

_AUDIO: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file; 206 and a part of it where Range asks for one.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in MEDIA_TYPES.values()
        },
    }
}


@router.get("/sessions/{session}/recordings")
async def list_recordings(session: str, context: Ctx, principal: Organizer) -> RecordingsOut:
    """List the files of a session's recordings: mixes, and tracks of single legs."""
    record = await context.session(principal, session)
    settings = context.bridge.settings.recording
    files = await asyncio.to_thread(recording_files.listed, settings, str(record.spec.id))
    return RecordingsOut(
        session=record.spec.id,
        keep_days=settings.keep_days,
        items=[_shown(context, file) for file in files],
    )


@router.get("/sessions/{session}/recordings/{name}", responses=_AUDIO, response_class=FileResponse)
async def get_recording(
    session: str, name: Name, context: Ctx, principal: Organizer
) -> FileResponse:
    """Return a file, or the part of it that a Range header asks for."""
    file = await _file(context, await context.session(principal, session), name)
    log.info("recording.sent", path=str(file.path), by=principal.by)
    return FileResponse(file.path, media_type=MEDIA_TYPES[file.kind], filename=file.path.name)


@router.delete("/sessions/{session}/recordings/{name}", status_code=204)
async def delete_recording(session: str, name: Name, context: Ctx, principal: Admin) -> Response:
    """Delete a file before its days of retention are over; that is told as an event."""
    record = await context.session(principal, session)
    file = await _file(context, record, name)
    if _is_open(context, file):
        raise ApiProblem(409, "recording_runs", f"{name} is being recorded")
    await asyncio.to_thread(file.path.unlink, missing_ok=True)
    _tell(context, record, principal, name)
    return Response(status_code=204)


async def _file(context: Context, record: SessionRecord, name: str) -> RecordingFile:
    """Return a file of this session by its name, or raise 404: no name leads anywhere else."""
    settings = context.bridge.settings.recording
    files = await asyncio.to_thread(recording_files.listed, settings, str(record.spec.id))
    for file in files:
        if file.path.name == name:
            return file
    raise unknown("recording", name)


def _is_open(context: Context, file: RecordingFile) -> bool:
    return any(
        view.recording and (view.occurrence, view.part) == (file.occurrence, file.part)
        for view in context.bridge.occurrences()
    )


def _shown(context: Context, file: RecordingFile) -> RecordingOut:
    keep_days = context.bridge.settings.recording.keep_days
    return RecordingOut(
        name=file.path.name,
        occurrence=file.occurrence,
        part=file.part,
        leg=file.track or None,
        format=cast(RecordingFormat, file.kind),
        bytes=file.size,
        seconds=None if file.seconds is None else round(file.seconds, 3),
        recording=_is_open(context, file),
        written_at=_utc(file.closed_s),
        kept_until=_utc(file.closed_s + keep_days * DAY_S),
    )


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _tell(context: Context, record: SessionRecord, principal: Principal, name: str) -> None:
    spec, at = record.spec, context.bridge.now_conf()
    data = {"by": principal.by, "reason": "order", "name": name}
    context.feed.take(Notice("recording.deleted", at, spec.id, spec.account, data=data))
