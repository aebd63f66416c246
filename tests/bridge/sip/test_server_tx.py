"""Server transactions: what is repeated, when, and for how long (RFC 3261 §17.2, RFC 6026)."""

import pytest

from bridge.errors import IllegalTransition
from bridge.sip.api import Accept, Address, EndCause, Received, Reject, Ring, SipConfig
from bridge.sip.desk import Desk, Flow
from bridge.sip.messages import Request, parse
from bridge.sip.server_tx import (
    INVITE_SERVER,
    NON_INVITE_SERVER,
    ServerEvent,
    ServerState,
    ServerTable,
    ServerTx,
)
from bridge.sip.timers import Timer
from bridge.units import NowNs
from tests.bridge.sip.bench import CORE, MEDIA, MS, PEER, Bench, S, invite, request, times_ms
from tests.bridge.sip.pair import tokens


def transaction(method: str) -> tuple[Desk, ServerTx]:
    desk = Desk(SipConfig(CORE), tokens("t"), NowNs(0))
    message = parse(request(method).encode())
    assert isinstance(message, Request)
    return desk, ServerTx(desk, ("k",), message, Flow(PEER, CORE, "UDP"), message.echo.vias)


EVENTS = {
    ServerEvent.REQUEST: lambda tx: tx.repeat(),
    ServerEvent.ACK: lambda tx: tx.acknowledge(),
    ServerEvent.PROVISIONAL: lambda tx: tx.respond(180, b"180"),
    ServerEvent.SUCCESS: lambda tx: tx.respond(200, b"200"),
    ServerEvent.FAILURE: lambda tx: tx.respond(486, b"486"),
    ServerEvent.TIMER_G: lambda tx: tx.fire(Timer.G),
    ServerEvent.TIMER_H: lambda tx: tx.fire(Timer.H),
    ServerEvent.TIMER_I: lambda tx: tx.fire(Timer.I),
    ServerEvent.TIMER_J: lambda tx: tx.fire(Timer.J),
    ServerEvent.TIMER_L: lambda tx: tx.fire(Timer.L),
}
TABLES = [("INVITE", INVITE_SERVER), ("BYE", NON_INVITE_SERVER)]


@pytest.mark.parametrize("event", ServerEvent)
@pytest.mark.parametrize(
    ("method", "table", "state"), [(m, t, state) for m, t in TABLES for state in t]
)
def test_every_pair_of_state_and_event_follows_the_table_or_raises(
    method: str, table: ServerTable, state: ServerState, event: ServerEvent
) -> None:
    _, tx = transaction(method)
    tx.state = state
    if event in table[state]:
        EVENTS[event](tx)
        assert tx.state is table[state][event]
    else:
        with pytest.raises(IllegalTransition):
            EVENTS[event](tx)
        assert tx.state is state


@pytest.mark.parametrize(("method", "table"), TABLES)
def test_what_the_other_side_sends_is_never_illegal_while_the_transaction_lives(
    method: str, table: ServerTable
) -> None:
    remote = {ServerEvent.REQUEST} | ({ServerEvent.ACK} if method == "INVITE" else set())
    for state, row in table.items():
        assert state is ServerState.TERMINATED or remote <= set(row)


def test_a_retransmitted_invite_gets_the_last_provisional_again_and_no_second_leg() -> None:
    bench = Bench()
    (trying,) = bench.hear(invite())
    assert bench.hear(invite())[0].data == trying.data
    (ringing,) = bench.step(Ring(bench.leg))
    (again,) = bench.hear(invite())
    assert again.data == ringing.data
    assert again.status == 180
    assert len(bench.events) == 1


def test_a_retransmitted_invite_gets_the_same_200_again() -> None:
    bench = Bench()
    tag = bench.answered_call()
    (again,) = bench.hear(invite())
    assert (again.status, again.to_tag) == (200, tag)
    bench.hear(request("ACK", to_tag=tag, branch="ack"))
    (late,) = bench.hear(invite())
    assert late.data == again.data
    assert len([e for e in bench.events if type(e).__name__ == "CallIncoming"]) == 1


