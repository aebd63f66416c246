"""Opens SIP as the settings say and reads what a port that is taken means; decides nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.config import Settings
from bridge.errors import OperatingTrouble
from bridge.ids import new_id
from bridge.link import LegOpened
from bridge.media import opus
from bridge.media.codecs import missing_library
from bridge.net.addresses import told_host
from bridge.net.sip_tls import Tls, server_context
from bridge.net.sip_udp import SipUdp, Tap
from bridge.sip.api import Address, Codec, EndCause, SipConfig, SipNotice

CODECS: Final = {
    "opus": Codec("OPUS", 111, 48_000, 2, opus.FORMAT),
    "G722": Codec("G722", 9),
    "L16": Codec("L16", 107, 16_000),
    "PCMU": Codec("PCMU", 0),
    "PCMA": Codec("PCMA", 8),
}
"""By the names in `[rtp] codecs`. Dynamic payload types are ours where we offer."""

TRYING_AFTER_NS: Final = 200_000_000
"""Nearly every call is answered sooner, and then there is no 100 to make (RFC 3261 §17.2.1)."""

HANG_UP_CAUSES: Final = {
    EndCause.REMOTE_BYE: "hung_up",
    EndCause.CANCELLED: "hung_up",
    EndCause.NO_ACK: "no_ack",
    EndCause.SESSION_EXPIRED: "session_expired",
    EndCause.BAD_ANSWER: "bad_answer",
}
"""SIP's causes in the facts' words; others are named as SIP names them."""


def codecs_of(settings: Settings) -> tuple[Codec, ...]:
    """Return the codecs that are offered: those of the settings whose library is installed."""
    wanted = (CODECS[name] for name in settings.rtp.codecs)
    return tuple(codec for codec in wanted if not missing_library(codec.name))


def sip_config(settings: Settings, bound: Address) -> SipConfig:
    """Return what the SIP core is told once the address is bound."""
    host, port = settings.sip.advertised
    return SipConfig(
        contact=Address(told_host(bound.host, host), port or bound.port),
        tls_contact=Address(host, 0),
        codecs=codecs_of(settings),
        rtp_six=":" in told_host(settings.rtp.address, settings.rtp.advertise),
        calls_max=settings.sip.calls_max,
        trying_after_ns=TRYING_AFTER_NS,
        users=tuple(user.sip_user() for user in settings.user),
        realm=settings.sip.realm,
        digests=tuple(settings.sip.digest),
        require_auth=settings.sip.require_auth,
        trusted=lambda host: settings.trunk_of(host) is not None,
    )


def tls_of(settings: Settings) -> Tls | None:
    """Return what TLS is served with, None when it is off. Raises `InputError` as `open_sip`."""
    sip = settings.sip
    if not sip.tls:
        return None
    return Tls(sip.tls_address, server_context(Path(sip.tls_certificate), Path(sip.tls_key)))


async def open_sip(
    settings: Settings, on_event: Callable[[SipNotice], None], tap: Tap | None = None
) -> SipUdp:
    """Listen for SIP; `tap` is told of every message.

    Raises:
        OperatingTrouble: the port is taken or the address is not this machine's.
        InputError: the certificate or the key of TLS cannot be used.
    """
    listen = settings.sip.listen
    tls = tls_of(settings)
    try:
        return await SipUdp.open(
            settings.sip.address,
            lambda bound: sip_config(settings, bound),
            on_event,
            ids=new_id,
            tcp=settings.sip.tcp,
            tls=tls,
            tap=tap,
        )
    except OSError as fault:
        raise OperatingTrouble(f"sip.listen {listen}: {fault.strerror or fault}") from fault


def told_media(settings: Settings, opened: LegOpened) -> LegOpened:
    """Return a leg's port with the address that a caller is told for it."""
    host = told_host(opened.host, settings.rtp.advertise)
    return LegOpened(opened.leg_no, host, opened.port)
