"""Requests within a call: BYE, hold and resume, UPDATE, INFO, OPTIONS, and what crosses."""

import pytest

from bridge.sip.api import (
    Address,
    CallEnded,
    CallKey,
    CallMedia,
    Codec,
    Direction,
    EndCause,
    HangUp,
    LocalMedia,
    Reinvite,
    Ring,
    SipConfig,
)
from tests.bridge.sip.bench import (
    CORE,
    MEDIA,
    OFFER,
    PEER,
    Bench,
    S,
    Sent,
    invite,
    request,
    response,
    times_ms,
)


def media(bench: Bench) -> list[CallMedia]:
    return [event for event in bench.events if isinstance(event, CallMedia)]


def reinvite(tag: str, cseq: int = 2, *, body: str = OFFER, **changes: str) -> str:
    return request("INVITE", to_tag=tag, cseq=cseq, branch=f"re{cseq}", body=body, **changes)


def ack(tag: str, cseq: int, body: str = "") -> str:
    return request("ACK", to_tag=tag, cseq=cseq, branch=f"ack{cseq}", body=body)


# --- BYE ----------------------------------------------------------------------------------


def test_bye_ends_the_call_once_and_gets_200_every_time() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    bye = request("BYE", to_tag=tag, cseq=2, branch="b1")
    for text in (bye, bye, request("BYE", to_tag=tag, cseq=3, branch="b2")):
        assert [answer.status for answer in bench.hear(text)] == [200]
    assert bench.ends == [CallEnded(bench.leg, EndCause.REMOTE_BYE)]
    bench.wait(70 * S)
    bench.assert_empty()


def test_byes_that_cross_are_both_answered_and_the_end_is_told_once() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    (ours,) = bench.step(HangUp(bench.leg))
    (ok,) = bench.hear(request("BYE", to_tag=tag, cseq=2, branch="b1"))
    assert ok.status == 200
    bench.hear(response(ours, 481))
    assert bench.ends == [CallEnded(bench.leg, EndCause.LOCAL_BYE)]
    assert bench.wait(4 * S) == []


def test_bye_before_the_ack_stops_the_200() -> None:
    bench = Bench()
    tag = bench.answered_call()
    bench.hear(request("BYE", to_tag=tag, cseq=2, branch="b1"))
    assert bench.wait(30 * S) == []
    assert [end.cause for end in bench.ends] == [EndCause.REMOTE_BYE]


def test_bye_in_the_early_dialog_ends_the_invite_with_487() -> None:
    bench = Bench()
    bench.hear(invite())
    (ringing,) = bench.step(Ring(bench.leg))
    ok, terminated = bench.hear(request("BYE", to_tag=ringing.to_tag, cseq=2, branch="b1"))
    assert (ok.status, terminated.status) == (200, 487)
    assert bench.ends == [CallEnded(bench.leg, EndCause.CANCELLED, 487)]


def test_bye_while_our_bye_waits_for_the_ack() -> None:
    bench = Bench()
    tag = bench.answered_call()
    bench.step(HangUp(bench.leg))
    (ok,) = bench.hear(request("BYE", to_tag=tag, cseq=2, branch="b1"))
    assert ok.status == 200
    assert bench.wait(40 * S) == []
    assert len(bench.ends) == 1


def test_other_requests_after_the_end_are_481() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    bench.step(HangUp(bench.leg))
    assert bench.hear(reinvite(tag))[0].status == 481
    assert "call_is_over" in bench.dropped


def test_an_old_cseq_is_500_and_never_a_new_call() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    bench.hear(request("OPTIONS", to_tag=tag, cseq=5, branch="o5"))
    (old,) = bench.hear(request("OPTIONS", to_tag=tag, cseq=4, branch="o4"))
    assert old.start == "SIP/2.0 500 CSeq Out of Order"
    assert bench.dropped == ["cseq_out_of_order"]


def test_options_within_a_dialog() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    (ok,) = bench.hear(request("OPTIONS", to_tag=tag, cseq=2, branch="o"))
    assert ok.status == 200
    assert "UPDATE" in ok.header("Allow")


