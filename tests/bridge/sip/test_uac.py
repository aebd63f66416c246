"""Outbound calls: dialling, answers of every kind, cancelling, forking."""

import pytest

from bridge.errors import IllegalTransition
from bridge.sip.api import (
    Address,
    CallAnswered,
    CallEnded,
    CallProgress,
    Codec,
    Dial,
    EndCause,
    HangUp,
    Reinvite,
    Ring,
    SipConfig,
)
from bridge.sip.uac import BadTarget
from bridge.units import LegId
from tests.bridge.sip.bench import CORE, MEDIA, OFFER, PEER, Bench, S, Sent, request, response

LEG = LegId("me-1")
ORDER = Dial(LEG, "sip:+15550100@192.0.2.20", "1000", "bridge.example", PEER, MEDIA)
CONTACT = "Contact: <sip:bob@192.0.2.21:5070>"


def dialled(order: Dial = ORDER) -> tuple[Bench, Sent]:
    bench = Bench()
    (sent,) = bench.step(order)
    return bench, sent


def answered() -> tuple[Bench, Sent]:
    bench, sent = dialled()
    bench.hear(response(sent, 200, body=OFFER, headers=CONTACT))
    return bench, sent


def test_the_invite_that_dial_sends() -> None:
    order = Dial(
        LEG,
        "sip:+15550100@192.0.2.20",
        "1000#",
        "bridge.example",
        PEER,
        MEDIA,
        display_name='The "Bridge"',
        headers=(("X-Test", "1"),),
    )
    _, sent = dialled(order)
    assert sent.start == "INVITE sip:+15550100@192.0.2.20 SIP/2.0"
    assert sent.destination == PEER
    assert sent.header("From").startswith('"The \\"Bridge\\"" <sip:1000%23@bridge.example>;tag=')
    assert sent.header("To") == "<sip:+15550100@192.0.2.20>"
    assert sent.header("Contact") == "<sip:1000%23@192.0.2.10:5060>"
    assert sent.header("Via").startswith("SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK")
    assert sent.header("Session-Expires") == "1800"
    assert sent.header("X-Test") == "1"
    assert "m=audio 40000 RTP/AVP 0 8 101" in sent.body


def test_a_caller_without_a_user_part() -> None:
    _, sent = dialled(Dial(LEG, "sip:x@192.0.2.20", "", "bridge.example", PEER, MEDIA))
    assert sent.header("From").startswith("<sip:bridge.example>;tag=")
    assert sent.header("Contact") == "<sip:bridge@192.0.2.10:5060>"


def test_a_target_that_is_no_uri_is_refused_on_the_spot() -> None:
    bench = Bench()
    with pytest.raises(BadTarget, match="no uri"):
        bench.step(Dial(LEG, "no uri", "1", "x", PEER, MEDIA))
    bench.assert_empty()


def test_progress_answer_and_ack() -> None:
    bench, sent = dialled()
    assert bench.hear(response(sent, 100)) == []
    assert bench.hear(response(sent, 180)) == []
    (ack,) = bench.hear(response(sent, 200, body=OFFER, headers=CONTACT))
    assert ack.start == "ACK sip:bob@192.0.2.21:5070 SIP/2.0"
    assert ack.destination == Address("192.0.2.21", 5_070)
    assert ack.header("CSeq") == "1 ACK"
    assert ack.header("Via") != sent.header("Via")
    progress, up = bench.events
    assert progress == CallProgress(LEG, 180)
    assert isinstance(up, CallAnswered)
    assert up.remote.codec == Codec("PCMA", 8)
    assert up.remote.address == Address("192.0.2.20", 30_000)


def test_what_was_offered_and_what_was_answered_may_both_come() -> None:
    """Our 101 is what the phone sends its events with, though it wants them at 100."""
    bench, sent = dialled()
    answer = OFFER.replace("8 0 101", "0 100").replace("rtpmap:101", "rtpmap:100")
    bench.hear(response(sent, 200, body=answer, headers=CONTACT))
    up = bench.events[-1]
    assert isinstance(up, CallAnswered)
    assert (up.remote.codec, up.remote.dtmf_payload_type) == (Codec("PCMU", 0), 100)
    assert up.remote.also == ((101, "TELEPHONE-EVENT"),)


