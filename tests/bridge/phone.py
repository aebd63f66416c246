"""A phone for tests of the whole bridge: the SIP core over UDP, and RTP that is only a tone."""

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable
from typing import Self

from bridge.ids import new_id
from bridge.net.sip_udp import SipUdp
from bridge.server import Bridge
from bridge.sip.api import (
    Accept,
    Address,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    Dial,
    HangUp,
    LocalMedia,
    Reject,
    RemoteMedia,
    Ring,
    SipConfig,
    SipNotice,
)
from bridge.units import LegId

KEYS = "0123456789*#"
EVENT = 101


class CallIn:
    """One call to or from the bridge. Keys go out as RFC 4733 events; sound is not looked at."""

    def __init__(self) -> None:
        self.leg = LegId(new_id())
        self.notices: list[SipNotice] = []
        self.remote: RemoteMedia | None = None
        self.changed = asyncio.Event()
        self.sip: SipUdp
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind(("127.0.0.1", 0))
        self.rtp.setblocking(False)
        self._stamps = itertools.count(8_000, 8_000)
        self._numbers = itertools.count(1)

    @classmethod
    async def listen(cls) -> Self:
        """Open the sockets and wait to be called."""
        phone = cls()
        phone.sip = await SipUdp.open(
            Address("127.0.0.1", 0),
            lambda contact: SipConfig(contact=contact),
            phone._on_notice,
            ids=new_id,
        )
        return phone

    @classmethod
    async def dial(cls, bridge: Bridge, user: str) -> Self:
        """Call the bridge and wait for its answer."""
        phone = await cls.listen()
        host, port = bridge.sip_address
        phone.sip.order(
            Dial(
                leg=phone.leg,
                target=f"sip:{user}@{host}:{port}",
                caller="phone",
                domain="127.0.0.1",
                destination=bridge.sip_address,
                media=phone.media,
            )
        )
        await phone.until(lambda: phone.remote is not None)
        return phone

    @property
    def media(self) -> LocalMedia:
        host, port = self.rtp.getsockname()
        return LocalMedia(host, port)

    def _on_notice(self, notice: SipNotice) -> None:
        self.notices.append(notice)
        match notice:
            case CallIncoming(leg=leg):
                self.leg = leg
            case CallAnswered(remote=remote) | CallConfirmed(remote=remote):
                self.remote = remote
            case _:
                pass
        self.changed.set()

    async def until(self, holds: Callable[[], bool], seconds: float = 15.0) -> None:
        """Wait for a notice that makes something true."""
        async with asyncio.timeout(seconds):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def rung(self) -> CallIncoming:
        """Wait until the bridge calls; answer 180."""
        await self.until(lambda: any(isinstance(n, CallIncoming) for n in self.notices))
        self.sip.order(Ring(self.leg))
        return next(n for n in reversed(self.notices) if isinstance(n, CallIncoming))

    async def answer(self) -> None:
        """Take the call."""
        self.sip.order(Accept(self.leg, self.media))
        await self.until(lambda: any(isinstance(n, CallConfirmed) for n in self.notices))

    def refuse(self, status: int) -> None:
        """Refuse the call."""
        self.sip.order(Reject(self.leg, status, "Refused"))

    async def ended(self) -> None:
        """Wait until the call is over."""
        await self.until(lambda: any(isinstance(n, CallEnded) for n in self.notices))

    async def press(self, keys: str) -> None:
        """Send keys as RFC 4733 events (RFC 4733 §2.5)."""
        assert self.remote is not None
        assert self.remote.address is not None
        for key in keys:
            stamp = next(self._stamps)
            for duration, end in ((160, 0), (320, 0), (480, 0x80), (480, 0x80)):
                head = struct.pack("!BBHII", 0x80, EVENT, next(self._numbers), stamp, 9)
                body = struct.pack("!BBH", KEYS.index(key), end | 10, duration)
                self.rtp.sendto(head + body, self.remote.address)
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.06)

    async def hang_up(self) -> None:
        """End the call."""
        self.sip.order(HangUp(self.leg))

    async def close(self) -> None:
        """Close the sockets."""
        await asyncio.sleep(0.05)
        self.sip.close()
        self.rtp.close()
