"""What a call that came in means to the conference; knows trunks, decides nothing."""

from bridge.conference.api import LegInvited
from bridge.config import Settings
from bridge.sip.api import CallIncoming


def invited(settings: Settings, notice: CallIncoming) -> LegInvited:
    """Return the conference's event for a new call: a caller's number counts as a trunk's word."""
    trunk = settings.trunk_of(notice.source.host)
    return LegInvited(
        leg=notice.leg,
        user=notice.user,
        ani=(notice.asserted if trunk else notice.authenticated) or notice.from_user,
        trunk=trunk,
        display_name=notice.from_display,
        diversion=notice.diversion,
        source=notice.source.host,
    )
