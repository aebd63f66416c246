"""Inbound calls: from INVITE to the end, and everything a caller may do wrong."""

import re

import pytest

from bridge.errors import IllegalTransition
from bridge.sip.api import (
    Accept,
    Address,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    Codec,
    EndCause,
    HangUp,
    Received,
    Reinvite,
    Reject,
    RemoteMedia,
    Ring,
    SipConfig,
)
from bridge.units import LegId
from tests.bridge.sip.bench import (
    CORE,
    MEDIA,
    OFFER,
    PEER,
    Bench,
    S,
    invite,
    request,
    times_ms,
)


def incoming(bench: Bench) -> CallIncoming:
    (event,) = [event for event in bench.events if isinstance(event, CallIncoming)]
    return event


def confirmed(bench: Bench) -> list[CallConfirmed]:
    return [event for event in bench.events if isinstance(event, CallConfirmed)]


# --- what the server is told --------------------------------------------------------------


def test_an_invite_is_told_with_who_what_and_from_where() -> None:
    bench = Bench()
    (trying,) = bench.hear(
        invite(
            uri="sip:+1%38005550100;x=1@Bridge.example:5070;user=phone",
            headers='P-Asserted-Identity: "Ann" <sip:+12125550111@carrier>, <tel:+1>\n'
            "Diversion: <sip:+12125550999@carrier>;reason=unconditional",
        )
    )
    assert trying.start == "SIP/2.0 100 Trying"
    assert trying.header("To") == "<sip:join@192.0.2.10>"
    assert incoming(bench) == CallIncoming(
        leg=LegId("leg-t2"),
        user="+18005550100;x=1",
        host="Bridge.example",
        source=PEER,
        from_user="ann",
        from_display="Ann",
        asserted="+12125550111",
        diversion="+12125550999",
        anonymous=False,
        late_offer=False,
        remote=RemoteMedia(Address("192.0.2.20", 30_000), Codec("PCMA", 8), 101),
        call_id="c1",
    )


def test_the_timestamp_of_an_invite_is_repeated_in_100() -> None:
    (trying,) = Bench().hear(invite(headers="Timestamp: 54.21"))
    assert trying.header("Timestamp") == "54.21"


@pytest.mark.parametrize(
    ("sender", "headers", "anonymous"),
    [
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', "", True),
        ("<sip:x@Anonymous.Invalid>", "", True),
        ("<sip:Anonymous@carrier>", "", True),
        ('"Ann" <sip:ann@phones.example>', "Privacy: header;ID", True),
        ('"Ann" <sip:ann@phones.example>', "Privacy: none", False),
    ],
)
def test_anonymous_callers_are_let_in_and_marked(
    sender: str, headers: str, anonymous: bool
) -> None:
    bench = Bench()
    text = invite(headers=headers).replace('"Ann" <sip:ann@phones.example>', sender)
    assert bench.hear(text)[0].status == 100
    event = incoming(bench)
    assert event.anonymous is anonymous
    assert event.from_user == ("" if anonymous else "ann")


@pytest.mark.parametrize("value", ["nonsense", "<sip:a@b", ",", "<http://x>"])
def test_identity_headers_that_cannot_be_read_count_as_absent(value: str) -> None:
    bench = Bench()
    bench.hear(invite(headers=f"P-Asserted-Identity: {value}"))
    assert not incoming(bench).asserted


def test_a_tel_uri_gives_its_number() -> None:
    bench = Bench()
    bench.hear(invite(uri="tel:+1-800-555-0100"))
    assert (incoming(bench).user, incoming(bench).host) == ("+1-800-555-0100", "")


