"""Finding the session description in a body."""

import pytest

from bridge.sip.bodies import UnsupportedBody, session_body
from bridge.sip.messages import Request, parse
from tests.bridge.sip.bench import OFFER, Bench, request


def message(body: str, content_type: str, headers: str = "") -> Request:
    parsed = parse(
        request("INVITE", body=body, content_type=content_type, headers=headers).encode()
    )
    assert isinstance(parsed, Request)
    return parsed


MULTIPART = (
    "preamble\r\n--b1\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    f"--b1\r\nContent-ID: 1\r\nc : Application/SDP ;x=1\r\n\r\n{OFFER}\r\n--b1--\r\n"
)


def test_sdp_is_found_in_a_multipart_body() -> None:
    kind = 'multipart/mixed;boundary="b1"'
    assert session_body(message(MULTIPART, kind)) == OFFER.encode()
    bench = Bench()
    assert bench.hear(request("INVITE", body=MULTIPART, content_type=kind))[0].status == 100


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (MULTIPART.replace("Application/SDP", "text/sdp"), "multipart/mixed;boundary=b1"),
        (MULTIPART, "multipart/mixed"),
        (MULTIPART, "multipart/mixed;start=1"),
        (MULTIPART, "multipart/mixed;boundary=b1;;"),
        (MULTIPART, "multipart/mixed;boundary=other"),
        ("x", "application/isup"),
    ],
)
def test_a_body_without_sdp_is_unsupported_unless_it_is_optional(
    body: str, content_type: str
) -> None:
    with pytest.raises(UnsupportedBody) as caught:
        session_body(message(body, content_type))
    assert caught.value.status == 415
    optional = "Content-Disposition: signal; handling = optional"
    assert session_body(message(body, content_type, optional)) is None


def test_an_identity_encoding_is_no_encoding() -> None:
    found = session_body(message(OFFER, "application/sdp", "Content-Encoding: Identity"))
    assert found == OFFER.encode()


@pytest.mark.parametrize("accept", ["*/*", "application/*;q=0.1", "text/plain, application/SDP"])
def test_accept_ranges_that_hold_sdp(accept: str) -> None:
    bench = Bench()
    assert bench.hear(request("INVITE", headers=f"Accept: {accept}"))[0].status == 100
