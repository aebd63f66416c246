"""Refuses new calls when more come than can be carried, before any work is done (RFC 3261 §21.5.4).

Reads no more of an INVITE than what its 503 must repeat: a tenth of the time of parsing it, so
that a bridge that gets many times too many calls still has its time for those it takes. What
cannot be read that way is left to the one door, `messages.parse`.
"""

import re
from typing import Final, NamedTuple

from bridge.sip import compose
from bridge.sip.api import Address
from bridge.sip.headers import parse_via
from bridge.sip.limits import HEAD_BYTES_MAX
from bridge.sip.messages import Echo

MergeKey = tuple[str, str, int, str]
"""As in `transactions`: Call-ID, From tag, CSeq number and method."""

_VIA: Final = re.compile(rb"\r\n(?:via|v)[ \t]*:[ \t]*([^\r\n]+)", re.IGNORECASE)
_FROM: Final = re.compile(rb"\r\n(?:from|f)[ \t]*:[ \t]*([^\r\n]+)", re.IGNORECASE)
_TO: Final = re.compile(rb"\r\n(?:to|t)[ \t]*:[ \t]*([^\r\n]+)", re.IGNORECASE)
_CALL_ID: Final = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]+)", re.IGNORECASE)
_CSEQ: Final = re.compile(rb"\r\ncseq[ \t]*:[ \t]*(\d{1,10})[ \t]+INVITE[ \t]*\r\n", re.IGNORECASE)
_OUR_TAG: Final = re.compile(rb"\r\n(?:to|t)[ \t]*:[^\r\n]*;tag=s[0-9a-f]{8}\r\n", re.IGNORECASE)
_STREAM: Final = re.compile(r"SIP\s*/\s*2\.0\s*/\s*UDP", re.IGNORECASE)


class Opening(NamedTuple):
    """An INVITE that is in no dialog: what it is known by, and what its answer repeats."""

    merge: MergeKey
    echo: Echo


def opening_of(data: bytes) -> Opening | None:
    """Return what a datagram opens, None when it is no plain INVITE for a new call."""
    head = data.partition(b"\r\n\r\n")[0] + b"\r\n"
    folded = b"\r\n " in head or b"\r\n\t" in head
    if not data.startswith(b"INVITE ") or len(head) > HEAD_BYTES_MAX or folded:
        return None
    found = [pattern.search(head) for pattern in (_FROM, _TO, _CALL_ID, _CSEQ)]
    vias = _VIA.findall(head)
    if not vias or not all(found):
        return None
    try:
        from_, to, call_id, number = (one[1].decode().strip() for one in found if one)
        lines = tuple(via.decode().strip() for via in vias)
    except UnicodeDecodeError:
        return None
    tag = compose.tag_of(from_)
    if not tag or compose.tag_of(to):
        return None
    echo = Echo(lines, from_, to, call_id, f"{number} INVITE")
    return Opening((call_id, tag, int(number), "INVITE"), echo)


def refusal(
    opening: Opening, source: Address, *, retry_after_s: int, agent: str
) -> tuple[bytes, Address] | None:
    """Return the 503 to an INVITE from `source` and where it goes; None without a plain Via."""
    top = opening.echo.vias[0]
    if "," in top or not _STREAM.match(top):
        return None
    try:
        via = parse_via(top)
    except ValueError:
        return None
    first = compose.stamp_via(top, via, source)
    echo = opening.echo._replace(vias=(first, *opening.echo.vias[1:]))
    headers = (("Retry-After", str(retry_after_s)), ("Server", agent))
    data = compose.answer(echo, 503, to_tag=compose.stateless_tag(echo), headers=headers)
    return data, compose.answer_address(via, source)


def is_ack_of_refusal(data: bytes) -> bool:
    """Return whether a datagram is the ACK of such a refusal, which nothing waits for."""
    return data.startswith(b"ACK ") and _OUR_TAG.search(data, 0, HEAD_BYTES_MAX) is not None
