"""The application: routes, errors, limits, the page's files and the OpenAPI document.

Knows which parts there are; what each does stands in its own module.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

from bridge.drawing.html import STYLE
from bridge.errors import StoreUnavailable
from bridge.web import (
    account_routes,
    control_routes,
    live_routes,
    metrics,
    problems,
    recording_routes,
    session_routes,
    story_routes,
)
from bridge.web.auth import Tokens
from bridge.web.context import Context, context_of
from bridge.web.limits import BodyLimit, SafeHeaders

STATIC: Final = Path(__file__).parent / "static"
TITLE: Final = "tollbridge"
API_VERSION: Final = "1"
ERRORS: Final = {
    "401": "No token, or one that is not known.",
    "403": "The token's role may not do this.",
    "404": "Not there, or another account's.",
    "409": "Understood and refused; `code` says why.",
    "413": "The body is too large.",
    "422": "Not what this document says; `errors` says where.",
    "503": "The store, the mail server or the media worker is not there now.",
}
OPEN: Final = frozenset({"/healthz", "/metrics", "/api/v1/join/{join_key}"})
"""What needs no token: nothing in it names a person, or the URL itself is the key."""

PARTS: Final = (
    session_routes,
    live_routes,
    control_routes,
    recording_routes,
    account_routes,
    story_routes,
)

Ctx = Annotated[Context, Depends(context_of)]


def build(context: Context, tokens: Tokens) -> FastAPI:
    """Return the application over these parts."""
    app = FastAPI(
        title=TITLE,
        version=API_VERSION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    app.state.tokens = tokens
    problems.install(app)
    for part in PARTS:
        app.include_router(part.router)
    _add_health(app)
    _add_pages(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(SafeHeaders)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's own hook
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", tags=["health"])
    async def healthz(context: Ctx) -> dict[str, str]:
        """Say that the bridge's loop runs, its store can be read, and facts are written."""
        await asyncio.to_thread(context.store.waiting)
        if trouble := context.bridge.store_trouble:
            raise StoreUnavailable(trouble)
        return {"status": "fine"}

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    async def get_metrics(context: Ctx) -> PlainTextResponse:
        """Return what Prometheus scrapes."""
        waiting = await asyncio.to_thread(context.store.waiting)
        text = metrics.text(context.bridge, context.now.counts, outbox_waiting=waiting)
        return PlainTextResponse(text, media_type=metrics.MEDIA_TYPE)


def _add_pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/join/{join_key}", include_in_schema=False)
    async def join_page(join_key: str) -> FileResponse:
        return FileResponse(STATIC / "join.html")

    @app.get("/legs/{leg}", include_in_schema=False)
    async def leg_page(leg: str) -> FileResponse:
        return FileResponse(STATIC / "leg.html")

    @app.get("/drawing.css", include_in_schema=False)
    async def drawing_css() -> FileResponse:
        return FileResponse(STYLE)

    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the document, every error in it the problem that is really answered."""
    if app.openapi_schema is None:
        document = get_openapi(title=TITLE, version=API_VERSION, routes=app.routes)
        schemas = document["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas["Problem"] = problems.Problem.model_json_schema()
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["responses"] = _responses(path, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _responses(path: str, operation: dict[str, Any]) -> dict[str, Any]:
    declared = operation["responses"]
    fine = {status: answer for status, answer in declared.items() if status < "400"}
    errors = {"503": ERRORS["503"]} if path in OPEN and "{" not in path else ERRORS
    if path in OPEN and "{" in path:
        errors = {status: text for status, text in ERRORS.items() if status not in ("401", "403")}
    if "requestBody" in operation:
        errors = {"400": "The body is not JSON."} | errors
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {problems.MEDIA_TYPE: {"schema": schema}}
    return fine | {
        status: {"description": text, "content": content} for status, text in errors.items()
    }
