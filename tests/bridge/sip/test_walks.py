"""Random walks: requests, answers, orders, time and lost messages in any order end every call once.

What is drawn follows from the seed alone, which names the test. Nothing is malformed here: that is
`test_fuzz`.
"""

import random

import pytest

from bridge.sip.api import (
    Accept,
    CallIncoming,
    Dial,
    HangUp,
    Reinvite,
    Reject,
    Ring,
    SipConfig,
    SipEvent,
    Transport,
    Undelivered,
)
from bridge.sip.call import CallState
from bridge.units import LegId
from tests.bridge.sip.bench import CORE, MEDIA, MS, OFFER, PEER, Bench, S, request, response

WALKS = 250
STEPS_MAX = 40
OUT = LegId("out")
METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "INFO", "PRACK", "OPTIONS", "FOO")
STATUSES = (100, 180, 183, 200, 200, 302, 404, 408, 422, 481, 486, 491, 503)
BODIES = (
    OFFER,
    OFFER.replace("m=audio", "a=sendonly\r\nm=audio"),
    OFFER.replace("IP4 192.0.2.20", "IP4 0.0.0.0"),
    OFFER.replace("30000", "0"),
    OFFER + "m=video 5000 RTP/AVP 99\r\n",
    "v=0\r\n",
    "",
)
ASKED = (
    "Require: 100rel",
    "Supported: timer",
    "Session-Expires: 90;refresher=uas",
    "RAck: 1 1 INVITE",
    "Record-Route: <sip:192.0.2.50;lr>",
)
ANSWERED = (
    "Contact: <sip:b@192.0.2.21:5070>",
    "Contact: <sip:b@192.0.2.21>, <sip:c@192.0.2.22>",
    "Require: 100rel\nRSeq: 1",
    "Require: 100rel\nRSeq: 2",
    "Session-Expires: 90;refresher=uac",
    "Min-SE: 120",
)
WAITS = (MS, 10 * MS, 300 * MS, 600 * MS, 5 * S, 33 * S, 100 * S)
ORDERS = {
    CallState.INVITED: (Ring, Accept, Reject),
    CallState.ANSWERED: (Reinvite,),
    CallState.CONFIRMED: (Reinvite,),
}


class Walk:
    """One core, and what was drawn for it."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        trying_ns = self.draw.choice([0, 200 * MS])
        config = SipConfig(CORE, tcp=self.draw.random() < 0.5, trying_after_ns=trying_ns)
        self.bench = Bench(config)
        self.legs: list[LegId] = []
        self.asked: tuple[str, int] = ("a", 1)
        if self.draw.random() < 0.4:
            transport: Transport = "TCP" if self.draw.random() < 0.5 else "UDP"
            order = Dial(OUT, "sip:1@192.0.2.20", "2", "h", PEER, MEDIA, transport=transport)
            self.bench.step(order)
            self.legs.append(OUT)

    def step(self) -> None:
        self.draw.choice(
            [
                self.ask,
                self.ask,
                self.ask,
                self.answer,
                self.answer,
                self.order,
                self.wait,
                self.lose,
            ]
        )()
        new = (event.leg for event in self.bench.events if isinstance(event, CallIncoming))
        self.legs += [leg for leg in new if leg not in self.legs]

    def some(self, lines: tuple[str, ...], chance: float) -> str:
        """Return some header lines, each header once at most."""
        drawn = {line.partition(":")[0]: line for line in lines if self.draw.random() < chance}
        return "\n".join(drawn.values())

    def ask(self) -> None:
        """Send a request of the other side, in a dialog that there is, was or never was."""
        sent, method = self.bench.sent, self.draw.choice(METHODS)
        if method not in ("ACK", "CANCEL") or self.draw.random() < 0.2:
            self.asked = (self.draw.choice("abcdef"), self.draw.randrange(1, 6))
        branch, cseq = self.asked  # ACK and CANCEL are mostly of the last request
        ours = [m.to_tag if m.status else m.header("From").partition(";tag=")[2] for m in sent]
        text = request(
            method,
            branch=branch,
            to_tag=self.draw.choice(["", *ours]),
            from_tag=self.draw.choice(["f1", "r1"]),
            call_id=self.draw.choice(["c1", *(m.header("Call-ID") for m in sent[:1])]),
            cseq=cseq,
            headers=self.some(ASKED, 0.2),
            body=self.draw.choice(BODIES) if method in ("INVITE", "UPDATE", "ACK") else "",
        )
        self.bench.hear(text)

    def answer(self) -> None:
        """Answer one of our latest requests, again perhaps."""
        requests = [message for message in self.bench.sent if not message.status][-6:]
        if requests:
            text = response(
                self.draw.choice(requests),
                self.draw.choice(STATUSES),
                to_tag=self.draw.choice(["r1", "r2"]),
                headers=self.some(ANSWERED, 0.3),
                body=self.draw.choice(BODIES),
            )
            self.bench.hear(text)

    def order(self) -> None:
        """Order what the server may order in a call's state."""
        calls = self.bench.core._exchange.legs
        if not calls:
            return
        leg, call = self.draw.choice(list(calls.items()))
        kind = self.draw.choice([HangUp, *ORDERS.get(call.state, ())])
        order: SipEvent
        if kind is Accept:
            order = Accept(leg, MEDIA)
        elif kind is Reinvite:
            order = Reinvite(leg, MEDIA)
        elif kind is Reject:
            order = Reject(leg, 404, "Not Found")
        else:
            order = Ring(leg) if kind is Ring else HangUp(leg)
        self.bench.step(order)

    def wait(self) -> None:
        self.bench.wait(self.draw.choice(WAITS))

    def lose(self) -> None:
        """Say that one of our latest messages did not arrive; of some only the head is quoted."""
        if self.bench.sent:
            message = self.draw.choice(self.bench.sent[-5:])
            quoted = self.draw.choice([100, 548, 10_000])
            self.bench.step(Undelivered(message.data[:quoted], message.destination))


@pytest.mark.parametrize("seed", range(WALKS))
def test_every_call_of_a_random_walk_ends_once_and_leaves_nothing(seed: int) -> None:
    walk = Walk(seed)
    for _ in range(walk.draw.randrange(3, STEPS_MAX)):
        walk.step()
    for leg in walk.legs:
        walk.bench.step(HangUp(leg))
    walk.bench.wait(4_000 * S)
    assert sorted(end.leg for end in walk.bench.ends) == sorted(walk.legs)
    walk.bench.assert_empty()
