"""The words of the phone library: settings, events, statistics and errors. Plain frozen values.

Knows nothing of PJSIP: these values cross the process boundary of a pool as they are.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.errors import OperatingTrouble, RemoteFault

Samples = NDArray[np.int16]
"""(n,) int16, linear PCM, mono, at the rate of the endpoint."""

FRAME_MS: Final = 20
RATES_HZ: Final = (8_000, 16_000, 32_000, 44_100, 48_000)
"""Rates that PJSIP's conference bridge turns into those of the codecs without a rest."""

KEYS: Final = frozenset("0123456789*#ABCD")
KEPT_S: Final = 90
"""How much of what a call has heard is kept for `Call.heard`."""


class PhoneTrouble(OperatingTrouble):
    """PJSIP refused an order, or the process that a phone lives in has ended."""

    code = "phone_trouble"


class NoLineFree(PhoneTrouble):
    """Every phone that this endpoint or pool may have is in a call."""

    code = "no_line_free"


class CallRefused(RemoteFault):
    """A call, a registration or a transfer was refused, or is over before it was answered.

    Attributes:
        what: the URI that was called, or what was asked.
        status: the final SIP status.
    """

    code = "call_refused"

    def __init__(self, what: str, status: int, reason: str) -> None:
        super().__init__(f"{what}: {status} {reason}".rstrip())
        self.what, self.status, self.reason = what, status, reason


@dataclass(frozen=True, slots=True)
class PhoneConfig:
    """What holds for all phones of a process.

    Attributes:
        host: local address for SIP and RTP.
        port: of SIP over UDP and TCP; 0 takes a free one.
        codecs: offered, best first: PCMU, PCMA, G722, GSM, iLBC, speex (8, 16 or 32 kHz).
        rate_hz: of all samples that go in and out, one of `RATES_HZ`.
        calls_max: asked of PJSIP; what the build allows may be less.
        user_agent: in every SIP message.
        tells_sip: each SIP message of a call stands in its `Call.sip`, whole.
    """

    host: str = "127.0.0.1"
    port: int = 0
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    rate_hz: int = 8_000
    calls_max: int = 32
    user_agent: str = "tollbridge-phone"
    tells_sip: bool = False

    @property
    def frame(self) -> int:
        """Samples of a frame of 20 ms."""
        return self.rate_hz * FRAME_MS // 1_000


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """Who calls, and how he proves it.

    Attributes:
        uri: From of every request, `sip:ann@example.org`; a display name may stand before it.
        registrar: where to register, `sip:example.org`; "" does not register.
        user, password: for digest (MD5 and SHA-256); the user's default is that of `uri`.
        expires_s: asked of the registrar.
        tcp: SIP goes over TCP.
        require_100rel: insist on reliable provisional answers (RFC 3262).
        session_timer_s: insist on a session timer of so many seconds, at least 90; 0 does not.
        hold_zero: hold as old phones do, with `c=0.0.0.0` (RFC 2543), not with `a=sendonly`.
    """

    uri: str
    registrar: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    expires_s: int = 300
    tcp: bool = False
    require_100rel: bool = False
    session_timer_s: int = 0
    hold_zero: bool = False

    @property
    def digest_user(self) -> str:
        """Who proves himself: `user`, or that of `uri`."""
        return self.user or self.uri.partition("sip:")[2].partition("@")[0]

    def over_its_transport(self, uri: str) -> str:
        """Return a SIP URI that names TCP where that is the account's transport."""
        return f"{uri};transport=tcp" if self.tcp and "transport=" not in uri else uri


class Media(Enum):
    """What the media of a call are."""

    NONE = "none"
    ACTIVE = "active"
    HELD = "held"
    HELD_BY_PEER = "held_by_peer"


@dataclass(frozen=True, slots=True)
class Ringing:
    """A provisional answer: 180, or 183 with early media."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The call is confirmed on both sides."""

    status: int


@dataclass(frozen=True, slots=True)
class MediaChanged:
    """Media have started, stopped, or are on hold; early media come before `Answered`."""

    media: Media


@dataclass(frozen=True, slots=True)
class KeyReceived:
    """The other side pressed a key (RFC 4733, or INFO)."""

    key: str


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """What became of a transfer so far."""

    status: int
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over. `status` is 200 after a BYE, else why it never came about; 0: not known."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One SIP message of a call as PJSIP sent or received it; repeated ones come again.

    Attributes:
        at_ns: monotonic.
        local, remote: host and port; over TCP the local one is the phone's listening port.
    """

    at_ns: int
    sent: bool
    local: tuple[str, int]
    remote: tuple[str, int]
    data: bytes


CallEvent = Ringing | Answered | MediaChanged | KeyReceived | TransferProgress | Ended


@dataclass(frozen=True, slots=True)
class Statistics:
    """What RTP and RTCP counted for a call up to now, or up to its end.

    Attributes:
        codec: its name and rate, "" before there were media.
        sent, received: packets.
        lost, discarded, reordered: packets received that way, of this side.
        peer_lost: packets of ours that the other side says it lost.
        jitter_ms: mean, of what is received.
        round_trip_ms: mean by RTCP; 0 when no report has come.
        seconds: since the answer.
    """

    codec: str = ""
    sent: int = 0
    received: int = 0
    lost: int = 0
    discarded: int = 0
    reordered: int = 0
    peer_lost: int = 0
    jitter_ms: float = 0.0
    round_trip_ms: float = 0.0
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        """Share of the other side's packets that did not arrive, in [0, 1]."""
        expected = self.received + self.lost
        return self.lost / expected if expected else 0.0

    def followed_by(self, later: "Statistics") -> "Statistics":
        """Return the sum with a later stream of the same call; means are the later one's."""
        if not later.codec:
            return replace(self, seconds=later.seconds)
        names = ("sent", "received", "lost", "discarded", "reordered", "peer_lost")
        sums = {name: getattr(self, name) + getattr(later, name) for name in names}
        return replace(later, **sums)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of what a call hears.

    Attributes:
        at_ns: monotonic time at which PJSIP handed over its first frame.
        samples: (n,) int16.
    """

    at_ns: int
    samples: Samples

    @classmethod
    def of(cls, at_ns: int, data: bytes) -> "Block":
        """Return a block of little-endian bytes."""
        return cls(at_ns, np.frombuffer(data, "<i2").astype(np.int16))
