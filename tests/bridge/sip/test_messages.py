"""The door from bytes to messages: every fault has its name, and its answer where one can be."""

import pytest

from bridge.sip import limits
from bridge.sip.messages import Malformed, Request, Response, parse
from tests.bridge.sip.bench import Bench, request

VIA = "Via: SIP/2.0/UDP 192.0.2.20:5062;branch=z9hG4bKa1;rport"
ROUTES = "Record-Route"
BAD_ROUTE = "malformed_record_route"


def wire(old: str, new: str, method: str = "OPTIONS", **changes: str) -> bytes:
    text = request(method, **changes)  # type: ignore[arg-type]  # only strings here
    assert old in text
    return text.replace(old, new, 1).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("data", "reason", "status"),
    [
        (b"", "empty", 0),
        (b"\r\n\r\n", "keepalive", 0),
        (b"\0", "keepalive", 0),
        (b"hello", "no_end_of_headers", 0),
        (b"\x00\x01\x00\x08!\x12\xa4B" + b"x" * 12, "no_end_of_headers", 0),
        (request("OPTIONS").encode().replace(b"\r\n\r\n", b"\r\n"), "no_end_of_headers", 400),
        (request("OPTIONS").encode().replace(b"\r\n", b"\n"), "no_end_of_headers", 400),
        (wire("Call-ID", f"X: {'y' * 64_000}\r\nCall-ID"), "headers_too_large", 513),
        (wire("Call-ID", "X: y\r\n" * 300 + "Call-ID"), "too_many_headers", 400),
        (wire("Call-ID", f"{VIA}\r\n" * 1_000 + "Call-ID"), "too_many_headers", 400),
        (wire("Call-ID", f"{VIA}\r\n" * 100 + "Call-ID"), "too_many_vias", 400),
        (wire(";rport", ";rport" + ", SIP/2.0/UDP h" * 100), "too_many_vias", 400),
        (wire("Call-ID", f"Via: SIP/2.0/UDP {'h' * 8_192}\r\nCall-ID"), "vias_too_long", 400),
        (wire("Ann", "n" * 8_000, call_id="c" * 8_000), "echo_too_long", 400),
        (wire("Call-ID", f"Require: {'r,' * 4_097}\r\nCall-ID"), "require_too_long", 400),
        (wire("join@", "jo\0in@"), "nul_in_headers", 400),
        (wire("Call-ID: c1", "Call-ID: \udcff"), "not_utf8", 400),
        (wire("Call-ID: c1", "Call-ID: a\nb"), "bare_line_break", 400),
        (wire("Call-ID: c1", "Call-ID: a\rb"), "bare_line_break", 400),
        (wire("Call-ID: c1", "Call-ID c1"), "malformed_header_line", 400),
        (wire("Call-ID: c1", ": c1"), "malformed_header_line", 400),
        (wire("Call-ID: c1", "Call-ID:"), "missing_call_id", 400),
        (wire("Call-ID: c1", f"Call-ID: {'c' * 9_000}"), "call_id_too_long", 400),
        (wire("192.0.2.20:5062;branch", "192.0.2.20:99999;branch"), "via_port_out_of_range", 400),
        (wire("192.0.2.20:5062;branch", "192.0.2.20:0;branch"), "via_port_out_of_range", 400),
        (wire("SIP/2.0/UDP", "SIP/3.0/UDP"), "malformed_via", 400),
        (wire(VIA, "Via: "), "missing_via", 400),
        (wire(VIA, "X: y"), "missing_via", 0),
        (wire("OPTIONS sip", "OPT@ONS sip"), "malformed_start_line", 400),
        (wire(" SIP/2.0\r\n", "\r\n"), "malformed_start_line", 400),
        (wire("Max-Forwards: 70", "Max-Forwards: many"), "malformed_max_forwards", 400),
        (wire("Content-Length: 0", "Content-Length: 1"), "body_shorter_than_content_length", 400),
        (wire("Call-ID", "Content-Type: sdp\r\nCall-ID"), "malformed_content_type", 400),
        (wire("Call-ID", "Require: a b\r\nCall-ID"), "malformed_require", 400),
        (wire("Call-ID", "x: soon\r\nCall-ID"), "malformed_session_expires", 400),
        (wire("Call-ID", "x: 90;;\r\nCall-ID"), "malformed_session_expires", 400),
        (wire("Call-ID", "RAck: 1 INVITE\r\nCall-ID", "PRACK"), "malformed_rack", 400),
        (wire("Call-ID", "RAck: x 1 INVITE\r\nCall-ID", "PRACK"), "malformed_rack", 400),
        (request("PRACK").encode(), "missing_rack", 400),
        (wire("Contact: <sip:", "Contact: <tel:", "INVITE"), "malformed_contact", 400),
        (wire("Contact: ", "Contact: <sip:b@h>, ", "INVITE"), "malformed_contact", 400),
        (wire("Contact: ", "Contact: <sip:b@h>\r\nContact: ", "INVITE"), "malformed_contact", 400),
        (wire("Call-ID", f"{ROUTES}: <sip:a@h>,\r\nCall-ID", "INVITE"), BAD_ROUTE, 400),
        (wire("Call-ID", f"{ROUTES}: <tel:1>\r\nCall-ID", "INVITE"), BAD_ROUTE, 400),
        (wire("CSeq: 1 ACK", "CSeq: x", "ACK"), "malformed_cseq", 0),
        (b"SIP/2.0\r\nVia: x\r\n\r\n", "malformed_start_line", 0),
        (b"SIP/2.0 99 x\r\nVia: x\r\n\r\n", "malformed_status", 0),
        (b"SIP/2.0 700\r\nVia: x\r\n\r\n", "malformed_status", 0),
    ],
)  # fmt: skip
def test_a_fault_is_counted_by_name_and_answered_where_it_can_be(
    data: bytes, reason: str, status: int
) -> None:
    bench = Bench()
    sent = bench.hear(data)
    assert bench.dropped == [reason]
    assert [message.status for message in sent] == ([status] if status else [])
    bench.assert_empty()