# --- INFO ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "key"),
    [
        ("Signal=5\r\nDuration=160\r\n", "application/dtmf-relay", "5"),
        ("Signal= *\r\n", "application/dtmf-relay", "*"),
        ("duration=1\r\nSIGNAL=d", "Application/DTMF-Relay", "D"),
        ("Signal=10\r\n", "application/dtmf-relay", "*"),
        ("Signal=11\r\n", "application/dtmf-relay", "#"),
        ("7", "application/dtmf", "7"),
        ("#\r\n", "application/dtmf", "#"),
        ("Signal=1", "application/dtmf", "1"),
    ],
)
def test_info_brings_keys(body: str, kind: str, key: str) -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    text = request("INFO", to_tag=tag, cseq=2, branch="i", body=body, content_type=kind)
    for _ in range(2):  # repeated, but pressed once
        assert [answer.status for answer in bench.hear(text)] == [200]
    assert [event for event in bench.events if isinstance(event, CallKey)] == [
        CallKey(bench.leg, key)
    ]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("", "application/dtmf-relay", 200),
        ("Signal=12", "application/dtmf-relay", 400),
        ("nothing", "application/dtmf-relay", 400),
        ("55", "application/dtmf", 400),
        ("x", "text/plain", 415),
    ],
)
def test_info_without_a_key(body: str, kind: str, status: int) -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    text = request("INFO", to_tag=tag, cseq=2, branch="i", body=body, content_type=kind)
    assert [answer.status for answer in bench.hear(text)] == [status]
    assert not any(isinstance(event, CallKey) for event in bench.events)


# --- hold, resume, changes ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        ("m=audio", "a=sendonly\r\nm=audio", "recvonly"),
        ("m=audio", "a=inactive\r\nm=audio", "inactive"),
        ("c=IN IP4 192.0.2.20", "c=IN IP4 0.0.0.0", "recvonly"),
    ],
)
def test_hold_and_resume(method: str, old: str, new: str, answer: str) -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    held = OFFER.replace(old, new)
    (ok,) = bench.hear(request(method, to_tag=tag, cseq=2, branch="h", body=held))
    assert ok.status == 200
    assert f"a={answer}\r\n" in ok.body
    assert media(bench)[-1].remote.held
    if method == "INVITE":
        assert times_ms(bench.wait(600_000_000)) == [500]
        bench.hear(ack(tag, 2))
        assert bench.wait(10 * S) == []
    (ok,) = bench.hear(request(method, to_tag=tag, cseq=3, branch="r", body=OFFER))
    assert "a=sendrecv\r\n" in ok.body
    assert not media(bench)[-1].remote.held
    assert len(media(bench)) == 2


def test_a_refresh_that_changes_nothing_is_not_told_and_keeps_the_version() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    (ok,) = bench.hear(reinvite(tag))
    assert media(bench) == []
    bench.hear(ack(tag, 2))
    (held,) = bench.hear(reinvite(tag, 3, body=OFFER.replace("m=", "a=sendonly\r\nm=")))
    origins = [message.body.split("\r\n")[1] for message in (bench.sent[1], ok, held)]
    assert origins[0] == origins[1] != origins[2]
    assert [origin.split(" ")[2] for origin in origins] == ["1", "1", "2"]


def test_codec_and_address_may_change_and_only_the_callers_own_host_is_proven() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    moved = OFFER.replace("30000 RTP/AVP 8 0", "30002 RTP/AVP 0")
    bench.hear(reinvite(tag, body=moved))
    assert media(bench)[-1].remote.codec == Codec("PCMU", 0)
    assert media(bench)[-1].remote.address == Address("192.0.2.20", 30_002)
    assert media(bench)[-1].proven
    bench.hear(ack(tag, 2))
    away = OFFER.replace("c=IN IP4 192.0.2.20", "c=IN IP4 198.51.100.9")
    bench.hear(reinvite(tag, 3, body=away), Address("198.51.100.9", 5_060))
    assert not media(bench)[-1].proven


def test_a_stream_may_be_switched_off_and_on_again() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    (ok,) = bench.hear(reinvite(tag, body=OFFER.replace("audio 30000", "audio 0")))
    assert "m=audio 0 RTP/AVP" in ok.body
    assert media(bench)[-1].remote.address is None
    bench.hear(ack(tag, 2))
    (ok,) = bench.hear(reinvite(tag, 3))
    assert "m=audio 40000 " in ok.body


@pytest.mark.parametrize(("body", "status"), [("junk", 488), (OFFER.replace("8 0 101", "18"), 488)])
def test_a_refused_reinvite_leaves_the_call_as_it_was(body: str, status: int) -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    (refused,) = bench.hear(reinvite(tag, body=body))
    assert refused.status == status
    bench.hear(request("ACK", to_tag=tag, cseq=2, branch="re2"))
    assert media(bench) == []
    assert bench.ends == []
    assert bench.hear(reinvite(tag, 3))[0].status == 200


def test_a_retransmitted_reinvite_gets_its_200_again() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    (first,) = bench.hear(reinvite(tag))
    (again,) = bench.hear(reinvite(tag))
    assert first.data == again.data


