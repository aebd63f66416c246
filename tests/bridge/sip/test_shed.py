"""New calls that come when there is no time are refused unread; what belongs to a call is not."""

import pytest

from bridge.sip import shed
from bridge.sip.api import Accept, Address, Received, SipConfig
from bridge.sip.messages import Response, parse
from tests.bridge.sip.bench import CORE, MEDIA, PEER, Bench, invite

S_NS = 1_000_000_000


def refused(message: str | bytes, source: Address = PEER) -> tuple[Response, Address] | None:
    data = message.encode() if isinstance(message, str) else message
    bench = Bench(SipConfig(CORE, overload_retry_after_s=7))
    send = bench.core.shed(Received(data, source, CORE))
    if send is None:
        return None
    assert set(bench.core.sizes.values()) == {0}, "no work is done"
    answer = parse(send.data)
    assert isinstance(answer, Response)
    return answer, send.destination


def test_a_new_call_gets_503_with_retry_after_and_what_it_is_known_by() -> None:
    found = refused(invite())
    assert found is not None
    answer, destination = found
    assert (answer.status, answer.first("retry-after"), answer.cseq) == (503, "7", 1)
    assert (answer.call_id, answer.method, answer.body) == ("c1", "INVITE", b"")
    assert answer.via.params["rport"] == str(PEER.port)
    assert answer.to_tag.startswith("s")
    assert destination == PEER
    again = refused(invite())
    assert again is not None
    assert again[0].to_tag == answer.to_tag


def test_compact_names_are_read_too() -> None:
    data = invite()
    for name, short in (("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i")):
        data = data.replace(f"\r\n{name}: ", f"\r\n{short} : ")
    assert refused(data) is not None


def test_without_rport_the_503_goes_to_the_port_of_the_via() -> None:
    found = refused(invite(via="SIP/2.0/UDP 192.0.2.20:7000;branch=z9hG4bKx"), PEER)
    assert found is not None
    assert found[1] == Address(PEER.host, 7_000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("INVITE ", "OPTIONS "),
        (";tag=", ";tog="),
        ("\r\nCSeq: 1 INVITE", "\r\nCSeq: 1 BYE"),
        ("\r\nCall-ID: c1", "\r\nSubject: c1"),
        ("\r\nTo: <sip:join@192.0.2.10>", "\r\nTo: <sip:join@192.0.2.10>;tag=1"),
        ("\r\nVia: SIP/2.0/UDP ", "\r\nVia: SIP/2.0/TCP "),
        ("\r\nVia: SIP/2.0/UDP ", "\r\nVia: SIP/2.0/UDP a;branch=x, SIP/2.0/UDP "),
        ("\r\nVia: SIP/2.0/UDP ", "\r\nVia: SIP/2.0/UDP :::"),
        ("\r\nFrom: ", "\r\n From: "),
        ("\r\nTo: <sip:join@192.0.2.10>", "\r\nTo: <sip:join@192.0.2.10>\r\n\t;tag=1"),
        ("ann@phones.example>;tag=", "ann;tag=1@phones.example>;tog="),
    ],
)
def test_what_is_no_plain_new_call_is_left_to_the_door(old: str, new: str) -> None:
    data = invite()
    assert old in data
    assert refused(data.replace(old, new, 1)) is None


def test_a_tag_within_the_brackets_is_the_uris() -> None:
    data = invite().replace("sip:ann@", "sip:ann;tag=u@").replace("<sip:join@", "<sip:join;tag=u@")
    opening = shed.opening_of(data.encode())
    assert opening is not None
    assert opening.merge[1] == "f1"


def test_bytes_that_are_no_text_are_left_to_the_door() -> None:
    assert refused(invite().encode().replace(b"Call-ID: c1", b"Call-ID: \xff")) is None


def test_what_is_sent_again_of_a_call_that_was_taken_is_not_refused() -> None:
    bench = Bench()
    again = Received(invite().encode(), PEER, CORE)
    bench.hear(invite())
    assert bench.core.shed(again) is None
    bench.step(Accept(bench.leg, MEDIA))
    assert bench.core.shed(again) is None
    other = invite(call_id="c2", branch="b2")
    assert bench.core.shed(Received(other.encode(), PEER, CORE)) is not None


def test_the_ack_of_a_refusal_is_told_from_all_others() -> None:
    found = refused(invite())
    assert found is not None
    to = f"To: {found[0].echo.to}\r\n".encode()
    ack = invite().encode().replace(b"INVITE", b"ACK")
    assert not shed.is_ack_of_refusal(ack)
    ours = ack.replace(b"To: <sip:join@192.0.2.10>\r\n", to)
    assert shed.is_ack_of_refusal(ours)
    assert not shed.is_ack_of_refusal(ours.replace(b"ACK", b"BYE"))


# --- 100 (RFC 3261 §17.2.1) ---------------------------------------------------------------


def test_an_invite_without_an_answer_for_200_ms_gets_100() -> None:
    bench = Bench(SipConfig(CORE, trying_after_ns=S_NS // 5))
    assert bench.hear(invite(headers="Timestamp: 54")) == []
    assert bench.wait(S_NS // 10) == []
    (trying,) = bench.wait(S_NS // 5)
    assert (trying.status, trying.header("Timestamp")) == (100, "54")
    assert bench.wait(S_NS) == []
    (again,) = bench.hear(invite(headers="Timestamp: 54"))
    assert again.status == 100


def test_a_repeated_invite_gets_100_at_once() -> None:
    bench = Bench(SipConfig(CORE, trying_after_ns=S_NS // 5))
    bench.hear(invite())
    assert [one.status for one in bench.hear(invite())] == [100]
    assert bench.wait(S_NS) == []


def test_a_call_that_is_answered_in_time_gets_no_100() -> None:
    bench = Bench(SipConfig(CORE, trying_after_ns=S_NS // 5))
    bench.hear(invite())
    assert [one.status for one in bench.step(Accept(bench.leg, MEDIA))] == [200]
    assert {one.status for one in bench.wait(S_NS)} <= {200}
