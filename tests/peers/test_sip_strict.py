"""What a strict reader of RFC 3261 asks of `tollbridge serve`: cases that phones rarely make."""

import pytest

from tests.peers.probing import Serving, left_reason
from tests.peers.sip_wire import Talk, sdp

pytestmark = [pytest.mark.peer, pytest.mark.timeout(60)]

ARRIVED = {"Max-Forwards:": "Max-Forwards: 0"}
"""The last hop was used up on the way here; who is called counts none (§16.3)."""


# --- Max-Forwards -------------------------------------------------------------------------


def test_a_call_whose_last_hop_is_the_bridge_is_a_call(bridge: Serving, talk: Talk) -> None:
    talk.up(swap=ARRIVED)
    held = sdp(talk.wire.rtp_port, attributes=["sendonly"], version=2)
    talk.cseq += 1
    talk.wire.send(talk.text("INVITE", body=held, swap=ARRIVED))
    assert talk.wire.answer("INVITE").status == 200
    talk.wire.send(talk.text("ACK", swap=ARRIVED))
    key = "Signal=5\r\nDuration=100\r\n"
    assert (
        talk.ask("INFO", body=key, body_type="application/dtmf-relay", swap=ARRIVED).status == 200
    )
    for method in ("OPTIONS", "UPDATE", "BYE"):
        assert talk.ask(method, swap=ARRIVED).status == 200, method
    assert left_reason(bridge, talk) == "hung_up"


@pytest.mark.parametrize(
    ("method", "status"),
    [("OPTIONS", 200), ("CANCEL", 481), ("MESSAGE", 405), ("SUBSCRIBE", 405), ("REFER", 603)],
)
def test_what_has_used_up_its_hops_is_answered_as_ever(
    talk: Talk, method: str, status: int
) -> None:
    """OPTIONS by the element itself (§11), a method that is not ours by 405."""
    talk.wire.send(talk.text(method, swap=ARRIVED))
    assert talk.wire.answer(method).status == status


# --- descriptions -------------------------------------------------------------------------


def test_a_phone_is_told_how_much_sound_a_packet_may_hold(talk: Talk) -> None:
    """Opus may put 120 ms into one (RFC 7587 §6.1), and the media plane takes 60."""
    opus = sdp(
        talk.wire.rtp_port,
        codecs="111 0 101",
        attributes=["rtpmap:111 opus/48000/2", "rtpmap:101 telephone-event/48000", "ptime:120"],
    )
    answer = talk.up(body=opus)
    assert talk.ask("OPTIONS").status == 200
    lines = answer.body.split("\r\n")
    assert {"a=maxptime:60", "a=ptime:20", "a=rtpmap:111 opus/48000/2"} <= set(lines)
    talk.cseq += 1
    talk.wire.send(talk.text("INVITE"))  # without an offer: ours says it too
    assert "\r\na=maxptime:60\r\n" in talk.wire.answer("INVITE").body
    talk.ack(body=opus.replace("probe 1 1", "probe 1 2"))
    talk.bye()