def test_a_reinvite_without_an_ack_ends_the_call() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    bench.hear(reinvite(tag))
    assert bench.wait(32 * S)[-1].method == "BYE"
    assert [end.cause for end in bench.ends] == [EndCause.NO_ACK]


def test_a_reinvite_without_an_offer_is_offered_ours_and_answered_in_the_ack() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    (ok,) = bench.hear(reinvite(tag, body=""))
    assert "m=audio 40000 RTP/AVP 0 8 101" in ok.body
    assert media(bench) == []
    bench.hear(ack(tag, 2, OFFER.replace("8 0 101", "0 101")))
    assert media(bench)[-1].remote.codec == Codec("PCMU", 0)
    (ok,) = bench.hear(reinvite(tag, 3, body=""))
    bench.hear(ack(tag, 3, OFFER.replace("8 0 101", "0 101")))
    assert len(media(bench)) == 1


def test_target_refresh_by_reinvite_and_update_moves_our_next_request() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    text = request("UPDATE", to_tag=tag, cseq=2, branch="u")
    bench.hear(text.replace("sip:ann@192.0.2.20:5062>", "sip:ann@192.0.2.30:5099>"))
    (bye,) = bench.step(HangUp(bench.leg))
    assert bye.start == "BYE sip:ann@192.0.2.30:5099 SIP/2.0"
    assert bye.destination == Address("192.0.2.30", 5_099)


def test_an_update_without_an_offer_is_a_sign_of_life() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    (ok,) = bench.hear(request("UPDATE", to_tag=tag, cseq=2, branch="u"))
    assert ok.status == 200
    assert ok.body == ""
    assert ok.header("Contact")


def test_updates_before_our_answer() -> None:
    bench = Bench()
    bench.hear(invite())
    (ringing,) = bench.step(Ring(bench.leg))
    tag = ringing.to_tag
    (early,) = bench.hear(request("UPDATE", to_tag=tag, cseq=2, branch="u2"))
    assert early.status == 200
    (refused,) = bench.hear(request("UPDATE", to_tag=tag, cseq=3, branch="u3", body=OFFER))
    assert (refused.status, refused.header("Retry-After")) == (500, "1")
    (second,) = bench.hear(reinvite(tag, 4))
    assert (second.status, second.header("Retry-After")) == (500, "1")


def test_a_small_session_interval_in_a_reinvite_is_422() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    headers = "Supported: timer\nSession-Expires: 30"
    assert bench.hear(reinvite(tag, headers=headers))[0].status == 422


def test_several_media_lines_keep_their_places_in_our_offers() -> None:
    bench = Bench()
    video = OFFER.replace("m=audio", "m=video 5000 RTP/AVP 31\r\nm=audio")
    tag = bench.confirmed_call(body=video)
    (ok,) = bench.hear(reinvite(tag, body=""))
    lines = [line for line in ok.body.split("\r\n") if line.startswith("m=")]
    assert lines == ["m=video 0 RTP/AVP 31", "m=audio 40000 RTP/AVP 0 8 101"]


# --- crossing offers ----------------------------------------------------------------------


def our_reinvite(bench: Bench) -> Sent:
    (sent,) = bench.step(Reinvite(bench.leg, LocalMedia("192.0.2.10", 40_000, Direction.SENDONLY)))
    assert sent.method == "INVITE"
    return sent


def test_glare_is_491_both_for_reinvite_and_update() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    our_reinvite(bench)
    assert bench.hear(reinvite(tag))[0].status == 491
    assert (
        bench.hear(request("UPDATE", to_tag=tag, cseq=3, branch="u", body=OFFER))[0].status == 491
    )
    assert bench.hear(request("UPDATE", to_tag=tag, cseq=4, branch="v"))[0].status == 200
    assert bench.dropped == ["glare", "glare"]


def test_a_second_reinvite_before_the_ack_of_the_first_is_491() -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    bench.hear(reinvite(tag, body=""))
    assert bench.hear(reinvite(tag, 3))[0].status == 491
    assert (
        bench.hear(request("UPDATE", to_tag=tag, cseq=4, branch="u", body=OFFER))[0].status == 491
    )


def test_our_reinvite_after_491_is_tried_again_within_two_seconds() -> None:
    bench = Bench()
    bench.confirmed_call()
    first = our_reinvite(bench)
    assert bench.hear(response(first, 491))[0].method == "ACK"
    second = bench.wait(2 * S)[0]
    assert second.header("CSeq") == "2 INVITE"
    bench.hear(response(second, 200, body=OFFER.replace("m=", "a=recvonly\r\nm=")))
    assert media(bench)[-1].remote.remote_sends is False
    assert bench.ends == []