def test_a_400_gives_the_reason_and_a_tag_and_echoes_bytes_that_are_no_utf8() -> None:
    bench = Bench()
    data = (
        request("OPTIONS")
        .replace("Call-ID: c1", "Call-ID: \udcff")
        .encode(errors="surrogateescape")
    )
    (answer,) = bench.hear(data)
    assert answer.start == "SIP/2.0 400 Bad Request (not utf8)"
    assert b"Call-ID: \xff\r\n" in answer.data
    assert answer.to_tag
    (tagged,) = bench.hear(data.replace(b"To: <sip:join@192.0.2.10>", b"To: <sip:a@b> ; TAG = 1"))
    assert tagged.header("To") == "<sip:a@b> ; TAG = 1"


def test_compact_names_any_case_and_folding_are_read() -> None:
    text = (
        "INVITE sip:join@h SIP/2.0\r\n"
        "v: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        "F: <sip:a@h>;tag=1\r\n"
        "t: <sip:b@h>\r\n"
        "i: call\r\n"
        "cSeQ: 1\r\n INVITE\r\n"
        "m: <sip:a@h>\r\n"
        "k: timer,\r\n\t100rel\r\n"
        "x: 1800 ;refresher=UAC\r\n"
        "c: application/SDP;charset=x\r\n"
        "l: 3\r\n"
        "\r\nabcdef"
    )
    message = parse(text.encode())
    assert isinstance(message, Request)
    assert message.supported == {"timer", "100rel"}
    assert message.session_expires == (1_800, "uac")
    assert message.content_type == "application/sdp"
    assert message.body == b"abc"
    assert message.contact == "sip:a@h"
    assert message.max_forwards is None


def test_line_breaks_before_the_start_line_are_skipped() -> None:
    assert isinstance(parse(b"\r\n\r\n" + request("OPTIONS").encode()), Request)


def test_a_response_without_a_phrase_is_read() -> None:
    text = request("OPTIONS").replace("OPTIONS sip:join@192.0.2.10 SIP/2.0", "SIP/2.0 200")
    message = parse(text.encode())
    assert isinstance(message, Response)
    assert message.status == 200


def test_an_unknown_refresher_counts_as_none() -> None:
    message = parse(request("UPDATE", headers="Session-Expires: 90;refresher=me").encode())
    assert isinstance(message, Request)
    assert message.session_expires == (90, "")


def test_the_phrase_of_other_statuses_is_the_standard_one() -> None:
    assert Malformed("headers_too_large", 513).phrase == limits.PHRASES[513]
