"""Routes of a leg's story: while it lasts and after it, as JSON and as the page shows it."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from bridge.drawing import html
from bridge.legstory.build import Story, leg_story
from bridge.legstory.explain import explanation_of
from bridge.legstory.page import section
from bridge.web.auth import Principal, Viewer
from bridge.web.context import Context, context_of
from bridge.web.problems import unknown

router = APIRouter(prefix="/api/v1")
Ctx = Annotated[Context, Depends(context_of)]


@router.get("/legs/{leg}/story", tags=["now"])
async def get_story(leg: str, context: Ctx, principal: Viewer) -> dict[str, Any]:
    """Return all that is kept of a leg: SIP, where it was, talk, losses, facts, charges."""
    return await _story(context, principal, leg)


@router.get("/legs/{leg}/story.html", tags=["now"], response_class=HTMLResponse)
async def get_story_html(leg: str, context: Ctx, principal: Viewer) -> HTMLResponse:
    """Return the same as a piece of HTML with its drawings."""
    story = await _story(context, principal, leg)
    return HTMLResponse(html.element("section", section(story), class_="card drawing"))


async def _story(context: Context, principal: Principal, leg: str) -> Story:
    """Build a story that the principal may see, or raise 404."""
    bridge = context.bridge
    await bridge.committed()
    record = await bridge.stories.record(leg)
    explanation = await asyncio.to_thread(explanation_of, bridge.settings, leg)
    if record is None and explanation is None:
        raise unknown("leg", leg)
    if not principal.sees(_account(explanation)):
        raise unknown("leg", leg)
    return leg_story(leg, record, explanation)


def _account(explanation: dict[str, Any] | None) -> str | None:
    """Return whose a leg is; who never gave a code is an operator's."""
    facts = explanation["facts"] if explanation else ()
    return next((one["data"]["account"] for one in facts if one["data"].get("account")), None)
