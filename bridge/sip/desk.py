"""What every part of the core works on during one step; decides nothing.

The desk holds the configuration, the id source, the moment, the timers, and the two out-trays
that `SipCore.step` empties: messages to send and notices for the server.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bridge.sip import limits
from bridge.sip.api import Address, Dropped, Send, SipConfig, SipNotice, Transport
from bridge.sip.timers import Timer, TimerOwner, Timers
from bridge.units import NowNs


class Flow(NamedTuple):
    """Where messages of one transaction or dialog go, and from which of our addresses.

    `instead` is for a stream that the other side closed.
    """

    destination: Address
    local: Address | None
    transport: Transport
    instead: Address | None = None

    @property
    def reliable(self) -> bool:
        """True when the transport itself repeats what is lost."""
        return self.transport != "UDP"


@dataclass(slots=True)
class Desk:
    """The working table of one core.

    Attributes:
        give_up_ns: 64*T1: how long anything is repeated before it is given up.
        t2_ns: the longest interval between two repetitions.
        t4_ns: how long the network may keep a message.
    """

    config: SipConfig
    ids: Callable[[], str]
    now_ns: NowNs
    sends: list[Send] = field(default_factory=list)
    events: list[SipNotice] = field(default_factory=list)
    timers: Timers = field(default_factory=Timers)
    give_up_ns: int = field(init=False)
    t2_ns: int = field(init=False)
    t4_ns: int = field(init=False)

    def __post_init__(self) -> None:
        """Take the times from the configuration, which stays as it is."""
        self.give_up_ns = limits.T1_GIVE_UP * self.config.t1_ns
        self.t2_ns = limits.T1_T2 * self.config.t1_ns
        self.t4_ns = limits.T1_T4 * self.config.t1_ns

    def send(self, flow: Flow, data: bytes) -> None:
        """Put a message into the out-tray."""
        self.sends.append(Send(data, *flow))

    def notify(self, notice: SipNotice) -> None:
        """Put a notice into the out-tray."""
        self.events.append(notice)

    def drop(self, reason: str, source: Address | None = None) -> None:
        """Count a message that was thrown away or answered with an error."""
        self.events.append(Dropped(reason, source))

    def arm(self, owner: TimerOwner, name: Timer, after_ns: int) -> None:
        """Set one timer of an owner to go off after this long."""
        self.timers.arm(owner, name, self.now_ns + after_ns)


ANY_PORT_OF_SIP: Final = 5_060
"""The port of a SIP URI that names none (RFC 3261 §19.1.2)."""

ANY_PORT_OF_SIPS: Final = 5_061
"""The same over TLS."""


def any_port(transport: Transport) -> int:
    """Return the port of a URI or Via that names none."""
    return ANY_PORT_OF_SIPS if transport == "TLS" else ANY_PORT_OF_SIP