def test_491_is_not_answered_for_ever() -> None:
    bench = Bench()
    bench.confirmed_call()
    tries = [our_reinvite(bench)]
    for _ in range(5):
        bench.hear(response(tries[-1], 491))
        tries.append(bench.wait(2 * S)[0])
    assert len({message.header("CSeq") for message in tries}) == 6
    bench.hear(response(tries[-1], 491))
    assert bench.wait(3 * S) == []
    assert bench.dropped == ["reinvite_refused"]


def test_orders_wait_for_the_ack_and_for_the_offer_before() -> None:
    bench = Bench()
    tag = bench.answered_call()
    assert bench.step(Reinvite(bench.leg, MEDIA)) == []
    (first,) = bench.hear(ack(tag, 1))
    assert first.method == "INVITE"
    assert bench.step(Reinvite(bench.leg, LocalMedia("192.0.2.10", 1))) == []
    assert bench.step(Reinvite(bench.leg, LocalMedia("192.0.2.10", 2))) == []
    sent = bench.hear(response(first, 200, body=OFFER))
    assert [message.method for message in sent] == ["ACK", "INVITE"]
    assert "m=audio 2 " in sent[1].body


def test_a_refused_reinvite_of_ours_leaves_the_call_as_it_was() -> None:
    bench = Bench()
    bench.confirmed_call()
    bench.hear(response(our_reinvite(bench), 488))
    assert bench.ends == []
    assert bench.dropped == ["reinvite_refused"]
    assert our_reinvite(bench).header("CSeq") == "2 INVITE"


@pytest.mark.parametrize("status", [481, 408])
def test_a_reinvite_that_finds_no_call_ends_it(status: int) -> None:
    bench = Bench()
    bench.confirmed_call()
    sent = bench.hear(response(our_reinvite(bench), status))
    assert [message.method for message in sent] == ["ACK", "BYE"]
    assert bench.ends == [CallEnded(bench.leg, EndCause.SESSION_EXPIRED)]


def test_a_reinvite_that_is_never_answered_ends_the_call() -> None:
    bench = Bench()
    bench.confirmed_call()
    our_reinvite(bench)
    assert bench.wait(32 * S)[-1].method == "BYE"
    assert [end.cause for end in bench.ends] == [EndCause.SESSION_EXPIRED]


def test_a_reinvite_that_only_rings_ends_the_call_after_32_s() -> None:
    bench = Bench()
    bench.confirmed_call()
    assert bench.hear(response(our_reinvite(bench), 180)) == []
    assert [message.method for message in bench.wait(32 * S)] == ["BYE"]
    bench.wait(70 * S)
    bench.assert_empty()


def test_a_200_to_our_reinvite_without_usable_sdp_ends_the_call() -> None:
    bench = Bench()
    bench.confirmed_call()
    sent = bench.hear(response(our_reinvite(bench), 200, body="junk"))
    assert [message.method for message in sent] == ["ACK", "BYE"]
    assert [end.cause for end in bench.ends] == [EndCause.BAD_ANSWER]


def test_a_repeated_200_to_our_reinvite_gets_its_ack_again() -> None:
    bench = Bench()
    bench.confirmed_call()
    text = response(our_reinvite(bench), 200, body=OFFER, headers="Contact: <sip:x@192.0.2.66>")
    (first,) = bench.hear(text)
    (again,) = bench.hear(text)
    assert first.data == again.data
    assert first.destination == Address("192.0.2.66", 5_060)
    assert len(media(bench)) == 1


def test_answers_to_our_reinvite_after_the_end_are_acknowledged_only() -> None:
    for status, methods in ((200, ["ACK"]), (486, ["ACK"]), (180, [])):
        bench = Bench()
        bench.confirmed_call()
        sent = our_reinvite(bench)
        bench.step(HangUp(bench.leg))
        heard = bench.hear(response(sent, status, body=OFFER))
        assert [message.method for message in heard] == methods
        assert len(bench.ends) == 1
        bench.wait(40 * S)
        assert len(bench.ends) == 1


def test_a_422_to_our_reinvite_raises_the_interval() -> None:
    bench = Bench()
    bench.confirmed_call()
    bench.hear(response(our_reinvite(bench), 422, headers="Min-SE: 4000"))
    (second,) = bench.wait(0)
    assert second.header("Session-Expires") == "4000"
    assert second.header("Min-SE") == "4000"


def test_without_session_timers_we_ask_for_none() -> None:
    bench = Bench(SipConfig(CORE, session_expires_s=0))
    bench.confirmed_call(headers="Supported: timer")
    assert bench.sent[1].header("Session-Expires") == ""
    assert our_reinvite(bench).header("Session-Expires") == ""
    assert bench.sent[-1].destination == PEER
