"""Reads and writes session descriptions (RFC 4566, RFC 3264); knows no call and no codec choice.

Only what offer and answer need is kept; unknown lines are skipped. Raises `BadSdp` and nothing
else.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from bridge.errors import SipRemoteError
from bridge.frozen import frozen
from bridge.sip import limits
from bridge.sip.api import Direction
from bridge.sip.headers import PORT_MAX, literal_ip

_MEDIA: Final = re.compile(r"([A-Za-z0-9\-]+) +([0-9]{1,6})(?:/[0-9]+)? +(\S+) +(.+)", re.ASCII)
_RTPMAP: Final = re.compile(r"([0-9]{1,3}) +([^/\s]+)/([0-9]{1,7})(?:/([0-9]{1,3}))?", re.ASCII)
_CONNECTION: Final = re.compile(r"IN +(IP4|IP6) +([^\s/]+)(?:/\S*)?", re.ASCII)
_DIRECTIONS: Final = {direction.value: direction for direction in Direction}
_STATIC: Final = {0: ("PCMU", 8_000, 1), 8: ("PCMA", 8_000, 1), 9: ("G722", 8_000, 1)}
_PAYLOAD_TYPES: Final = range(128)


class BadSdp(SipRemoteError):
    """A session description that cannot be read."""

    code = "bad_sdp"

    def __init__(self, reason: str) -> None:
        super().__init__(488, reason)


class Format(NamedTuple):
    """One payload type of a media line with its encoding, name in upper case."""

    payload_type: int
    name: str
    clock_rate_hz: int
    channels: int


@frozen
class Media:
    """One m= section.

    Attributes:
        protocol: "RTP/AVP" and the like.
        raw_formats: as written; `formats` are those with a known encoding, in order.
        host: of c=, "" when there is none.
        ptime_ms: None when not given or senseless.
    """

    kind: str
    port: int
    protocol: str
    raw_formats: tuple[str, ...]
    formats: tuple[Format, ...]
    host: str
    direction: Direction
    ptime_ms: int | None


@frozen
class Sdp:
    """A session description.

    Attributes:
        times: raw t= (and r=) lines, which an answer repeats.
    """

    media: tuple[Media, ...]
    times: tuple[str, ...]


_Encoding = tuple[str, int, int]
"""Name in upper case, clock rate, channels."""


@dataclass(slots=True)
class _Section:
    """What is collected of the session part or of one m= section."""

    header: re.Match[str] | None = None
    host: str = ""
    direction: Direction | None = None
    ptime: str = ""
    max_ptime: str = ""
    rtpmap: dict[int, _Encoding] | None = None


def parse_sdp(body: bytes) -> Sdp:
    """Read a session description."""
    if len(body) > limits.SDP_BYTES_MAX:
        raise BadSdp("SDP too large")
    text = body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line for line in text.split("\n") if line]
    if not lines or lines[0].strip() != "v=0":
        raise BadSdp("SDP does not start with v=0")
    session = _Section()
    sections: list[_Section] = []
    times: list[str] = []
    origin = False
    for line in lines[1:]:
        kind, equals, value = line.partition("=")
        if not equals or len(kind) != 1:
            raise BadSdp("SDP line without =")
        value = value.strip()
        if kind == "m":
            sections.append(_open_media(value, len(sections)))
        elif kind in "tr" and not sections:
            times.append(f"{kind}={value}")
        elif kind == "o":
            origin = True
        else:
            _read_line(sections[-1] if sections else session, kind, value)
    if not origin:
        raise BadSdp("SDP without o=")
    media = tuple(_close_media(section, session) for section in sections)
    return Sdp(media, tuple(times) or ("t=0 0",))


def _open_media(value: str, before: int) -> _Section:
    header = _MEDIA.fullmatch(value)
    if header is None or int(header[2]) > PORT_MAX:
        raise BadSdp("malformed m= line")
    formats = header[4].split()
    if before >= limits.SDP_MEDIA_MAX or len(formats) > limits.SDP_FORMATS_MAX:
        raise BadSdp("too many media")
    if max(map(len, formats)) > limits.SDP_FORMAT_CHARS_MAX:
        raise BadSdp("format too long")
    return _Section(header, rtpmap={})


def _read_line(section: _Section, kind: str, value: str) -> None:
    if kind == "c":
        section.host = _connection_host(value)
    elif kind == "a":
        name, _, argument = value.partition(":")
        if name in _DIRECTIONS:
            section.direction = _DIRECTIONS[name]
        elif name == "ptime":
            section.ptime = argument.strip()
        elif name == "maxptime":
            section.max_ptime = argument.strip()
        elif name == "rtpmap" and section.rtpmap is not None:
            found = _rtpmap(argument)
            if found is not None:
                section.rtpmap[found[0]] = found[1]


# The same few lines come with every call of a trunk or a make of phone: each is read once.


@lru_cache(maxsize=limits.NAME_CACHE_SIZE)
def _connection_host(value: str) -> str:
    connection = _CONNECTION.fullmatch(value)
    if connection is None:
        raise BadSdp("malformed c= line")
    return literal_ip(connection[2]) or connection[2]


@lru_cache(maxsize=limits.NAME_CACHE_SIZE)
def _rtpmap(argument: str) -> tuple[int, _Encoding] | None:
    found = _RTPMAP.fullmatch(argument.strip())
    if found is None:
        return None
    return int(found[1]), (found[2].upper(), int(found[3]), int(found[4] or 1))


@lru_cache(maxsize=limits.NAME_CACHE_SIZE)
def _payload_type(text: str) -> int | None:
    usable = text.isascii() and text.isdigit() and int(text) in _PAYLOAD_TYPES
    return int(text) if usable else None


def _close_media(section: _Section, session: _Section) -> Media:
    header, rtpmap = section.header, section.rtpmap
    assert header is not None
    assert rtpmap is not None
    kind, port, protocol = header[1].lower(), int(header[2]), header[3]
    raw_formats = tuple(header[4].split())
    host = section.host or session.host
    if port and not host:
        raise BadSdp("SDP without c=")
    return Media(
        kind=kind,
        port=port,
        protocol=protocol,
        raw_formats=raw_formats,
        formats=tuple(_formats(raw_formats, rtpmap)) if kind == "audio" else (),
        host=host,
        direction=section.direction or session.direction or Direction.SENDRECV,
        ptime_ms=_ptime(section.ptime or session.ptime, section.max_ptime or session.max_ptime),
    )


def _formats(raw: tuple[str, ...], rtpmap: dict[int, _Encoding]) -> list[Format]:
    found = []
    for number in map(_payload_type, raw):
        if number is None:
            continue
        encoding = rtpmap.get(number) or _STATIC.get(number)
        if encoding is not None:
            found.append(Format(number, *encoding))
    return found


@lru_cache(maxsize=limits.NAME_CACHE_SIZE)
def _ptime(ptime: str, max_ptime: str) -> int | None:
    # Some write 20.0; a packet longer than the other side can take is never right.
    wanted = _milliseconds(ptime)
    longest = _milliseconds(max_ptime)
    if longest is not None and (wanted or limits.PTIME_MS) > longest:
        wanted = longest
    if wanted is None or not limits.PTIME_MS_MIN <= wanted <= limits.PTIME_MS_MAX:
        return None
    return wanted


def _milliseconds(text: str) -> int | None:
    whole = text.partition(".")[0]
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 7 else None


# --- writing ------------------------------------------------------------------------------


@frozen
class Line:
    """One m= section to write; port 0 refuses the stream."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[str, ...] = ()


def address_type(host: str) -> str:
    """Return IP4 or IP6 for a literal address."""
    return "IP6" if ":" in host else "IP4"


def write_sdp(host: str, times: tuple[str, ...], lines: tuple[Line, ...]) -> str:
    """Write a description but for its o= line, which `with_origin` puts in."""
    text = ["s=-", f"c=IN {address_type(host)} {host}", *times]
    for line in lines:
        text.append(f"m={line.kind} {line.port} {line.protocol} {' '.join(line.formats)}")
        text += [f"a={attribute}" for attribute in line.attributes]
    return "\r\n".join(text) + "\r\n"


def with_origin(text: str, host: str, session_id: int, version: int) -> bytes:
    """Complete a description: `version` counts its changes (RFC 3264 §5)."""
    origin = f"o=- {session_id} {version} IN {address_type(host)} {host}"
    return f"v=0\r\n{origin}\r\n{text}".encode()
