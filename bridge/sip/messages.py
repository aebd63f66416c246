"""The one door from bytes to a checked message; knows RFC 3261 §7 and §20, no transaction.

Everything that later code reads is read here once, so that what is wrong with a message shows
here, as a `Malformed` with a named reason and, where the sender can be answered, what an answer
must echo. Folded lines are unfolded first. No bytes make this module raise.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from sipmessage.message import COMPACT_FORMS

from bridge.sip import limits
from bridge.sip.headers import (
    NameAddr,
    Uri,
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

_COMPACT: Final = {short: name.lower() for short, name in COMPACT_FORMS.items()}
_USUAL: Final = {
    name: name.lower()
    for name in (
        *("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Length"),
        *("Content-Type", "Allow", "Supported", "Require", "User-Agent", "Server", "Route"),
        *("Record-Route", "Session-Expires", "Min-SE", "Accept", "Expires", "P-Asserted-Identity"),
    )
}
"""Header names as nearly everybody writes them: nothing to strip, lower or look up."""

_FOLD: Final = re.compile(r"\r\n[ \t]+")
"""Blanks before the break stay: to look for them too takes the square of their number."""

_SINGLE: Final = (
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
_FORMS_DIALOG: Final = ("INVITE", "UPDATE")
"""Methods whose Contact says where the other side is from now on."""

_URI_SCHEMES: Final = frozenset({"sip", "sips", "tel"})
_STATUSES: Final = range(100, 700)
_NO_URI: Final = Uri("", "", "", None, {})
_SECONDS_MAX: Final = 2**32 - 1


class Echo(NamedTuple):
    """The raw header values that every answer repeats; empty strings for what is missing."""

    vias: tuple[str, ...]
    from_: str
    to: str
    call_id: str
    cseq: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that cannot be used.

    Attributes:
        reason: stable snake_case name.
        status: what to answer with when `echo` is given.
        echo: None when there is nobody to answer: a response, an ACK, or no Via.
    """

    reason: str
    status: int = 400
    echo: Echo | None = None

    @property
    def phrase(self) -> str:
        """The reason as a reason phrase; it never holds text of the sender."""
        return limits.PHRASES[self.status] if self.status != 400 else _phrase(self.reason)


class SessionExpires(NamedTuple):
    """RFC 4028 §4; refresher is "uac", "uas" or ""."""

    interval_s: int
    refresher: str


@dataclass(slots=True)
class Message:
    """What requests and responses share; every value has passed its grammar.

    Attributes:
        call_id, cseq, method: of Call-ID and CSeq.
        from_, to: parsed; `from_tag` and `to_tag` are "" when missing.
        contact: URI of the one Contact; None when missing or when nobody needs it, as in a 3xx
            that names several.
        record_route: raw values in the order of the message.
        rseq: of a reliable provisional response (RFC 3262), else None.
        rack: RSeq, CSeq and method that a PRACK names, else None.
    """

    method: str
    headers: Headers
    body: bytes
    echo: Echo
    via: Via
    call_id: str
    cseq: int
    from_: NameAddr
    to: NameAddr
    from_tag: str
    to_tag: str
    require: frozenset[str]
    supported: frozenset[str]
    contact: str | None
    record_route: tuple[str, ...]
    content_type: str
    session_expires: SessionExpires | None
    min_se: int | None
    rseq: int | None = None
    rack: tuple[int, int, str] | None = None

    def first(self, name: str) -> str | None:
        """Return the first raw value of a header by its lower-case name."""
        values = self.headers.get(name)
        return values[0] if values else None


@dataclass(slots=True)
class Request(Message):
    """A checked request; `uri` is its request URI as text, `target` the same parsed."""

    uri: str = ""
    target: Uri = _NO_URI
    max_forwards: int | None = None


@dataclass(slots=True)
class Response(Message):
    """A checked response."""

    status: int = 0


_M = TypeVar("_M", bound=Message)


class _Fault(Exception):
    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


def parse(data: bytes, *, stream: bool = False) -> Request | Response | Malformed:
    """Read one message; the body of a datagram may be cut to its Content-Length.

    On a `stream` it must have one (RFC 3261 §20.14).
    """
    if not data.strip(b"\r\n\t \0"):
        return Malformed("keepalive" if data else "empty")
    head, body, fault = _split_head(data.lstrip(b"\r\n"))
    start, headers, line_fault = _read_lines(head)
    fault = fault or line_fault
    try:
        if fault is not None:
            raise fault
        if stream and "content-length" not in headers:
            raise _Fault("missing_content_length")
        if start[:4].upper() == "SIP/":
            return _read_response(start, headers, body)
        return _read_request(start, headers, body)
    except _Fault as found:
        return Malformed(found.reason, found.status, _echo(start, headers))


# --- lines --------------------------------------------------------------------------------


