"""Provisional answers that a caller wants reliably (RFC 3262)."""

from bridge.sip.api import (
    Accept,
    CallConfirmed,
    CallEnded,
    EndCause,
    Ring,
)
from tests.bridge.sip.bench import (
    MEDIA,
    Bench,
    S,
    invite,
    request,
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