def test_timer_l_keeps_the_accepted_invite_for_32_s() -> None:
    bench = Bench()
    bench.confirmed_call()
    bench.wait(32 * S - 1)
    assert bench.core.sizes["server_transactions"] == 1
    bench.wait(1)
    assert bench.core.sizes["server_transactions"] == 0
    assert bench.core.sizes["legs"] == 1


def test_timer_g_repeats_a_refusal_until_the_ack_and_timer_i_then_absorbs() -> None:
    bench = Bench()
    bench.hear(invite())
    (busy,) = bench.step(Reject(bench.leg, 486, "Busy Here"))
    assert busy.start == "SIP/2.0 486 Busy Here"
    repeats = bench.wait(12 * S)
    assert times_ms(repeats) == [500, 1_500, 3_500, 7_500, 11_500]
    assert {message.data for message in repeats} == {busy.data}
    assert bench.hear(request("ACK", to_tag=busy.to_tag)) == []
    assert bench.wait(5 * S - 1) == []
    assert bench.hear(invite()) == []
    bench.wait(1)
    assert bench.core.sizes["server_transactions"] == 0


def test_timer_h_gives_up_a_refusal_that_is_never_acknowledged() -> None:
    bench = Bench()
    bench.hear(invite())
    bench.step(Reject(bench.leg, 404, "Not Found"))
    repeats = bench.wait(100 * S)
    assert times_ms(repeats)[-1] < 32_000
    assert len(repeats) == 10
    bench.assert_empty()


def test_timer_j_repeats_the_answer_of_other_requests_for_32_s() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    bye = request("BYE", to_tag=tag, branch="b", cseq=2)
    (first,) = bench.hear(bye)
    assert first.status == 200
    bench.wait(31 * S)
    (again,) = bench.hear(bye)
    assert again.data == first.data
    bench.wait(60 * S)
    (gone,) = bench.hear(bye)
    assert gone.status == 481


def test_over_tcp_nothing_is_repeated_and_transactions_end_at_once() -> None:
    bench = Bench()

    def hear(text: str) -> None:
        bench.step(Received(text.encode(), PEER, CORE, "TCP"))

    hear(request("OPTIONS"))
    assert bench.deadline_ns == 0
    bench.wait(0)
    bench.assert_empty()
    hear(invite())
    bench.step(Reject(bench.leg, 486, "Busy Here"))
    assert bench.wait(1 * S) == []
    hear(request("ACK", to_tag=bench.sent[-1].to_tag))
    bench.wait(0)
    assert bench.core.sizes["server_transactions"] == 0


def test_peers_without_the_magic_cookie_are_matched_by_rfc_2543_rules() -> None:
    bench = Bench()
    via = "SIP/2.0/UDP 192.0.2.20:5062;branch=1"
    bench.hear(request("INVITE", via=via, body=""))
    assert bench.hear(request("INVITE", via=via, body=""))[0].status == 100
    (ok, refused) = bench.hear(request("CANCEL", via=via))
    assert (ok.status, refused.status) == (200, 487)
    bench.hear(request("ACK", via=via, to_tag=refused.to_tag))
    assert bench.wait(4 * S) == []


def test_one_branch_for_everything_does_not_mix_up_calls() -> None:
    bench = Bench()
    bench.hear(invite(call_id="one"))
    bench.hear(invite(call_id="two"))
    assert len({event.call_id for event in bench.events if hasattr(event, "call_id")}) == 2


def test_a_forked_call_is_cancelled_on_each_of_its_branches() -> None:
    bench = Bench()
    bench.hear(invite())
    assert bench.hear(invite(branch="b2"))[0].status == 482
    (of_other,) = bench.hear(request("CANCEL", branch="b2"))
    assert of_other.status == 200
    ok, terminated = bench.hear(request("CANCEL"))
    assert (ok.status, terminated.status) == (200, 487)
    assert [end.cause for end in bench.ends] == [EndCause.CANCELLED]


def test_the_same_request_on_another_path_is_a_merged_request() -> None:
    bench = Bench()
    bench.hear(invite(branch="a1"))
    (loop,) = bench.hear(invite(branch="a2"))
    assert loop.status == 482
    assert bench.dropped == ["merged_request"]
    assert bench.core.sizes["legs"] == 1