def _split_head(data: bytes) -> tuple[str, bytes, _Fault | None]:
    fault: _Fault | None = None
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        fault = _Fault("no_end_of_headers")
        head, body = data.strip(), b""
        if b"\r\n" not in head:
            head = head.partition(b"\n\n")[0].replace(b"\n", b"\r\n")
    if len(head) > limits.HEAD_BYTES_MAX:
        fault = _Fault("headers_too_large", 513)
    if b"\0" in head and b"\0" in head.replace(b"\\\0", b""):
        fault = fault or _Fault("nul_in_headers")
    try:
        return head.decode("utf-8"), body, fault
    except UnicodeDecodeError:
        # Surrogates keep the bytes, so that what is echoed is what came.
        return head.decode("utf-8", "surrogateescape"), body, fault or _Fault("not_utf8")


def _read_lines(head: str) -> tuple[str, dict[str, list[str]], _Fault | None]:
    if "\r\n " in head or "\r\n\t" in head:
        head = _FOLD.sub(" ", head)
    start, *lines = head.split("\r\n")
    fault: _Fault | None = None
    if head.count("\n") != len(lines) or head.count("\r") != len(lines):
        fault = _Fault("bare_line_break")
    if len(lines) > limits.HEADER_LINES_MAX:
        fault = fault or _Fault("too_many_headers")
    headers: dict[str, list[str]] = {}
    for line in lines:
        written, colon, value = line.partition(":")
        name = _USUAL.get(written)
        if name is None:
            name = written.strip().lower()
            name = _COMPACT.get(name, name)
        if not colon or not name:
            fault = fault or _Fault("malformed_header_line")
        elif name in headers:
            headers[name].append(value.strip())
        else:
            headers[name] = [value.strip()]
    return start, headers, fault


def _echo(start: str, headers: Headers) -> Echo | None:
    """Return what an answer must repeat, None when there is nobody to answer."""
    vias = tuple(headers.get("via", ()))
    if not vias or start[:4].upper() == "SIP/" or start[:4].upper() == "ACK ":
        return None

    def raw(name: str) -> str:
        return headers[name][0] if headers.get(name) else ""

    return Echo(vias, raw("from"), raw("to"), raw("call-id"), raw("cseq"))


# --- start lines --------------------------------------------------------------------------


def _read_request(start: str, headers: Headers, body: bytes) -> Request:
    parts = start.split(" ")
    version = parts[-1].upper()
    if len(parts) < 3 or version[:4] != "SIP/":
        raise _Fault("malformed_start_line")
    if version != "SIP/2.0":
        raise _Fault("version_not_supported", 505)
    if len(parts) != 3 or not is_token(parts[0]):
        raise _Fault("malformed_start_line")
    method, uri, _ = parts
    request = _read_common(headers, body, Request)
    if request.method != method:
        raise _Fault("cseq_method_mismatch")
    if len(uri) > limits.URI_CHARS_MAX:
        raise _Fault("request_uri_too_long", 414)
    request.max_forwards = _optional_number(headers, "max-forwards", limits.MAX_FORWARDS_MAX)
    try:
        target = parse_uri(uri)
    except ValueError as fault:
        raise _Fault("malformed_request_uri") from fault
    if target.scheme not in _URI_SCHEMES:
        raise _Fault("unsupported_uri_scheme", 416)
    if target.has_headers:
        raise _Fault("headers_in_request_uri")
    if method == "PRACK":
        request.rack = _read_rack(headers)
    request.uri, request.target = uri, target
    return request


def _read_response(start: str, headers: Headers, body: bytes) -> Response:
    parts = start.split(" ", 2)
    if parts[0].upper() != "SIP/2.0" or len(parts) < 2:
        raise _Fault("malformed_start_line")
    code = parts[1]
    if not (len(code) == 3 and code.isascii() and code.isdigit() and int(code) in _STATUSES):
        raise _Fault("malformed_status")
    response = _read_common(headers, body, Response)
    response.rseq = _optional_number(headers, "rseq", _SECONDS_MAX)
    response.status = int(code)
    if response.method in _FORMS_DIALOG and response.status < 300:
        response.contact = _contact_of_answer(headers)
        response.record_route = _read_record_route(headers)
    return response


def _contact_of_answer(headers: Headers) -> str | None:
    """Return the first Contact of an answer that can be called; None when none can.

    A call that was answered is to be acknowledged, whatever stands there.
    """
    try:
        first = split_list(headers.get("contact", [""])[0])[0]
        contact = parse_name_addr(first)
    except ValueError:
        return None
    return contact.uri if parse_uri(contact.uri).scheme in ("sip", "sips") else None


# --- headers ------------------------------------------------------------------------------


