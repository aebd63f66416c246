"""What an outsider's messages do to `tollbridge serve`: transactions, faults, ways of writing.

Every message is written out here, none by `bridge.sip`; each test is a line that was a fault of
some SIP stack once.
"""

import os
import re
import signal
import time

import pytest

from tests.peers.probing import TOLL_FREE, Serving, kinds, left_reason, story
from tests.peers.sip_wire import HOST, Talk, token

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]


# --- INVITE and its answers ---------------------------------------------------------------


def test_an_invite_that_is_repeated_is_one_leg(bridge: Serving, talk: Talk) -> None:
    text = talk.invite()
    for _ in range(5):
        talk.wire.send(text)
    answers = [talk.wire.answer("INVITE"), *talk.wire.drain(0.3)]
    finals = [m for m in answers if m.status >= 200]
    assert {m.status for m in finals} == {200}
    assert len({m.to_tag for m in answers if m.status > 100}) == 1
    assert len({m.body for m in finals}) == 1
    talk.take(finals[0])
    talk.ack()
    talk.bye()
    assert left_reason(bridge, talk) == "hung_up"
    seen = kinds(bridge, talk)
    assert seen["leg.answered"] == seen["leg.left"] == 1


def test_a_200_is_repeated_until_its_ack(talk: Talk) -> None:
    asked = time.monotonic()
    talk.invite()
    first = talk.wire.answer("INVITE")
    answered = time.monotonic()
    second = talk.wire.answer("INVITE", timeout_s=2)
    repeated = time.monotonic()
    assert repeated - asked > 0.5, "not before T1 (RFC 3261 §13.3.1.4)"
    assert repeated - answered < 1.5
    assert second == first
    talk.take(first)
    talk.ack()
    assert not talk.wire.drain(1.2)
    talk.bye()


def test_a_failure_is_repeated_until_its_ack(talk: Talk) -> None:
    talk.uri = talk.target = f"sip:999@{HOST}"
    talk.invite()
    first = talk.wire.answer("INVITE")
    assert first.status == 404
    assert talk.wire.answer("INVITE", timeout_s=2) == first
    talk.ack_failure(first)
    assert not talk.wire.drain(1.2)


def test_bye_and_reinvite_are_answered_again_when_repeated(talk: Talk) -> None:
    talk.up()
    talk.cseq += 1
    again = talk.text("INVITE", body=talk.offer())
    talk.wire.send(again)
    first = talk.wire.answer("INVITE")
    talk.wire.send(again)
    assert talk.wire.answer("INVITE") == first
    talk.ack()
    talk.wire.send(again)  # late, after the ACK: absorbed, and no error
    assert {m.status for m in talk.wire.drain()} <= {200}
    talk.cseq += 1
    bye = talk.text("BYE")
    talk.wire.send(bye)
    answers = [talk.wire.answer("BYE")]
    talk.wire.send(bye)
    answers.append(talk.wire.answer("BYE"))
    assert answers[0] == answers[1]
    assert answers[0].status == 200


def test_an_ack_that_is_repeated_does_nothing(talk: Talk) -> None:
    talk.up()
    talk.ack()
    talk.ack()
    assert not talk.wire.drain()
    talk.bye()


def test_cancel_after_the_200_changes_nothing(talk: Talk) -> None:
    talk.invite()
    branch = talk.branch
    answer = talk.wire.answer("INVITE")
    cancel = talk.text("CANCEL", branch=branch)
    for _ in range(2):
        talk.wire.send(cancel)
        assert talk.wire.answer("CANCEL").status == 200
    talk.take(answer)
    talk.ack()
    assert talk.ask("OPTIONS").status == 200
    talk.bye()


def test_cancel_of_nothing_is_481(talk: Talk) -> None:
    talk.wire.send(talk.text("CANCEL"))
    assert talk.wire.answer("CANCEL").status == 481


@pytest.mark.parametrize("order", ["INVITE first", "INVITE twice"])
def test_cancel_before_the_answer_is_200_and_the_invite_487(
    bridge: Serving, talk: Talk, order: str
) -> None:
    os.kill(bridge.pid, signal.SIGSTOP)  # so that both are there before anything is decided
    try:
        text = talk.invite()
        branch = talk.branch
        if order == "INVITE twice":
            talk.wire.send(text)
        cancel = talk.text("CANCEL", branch=branch)
        talk.wire.send(cancel)
    finally:
        os.kill(bridge.pid, signal.SIGCONT)
    finals = {m.method: m for m in (talk.wire.answer(), talk.wire.answer())}
    assert (finals["CANCEL"].status, finals["INVITE"].status) == (200, 487)
    assert finals["CANCEL"].to_tag == finals["INVITE"].to_tag
    talk.wire.send(cancel)
    assert talk.wire.answer("CANCEL") == finals["CANCEL"]
    talk.branch = branch
    talk.ack_failure(finals["INVITE"])
    talk.wire.drain()
    assert not story(bridge, talk)


