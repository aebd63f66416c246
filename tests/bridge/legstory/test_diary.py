"""The diary: whose a message is, what is kept of a leg, and that nothing grows without end."""

from typing import Any

from bridge.clock import ConferenceClock
from bridge.conference.api import Fact, PlayPrompts
from bridge.legstory.diary import (
    FINISHED_MAX,
    LINGER_NS,
    SAMPLES_MAX,
    SIP_FIRST,
    SIP_LAST,
    STRANGERS_MAX,
    Diary,
)
from bridge.link import Status
from bridge.sip.api import (
    Address,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    Codec,
    EndCause,
    RemoteMedia,
)
from bridge.units import NS_PER_MS, ConfMs, LegId, NowNs

LEG = LegId("leg-1")
PEER = ("192.0.2.9", 5_060)
SDP = b"v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n"


def at(ms: int) -> NowNs:
    return NowNs(ms * NS_PER_MS)


def message(first: str, cseq: str, *, call: str = "c1", body: bytes = b"") -> bytes:
    head = f"{first}\r\ni: {call}\r\nCSeq: {cseq}\r\nReason: SIP;cause=200\r\n\r\n"
    return head.encode() + body


INVITE = message("INVITE sip:482913@192.0.2.1 SIP/2.0", "1 INVITE", body=SDP)


def incoming(leg: LegId = LEG, call: str = "c1") -> CallIncoming:
    return CallIncoming(
        leg=leg,
        user="482913",
        host="192.0.2.1",
        source=Address(*PEER),
        from_user="+12125550100",
        from_display="ann",
        asserted=None,
        diversion=None,
        anonymous=False,
        late_offer=False,
        remote=RemoteMedia(Address("192.0.2.9", 4_000), Codec("PCMU", 0), 101),
        call_id=call,
    )


def begun(*, running: bool = True) -> Diary:
    diary = Diary(ConferenceClock(ConfMs(5_000), at(0), running))
    diary.on_sip(INVITE, PEER, sent=False, now_ns=at(100))
    diary.on_sip(message("SIP/2.0 100 Trying", "1 INVITE"), PEER, sent=True, now_ns=at(101))
    diary.on_notice(incoming(), at(102))
    return diary


def record(diary: Diary, now_ms: int = 60_000) -> dict[str, Any]:
    found = diary.record(LEG, at(now_ms))
    assert found is not None
    return found


def test_messages_are_the_legs_whose_call_id_they_have_also_those_before_the_leg_was_known() -> (
    None
):
    diary = begun()
    diary.on_sip(message("BYE sip:a SIP/2.0", "2 BYE", call="c2"), PEER, sent=False, now_ns=at(110))
    diary.on_sip(message("SIP/2.0 200 OK", "1 INVITE", body=SDP), PEER, sent=True, now_ns=at(120))
    sip = record(diary)["sip"]
    assert [(one[0], one[1], one[2], one[4]) for one in sip] == [
        (0.0, 5_100, False, "INVITE sip:482913@192.0.2.1"),
        (1.0, 5_101, True, "100 Trying"),
        (20.0, 5_120, True, "200 OK"),
    ]
    assert sip[0][3:] == [
        "192.0.2.9:5060",
        "INVITE sip:482913@192.0.2.1",
        "1 INVITE",
        "RTP to 192.0.2.9:4000, sendonly",
        "SIP;cause=200",
    ]


def test_the_invite_that_the_bridge_sends_is_the_leg_it_dials() -> None:
    diary = Diary(ConferenceClock(ConfMs(0), at(0)))
    diary.dialling(LEG)
    diary.on_sip(INVITE, PEER, sent=True, now_ns=at(50))
    diary.on_sip(message("SIP/2.0 180 Ringing", "1 INVITE"), PEER, sent=False, now_ns=at(60))
    found = record(diary)
    assert [one[4] for one in found["sip"]] == ["INVITE sip:482913@192.0.2.1", "180 Ringing"]
    assert not found["inbound"]


def test_a_leg_that_is_dialled_again_has_one_story_and_is_handed_out_once() -> None:
    diary = Diary(ConferenceClock(ConfMs(0), at(0)))
    for ms, call in ((0, "busy"), (200, "taken")):
        diary.dialling(LEG)
        invite = message("INVITE sip:+1212@192.0.2.1 SIP/2.0", "1 INVITE", call=call)
        diary.on_sip(invite, PEER, sent=True, now_ns=at(ms))
        if call == "busy":
            busy = message("SIP/2.0 486 Busy Here", "1 INVITE", call=call)
            diary.on_sip(busy, PEER, sent=False, now_ns=at(ms + 10))
            diary.on_notice(CallEnded(LEG, EndCause.REFUSED, 486), at(ms + 20))
    assert diary.finished(NowNs(at(220) + LINGER_NS)) == [], "it is up again"
    told = record(diary)
    assert [one[4].split(" ")[0] for one in told["sip"]] == ["INVITE", "486", "INVITE"]
    diary.on_notice(CallEnded(LEG, EndCause.REMOTE_BYE), at(900))
    assert [one["leg"] for one in diary.finished(NowNs(at(900) + LINGER_NS))] == [LEG]
    assert diary.finished(NowNs(at(900) + 2 * LINGER_NS)) == []
    assert diary._by_call == {}


