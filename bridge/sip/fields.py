"""Reads the header fields of one message, each by name; knows RFC 3261 §20, no start line.

What is missing or wrong is a `Fault`: its name is counted, its status answered.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from bridge.sip import limits
from bridge.sip.headers import (
    NameAddr,
    Via,
    is_token,
    parse_cseq,
    parse_name_addr,
    parse_number,
    parse_params,
    parse_uri,
    parse_via,
    split_list,
)

Headers = Mapping[str, list[str]]
"""Raw values by full header name in lower case, in the order they came."""

SINGLE: Final = (
    "call-id",
    "cseq",
    "from",
    "to",
    "max-forwards",
    "content-length",
    "content-type",
    "session-expires",
    "min-se",
)
SECONDS_MAX: Final = 2**32 - 1


class Fault(Exception):
    """What makes a message useless, by name, and the status of its answer."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class SessionExpires(NamedTuple):
    """RFC 4028 §4; refresher is "uac", "uas" or ""."""

    interval_s: int
    refresher: str


def required(headers: Headers, name: str) -> str:
    """Return the one value that must be there, and short enough to read."""
    values = headers.get(name)
    if values and 0 < len(values[0]) <= limits.VALUE_CHARS_MAX:
        return values[0]
    word = name.replace("-", "_")
    raise Fault(f"{word}_too_long" if values and values[0] else f"missing_{word}")


def read_via(headers: Headers) -> Via:
    """Read the topmost Via."""
    lines = headers.get("via", [])
    if len(lines) + "".join(lines).count(",") > limits.VIAS_MAX:
        raise Fault("too_many_vias")
    top = required(headers, "via")
    if sum(map(len, lines)) > limits.VIAS_CHARS_MAX:
        raise Fault("vias_too_long")
    try:
        return parse_via(split_list(top)[0])
    except ValueError as fault:
        in_range = str(fault) != "Via port out of range"
        raise Fault("malformed_via" if in_range else "via_port_out_of_range") from fault


def read_address(headers: Headers, name: str) -> NameAddr:
    """Read From or To."""
    text = required(headers, name)
    try:
        return parse_name_addr(text)
    except ValueError as fault:
        raise Fault(f"malformed_{name}") from fault


def read_contact(headers: Headers) -> str | None:
    """Return the URI of the one Contact of a request, None without any."""
    values = headers.get("contact")
    if not values:
        return None
    try:
        (value,) = split_list(values[0])
        contact = parse_name_addr(value)
    except ValueError as fault:
        raise Fault("malformed_contact") from fault
    if len(values) > 1 or parse_uri(contact.uri).scheme not in ("sip", "sips"):
        raise Fault("malformed_contact")
    return contact.uri


def read_record_route(headers: Headers) -> tuple[str, ...]:
    """Return the routes in the order of the message."""
    lines = headers.get("record-route")
    if not lines:
        return ()
    try:
        routes = tuple(route for line in lines for route in split_list(line))
        schemes = {parse_uri(parse_name_addr(route).uri).scheme for route in routes}
    except ValueError as fault:
        raise Fault("malformed_record_route") from fault
    if len(routes) > limits.VIAS_MAX or not schemes <= {"sip", "sips"}:
        raise Fault("malformed_record_route")
    return routes


def read_tokens(headers: Headers, name: str) -> frozenset[str]:
    """Return option tags in lower case: they are the same in any (RFC 3261 §7.3.1)."""
    lines = headers.get(name)
    if not lines:
        return frozenset()
    if sum(map(len, lines)) > limits.VALUE_CHARS_MAX:
        raise Fault(f"{name}_too_long")
    tokens = {token.strip().lower() for line in lines for token in line.split(",")}
    if not all(is_token(token) for token in tokens if token):
        raise Fault(f"malformed_{name}")
    return frozenset(token for token in tokens if token)