@pytest.mark.parametrize("round_", range(5))
def test_cancel_that_races_the_answer_ends_the_call_one_way(
    bridge: Serving, talk: Talk, round_: int
) -> None:
    talk.invite()
    branch = talk.branch
    time.sleep(round_ * 0.0015)
    talk.wire.send(talk.text("CANCEL", branch=branch))
    finals = {m.method: m for m in (talk.wire.answer(), talk.wire.answer())}
    assert finals["CANCEL"].status == 200
    invited = finals["INVITE"]
    assert invited.status in (200, 487)
    if invited.status == 487:
        talk.branch = branch
        talk.ack_failure(invited)
        talk.wire.drain()
        # If the fact was on its way to the disk it is closed again, and costs nothing.
        if kinds(bridge, talk)["leg.answered"]:
            left_reason(bridge, talk)
        seen = kinds(bridge, talk)
        assert seen["leg.answered"] == seen["leg.left"] <= 1
    else:
        talk.take(invited)
        talk.ack()
        talk.bye()
        assert left_reason(bridge, talk) == "hung_up"


def test_bye_before_the_ack_ends_the_call(bridge: Serving, talk: Talk) -> None:
    talk.invite()
    talk.take(talk.wire.answer("INVITE"))
    talk.bye()
    assert left_reason(bridge, talk) == "hung_up"
    assert not [m for m in talk.wire.drain(1.2) if m.status]


def test_a_merged_request_is_482(talk: Talk) -> None:
    talk.invite()
    answer = talk.wire.answer("INVITE")
    talk.wire.send(talk.text("INVITE", body=talk.offer()))  # another branch, all else equal
    while (merged := talk.wire.answer("INVITE")) == answer:  # the 200 once more
        pass
    assert merged.status == 482
    talk.ack_failure(merged)
    talk.take(answer)
    talk.ack()
    talk.bye()


# --- refused at the door ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "INVITE", "PRACK", "OPTIONS"])
def test_an_unknown_to_tag_is_481(talk: Talk, method: str) -> None:
    talk.to_tag = "nobody"
    extra = ("RAck: 1 1 INVITE",) if method == "PRACK" else ()
    assert talk.ask(method, *extra).status == 481


