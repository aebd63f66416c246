"""What goes wrong as an answer: `application/problem+json` (RFC 9457) with a stable code.

Knows errors and HTTP; knows no session. No answer quotes a token, an access code or a PIN.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from billing import BillingError, BillingInputError
from bridge.conference.api import Refused
from bridge.errors import OperatingTrouble

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
FAULTS_SHOWN_MAX: Final = 20


class Problem(BaseModel):
    """RFC 9457: `code` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] = []


class ApiProblem(Exception):
    """An answer that is not what was asked for."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})


def unknown(what: str, name: str) -> ApiProblem:
    """Return the answer for something that is not there, or not the asker's."""
    return ApiProblem(404, f"unknown_{what}", f"there is no {what} {name[:80]}")


def raise_refused(refused: Sequence[Refused]) -> None:
    """Turn the conference core's refusal of an order into an answer."""
    for one in refused:
        status = 404 if one.code.startswith("unknown_") else 409
        raise ApiProblem(status, one.code, one.message)


def answer(
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return a problem as a response."""
    body = Problem(
        type=f"urn:tollbridge:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        errors=errors or [],
    )
    return JSONResponse(
        body.model_dump(), status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


_HTTP_CODES: Final = {404: "not_found", 405: "method_not_allowed", 400: "bad_request"}


async def _on_problem(_: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, ApiProblem), "registered for it"
    return answer(fault.status, fault.code, fault.detail, headers=fault.headers)


async def _on_http(request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, HTTPException), "registered for it"
    code = _HTTP_CODES.get(fault.status_code, "http_error")
    headers = dict(fault.headers or {})
    if fault.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_of(request))
    return answer(fault.status_code, code, str(fault.detail), headers=headers)


def _methods_of(request: Request) -> list[str]:
    """Return the methods that a path has; one route knows only its own (RFC 9110 §10.2.1)."""
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    routes: list[BaseRoute] = request.app.router.routes
    return [
        method
        for method in methods
        for scope in [dict(request.scope, method=method)]
        if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]


async def _on_invalid(_: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, RequestValidationError), "registered for it"
    errors = [_fault(error) for error in fault.errors()[:FAULTS_SHOWN_MAX]]
    detail = "; ".join(f"{error['where']}: {error['expected']}" for error in errors)
    return answer(422, "invalid", detail, errors=errors)


def _fault(error: Mapping[str, Any]) -> dict[str, str]:
    where = ".".join(str(part) for part in error["loc"])
    return {"where": where[:200], "expected": str(error["msg"]).removeprefix("Value error, ")[:500]}


async def _on_trouble(_: Request, fault: Exception) -> JSONResponse:
    log.error("web.trouble", error=str(fault))
    code = fault.code if isinstance(fault, OperatingTrouble) else "store_unavailable"
    return answer(503, code, "the bridge cannot do this now", headers={"Retry-After": "5"})


async def _on_billing(_: Request, fault: Exception) -> JSONResponse:
    code = "bad_billing_input" if isinstance(fault, BillingInputError) else "billing_refused"
    return answer(409, code, str(fault))


async def _on_bug(request: Request, fault: Exception) -> JSONResponse:
    log.error("web.fault", path=request.url.path, exc_info=fault)
    return answer(500, "internal_fault", "a fault of the bridge; it is in its log")


def install(app: FastAPI) -> None:
    """Have every error answered as a problem."""
    app.add_exception_handler(ApiProblem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(OperatingTrouble, _on_trouble)
    app.add_exception_handler(SQLAlchemyError, _on_trouble)
    app.add_exception_handler(BillingError, _on_billing)
    app.add_exception_handler(500, _on_bug)
