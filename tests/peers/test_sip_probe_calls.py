"""What an outsider's calls do to `tollbridge serve`: offers, dialogs, hold, keys, identities."""

import re
import sqlite3
import time
from collections import Counter

import pytest

from tests.peers.bridge_process import facts
from tests.peers.probing import SETTLE_S, TOLL_FREE, Serving, kinds, left_reason, story
from tests.peers.sip_wire import HOST, Message, Talk, Wire, sdp

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]


# --- offers -------------------------------------------------------------------------------


def audio(port: int, *, formats: str = "0 101", protocol: str = "RTP/AVP", more: str = "") -> str:
    lines = [f"m=audio {port} {protocol} {formats}", "a=rtpmap:101 telephone-event/8000"]
    return "\r\n".join([*lines, *more.split("|")]).rstrip()


def test_a_late_offer_is_made_by_the_200_and_answered_by_the_ack(talk: Talk) -> None:
    talk.wire.send(talk.text("INVITE"))
    answer = talk.wire.answer("INVITE")
    assert answer.status == 200
    assert re.fullmatch(r"m=audio \d+ RTP/AVP 111 9 107 0 8 101 102 103", answer.media_lines()[0])
    talk.take(answer)
    talk.ack(body=talk.offer())
    assert talk.ask("OPTIONS").status == 200
    talk.bye()


def test_a_late_offer_that_is_not_answered_ends_with_bye(bridge: Serving, talk: Talk) -> None:
    talk.wire.send(talk.text("INVITE"))
    talk.take(talk.wire.answer("INVITE"))
    talk.ack()
    talk.wire.reply(talk.wire.request("BYE"))
    assert left_reason(bridge, talk) == "hung_up"  # the facts have no word of their own for it


OFFERS = {
    "no_ptime": (audio(4_000), r"0 101"),
    "dynamic_pcmu": (audio(4_000, formats="100 101", more="a=rtpmap:100 PCMU/8000"), r"100 101"),
    "lower_case": (audio(4_000, formats="96", more="a=rtpmap:96 pcma/8000/1"), r"96"),
    "event_96": (
        audio(4_000, formats="8 96", more="a=rtpmap:96 telephone-event/8000|a=fmtp:96 0-16"),
        r"8 96",
    ),
    "event_127": (
        audio(4_000, formats="0 127", more="a=rtpmap:127 telephone-event/8000"),
        r"0 127",
    ),
    "opus_first": (
        audio(4_000, formats="111 9 8 101", more="a=rtpmap:111 opus/48000/2"),
        r"111 101",
    ),
    "wide_event": (
        audio(4_000, formats="0 100 101", more="a=rtpmap:100 telephone-event/48000"),
        r"0 101",
    ),
    "no_rtpmap": (audio(4_000, formats="0 8 13"), r"0"),
    "ptime_40": (audio(4_000, more="a=ptime:40|a=maxptime:60"), r"0 101"),
    "rtcp": (audio(4_000, more="a=rtcp:4001 IN IP4 127.0.0.1|a=rtcp-mux"), r"0 101"),
    "ice": (
        audio(
            4_000, more="a=ice-ufrag:x|a=ice-pwd:y|a=candidate:1 1 UDP 1 127.0.0.1 4000 typ host"
        ),
        r"0 101",
    ),
    "sendonly": (audio(4_000, more="a=sendonly"), r"0 101"),
    "session_c": (audio(4_000, more="c=IN IP4 127.0.0.1"), r"0 101"),
}


@pytest.mark.parametrize("name", OFFERS)
def test_an_unusual_offer_is_answered_with_what_it_offered(talk: Talk, name: str) -> None:
    media, formats = OFFERS[name]
    answer = talk.up(body=sdp(0, media=media.replace("4000", str(talk.wire.rtp_port))))
    (line,) = answer.media_lines()
    assert re.fullmatch(rf"m=audio [1-9]\d+ RTP/AVP {formats}", line)
    assert "IN IP4 127.0.0.1" in answer.body
    assert answer.body.startswith("v=0\r\no=")
    if name == "sendonly":
        assert "a=recvonly" in answer.body
    talk.bye()