# --- refused by the core alone ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status", "header", "reason"),
    [
        (invite().replace("Contact: ", "Contacts: "), 400, "", "missing_contact"),
        (invite(headers="Accept: text/plain"), 406, "", "sdp_not_accepted"),
        (invite(headers="Require: timer, x"), 420, "Unsupported: x", "unsupported_extension"),
        (invite(body="hello"), 488, 'Warning: 399 192.0.2.10:5060 "SDP does not start', "bad_sdp"),
        (
            invite(body=OFFER.replace("8 0 101", "18")),
            488,
            'Warning: 305 192.0.2.10:5060 "Incompatible media format"',
            "no_common_codec",
        ),
        (
            invite(headers="Content-Encoding: gzip"),
            415,
            "Accept-Encoding: identity",
            "unsupported_body",
        ),
        (
            request("INVITE", body="x", content_type="text/plain"),
            415,
            "Accept: application/sdp",
            "unsupported_body",
        ),
        (
            invite(headers="Supported: timer\nSession-Expires: 89"),
            422,
            "Min-SE: 90",
            "interval_too_small",
        ),
        (invite().replace("Max-Forwards: 70", "Max-Forwards: 0"), 483, "", "too_many_hops"),
        (request("REFER", headers="Refer-To: <sip:x@y>"), 603, "", "refer_declined"),
        (request("REGISTER"), 405, "Allow: INVITE, ACK, CANCEL, BYE,", "method_not_allowed"),
        (request("JUMP"), 405, "Allow: INVITE", "method_not_allowed"),
        (request("BYE"), 481, "", "outside_of_dialog"),
        (request("BYE", to_tag="nobody"), 481, "", "unknown_dialog"),
        (request("INVITE", to_tag="nobody"), 481, "", "unknown_dialog"),
        (request("CANCEL"), 481, "", "cancel_unmatched"),
    ],
)  # fmt: skip
def test_a_request_is_refused_with_its_status_and_reason(
    text: str, status: int, header: str, reason: str
) -> None:
    bench = Bench()
    (answer,) = bench.hear(text)
    assert answer.status == status
    assert f"\r\n{header}" in answer.data.decode()
    assert answer.to_tag
    assert bench.dropped == [reason]
    assert not any(isinstance(event, CallIncoming) for event in bench.events)
    (again,) = bench.hear(text)
    assert again.data == answer.data
    bench.wait(65 * S)
    bench.assert_empty()


def test_an_answer_to_a_fault_says_where_the_request_came_from() -> None:
    far = Address("203.0.113.9", 7_000)
    fault = request("OPTIONS").replace("CSeq: 1", "CSeq: one")
    (bad,) = Bench().hear(fault, far)
    assert bad.status == 400
    assert bad.header("Via").endswith("z9hG4bKa1;rport=7000;received=203.0.113.9")
    assert bad.destination == far
    via = "SIP/2.0/UDP 192.0.2.20:99999;rport"
    (kept,) = Bench().hear(request("OPTIONS", via=via), far)
    assert (kept.status, kept.header("Via")) == (400, via)
    assert kept.destination == far


def test_an_answer_to_a_fault_goes_to_the_port_of_its_via() -> None:
    """RFC 3261 §18.2.2: without rport nobody listens at the port it came from."""
    via = "SIP/2.0/UDP 192.0.2.20:5070;branch=z9hG4bKa1"
    fault = request("OPTIONS", via=via).replace("CSeq: 1", "CSeq: one")
    (bad,) = Bench().hear(fault, Address(PEER.host, 40_000))
    assert (bad.status, bad.destination) == (400, Address(PEER.host, 5_070))
    stream = Received(fault.encode(), Address(PEER.host, 40_000), CORE, "TCP")
    (back,) = Bench().step(stream)
    assert back.destination == Address(PEER.host, 40_000), "on the connection it came by"


def test_beyond_calls_max_an_invite_gets_503_before_any_work() -> None:
    bench = Bench(SipConfig(CORE, calls_max=1, overload_retry_after_s=7))
    bench.hear(invite(call_id="1", branch="1"))
    (full,) = bench.hear(invite(call_id="2", branch="2", body="not even SDP"))
    assert (full.status, full.header("Retry-After")) == (503, "7")
    (ping,) = bench.hear(request("OPTIONS", call_id="o", branch="o"))
    assert (ping.status, ping.header("Retry-After")) == (503, "7"), "as an INVITE: §11.2"
    assert bench.dropped == ["overload", "overload"]
    bench.step(Reject(bench.leg, 486, "Busy Here"))
    assert bench.hear(request("OPTIONS", call_id="p", branch="p"))[0].status == 200
    assert bench.hear(invite(call_id="3", branch="3"))[0].status == 100


