"""Offer and answer (RFC 3264): the matrix of codecs, directions, addresses and m= lines."""

import re
from itertools import product

import pytest

from bridge.sip.api import Address, Codec, Direction, LocalMedia
from bridge.sip.offer import (
    Chosen,
    NoCommonAddress,
    NoCommonCodec,
    answer_text,
    choose,
    choose_again,
    layout_of,
    offer_text,
    read_answer,
)
from bridge.sip.sdp import BadSdp, Format, Sdp, parse_sdp, with_origin

CODECS = (Codec("PCMU", 0), Codec("PCMA", 8))
LOCAL = LocalMedia("192.0.2.10", 40_000)


OURS = (Format(0, "PCMU", 8_000, 1), Format(8, "PCMA", 8_000, 1))
"""What an offer of ours listed, as it reads in it."""


def offer(*lines: str, host: str = "192.0.2.20") -> Sdp:
    family = "IP6" if ":" in host else "IP4"
    head = ("v=0", f"o=a 1 1 IN {family} {host}", "s=-", f"c=IN {family} {host}", "t=7 8")
    return parse_sdp("\r\n".join((*head, *lines, "")).encode())


def read(text: str) -> Sdp:
    return parse_sdp(with_origin(text, "192.0.2.10", 1, 1))


@pytest.mark.parametrize(
    ("formats", "codec", "payload_type"),
    [
        ("0", "PCMU", 0),
        ("8 0", "PCMA", 8),
        ("18 9 8", "PCMA", 8),
        ("0 8 101", "PCMU", 0),
        ("96 0", "PCMA", 96),  # rtpmap below
    ],
)
def test_the_remote_order_of_codecs_wins(formats: str, codec: str, payload_type: int) -> None:
    sdp = offer(f"m=audio 30000 RTP/AVP {formats}", "a=rtpmap:96 pcma/8000")
    chosen = choose(sdp, CODECS)
    assert chosen.remote.codec == Codec(codec, payload_type)
    answer = read(answer_text(sdp, chosen, LOCAL))
    assert answer.media[0].formats[0].payload_type == payload_type
    assert answer.media[0].formats[0].name == codec


@pytest.mark.parametrize(
    "line",
    [
        "m=audio 30000 RTP/AVP 18",
        "m=audio 30000 RTP/SAVP 0",
        "m=audio 0 RTP/AVP 0",
        "m=video 30000 RTP/AVP 31",
        "m=audio 30000 RTP/AVP 101",
    ],
)
def test_no_stream_that_can_be_used(line: str) -> None:
    with pytest.raises(NoCommonCodec) as caught:
        choose(offer(line, "a=rtpmap:101 PCMU/16000"), CODECS)
    assert caught.value.status == 488


def test_stereo_and_other_clock_rates_are_not_the_same_codec() -> None:
    sdp = offer(
        "m=audio 30000 RTP/AVP 96 97 8", "a=rtpmap:96 PCMU/8000/2", "a=rtpmap:97 PCMU/16000"
    )
    assert choose(sdp, CODECS).remote.codec == Codec("PCMA", 8)


def test_telephone_event_is_taken_with_the_remote_payload_type_and_the_codecs_clock() -> None:
    lines = ("a=rtpmap:96 telephone-event/48000", "a=rtpmap:97 telephone-event/8000")
    sdp = offer("m=audio 30000 RTP/AVP 0 96 97", *lines)
    chosen = choose(sdp, CODECS)
    assert chosen.remote.dtmf_payload_type == 97
    text = answer_text(sdp, chosen, LOCAL)
    assert "m=audio 40000 RTP/AVP 0 97\r\n" in text
    assert "a=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\n" in text
    assert choose(offer("m=audio 3 RTP/AVP 0"), CODECS).remote.dtmf_payload_type is None


