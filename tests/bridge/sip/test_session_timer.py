"""Session timers (RFC 4028): who refreshes, and what ends a silent call."""

import pytest

from bridge.sip import session_timer
from bridge.sip.api import CallEnded, CallMedia, EndCause, HangUp, LocalMedia, Reinvite, SipConfig
from bridge.sip.messages import Request, parse
from bridge.sip.session_timer import SessionTimer, agree
from bridge.units import LegId
from tests.bridge.sip.bench import CORE, Bench, S, Sent, request, response
from tests.bridge.sip.pair import BRIDGE, Pair


def asking(headers: str) -> Request:
    message = parse(request("INVITE", headers=headers).encode())
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize(
    ("headers", "ours_s", "expected"),
    [
        ("", 1_800, None),
        ("Supported: timer", 1_800, SessionTimer(1_800, we_refresh=True)),
        ("Supported: timer", 0, None),
        ("Supported: timer\nMin-SE: 3600", 1_800, SessionTimer(3_600, we_refresh=True)),
        ("Supported: timer\nx: 600", 1_800, SessionTimer(600, we_refresh=False)),
        ("Supported: timer\nx: 3600", 1_800, SessionTimer(1_800, we_refresh=False)),
        ("Supported: timer\nx: 3600", 0, SessionTimer(3_600, we_refresh=False)),
        ("Supported: timer\nx: 3600\nMin-SE: 2000", 1_800, SessionTimer(2_000, we_refresh=False)),
        ("Supported: timer\nx: 600;refresher=uas", 1_800, SessionTimer(600, we_refresh=True)),
        ("Supported: timer\nx: 600;refresher=uac", 1_800, SessionTimer(600, we_refresh=False)),
        ("x: 600", 1_800, SessionTimer(600, we_refresh=True, remote_knows=False)),
        ("x: 30", 1_800, SessionTimer(90, we_refresh=True, remote_knows=False)),
    ],
)
def test_what_is_agreed(headers: str, ours_s: int, expected: SessionTimer | None) -> None:
    assert agree(asking(headers), ours_s) == expected


def test_the_refresher_stays_the_same_unless_asked_otherwise() -> None:
    before = SessionTimer(600, we_refresh=True)
    assert agree(asking("Supported: timer\nx: 600"), 600, before) == before
    assert agree(asking("Supported: timer"), 600, before._replace(we_refresh=False)) == (
        SessionTimer(600, we_refresh=False)
    )


def test_what_our_answer_says() -> None:
    headers = session_timer.agreed_headers
    assert headers(None) == ()
    assert headers(SessionTimer(600, we_refresh=False)) == (
        ("Session-Expires", "600;refresher=uac"),
        ("Require", "timer"),
    )
    assert headers(SessionTimer(600, we_refresh=True, remote_knows=False)) == (
        ("Session-Expires", "600;refresher=uas"),
    )


def test_a_caller_who_must_refresh_and_does_not_is_hung_up_a_third_before_the_end() -> None:
    bench = Bench()
    bench.confirmed_call(headers="Supported: timer\nSession-Expires: 90;refresher=uac")
    assert bench.sent[1].header("Session-Expires") == "90;refresher=uac"
    assert bench.wait(60 * S - 1) == []
    (bye,) = bench.wait(1)
    assert bye.method == "BYE"
    assert bench.ends == [CallEnded(bench.leg, EndCause.SESSION_EXPIRED)]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_starts_the_interval_anew(method: str) -> None:
    bench = Bench()
    timer = "Supported: timer\nSession-Expires: 90;refresher=uac"
    tag = bench.confirmed_call(headers=timer)
    bench.wait(50 * S)
    (ok,) = bench.hear(request(method, to_tag=tag, cseq=2, branch="u", headers=timer))
    assert ok.header("Session-Expires") == "90;refresher=uac"
    if method == "INVITE":
        body = bench.sent[1].body
        bench.hear(request("ACK", to_tag=tag, cseq=2, branch="a2", body=body))
    bench.wait(59 * S)
    assert bench.ends == []
    bench.wait(1 * S)
    assert [end.cause for end in bench.ends] == [EndCause.SESSION_EXPIRED]


def test_we_refresh_by_reinvite_at_half_of_the_interval_with_the_same_sdp() -> None:
    bench = Bench()
    bench.confirmed_call(headers="Supported: timer\nSession-Expires: 100;refresher=uas")
    assert bench.wait(50 * S - 1) == []
    (refresh,) = bench.wait(1)
    assert refresh.method == "INVITE"
    assert refresh.header("Session-Expires") == "100;refresher=uac"
    assert refresh.body == bench.sent[1].body
    headers = "Session-Expires: 100;refresher=uac"
    (ack,) = bench.hear(response(refresh, 200, headers=headers, body=bench.sent[1].body))
    assert ack.method == "ACK"
    assert bench.wait(50 * S)[0].method == "INVITE"


def test_a_refused_refresh_lets_the_session_run_out() -> None:
    bench = Bench()
    bench.confirmed_call(headers="Supported: timer\nSession-Expires: 90;refresher=uas")
    (refresh,) = bench.wait(45 * S)
    bench.hear(response(refresh, 500))
    assert bench.wait(15 * S)[-1].method == "BYE"
    assert [end.cause for end in bench.ends] == [EndCause.SESSION_EXPIRED]