def test_a_repeated_200_gets_the_same_ack_again() -> None:
    bench, sent = dialled()
    text = response(sent, 200, body=OFFER, headers=CONTACT)
    (first,) = bench.hear(text)
    (again,) = bench.hear(text)
    assert first.data == again.data
    assert len(bench.events) == 1


def test_record_route_is_followed_in_reverse() -> None:
    bench, sent = dialled()
    routes = "Record-Route: <sip:192.0.2.52;lr>, <sip:192.0.2.51;lr>\n" + CONTACT
    (ack,) = bench.hear(response(sent, 200, body=OFFER, headers=routes))
    assert ack.headers("Route") == ["<sip:192.0.2.51;lr>", "<sip:192.0.2.52;lr>"]
    assert ack.destination == Address("192.0.2.51", 5_060)
    (bye,) = bench.step(HangUp(LEG))
    assert bye.headers("Route") == ack.headers("Route")
    assert bye.header("CSeq") == "2 BYE"


def test_without_a_contact_the_target_dialled_is_used() -> None:
    bench, sent = dialled()
    (ack,) = bench.hear(response(sent, 200, body=OFFER))
    assert ack.start == "ACK sip:+15550100@192.0.2.20 SIP/2.0"


@pytest.mark.parametrize("status", [302, 401, 404, 486, 503, 603])
def test_a_refusal_is_acknowledged_and_reported(status: int) -> None:
    bench, sent = dialled()
    (ack,) = bench.hear(response(sent, status))
    assert ack.method == "ACK"
    assert ack.header("Via") == sent.header("Via")
    assert bench.ends == [CallEnded(LEG, EndCause.REFUSED, status)]
    bench.wait(70 * S)
    bench.assert_empty()


@pytest.mark.parametrize(
    ("status", "contact"),
    [
        (300, "<sip:ann@192.0.2.30>, <sip:ann@192.0.2.31>"),
        (302, "<mailto:ann@example.com>"),
        (404, "*"),
    ],
)
def test_a_refusal_is_acknowledged_whatever_its_contacts_say(status: int, contact: str) -> None:
    """A redirection names several, and not only phones (RFC 3261 §21.3.1); none is called."""
    bench, sent = dialled()
    (ack,) = bench.hear(response(sent, status, headers=f"Contact: {contact}"))
    assert ack.method == "ACK"
    assert bench.ends == [CallEnded(LEG, EndCause.REFUSED, status)]
    assert not bench.wait(10 * S), "the INVITE is not sent again"


@pytest.mark.parametrize(
    ("contact", "target"),
    [
        ("<sip:ann@192.0.2.30>, <sip:ben@192.0.2.31>", "sip:ann@192.0.2.30"),
        ("<tel:+15550100>", "sip:+15550100@192.0.2.20"),
        ("<<nonsense", "sip:+15550100@192.0.2.20"),
    ],
)
def test_an_answer_is_acknowledged_though_its_contact_is_none(contact: str, target: str) -> None:
    bench, sent = dialled()
    (ack,) = bench.hear(response(sent, 200, body=OFFER, headers=f"Contact: {contact}"))
    assert ack.start == f"ACK {target} SIP/2.0"
    assert bench.ends == []


BAD_LINES = [
    "Session-Expires: abc",
    "Session-Expires: 90\nSession-Expires: 91",
    "Supported: a b",
    "Require: \u00e4",
    "Min-SE: soon",
    "RSeq: x",
    "Max-Forwards: 1\nMax-Forwards: 2",
    "Content-Length: many",
    "Warnings without a colon",
    f"Record-Route: <sip:{'x' * 3_000}@h>",
]


