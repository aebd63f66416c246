"""One SIP message as a line of a ladder: what it is, which request, what media it names.

Reads bytes with regular expressions and never refuses: a message that says nothing of what is
looked for has an empty field. Bodies are not kept: keys may be in them.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

HEAD_BYTES: Final = 8_192
LINE_MAX: Final = 160
KEPT_MAX: Final = 1_024
"""Start lines and CSeq values that are remembered as read."""

_CALL_ID: Final = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_CALL_ID_NAME: Final = b"\r\nCall-ID: "
_CSEQ: Final = re.compile(rb"\r\ncseq[ \t]*:([^\r\n]*)", re.IGNORECASE)
_CSEQ_NAME: Final = b"\r\nCSeq:"
_CSEQ_VALUE: Final = re.compile(rb"[ \t]*(\d{1,10})[ \t]+([A-Za-z]{1,20})")
_REASON: Final = re.compile(rb"\r\nreason[ \t]*:[ \t]*([^\r\n]{0,160})", re.IGNORECASE)
_MEDIA: Final = re.compile(rb"\nm=audio (\d{1,5})[^\r\n]*")
_WHERE: Final = re.compile(rb"\nc=IN IP[46] ([^\s/]{1,45})")
_DIRECTION: Final = re.compile(rb"\na=(sendrecv|sendonly|recvonly|inactive)")


class SipLine(NamedTuple):
    """What is kept of one message.

    Attributes:
        text: its start line, without the version: "INVITE sip:482913@host", "200 OK".
        cseq: number and method, "1 INVITE".
        media: of its SDP: "RTP to 127.0.0.1:40000", with the direction when it is not both.
        reason: of its Reason header.
    """

    text: str
    cseq: str
    media: str
    reason: str


def call_id_of(data: bytes) -> str:
    """Return the Call-ID of a message, "" when it has none.

    >>> call_id_of(b"BYE sip:a SIP/2.0\\r\\nCall-ID: 7@b\\r\\n\\r\\n")
    '7@b'
    """
    at = data.find(_CALL_ID_NAME, 0, HEAD_BYTES)
    if at >= 0:  # as nearly everybody writes it: a tenth of the time
        at += len(_CALL_ID_NAME)
        end = data.find(b"\r", at)
        return _text(data[at : len(data) if end < 0 else end])
    found = _CALL_ID.search(data, 0, HEAD_BYTES)
    return _text(found[1]) if found else ""


def opens_call(data: bytes) -> bool:
    """Return whether a message is an INVITE."""
    return data.startswith(b"INVITE ")


def line_of(data: bytes) -> SipLine:
    """Return what is kept of a message.

    >>> line_of(b"SIP/2.0 200 OK\\r\\nCSeq: 1 BYE\\r\\n\\r\\n")
    SipLine(text='200 OK', cseq='1 BYE', media='', reason='')
    """
    end = data.find(b"\r\n", 0, HEAD_BYTES)
    rare = b"eason" in data or b"EASON" in data
    reason = _REASON.search(data, 0, HEAD_BYTES) if rare else None
    return SipLine(
        _first(data[: HEAD_BYTES if end < 0 else end]),
        _cseq(_cseq_value(data)),
        "" if data.endswith(b"\r\n\r\n") else _media(data),
        _text(reason[1]) if reason else "",
    )


# The same few start lines and requests come all the time: each is read once.


@lru_cache(maxsize=KEPT_MAX)
def _first(line: bytes) -> str:
    return _text(line)[:LINE_MAX].removeprefix("SIP/2.0 ").removesuffix(" SIP/2.0")


def _cseq_value(data: bytes) -> bytes:
    at = data.find(_CSEQ_NAME, 0, HEAD_BYTES)
    if at < 0:
        found = _CSEQ.search(data, 0, HEAD_BYTES)
        return found[1] if found else b""
    at += len(_CSEQ_NAME)
    end = data.find(b"\r", at, HEAD_BYTES)
    return data[at : HEAD_BYTES if end < 0 else end]


@lru_cache(maxsize=KEPT_MAX)
def _cseq(value: bytes) -> str:
    found = _CSEQ_VALUE.match(value)
    return f"{int(found[1])} {found[2].decode()}" if found else ""


def _media(data: bytes) -> str:
    at = data.find(b"\nm=audio ")
    media = _MEDIA.match(data, at) if at >= 0 else None
    if not media:
        return ""
    where = _WHERE.search(data, max(data.find(b"\nv="), 0))
    direction = _DIRECTION.search(data, media.end())
    host = _text(where[1]) if where else "?"
    place = f"[{host}]" if ":" in host else host
    way = _text(direction[1]) if direction else ""
    return f"RTP to {place}:{_text(media[1])}" + (f", {way}" if way not in ("", "sendrecv") else "")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip()