def test_every_media_line_is_answered_in_its_place() -> None:
    sdp = offer(
        "m=video 5000 RTP/AVP 31 99",
        "m=audio 0 RTP/AVP 0",
        "m=audio 30000 RTP/AVP 0",
        "m=audio 30002 RTP/AVP 0",
        "m=application 9 UDP/TLS webrtc-datachannel",
    )
    chosen = choose(sdp, CODECS)
    assert chosen.index == 2
    text = answer_text(sdp, chosen, LOCAL)
    assert re.findall(r"m=(\w+) (\d+) (\S+) (.*)\r\n", text) == [
        ("video", "0", "RTP/AVP", "31 99"),
        ("audio", "0", "RTP/AVP", "0"),
        ("audio", "40000", "RTP/AVP", "0"),
        ("audio", "0", "RTP/AVP", "0"),
        ("application", "0", "UDP/TLS", "webrtc-datachannel"),
    ]
    assert "t=7 8\r\n" in text


@pytest.mark.parametrize(("theirs", "ours"), list(product(Direction, Direction)))
def test_the_answered_direction_is_what_both_want(theirs: Direction, ours: Direction) -> None:
    sdp = offer("m=audio 30000 RTP/AVP 0", f"a={theirs.value}")
    chosen = choose(sdp, CODECS)
    sends = theirs in (Direction.SENDRECV, Direction.SENDONLY)
    hears = theirs in (Direction.SENDRECV, Direction.RECVONLY)
    assert (chosen.remote.remote_sends, chosen.remote.remote_hears) == (sends, hears)
    assert chosen.remote.held is (theirs is not Direction.SENDRECV)
    answer = read(answer_text(sdp, chosen, LocalMedia("192.0.2.10", 1, ours))).media[0].direction
    we_send = answer in (Direction.SENDRECV, Direction.SENDONLY)
    we_hear = answer in (Direction.SENDRECV, Direction.RECVONLY)
    assert we_send == (hears and ours in (Direction.SENDRECV, Direction.SENDONLY))
    assert we_hear == (sends and ours in (Direction.SENDRECV, Direction.RECVONLY))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_old_hold_by_address_has_no_address_and_hears_nothing(host: str) -> None:
    sdp = offer("m=audio 30000 RTP/AVP 0", host=host)
    chosen = choose(sdp, CODECS)
    assert chosen.remote.address is None
    assert not chosen.remote.remote_hears
    assert chosen.remote.remote_sends
    assert read(answer_text(sdp, chosen, LOCAL)).media[0].direction is Direction.RECVONLY


def test_a_host_name_gives_no_address_but_is_no_hold() -> None:
    remote = choose(offer("m=audio 30000 RTP/AVP 0", host="media.example"), CODECS).remote
    assert remote.address is None
    assert not remote.held


def test_ipv6_both_ways() -> None:
    sdp = offer("m=audio 30000 RTP/AVP 0", host="2001:db8::20")
    chosen = choose(sdp, CODECS)
    assert chosen.remote.address == Address("2001:db8::20", 30_000)
    text = answer_text(sdp, chosen, LocalMedia("2001:db8::10", 40_000))
    assert "c=IN IP6 2001:db8::10\r\n" in text


@pytest.mark.parametrize(("host", "six"), [("2001:db8::20", False), ("192.0.2.20", True)])
def test_rtp_of_the_other_family_is_no_common_address(host: str, six: bool) -> None:
    """RFC 3261 §20.43, 301; a later line of ours will do, a hold by address has no family."""
    sdp = offer("m=audio 30000 RTP/AVP 0", host=host)
    with pytest.raises(NoCommonAddress) as caught:
        choose(sdp, CODECS, six=six)
    assert caught.value.status == 488
    assert choose(sdp, CODECS, six=not six).remote.address == Address(host, 30_000)
    before = choose(sdp, CODECS).remote
    with pytest.raises(NoCommonAddress):
        choose_again(sdp, CODECS, index=0, before=before, six=six)
    with pytest.raises(NoCommonAddress):
        read_answer(sdp, CODECS, index=0, before=None, ours=OURS, six=six)
    with pytest.raises(NoCommonCodec):
        choose(offer("m=audio 30000 RTP/AVP 18", host=host), CODECS, six=six)
    ours = "c=IN IP6 2001:db8::21" if six else "c=IN IP4 192.0.2.21"
    both = offer("m=audio 30000 RTP/AVP 0", "m=audio 30002 RTP/AVP 0", ours, host=host)
    assert choose(both, CODECS, six=six).index == 1
    for nowhere in ("0.0.0.0", "::", "media.example"):
        assert choose(offer("m=audio 3 RTP/AVP 0", host=nowhere), CODECS, six=six).remote


