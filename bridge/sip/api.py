"""What goes into the SIP core and what comes out of it; plain frozen values, no behaviour.

`SipCore.step(event, now_ns) -> SipEffects`. A *call* here is the SIP side of one leg, named by
the `LegId` that the core takes from its id source at the INVITE (inbound) or that `Dial` brings
(outbound). The core knows dialogs and descriptions of media; it knows no audio, no conference,
no socket and no clock.
"""

from collections.abc import Callable
from dataclasses import field
from enum import Enum
from typing import Literal, NamedTuple

from bridge.frozen import frozen
from bridge.units import LegId, NowNs

Transport = Literal["UDP", "TCP", "TLS"]
"""What carries SIP, as a Via names it."""


class Address(NamedTuple):
    """Where a datagram came from or goes to: a literal IP address and a port."""

    host: str
    port: int


class Direction(Enum):
    """The media direction attribute (RFC 3264 §5.1), from the side of whoever wrote it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@frozen
class Codec:
    """One audio format of an offer or answer.

    Attributes:
        name: encoding name as in SDP, upper case: "PCMU", "OPUS".
        payload_type: RTP payload type in [0, 127]; from 96 on it is only a number of this call.
        clock_rate_hz: RTP clock, which for G.722 is not the sample rate (RFC 3551 §4.5.2).
        channels: as in the rtpmap; 2 for Opus whatever is sent (RFC 7587 §7).
        parameters: what our descriptions say of it in a=fmtp, "" for nothing.
    """

    name: str
    payload_type: int
    clock_rate_hz: int = 8_000
    channels: int = 1
    parameters: str = ""


@frozen
class LocalMedia:
    """What this side says of its media in an offer or answer: where it receives.

    Attributes:
        ptime_ms: length of the packets that it wants to receive.
    """

    host: str
    port: int
    direction: Direction = Direction.SENDRECV
    ptime_ms: int = 20


@frozen
class RemoteMedia:
    """What was agreed with the other side, after offer and answer.

    Attributes:
        address: where the other side receives RTP; None when its address is 0.0.0.0 or port 0.
        codec: the one chosen codec.
        dtmf_payload_type: of RFC 4733 telephone-event, None when not agreed.
        ptime_ms: what the other side wants to receive, 20 when it does not say.
        remote_sends: false when the other side will not send (its hold: recvonly or inactive).
        remote_hears: false when it does not want to receive (sendonly, inactive, c=0.0.0.0).
        dtmf_clock_hz: clock rate that the telephone-event type was given.
        also: further payload types that the other side may send, and the encoding of each, where
            it has answered an offer of ours; `codec` and `dtmf_payload_type` are what it named.
    """

    address: Address | None
    codec: Codec
    dtmf_payload_type: int | None
    ptime_ms: int = 20
    remote_sends: bool = True
    remote_hears: bool = True
    dtmf_clock_hz: int = 8_000
    also: tuple[tuple[int, str], ...] = ()

    @property
    def held(self) -> bool:
        """True while the other side has put this call on hold."""
        return not (self.remote_sends and self.remote_hears)


# --- in: from the network -----------------------------------------------------------------


class Received(NamedTuple):
    """One datagram, or one whole message of a stream."""

    data: bytes
    source: Address
    local: Address
    transport: Transport = "UDP"


class Undelivered(NamedTuple):
    """A message of ours is known not to have arrived: ICMP said so, or there is no connection.

    Attributes:
        data: it, or as much of its beginning as ICMP quoted.
    """

    data: bytes
    destination: Address


@frozen
class Wake:
    """Time has passed: the deadline of the last effects is due."""


# --- in: orders of the server -------------------------------------------------------------


@frozen
class Ring:
    """Answer the INVITE of a call with 180 Ringing."""

    leg: LegId


@frozen
class Accept:
    """Answer the INVITE of a call with 200 and this side's media."""

    leg: LegId
    media: LocalMedia


@frozen
class Reject:
    """Answer the INVITE of a call with a final failure."""

    leg: LegId
    status: int
    reason: str
    retry_after_s: int | None = None


@frozen
class HangUp:
    """End a call, whatever state it is in: BYE, CANCEL, or 480 to an INVITE not yet answered.

    `reason_text`, when given, goes out as a Reason header: `SIP;cause=200;text="..."`.
    """

    leg: LegId
    reason_text: str | None = None


@frozen
class Dial:
    """Make a call (Call Me, and the lab's callers).

    Attributes:
        target: request URI, "sip:+15550100@203.0.113.5".
        caller: user part of From; `domain` its host part.
        destination: where the INVITE is sent.
        headers: further headers, name and value, copied as they are.
    """

    leg: LegId
    target: str
    caller: str
    domain: str
    destination: Address
    media: LocalMedia
    display_name: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    transport: Transport = "UDP"


@frozen
class Reinvite:
    """Offer new media within a call: hold, resume, a new address."""

    leg: LegId
    media: LocalMedia


SipEvent = Received | Undelivered | Wake | Ring | Accept | Reject | HangUp | Dial | Reinvite


# --- out: to the network ------------------------------------------------------------------


class Send(NamedTuple):
    """One message to write to the wire.

    `instead` is where to go when the stream to `destination` is no longer open.
    """

    data: bytes
    destination: Address
    local: Address | None = None
    transport: Transport = "UDP"
    instead: Address | None = None


# --- out: to the server -------------------------------------------------------------------


