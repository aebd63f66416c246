"""SIP for vector callers: the project's own SIP core as caller, one UDP socket for a few of them.

Knows calls by leg id and tells each call's owner what happened; knows no audio and no story.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Self

from bridge.ids import new_id
from bridge.lab.capture import Packet
from bridge.lab.copies import AGAIN_S, OtherWay
from bridge.net.sip_udp import SipUdp
from bridge.sip.api import (
    Accept,
    Address,
    CallAnswered,
    CallEnded,
    CallIncoming,
    Codec,
    Dial,
    Dropped,
    HangUp,
    LocalMedia,
    Reinvite,
    Reject,
    Ring,
    Send,
    SipConfig,
    SipNotice,
)
from bridge.units import LegId

CODECS: Final = {
    "PCMU": Codec("PCMU", 0),
    "PCMA": Codec("PCMA", 8),
    "G722": Codec("G722", 9),
    "L16": Codec("L16", 107, 16_000),
    "OPUS": Codec("OPUS", 111, 48_000, 2, "useinbandfec=1"),
    "GSM": Codec("GSM", 3),
    "G729": Codec("G729", 18),
}
"""What phones may offer; the last two only to be refused."""

USER_AGENT: Final = "tollbridge-lab"

CallOwner = Callable[[SipNotice], None]
"""Told what happens to one call."""


class Phone:
    """One SIP socket and the calls that go through it.

    Attributes:
        dropped: messages that the core threw away, by reason.
        watcher: told of every message, when somebody watches.
        messages: every message since somebody wanted them; None when nobody does.
    """

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.watcher: Callable[[Packet], None] | None = None
        self.messages: list[Packet] | None = None
        self._sip: SipUdp
        self._invite: Send | None = None
        self._other_ways: list[OtherWay] = []
        self._again: dict[LegId, Send] = {}
        self._owners: dict[LegId, CallOwner] = {}
        self._called: dict[str, CallOwner] = {}
        self._deaf: socket.socket | None = None
        self._closed = False

    @classmethod
    async def open(cls, codec: str, *, host: str = "127.0.0.1") -> Self:
        """Open a socket whose calls offer one codec."""

        def config(contact: Address) -> SipConfig:
            return SipConfig(contact=contact, codecs=(CODECS[codec],), user_agent=USER_AGENT)

        phone = cls()
        phone._sip = await SipUdp.open(
            Address(host, 0), config, phone._on_notice, ids=new_id, tap=phone._on_message
        )
        return phone

    @property
    def address(self) -> Address:
        """Where this phone sends from and is heard."""
        return self._sip.address

    @property
    def busy(self) -> bool:
        """Whether a request of these phones still waits for its answer."""
        return self._sip.sizes["unanswered"] > 0

    def dial(self, order: Dial, owner: CallOwner, *, invite: str = "once") -> None:
        """Make a call; the owner is told all that happens to it. `invite` is one of `INVITES`."""
        self._owners[order.leg] = owner
        self._sip.order(order)
        sent = self._invite
        if invite == "once" or sent is None:
            return
        if invite == "twice":
            self._sip.send(sent)
        elif invite == "again":
            self._again[order.leg] = sent
        else:
            way = OtherWay(self.address.host, self._see)
            self._other_ways.append(way)
            way.send(sent.data, sent.destination)

    def _answered_once(self, leg: LegId) -> None:
        """Send the INVITE of a call again, in a while, if that was wanted."""
        if (sent := self._again.pop(leg, None)) is not None:
            asyncio.get_running_loop().call_later(AGAIN_S, self._send_again, sent)

    def _send_again(self, sent: Send) -> None:
        if not self._closed:
            self._sip.send(sent)

    def hang_up(self, leg: LegId) -> None:
        """End a call in whatever state it is; nothing when it is over."""
        if leg in self._owners:
            self._sip.order(HangUp(leg))

    def reinvite(self, leg: LegId, media: LocalMedia) -> None:
        """Offer other media in a call: hold, or resume."""
        self._sip.order(Reinvite(leg, media))

    def _on_message(self, data: bytes, peer: Address, sent: bool) -> None:
        if sent and data.startswith(b"INVITE "):
            self._invite = Send(data, peer)
        if self.watcher is not None or self.messages is not None:
            self._see(Packet(time.monotonic_ns(), self.address, peer, sent, data))

    def _see(self, packet: Packet) -> None:
        if self.watcher is not None:
            self.watcher(packet)
        if self.messages is not None:
            self.messages.append(packet)

    def _on_notice(self, notice: SipNotice) -> None:
        if isinstance(notice, Dropped):
            self.dropped[notice.reason] += 1
            return
        if isinstance(notice, CallIncoming):
            self._on_incoming(notice)
            return
        if isinstance(notice, CallAnswered):
            self._answered_once(notice.leg)
        owner = self._owners.get(notice.leg)
        if isinstance(notice, CallEnded):
            self._owners.pop(notice.leg, None)
        if owner is not None:
            owner(notice)

    def _on_incoming(self, notice: CallIncoming) -> None:
        owner = self._called.get(notice.user)
        if owner is None:
            self._sip.order(Reject(notice.leg, 480, "Temporarily Unavailable"))
            return
        self._owners[notice.leg] = owner
        self._sip.order(Ring(notice.leg))
        owner(notice)

    def await_calls(self, user: str, owner: CallOwner) -> None:
        """Ring when somebody calls `user` here; the owner is told and answers or refuses."""
        self._called[user] = owner

    def accept(self, leg: LegId, media: LocalMedia) -> None:
        """Answer a call that rings."""
        self._sip.order(Accept(leg, media))

    def refuse(self, leg: LegId, status: int) -> None:
        """Refuse a call that rings with a final status."""
        self._sip.order(Reject(leg, status, "Refused"))

    async def vanish(self) -> None:
        """Go without a word: nothing is sent any more and what comes is swallowed (D12).

        The port stays bound by a socket that nobody reads, as the cable of a dead phone would
        leave it: no ICMP tells the other side.
        """
        if self._deaf is not None:
            return
        address = self._sip.address
        self._closed = True
        self._sip.close()
        self._owners.clear()
        await asyncio.sleep(0)  # the transport closes its socket in the next turn of the loop
        self._deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._deaf.bind(address)

    def close(self) -> None:
        """Close the socket; calls that are still up are forgotten, not hung up."""
        self._closed = True
        for way in self._other_ways:
            way.close()
        self._other_ways.clear()
        if self._deaf is not None:
            self._deaf.close()
            self._deaf = None
        else:
            self._sip.close()
