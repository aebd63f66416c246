"""Texts made to be slow to read are read in the time of any other message, and refused."""

import time

import pytest

from bridge.sip import shed
from bridge.sip.headers import parse_name_addr, parse_uri, parse_via
from bridge.sip.limits import VALUE_CHARS_MAX
from bridge.sip.sdp import BadSdp, parse_sdp
from tests.bridge.sip.bench import PEER, Bench, invite, request

LONG = 55_000
CPU_S_MAX = 0.5
"""A generous bound: each text took 10 to 100 times as long, and takes a hundredth of it now."""


def wire(old: str, new: str) -> str:
    text = request("OPTIONS")
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([wire("Call-ID: c1", f"X: {' ' * LONG}x\r\n y\r\nCall-ID:")], "missing_call_id"),
        ([wire("Call-ID: c1", f"Subject:{chr(9) * LONG}x\r\n y\r\nCall-ID:")], "missing_call_id"),
        ([wire(":5062;branch", f"{' ' * LONG}x;branch")], "via_too_long"),
        ([wire(":5062;branch", f"{' ' * 8_000}{mark};branch") for mark in "abcd"], "malformed_via"),
        ([wire("SIP/2.0/UDP", f"SIP/2.0/{' ' * LONG}/")], "via_too_long"),
        (
            [wire("sip:join@192.0.2.10 ", f"tel:{number}{'1' * 2_000}x ") for number in range(20)],
            "malformed_request_uri",
        ),
        (
            [wire("sip:ann@phones.example", f"tel:+{n}{'1' * 2_000};") for n in range(20)],
            "malformed_from",
        ),
    ],
    ids=["fold", "fold-tab", "sent-by", "sent-by-short", "sent-by-slash", "tel", "tel-params"],
)
def test_a_hostile_message_is_refused_without_work(texts: list[str], reason: str) -> None:
    bench = Bench()
    before_s = time.process_time()
    for text in texts:
        bench.hear(text)
    assert time.process_time() - before_s < CPU_S_MAX
    assert bench.dropped == [reason] * len(texts)


@pytest.mark.parametrize("content_type", ["application/dtmf-relay", "application/dtmf"])
@pytest.mark.parametrize(
    "body", ["x" + "\n" * LONG + "x", "signal=" + " " * LONG + "x", "x" + "\nsignal" * 8_000]
)
def test_a_hostile_info_is_refused_without_work(content_type: str, body: str) -> None:
    bench = Bench()
    tag = bench.confirmed_call()
    before_s = time.process_time()
    info = request("INFO", branch="i", cseq=2, to_tag=tag, body=body, content_type=content_type)
    (answer,) = bench.hear(info)
    assert time.process_time() - before_s < CPU_S_MAX
    assert answer.status == 400


def test_a_hostile_via_is_left_to_the_door_without_work() -> None:
    long = invite(via=f"SIP/2.0/UDP 192.0.2.20{' ' * LONG}x;branch=z9hG4bKx")
    opening = shed.opening_of(long.encode())
    assert opening is not None
    before_s = time.process_time()
    assert shed.refusal(opening, PEER, retry_after_s=1, agent="x") is None
    assert time.process_time() - before_s < CPU_S_MAX


def test_a_via_that_is_too_long_is_not_read_for_its_answer_and_not_remembered() -> None:
    text = f"SIP/2.0/UDP{' ' * VALUE_CHARS_MAX}192.0.2.20"
    with pytest.raises(ValueError, match="value too long"):
        parse_via(text)


def test_long_values_are_read_but_not_remembered() -> None:
    """4,096 URIs of 2,000 characters, each with 600 parameters, would take 400 MB."""
    long = f"sip:a@h{''.join(f';p{number}' for number in range(100))}"
    assert parse_uri(long) == parse_uri(long)
    assert parse_uri(long) is not parse_uri(long)
    assert parse_name_addr(f"<{long}>") is not parse_name_addr(f"<{long}>")
    assert parse_uri("sip:a@h") is parse_uri("sip:a@h")
    with pytest.raises(ValueError, match="malformed Via"):
        parse_via(f"SIP/2.0/UDP {'h' * 600}")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("tel:+1-800-555-0100", "+1-800-555-0100"),
        ("tel:(0)30.12;phone-context=+49", "(0)30.12"),
        ("TEL:*31#", "*31#"),
    ],
)
def test_numbers_of_tel_uris_are_read_as_written(text: str, number: str) -> None:
    assert parse_uri(text).user == number


@pytest.mark.parametrize("text", ["tel:", "tel:+", "tel:+a", "tel:-.()", "tel:1g", "tel:1;;"])
def test_what_is_no_number_is_no_tel_uri(text: str) -> None:
    with pytest.raises(ValueError, match="URI"):
        parse_uri(text)


def test_a_payload_type_of_thousands_of_digits_is_a_bad_description() -> None:
    """Python reads no number of over 4,300 digits."""
    lines = ("v=0", "o=a", "c=IN IP4 192.0.2.20", f"m=audio 9 RTP/AVP {'1' * 5_000}")
    with pytest.raises(BadSdp, match="format too long"):
        parse_sdp("\r\n".join(lines).encode())
