"""Where our requests within a call go: contact, route set, or where the caller is seen."""

import pytest

from bridge.sip.api import (
    Accept,
    Address,
    CallConfirmed,
    HangUp,
    LocalMedia,
    Received,
    SipConfig,
    Transport,
)
from bridge.units import NowNs
from tests.bridge.sip.bench import (
    CORE,
    MEDIA,
    MS,
    OFFER,
    PEER,
    Bench,
    S,
    invite,
    request,
    times_ms,
)


def confirmed(bench: Bench) -> list[CallConfirmed]:
    return [event for event in bench.events if isinstance(event, CallConfirmed)]


@pytest.mark.parametrize(
    ("contact", "source", "expected"),
    [
        ("sip:ann@192.0.2.77:5090", PEER, Address("192.0.2.77", 5_090)),
        ("sip:ann@192.0.2.77", PEER, Address("192.0.2.77", 5_060)),
        ("sip:ann@phone.invalid:5090", PEER, PEER),  # nothing is looked up
        ("sip:ann@192.0.2.77:99999", PEER, PEER),
        ("sip:ann@192.0.2.77:0", PEER, PEER),
        ("sips:ann@192.0.2.77:5061", PEER, PEER),
        ("sip:ann@[2001:db8::7]:5090", PEER, PEER),  # not from an IPv4 socket
        ("sip:ann@192.168.1.7:5060", Address("8.8.8.8", 1_024), Address("8.8.8.8", 1_024)),
        ("sip:ann@[2001:db8::7]:5090", Address("2001:db8::8", 1), Address("2001:db8::7", 5_090)),
    ],
)
def test_bye_goes_to_the_contact_or_else_where_the_invite_came_from(
    contact: str, source: Address, expected: Address
) -> None:
    bench = Bench()
    bench.hear(invite().replace("sip:ann@192.0.2.20:5062>", f"{contact}>"), source)
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    bench.hear(request("ACK", to_tag=ok.to_tag, branch="x"), source)
    (bye,) = bench.step(HangUp(bench.leg))
    assert bye.destination == expected
    assert bye.start == f"BYE {contact} SIP/2.0"


def test_loose_routes_are_followed_in_the_order_of_record_route() -> None:
    bench = Bench()
    bench.confirmed_call(headers="Record-Route: <sip:192.0.2.51;lr>, <sip:192.0.2.52:5070;lr>")
    (bye,) = bench.step(HangUp(bench.leg))
    assert bye.start == "BYE sip:ann@192.0.2.20:5062 SIP/2.0"
    assert bye.headers("Route") == ["<sip:192.0.2.51;lr>", "<sip:192.0.2.52:5070;lr>"]
    assert bye.destination == Address("192.0.2.51", 5_060)


def test_a_strict_router_gets_itself_as_request_uri_and_the_target_last() -> None:
    bench = Bench()
    bench.confirmed_call(headers="Record-Route: <sip:192.0.2.51>, <sip:192.0.2.52;lr>")
    (bye,) = bench.step(HangUp(bench.leg))
    assert bye.start == "BYE sip:192.0.2.51 SIP/2.0"
    assert bye.headers("Route") == ["<sip:192.0.2.52;lr>", "<sip:ann@192.0.2.20:5062>"]


def test_over_a_stream_everything_stays_on_the_connection_of_the_call() -> None:
    bench = Bench()
    bench.step(Received(invite().encode(), PEER, CORE, "TCP"))
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    assert ok.header("Contact") == "<sip:bridge@192.0.2.10:5060;transport=tcp>"
    ack = request("ACK", to_tag=ok.to_tag, branch="x").replace("192.0.2.20:5062>", "192.0.2.77>")
    bench.step(Received(ack.encode(), PEER, CORE, "TCP"))
    (bye,) = bench.step(HangUp(bench.leg))
    assert bye.destination == PEER
    assert bye.header("Via").startswith("SIP/2.0/TCP 192.0.2.10:5060;branch=")
    assert bench.wait(20 * S) == []


@pytest.mark.parametrize(
    ("came_by", "tcp", "named", "goes_by"),
    [
        ("UDP", True, ";transport=tcp", "TCP"),
        ("UDP", True, ";transport=TCP", "TCP"),
        ("UDP", False, ";transport=tcp", "UDP"),  # we have none
        ("UDP", True, ";transport=sctp", "UDP"),
        ("UDP", True, "", "UDP"),
        ("TCP", True, ";transport=udp", "UDP"),
        ("TCP", True, "", "TCP"),
    ],
)
@pytest.mark.parametrize("where", ["contact", "route"])
def test_a_transport_that_a_uri_names_is_taken_where_we_have_it(
    came_by: Transport, tcp: bool, named: str, goes_by: str, where: str
) -> None:
    """RFC 3263 §4.1, of the remote target or, where there is one, of the first route."""
    bench = Bench(SipConfig(CORE, tcp=tcp))
    text = invite()
    if where == "contact":
        text = text.replace("5062>\r\nContent-Type", f"5062{named}>\r\nContent-Type")
    else:
        text = text.replace(
            "Call-ID:", f"Record-Route: <sip:192.0.2.20:5062;lr{named}>\r\nCall-ID:"
        )
    assert named in text
    bench.step(Received(text.encode(), PEER, CORE, came_by))
    (ok,) = bench.step(Accept(bench.leg, MEDIA))
    ack = request("ACK", to_tag=ok.to_tag, branch="x")
    bench.step(Received(ack.encode(), PEER, CORE, came_by))
    (sent,) = bench.core.step(HangUp(bench.leg), NowNs(bench.now_ns)).sends
    assert (sent.transport, sent.destination) == (goes_by, PEER)
    assert f"\r\nVia: SIP/2.0/{goes_by} ".encode() in sent.data


def test_over_ipv6() -> None:
    core = Address("2001:db8::10", 5_060)
    bench = Bench(SipConfig(core))
    source = Address("2001:db8::20", 5_062)
    via = "SIP/2.0/UDP [2001:db8::20]:5062;branch=z9hG4bK6"
    body = OFFER.replace("IP4 192.0.2.20", "IP6 2001:db8::20")
    bench.hear(invite(body=body, via=via), source)
    (ok,) = bench.step(Accept(bench.leg, LocalMedia("2001:db8::10", 40_000)))
    assert ok.destination == source
    assert ok.header("Via") == via
    assert ok.header("Contact") == "<sip:bridge@[2001:db8::10]:5060>"
    assert "c=IN IP6 2001:db8::10" in ok.body
    bench.hear(request("ACK", to_tag=ok.to_tag, branch="x"), source)
    assert confirmed(bench)[0].proven


def test_config_times_scale_with_t1() -> None:
    bench = Bench(SipConfig(CORE, t1_ns=10 * MS))
    bench.answered_call()
    assert times_ms(bench.wait(100 * MS)) == [10, 30, 70]
