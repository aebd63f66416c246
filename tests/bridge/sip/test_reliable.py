"""Provisional answers that a caller wants reliably (RFC 3262)."""

import pytest

from bridge.sip.api import (
    Accept,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallMedia,
    Dial,
    EndCause,
    Ring,
)
from bridge.units import LegId
from tests.bridge.sip.bench import (
    MEDIA,
    OFFER,
    PEER,
    Bench,
    S,
    Sent,
    invite,
    request,
    response,
    times_ms,
)


def confirmed(bench: Bench) -> list[CallConfirmed]:
    return [event for event in bench.events if isinstance(event, CallConfirmed)]


def reliable_ringing(bench: Bench) -> str:
    bench.hear(invite(headers="Require: 100rel"))
    (ringing,) = bench.step(Ring(bench.leg))
    assert ringing.header("Require") == "100rel"
    assert ringing.header("RSeq") == "1"
    return ringing.to_tag


def test_a_required_reliable_180_is_repeated_until_its_prack() -> None:
    bench = Bench()
    tag = reliable_ringing(bench)
    assert bench.step(Ring(bench.leg)) == []
    assert times_ms(bench.wait(4 * S)) == [500, 1_500, 3_500]
    prack = request("PRACK", to_tag=tag, branch="p", cseq=2, headers="RAck: 1 1 INVITE")
    assert [answer.status for answer in bench.hear(prack)] == [200]
    assert bench.wait(40 * S) == []
    (second,) = bench.step(Ring(bench.leg))
    assert second.header("RSeq") == "2"


def test_a_prack_for_nothing_is_481() -> None:
    bench = Bench()
    tag = reliable_ringing(bench)
    prack = request("PRACK", to_tag=tag, branch="p", cseq=2, headers="RAck: 9 1 INVITE")
    assert [answer.status for answer in bench.hear(prack)] == [481]


def test_without_a_prack_in_32_s_the_invite_gets_504() -> None:
    bench = Bench()
    reliable_ringing(bench)
    assert 504 in [message.status for message in bench.wait(33 * S)]
    assert bench.ends == [CallEnded(bench.leg, EndCause.NO_ACK, 504)]


def test_the_200_may_overtake_the_prack() -> None:
    bench = Bench()
    tag = reliable_ringing(bench)
    bench.step(Accept(bench.leg, MEDIA))
    prack = request("PRACK", to_tag=tag, branch="p", cseq=2, headers="RAck: 1 1 INVITE")
    assert [answer.status for answer in bench.hear(prack)] == [200]
    bench.hear(request("ACK", to_tag=tag, branch="x"))
    assert len(confirmed(bench)) == 1


def test_a_late_offer_is_not_rung_reliably_since_that_would_have_to_offer() -> None:
    bench = Bench()
    bench.hear(request("INVITE", headers="Require: 100rel"))
    assert bench.step(Ring(bench.leg)) == []


# --- of the other side: its answer in a reliable provisional one ------------------------------

LEG = LegId("me-1")
ORDER = Dial(LEG, "sip:+15550100@192.0.2.20", "1000", "bridge.example", PEER, MEDIA)
CONTACT = "Contact: <sip:bob@192.0.2.21:5070>"
OTHER = OFFER.replace("30000", "30002")


def progress(sent: Sent, *, tag: str = "r1", rseq: int = 1, body: str = OFFER) -> str:
    headers = f"Require: 100rel\nRSeq: {rseq}\n{CONTACT}"
    return response(sent, 183, to_tag=tag, headers=headers, body=body)


def ports(bench: Bench) -> list[int]:
    """Return the ports of all answers and changes that the server was told of."""
    told = [e.remote for e in bench.events if isinstance(e, CallAnswered | CallMedia)]
    return [remote.address.port for remote in told if remote.address]


def of_callee(sent: Sent, method: str, cseq: int, body: str = "", headers: str = "") -> str:
    """Write a request of who was called, in the dialog of his answer `r1`."""
    return request(
        method,
        to_tag=sent.header("From").partition(";tag=")[2],
        from_tag="r1",
        call_id=sent.header("Call-ID"),
        cseq=cseq,
        branch=f"q{cseq}",
        body=body,
        headers=headers,
    )


@pytest.mark.parametrize(("tag", "port"), [("r1", 30_000), ("r2", 30_002)])
def test_the_first_description_is_the_answer_and_later_ones_count_for_nothing(
    tag: str, port: int
) -> None:
    """RFC 3261 §13.2.1; what another phone says (forking) is its own first one."""
    bench = Bench()
    (sent,) = bench.step(ORDER)
    bench.hear(progress(sent))
    bench.hear(progress(sent, rseq=2, body=OFFER.replace("30000", "30004")))
    bench.hear(response(sent, 200, to_tag=tag, headers=CONTACT, body=OTHER))
    assert ports(bench) == [port]


def test_an_answer_of_one_phone_is_not_that_of_another_whose_200_has_none() -> None:
    bench = Bench()
    (sent,) = bench.step(ORDER)
    bench.hear(progress(sent))
    bench.hear(progress(sent, tag="r2", body=""))
    ack, bye = bench.hear(response(sent, 200, to_tag="r2", headers=CONTACT))
    assert (ack.method, bye.method) == ("ACK", "BYE")
    assert bench.ends == [CallEnded(LEG, EndCause.BAD_ANSWER, 200)]


def test_who_answered_reliably_may_change_it_by_update_before_his_200() -> None:
    """RFC 3311 §5.2: no offer is under way then; a session timer has nothing to end yet."""
    bench = Bench()
    (sent,) = bench.step(ORDER)
    bench.hear(progress(sent))
    asks = "Supported: timer\nSession-Expires: 90"
    (ok,) = bench.hear(of_callee(sent, "UPDATE", 1, OTHER, asks))
    assert ok.status == 200
    assert "m=audio 40000 RTP/AVP 8 101" in ok.body
    assert ok.header("Content-Type") == "application/sdp"
    assert ok.header("Session-Expires") == ""
    assert ports(bench) == []
    bench.wait(200 * S)
    bench.hear(response(sent, 200, headers=CONTACT, body=OFFER))
    assert ports(bench) == [30_002]
    assert bench.ends == []


def test_an_offer_by_update_before_any_answer_is_glare() -> None:
    bench = Bench()
    (sent,) = bench.step(ORDER)
    bench.hear(progress(sent, body=""))
    assert [m.status for m in bench.hear(of_callee(sent, "UPDATE", 1, OTHER))] == [491]
    bench.hear(response(sent, 200, headers=CONTACT, body=OFFER))
    assert ports(bench) == [30_000]


def test_an_invite_within_the_early_dialog_is_glare() -> None:
    bench = Bench()
    (sent,) = bench.step(ORDER)
    bench.hear(progress(sent))
    assert [m.status for m in bench.hear(of_callee(sent, "INVITE", 1, OTHER))] == [491]


def test_requests_before_and_after_the_200_are_of_one_order() -> None:
    """RFC 3261 §12.2.2: the 200 of an early dialog begins no new count."""
    bench = Bench()
    (sent,) = bench.step(ORDER)
    bench.hear(progress(sent))
    bench.hear(of_callee(sent, "UPDATE", 7))
    bench.hear(response(sent, 200, headers=CONTACT, body=OFFER))
    assert [m.status for m in bench.hear(of_callee(sent, "BYE", 6))] == [500]
    assert bench.ends == []
    assert [m.status for m in bench.hear(of_callee(sent, "BYE", 8))] == [200]
    assert bench.ends == [CallEnded(LEG, EndCause.REMOTE_BYE)]