def test_a_later_offer_stays_at_its_line_or_switches_it_off() -> None:
    before = choose(offer("m=audio 30000 RTP/AVP 0 101"), CODECS).remote
    moved = choose_again(offer("m=audio 30010 RTP/AVP 8"), CODECS, index=0, before=before)
    assert moved.remote.address == Address("192.0.2.20", 30_010)
    sdp = offer("m=audio 0 RTP/AVP 0")
    off = choose_again(sdp, CODECS, index=0, before=before)
    assert off.refused
    assert off.remote.address is None
    assert off.remote.codec == before.codec
    assert not off.remote.remote_sends
    assert not off.remote.remote_hears
    assert "m=audio 0 RTP/AVP 0\r\n" in answer_text(sdp, off, LOCAL)


def test_a_later_offer_may_switch_to_another_audio_line() -> None:
    before = choose(offer("m=audio 30000 RTP/AVP 0"), CODECS).remote
    sdp = offer("m=audio 0 RTP/AVP 0", "m=audio 30002 RTP/AVP 8")
    chosen = choose_again(sdp, CODECS, index=0, before=before)
    assert (chosen.index, chosen.remote.codec) == (1, Codec("PCMA", 8))


def test_a_later_offer_without_our_line_or_codec_is_refused() -> None:
    before = choose(offer("m=audio 30000 RTP/AVP 0"), CODECS).remote
    with pytest.raises(BadSdp):
        choose_again(offer(), CODECS, index=0, before=before)
    with pytest.raises(NoCommonCodec):
        choose_again(offer("m=audio 30000 RTP/AVP 18"), CODECS, index=0, before=before)


@pytest.mark.parametrize("ptime_ms", [10, 30, 60])
def test_offer_and_answer_ask_for_the_packets_that_this_side_wants(ptime_ms: int) -> None:
    local = LocalMedia("192.0.2.10", 40_000, ptime_ms=ptime_ms)
    offered = read(offer_text(CODECS, 101, local))
    assert offered.media[0].ptime_ms == ptime_ms
    chosen = choose(offered, CODECS)
    assert chosen.remote.ptime_ms == ptime_ms, "what the other side of it then sends"
    assert read(answer_text(offered, chosen, local)).media[0].ptime_ms == ptime_ms


def test_our_offer_lists_codecs_events_ptime_and_direction() -> None:
    text = offer_text(CODECS, 101, LocalMedia("192.0.2.10", 40_000, Direction.SENDONLY))
    media = read(text).media[0]
    assert [item.name for item in media.formats] == ["PCMU", "PCMA", "TELEPHONE-EVENT"]
    assert media.ptime_ms == 20
    assert media.direction is Direction.SENDONLY


def test_our_later_offers_keep_refused_lines_in_place() -> None:
    layout = layout_of(offer("m=video 5000 RTP/AVP 31", "m=audio 30000 RTP/AVP 0"))
    text = offer_text(CODECS, 101, LOCAL, layout=layout, index=1)
    assert [(m.kind, m.port) for m in read(text).media] == [("video", 0), ("audio", 40_000)]


def test_answers_to_our_offer() -> None:
    chosen = read_answer(offer("m=audio 30000 RTP/AVP 8"), CODECS, index=0, before=None, ours=OURS)
    assert chosen.remote.codec == Codec("PCMA", 8)
    with pytest.raises(NoCommonCodec):
        read_answer(offer(), CODECS, index=0, before=None, ours=OURS)
    with pytest.raises(NoCommonCodec):
        read_answer(offer("m=audio 0 RTP/AVP 0"), CODECS, index=0, before=None, ours=OURS)
    off: Chosen = read_answer(
        offer("m=audio 0 RTP/AVP 0"), CODECS, index=0, before=chosen.remote, ours=OURS
    )
    assert off.refused