def read_content_type(headers: Headers) -> str:
    """Return the media type in lower case without parameters, "" without any."""
    value = headers.get("content-type", [""])[0]
    if value in ("", limits.SDP_TYPE):
        return value
    media_type = value.partition(";")[0].replace(" ", "").lower()
    kind, slash, subtype = media_type.partition("/")
    if not (slash and is_token(kind) and is_token(subtype)):
        raise Fault("malformed_content_type")
    return media_type


def read_session_expires(headers: Headers) -> SessionExpires | None:
    """Read Session-Expires (RFC 4028 §4)."""
    value = headers.get("session-expires")
    if not value:
        return None
    seconds, _, tail = value[0].partition(";")
    try:
        params = parse_params(tail) if tail else {}
        interval_s = parse_number(seconds.strip(), SECONDS_MAX)
    except ValueError as fault:
        raise Fault("malformed_session_expires") from fault
    refresher = (params.get("refresher") or "").lower()
    return SessionExpires(interval_s, refresher if refresher in ("uac", "uas") else "")


def read_rack(headers: Headers) -> tuple[int, int, str]:
    """Read RSeq, CSeq and method that a PRACK names (RFC 3262 §7.2)."""
    rseq, _, cseq = required(headers, "rack").partition(" ")
    try:
        number, method = parse_cseq(cseq.strip())
        return parse_number(rseq, SECONDS_MAX), number, method
    except ValueError as fault:
        raise Fault("malformed_rack") from fault


def optional_number(headers: Headers, name: str, maximum: int) -> int | None:
    """Read a number up to `maximum` before any parameters, None without one."""
    values = headers.get(name)
    if not values:
        return None
    try:
        return parse_number(values[0].partition(";")[0].strip(), maximum)
    except ValueError as fault:
        raise Fault(f"malformed_{name.replace('-', '_')}") from fault


def cut_body(headers: Headers, body: bytes) -> bytes:
    """Return the body as long as Content-Length says, if it says anything."""
    length = optional_number(headers, "content-length", SECONDS_MAX)
    if length is None:
        return body
    if length > limits.BODY_BYTES_MAX:
        raise Fault("body_too_large", 413)
    if length > len(body):
        raise Fault("body_shorter_than_content_length")
    return body[:length]


def contact_of_answer(headers: Headers) -> str | None:
    """Return the first Contact of an answer that can be called; None when none can.

    A call that was answered is to be acknowledged, whatever stands there.
    """
    try:
        first = split_list(headers.get("contact", [""])[0])[0]
        contact = parse_name_addr(first)
    except ValueError:
        return None
    return contact.uri if parse_uri(contact.uri).scheme in ("sip", "sips") else None


# --- what an answer need not have ---------------------------------------------------------


def without_bad(headers: Headers) -> Headers:
    """Return the headers of an answer without those that it need not have and that are bad.

    It ends its INVITE and is to be acknowledged all the same (RFC 3261 §13.2.2.4, §17.1.1.3).
    """
    return {name: values for name, values in headers.items() if not _is_bad(name, headers)}


def _is_bad(name: str, headers: Headers) -> bool:
    read = _OPTIONAL.get(name)
    if read is None:
        return False
    try:
        read(headers)
    except Fault:
        return True
    return name in SINGLE and len(headers[name]) > 1


_OPTIONAL: Final[Mapping[str, Callable[[Headers], object]]] = {
    "require": lambda headers: read_tokens(headers, "require"),
    "supported": lambda headers: read_tokens(headers, "supported"),
    "content-type": read_content_type,
    "content-length": lambda headers: optional_number(headers, "content-length", SECONDS_MAX),
    "session-expires": read_session_expires,
    "min-se": lambda headers: optional_number(headers, "min-se", SECONDS_MAX),
    "max-forwards": lambda headers: None,
    "rseq": lambda headers: optional_number(headers, "rseq", SECONDS_MAX),
    "record-route": read_record_route,
}
"""What is read of an answer that it need not have, and how."""
