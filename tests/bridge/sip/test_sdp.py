"""Reading session descriptions (RFC 4566)."""

import pytest

from bridge.sip import limits
from bridge.sip.api import Direction
from bridge.sip.sdp import BadSdp, Format, parse_sdp

HEAD = "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"


def sdp(rest: str) -> bytes:
    return (HEAD + rest.replace("\n", "\r\n")).encode()


def test_a_plain_description() -> None:
    (media,) = parse_sdp(
        sdp("c=IN IP4 192.0.2.4/127\nt=1 2\nr=1\nm=audio 4000/2 RTP/AVP 0 097 x 200\n"
            "a=rtpmap:97 iLBC/8000/1\na=rtpmap:broken\na=sendonly\na=ptime:30.5\n")
    ).media  # fmt: skip
    assert (media.kind, media.port, media.host) == ("audio", 4_000, "192.0.2.4")
    assert media.formats == (Format(0, "PCMU", 8_000, 1), Format(97, "ILBC", 8_000, 1))
    assert media.raw_formats == ("0", "097", "x", "200")
    assert media.direction is Direction.SENDONLY
    assert media.ptime_ms == 30


def test_media_lines_override_the_session() -> None:
    first, second = parse_sdp(
        sdp("c=IN IP6 2001:DB8::1\na=inactive\na=ptime:40\na=rtpmap:0 X/1\nt=0 0\n"
            "m=audio 1 RTP/AVP 0\nm=audio 2 RTP/AVP 8\nc=IN IP4 a.example\n"
            "a=recvonly\na=ptime:10\n")
    ).media  # fmt: skip
    assert (first.host, first.direction, first.ptime_ms) == ("2001:db8::1", Direction.INACTIVE, 40)
    assert (second.host, second.direction, second.ptime_ms) == ("a.example", Direction.RECVONLY, 10)


def test_times_are_kept_and_default_to_a_session_without_end() -> None:
    assert parse_sdp(sdp("t=1 2\nr=3\n")).times == ("t=1 2", "r=3")
    assert parse_sdp(sdp("")).times == ("t=0 0",)


@pytest.mark.parametrize(
    ("lines", "ptime_ms"),
    [
        ("", None),
        ("a=ptime:20\n", 20),
        ("a=ptime:0\n", None),
        ("a=ptime:1000\n", None),
        ("a=ptime:many\n", None),
        ("a=maxptime:10\n", 10),
        ("a=maxptime:150\n", None),
        ("a=ptime:40\na=maxptime:30\n", 30),
    ],
)
def test_ptime(lines: str, ptime_ms: int | None) -> None:
    (media,) = parse_sdp(sdp(f"c=IN IP4 192.0.2.1\nm=audio 1 RTP/AVP 0\n{lines}")).media
    assert media.ptime_ms == ptime_ms


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_line_end_is_read(line_end: str) -> None:
    text = sdp("c=IN IP4 192.0.2.1\nm=audio 1 RTP/AVP 0\n").decode().replace("\r\n", line_end)
    assert len(parse_sdp(text.encode()).media) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"\r\nv=1\r\n",
        b"v=0\r\ns=-\r\n",
        sdp("m=audio\n"),
        sdp("m=audio 99999 RTP/AVP 0\n"),
        sdp("m=audio -1 RTP/AVP 0\n"),
        sdp("m=audio 1 RTP/AVP 0\n"),
        sdp("c=IN IP4\n"),
        sdp("c=IN IP5 192.0.2.1\n"),
        sdp("nonsense\n"),
        sdp("ab=c\n"),
        sdp("c=IN IP4 192.0.2.1\n" + "m=audio 1 RTP/AVP 0\n" * (limits.SDP_MEDIA_MAX + 1)),
        sdp("m=audio 1 RTP/AVP" + " 0" * (limits.SDP_FORMATS_MAX + 1) + "\n"),
        sdp("a=x\n" * 10_000),
    ],
)
def test_what_cannot_be_read_is_bad_sdp(body: bytes) -> None:
    with pytest.raises(BadSdp) as caught:
        parse_sdp(body)
    assert caught.value.status == 488


def test_a_switched_off_stream_needs_no_address() -> None:
    assert parse_sdp(sdp("m=video 0 RTP/AVP 31\n")).media[0].port == 0
