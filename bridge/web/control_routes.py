"""Routes of orders: to sessions that are under way, and to legs.

Each is one order to the conference core; what it refuses is 404 or 409 with its code.
"""

from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Query, Request

from bridge.conference.api import (
    Announce,
    CallMe,
    ConferenceEvent,
    EndSession,
    KickLeg,
    LockSession,
    MoveLeg,
    MuteAll,
    MuteLeg,
    RaiseHand,
    RecordSession,
    SetLecture,
    SetVolume,
    StartSession,
)
from bridge.conference.prompts import CLIP
from bridge.ids import new_id
from bridge.units import LegId
from bridge.web.auth import Organizer, Viewer
from bridge.web.call_models import CallOut, CallsOut, CallState
from bridge.web.context import Context, context_of, utc_text
from bridge.web.models import (
    AnnounceIn,
    CalledOut,
    CallMeIn,
    Done,
    HandIn,
    LockIn,
    MoveIn,
    MuteIn,
    OnIn,
    VolumeIn,
)
from bridge.web.problems import ApiProblem, raise_refused

CALLS_SHOWN_MAX: Final = 200

_WAV_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix="/api/v1")
Ctx = Annotated[Context, Depends(context_of)]


async def _order(context: Context, order: ConferenceEvent) -> Done:
    raise_refused(await context.bridge.order(order))
    return Done()


# --- sessions -----------------------------------------------------------------------------


@router.post("/sessions/{session}/start", tags=["control"])
async def start_session(session: str, context: Ctx, principal: Organizer) -> Done:
    """Start by command (D2); an organizer's leg must be there."""
    record = await context.session(principal, session)
    return await _order(context, StartSession(record.spec.id, by=principal.by))


@router.post("/sessions/{session}/end", tags=["control"])
async def end_session(session: str, context: Ctx, principal: Organizer) -> Done:
    """End the open occurrence: every leg leaves."""
    record = await context.session(principal, session)
    return await _order(context, EndSession(record.spec.id, by=principal.by))


@router.post("/sessions/{session}/lock", tags=["control"])
async def lock_session(session: str, body: LockIn, context: Ctx, principal: Organizer) -> Done:
    """Let nobody else in, or let people in again (R18)."""
    record = await context.session(principal, session)
    return await _order(context, LockSession(record.spec.id, body.locked, by=principal.by))


@router.post("/sessions/{session}/lecture", tags=["control"])
async def set_lecture(session: str, body: OnIn, context: Ctx, principal: Organizer) -> Done:
    """Switch lecture mode: participants are heard only when unmuted one by one (R18)."""
    record = await context.session(principal, session)
    return await _order(context, SetLecture(record.spec.id, body.on, by=principal.by))


@router.post("/sessions/{session}/mute-all", tags=["control"])
async def mute_all(session: str, body: MuteIn, context: Ctx, principal: Organizer) -> Done:
    """Mute every participant who is no organizer, or unmute all of them."""
    record = await context.session(principal, session)
    return await _order(context, MuteAll(record.spec.id, body.muted, by=principal.by))


@router.post("/sessions/{session}/announce", tags=["control"])
async def announce(session: str, body: AnnounceIn, context: Ctx, principal: Organizer) -> Done:
    """Play a prompt or a text to everybody in the conference, or to one leg."""
    record = await context.session(principal, session)
    if (body.prompt is None) == (body.text is None):
        raise ApiProblem(409, "prompt_or_text", "expected either a prompt or a text")
    prompt = body.prompt or CLIP
    is_open = any(view.session == record.spec.id for view in context.bridge.occurrences())
    if body.text is not None and is_open:  # else the core refuses, and nothing need be spoken
        prompt = await context.speech.clip(body.text, body.language or record.language)
    leg = None if body.leg is None else LegId(body.leg)
    return await _order(context, Announce(record.spec.id, prompt, principal.by, leg))


