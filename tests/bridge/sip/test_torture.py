"""RFC 4475: every torture message is read, or refused for the right reason."""

import pytest

from bridge.sip.api import CallIncoming
from bridge.sip.messages import Request, parse
from tests.bridge.sip.bench import Bench
from tests.bridge.sip.torture import MESSAGES, Torture


@pytest.mark.parametrize("torture", MESSAGES, ids=lambda torture: torture.name)
def test_torture_message_gets_its_answer_and_reason(torture: Torture) -> None:
    bench = Bench()
    sent = bench.hear(torture.data)
    assert [message.status for message in sent] == ([torture.status] if torture.status else [])
    assert bench.dropped == ([torture.reason] if torture.reason else [])
    assert len([e for e in bench.events if isinstance(e, CallIncoming)]) == (torture.status == 100)
    bench.wait(64 * 10**9)


def test_there_are_at_least_thirty_of_them() -> None:
    assert len({torture.name for torture in MESSAGES}) >= 30


def torture_of(name: str) -> Request:
    (data,) = [torture.data for torture in MESSAGES if torture.name == name]
    message = parse(data)
    assert isinstance(message, Request)
    return message


def test_wsinv_is_understood_in_spite_of_its_white_space() -> None:
    message = torture_of("wsinv")
    assert message.max_forwards == 68
    assert (message.cseq, message.method) == (9, "INVITE")
    assert message.to_tag == "1918181833n"
    assert message.from_.display == 'J Rosenberg \\"'
    assert message.contact == "sip:jdrosen@example.com"
    assert message.via.branch == "390skdjuw"
    assert message.first("newfangledheader") == "newfangled value continued newfangled value"
    assert len(message.echo.vias) == 2


def test_esc01_is_a_user_called_sips_user_example_com() -> None:
    message = torture_of("esc01")
    assert (message.target.user, message.target.host) == ("sips:user@example.com", "example.net")


def test_escnull_has_a_nul_in_its_user() -> None:
    assert torture_of("escnull").target.user == "null-\0-null"


def test_semiuri_keeps_the_semicolon_in_the_user() -> None:
    assert torture_of("semiuri").target.user == "user;par=u@example.net"


def test_dblreq_ends_where_its_content_length_says() -> None:
    assert torture_of("dblreq").body == b""


def test_lwsdisp_needs_no_space_before_the_address() -> None:
    assert torture_of("lwsdisp").from_.display == "caller"


def test_answers_to_malformed_requests_echo_what_can_be_echoed() -> None:
    bench = Bench()
    (data,) = [torture.data for torture in MESSAGES if torture.name == "insuf"]
    (answer,) = bench.hear(data)
    assert answer.start == "SIP/2.0 400 Bad Request (missing call id)"
    assert answer.header("CSeq") == "8 INVITE"
    assert not answer.headers("To")