@pytest.mark.parametrize("line", BAD_LINES)
@pytest.mark.parametrize("ringing", [True, False])
def test_a_refusal_is_acknowledged_whatever_else_is_wrong(line: str, ringing: bool) -> None:
    """Else its INVITE is sent again, or waits for ever (RFC 3261 §17.1.1.3)."""
    bench, sent = dialled()
    if ringing:
        bench.hear(response(sent, 180))
    (ack,) = bench.hear(response(sent, 486, headers=f"{line}\nContent-Type: x"))
    assert ack.method == "ACK"
    assert bench.ends == [CallEnded(LEG, EndCause.REFUSED, 486)]
    bench.wait(70 * S)
    bench.assert_empty()


@pytest.mark.parametrize("line", BAD_LINES)
def test_an_answer_with_a_bad_header_is_an_answer_without_it(line: str) -> None:
    bench, sent = dialled()
    text = response(sent, 200, body=OFFER, headers=f"{line}\n{CONTACT}")
    if line.startswith("Content-Length"):  # a datagram ends where it ends
        text = text.replace(f"\r\nContent-Length: {len(OFFER)}\r\n", "\r\n")
    (ack,) = bench.hear(text)
    assert ack.start == "ACK sip:bob@192.0.2.21:5070 SIP/2.0"
    assert bench.ends == []
    assert isinstance(bench.events[-1], CallAnswered)


def test_an_answer_that_is_no_utf_8_is_an_answer() -> None:
    bench, sent = dialled()
    text = response(sent, 486).replace("Whatever", "\udcfcberlastet")
    (ack,) = bench.hear(text.encode(errors="surrogateescape"))
    assert ack.method == "ACK"


def test_an_answer_with_a_bad_content_type_is_acknowledged_and_ended() -> None:
    """RFC 3261 §13.2.2.4: the ACK comes first, whatever is made of the answer."""
    bench, sent = dialled()
    text = response(sent, 200, body=OFFER, headers=CONTACT)
    sent_now = bench.hear(text.replace("Content-Type: application/sdp", "Content-Type: sdp"))
    assert [message.method for message in sent_now] == ["ACK", "BYE"]
    assert [end.cause for end in bench.ends] == [EndCause.BAD_ANSWER]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (";tag=t", ";tag=t;tag=t"),
        ("CSeq: 1 INVITE", "CSeq: 1"),
        ("SIP/2.0 486", "SIP/2.0 4860"),
        ("Content-Length: 0", "Content-Length: 9"),
    ],
)
def test_an_answer_whose_request_is_not_certain_or_that_was_cut_is_none(old: str, new: str) -> None:
    """RFC 3261 §18.3 for one that is shorter than its Content-Length."""
    bench, sent = dialled()
    text = response(sent, 486)
    assert old in text
    assert bench.hear(text.replace(old, new, 1)) == []
    assert bench.ends == []


def test_silence_ends_after_32_s_and_ringing_never_by_itself() -> None:
    bench, _ = dialled()
    bench.wait(32 * S)
    assert bench.ends == [CallEnded(LEG, EndCause.NO_ANSWER, 408)]
    bench.wait(70 * S)
    bench.assert_empty()
    bench, sent = dialled()
    bench.hear(response(sent, 180))
    assert bench.wait(600 * S) == []
    assert bench.ends == []


@pytest.mark.parametrize("body", ["", "junk", OFFER.replace("8 0 101", "18")])
def test_a_200_without_a_usable_answer_is_acknowledged_and_ended(body: str) -> None:
    bench, sent = dialled()
    heard = bench.hear(response(sent, 200, body=body, headers=CONTACT))
    assert [message.method for message in heard] == ["ACK", "BYE"]
    assert bench.ends == [CallEnded(LEG, EndCause.BAD_ANSWER, 200)]


def test_the_other_side_hangs_up() -> None:
    bench, sent = answered()
    bye = request(
        "BYE",
        to_tag=sent.header("From").partition(";tag=")[2],
        from_tag="r1",
        call_id=sent.header("Call-ID"),
    )
    assert [answer.status for answer in bench.hear(bye)] == [200]
    assert bench.ends == [CallEnded(LEG, EndCause.REMOTE_BYE)]


