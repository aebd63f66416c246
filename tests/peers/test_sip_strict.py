"""What a strict reader of RFC 3261 asks of `tollbridge serve`: cases that phones rarely make."""

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.peers.bridge_process import config, serving
from tests.peers.probing import CODE, Serving, free_port
from tests.peers.sip_wire import HOST, PATIENCE_S, Message, Talk, Wire, parse, sdp, token

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Return a bridge with all that it may have: TCP, and somebody who may register."""
    folder, port = tmp_path_factory.mktemp("strict"), free_port()
    store = folder / "store.db"
    text = config(port, store, [CODE]).replace("[sip]\n", "[sip]\ntcp = true\n")
    text += '[[user]]\nname = "ann"\npassword = "secret"\n'
    with serving(text, folder) as process:
        yield Serving((HOST, port), store, process.pid)


# --- Max-Forwards -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "MESSAGE", "REGISTER"])
def test_what_has_used_up_its_hops_is_refused(talk: Talk, method: str) -> None:
    """A call that goes in circles ends here."""
    talk.wire.send(talk.text(method, swap={"Max-Forwards:": "Max-Forwards: 0"}))
    assert talk.wire.answer(method).status == 483


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


# --- where requests of ours go ------------------------------------------------------------


@pytest.mark.parametrize("where", ["contact", "record-route"])
def test_who_wants_tcp_gets_the_bye_by_tcp(bridge: Serving, where: str) -> None:
    """RFC 3261 §12.2.1.1: a request goes where the target, or the first route, says, and so."""
    with socket.create_server((HOST, 0)) as door, Wire(bridge.address) as wire:
        door.settimeout(PATIENCE_S)
        place, talk = f"{HOST}:{door.getsockname()[1]};transport=tcp", Talk(wire)
        if where == "contact":
            talk.invite(body="", contact=f"Contact: <sip:probe@{place}>")
        else:
            talk.invite(f"Record-Route: <sip:{place};lr>", body="")
        talk.take(wire.answer("INVITE"))
        talk.ack(body="v=0\r\n")  # no answer to the offer in the 200: the bridge hangs up
        stream, _ = door.accept()
        with stream:
            bye = parse(stream.recv(4_096))
            assert bye.start.startswith("BYE sip:probe@")
            assert bye.value("Via").startswith(f"SIP/2.0/TCP {HOST}:{bridge.address[1]};")
            lines = [
                f"{name}: {bye.value(name)}" for name in ("Via", "From", "To", "Call-ID", "CSeq")
            ]
            head = ["SIP/2.0 200 OK", *lines, "Content-Length: 0"]
            stream.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
            assert not wire.drain(0.3), "nothing came by UDP"


def stream_message(stream: socket.socket) -> Message:
    """Return the next message of a stream; those of the bridge have one segment each here."""
    stream.settimeout(PATIENCE_S)
    return parse(stream.recv(8_192))


def test_a_bye_that_meets_a_breaking_connection_comes_over_another(
    bridge: Serving,
) -> None:
    """The phone reads it, is reset before it answers, and is called where its Contact says."""
    with socket.create_server((HOST, 0)) as door, Wire(bridge.address) as wire:
        door.settimeout(PATIENCE_S)
        stream, talk = socket.create_connection(bridge.address), Talk(wire)
        contact = f"Contact: <sip:probe@{HOST}:{door.getsockname()[1]};transport=tcp>"
        via = f"Via: SIP/2.0/TCP {HOST};branch=z9hG4bK{token()}"
        stream.sendall(talk.text("INVITE", contact=contact, via=via).encode())
        while (answer := stream_message(stream)).status < 200:
            pass
        talk.take(answer)
        stream.sendall(talk.text("ACK", via=via + "a", body="v=0\r\n").encode())
        assert stream_message(stream).start.startswith("BYE ")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()  # a reset
        other, _ = door.accept()
        with other:
            assert stream_message(other).start.startswith("BYE ")


# --- start lines --------------------------------------------------------------------------


def test_a_request_uri_that_is_too_long_is_414(talk: Talk) -> None:
    talk.wire.send(talk.text("OPTIONS", uri=f"sip:{'a' * 3_000}@{HOST}"))
    assert talk.wire.answer("OPTIONS").status == 414


# --- what is understood -------------------------------------------------------------------


def test_every_allow_names_all_that_is_understood(talk: Talk) -> None:
    """REGISTER too, where somebody may register (RFC 3261 §20.5)."""
    answers = [talk.ask("OPTIONS"), talk.up(), talk.ask("UPDATE"), talk.ask("FOO")]
    talk.bye()
    assert [one.status for one in answers] == [200, 200, 200, 405]
    allowed = {tuple(sorted(one.value("Allow").split(", "))) for one in answers}
    assert allowed == {
        ("ACK", "BYE", "CANCEL", "INFO", "INVITE", "OPTIONS", "PRACK", "REGISTER", "UPDATE")
    }