@pytest.mark.parametrize("method", ["FOO", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH", "invite"])
def test_a_method_that_is_not_ours_is_405_with_allow(talk: Talk, method: str) -> None:
    answer = talk.ask(method)
    assert answer.status == 405
    assert {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"} <= set(answer.value("Allow").split(", "))


def test_refer_is_603_in_and_out_of_a_call(talk: Talk) -> None:
    assert talk.ask("REFER", "Refer-To: <sip:a@192.0.2.1>").status == 603
    talk.up()
    assert talk.ask("REFER", "Refer-To: <sip:a@192.0.2.1>").status == 603
    talk.bye()


def test_an_unknown_extension_is_420_with_unsupported(talk: Talk) -> None:
    answer = talk.ask("INVITE", "Require: teleport, timer", body=talk.offer())
    assert (answer.status, answer.value("Unsupported")) == (420, "teleport")


MALFORMED = {
    "no_call_id": ("Call-ID:", "", 400),
    "no_from": ("From:", "", 400),
    "no_to": ("To:", "", 400),
    "no_cseq": ("CSeq:", "", 400),
    "cseq_word": ("CSeq:", "CSeq: one INVITE", 400),
    "cseq_other_method": ("CSeq:", "CSeq: 1 BYE", 400),
    "cseq_too_large": ("CSeq:", "CSeq: 4294967296 INVITE", 400),
    "no_contact": ("Contact:", "", 400),
    "contact_garbage": ("Contact:", "Contact: <<>>", 400),
    "max_forwards_word": ("Max-Forwards:", "Max-Forwards: many", 400),
    "max_forwards_0": ("Max-Forwards:", "Max-Forwards: 0", 483),
    "length_too_long": ("Content-Length:", "Content-Length: 9999", 400),
    "length_negative": ("Content-Length:", "Content-Length: -1", 400),
    "length_word": ("Content-Length:", "Content-Length: some", 400),
    "two_lengths": ("Content-Length:", "Content-Length: 0\r\nContent-Length: 0", 400),
    "line_without_colon": ("Contact:", "just text", 400),
    "from_unclosed": ("From:", "From: <sip:probe@127.0.0.1;tag=1", 400),
    "from_quote": ("From:", 'From: "probe <sip:probe@127.0.0.1>;tag=1', 400),
    "session_expires_small": (
        "Contact:",
        "Contact: <sip:p@127.0.0.1>\r\nSupported: timer\r\nSession-Expires: 30",
        422,
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_answered_with_a_reason(talk: Talk, name: str) -> None:
    start, instead, status = MALFORMED[name]
    text = talk.text("INVITE", body=talk.offer(), swap={start: instead})
    talk.wire.send(text)
    heard = talk.wire.hear()
    assert heard
    assert heard.status == status
    assert len(heard.start.split(" ", 2)[2]) > 5
    if status == 422:
        assert heard.value("Min-SE") == "90"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("INVITE sip:482913@127.0.0.1 SIP/3.0", 505),
        ("INVITE http://127.0.0.1/ SIP/2.0", 416),
        ("INVITE sip:482913@127.0.0.1  SIP/2.0", 400),
        ("INVITE <sip:482913@127.0.0.1> SIP/2.0", 400),
        ("INVITE sip:482913@127.0.0.1?Subject=x SIP/2.0", 400),
        ("INVITE sip: SIP/2.0", 400),
    ],
)
def test_a_bad_start_line_is_answered(talk: Talk, line: str, status: int) -> None:
    talk.wire.send(talk.text("INVITE", body=talk.offer(), swap={"INVITE ": line}))
    heard = talk.wire.hear()
    assert heard
    assert heard.status == status


GARBAGE = [
    b"",
    b"\r\n\r\n",
    b"\0" * 2_000,
    b"hello\r\n\r\n",
    bytes(range(256)) * 20,
    b"INVITE sip:482913@127.0.0.1 SIP/2.0\r\n\r\n",
    b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP no.such.host.invalid:99999;branch=z\r\n\r\n",
    b"INVITE" * 10_900,
    b"SIP/2.0 200 OK\r\n\r\n",
    b"SIP/2.0 99999 Never\r\nVia: SIP/2.0/UDP 127.0.0.1\r\n\r\n",
    b"ACK sip:482913@127.0.0.1 SIP/2.0\r\nVia: garbage\r\n\r\n",
    b"INVITE sip:a@b SIP/2.0\r\n"
    + b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n" * 1_000
    + b"\r\n",
    b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP [::1]:0\r\nFrom: \xff\xfe\r\n\r\n",
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
def test_no_packet_stops_the_bridge(talk: Talk, data: bytes) -> None:
    talk.wire.send(data)
    talk.wire.drain(0.05)
    assert talk.ask("OPTIONS").status == 200


@pytest.mark.parametrize(
    "extra",
    [
        "X-Long: " + "x" * 60_000,
        "\r\n".join(f"Via: SIP/2.0/UDP 192.0.2.{n % 250};branch=z9hG4bK{n}" for n in range(1_000)),
        "Subject: \0\0",
        "Subject: caf\udce9",
    ],
    ids=["64_KiB", "1000_vias", "nul", "not_utf8"],
)
def test_what_is_too_much_is_answered_and_no_leg(bridge: Serving, talk: Talk, extra: str) -> None:
    text = talk.text("INVITE", extra, body=talk.offer())
    talk.wire.send(text.encode("utf-8", "surrogateescape"))
    talk.wire.socket.settimeout(5)
    assert re.match(rb"SIP/2\.0 (400|513) ", talk.wire.socket.recv(65_535))
    talk.wire.drain(0.05)
    assert not story(bridge, talk)


# --- addresses and forms ------------------------------------------------------------------


def test_answers_carry_rport_and_received(talk: Talk) -> None:
    via = f"Via: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK{token()}"
    talk.wire.send(talk.text("OPTIONS", via=via))
    heard = talk.wire.answer("OPTIONS").value("Via")
    assert f"rport={talk.wire.port}" in heard
    assert f"received={HOST}" in heard
    assert heard.startswith("SIP/2.0/UDP 192.0.2.9:5060")


@pytest.mark.parametrize("port", ["99999", "0", "123456789"])
def test_a_via_port_that_is_none_is_answered_where_it_came_from(talk: Talk, port: str) -> None:
    via = f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{token()}"
    talk.wire.send(talk.text("OPTIONS", via=via))
    assert talk.wire.answer("OPTIONS").status == 400


def test_a_via_host_that_does_not_resolve_is_answered_where_it_came_from(talk: Talk) -> None:
    branch = f"z9hG4bK{token()}"
    via = f"Via: SIP/2.0/UDP no-such-host.invalid:{talk.wire.port};branch={branch}"
    talk.wire.send(talk.text("OPTIONS", via=via))
    assert talk.wire.answer("OPTIONS").status == 200


def test_several_vias_come_back_in_order_from_lines_and_lists(talk: Talk) -> None:
    top = f"Via: SIP/2.0/UDP {HOST}:{talk.wire.port};branch=z9hG4bK{token()}"
    via = f"{top} , SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKb\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=c"
    talk.wire.send(talk.text("OPTIONS", via=via))
    vias = ",".join(talk.wire.answer("OPTIONS").values("Via"))
    hops = re.findall(r"UDP ([0-9.]+)", vias)
    assert hops == [HOST, "192.0.2.1", "192.0.2.2"]


def test_compact_and_folded_headers_are_read(talk: Talk) -> None:
    port, body = talk.wire.port, talk.offer()
    branch = f"z9hG4bK{token()}"
    talk.wire.send(
        f"INVITE {talk.uri} SIP/2.0\r\n"
        f"v: SIP/2.0/UDP {HOST}:{port}\r\n ;branch={branch}\r\n"
        f"f : <sip:probe@{HOST}>\r\n\t;tag={talk.from_tag}\r\n"
        f"t: {talk.to}\r\ni: {talk.call_id}\r\nCSEQ: 1\r\n INVITE\r\nmax-forwards: 70\r\n"
        f"m: <sip:probe@{HOST}:{port}>\r\nc: application/sdp\r\nl: {len(body)}\r\n\r\n{body}"
    )
    answer = talk.wire.answer("INVITE")
    assert answer.status == 200
    talk.take(answer)
    talk.ack()
    talk.bye()


def test_a_datagram_needs_no_content_length(talk: Talk) -> None:
    talk.wire.send(talk.text("INVITE", body=talk.offer(), swap={"Content-Length:": ""}))
    answer = talk.wire.answer("INVITE")
    assert answer.status == 200
    talk.take(answer)
    talk.ack()
    talk.bye()


DIALLED = {
    "tel": f"tel:{TOLL_FREE}",
    "user_phone": f"sip:{TOLL_FREE}@127.0.0.1;user=phone",
    "escaped_plus": f"sip:%2B{TOLL_FREE[1:]}@127.0.0.1",
    "no_plus": f"sip:{TOLL_FREE[1:]}@127.0.0.1",
    "separators": "sip:+1-800-234-5678@127.0.0.1",
    "params": f"sip:{TOLL_FREE};phone-context=+1@127.0.0.1",
    "sips": "sips:482913@127.0.0.1",
    "upper_scheme": "SIP:482913@127.0.0.1",
    "join": "sip:join@127.0.0.1",
    "transport": "sip:482913@127.0.0.1;transport=udp;lr",
    "password": "sip:482913:secret@127.0.0.1",
    "escaped_digits": "sip:%34%382913@127.0.0.1",
}


@pytest.mark.parametrize("name", DIALLED)
def test_a_number_is_known_however_it_is_written(talk: Talk, name: str) -> None:
    talk.target = DIALLED[name]
    talk.up()
    talk.bye()


@pytest.mark.parametrize("user", ["482914", "nobody", "+15005550006", "%00", "join%2F..", ""])
def test_what_nobody_answers_to_is_404(talk: Talk, user: str) -> None:
    talk.target = f"sip:{user}@{HOST}" if user else f"sip:{HOST}"
    talk.invite()
    answer = talk.wire.answer("INVITE")
    assert answer.status == 404
    talk.ack_failure(answer)


def test_a_to_tag_on_a_first_invite_is_481_and_its_ack_is_absorbed(talk: Talk) -> None:
    talk.to_tag = "invented"
    talk.invite()
    answer = talk.wire.answer("INVITE")
    assert answer.status == 481
    talk.ack_failure(answer)
    assert not talk.wire.drain(0.8)