@frozen
class CallIncoming:
    """An INVITE that opened a new call; 100 Trying is on its way. Answer it with an order.

    Attributes:
        user: user part of the request URI, percent-decoded; "" when it has none. tel: URIs
            give their number here.
        host: host part of the request URI.
        source: where the INVITE came from, for trunk look-up.
        from_user: user part of From, "" when anonymous (RFC 3323/3325) or missing.
        asserted: user part of the first P-Asserted-Identity, None when absent.
        diversion: user part of the first Diversion, None when absent.
        late_offer: true when the INVITE had no SDP: the 200 offers and the ACK answers.
        remote: what will be agreed if the call is accepted; None with a late offer.
        call_id: the Call-ID header, for logs and the leg's story.
        authenticated: the user whose credentials the INVITE proved, None when none were asked.
    """

    leg: LegId
    user: str
    host: str
    source: Address
    from_user: str
    from_display: str
    asserted: str | None
    diversion: str | None
    anonymous: bool
    late_offer: bool
    remote: RemoteMedia | None
    call_id: str
    authenticated: str | None = None


@frozen
class CallProgress:
    """A provisional answer (above 100) to our `Dial`."""

    leg: LegId
    status: int


@frozen
class CallAnswered:
    """Our `Dial` got a 200; the ACK is on its way."""

    leg: LegId
    remote: RemoteMedia


@frozen
class CallConfirmed:
    """The ACK of our 200 came: the caller's address is proven and media may flow to it.

    `proven` is true when the address in the SDP is the address the signalling came from; only
    then may RTP be sent to it before RTP has come from there.
    """

    leg: LegId
    remote: RemoteMedia
    proven: bool


@frozen
class CallMedia:
    """A re-INVITE or UPDATE changed the media: hold, resume, codec or address."""

    leg: LegId
    remote: RemoteMedia
    proven: bool


class EndCause(Enum):
    """Why a call is over, seen from SIP. The values are stable: they go into facts."""

    REMOTE_BYE = "remote_bye"
    LOCAL_BYE = "local_bye"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NO_ACK = "no_ack"
    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    SESSION_EXPIRED = "session_expired"
    BAD_ANSWER = "bad_answer"


@frozen
class CallEnded:
    """The call is over; the last event of its leg, exactly once.

    `LOCAL_BYE` is reported in the same step as the `HangUp` that caused it, not when the BYE's
    answer comes. `status` is the final status of a call that was never answered.
    """

    leg: LegId
    cause: EndCause
    status: int | None = None


@frozen
class CallKey:
    """A key pressed by SIP INFO (`application/dtmf-relay` or `application/dtmf`)."""

    leg: LegId
    key: str


@frozen
class Dropped:
    """A message that was thrown away or answered with an error, under one named reason."""

    reason: str
    source: Address | None = None


SipNotice = (
    CallIncoming
    | CallProgress
    | CallAnswered
    | CallConfirmed
    | CallMedia
    | CallEnded
    | CallKey
    | Dropped
)


class SipEffects(NamedTuple):
    """All that one step wants done, in order.

    Attributes:
        sends: messages to write.
        events: what the server must know, in the order it happened.
        deadline_ns: when to step with `Wake` at the latest; None when nothing is pending.
    """

    sends: tuple[Send, ...] = ()
    events: tuple[SipNotice, ...] = ()
    deadline_ns: NowNs | None = None


@frozen
class SipUser:
    """Somebody who may register: by password, or by the hashes of it (RFC 7616 §3.4.2)."""

    name: str
    password: str = field(default="", repr=False)
    ha1_md5: str = field(default="", repr=False)
    ha1_sha256: str = field(default="", repr=False)


class Binding(NamedTuple):
    """One registered phone: dial `contact` at `destination`, over `transport`."""

    user: str
    contact: str
    destination: Address
    transport: Transport
    expires_ns: NowNs


def nobody(host: str) -> bool:
    """Trust no address."""
    del host
    return False


@frozen
class SipConfig:
    """What the core is told once.

    Attributes:
        contact: the address put into Via and Contact.
        tls_contact: the same of what goes over TLS; None: `contact`.
        tcp: requests may be sent over TCP to who wants that.
        codecs: offered and accepted, in order of preference (the remote's order wins in answers).
        dtmf_payload_type: offered for telephone-event at 8 kHz; the next ones stand for the other
            clock rates of the codecs (RFC 4733 §2.1).
        rtp_six: RTP goes over IPv6 (true) or IPv4 (false), and a description that wants it over
            the other is refused; None: not known, any is taken.
        user_agent: Server and User-Agent header.
        calls_max: beyond it an INVITE is answered 503 with Retry-After before any work.
        session_expires_s: RFC 4028 interval asked for when the other side supports timers.
        t1_ns: RFC 3261 timer T1.
        trying_after_ns: 100 is sent when an INVITE is without an answer for so long; 0: at once.
            RFC 3261 §17.2.1 wants it within 200 ms.
        users: who may register; without users REGISTER is not understood.
        realm: of the digest challenges; hashes in `users` are made for it.
        digests: algorithms of the challenges, the preferred one first.
        require_auth: callers whose address is not `trusted` must prove to be one of `users`.
    """

    contact: Address
    tls_contact: Address | None = None
    tcp: bool = False
    codecs: tuple[Codec, ...] = (Codec("PCMU", 0), Codec("PCMA", 8))
    dtmf_payload_type: int = 101
    rtp_six: bool | None = None
    user_agent: str = "tollbridge"
    calls_max: int = 10_000
    session_expires_s: int = 1_800
    t1_ns: int = 500_000_000
    overload_retry_after_s: int = 5
    trying_after_ns: int = 0
    users: tuple[SipUser, ...] = ()
    realm: str = "tollbridge"
    digests: tuple[str, ...] = ("SHA-256", "MD5")
    require_auth: bool = False
    trusted: Callable[[str], bool] = nobody
