"""Routes of what is happening now: rosters and the event stream."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse

from bridge.units import SAMPLE_RATE_HZ
from bridge.web.auth import Organizer, Principal, Viewer
from bridge.web.context import Context, context_of, utc_text
from bridge.web.feed import Event
from bridge.web.models import NowOut, RosterOut
from bridge.web.problems import ApiProblem

HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 1_000
LEVELS_S: Final = 0.25
BYTES_PER_S: Final = 2 * SAMPLE_RATE_HZ
ENDLESS_WAV: Final = (
    struct.pack("<4sI8sIHHIIHH", b"RIFF", 0xFFFFFFFF, b"WAVEfmt ", 16, 1, 1,
                SAMPLE_RATE_HZ, BYTES_PER_S, 2, 16)
    + struct.pack("<4sI", b"data", 0xFFFFFFFF)
)  # fmt: skip
"""The header of a WAV file whose length nobody knows."""

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/api/v1")
Ctx = Annotated[Context, Depends(context_of)]


# --- rosters ------------------------------------------------------------------------------


@router.get("/now", tags=["now"])
async def get_now(context: Ctx, principal: Viewer) -> NowOut:
    """Return the open occurrences and every leg that is not over, in the order they came."""
    return NowOut(
        now=utc_text(context.bridge.now_conf()),
        occurrences=context.occurrences(principal),
        legs=[context.show_leg(view) for view in context.legs(principal)],
    )


@router.get("/sessions/{session}/roster", tags=["now"])
async def get_roster(session: str, context: Ctx, principal: Viewer) -> RosterOut:
    """Return who is in, waiting and hosting."""
    record = await context.session(principal, session)
    open_ = [one for one in context.occurrences(principal) if one.session == record.spec.id]
    return RosterOut(
        session=record.spec.id,
        now=utc_text(context.bridge.now_conf()),
        occurrence=open_[0] if open_ else None,
        legs=[
            context.show_leg(view)
            for view in context.legs(principal)
            if view.session == record.spec.id
        ],
    )


# --- the live mix -------------------------------------------------------------------------

_WAV: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/sessions/{session}/audio", tags=["now"], responses=_WAV, response_class=StreamingResponse
)
async def get_audio(
    session: str,
    context: Ctx,
    principal: Organizer,
    seconds: Annotated[
        int | None, Query(ge=1, le=86_400, description="End the stream after so long.")
    ] = None,
) -> StreamingResponse:
    """Stream what everybody in the conference hears, as WAV without end: mono, 16 bits, 8 kHz."""
    record = await context.session(principal, session)
    for view in context.bridge.occurrences():
        if view.session == record.spec.id:
            log.info("audio.listened", session=view.session, by=principal.by)
            return StreamingResponse(
                _audio(context.bridge.listen(view.occurrence), seconds),
                media_type="audio/wav",
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            )
    raise ApiProblem(409, "not_open", "nobody is in this session: there is nothing to hear")


async def _audio(mix: AsyncIterator[bytes], seconds: int | None) -> AsyncIterator[bytes]:
    yield ENDLESS_WAV
    left = None if seconds is None else seconds * BYTES_PER_S
    async with aclosing(mix):  # type: ignore[type-var]  # it is a generator
        async for data in mix:
            yield data if left is None else data[:left]
            if left is not None:
                left -= len(data)
                if left <= 0:
                    return


# --- events -------------------------------------------------------------------------------

_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


@router.get("/events", tags=["events"], responses=_STREAM, response_class=StreamingResponse)
async def get_events(
    context: Ctx,
    principal: Viewer,
    last_event_id: Annotated[
        str, Header(alias="Last-Event-ID", pattern=r"^[A-Za-z0-9_./-]{0,200}$")
    ] = "",
    limit: Annotated[
        int | None, Query(ge=0, le=10_000, description="End the stream after so many events.")
    ] = None,
    levels: Annotated[
        bool, Query(description="Send who talks how loud too, 4 times a second; without an id.")
    ] = False,
) -> StreamingResponse:
    """Stream facts and notices as server-sent events, from behind `Last-Event-ID` when given."""
    stream = _stream(context, principal, last_event_id, limit)
    return StreamingResponse(
        _with_levels(context, principal, stream) if levels else stream,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(
    context: Context, principal: Principal, after: str, limit: int | None
) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    left = limit
    events = context.feed.follow(principal.account, after)
    waiting: asyncio.Task[Event] | None = None
    try:
        while left is None or left > 0:
            waiting = waiting or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({waiting}, timeout=HEARTBEAT_S)
            if not done:
                yield ": still here\n\n"
                continue
            event = waiting.result()
            waiting = None
            yield _frame(event)
            left = None if left is None else left - 1
    except StopAsyncIteration:
        return
    finally:
        if waiting is not None:
            waiting.cancel()


async def _with_levels(
    context: Context, principal: Principal, stream: AsyncIterator[str]
) -> AsyncIterator[str]:
    """Put levels between the frames of a stream, whenever they have changed."""
    shown: dict[str, int] = {}
    coming: asyncio.Future[str] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(stream))
            done, _ = await asyncio.wait({coming}, timeout=LEVELS_S)
            if done:
                frame, coming = coming.result(), None
                yield frame
            levels = context.levels(principal)
            if levels != shown:
                shown = levels
                yield f"event: levels\ndata: {json.dumps({'type': 'levels', 'dbfs': shown})}\n\n"
    except StopAsyncIteration:
        return
    finally:
        if coming is not None:
            coming.cancel()


def _frame(event: Event) -> str:
    """Write one event; what has no id does not move the place to resume from."""
    id_line = f"id: {event.id}\n" if event.id else ""
    return f"{id_line}event: {event.type}\ndata: {json.dumps(event.to_dict())}\n\n"
