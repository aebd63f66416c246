"""One SIP message as a line of a ladder: what it is, which request, what media it names.

Reads bytes with regular expressions and never refuses: a message that says nothing of what is
looked for has an empty field. Bodies are not kept: keys may be in them.
"""

import re
from typing import Final, NamedTuple

HEAD_BYTES: Final = 8_192
LINE_MAX: Final = 160

_CALL_ID: Final = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_CALL_ID_NAME: Final = b"\r\nCall-ID: "
_CSEQ: Final = re.compile(rb"\r\ncseq[ \t]*:[ \t]*(\d{1,10})[ \t]+([A-Za-z]{1,20})", re.IGNORECASE)
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
        return _text(data[at + len(_CALL_ID_NAME) :].split(b"\r", 1)[0])
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
    first = _text(data[: HEAD_BYTES if end < 0 else end])[:LINE_MAX]
    at = data.find(b"\r\nCSeq:", 0, HEAD_BYTES)
    cseq = _CSEQ.match(data, at) if at >= 0 else _CSEQ.search(data, 0, HEAD_BYTES)
    rare = b"eason" in data or b"EASON" in data
    reason = _REASON.search(data, 0, HEAD_BYTES) if rare else None
    return SipLine(
        first.removeprefix("SIP/2.0 ").removesuffix(" SIP/2.0"),
        f"{int(cseq[1])} {cseq[2].decode()}" if cseq else "",
        "" if data.endswith(b"\r\n\r\n") else _media(data),
        _text(reason[1]) if reason else "",
    )


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