def test_hang_up_of_an_answered_call_is_a_bye_repeated_until_it_is_heard() -> None:
    bench, _ = answered()
    (bye,) = bench.step(HangUp(LEG, "done"))
    assert bye.header("Reason") == 'SIP;cause=200;text="done"'
    assert {message.method for message in bench.wait(2 * S)} == {"BYE"}
    bench.hear(response(bye, 200))
    assert bench.wait(30 * S) == []


# --- cancelling ---------------------------------------------------------------------------


def test_hang_up_while_ringing_cancels_on_the_branch_of_the_invite() -> None:
    bench, sent = dialled()
    bench.hear(response(sent, 180))
    (cancel,) = bench.step(HangUp(LEG))
    assert cancel.start == "CANCEL sip:+15550100@192.0.2.20 SIP/2.0"
    assert cancel.header("Via") == sent.header("Via")
    assert cancel.header("CSeq") == "1 CANCEL"
    assert cancel.header("To") == sent.header("To")
    assert bench.ends == [CallEnded(LEG, EndCause.LOCAL_BYE)]
    bench.hear(response(cancel, 200))
    (ack,) = bench.hear(response(sent, 487))
    assert ack.method == "ACK"
    assert len(bench.ends) == 1
    bench.wait(70 * S)
    bench.assert_empty()


def test_cancel_waits_until_something_was_heard_and_goes_once() -> None:
    bench, sent = dialled()
    assert bench.step(HangUp(LEG)) == []
    (cancel,) = bench.hear(response(sent, 100))
    assert cancel.method == "CANCEL"
    assert bench.hear(response(sent, 180)) == []


def test_hang_up_of_what_was_never_heard_ends_quietly() -> None:
    bench, _ = dialled()
    bench.step(HangUp(LEG))
    assert {message.method for message in bench.wait(40 * S)} == {"INVITE"}
    assert len(bench.ends) == 1
    bench.wait(70 * S)
    bench.assert_empty()


def test_a_200_that_crosses_the_cancel_is_acknowledged_and_ended() -> None:
    bench, sent = dialled()
    bench.hear(response(sent, 180))
    bench.step(HangUp(LEG))
    heard = bench.hear(response(sent, 200, body=OFFER, headers=CONTACT))
    assert [message.method for message in heard] == ["ACK", "BYE"]
    assert not any(isinstance(event, CallAnswered) for event in bench.events)
    assert len(bench.ends) == 1
    again = bench.hear(response(sent, 200, body=OFFER, headers=CONTACT))
    assert [message.method for message in again] == ["ACK"]


def test_a_cancelled_call_whose_end_never_comes_is_forgotten() -> None:
    bench, sent = dialled()
    bench.hear(response(sent, 180))
    bench.step(HangUp(LEG))
    bench.wait(100 * S)
    bench.assert_empty()


def test_a_second_phone_that_answers_is_acknowledged_and_hung_up() -> None:
    bench, sent = dialled()
    bench.hear(response(sent, 200, to_tag="one", body=OFFER, headers=CONTACT))
    other = "Contact: <sip:eve@192.0.2.22>"
    ack, bye = bench.hear(response(sent, 200, to_tag="two", body=OFFER, headers=other))
    assert (ack.method, bye.method) == ("ACK", "BYE")
    assert bye.header("To").endswith(";tag=two")
    assert bench.ends == []
    assert bench.step(HangUp(LEG))[0].header("To").endswith(";tag=one")


# --- 422, PRACK, orders -------------------------------------------------------------------


def test_a_422_is_answered_with_a_longer_interval_a_few_times() -> None:
    bench, sent = dialled()
    for count in range(5):
        ack, again = bench.hear(response(sent, 422, headers=f"Min-SE: {2_000 + count}"))
        assert ack.method == "ACK"
        assert again.header("Session-Expires") == str(2_000 + count)
        assert again.header("Call-ID") == sent.header("Call-ID")
        assert again.header("CSeq") == f"{count + 2} INVITE"
        sent = again
    bench.hear(response(sent, 422, headers="Min-SE: 9000"))
    assert bench.ends == [CallEnded(LEG, EndCause.REFUSED, 422)]


