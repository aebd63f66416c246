"""Joins SIP cores back to back without sockets: a wire with a delay and chosen losses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from bridge.sip.api import (
    Accept,
    Address,
    CallAnswered,
    CallIncoming,
    Dial,
    LocalMedia,
    Received,
    SipConfig,
    SipEvent,
    SipNotice,
    Wake,
)
from bridge.sip.core import SipCore
from bridge.units import LegId, NowNs

MS = 1_000_000
S = 1_000_000_000
BRIDGE = Address("192.0.2.10", 5060)
PHONE = Address("192.0.2.20", 5062)
BRIDGE_MEDIA = LocalMedia("192.0.2.10", 40_000)
PHONE_MEDIA = LocalMedia("192.0.2.20", 30_000)

_Notice = TypeVar("_Notice", bound=SipNotice)
Loses = Callable[[bytes, int], bool]
"""Says of a message and its number on the wire whether it is lost."""


def tokens(prefix: str) -> Callable[[], str]:
    """Return an id source that counts."""
    numbers = count(1)
    return lambda: f"{prefix}{next(numbers)}"


def lose_nothing(_data: bytes, _number: int) -> bool:
    return False


@dataclass
class End:
    """One core with what it said and sent."""

    address: Address
    core: SipCore
    events: list[SipNotice] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    react: Callable[[SipNotice], Iterator[SipEvent]] | None = None
    wake_ns: int | None = None

    def of(self, kind: type[_Notice]) -> list[_Notice]:
        """Return the notices of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


class Pair:
    """A bridge and a phone, both `SipCore`, and the wire between them."""

    def __init__(
        self,
        *,
        bridge: SipConfig | None = None,
        phone: SipConfig | None = None,
        loses: Loses = lose_nothing,
        delay_ns: int = MS,
    ) -> None:
        self.now_ns = 0
        self.loses = loses
        self.delay_ns = delay_ns
        self.bridge = End(BRIDGE, SipCore(bridge or SipConfig(BRIDGE), tokens("b")))
        self.phone = End(PHONE, SipCore(phone or SipConfig(PHONE), tokens("p")))
        self._ends = {BRIDGE: self.bridge, PHONE: self.phone}
        self._wire: list[tuple[int, int, End, Received]] = []
        self._numbers = count()

    def order(self, end: End, event: SipEvent) -> None:
        """Step one core and carry out what it wants."""
        effects = end.core.step(event, NowNs(self.now_ns))
        end.wake_ns = effects.deadline_ns
        for send in effects.sends:
            number = next(self._numbers)
            end.sent.append(send.data)
            target = self._ends.get(send.destination)
            if target is not None and not self.loses(send.data, number):
                received = Received(send.data, end.address, target.address)
                heappush(self._wire, (self.now_ns + self.delay_ns, number, target, received))
        for notice in effects.events:
            end.events.append(notice)
            if end.react is not None:
                for order in end.react(notice):
                    self.order(end, order)

    def run(self, for_ns: int) -> None:
        """Let time pass."""
        until_ns = self.now_ns + for_ns
        while (next_ns := self._next_ns()) is not None and next_ns <= until_ns:
            self.now_ns = max(self.now_ns, next_ns)
            if self._wire and self._wire[0][0] <= self.now_ns:
                _, _, target, received = heappop(self._wire)
                self.order(target, received)
                continue
            for end in self._ends.values():
                if end.wake_ns is not None and end.wake_ns <= self.now_ns:
                    self.order(end, Wake())
        self.now_ns = until_ns

    def _next_ns(self) -> int | None:
        times = [end.wake_ns for end in self._ends.values() if end.wake_ns is not None]
        if self._wire:
            times.append(self._wire[0][0])
        return min(times, default=None)

    def dial(self, leg: str = "out-1", **changes: object) -> None:
        """Let the phone call the bridge."""
        values: dict[str, object] = {
            "leg": LegId(leg),
            "target": "sip:+18005550100@192.0.2.10",
            "caller": "ann",
            "domain": "phones.example",
            "destination": BRIDGE,
            "media": PHONE_MEDIA,
        }
        self.order(self.phone, Dial(**{**values, **changes}))  # type: ignore[arg-type]  # built

    @property
    def leg(self) -> LegId:
        """The leg of the last call that came in at the bridge."""
        return self.bridge.of(CallIncoming)[-1].leg

    def connect(self) -> None:
        """Set up one call that the bridge accepts at once."""
        self.bridge.react = accept_all
        self.dial()
        self.run(20 * MS)
        assert self.phone.of(CallAnswered)


def accept_all(notice: SipNotice) -> Iterator[SipEvent]:
    """Accept every call."""
    if isinstance(notice, CallIncoming):
        yield Accept(notice.leg, BRIDGE_MEDIA)
