"""The one door from bytes to a checked message; knows RFC 3261 §7 and §20, no transaction.

Everything that later code reads is read here once, so that what is wrong with a message shows
here, as a `Malformed` with a named reason and, where the sender can be answered, what an answer
must echo. Folded lines are unfolded first. No bytes make this module raise.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from sipmessage.message import COMPACT_FORMS

from bridge.sip import limits
from bridge.sip.fields import (
    SECONDS_MAX,
    SINGLE,
    Fault,
    Headers,
    SessionExpires,
    contact_of_answer,
    cut_body,
    optional_number,
    read_address,
    read_contact,
    read_content_type,
    read_rack,
    read_record_route,
    read_session_expires,
    read_tokens,
    read_via,
    required,
    without_bad,
)
from bridge.sip.headers import NameAddr, Uri, Via, is_token, parse_cseq, parse_uri

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

_FORMS_DIALOG: Final = ("INVITE", "UPDATE")
"""Methods whose Contact says where the other side is from now on."""

_BORNE_IN_ANSWERS: Final = ("not_utf8", "malformed_header_line")
"""Faults of lines that an answer may have and still end its request."""

_URI_SCHEMES: Final = frozenset({"sip", "sips", "tel"})
_STATUSES: Final = range(100, 700)
_NO_URI: Final = Uri("", "", "", None, {})


class Echo(NamedTuple):
    """The raw header values that every answer repeats; empty strings for what is missing."""

    vias: tuple[str, ...]
    from_: str
    to: str
    call_id: str
    cseq: str

    @property
    def chars(self) -> int:
        """How many characters that is."""
        vias, from_, to, call_id, cseq = self
        return sum(map(len, vias)) + len(from_) + len(to) + len(call_id) + len(cseq)


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


def parse(data: bytes, *, stream: bool = False) -> Request | Response | Malformed:
    """Read one message; the body of a datagram may be cut to its Content-Length.

    On a `stream` it must have one (RFC 3261 §20.14).
    """
    if not data.strip(b"\r\n\t \0"):
        return Malformed("keepalive" if data else "empty")
    head, body, fault = _split_head(data.lstrip(b"\r\n"))
    start, headers, line_fault = _read_lines(head)
    fault = fault or line_fault
    is_answer = start[:4].upper() == "SIP/"
    try:
        if fault is not None and not (is_answer and fault.reason in _BORNE_IN_ANSWERS):
            raise fault
        if stream and "content-length" not in headers:
            raise Fault("missing_content_length")
        if is_answer:
            return _read_response(start, headers, body)
        return _read_request(start, headers, body)
    except Fault as found:
        return Malformed(found.reason, found.status, _echo(start, headers))


# --- lines --------------------------------------------------------------------------------


def _split_head(data: bytes) -> tuple[str, bytes, Fault | None]:
    fault: Fault | None = None
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        fault = Fault("no_end_of_headers")
        head, body = data.strip(), b""
        if b"\r\n" not in head:
            head = head.partition(b"\n\n")[0].replace(b"\n", b"\r\n")
    if len(head) > limits.HEAD_BYTES_MAX:
        fault = Fault("headers_too_large", 513)
    if b"\0" in head and b"\0" in head.replace(b"\\\0", b""):
        fault = fault or Fault("nul_in_headers")
    try:
        return head.decode("utf-8"), body, fault
    except UnicodeDecodeError:
        # Surrogates keep the bytes, so that what is echoed is what came.
        return head.decode("utf-8", "surrogateescape"), body, fault or Fault("not_utf8")


def _read_lines(head: str) -> tuple[str, dict[str, list[str]], Fault | None]:
    if "\r\n " in head or "\r\n\t" in head:
        head = _FOLD.sub(" ", head)
    start, *lines = head.split("\r\n")
    fault: Fault | None = None
    if head.count("\n") != len(lines) or head.count("\r") != len(lines):
        fault = Fault("bare_line_break")
    if len(lines) > limits.HEADER_LINES_MAX:
        fault = fault or Fault("too_many_headers")
    headers: dict[str, list[str]] = {}
    for line in lines:
        written, colon, value = line.partition(":")
        name = _USUAL.get(written)
        if name is None:
            name = written.strip().lower()
            name = _COMPACT.get(name, name)
        if not colon or not name:
            fault = fault or Fault("malformed_header_line")
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
        raise Fault("malformed_start_line")
    if version != "SIP/2.0":
        raise Fault("version_not_supported", 505)
    if len(parts) != 3 or not is_token(parts[0]):
        raise Fault("malformed_start_line")
    method, uri, _ = parts
    request = _read_common(headers, body, Request)
    if request.method != method:
        raise Fault("cseq_method_mismatch")
    if request.echo.chars > limits.ECHO_CHARS_MAX:
        raise Fault("echo_too_long")
    if len(uri) > limits.URI_CHARS_MAX:
        raise Fault("request_uri_too_long", 414)
    request.max_forwards = optional_number(headers, "max-forwards", limits.MAX_FORWARDS_MAX)
    try:
        target = parse_uri(uri)
    except ValueError as fault:
        raise Fault("malformed_request_uri") from fault
    if target.scheme not in _URI_SCHEMES:
        raise Fault("unsupported_uri_scheme", 416)
    if target.has_headers:
        raise Fault("headers_in_request_uri")
    if method == "PRACK":
        request.rack = read_rack(headers)
    request.uri, request.target = uri, target
    return request


def _read_response(start: str, headers: Headers, body: bytes) -> Response:
    parts = start.split(" ", 2)
    if parts[0].upper() != "SIP/2.0" or len(parts) < 2:
        raise Fault("malformed_start_line")
    code = parts[1]
    if not (len(code) == 3 and code.isascii() and code.isdigit() and int(code) in _STATUSES):
        raise Fault("malformed_status")
    try:
        return _read_answer(headers, body, int(code))
    except Fault:
        return _read_answer(without_bad(headers), body, int(code))


def _read_answer(headers: Headers, body: bytes, status: int) -> Response:
    response = _read_common(headers, body, Response)
    response.rseq = optional_number(headers, "rseq", SECONDS_MAX)
    response.status = status
    if response.method in _FORMS_DIALOG and status < 300:
        response.contact = contact_of_answer(headers)
        response.record_route = read_record_route(headers)
    return response


# --- headers ------------------------------------------------------------------------------


def _read_common(headers: Headers, body: bytes, kind: type[_M]) -> _M:
    for name in SINGLE:
        if name in headers and len(headers[name]) > 1:
            raise Fault(f"repeated_{name.replace('-', '_')}")
    via = read_via(headers)
    call_id = required(headers, "call-id")
    from_ = read_address(headers, "from")
    to = read_address(headers, "to")
    raw_cseq = required(headers, "cseq")
    try:
        cseq, method = parse_cseq(raw_cseq)
    except ValueError as fault:
        raise Fault("malformed_cseq") from fault
    asks = kind is Request and method in _FORMS_DIALOG
    return kind(
        method=method,
        headers=headers,
        body=cut_body(headers, body),
        echo=Echo(tuple(headers["via"]), headers["from"][0], headers["to"][0], call_id, raw_cseq),
        via=via,
        call_id=call_id,
        cseq=cseq,
        from_=from_,
        to=to,
        from_tag=from_.params.get("tag") or "",
        to_tag=to.params.get("tag") or "",
        require=read_tokens(headers, "require"),
        supported=read_tokens(headers, "supported"),
        contact=read_contact(headers) if asks else None,
        record_route=read_record_route(headers) if asks else (),
        content_type=read_content_type(headers),
        session_expires=read_session_expires(headers),
        min_se=optional_number(headers, "min-se", SECONDS_MAX),
    )


def _phrase(reason: str) -> str:
    return f"Bad Request ({reason.replace('_', ' ')})"