def test_options_outside_of_a_dialog_says_what_we_can() -> None:
    bench = Bench()
    (ok,) = bench.hear(request("OPTIONS"))
    assert ok.status == 200
    assert "INVITE" in ok.header("Allow")
    assert "application/sdp" in ok.header("Accept")
    assert ok.header("Supported") == "timer, 100rel"
    assert ok.header("Server") == "tollbridge"
    assert bench.events == []


def test_an_ack_for_nothing_is_counted_and_never_answered() -> None:
    bench = Bench()
    assert bench.hear(request("ACK", to_tag="x")) == []
    assert bench.dropped == ["stray_ack"]


# --- answering ----------------------------------------------------------------------------


def test_ring_and_accept_carry_tag_contact_and_record_route() -> None:
    bench = Bench()
    routes = "Record-Route: <sip:p2;lr>, <sip:p1;lr>\nRecord-Route: <sip:p0;lr>"
    bench.hear(invite(headers=routes))
    (ringing,) = bench.step(Ring(bench.leg))
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    for answer in (ringing, ok):
        assert answer.headers("Record-Route") == ["<sip:p2;lr>", "<sip:p1;lr>", "<sip:p0;lr>"]
        assert answer.header("Contact") == "<sip:bridge@192.0.2.10:5060>"
    assert ringing.to_tag == ok.to_tag != ""
    assert ok.header("Content-Type") == "application/sdp"
    assert "m=audio 40000 RTP/AVP 8 101" in ok.body
    assert re.search(r"o=- \d+ 1 IN IP4 192.0.2.10\r\n", ok.body)


def test_a_200_is_repeated_at_t1_doubling_to_t2_until_the_ack() -> None:
    bench = Bench()
    tag = bench.answered_call()
    repeats = bench.wait(12 * S)
    assert times_ms(repeats) == [500, 1_500, 3_500, 7_500, 11_500]
    assert bench.hear(request("ACK", to_tag=tag, branch="other")) == []
    assert bench.wait(40 * S) == []
    assert len(confirmed(bench)) == 1


def test_no_ack_in_32_s_ends_the_call_with_bye() -> None:
    bench = Bench()
    bench.answered_call()
    sent = bench.wait(32 * S)
    bye = sent[-1]
    assert bye.method == "BYE"
    assert times_ms([bye]) == [32_000]
    assert bench.ends == [CallEnded(bench.leg, EndCause.NO_ACK)]
    bench.wait(100 * S)
    assert len(bench.ends) == 1
    bench.assert_empty()


def test_the_ack_confirms_once_and_proves_the_address_of_the_offer() -> None:
    bench = Bench()
    tag = bench.answered_call()
    bench.hear(request("ACK", to_tag=tag, branch="x", cseq=2))  # not of this INVITE
    assert confirmed(bench) == []
    for _ in range(2):
        bench.hear(request("ACK", to_tag=tag, branch="x"))
    (event,) = confirmed(bench)
    assert event.proven
    assert event.remote.address == Address("192.0.2.20", 30_000)


def test_an_offer_that_names_another_host_is_not_proven() -> None:
    bench = Bench()
    bench.confirmed_call(body=OFFER.replace("c=IN IP4 192.0.2.20", "c=IN IP4 198.51.100.1"))
    assert [event.proven for event in confirmed(bench)] == [False]


def test_an_ack_on_the_branch_of_the_invite_is_taken_too() -> None:
    bench = Bench()
    tag = bench.answered_call()
    bench.hear(request("ACK", to_tag=tag))
    assert len(confirmed(bench)) == 1


@pytest.mark.parametrize("retry_after", [None, 9])
def test_reject(retry_after: int | None) -> None:
    bench = Bench()
    bench.hear(invite())
    (refused,) = bench.step(Reject(bench.leg, 404, "No Such Number", retry_after))
    assert refused.start == "SIP/2.0 404 No Such Number"
    assert refused.header("Retry-After") == ("9" if retry_after else "")
    assert bench.ends == [CallEnded(bench.leg, EndCause.REJECTED, 404)]