@pytest.mark.parametrize("where", ["before", "after"])
def test_every_line_of_an_offer_has_its_line_in_the_answer(talk: Talk, where: str) -> None:
    video = "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000"
    sections = [video, audio(talk.wire.rtp_port), "m=text 4004 RTP/AVP 98", audio(4_006)]
    if where == "after":
        sections = sections[1:]
    answer = talk.up(body=sdp(0, media="\r\n".join(sections)))
    lines = answer.media_lines()
    assert [line.split()[0] for line in lines] == [s.split()[0] for s in sections]
    live = [line for line in lines if line.split()[1] != "0"]
    assert len(live) == 1
    assert live[0].startswith("m=audio")
    talk.bye()


def test_a_bundle_gets_an_answer_that_bundles_nothing(talk: Talk) -> None:
    media = (
        audio(talk.wire.rtp_port, more="a=mid:0|a=rtcp-mux") + "\r\nm=video 9 RTP/AVP 96\r\na=mid:1"
    )
    answer = talk.up(body=sdp(0, media=media, session=["group:BUNDLE 0 1"]))
    assert [line.split()[1] == "0" for line in answer.media_lines()] == [False, True]
    assert "a=group" not in answer.body
    talk.bye()


@pytest.mark.parametrize(
    ("session", "answered"),
    [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_a_direction_of_the_whole_session_counts(talk: Talk, session: str, answered: str) -> None:
    answer = talk.up(body=sdp(0, media=audio(talk.wire.rtp_port), session=[session]))
    assert f"a={answered}" in answer.body
    talk.bye()


REFUSED_OFFERS = {
    "amr_only": audio(4_000, formats="111", more="a=rtpmap:111 AMR-WB/16000"),
    "savp": audio(4_000, protocol="RTP/SAVP"),
    "webrtc": audio(4_000, protocol="UDP/TLS/RTP/SAVPF"),
    "port_0": audio(0),
    "video_only": "m=video 4002 RTP/AVP 96",
    "stereo": audio(4_000, formats="96", more="a=rtpmap:96 PCMU/8000/2"),
    "no_media": "a=nothing",
    "port_99999": audio(99_999),
}


@pytest.mark.parametrize("name", REFUSED_OFFERS)
def test_an_offer_without_a_codec_of_ours_is_488_with_warning(
    bridge: Serving, talk: Talk, name: str
) -> None:
    answer = talk.ask("INVITE", body=sdp(0, media=REFUSED_OFFERS[name]))
    assert answer.status == 488
    assert re.fullmatch(r'3\d\d \S+ "[^"]+"', answer.value("Warning"))
    assert not story(bridge, talk)


@pytest.mark.parametrize(
    "body", ["hello", "v=0\r\n", "v=1\r\no=x\r\n", "v=0\r\no=- 1 1 IN IP4 1\r\nm=audio x y z\r\n"]
)
def test_a_body_that_is_no_sdp_is_488_with_warning(talk: Talk, body: str) -> None:
    answer = talk.ask("INVITE", body=body)
    assert answer.status == 488
    assert answer.value("Warning")


def test_another_kind_of_body_is_415_with_accept(talk: Talk) -> None:
    answer = talk.ask("INVITE", body="<x/>", body_type="text/xml")
    assert (answer.status, answer.value("Accept")) == (415, "application/sdp")


def test_sdp_inside_of_a_multipart_body_is_found(talk: Talk) -> None:
    body = (
        "--edge\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        f"--edge\r\nContent-Type: application/sdp\r\n\r\n{talk.offer()}\r\n--edge--\r\n"
    )
    talk.up(body=body, body_type="multipart/mixed;boundary=edge")
    talk.bye()


def test_ipv6_media_is_understood_though_it_cannot_be_reached(talk: Talk) -> None:
    answer = talk.ask("INVITE", body=sdp(4_000, host="2001:db8::7"))
    assert answer.status in (200, 488)
    if answer.status == 200:
        talk.take(answer)
        talk.ack()
        talk.bye()


# --- dialogs ------------------------------------------------------------------------------


def test_record_route_comes_back_in_order_and_is_followed_by_our_bye(talk: Talk) -> None:
    mine = f"{HOST}:{talk.wire.port}"
    routes = [f"<sip:{mine};lr;n=1>", "<sip:192.0.2.2;lr;n=2>"]
    answer = talk.up(*(f"Record-Route: {route}" for route in routes))
    assert ", ".join(answer.values("Record-Route")) == ", ".join(routes)
    bye = end_from_the_bridge(talk)
    assert ", ".join(bye.values("Route")) == ", ".join(routes)
    assert bye.start == f"BYE sip:probe@{mine} SIP/2.0"
    talk.wire.reply(bye)


def end_from_the_bridge(talk: Talk) -> Message:
    """Make the bridge hang up: an ACK with a bad answer to its own late offer."""
    talk.cseq += 1
    talk.wire.send(talk.text("INVITE"))
    answer = talk.wire.answer("INVITE")
    assert answer.status == 200
    talk.ack(body="v=0\r\n")
    return talk.wire.request("BYE")


def test_a_strict_route_becomes_the_request_uri(talk: Talk) -> None:
    mine = f"{HOST}:{talk.wire.port}"
    talk.up(f"Record-Route: <sip:strict@{mine}>", "Record-Route: <sip:192.0.2.2;lr>")
    bye = end_from_the_bridge(talk)
    assert bye.start == f"BYE sip:strict@{mine} SIP/2.0"
    assert bye.values("Route") == ["<sip:192.0.2.2;lr>", f"<sip:probe@{mine}>"]
    talk.wire.reply(bye)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_reinvite_or_update_moves_the_remote_target(talk: Talk, method: str) -> None:
    talk.up()
    contact = f"Contact: <sip:moved@{HOST}:{talk.wire.port}>"
    assert talk.ask(method, body=talk.offer(), contact=contact).status == 200
    if method == "INVITE":
        talk.ack()
    talk.cseq += 1
    talk.wire.send(talk.text("INVITE", contact=contact))
    talk.wire.answer("INVITE")
    talk.ack(body="v=0\r\n")
    bye = talk.wire.request("BYE")
    assert bye.start.startswith(f"BYE sip:moved@{HOST}")
    talk.wire.reply(bye)


def test_a_cseq_out_of_order_is_500_and_the_call_goes_on(talk: Talk) -> None:
    talk.cseq = 10
    talk.up()
    talk.wire.send(talk.text("INFO", cseq=9))
    assert talk.wire.answer("INFO").status == 500
    talk.bye()


def test_a_reinvite_before_the_ack_is_491(talk: Talk) -> None:
    talk.invite()
    answer = talk.wire.answer("INVITE")
    talk.take(answer)
    refused = talk.ask("INVITE", body=talk.offer())
    while refused.status == 200:  # the first 200 once more
        refused = talk.wire.answer("INVITE")
    assert refused.status == 491
    talk.ack_failure(refused)
    talk.wire.send(talk.text("ACK", cseq=1))
    talk.bye()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_hold_and_resume(talk: Talk, method: str) -> None:
    talk.up()
    port = talk.wire.rtp_port
    steps = [
        (sdp(port, attributes=["sendonly"], version=2), "recvonly"),
        (sdp(port, attributes=["inactive"], version=3), "inactive"),
        (sdp(port, version=4).replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"), "recvonly"),
        (sdp(port, version=5), "sendrecv"),
        (sdp(port, codecs="8 101", version=6), "sendrecv"),
    ]
    for body, direction in steps:
        answer = talk.ask(method, body=body)
        assert answer.status == 200
        assert f"a={direction}" in answer.body
        if method == "INVITE":
            talk.ack()
    assert re.search(r"m=audio \d+ RTP/AVP 8 101", answer.body)
    talk.bye()


def test_a_reinvite_that_cannot_be_taken_leaves_the_call_as_it_was(talk: Talk) -> None:
    talk.up()
    refused = talk.ask("INVITE", body=sdp(0, media=REFUSED_OFFERS["amr_only"]))
    assert refused.status == 488
    talk.ack_failure(refused)
    assert talk.ask("OPTIONS").status == 200
    talk.bye()


def test_an_update_without_sdp_refreshes_the_session(talk: Talk) -> None:
    answer = talk.up("Supported: timer", "Session-Expires: 120;refresher=uac", "Min-SE: 90")
    assert answer.value("Session-Expires") == "120;refresher=uac"
    assert "timer" in answer.value("Require")
    again = talk.ask("UPDATE", "Supported: timer", "Session-Expires: 120;refresher=uac")
    assert (again.status, again.body) == (200, "")
    assert again.value("Session-Expires") == "120;refresher=uac"
    talk.bye()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
        ("application/dtmf-relay", "Signal= *\r\nDuration= 100\r\n"),
        ("application/dtmf", "5"),
        ("application/dtmf", "11"),
    ],
)
def test_keys_come_by_info(talk: Talk, kind: str, body: str) -> None:
    talk.up()
    assert talk.ask("INFO", body=body, body_type=kind).status == 200
    talk.bye()


def test_info_of_another_kind_is_415(talk: Talk) -> None:
    talk.up()
    assert talk.ask("INFO", body="x", body_type="application/media_control+xml").status == 415
    assert talk.ask("INFO").status == 200  # empty: a sign of life (RFC 2976)
    talk.bye()


def test_an_organizer_keys_code_and_pin_by_info(bridge: Serving, wire: Wire) -> None:
    talk = Talk(wire, "join")
    talk.up()
    leg = story(bridge, talk)[0]["subject"]
    for key in "482913#*0771144#":
        body = f"Signal={key}\r\nDuration=100\r\n"
        assert talk.ask("INFO", body=body, body_type="application/dtmf-relay").status == 200
    deadline = time.monotonic() + SETTLE_S
    joined: list[dict[str, str]] = []
    while not joined and time.monotonic() < deadline:
        seen = facts(bridge.store)
        joined = [f for f in seen if f["type"] == "organizer.joined" and f["leg"] == leg]
        time.sleep(0.02)
    assert len(joined) == 1
    assert kinds(bridge, talk)["leg.identified"] == 1
    talk.bye()
    assert left_reason(bridge, talk) == "hung_up"


def test_options_says_what_we_can_do(talk: Talk) -> None:
    answer = talk.ask("OPTIONS")
    assert answer.status == 200
    assert "INVITE" in answer.value("Allow")
    assert "application/sdp" in answer.value("Accept")
    assert "timer" in answer.value("Supported")
    talk.up()
    assert talk.ask("OPTIONS").status == 200
    talk.bye()


def test_a_caller_may_require_100rel(talk: Talk) -> None:
    talk.up("Require: 100rel", "Supported: 100rel, timer")
    talk.bye()


# --- the store ----------------------------------------------------------------------------


def test_identities_are_kept(bridge: Serving, talk: Talk) -> None:
    talk.target = f"sip:{TOLL_FREE}@{HOST}"
    swap = {"From:": f"From: <sip:someone@{HOST}>;tag={talk.from_tag}"}
    talk.up(
        f"P-Asserted-Identity: <sip:{talk.name}@carrier.example>",
        "Diversion: <sip:+1555@x.example>",
        swap=swap,
    )
    talk.bye()
    assert left_reason(bridge, talk) == "hung_up"
    answered = story(bridge, talk)[0]
    assert (answered["kind"], answered["country"], answered["did"]) == (
        "toll_free",
        "US",
        TOLL_FREE,
    )


@pytest.mark.parametrize("hidden", ["Privacy: id", "X-Nothing: 1"])
def test_an_anonymous_caller_is_let_in(talk: Talk, hidden: str) -> None:
    swap = {"From:": f'From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag={talk.from_tag}'}
    text = talk.text("INVITE", hidden, body=talk.offer(), swap=swap)
    talk.wire.send(text)
    answer = talk.wire.answer("INVITE")
    assert answer.status == 200
    talk.wire.send(text.replace("INVITE", "CANCEL"))
    talk.wire.drain(0.05)
    talk.take(answer)
    talk.wire.send(talk.text("ACK", swap=swap))
    talk.cseq += 1
    talk.wire.send(talk.text("BYE", swap=swap))
    assert talk.wire.answer("BYE").status == 200


def test_at_the_end_every_leg_has_one_beginning_and_one_end(bridge: Serving) -> None:
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        seen = facts(bridge.store)
        answered = Counter(f["subject"] for f in seen if f["type"] == "leg.answered")
        left = Counter(f["subject"] for f in seen if f["type"] == "leg.left")
        if answered == left:
            break
        time.sleep(0.05)
    assert answered == left
    assert set(answered.values()) == {1}
    connection = sqlite3.connect(bridge.store)
    still_open = connection.execute("SELECT count(*) FROM open_subject WHERE is_leg").fetchone()
    connection.close()
    assert still_open == (0,)