def test_a_refused_refresh_is_tried_again_while_there_is_time() -> None:
    bench = Bench()
    bench.confirmed_call(headers="Supported: timer\nSession-Expires: 600;refresher=uas")
    (refresh,) = bench.wait(300 * S)
    bench.hear(response(refresh, 500, headers="Retry-After: 1"))
    (again,) = bench.wait(75 * S)
    assert again.header("CSeq") == "2 INVITE"
    bench.hear(response(again, 200, headers="x: 600;refresher=uac", body=bench.sent[1].body))
    bench.wait(299 * S)
    assert bench.ends == []


def version_of(message: Sent) -> int:
    return int(message.body.split("\r\n")[1].split(" ")[2])


def media_of(message: Sent) -> str:
    return message.body[message.body.index("s=-") :]


@pytest.mark.parametrize("status", [488, 491])
def test_a_refresh_does_not_repeat_an_offer_that_was_refused(status: int) -> None:
    """The session stays as it was before (RFC 3261 §14.1); the version never goes back."""
    bench = Bench()
    bench.confirmed_call(headers="Supported: timer\nSession-Expires: 600;refresher=uas")
    agreed = bench.sent[1]
    (offer,) = bench.step(Reinvite(bench.leg, LocalMedia("192.0.2.10", 40_002)))
    bench.hear(response(offer, status))
    for _ in range(5 if status == 491 else 0):
        offer = bench.wait(2 * S)[0]
        assert "m=audio 40002 " in offer.body
        bench.hear(response(offer, status))
    refresh = bench.wait(300 * S)[0]
    assert media_of(refresh) == media_of(agreed)
    assert version_of(agreed) < version_of(offer) < version_of(refresh)
    bench.hear(response(refresh, 200, headers="x: 600;refresher=uac", body=agreed.body))
    again = bench.wait(300 * S)[0]
    assert again.body == refresh.body


def test_a_refresh_that_waited_behind_orders_that_were_refused_is_made_up_for() -> None:
    bench = Bench()
    bench.confirmed_call(headers="Supported: timer\nSession-Expires: 600;refresher=uas")
    bench.wait(299 * S)
    (first,) = bench.step(Reinvite(bench.leg, LocalMedia("192.0.2.10", 40_002)))
    bench.hear(response(first, 100))
    bench.step(Reinvite(bench.leg, LocalMedia("192.0.2.10", 40_004)))
    assert bench.wait(2 * S) == []
    second = bench.hear(response(first, 488))[-1]
    assert "m=audio 40004 " in second.body
    assert [ack.method for ack in bench.hear(response(second, 488))] == ["ACK"]
    (refresh,) = bench.wait(75 * S)
    bench.hear(response(refresh, 200, headers="x: 600;refresher=uac", body=bench.sent[1].body))
    bench.wait(299 * S)
    assert bench.ends == []


def test_an_order_that_is_refused_before_the_refresh_is_due_does_not_move_it() -> None:
    bench = Bench()
    bench.confirmed_call(headers="Supported: timer\nSession-Expires: 600;refresher=uas")
    (order,) = bench.step(Reinvite(bench.leg, LocalMedia("192.0.2.10", 40_002)))
    bench.hear(response(order, 488))
    assert bench.wait(300 * S - 1) == []
    assert [message.method for message in bench.wait(1)] == ["INVITE"]


def test_a_refresh_that_meets_another_offer_waits_for_it() -> None:
    bench = Bench()
    tag = bench.confirmed_call(headers="Supported: timer\nSession-Expires: 90;refresher=uas")
    bench.wait(44 * S)
    bench.hear(request("INVITE", to_tag=tag, cseq=2, branch="r", body=bench.sent[1].body))
    sent = bench.wait(2 * S)
    assert {message.status for message in sent} == {200}
    bench.hear(request("ACK", to_tag=tag, cseq=2, branch="a"))
    assert bench.events[-1:] != []


def test_hang_up_before_the_ack_stops_the_session_timer() -> None:
    bench = Bench(SipConfig(CORE, t1_ns=2 * S))
    bench.answered_call(headers="Supported: timer\nSession-Expires: 90;refresher=uac")
    bench.step(HangUp(bench.leg))
    bench.wait(300 * S)
    assert len(bench.ends) == 1
    bench.assert_empty()


def test_a_session_that_expires_before_its_ack_ends() -> None:
    bench = Bench(SipConfig(CORE, t1_ns=2 * S))
    bench.answered_call(headers="Supported: timer\nSession-Expires: 90;refresher=uas")
    bench.wait(61 * S)
    assert [end.cause for end in bench.ends] == [EndCause.SESSION_EXPIRED]


def test_two_cores_keep_a_call_alive_for_hours_by_refreshing() -> None:
    pair = Pair(bridge=SipConfig(BRIDGE, session_expires_s=120))
    pair.connect()
    pair.run(3 * 3_600 * S)
    assert not pair.bridge.of(CallEnded)
    assert not pair.phone.of(CallEnded)
    assert not pair.bridge.of(CallMedia)
    assert sum(data.startswith(b"INVITE") for data in pair.phone.sent) == 1 + 179
    pair.order(pair.phone, HangUp(LegId("out-1")))
    pair.run(70 * S)
    assert set(pair.bridge.core.sizes.values()) == {0}