@router.post("/sessions/{session}/announce-file", tags=["control"], openapi_extra=_WAV_BODY)
async def announce_file(
    session: str,
    request: Request,
    context: Ctx,
    principal: Organizer,
    leg: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None,
) -> Done:
    """Play a WAV file, two minutes at most, to everybody in the conference, or to one leg."""
    record = await context.session(principal, session)
    prompt = CLIP
    if any(view.session == record.spec.id for view in context.bridge.occurrences()):
        prompt = await context.speech.file(await request.body())
    to = None if leg is None else LegId(leg)
    return await _order(context, Announce(record.spec.id, prompt, principal.by, to))


@router.post("/sessions/{session}/recording", tags=["control"])
async def record_session(session: str, body: OnIn, context: Ctx, principal: Organizer) -> Done:
    """Switch the recording; it begins with the start at the earliest (R12)."""
    record = await context.session(principal, session)
    return await _order(context, RecordSession(record.spec.id, body.on, by=principal.by))


@router.post("/sessions/{session}/call-me", tags=["control"], status_code=202)
async def call_me(session: str, body: CallMeIn, context: Ctx, principal: Organizer) -> CalledOut:
    """Call somebody into the session (R14); ringing, busy and the rest come as events (D11)."""
    record = await context.session(principal, session)
    leg = LegId(f"leg-{new_id()}")
    order = CallMe(leg, record.spec.id, body.number, body.name, by=principal.by)
    await _order(context, order)
    return CalledOut(leg=leg)


@router.get("/sessions/{session}/call-me", tags=["now"])
async def list_calls(session: str, context: Ctx, principal: Viewer) -> CallsOut:
    """Return what became of the calls of a session: ringing, busy, no answer, declined, joined."""
    record = await context.session(principal, session)
    calls = context.now.calls_of(str(record.spec.id))
    return CallsOut(
        session=record.spec.id,
        items=[
            CallOut(
                leg=call.leg,
                number=call.number,
                name=call.name,
                state=cast(CallState, call.state),
                attempt=call.attempt,
                again=call.again,
                reason=call.reason,
                at=utc_text(call.at),
            )
            for call in calls[:CALLS_SHOWN_MAX]
        ],
    )


# --- legs ---------------------------------------------------------------------------------


@router.post("/legs/{leg}/mute", tags=["control"])
async def mute_leg(leg: str, body: MuteIn, context: Ctx, principal: Organizer) -> Done:
    """Mute or unmute one leg; in lecture mode that takes or gives the floor."""
    view = context.leg(principal, leg)
    return await _order(context, MuteLeg(view.leg, body.muted, by=principal.by))


@router.post("/legs/{leg}/kick", tags=["control"])
async def kick_leg(leg: str, context: Ctx, principal: Organizer) -> Done:
    """End one leg."""
    view = context.leg(principal, leg)
    return await _order(context, KickLeg(view.leg, by=principal.by))


@router.post("/legs/{leg}/hand", tags=["control"])
async def raise_hand(leg: str, body: HandIn, context: Ctx, principal: Organizer) -> Done:
    """Raise or lower a participant's hand."""
    view = context.leg(principal, leg)
    return await _order(context, RaiseHand(view.leg, body.raised, by=principal.by))


@router.post("/legs/{leg}/volume", tags=["control"])
async def set_volume(leg: str, body: VolumeIn, context: Ctx, principal: Organizer) -> Done:
    """Set how loud one leg is in the mix."""
    view = context.leg(principal, leg)
    return await _order(context, SetVolume(view.leg, body.gain_db, by=principal.by))


@router.post("/legs/{leg}/move", tags=["control"])
async def move_leg(leg: str, body: MoveIn, context: Ctx, principal: Organizer) -> Done:
    """Take a leg into another session of the same account."""
    view = context.leg(principal, leg)
    target = await context.session(principal, body.session)
    return await _order(context, MoveLeg(view.leg, target.spec.id, by=principal.by))
