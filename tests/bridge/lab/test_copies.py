"""Callers who call twice, hang up at once or give up: what their phones really send."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from bridge.lab.callers import Caller, CallFailed, Target
from bridge.lab.capture import Packet
from bridge.lab.copies import acknowledged
from bridge.lab.ladders import messages_of
from bridge.lab.phones import Phone
from bridge.lab.rtp import RtpEngine
from bridge.sip.api import CallIncoming, LocalMedia, SipNotice

INVITE = (
    b"INVITE sip:1@b SIP/2.0\r\nVia: SIP/2.0/UDP a:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    b"From: <sip:a@a>;tag=f\r\nTo: <sip:1@b>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n\r\n"
)
REFUSAL = b"SIP/2.0 482 Loop Detected\r\nTo: <sip:1@b>;tag=t\r\nCSeq: 7 INVITE\r\n\r\n"

SOON_NS = 400_000_000
"""Less than T1, and longer than a phone takes to send twice."""


class Callee:
    """A phone that rings when "bridge" is called, and answers when it is told to."""

    def __init__(self, phone: Phone, *, answers: bool) -> None:
        self.phone, self.answers = phone, answers
        self.came = 0
        phone.await_calls("bridge", self.on_notice)

    def on_notice(self, notice: SipNotice) -> None:
        if isinstance(notice, CallIncoming):
            self.came += 1
            if self.answers:
                self.phone.accept(notice.leg, LocalMedia("127.0.0.1", 9))


@pytest.fixture
async def engine() -> AsyncIterator[RtpEngine]:
    engine = RtpEngine.start()
    yield engine
    engine.stop()


@pytest.fixture
async def phones() -> AsyncIterator[Callable[[], Phone]]:
    both = [await Phone.open("PCMU"), await Phone.open("PCMU")]
    waiting = list(both)
    yield waiting.pop
    for phone in both:
        phone.close()


def caller(engine: RtpEngine, phone: Phone, bridge: Phone, invite: str = "once") -> Caller:
    phone.messages = []
    target = Target("bridge", bridge.address)
    return Caller("ann", "ann", target, phone, engine, invite=invite)


async def shown(phone: Phone, count: int) -> list[str]:
    """Return the first messages of a phone, waiting for so many."""
    for _ in range(100):
        if len(phone.messages or ()) >= count:
            break
        await asyncio.sleep(0.05)
    return [message.shown for message in messages_of(phone.messages or ())]


async def test_who_gives_up_cancels_what_rings(
    engine: RtpEngine, phones: Callable[[], Phone]
) -> None:
    ann, bridge = phones(), phones()
    Callee(bridge, answers=False)
    await caller(engine, ann, bridge).dial_and_cancel()
    seen = await shown(ann, 7)
    assert [one for one in seen if not re.search("1[08]0", one)] == [
        *("sends INVITE", "sends CANCEL", "gets 200 to CANCEL"),
        *("gets 487 to INVITE", "sends ACK"),
    ]


async def test_who_hangs_up_at_once_sends_bye_behind_the_ack(
    engine: RtpEngine, phones: Callable[[], Phone]
) -> None:
    ann, bridge = phones(), phones()
    Callee(bridge, answers=True)
    one = caller(engine, ann, bridge)
    await one.dial_and_hang_up()
    assert not one.in_call
    seen = await shown(ann, 7)
    assert seen[-4:] == ["gets 200 to INVITE", "sends ACK", "sends BYE", "gets 200 to BYE"]
    with pytest.raises(CallFailed, match="ann is in no call: ended by local_bye"):
        await one.press("1")


def repeated(packets: Sequence[Packet]) -> int:
    """Return how often SIP itself sent an INVITE again: its callee was held for T1 (§17.1.1.2)."""
    told = [*zip(packets, messages_of(packets), strict=True)]
    sent = [packet.at_ns for packet, message in told if message.fits("sends INVITE")]
    answered = [packet.at_ns for packet, message in told if message.fits("gets 200 to INVITE")]
    return sum(sent[0] + SOON_NS < at_ns < answered[0] for at_ns in sent)


@pytest.mark.parametrize(
    ("invite", "invites"), [("once", 1), ("twice", 2), ("again", 2), ("merged", 2)]
)
async def test_an_invite_comes_as_often_as_it_is_told(
    engine: RtpEngine, phones: Callable[[], Phone], invite: str, invites: int
) -> None:
    ann, bridge = phones(), phones()
    bridge.messages = []
    callee = Callee(bridge, answers=True)
    one = caller(engine, ann, bridge, invite)
    await one.dial()
    await asyncio.sleep(1.0 if invite == "again" else 0.2)
    await one.hang_up()
    assert callee.came == 1, "one call, however often the INVITE comes"
    came = [one for one in messages_of(bridge.messages) if one.fits("gets INVITE")]
    assert len(came) - repeated(ann.messages or ()) == invites
    branches = {re.findall(rb"branch=([^;\r]*)", message.data)[0] for message in came}
    assert len(branches) == (2 if invite == "merged" else 1)
    refused = [one.status for one in messages_of(ann.messages or ()) if one.fits("4xx")]
    assert refused == (["482"] if invite == "merged" else [])
    acks = [one for one in messages_of(bridge.messages) if one.fits("gets ACK")]
    assert len(acks) >= (2 if invite == "merged" else 1), "the refusal is acknowledged too"
    await one.close()


def test_the_ack_of_a_refusal_is_of_the_same_transaction() -> None:
    text = acknowledged(INVITE, b"Via: SIP/2.0/UDP p:1;branch=z9hG4bK2", REFUSAL).decode()
    assert text.split("\r\n") == [
        "ACK sip:1@b SIP/2.0",
        "Via: SIP/2.0/UDP p:1;branch=z9hG4bK2",
        "Max-Forwards: 70",
        "From: <sip:a@a>;tag=f",
        "Call-ID: c",
        "To: <sip:1@b>;tag=t",
        "CSeq: 7 ACK",
        "Content-Length: 0",
        "",
        "",
    ]