def test_the_wire_form() -> None:
    assert with_origin("s=-\r\n", "2001:db8::1", 5, 2) == (
        b"v=0\r\no=- 5 2 IN IP6 2001:db8::1\r\ns=-\r\n"
    )


# --- wideband (RFC 3551 §4.5.2, RFC 7587, RFC 4733 §2.1) ----------------------------------

OPUS = Codec("OPUS", 111, 48_000, 2, "useinbandfec=1")
WIDE = (OPUS, Codec("G722", 9), Codec("L16", 107, 16_000), *CODECS)


def audio(text: str) -> list[str]:
    """Return the audio line and its attributes."""
    return text[text.index("m=audio") :].splitlines()


def test_our_offer_names_every_codec_its_clock_and_an_event_type_for_each_clock() -> None:
    assert audio(offer_text(WIDE, 101, LOCAL)) == [
        "m=audio 40000 RTP/AVP 111 9 107 0 8 101 102 103",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:107 L16/16000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=fmtp:111 useinbandfec=1",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=rtpmap:102 telephone-event/16000",
        "a=fmtp:102 0-15",
        "a=rtpmap:103 telephone-event/48000",
        "a=fmtp:103 0-15",
        "a=ptime:20",
        "a=maxptime:60",
        "a=sendrecv",
    ]


@pytest.mark.parametrize(
    ("formats", "rtpmaps", "codec", "dtmf", "rtpmap"),
    [
        ("9 0 97", ["97 telephone-event/8000"], "G722", 97, "9 G722/8000"),
        (
            "96 0 97 98",
            ["96 opus/48000/2", "97 telephone-event/8000", "98 telephone-event/48000"],
            "OPUS",
            98,
            "96 opus/48000/2",
        ),
        ("100 8", ["100 L16/16000"], "L16", None, "100 L16/16000"),
        ("100 8", ["100 L16/44100/2"], "PCMA", None, "8 PCMA/8000"),
        ("96 0", ["96 opus/48000"], "PCMU", None, "0 PCMU/8000"),  # RFC 7587: always /2
    ],
)
def test_a_wideband_codec_is_answered_with_the_remote_payload_types(
    formats: str, rtpmaps: list[str], codec: str, dtmf: int | None, rtpmap: str
) -> None:
    sdp = offer(f"m=audio 30000 RTP/AVP {formats}", *(f"a=rtpmap:{line}" for line in rtpmaps))
    chosen = choose(sdp, WIDE)
    assert (chosen.remote.codec.name, chosen.remote.dtmf_payload_type) == (codec, dtmf)
    answer = audio(answer_text(sdp, chosen, LOCAL))
    assert answer[1] == f"a=rtpmap:{rtpmap}"
    assert ("a=fmtp:96 useinbandfec=1" in answer) == (codec == "OPUS")


def test_events_at_8_khz_are_taken_beside_opus_and_answered_as_they_were_offered() -> None:
    """RFC 4733 wants one at 48 kHz; phones that lack it would have no keys at all."""
    sdp = offer(
        "m=audio 30000 RTP/AVP 96 101",
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:101 telephone-event/8000",
    )
    chosen = choose(sdp, WIDE)
    assert chosen.remote.dtmf_payload_type == 101
    assert "a=rtpmap:101 telephone-event/8000" in audio(answer_text(sdp, chosen, LOCAL))


def test_an_offer_within_a_call_gives_no_payload_type_a_second_meaning() -> None:
    """RFC 3264 §8.3.2; the other side had Opus at 101, where we would put telephone-events."""
    sdp = offer(
        "m=audio 30000 RTP/AVP 101 102 0",
        "a=rtpmap:101 opus/48000/2",
        "a=rtpmap:102 telephone-event/48000",
    )
    agreed = choose(sdp, WIDE).remote
    text = offer_text(WIDE, 101, LOCAL, layout=layout_of(sdp), agreed=agreed)
    lines = audio(text)
    assert lines[0] == "m=audio 40000 RTP/AVP 101 9 0 8 102 103"
    assert lines[1] == "a=rtpmap:101 opus/48000/2"
    assert "a=rtpmap:102 telephone-event/48000" in lines
    assert "a=rtpmap:103 telephone-event/8000" in lines


