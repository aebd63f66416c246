"""Reads the values of single header fields; knows grammar, not messages or calls.

URIs are read by `sipmessage`. Of its other value parsers we use none: its quoted string runs to
the last quote of the line, it refuses hosts like `node1`, a parameter called `self` makes it
raise TypeError, and it writes parameters back escaped, where Via and tags must be echoed as they
came. Everything here raises ValueError for what is not in the grammar, and nothing else.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple

from sipmessage import URI

from bridge.sip.limits import (
    BRANCH_COOKIE,
    CSEQ_MAX,
    KEPT_CHARS_MAX,
    LIST_VALUES_MAX,
    NAME_CACHE_SIZE,
    URI_CACHE_SIZE,
    URI_CHARS_MAX,
    VALUE_CHARS_MAX,
)

PORT_MAX: Final = 65_535
SENT_BY_CHARS_MAX: Final = 512
"""What a Via says before its parameters, with any blanks; a host name has 253 characters."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_DISPLAY: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~ \t\u0080-\U0010ffff]*")
_SENT_BY: Final = re.compile(
    r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+"
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%]+)(?:\s*:\s*([0-9]{1,10}))?\s*",
    re.IGNORECASE | re.ASCII,
)
"""Here as elsewhere no two repetitions side by side may match the same: time would be squared."""

_CSEQ: Final = re.compile(r"([0-9]{1,10})\s+([A-Za-z0-9\-.!%*_+`'~]+)", re.ASCII)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*")
_OTHER_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*:[!-;=?-~]+")
_SIP_PARTS: Final = re.compile(
    r"(?P<user>[^@]+@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9\-._]*[A-Za-z0-9.])?)"
    r"(?P<rest>(?::[0-9]+)?(?:;[^?]*)?)(?P<headers>\?[!-~]*)?"
)
_TEL: Final = re.compile(
    r"(\+[\-.()]*[0-9][0-9\-.()]*|[\-.()]*[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*)((?:;.*)?)"
)
"""RFC 3966 §3: number and parameters."""

_PLAIN_SIP: Final = re.compile(
    r"(?:([A-Za-z0-9+\-.]+)@)?([A-Za-z0-9](?:[A-Za-z0-9\-._]*[A-Za-z0-9.])?)(?::([0-9]{1,9}))?",
    re.ASCII,
)
"""What nearly every SIP URI is: nothing to decode, no parameters; read in a sixth of the time."""


class Uri(NamedTuple):
    """A parsed URI; for schemes other than sip, sips and tel only the scheme is known.

    Attributes:
        user: percent-decoded user part, or the number of a tel: URI; "" when there is none.
        host: as written, IPv6 in brackets.
        port: None when not written; may be out of range.
        has_headers: it has a `?header=value` part, which no request URI may have.
    """

    scheme: str
    user: str
    host: str
    port: int | None
    params: Mapping[str, str | None]
    has_headers: bool = False


class NameAddr(NamedTuple):
    """The value of From, To, Contact, Route and their like.

    Attributes:
        uri: the text of the URI, parseable by `parse_uri`.
        display: display name without its quotes.
        params: parameters of the header, names in lower case.
    """

    uri: str
    display: str
    params: Mapping[str, str | None]


class Via(NamedTuple):
    """The parts of a topmost Via that decide where an answer goes."""

    transport: str
    host: str
    port: int | None
    params: Mapping[str, str | None]

    @property
    def branch(self) -> str:
        """The branch, "" when missing."""
        return self.params.get("branch") or ""

    @property
    def rfc3261(self) -> bool:
        """True when the branch identifies the transaction (RFC 3261 §17.2.3)."""
        branch = self.params.get("branch") or ""
        cookie = branch.startswith(BRANCH_COOKIE) or branch[:7].lower() == BRANCH_COOKIE.lower()
        return cookie and len(branch) > len(BRANCH_COOKIE)


def parse_uri(text: str) -> Uri:
    """Read a URI; ValueError when it is none."""
    if len(text) <= KEPT_CHARS_MAX:
        return _kept_uri(text)
    if len(text) > URI_CHARS_MAX:
        raise ValueError("URI too long")
    return _read_uri(text)


