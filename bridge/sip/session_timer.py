"""Session timers (RFC 4028): who refreshes, how often, and when a silent call is over."""

from typing import NamedTuple

from bridge.errors import SipRemoteError
from bridge.sip.compose import Pairs
from bridge.sip.limits import EXPIRY_MARGIN_S, MIN_SE_S
from bridge.sip.messages import Message, Request
from bridge.units import NS_PER_S


class IntervalTooSmall(SipRemoteError):
    """A session interval below what we allow."""

    code = "interval_too_small"

    def __init__(self) -> None:
        super().__init__(422, "Session Interval Too Small")


class SessionTimer(NamedTuple):
    """What was agreed.

    Attributes:
        we_refresh: it is on us to send the refreshing re-INVITE.
        remote_knows: the other side supports session timers.
    """

    interval_s: int
    we_refresh: bool
    remote_knows: bool = True

    @property
    def refresh_after_ns(self) -> int:
        """When the refresher refreshes: at half of the interval."""
        return self.interval_s * NS_PER_S // 2

    @property
    def expire_after_ns(self) -> int:
        """When BYE is sent for want of a refresh (RFC 4028 §10)."""
        return (self.interval_s - min(EXPIRY_MARGIN_S, self.interval_s // 3)) * NS_PER_S


def check_interval(request: Request) -> None:
    """Refuse an interval that is too small, if the sender understands the refusal."""
    asked = request.session_expires
    if asked is not None and asked.interval_s < MIN_SE_S and "timer" in request.supported:
        raise IntervalTooSmall


def agree(request: Request, ours_s: int, before: SessionTimer | None = None) -> SessionTimer | None:
    """Return what our 2xx to an INVITE or UPDATE agrees to (RFC 4028 §9), None for no timer.

    Who refreshes stays the same over the life of a call unless the other side says otherwise.
    """
    knows = "timer" in request.supported
    asked = request.session_expires
    if asked is None:
        if not knows or ours_s < MIN_SE_S:
            return None
        interval_s = max(ours_s, request.min_se or 0)
        return SessionTimer(interval_s, we_refresh=before.we_refresh if before else True)
    wanted_s = min(asked.interval_s, ours_s) if ours_s >= MIN_SE_S else asked.interval_s
    # Nobody may make it longer than was asked, nor shorter than Min-SE (RFC 4028 §9).
    interval_s = max(min(max(wanted_s, request.min_se or 0), asked.interval_s), MIN_SE_S)
    if not knows:
        # A proxy asked; only we can refresh then.
        return SessionTimer(interval_s, we_refresh=True, remote_knows=False)
    if asked.refresher:
        return SessionTimer(interval_s, we_refresh=asked.refresher == "uas")
    return SessionTimer(interval_s, we_refresh=before.we_refresh if before else False)


def agreed_headers(timer: SessionTimer | None) -> Pairs:
    """Return what our 2xx says of it; the one answering is the UAS."""
    if timer is None:
        return ()
    refresher = "uas" if timer.we_refresh else "uac"
    expires = ("Session-Expires", f"{timer.interval_s};refresher={refresher}")
    if timer.we_refresh and not timer.remote_knows:
        return (expires,)
    return (expires, ("Require", "timer"))


def asked_headers(interval_s: int, min_se_s: int, before: SessionTimer | None) -> Pairs:
    """Return what our INVITE asks for; in it we are the UAC."""
    if interval_s < MIN_SE_S:
        return ()
    value = str(max(interval_s, min_se_s))
    if before is not None:
        value += f";refresher={'uac' if before.we_refresh else 'uas'}"
    if min_se_s > MIN_SE_S:
        return (("Session-Expires", value), ("Min-SE", str(min_se_s)))
    return (("Session-Expires", value),)


def agreed_by(response: Message) -> SessionTimer | None:
    """Return what a 2xx to our INVITE agreed to; we are the UAC."""
    agreed = response.session_expires
    if agreed is None:
        return None
    return SessionTimer(max(agreed.interval_s, MIN_SE_S), we_refresh=agreed.refresher != "uas")