def test_of_several_codecs_in_an_answer_the_first_is_used() -> None:
    sdp = offer("m=audio 30000 RTP/AVP 111 0", "a=rtpmap:111 opus/48000/2")
    assert read_answer(sdp, WIDE, index=0, before=None, ours=OURS).remote.codec == OPUS


# --- payload types of our offer and of its answer ---------------------------------------------

RTPMAPS = (
    "a=rtpmap:96 opus/48000/2",
    "a=rtpmap:97 PCMA/8000",
    "a=rtpmap:100 telephone-event/8000",
    "a=rtpmap:99 telephone-event/48000",
)


@pytest.mark.parametrize(
    ("formats", "codec", "dtmf", "also"),
    [
        ("0 101", 0, 101, ()),
        ("0 100", 0, 100, ((101, "TELEPHONE-EVENT"),)),
        ("0 8 100", 0, 100, ((8, "PCMA"), (101, "TELEPHONE-EVENT"))),
        ("8 0", 8, None, ((0, "PCMU"),)),
        ("0 97", 0, None, ((97, "PCMA"), (8, "PCMA"))),
        ("0 9 18", 0, None, ()),
        ("9 0 8", 9, None, ()),
        ("96 0", 96, None, ((111, "OPUS"),)),
        (
            "96 99 100",
            96,
            99,
            (
                (100, "TELEPHONE-EVENT"),
                (111, "OPUS"),
                (103, "TELEPHONE-EVENT"),
                (101, "TELEPHONE-EVENT"),
            ),
        ),
    ],
)
def test_the_numbers_of_our_offer_are_what_its_answerer_sends_with(
    formats: str, codec: int, dtmf: int | None, also: tuple[tuple[int, str], ...]
) -> None:
    """RFC 3264 §5.1 and §6.1; those of the answer are what we send with."""
    maps = (*RTPMAPS, "a=rtpmap:101 telephone-event/8000")
    ours = read(offer_text(WIDE, 101, LOCAL)).media[0].formats
    sdp = offer(f"m=audio 30000 RTP/AVP {formats}", *maps)
    remote = read_answer(sdp, WIDE, index=0, before=None, ours=ours).remote
    assert (remote.codec.payload_type, remote.dtmf_payload_type) == (codec, dtmf)
    assert dict(remote.also) == dict(also)


def test_a_number_given_another_meaning_by_the_answer_comes_with_that_of_our_offer() -> None:
    ours = read(offer_text(WIDE, 101, LOCAL)).media[0].formats
    maps = ("a=rtpmap:101 opus/48000/2", "a=rtpmap:111 telephone-event/8000")
    sdp = offer("m=audio 30000 RTP/AVP 101 111", *maps)
    remote = read_answer(sdp, WIDE, index=0, before=None, ours=ours).remote
    assert (remote.codec.payload_type, remote.dtmf_payload_type) == (101, 111)
    assert dict(remote.also) == {111: "OPUS", 101: "TELEPHONE-EVENT"}


def test_a_later_offer_of_the_same_numbers_changes_nothing() -> None:
    """Nobody must begin anew for a session that is refreshed from the other side."""
    sdp = offer("m=audio 30000 RTP/AVP 0 8 100", *RTPMAPS)
    ours = read(offer_text(CODECS, 101, LOCAL)).media[0].formats
    before = read_answer(sdp, CODECS, index=0, before=None, ours=ours).remote
    assert choose_again(sdp, CODECS, index=0, before=before).remote == before
    other = offer("m=audio 30000 RTP/AVP 8 100", *RTPMAPS)
    assert choose_again(other, CODECS, index=0, before=before).remote.also == ()