def test_a_leg_is_handed_out_once_and_only_after_its_last_messages_came() -> None:
    diary = begun()
    diary.on_notice(CallEnded(LEG, EndCause.LOCAL_BYE), at(9_000))
    assert diary.finished(NowNs(at(9_000) + LINGER_NS - 1)) == []
    diary.on_sip(message("SIP/2.0 200 OK", "2 BYE"), PEER, sent=False, now_ns=at(9_010))
    (done,) = diary.finished(NowNs(at(9_000) + LINGER_NS))
    assert done["over"] == "local_bye"
    assert done["sip"][-1][5] == "2 BYE"
    assert done["clock"]["end"] == [8_910.0, 14_010]
    assert diary.finished(at(99_000), all_of_them=True) == []
    assert record(diary) == done, "at hand for a while without the disk"
    assert diary.record("leg-none", at(0)) is None


def test_many_that_end_together_are_handed_out_a_few_at_a_time() -> None:
    diary = Diary(ConferenceClock(ConfMs(0), at(0)))
    for number in range(2 * FINISHED_MAX + 5):
        leg = LegId(f"leg-{number}")
        diary.on_notice(incoming(leg, f"c{number}"), at(0))
        diary.on_notice(CallEnded(leg, EndCause.REMOTE_BYE), at(1))
    assert len(diary.finished(at(60_000))) == FINISHED_MAX
    assert len(diary.finished(at(60_000), all_of_them=True)) == FINISHED_MAX + 5
    assert not diary._entries
    assert not diary._by_call


def test_media_talk_prompts_facts_and_figures_stand_at_their_times() -> None:
    diary = begun(running=False)
    remote = RemoteMedia(None, Codec("PCMA", 8), None, remote_sends=False)
    diary.on_notice(CallConfirmed(LEG, remote, proven=True), at(130))
    diary.on_command(PlayPrompts(LEG, ("greeting",), 1, loop=False), at(140))
    data: dict[str, str | int | bool | None] = {
        "leg": LEG,
        "occurrence": "s1.x",
        "role": "participant",
    }
    diary.on_news(Fact("leg-1/4", "leg.joined", ConfMs(5_000), LEG, data), at(200))
    diary.on_news(Fact("s1.x/1", "session.started", ConfMs(5_000), "s1.x", {"by": "api"}), at(210))
    diary.on_talk([LEG], [], at(300))
    figures = [3.0, 0.1, 2.5, -1.0, 0.0, 2.0]
    status = Status(0, last_packet_ns=[[7, at(350)]], quality=[[7, *figures], [8, *figures]])
    diary.on_status(status, lambda number: LEG if number == 7 else None, at(400))
    found = record(diary, 500)
    assert found["media"] == [
        [2.0, 5_000, "PCMU", "192.0.2.9:4000", True, True, False],
        [30.0, 5_000, "PCMA", "", False, True, True],
    ]
    assert found["marks"] == [[40.0, 5_000, "plays", "greeting"]]
    assert found["facts"] == {"leg-1/4": 100.0, "s1.x/1": 110.0}
    assert found["talk"] == [[200.0, 5_000, 400.0, 5_000]]
    assert found["quality"] == [[300.0, 5_000, *figures]]
    assert found["rtp_last"] == 250.0


def test_a_leg_that_lasts_for_days_keeps_its_first_messages_and_its_last() -> None:
    diary = begun()
    for number in range(500):
        diary.on_sip(
            message("UPDATE x SIP/2.0", f"{number} UPDATE"), PEER, sent=True, now_ns=at(200)
        )
        status = Status(0, quality=[[7.0] + [0.0] * 6])
        diary.on_status(status, lambda _: LEG, at(200))
        diary.on_status(status, lambda _: LEG, at(201))
    found = record(diary)
    assert len(found["sip"]) == SIP_FIRST + SIP_LAST
    assert found["sip"][0][4].startswith("INVITE")
    assert found["sip"][-1][5] == "499 UPDATE"
    assert found["sip_left_out"] == 502 - SIP_FIRST - SIP_LAST
    assert SAMPLES_MAX / 2 <= len(found["quality"]) <= SAMPLES_MAX


def test_messages_of_nobodys_calls_do_not_pile_up() -> None:
    diary = begun()
    for number in range(3 * STRANGERS_MAX):
        for _ in range(20):
            options = message("OPTIONS sip:a SIP/2.0", "1 OPTIONS", call=f"o{number}")
            diary.on_sip(options, PEER, sent=False, now_ns=at(300))
    assert len(diary._strangers) == STRANGERS_MAX
    assert all(len(list(ladder)) <= 8 for ladder in diary._strangers.values())
    diary.on_sip(b"no call-id at all", PEER, sent=False, now_ns=at(301))