def _read_common(headers: Headers, body: bytes, kind: type[_M]) -> _M:
    for name in _SINGLE:
        if name in headers and len(headers[name]) > 1:
            raise _Fault(f"repeated_{name.replace('-', '_')}")
    via = _read_via(headers)
    call_id = _required(headers, "call-id")
    from_ = _read_address(headers, "from")
    to = _read_address(headers, "to")
    raw_cseq = _required(headers, "cseq")
    try:
        cseq, method = parse_cseq(raw_cseq)
    except ValueError as fault:
        raise _Fault("malformed_cseq") from fault
    asks = kind is Request and method in _FORMS_DIALOG
    return kind(
        method=method,
        headers=headers,
        body=_cut_body(headers, body),
        echo=Echo(tuple(headers["via"]), headers["from"][0], headers["to"][0], call_id, raw_cseq),
        via=via,
        call_id=call_id,
        cseq=cseq,
        from_=from_,
        to=to,
        from_tag=from_.params.get("tag") or "",
        to_tag=to.params.get("tag") or "",
        require=_tokens(headers, "require"),
        supported=_tokens(headers, "supported"),
        contact=_read_contact(headers) if asks else None,
        record_route=_read_record_route(headers) if asks else (),
        content_type=_read_content_type(headers),
        session_expires=_read_session_expires(headers),
        min_se=_optional_number(headers, "min-se", _SECONDS_MAX),
    )


def _required(headers: Headers, name: str) -> str:
    values = headers.get(name)
    if values and 0 < len(values[0]) <= limits.VALUE_CHARS_MAX:
        return values[0]
    word = name.replace("-", "_")
    raise _Fault(f"{word}_too_long" if values and values[0] else f"missing_{word}")


def _read_via(headers: Headers) -> Via:
    lines = headers.get("via", [])
    if len(lines) + "".join(lines).count(",") > limits.VIAS_MAX:
        raise _Fault("too_many_vias")
    top = _required(headers, "via")
    try:
        return parse_via(split_list(top)[0])
    except ValueError as fault:
        in_range = str(fault) != "Via port out of range"
        raise _Fault("malformed_via" if in_range else "via_port_out_of_range") from fault


def _read_address(headers: Headers, name: str) -> NameAddr:
    text = _required(headers, name)
    try:
        return parse_name_addr(text)
    except ValueError as fault:
        raise _Fault(f"malformed_{name}") from fault


def _read_contact(headers: Headers) -> str | None:
    values = headers.get("contact")
    if not values:
        return None
    try:
        (value,) = split_list(values[0])
        contact = parse_name_addr(value)
    except ValueError as fault:
        raise _Fault("malformed_contact") from fault
    if len(values) > 1 or parse_uri(contact.uri).scheme not in ("sip", "sips"):
        raise _Fault("malformed_contact")
    return contact.uri


def _read_record_route(headers: Headers) -> tuple[str, ...]:
    lines = headers.get("record-route")
    if not lines:
        return ()
    try:
        routes = tuple(route for line in lines for route in split_list(line))
        schemes = {parse_uri(parse_name_addr(route).uri).scheme for route in routes}
    except ValueError as fault:
        raise _Fault("malformed_record_route") from fault
    if len(routes) > limits.VIAS_MAX or not schemes <= {"sip", "sips"}:
        raise _Fault("malformed_record_route")
    return routes


def _tokens(headers: Headers, name: str) -> frozenset[str]:
    lines = headers.get(name)
    if not lines:
        return frozenset()
    tokens = {token.strip() for line in lines for token in line.split(",")}
    if not all(is_token(token) for token in tokens if token):
        raise _Fault(f"malformed_{name}")
    return frozenset(token for token in tokens if token)


def _read_content_type(headers: Headers) -> str:
    value = headers.get("content-type", [""])[0]
    if value in ("", limits.SDP_TYPE):
        return value
    media_type = value.partition(";")[0].replace(" ", "").lower()
    kind, slash, subtype = media_type.partition("/")
    if not (slash and is_token(kind) and is_token(subtype)):
        raise _Fault("malformed_content_type")
    return media_type


def _read_session_expires(headers: Headers) -> SessionExpires | None:
    value = headers.get("session-expires")
    if not value:
        return None
    seconds, _, tail = value[0].partition(";")
    try:
        params = parse_params(tail) if tail else {}
        interval_s = parse_number(seconds.strip(), _SECONDS_MAX)
    except ValueError as fault:
        raise _Fault("malformed_session_expires") from fault
    refresher = (params.get("refresher") or "").lower()
    return SessionExpires(interval_s, refresher if refresher in ("uac", "uas") else "")


def _read_rack(headers: Headers) -> tuple[int, int, str]:
    rseq, _, cseq = _required(headers, "rack").partition(" ")
    try:
        number, method = parse_cseq(cseq.strip())
        return parse_number(rseq, _SECONDS_MAX), number, method
    except ValueError as fault:
        raise _Fault("malformed_rack") from fault


def _optional_number(headers: Headers, name: str, maximum: int) -> int | None:
    values = headers.get(name)
    if not values:
        return None
    try:
        return parse_number(values[0].partition(";")[0].strip(), maximum)
    except ValueError as fault:
        raise _Fault(f"malformed_{name.replace('-', '_')}") from fault


def _cut_body(headers: Headers, body: bytes) -> bytes:
    length = _optional_number(headers, "content-length", _SECONDS_MAX)
    if length is None:
        return body
    if length > limits.BODY_BYTES_MAX:
        raise _Fault("body_too_large", 413)
    if length > len(body):
        raise _Fault("body_shorter_than_content_length")
    return body[:length]


def _phrase(reason: str) -> str:
    return f"Bad Request ({reason.replace('_', ' ')})"
