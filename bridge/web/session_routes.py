"""Routes of sessions: schedule, numbers, invitations, and what a participant's page asks."""

import asyncio
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Query, Response

from bridge.session_store import SessionRecord
from bridge.web.auth import Organizer, Viewer
from bridge.web.context import Context, context_of, iso, show_number
from bridge.web.invitations import Invitation, invite
from bridge.web.mail import send
from bridge.web.models import (
    Identity,
    InvitationOut,
    InvitationSend,
    JoinOut,
    Language,
    NumbersOut,
    SentOut,
    SessionChange,
    SessionNew,
    SessionOut,
    SessionPage,
)
from bridge.web.problems import ApiProblem, unknown

PAGE_MAX: Final = 200

router = APIRouter(prefix="/api/v1", tags=["sessions"])
Ctx = Annotated[Context, Depends(context_of)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9_-]{1,200}$",
        description="The same key and body again return the session that they made.",
    ),
]


@router.post("/sessions", status_code=201)
async def create_session(
    body: SessionNew, context: Ctx, principal: Organizer, response: Response, key: Key = None
) -> SessionOut:
    """Create a session; its code and PIN are random unless given."""
    account = context.account(principal, body.account)
    record = await context.scheduler.create(account, body, key)
    response.headers["Location"] = f"/api/v1/sessions/{record.spec.id}"
    return context.show_session(record, principal)


@router.get("/sessions")
async def list_sessions(
    context: Ctx,
    principal: Viewer,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = "",
    cancelled: bool | None = None,
) -> SessionPage:
    """List sessions in the order of their ids; go on with `next_cursor`."""
    records = await asyncio.to_thread(
        lambda: context.store.page(
            account=principal.account, after=cursor, limit=limit + 1, cancelled=cancelled
        )
    )
    shown = [context.show_session(record, principal) for record in records[:limit]]
    more = len(records) > limit
    return SessionPage(items=shown, next_cursor=shown[-1].id if more else None)


@router.get("/sessions/{session}")
async def get_session(session: str, context: Ctx, principal: Viewer) -> SessionOut:
    """Return one session, cancelled ones included."""
    return context.show_session(await context.session(principal, session), principal)


@router.patch("/sessions/{session}")
async def change_session(
    session: str, body: SessionChange, context: Ctx, principal: Organizer
) -> SessionOut:
    """Change what is named; id, access code and join URL never change (R10)."""
    await context.session(principal, session)
    record = await context.scheduler.change(session, body, principal.by)
    return context.show_session(record, principal)


@router.post("/sessions/{session}/cancel")
async def cancel_session(session: str, context: Ctx, principal: Organizer) -> SessionOut:
    """Cancel: who waits is sent away, the code is not accepted any more (R6)."""
    await context.session(principal, session)
    record = await context.scheduler.cancel(session, principal.by)
    return context.show_session(record, principal)


@router.get("/sessions/{session}/numbers")
async def get_numbers(
    session: str, context: Ctx, principal: Viewer, language: Language | None = None
) -> NumbersOut:
    """Return the numbers to dial now: toll-free as picked, then toll (R1, R2, R11)."""
    record = await context.session(principal, session)
    return NumbersOut(
        session=record.spec.id,
        toll_free_enabled=context.scheduler.toll_free_enabled(record.spec.account),
        items=[
            show_number(number, language or record.language) for number in context.numbers(record)
        ],
    )


def _invitation(context: Context, record: SessionRecord, language: str | None) -> Invitation:
    return invite(
        record,
        context.numbers(record),
        language=language or record.language,
        join_url=context.join_url(record),
        sip_uri=context.sip_uri(record),
        organizer=context.bridge.settings.smtp.sender,
    )


_FORMS: Final = {
    "text": ("text", "text/plain"),
    "html": ("html", "text/html"),
    "ics": ("ics", "text/calendar"),
}
_CONTENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {kind: {"schema": {"type": "string"}} for _, kind in _FORMS.values()}}
}


@router.get("/sessions/{session}/invitation", response_model=InvitationOut, responses=_CONTENT)
async def get_invitation(
    session: str,
    context: Ctx,
    principal: Viewer,
    language: Language | None = None,
    form: Annotated[Literal["json", "text", "html", "ics"], Query(alias="format")] = "json",
) -> Response | InvitationOut:
    """Return the invitation, in the session's language unless another one is asked for."""
    record = await context.session(principal, session)
    made = _invitation(context, record, language)
    if form == "json":
        return InvitationOut(
            subject=made.subject,
            language=made.language,
            text=made.text,
            html=made.html,
            ics=made.ics,
        )
    name, media_type = _FORMS[form]
    return Response(getattr(made, name), media_type=f"{media_type}; charset=utf-8")


@router.post("/sessions/{session}/invitation")
async def send_invitation(
    session: str, body: InvitationSend, context: Ctx, principal: Organizer
) -> SentOut:
    """Send the invitation by mail, when [smtp] is configured."""
    record = await context.session(principal, session)
    settings = context.bridge.settings.smtp
    if not settings.host:
        raise ApiProblem(409, "no_mail_server", "[smtp] host is not configured")
    invitation = _invitation(context, record, body.language)
    refused = await send(settings, invitation, body.to)
    return SentOut(sent=[to for to in body.to if to not in refused], refused=refused)


@router.get("/join/{join_key}", tags=["join"])
async def get_join(join_key: Identity, context: Ctx, language: Language | None = None) -> JoinOut:
    """Return what a participant needs; the join URL itself is what lets one ask."""
    record = await asyncio.to_thread(context.store.by_join_key, join_key)
    if record is None:
        raise unknown("join_url", "of this key")
    spoken = language or record.language
    return JoinOut(
        title=record.title,
        language=spoken,
        state=context.state_of(record),
        access_code=record.spec.access_code,
        secured=record.spec.security_code != "",
        sip_uri=context.sip_uri(record),
        opens=iso(record.spec.opens),
        closes=iso(record.spec.closes),
        numbers=[show_number(number, spoken) for number in context.numbers(record)],
    )