def test_a_reliable_180_is_acknowledged_once_and_in_order() -> None:
    bench, sent = dialled()
    headers = f"Require: 100rel\nRSeq: 7\n{CONTACT}"
    (prack,) = bench.hear(response(sent, 180, headers=headers))
    assert prack.start == "PRACK sip:bob@192.0.2.21:5070 SIP/2.0"
    assert prack.header("RAck") == "7 1 INVITE"
    assert prack.header("CSeq") == "2 PRACK"
    assert bench.hear(response(sent, 180, headers=headers)) == []
    assert bench.hear(response(sent, 180, headers=headers.replace("7", "9"))) == []
    (second,) = bench.hear(response(sent, 183, headers=headers.replace(": 7", ": 8")))
    assert second.header("CSeq") == "3 PRACK"
    bench.hear(response(prack, 200))
    bench.hear(response(sent, 200, body=OFFER, headers=CONTACT))
    assert bench.step(HangUp(LEG))[0].header("CSeq") == "4 BYE"


def test_a_reliable_answer_ahead_of_its_turn_is_no_news() -> None:
    bench, sent = dialled()
    headers = f"Require: 100rel\nRSeq: 7\n{CONTACT}"
    bench.hear(response(sent, 180, headers=headers))
    bench.hear(response(sent, 183, headers=headers.replace("7", "9")))
    bench.hear(response(sent, 180, headers=headers))
    assert [e.status for e in bench.events if isinstance(e, CallProgress)] == [180]


def test_an_answer_that_went_another_way_is_thrown_away() -> None:
    bench, sent = dialled()
    through = "Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKother"
    assert bench.hear(response(sent, 486, headers=through)) == []
    assert bench.dropped == ["response_of_others"]
    assert bench.ends == []


def test_an_answer_in_a_reliable_183_need_not_be_repeated_in_the_200() -> None:
    for early, end in ((OFFER, []), ("junk", [EndCause.BAD_ANSWER])):
        bench, sent = dialled()
        headers = f"Require: 100rel\nRSeq: 1\n{CONTACT}"
        bench.hear(response(sent, 183, headers=headers, body=early))
        bench.hear(response(sent, 200, headers=CONTACT))
        assert [event.cause for event in bench.ends] == end


def test_requests_of_the_callee_before_its_answer() -> None:
    bench, sent = dialled()
    bench.hear(response(sent, 180, headers=f"Require: 100rel\nRSeq: 1\n{CONTACT}"))
    tag = sent.header("From").partition(";tag=")[2]
    call_id = sent.header("Call-ID")

    def hear(method: str, cseq: int, body: str = "") -> int:
        text = request(
            method,
            to_tag=tag,
            from_tag="r1",
            call_id=call_id,
            cseq=cseq,
            branch=f"q{cseq}",
            body=body,
            headers="RAck: 1 1 INVITE",
        )
        return bench.hear(text)[0].status

    assert hear("OPTIONS", 1) == 200
    assert hear("UPDATE", 2, OFFER) == 491
    assert hear("PRACK", 3) == 481
    assert hear("UPDATE", 4) == 200, "without an offer nothing is pending"
    assert hear("BYE", 5) == 200
    assert bench.ends == []


def test_orders_that_no_state_allows_are_our_own_bug() -> None:
    bench, _ = dialled()
    with pytest.raises(IllegalTransition):
        bench.step(Reinvite(LEG, MEDIA))
    with pytest.raises(IllegalTransition):
        bench.step(Ring(LEG))
    with pytest.raises(AssertionError, match="in use"):
        bench.step(ORDER)


def test_glare_of_a_call_we_made_waits_longer() -> None:
    bench, _ = answered()
    (ours,) = bench.step(Reinvite(LEG, MEDIA))
    bench.hear(response(ours, 491))
    assert bench.wait(2 * S) == []
    assert bench.wait(2 * S)[0].header("CSeq") == "3 INVITE"


def test_no_session_timer_when_switched_off() -> None:
    bench = Bench(SipConfig(CORE, session_expires_s=0))
    (sent,) = bench.step(ORDER)
    assert sent.header("Session-Expires") == ""
