"""A message of ours that is known not to have arrived (RFC 3261 §8.1.3.1, §17.1.4, §17.2.4)."""

import pytest

from bridge.sip.api import (
    Accept,
    Address,
    CallEnded,
    Direction,
    EndCause,
    HangUp,
    LocalMedia,
    Received,
    Reinvite,
    Reject,
    Undelivered,
)
from tests.bridge.sip.bench import (
    CORE,
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
from tests.bridge.sip.test_uac import CONTACT, LEG, answered, dialled

ICMP_QUOTES = 548
"""Bytes of a datagram's payload that fit into an ICMP error (RFC 1812 §4.3.2.3)."""


def lose(bench: Bench, sent: Sent, *, quoted: int = 100_000) -> list[Sent]:
    return bench.step(Undelivered(sent.data[:quoted], sent.destination))


@pytest.mark.parametrize("quoted", [ICMP_QUOTES, 100_000])
def test_an_invite_that_does_not_arrive_fails_at_once_as_if_answered_503(quoted: int) -> None:
    bench, sent = dialled()
    assert lose(bench, sent, quoted=quoted) == []
    assert bench.ends == [CallEnded(LEG, EndCause.REFUSED, 503)]
    assert bench.dropped == ["undelivered"]
    assert not bench.wait(31 * S), "it is not sent again"
    bench.wait(60 * S)
    bench.assert_empty()


def test_a_quotation_that_names_no_transaction_says_nothing() -> None:
    """An error is of a destination: other calls to it, and what was not quoted, go on."""
    bench, sent = dialled()
    for quoted in (0, 8, 60, 150):
        lose(bench, sent, quoted=quoted)
    bench.step(Undelivered(sent.data.replace(b"z9hG4bK", b"z9hG4bKother"), PEER))
    bench.step(Undelivered(b"\0" * 400, PEER))
    assert bench.ends == []
    assert times_ms(bench.wait(S)) == [500]


def test_an_invite_that_was_heard_is_not_failed_by_the_error_of_a_copy() -> None:
    bench, sent = dialled()
    bench.hear(response(sent, 180))
    lose(bench, sent)
    assert bench.ends == []
    bench.hear(response(sent, 200, body=OFFER, headers=CONTACT))
    lose(bench, sent)
    assert bench.ends == []


def test_a_bye_that_does_not_arrive_is_not_repeated() -> None:
    bench, _ = answered()
    (bye,) = bench.step(HangUp(LEG))
    lose(bench, bye)
    assert bench.ends == [CallEnded(LEG, EndCause.LOCAL_BYE)]
    assert not bench.wait(40 * S)
    bench.assert_empty()


def test_a_call_that_was_given_up_ends_once_when_its_invite_does_not_arrive() -> None:
    bench, sent = dialled()
    bench.step(HangUp(LEG))
    lose(bench, sent)
    assert bench.ends == [CallEnded(LEG, EndCause.LOCAL_BYE)]
    bench.wait(60 * S)
    bench.assert_empty()


def test_a_reinvite_that_does_not_arrive_leaves_the_call_as_it_was() -> None:
    bench, _ = answered()
    (sent,) = bench.step(Reinvite(LEG, LocalMedia(*PEER, Direction.SENDONLY)))
    lose(bench, sent)
    assert bench.ends == []
    (again,) = bench.step(Reinvite(LEG, MEDIA))
    assert again.method == "INVITE"


def test_a_200_that_does_not_arrive_ends_the_call() -> None:
    bench = Bench()
    bench.hear(invite())
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    (bye,) = lose(bench, ok, quoted=ICMP_QUOTES)
    assert bye.method == "BYE"
    assert [end.cause for end in bench.ends] == [EndCause.NO_ACK]
    (again,) = bench.hear(invite())
    assert again.data == ok.data, "sent again it is no second call"


def test_a_200_that_arrived_is_not_undone_by_the_error_of_a_copy() -> None:
    bench = Bench()
    tag = bench.answered_call()
    ok = bench.sent[-1]
    bench.hear(request("ACK", to_tag=tag, branch="ack1"))
    assert lose(bench, ok) == []
    assert bench.ends == []


def test_a_100_that_does_not_arrive_ends_nothing() -> None:
    bench = Bench()
    (trying,) = bench.hear(invite())
    assert trying.status == 100
    lose(bench, trying)
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    assert ok.status == 200


def test_a_refusal_that_does_not_arrive_is_repeated_only_when_asked_for() -> None:
    bench = Bench()
    bench.hear(invite())
    (refusal,) = bench.step(Reject(bench.leg, 404, "Not Found"))
    lose(bench, refusal)
    assert not bench.wait(10 * S)
    (again,) = bench.hear(invite())
    assert again.data == refusal.data


def test_whose_a_message_is_shows_in_its_head_alone() -> None:
    """Our answers repeat several Vias; the body is cut off."""
    bench = Bench()
    via = (
        "SIP/2.0/UDP 192.0.2.20:5062;branch=z9hG4bKa1;rport, SIP/2.0/UDP proxy.example;"
        "branch=z9hG4bKa2"
    )
    bench.hear(invite(via=via))
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    lose(bench, ok, quoted=ok.data.index(b"\r\n\r\n") + 30)
    assert [end.cause for end in bench.ends] == [EndCause.NO_ACK]
    assert ok.destination == Address("192.0.2.20", 5062)


def connected() -> tuple[Bench, Address]:
    """Return a call over TCP, and where its connection is: not where the phone can be called."""
    bench = Bench()
    source = Address(PEER.host, 50_123)
    bench.step(Received(invite().encode(), source, CORE, "TCP"))
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    ack = request("ACK", to_tag=ok.to_tag, branch="ack1")
    bench.step(Received(ack.encode(), source, CORE, "TCP"))
    return bench, source


def test_a_bye_on_a_broken_connection_goes_to_the_contact_once() -> None:
    """The phone is known at two places: where its connection was, and where it can be called."""
    bench, source = connected()
    (bye,) = bench.step(HangUp(bench.leg))
    assert bye.destination == source
    (again,) = lose(bench, bye)
    assert (again.data, again.destination) == (bye.data, PEER)
    assert lose(bench, again) == [], "there is no third place"
    bench.wait(60 * S)
    bench.assert_empty()


def test_what_was_answered_goes_nowhere_else() -> None:
    bench, source = connected()
    (sent,) = bench.step(Reinvite(bench.leg, MEDIA))
    bench.step(Received(response(sent, 180).encode(), source, CORE, "TCP"))
    assert lose(bench, sent) == []