def _read_uri(text: str) -> Uri:
    scheme_match = _SCHEME.match(text)
    if scheme_match is None or text[scheme_match.end() : scheme_match.end() + 1] != ":":
        raise ValueError("URI without scheme")
    scheme = scheme_match.group().lower()
    if scheme == "tel":
        return _parse_tel_uri(text[4:])
    if scheme not in ("sip", "sips"):
        if not _OTHER_URI.fullmatch(text):
            raise ValueError("malformed URI")
        return Uri(scheme, "", "", None, {})
    return _parse_sip_uri(scheme, text[len(scheme) + 1 :])


_kept_uri: Final = lru_cache(maxsize=URI_CACHE_SIZE)(_read_uri)


def _parse_tel_uri(text: str) -> Uri:
    # sipmessage takes the square of a number's length for it: it gets a stand-in.
    parts = _TEL.fullmatch(text)
    if parts is None:
        raise ValueError("malformed tel URI")
    number, tail = parts.groups()
    return Uri("tel", number, "", None, _lower(_parsed(f"tel:0{tail}").parameters))


def _parse_sip_uri(scheme: str, text: str) -> Uri:
    plain = _PLAIN_SIP.fullmatch(text)
    if plain is not None:
        name, host, port = plain.groups()
        return Uri(scheme, name or "", host, None if port is None else int(port), {})
    # sipmessage knows no host whose last label has a digit or underscore, and no ?headers:
    # it gets a stand-in for the host, and its opinion on everything else counts.
    parts = _SIP_PARTS.fullmatch(text)
    if parts is None:
        raise ValueError("malformed SIP URI")
    user, host, rest = parts["user"] or "", parts["host"], parts["rest"]
    if host.startswith("["):
        ip_address(host[1:-1])
    uri = _parsed(f"{scheme}:{user}host{rest}")
    return Uri(
        scheme, uri.user or "", host, uri.port, _lower(uri.parameters), parts["headers"] is not None
    )


def _parsed(text: str) -> URI:
    try:
        return URI.parse(text)
    except TypeError as fault:  # a parameter that is called `self`
        raise ValueError("malformed URI") from fault


def _lower(params: Mapping[str, str | None]) -> Mapping[str, str | None]:
    return {name.lower(): value for name, value in params.items()}


def parse_name_addr(text: str) -> NameAddr:
    """Read one name-addr or addr-spec with header parameters."""
    if len(text) <= KEPT_CHARS_MAX:
        return _kept_name_addr(text)
    if len(text) > VALUE_CHARS_MAX:
        raise ValueError("value too long")
    return _read_name_addr(text)


def _read_name_addr(text: str) -> NameAddr:
    text = text.strip()
    if text.startswith('"'):
        end = _closing_quote(text)
        display, rest = _unquote(text[1:end]), text[end + 1 :].lstrip()
        if not rest.startswith("<"):
            raise ValueError("no address after the display name")
    else:
        left = text.find("<")
        if left < 0:
            return _parse_addr_spec(text)
        display, rest = text[:left].strip(), text[left:]
        if not _DISPLAY.fullmatch(display):
            raise ValueError("display name must be quoted")
    uri, closed, tail = rest[1:].partition(">")
    if not closed:
        raise ValueError("unclosed address")
    parse_uri(uri)
    return NameAddr(uri, display, _tail_params(tail))


_kept_name_addr: Final = lru_cache(maxsize=URI_CACHE_SIZE)(_read_name_addr)


def _parse_addr_spec(text: str) -> NameAddr:
    # RFC 3261 §20: without brackets what follows a semicolon belongs to the header, and the
    # URI may hold no comma and no question mark.
    uri, _, _ = text.partition(";")
    tail = text[len(uri) :]
    uri = uri.strip()
    if "?" in uri or "," in uri:
        raise ValueError("address must be in brackets")
    parse_uri(uri)
    return NameAddr(uri, "", _tail_params(tail))


def _tail_params(tail: str) -> Mapping[str, str | None]:
    tail = tail.strip()
    if not tail:
        return {}
    if tail[0] != ";":
        raise ValueError("text after the address")
    return parse_params(tail[1:])


def parse_params(text: str) -> Mapping[str, str | None]:
    """Read `name=value;name;...`; names are given in lower case, quotes are taken off."""
    params: dict[str, str | None] = {}
    for part in _split(text, ";"):
        written, equals, value = part.partition("=")
        name = _parameter_name(written)
        value = value.strip()
        if equals and not value:
            raise ValueError("malformed parameter")
        if name in params:
            raise ValueError("parameter given twice")
        if value.startswith('"'):
            if _closing_quote(value) != len(value) - 1:
                raise ValueError("text after a quoted value")
            value = _unquote(value[1:-1])
        params[name] = value if equals else None
    return params


