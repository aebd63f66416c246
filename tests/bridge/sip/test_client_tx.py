"""Client transactions: repeats, time-outs and ACKs (RFC 3261 §17.1, RFC 6026)."""

import pytest

from bridge.errors import IllegalTransition
from bridge.sip.api import HangUp, SipConfig
from bridge.sip.call import Call, CallState
from bridge.sip.client_tx import (
    INVITE_CLIENT,
    NON_INVITE_CLIENT,
    ClientEvent,
    ClientState,
    ClientTable,
    ClientTx,
    Fired,
    Purpose,
)
from bridge.sip.compose import Outgoing
from bridge.sip.desk import Desk, Flow
from bridge.sip.dialog import Dialog
from bridge.sip.messages import Response, parse
from bridge.sip.timers import Timer
from bridge.units import LegId, NowNs
from tests.bridge.sip.bench import CORE, PEER, Bench, S, Sent, response
from tests.bridge.sip.pair import tokens

UDP = Flow(PEER, CORE, "UDP")
TCP = Flow(PEER, CORE, "TCP")


class Line:
    """One client transaction alone, with its desk."""

    def __init__(self, method: str, flow: Flow = UDP) -> None:
        self.desk = Desk(SipConfig(CORE), tokens("t"), NowNs(0))
        dialog = Dialog("c", "l", "r", "<sip:l@x>;tag=l", "<sip:r@x>", 0, 0, (), "sip:r@x", flow)
        call = Call(LegId("leg"), CallState.CONFIRMED, dialog, 1)
        via = "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1;rport"
        request = Outgoing(
            method, "sip:r@x", via, ("<sip:p;lr>",), dialog.local, "<sip:r@x>", "c", 7
        )
        key = ("z9hG4bK1", method)
        data = f"{method} {request.via}".encode()
        self.tx = ClientTx(self.desk, Purpose.DIAL, request, data, key=key, flow=flow, call=call)
        self.method = method

    def hear(self, status: int) -> bool:
        request = Sent(
            0,
            f"X\r\nVia: {self.tx.request.via}\r\nFrom: {self.tx.request.from_}\r\nTo: <sip:r@x>\r\n"
            f"Call-ID: c\r\nCSeq: 7 {self.method}".encode(),
            PEER,
        )
        message = parse(response(request, status).encode())
        assert isinstance(message, Response)
        return self.tx.receive(message)

    def run(self, for_ns: int) -> tuple[list[int], Fired | None]:
        """Fire timers; return when something was sent, in ms, and the last outcome but repeats."""
        until_ns = self.desk.now_ns + for_ns
        outcome = None
        times = []
        while (at_ns := self.desk.timers.deadline_ns()) is not None and at_ns <= until_ns:
            self.desk.now_ns = at_ns
            self.desk.sends.clear()
            due = self.desk.timers.pop_due(at_ns)
            assert due is not None
            fired = self.tx.fire(due[1])
            times += [at_ns // 1_000_000] * len(self.desk.sends)
            outcome = outcome if fired is Fired.GOES_ON else fired
        self.desk.now_ns = NowNs(until_ns)
        return times, outcome


def test_timer_a_doubles_and_timer_b_gives_up_after_32_s() -> None:
    line = Line("INVITE")
    line.tx.start()
    times, outcome = line.run(40 * S)
    assert times == [500, 1_500, 3_500, 7_500, 15_500, 31_500]
    assert outcome is Fired.TIMED_OUT
    assert line.tx.state is ClientState.TERMINATED


def test_an_invite_that_was_heard_is_neither_repeated_nor_given_up() -> None:
    line = Line("INVITE")
    line.tx.start()
    assert line.hear(100)
    assert line.run(600 * S) == ([], None)
    assert line.hear(180)


def test_timer_e_doubles_up_to_4_s_and_timer_f_gives_up_after_32_s() -> None:
    line = Line("BYE")
    line.tx.start()
    times, outcome = line.run(40 * S)
    assert times == [500, 1_500, 3_500, *range(7_500, 32_000, 4_000)]
    assert outcome is Fired.TIMED_OUT


def test_a_provisional_answer_slows_timer_e_down_to_4_s() -> None:
    line = Line("BYE")
    line.tx.start()
    assert line.hear(100)
    times, outcome = line.run(40 * S)
    assert times == [500, *range(4_500, 32_000, 4_000)]
    assert outcome is Fired.TIMED_OUT


def test_over_tcp_nothing_is_repeated_but_the_time_out_stays() -> None:
    for method in ("INVITE", "BYE"):
        line = Line(method, TCP)
        line.tx.start()
        assert line.run(32 * S) == ([], Fired.TIMED_OUT)


def test_a_refused_invite_is_acknowledged_on_its_branch_and_again_for_32_s() -> None:
    line = Line("INVITE")
    line.tx.start()
    line.desk.sends.clear()
    assert line.hear(486)
    (ack,) = line.desk.sends
    text = ack.data.decode()
    assert text.startswith("ACK sip:r@x SIP/2.0\r\nVia: " + line.tx.request.via)
    assert "CSeq: 7 ACK\r\n" in text
    assert "To: <sip:r@x>;tag=r1\r\n" in text
    assert "Route: <sip:p;lr>\r\n" in text
    assert not line.hear(486)
    assert len(line.desk.sends) == 2
    assert line.run(32 * S - 1) == ([], None)
    assert line.run(1) == ([], Fired.OVER)


def test_timer_d_is_zero_over_tcp() -> None:
    line = Line("INVITE", TCP)
    line.tx.start()
    line.hear(486)
    assert line.run(0) == ([], Fired.OVER)


def test_a_200_is_news_every_time_for_32_s() -> None:
    line = Line("INVITE")
    line.tx.start()
    assert line.hear(200)
    assert line.hear(200)
    assert not line.hear(180)
    assert not line.hear(486)
    assert line.run(32 * S - 1) == ([], None)
    assert line.run(1) == ([], Fired.OVER)


def test_timer_k_absorbs_repeated_answers_for_5_s() -> None:
    line = Line("BYE")
    line.tx.start()
    assert line.hear(200)
    assert not line.hear(200)
    assert line.run(5 * S - 1) == ([], None)
    assert line.run(1) == ([], Fired.OVER)


def test_a_cancelled_invite_waits_32_s_for_its_final_answer() -> None:
    line = Line("INVITE")
    line.tx.start()
    line.hear(180)
    line.tx.cancel()
    assert line.run(32 * S) == ([], Fired.TIMED_OUT)


EVENTS = {
    ClientEvent.PROVISIONAL: lambda line: line.hear(180),
    ClientEvent.SUCCESS: lambda line: line.hear(200),
    ClientEvent.FAILURE: lambda line: line.hear(404),
    ClientEvent.CANCEL: lambda line: line.tx.cancel(),
    ClientEvent.UNDELIVERED: lambda line: line.tx.undelivered(),
    ClientEvent.TIMER_A: lambda line: line.tx.fire(Timer.A),
    ClientEvent.TIMER_B: lambda line: line.tx.fire(Timer.B),
    ClientEvent.TIMER_D: lambda line: line.tx.fire(Timer.D),
    ClientEvent.TIMER_E: lambda line: line.tx.fire(Timer.E),
    ClientEvent.TIMER_F: lambda line: line.tx.fire(Timer.F),
    ClientEvent.TIMER_K: lambda line: line.tx.fire(Timer.K),
    ClientEvent.TIMER_M: lambda line: line.tx.fire(Timer.M),
    ClientEvent.TIMER_CANCELLED: lambda line: line.tx.fire(Timer.CANCELLED),
}
TABLES = [("INVITE", INVITE_CLIENT), ("BYE", NON_INVITE_CLIENT)]
REMOTE = {
    ClientEvent.PROVISIONAL,
    ClientEvent.SUCCESS,
    ClientEvent.FAILURE,
    ClientEvent.UNDELIVERED,
}


@pytest.mark.parametrize("event", ClientEvent)
@pytest.mark.parametrize(
    ("method", "table", "state"), [(m, t, state) for m, t in TABLES for state in t]
)
def test_every_pair_of_state_and_event_follows_the_table_or_raises(
    method: str, table: ClientTable, state: ClientState, event: ClientEvent
) -> None:
    line = Line(method)
    line.tx.state = state
    if event in table[state]:
        EVENTS[event](line)
        assert line.tx.state is table[state][event]
    else:
        with pytest.raises(IllegalTransition):
            EVENTS[event](line)
        assert line.tx.state is state


@pytest.mark.parametrize(("method", "table"), TABLES)
def test_no_answer_is_ever_illegal_while_the_transaction_lives(
    method: str, table: ClientTable
) -> None:
    for state, row in table.items():
        assert state is ClientState.TERMINATED or set(row) >= REMOTE, (method, state)


def test_an_answer_to_nothing_is_counted() -> None:
    bench = Bench()
    request = Sent(0, b"X\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK9\r\nFrom: <sip:a@b>;tag=1\r\n"
                   b"To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE", PEER)  # fmt: skip
    assert bench.hear(response(request, 200)) == []
    assert bench.dropped == ["stray_response"]


def test_a_request_is_unanswered_until_its_final_answer() -> None:
    bench = Bench()
    bench.confirmed_call()
    (bye,) = bench.step(HangUp(bench.leg))
    assert bench.core.sizes["unanswered"] == 1
    bench.hear(response(bye, 100))
    assert bench.core.sizes["unanswered"] == 1
    bench.hear(response(bye, 200))
    assert (bench.core.sizes["unanswered"], bench.core.sizes["client_transactions"]) == (0, 1)
