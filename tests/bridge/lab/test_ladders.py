"""What a story says of a caller's SIP holds for the right messages, and fails with what came."""

from collections.abc import Sequence
from typing import Any

import pytest

from bridge.lab.capture import Packet
from bridge.lab.ladders import Judged, Ladder, judged, messages_of, read_ladder

SDP = (
    "\r\nv=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n"
    "a=ptime:20\r\n"
)
ANSWERED = [
    ("→", "INVITE sip:1@b SIP/2.0", "1 INVITE", ""),
    ("←", "SIP/2.0 100 Trying", "1 INVITE", ""),
    ("←", "SIP/2.0 200 OK", "1 INVITE", SDP),
    ("→", "ACK sip:1@b SIP/2.0", "1 ACK", ""),
    ("←", "BYE sip:a@b SIP/2.0", "1 BYE", 'Reason: SIP;cause=200;text="kicked"\r\n\r\n'),
    ("→", "SIP/2.0 200 OK", "1 BYE", ""),
]
REFUSED = [
    ("→", "INVITE sip:1@b SIP/2.0", "1 INVITE", ""),
    ("←", "SIP/2.0 486 Busy Here", "1 INVITE", ""),
    ("→", "ACK sip:1@b SIP/2.0", "1 ACK", ""),
]
Rows = Sequence[tuple[str, str, str, str]]


def verdict(value: Any, rows: Rows) -> Judged:
    packets = [
        Packet(0, ("a", 1), ("b", 2), way == "→", f"{start}\r\nCSeq: {cseq}\r\n{rest}".encode())
        for way, start, cseq, rest in rows
    ]
    (one,) = judged(Ladder.model_validate(read_ladder(value)), messages_of(packets))
    return one


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (["INVITE", 200, "ACK", "BYE", 200], ANSWERED),
        (["sends INVITE", "gets 200 to INVITE", "gets BYE", "sends 2xx to BYE"], ANSWERED),
        ({"never": ["4xx", "CANCEL", "sends BYE"]}, ANSWERED),
        ({"times": {"BYE": 1, "200": 2, "gets 200": 1, "CANCEL": 0}}, ANSWERED),
        ({"status": 200}, ANSWERED),
        ({"status": 486}, REFUSED),
        ({"codec": "OPUS"}, ANSWERED),
        ({"ptime": "20ms"}, ANSWERED),
        ({"reason": "kicked"}, ANSWERED),
    ],
)
def test_what_came_holds(value: Any, rows: Rows) -> None:
    assert verdict(value, rows).ok


@pytest.mark.parametrize(
    ("value", "rows", "reason"),
    [
        (["INVITE", "CANCEL"], ANSWERED, "no CANCEL after the first 1 of them: sends INVITE, gets"),
        (["BYE", "INVITE"], ANSWERED, "no INVITE after the first 1 of them"),
        (["sends BYE"], ANSWERED, "no sends BYE after the first 0 of them"),
        (["200 to CANCEL"], ANSWERED, "no 200 to CANCEL"),
        (["INVITE"], [], "no INVITE after the first 0 of them: no message"),
        ({"never": ["4xx"]}, REFUSED, "4xx came: sends INVITE, gets 486 to INVITE"),
        ({"times": {"INVITE": 2}}, ANSWERED, "INVITE 1 times: sends INVITE"),
        ({"times": {"gets 200": 0}}, ANSWERED, "gets 200 1 times"),
        ({"status": 200}, REFUSED, "486: sends INVITE"),
        ({"status": 200}, REFUSED[:1], "no final answer: sends INVITE"),
        ({"codec": "PCMU"}, ANSWERED, "OPUS"),
        ({"codec": "PCMU"}, REFUSED, "no SDP of the bridge"),
        ({"ptime": "30ms"}, ANSWERED, "20 ms"),
        ({"ptime": "30ms"}, REFUSED, "no SDP of the bridge"),
        ({"reason": "locked"}, ANSWERED, 'SIP;cause=200;text="kicked"'),
        ({"reason": "locked"}, REFUSED, "no Reason header of the bridge"),
    ],
)
def test_what_did_not_come_fails_and_says_what_did(value: Any, rows: Rows, reason: str) -> None:
    one = verdict(value, rows)
    assert not one.ok
    assert one.observed.startswith(reason)
