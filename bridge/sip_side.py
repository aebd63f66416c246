"""Opens SIP as the settings say and reads what a port that is taken means; decides nothing."""

from collections.abc import Callable
from dataclasses import replace

from bridge.config import Settings
from bridge.errors import OperatingTrouble
from bridge.ids import new_id
from bridge.link import LegOpened
from bridge.net.addresses import told_host
from bridge.net.sip_udp import SipUdp
from bridge.sip.api import Address, SipConfig, SipNotice


def sip_config(settings: Settings, bound: Address) -> SipConfig:
    """Return what the SIP core is told once the address is bound."""
    host, port = settings.sip.advertised
    return SipConfig(
        contact=Address(told_host(bound.host, host), port or bound.port),
        calls_max=settings.sip.calls_max,
        users=tuple(user.sip_user() for user in settings.user),
        realm=settings.sip.realm,
        digests=tuple(settings.sip.digest),
        require_auth=settings.sip.require_auth,
        trusted=lambda host: settings.trunk_of(host) is not None,
    )


async def open_sip(settings: Settings, on_event: Callable[[SipNotice], None]) -> SipUdp:
    """Listen for SIP.

    Raises:
        OperatingTrouble: the port is taken or the address is not this machine's.
    """
    listen = settings.sip.listen
    try:
        return await SipUdp.open(
            settings.sip.address,
            lambda bound: sip_config(settings, bound),
            on_event,
            ids=new_id,
            tcp=settings.sip.tcp,
        )
    except OSError as fault:
        raise OperatingTrouble(f"sip.listen {listen}: {fault.strerror or fault}") from fault


def told_media(settings: Settings, opened: LegOpened) -> LegOpened:
    """Return a leg's port with the address that a caller is told for it."""
    return replace(opened, host=told_host(opened.host, settings.rtp.advertise))
