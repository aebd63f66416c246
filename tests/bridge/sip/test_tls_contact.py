"""What the core tells of itself over TLS: Contact, Via, and the connection that it stays on."""

import pytest

from bridge.sip.api import (
    Accept,
    Address,
    Dial,
    HangUp,
    LocalMedia,
    Received,
    Ring,
    Send,
    SipConfig,
)
from bridge.units import LegId, NowNs
from tests.bridge.sip.bench import CORE, MEDIA, OFFER, PEER, Bench, invite, request, response

TLS_CORE = Address("192.0.2.10", 5_061)
SIP = "<sip:bridge@192.0.2.10:5061;transport=tls>"
SIPS = "<sips:bridge@192.0.2.10:5061>"
URI = "sips:join@192.0.2.10"
OURS = "sip:ann@192.0.2.20:5062"


def bench() -> Bench:
    return Bench(SipConfig(CORE, tls_contact=TLS_CORE))


@pytest.mark.parametrize(
    ("uri", "contact", "route", "expected"),
    [
        ("sip:join@192.0.2.10", OURS, "", SIP),
        (URI, OURS, "", SIPS),
        ("sip:join@192.0.2.10", "sips:ann@192.0.2.20", "", SIPS),
        ("sip:join@192.0.2.10", OURS, "Record-Route: <sips:192.0.2.51;lr>", SIPS),
        # A route hides the Contact (RFC 3261 §12.1.1).
        ("sip:join@192.0.2.10", "sips:ann@192.0.2.20", "Record-Route: <sip:192.0.2.51;lr>", SIP),
    ],
)
def test_a_sips_uri_that_opens_the_dialog_makes_our_contact_one(
    uri: str, contact: str, route: str, expected: str
) -> None:
    phone = bench()
    text = invite(uri=uri, headers=route).replace(f"Contact: <{OURS}>", f"Contact: <{contact}>")
    phone.step(Received(text.encode(), PEER, TLS_CORE, "TLS"))
    (ringing,) = [sent for sent in phone.step(Ring(phone.leg)) if sent.status == 180]
    (ok,) = phone.step(Accept(phone.leg, MEDIA))
    assert (ringing.header("Contact"), ok.header("Contact")) == (expected, expected)
    assert ok.headers("Record-Route") == [line.partition(": ")[2] for line in [route] if line]
    ack = request("ACK", to_tag=ok.to_tag, branch="x")
    phone.step(Received(ack.encode(), PEER, TLS_CORE, "TLS"))
    update = request("UPDATE", to_tag=ok.to_tag, branch="u", cseq=2, body=OFFER)
    (answer,) = phone.step(Received(update.encode(), PEER, TLS_CORE, "TLS"))
    assert (answer.status, answer.header("Contact")) == (200, expected)
    (bye,) = phone.step(HangUp(phone.leg))
    assert bye.destination == PEER
    assert bye.header("Via").startswith("SIP/2.0/TLS 192.0.2.10:5061;branch=")


def test_a_sips_target_over_udp_gets_the_contact_that_can_be_reached() -> None:
    phone = bench()
    phone.hear(invite(uri=URI))
    (ok,) = phone.step(Accept(phone.leg, MEDIA))
    assert ok.header("Contact") == "<sip:bridge@192.0.2.10:5060>"


def test_a_port_that_is_not_named_is_the_one_of_sips() -> None:
    phone = bench()
    via = "SIP/2.0/TLS 192.0.2.20;branch=z9hG4bKa"
    options = request("OPTIONS", via=via).encode()
    effects = phone.core.step(Received(options, PEER, TLS_CORE, "TLS"), NowNs(0))
    (answer,) = effects.sends
    assert answer == Send(answer.data, PEER, TLS_CORE, "TLS", Address("192.0.2.20", 5_061))


@pytest.mark.parametrize(
    ("target", "contact"),
    [
        ("sips:ann@192.0.2.20:49152", "<sips:bridge@192.0.2.10:5061>"),
        ("sip:ann@192.0.2.20:49152;transport=tls", SIP),
    ],
)
def test_a_phone_is_called_over_tls_with_the_contact_that_its_uri_wants(
    target: str, contact: str
) -> None:
    phone = bench()
    media = LocalMedia("192.0.2.10", 40_000)
    order = Dial(LegId("l"), target, "", "192.0.2.10", PEER, media, transport="TLS")
    (call,) = phone.step(order)
    assert call.start == f"INVITE {target} SIP/2.0"
    assert call.header("Contact") == contact
    assert call.header("Via").startswith("SIP/2.0/TLS 192.0.2.10:5061;branch=")
    headers = f"Contact: <{target}>"
    ok = response(call, 200, headers=headers, body=OFFER.replace("8 0 101", "0 101"))
    phone.step(Received(ok.encode(), PEER, TLS_CORE, "TLS"))
    (bye,) = phone.step(HangUp(LegId("l")))
    assert (bye.start, bye.destination) == (f"BYE {target} SIP/2.0", PEER)