def test_a_full_table_answers_503_without_remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sip.limits.TRANSACTIONS_MAX", 1)
    bench = Bench()
    bench.hear(request("OPTIONS", branch="1", call_id="1"))
    (first,) = bench.hear(request("OPTIONS", branch="2", call_id="2"))
    (again,) = bench.hear(request("OPTIONS", branch="2", call_id="2"))
    assert first.status == 503
    assert first.header("Retry-After") == "5"
    assert first.to_tag
    assert first.data == again.data
    (tagged,) = bench.hear(request("OPTIONS", branch="3", call_id="3", to_tag="x"))
    assert tagged.header("To").count("tag=") == 1
    assert bench.core.sizes["server_transactions"] == 1
    assert bench.dropped == ["overload"] * 3


def test_transactions_are_limited_by_what_they_keep_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or 400,000 refused requests with long names would fill the memory for 32 s."""
    monkeypatch.setattr("bridge.sip.limits.TRANSACTIONS_CHARS_MAX", 3_000)
    bench = Bench()
    for number in "12":
        long = request("OPTIONS", branch=number, call_id=number * 2_000)
        assert bench.hear(long)[0].status == 200
    assert bench.hear(request("OPTIONS", branch="3", call_id="3"))[0].status == 503
    bench.wait(32 * S)
    assert bench.hear(request("OPTIONS", branch="4", call_id="4"))[0].status == 200
    bench.wait(32 * S)
    bench.assert_empty()


@pytest.mark.parametrize(
    ("via", "expected", "stamped"),
    [
        # RFC 3581: the port it came from when rport asks for it.
        ("SIP/2.0/UDP 10.0.0.1:9;branch=z9hG4bK1;rport", PEER, "rport=5062;received=192.0.2.20"),
        # RFC 3261 §18.2.2: the host it came from, the port it names.
        ("SIP/2.0/UDP 10.0.0.1:9;branch=z9hG4bK1", Address(PEER.host, 9), "received=192.0.2.20"),
        ("SIP/2.0/UDP host.invalid;branch=z9hG4bK1", PEER, "received=192.0.2.20"),
        (
            "SIP/2.0/UDP 10.0.0.1:9; RPORT;branch=z9hG4bK1",
            PEER,
            "branch=z9hG4bK1;rport=5062;received=192.0.2.20",
        ),
        (  # within the quotes it is text
            'SIP/2.0/UDP 10.0.0.1:9;branch=z9hG4bK1;x="a;received=b";rport',
            PEER,
            'x="a;received=b";rport=5062;received=192.0.2.20',
        ),
        ("SIP/2.0/UDP 192.0.2.20:5062;branch=z9hG4bK1", PEER, "branch=z9hG4bK1"),
        # maddr is not followed, and what the sender says it was received from is not believed.
        (
            "SIP/2.0/UDP 10.0.0.1;maddr=10.9.9.9;received=10.8.8.8;branch=z9hG4bK1",
            PEER,
            "received=192.0.2.20",
        ),
    ],
)
def test_answers_go_where_the_request_came_from(via: str, expected: Address, stamped: str) -> None:
    bench = Bench()
    (ok,) = bench.hear(request("OPTIONS", via=via))
    assert ok.destination == expected
    assert ok.header("Via").endswith(stamped)
    assert "10.8.8.8" not in ok.header("Via")


def test_further_vias_are_repeated_untouched_and_in_order() -> None:
    bench = Bench()
    via = "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1, SIP/2.0/TCP b.example;x=%41\r\nvia: SIP/2.0/UDP c"
    (ok,) = bench.hear(request("OPTIONS", via=via))
    assert ok.headers("Via") == [
        "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;received=192.0.2.20, SIP/2.0/TCP b.example;x=%41",
        "SIP/2.0/UDP c",
    ]


def test_the_answer_to_an_accepted_call_is_not_repeated_by_the_transaction() -> None:
    bench = Bench()
    bench.hear(invite())
    bench.step(Accept(bench.leg, MEDIA))
    assert times_ms(bench.wait(600 * MS)) == [500]
