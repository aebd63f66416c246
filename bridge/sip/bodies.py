"""Finds the session description or the key in a message body; knows media types, no call."""

import re
from typing import Final

from bridge.errors import SipRemoteError
from bridge.sip.compose import Pairs
from bridge.sip.headers import parse_params
from bridge.sip.limits import ACCEPT, SDP_TYPE
from bridge.sip.messages import Message

PARTS_MAX: Final = 16
KEY_BODY_BYTES_MAX: Final = 1_024
_SIGNAL: Final = re.compile(
    r"^[ \t]*signal[ \t]*=[ \t]*([0-9*#A-Da-d]|1[01])[ \t\r]*$", re.IGNORECASE | re.M
)
_KEY: Final = re.compile(r"[0-9*#A-D]")
_NUMBERED: Final = {"10": "*", "11": "#"}
_ACCEPTED: Final = frozenset({SDP_TYPE, "application/*", "*/*"})


class UnsupportedBody(SipRemoteError):
    """A body that we cannot read; `headers` say what we can."""

    code = "unsupported_body"

    def __init__(self, headers: Pairs) -> None:
        super().__init__(415, "Unsupported Media Type")
        self.headers = headers


def session_body(message: Message) -> bytes | None:
    """Return the SDP of a message, None when it has none."""
    if not message.body.strip():
        return None
    encoding = message.first("content-encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise UnsupportedBody((("Accept-Encoding", "identity"),))
    if message.content_type == SDP_TYPE:
        return message.body
    found = _sdp_part(message) if message.content_type.startswith("multipart/") else None
    if found is None and not _is_optional(message):
        raise UnsupportedBody((("Accept", SDP_TYPE),))
    return found


def _is_optional(message: Message) -> bool:
    disposition = message.first("content-disposition") or ""
    return "handling=optional" in disposition.replace(" ", "").lower()


def _sdp_part(message: Message) -> bytes | None:
    _, _, tail = (message.first("content-type") or "").partition(";")
    try:
        boundary = parse_params(tail).get("boundary")
    except ValueError:
        return None
    if not boundary:
        return None
    parts = message.body.split(b"--" + boundary.encode("utf-8", "surrogateescape"), PARTS_MAX)
    for part in parts[1:]:
        head, _, body = part.partition(b"\r\n\r\n")
        fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
        types = [value.strip() for name, _, value in fields if name.strip() in _TYPE_NAMES]
        if types and types[0].partition(b";")[0].strip() == SDP_TYPE.encode():
            return body.removesuffix(b"\r\n")
    return None


_TYPE_NAMES: Final = (b"content-type", b"c")


def accepts_sdp(message: Message) -> bool:
    """False when the sender says that it cannot read an SDP answer (RFC 3261 §20.1)."""
    lines = message.headers.get("accept")
    if not lines:
        return True
    ranges = {item.partition(";")[0].strip().lower() for line in lines for item in line.split(",")}
    return bool(ranges & _ACCEPTED)


def dtmf_key(message: Message) -> str | None:
    """Return the key of an INFO; None when it has no body, ValueError when it has no key."""
    if len(message.body) > KEY_BODY_BYTES_MAX:
        raise ValueError("too long for a key")
    body = message.body.decode("utf-8", "replace").strip()
    if not body:
        return None
    if message.content_type == "application/dtmf-relay":
        found = _SIGNAL.search(body)
        signal = found[1].upper() if found else ""
    elif message.content_type == "application/dtmf":
        found = _SIGNAL.search(body)
        signal = found[1].upper() if found else body.upper()
    else:
        raise UnsupportedBody((("Accept", ACCEPT),))
    key = _NUMBERED.get(signal, signal)
    if not _KEY.fullmatch(key):
        raise ValueError("no key")
    return key
