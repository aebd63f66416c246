"""No bytes make the core raise, whatever state it is in, and it forgets them all."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.sip.api import Accept, HangUp, Received, Reinvite, Ring
from bridge.sip.messages import parse
from bridge.sip.sdp import BadSdp, parse_sdp
from tests.bridge.sip.bench import CORE, MEDIA, OFFER, PEER, Bench, S, invite, request, response
from tests.bridge.sip.torture import MESSAGES

SEEDS = [torture.data for torture in MESSAGES] + [
    request(method, to_tag=tag, cseq=cseq, body=body, headers=headers).encode()
    for method in ("INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "INFO", "PRACK", "OPTIONS")
    for tag in ("", "t1")
    for cseq in (1, 2)
    for body in ("", OFFER)
    for headers in ("", "Require: 100rel\nRAck: 1 1 INVITE\nx: 90\nk: timer")
]
PIECES = [
    b"\r\n", b"\r\n ", b"\0", b"\xff", b";", b";;", b",", b'"', b"<", b">", b"@", b":", b" ",
    b"%00", b"tag=", b"self=1", b"99999999999999999999", b"-1", b"sip:", b"[", b"::", b"z9hG4bK",
    b"v=0", b"m=audio 0 RTP/AVP", b"a=", "\u2003\u0661".encode(), b"SIP/2.0", b"=", b"\\", b"*",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 12))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=6))
        data[at : at + cut] = piece * draw(st.sampled_from([1, 1, 1, 2, 300]))
    return bytes(data)


def feed(bench: Bench, messages: list[bytes]) -> None:
    for data in messages:
        for sent in bench.hear(data):
            assert isinstance(sent.data, bytes)
        bench.wait(S // 2)
    bench.wait(3 * S)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300) | mutated())
def test_no_bytes_make_the_parser_raise(data: bytes) -> None:
    parse(data)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | mutated().map(lambda data: data.decode("latin-1")))
def test_no_text_makes_the_sdp_parser_raise(text: str) -> None:
    for body in (text, OFFER[: len(text)] + text):
        with contextlib.suppress(BadSdp):
            parse_sdp(body.encode("utf-8", "surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(st.lists(mutated(), max_size=6), st.sampled_from(["none", "ringing", "answered", "up"]))
def test_no_messages_make_the_core_raise_whatever_the_call_is_doing(
    messages: list[bytes], state: str
) -> None:
    bench = Bench()
    if state != "none":
        bench.hear(invite(headers="Require: 100rel"))
        bench.step(Ring(bench.leg))
    if state in ("answered", "up"):
        bench.step(Accept(bench.leg, MEDIA))
    if state == "up":
        bench.hear(request("ACK", to_tag="t1", branch="k"))
        bench.step(Reinvite(bench.leg, MEDIA))
    feed(bench, messages)
    for leg in list(bench.core._exchange.legs):
        bench.step(HangUp(leg))
    bench.wait(200 * S)
    bench.assert_empty()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_answers_make_the_core_raise(data: st.DataObject) -> None:
    bench = Bench()
    bench.hear(invite())
    bench.step(Accept(bench.leg, MEDIA))
    bench.hear(request("ACK", to_tag=bench.sent[-1].to_tag, branch="k"))
    (ours,) = bench.step(Reinvite(bench.leg, MEDIA))
    for _ in range(data.draw(st.integers(1, 5))):
        status = data.draw(st.sampled_from([100, 180, 200, 202, 302, 408, 422, 481, 491, 500, 699]))
        headers = data.draw(
            st.sampled_from(
                ["", "Contact: <sip:a@h.invalid>", "Min-SE: 9999", "x: 90;refresher=uac",
                 "Require: 100rel\nRSeq: 1", "Record-Route: <sip:a@h>"]
            )
        )  # fmt: skip
        body = data.draw(st.sampled_from(["", OFFER, "junk"]))
        wire = bytearray(response(ours, status, headers=headers, body=body).encode())
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(wire) - 1))
            wire[at : at + 1] = data.draw(st.sampled_from(PIECES))
        bench.step(Received(bytes(wire), PEER, CORE))
        bench.wait(data.draw(st.sampled_from([0, S, 5 * S])))
    bench.step(HangUp(bench.leg))
    bench.wait(300 * S)
    bench.assert_empty()