def test_a_reject_without_words_gets_some() -> None:
    bench = Bench()
    bench.hear(invite())
    assert bench.step(Reject(bench.leg, 499, ""))[0].start == "SIP/2.0 499 Failure"


# --- late offer ---------------------------------------------------------------------------


def test_without_an_offer_the_200_offers_and_the_ack_answers() -> None:
    bench = Bench()
    bench.hear(request("INVITE"))
    assert incoming(bench).late_offer
    assert incoming(bench).remote is None
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    assert "m=audio 40000 RTP/AVP 0 8 101" in ok.body
    bench.hear(request("ACK", to_tag=ok.to_tag, branch="x", body=OFFER))
    (event,) = confirmed(bench)
    assert event.remote.codec == Codec("PCMA", 8)
    assert event.remote.also == ((0, "PCMU"),), "what else both have listed may come too"
    assert event.proven


@pytest.mark.parametrize("body", ["", "nonsense", OFFER.replace("8 0 101", "18")])
def test_an_ack_without_a_usable_answer_ends_the_call(body: str) -> None:
    bench = Bench()
    bench.hear(request("INVITE"))
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    (bye,) = bench.hear(request("ACK", to_tag=ok.to_tag, branch="x", body=body))
    assert bye.method == "BYE"
    assert bench.ends == [CallEnded(bench.leg, EndCause.BAD_ANSWER)]
    assert confirmed(bench) == []


# --- CANCEL and hang-up -------------------------------------------------------------------


def test_cancel_before_the_answer_gets_200_and_the_invite_487() -> None:
    bench = Bench()
    bench.hear(invite())
    (ringing,) = bench.step(Ring(bench.leg))
    ok, terminated = bench.hear(request("CANCEL"))
    assert (ok.status, ok.method) == (200, "CANCEL")
    assert (terminated.status, terminated.method) == (487, "INVITE")
    assert ok.to_tag == terminated.to_tag == ringing.to_tag
    assert bench.ends == [CallEnded(bench.leg, EndCause.CANCELLED, 487)]
    (again,) = bench.hear(request("CANCEL"))
    assert again.data == ok.data
    bench.hear(request("ACK", to_tag=terminated.to_tag))
    bench.wait(65 * S)
    bench.assert_empty()


@pytest.mark.parametrize("ring", [True, False])
def test_an_invite_that_expires_before_its_answer_gets_487(ring: bool) -> None:
    """RFC 3261 §13.3.1."""
    bench = Bench()
    bench.hear(invite(headers="Expires: 5"))
    if ring:
        bench.step(Ring(bench.leg))
    assert bench.wait(5 * S - 1) == []
    (terminated,) = bench.wait(1)
    assert (terminated.status, terminated.method) == (487, "INVITE")
    assert bench.ends == [CallEnded(bench.leg, EndCause.CANCELLED, 487)]
    bench.hear(request("ACK", to_tag=terminated.to_tag))
    bench.wait(65 * S)
    bench.assert_empty()


@pytest.mark.parametrize("expires", ["5", "soon", "-1", "4294967296"])
def test_an_answer_ends_the_time_of_an_invite_and_one_that_is_no_time_counts_as_none(
    expires: str,
) -> None:
    bench = Bench()
    bench.confirmed_call(headers=f"Expires: {expires}")
    bench.wait(60 * S)
    assert bench.ends == []
    bench.hear(request("BYE", cseq=2, branch="b", to_tag=bench.sent[1].to_tag))
    bench.wait(65 * S)
    bench.assert_empty()


@pytest.mark.parametrize("tag", ["Timer", "TIMER", "100REL"])
def test_option_tags_are_the_same_in_any_case(tag: str) -> None:
    """RFC 3261 §7.3.1."""
    bench = Bench()
    assert bench.hear(invite(headers=f"Require: {tag}"))[0].status == 100


def test_cancel_after_the_200_changes_nothing() -> None:
    bench = Bench()
    tag = bench.answered_call()
    (ok,) = bench.hear(request("CANCEL"))
    assert (ok.status, ok.method) == (200, "CANCEL")
    bench.hear(request("ACK", to_tag=tag, branch="x"))
    assert len(confirmed(bench)) == 1
    assert bench.ends == []