@lru_cache(maxsize=NAME_CACHE_SIZE)
def _parameter_name(written: str) -> str:
    name = written.strip().lower()
    if not _TOKEN.fullmatch(name):
        raise ValueError("malformed parameter")
    return name


def split_list(value: str) -> list[str]:
    """Split a header value at the commas that are in neither quotes nor brackets."""
    if "," not in value:
        return [value.strip()]
    parts = [part.strip() for part in _split(value, ",")]
    if not all(parts):
        raise ValueError("empty value in a list")
    return parts


def _split(text: str, at: str) -> list[str]:
    if len(text) > VALUE_CHARS_MAX:
        raise ValueError("value too long")
    if '"' not in text and "<" not in text:
        parts = text.split(at)
    else:
        parts = _split_outside_quotes(text, at)
    if len(parts) > LIST_VALUES_MAX:
        raise ValueError("too many values")
    return parts


def _split_outside_quotes(text: str, at: str) -> list[str]:
    parts: list[str] = []
    start = position = 0
    while position < len(text):
        char = text[position]
        if char == '"':
            position += _closing_quote(text[position:])
        elif char == "<":
            position = text.find(">", position)
            if position < 0:
                raise ValueError("unclosed address")
        elif char == at:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    parts.append(text[start:])
    return parts


def _closing_quote(text: str) -> int:
    """Return where the quoted string that opens `text` ends."""
    position = 1
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == '"':
            return position
        position += 1
    raise ValueError("unbalanced quotes")


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL) if "\\" in text else text


def parse_via(text: str) -> Via:
    """Read one Via value. A port that cannot be one is a ValueError."""
    if len(text) > VALUE_CHARS_MAX:
        raise ValueError("value too long")
    sent_by, semicolon, params = text.partition(";")
    if "\n" in params or len(sent_by) > SENT_BY_CHARS_MAX:
        raise ValueError("malformed Via")
    return Via(*_sent_by(sent_by), parse_params(params) if semicolon else {})


@lru_cache(maxsize=URI_CACHE_SIZE)
def _sent_by(text: str) -> tuple[str, str, int | None]:
    """Read what a Via says before its parameters: transport, host and port."""
    match = _SENT_BY.fullmatch(text)
    if match is None:
        raise ValueError("malformed Via")
    transport, host, port_text = match.groups()
    port = None if port_text is None else int(port_text)
    if port is not None and not 0 < port <= PORT_MAX:
        raise ValueError("Via port out of range")
    return transport.upper(), host.lower(), port


def parse_cseq(text: str) -> tuple[int, str]:
    """Read a CSeq into its number and method."""
    match = _CSEQ.fullmatch(text)
    if match is None or int(match[1]) > CSEQ_MAX:
        raise ValueError("malformed CSeq")
    return int(match[1]), match[2]


def parse_number(text: str, maximum: int) -> int:
    """Read a plain decimal number in [0, maximum]."""
    plain = text.isascii() and text.isdigit()
    if not plain or (len(text) > 9 and len(text) > len(str(maximum)) + 8):
        raise ValueError("not a number")
    number = int(text)
    if number > maximum:
        raise ValueError("number too large")
    return number


def is_token(text: str) -> bool:
    """True when `text` may be a method or another bare word of SIP."""
    return _TOKEN.fullmatch(text) is not None


@lru_cache(maxsize=URI_CACHE_SIZE)
def literal_ip(host: str) -> str | None:
    """Return a literal IP address without brackets, None for a name.

    >>> literal_ip("[2001:DB8::1]"), literal_ip("example.com")
    ('2001:db8::1', None)
    """
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return None


@lru_cache(maxsize=URI_CACHE_SIZE)
def is_unspecified(literal: str) -> bool:
    """True for the literal address that stands for none: 0.0.0.0 or ::."""
    return ip_address(literal).is_unspecified


@lru_cache(maxsize=URI_CACHE_SIZE)
def is_private(host: str) -> bool:
    """True for an address that only a private network routes; false for names."""
    literal = literal_ip(host)
    return literal is not None and ip_address(literal).is_private


@lru_cache(maxsize=URI_CACHE_SIZE)
def bracketed(host: str) -> str:
    """Write a host as URIs and Via want it: IPv6 in brackets.

    >>> bracketed("::1"), bracketed("192.0.2.1")
    ('[::1]', '192.0.2.1')
    """
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
