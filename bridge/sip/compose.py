"""Writes messages as bytes; knows their layout, not when they are sent.

Answers repeat Via, From, Call-ID and CSeq as they came, character by character.
"""

import re
from typing import Final, NamedTuple
from zlib import crc32

from bridge.sip.api import Address
from bridge.sip.headers import PORT_MAX, Via, literal_ip, parse_via, split_list
from bridge.sip.limits import MAX_FORWARDS, PHRASES
from bridge.sip.messages import Echo, Request

Pairs = tuple[tuple[str, str], ...]
"""Header names and values, in the order they are written."""

_RPORT: Final = re.compile(r";\s*rport\s*(?:=[^;]*)?(?=;|$)", re.IGNORECASE)
_RECEIVED: Final = re.compile(r";\s*received\s*=[^;]*(?=;|$)", re.IGNORECASE)
_TAG: Final = re.compile(r";[ \t]*tag[ \t]*=[ \t]*([^ \t;,>]+)", re.IGNORECASE)
_ASKED: Final = ";rport"
_STAMP_CHARS_MAX: Final = 64


def answer_address(via: Via, source: Address) -> Address:
    """Return where the answers to a request go (RFC 3261 §18.2.2, RFC 3581 §4).

    Always to the host it came from: neither sent-by nor maddr is proven. The port is that of
    the packet when the sender asks for it by `rport` or names none, else the one it names.
    """
    if "rport" in via.params or via.port is None:
        return source
    return Address(source.host, via.port)


def stamp_via(first: str, via: Via, source: Address) -> str:
    """Return the raw top Via value with `received` and `rport` filled in."""
    asked = "rport" in via.params
    if not asked and literal_ip(via.host) == source.host:
        return first
    if "received" in via.params:
        first = _RECEIVED.sub("", first)
    if asked:
        plain = first.endswith(_ASKED)  # as nearly everybody writes it
        bare = first.removesuffix(_ASKED) if plain else _RPORT.sub("", first)
        first = f"{bare};rport={source.port}"
    return f"{first};received={source.host}"


def stamped_vias(request: Request, source: Address) -> tuple[str, ...]:
    """Return the Via lines of an answer to a request from `source`."""
    return _stamped(request.echo.vias, request.via, source)


def addressed_echo(echo: Echo, source: Address) -> tuple[Echo, Address]:
    """Return what an answer to a malformed datagram repeats, its Via stamped, and where it goes.

    Where the Via itself is the fault, it is repeated as it came, to where the datagram came from.
    """
    try:
        via = parse_via(split_list(echo.vias[0])[0])
    except ValueError:
        return echo, source
    return echo._replace(vias=_stamped(echo.vias, via, source)), answer_address(via, source)


def _stamped(vias: tuple[str, ...], via: Via, source: Address) -> tuple[str, ...]:
    top, *rest = vias
    values = split_list(top)
    first = stamp_via(values[0], via, source)
    if first == values[0]:
        return vias
    return (", ".join((first, *values[1:])), *rest)


def answer(
    echo: Echo,
    status: int,
    *,
    to_tag: str = "",
    phrase: str = "",
    headers: Pairs = (),
    body: bytes = b"",
) -> bytes:
    """Write a response that repeats `echo`; the tag is added when To has none."""
    to = f"{echo.to};tag={to_tag}" if to_tag else echo.to
    lines = [f"SIP/2.0 {status} {phrase or PHRASES.get(status, 'Failure')}"]
    lines += [f"Via: {via}" for via in echo.vias]
    # What a malformed request did not have cannot be repeated.
    if echo.from_:
        lines.append(f"From: {echo.from_}")
    if echo.to:
        lines.append(f"To: {to}")
    if echo.call_id:
        lines.append(f"Call-ID: {echo.call_id}")
    if echo.cseq:
        lines.append(f"CSeq: {echo.cseq}")
    return _finish(lines, headers, body)


class Outgoing(NamedTuple):
    """A request of ours; CANCEL, ACK and retries are made from it.

    Attributes:
        routes: raw Route values.
        to: raw To value, with the remote tag when it is known.
    """

    method: str
    uri: str
    via: str
    routes: tuple[str, ...]
    from_: str
    to: str
    call_id: str
    cseq: int


def write(request: Outgoing, headers: Pairs = (), body: bytes = b"") -> bytes:
    """Write a request."""
    lines = [f"{request.method} {request.uri} SIP/2.0", f"Via: {request.via}"]
    lines += [f"Route: {route}" for route in request.routes]
    lines += [
        f"Max-Forwards: {MAX_FORWARDS}",
        f"From: {request.from_}",
        f"To: {request.to}",
        f"Call-ID: {request.call_id}",
        f"CSeq: {request.cseq} {request.method}",
    ]
    return _finish(lines, headers, body)


def _finish(lines: list[str], headers: Pairs, body: bytes) -> bytes:
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    # Surrogates are the bytes of a request that was not UTF-8, repeated as they came.
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def reason_header(text: str | None) -> Pairs:
    """Return a Reason header (RFC 3326) for `text`, nothing without one."""
    if text is None:
        return ()
    return (("Reason", f"SIP;cause=200;text={quoted(text)}"),)


def quoted(text: str) -> str:
    r"""Write a quoted string (RFC 3261 §25.1); line breaks become spaces.

    >>> quoted('say "hi"')
    '"say \\"hi\\""'
    """
    plain = re.sub(r"[\x00-\x1f]+", " ", text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def timestamp_header(request: Request) -> Pairs:
    """Return what a 100 repeats of Timestamp (RFC 3261 §8.2.6.1)."""
    value = request.first("timestamp")
    return (("Timestamp", value),) if value and len(value) <= _STAMP_CHARS_MAX else ()


def tag_of(value: str) -> str:
    """Return the tag of a raw From or To value, "" without one.

    >>> tag_of('"Ann" <sip:ann@h;tag=1> ;\\tTag = 2')
    '2'
    """
    found = _TAG.search(value, value.rfind(">") + 1)  # within the brackets it is the URI's
    return found[1] if found else ""


def stateless_tag(echo: Echo) -> str:
    """Return a To tag that is the same for every copy of a request (RFC 3261 §8.2.7)."""
    key = "\n".join((echo.vias[0], echo.from_, echo.call_id, echo.cseq))
    return f"s{crc32(key.encode('utf-8', 'surrogateescape')):08x}"


def is_port(port: int | None) -> bool:
    """True for a port that a datagram can be sent to."""
    return port is not None and 0 < port <= PORT_MAX