def test_cancel_of_a_refused_invite_gets_200_and_nothing_else() -> None:
    bench = Bench()
    bench.hear(invite(body="junk"))
    (ok,) = bench.hear(request("CANCEL"))
    assert ok.status == 200


def test_cancel_of_a_reinvite_that_was_refused_cancels_no_call() -> None:
    """Within the early dialog: the INVITE that opened it still waits for its answer."""
    bench = Bench()
    bench.hear(invite())
    (ringing,) = bench.step(Ring(bench.leg))
    again = {"branch": "a2", "to_tag": ringing.to_tag, "cseq": 2}
    (refused,) = bench.hear(request("INVITE", body=OFFER, **again))  # type: ignore[arg-type]  # str and int
    assert refused.status == 500
    (ok,) = bench.hear(request("CANCEL", **again))  # type: ignore[arg-type]  # str and int
    assert (ok.status, ok.method) == (200, "CANCEL")
    assert bench.ends == []
    assert [sent.status for sent in bench.step(Accept(bench.leg, MEDIA))] == [200]


def test_hang_up_before_the_answer_is_480() -> None:
    bench = Bench()
    bench.hear(invite())
    (gone,) = bench.step(HangUp(bench.leg, 'over, "really"'))
    assert gone.status == 480
    assert gone.header("Reason") == 'SIP;cause=200;text="over, \\"really\\""'
    assert bench.ends == [CallEnded(bench.leg, EndCause.LOCAL_BYE, 480)]


def test_hang_up_before_the_ack_is_reported_at_once_and_bye_waits_for_the_ack() -> None:
    bench = Bench()
    tag = bench.answered_call()
    assert bench.step(HangUp(bench.leg, "enough")) == []
    assert bench.ends == [CallEnded(bench.leg, EndCause.LOCAL_BYE)]
    assert {message.status for message in bench.wait(2 * S)} == {200}
    (bye,) = bench.hear(request("ACK", to_tag=tag, branch="x"))
    assert bye.method == "BYE"
    assert bye.header("Reason") == 'SIP;cause=200;text="enough"'
    assert confirmed(bench) == []
    assert len(bench.ends) == 1


def test_hang_up_before_an_ack_that_never_comes_sends_bye_after_32_s() -> None:
    bench = Bench()
    bench.answered_call()
    bench.step(HangUp(bench.leg))
    assert bench.wait(32 * S)[-1].method == "BYE"
    assert len(bench.ends) == 1
    bench.wait(70 * S)
    bench.assert_empty()


def test_hang_up_of_a_call_is_a_bye_to_its_contact() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    (bye,) = bench.step(HangUp(bench.leg))
    assert bye.start == "BYE sip:ann@192.0.2.20:5062 SIP/2.0"
    assert bye.destination == PEER
    assert bye.header("From") == f"<sip:join@192.0.2.10>;tag={tag}"
    assert bye.header("To") == '"Ann" <sip:ann@phones.example>;tag=f1'
    assert bye.header("Call-ID") == "c1"
    assert bye.header("Reason") == ""
    assert bench.ends == [CallEnded(bench.leg, EndCause.LOCAL_BYE)]


def test_orders_for_a_leg_that_is_over_are_counted_and_do_nothing() -> None:
    bench = Bench()
    bench.hear(invite())
    bench.hear(request("CANCEL"))
    for order in (
        Ring(bench.leg),
        Accept(bench.leg, MEDIA),
        Reject(bench.leg, 486, "x"),
        HangUp(bench.leg),
        Reinvite(bench.leg, MEDIA),
    ):
        assert bench.step(order) == []
    assert bench.dropped == ["order_for_ended_leg"] * 5
    assert len(bench.ends) == 1


def test_orders_that_no_state_allows_are_our_own_bug() -> None:
    bench = Bench()
    bench.confirmed_call()
    for order in (Ring(bench.leg), Accept(bench.leg, MEDIA), Reject(bench.leg, 486, "x")):
        with pytest.raises(IllegalTransition):
            bench.step(order)
