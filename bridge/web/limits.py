"""ASGI layers around everything: how large a body may be, and what a browser is told.

Knows ASGI; knows no route.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.web.problems import answer

BODY_BYTES_MAX: Final = 65_536
AUDIO_BYTES_MAX: Final = 4 * 1_024 * 1_024
AUDIO_PATH: Final = "/announce-file"
"""A file to play may be larger: two minutes at 16 kHz."""

THROWN_AWAY_MAX: Final = 64 * 1_024 * 1_024
"""So much of a body that is too large is read and dropped, so that the answer is heard."""

HEADERS: Final = (
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class BodyLimit:
    """Answers 413 to a body over the limit, announced or not, before anything reads it whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = AUDIO_BYTES_MAX if scope["path"].endswith(AUDIO_PATH) else BODY_BYTES_MAX
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit:
            if b"expect" not in headers:  # who asks first has sent nothing yet
                await _throw_away(receive)
            await _too_large(limit)(scope, receive, send)
            return
        if announced == b"0" and b"transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        body = await _read(receive, limit)
        if body is None:
            await _throw_away(receive)
            await _too_large(limit)(scope, receive, send)
            return
        await self._app(scope, _given(body, receive), send)


async def _read(receive: Receive, limit: int) -> bytes | None:
    """Return the body, None when it is over the limit or its sender has gone."""
    body = bytearray()
    more = True
    while more and len(body) <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":  # half a body is no order
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return None if len(body) > limit else bytes(body)


async def _throw_away(receive: Receive) -> None:
    """Take what is still coming: a connection closed on it would be reset, the answer lost."""
    taken = 0
    more = True
    while more and taken <= THROWN_AWAY_MAX:
        message = await receive()
        taken += len(message.get("body", b""))
        more = message.get("more_body", False)


def _given(body: bytes, receive: Receive) -> Receive:
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


def _too_large(limit: int) -> ASGIApp:
    detail = f"a body may have {limit} bytes"
    return answer(413, "body_too_large", detail, headers={"Connection": "close"})


class SafeHeaders:
    """Tells browsers to load nothing from elsewhere and to keep what they are told."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to every response."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
