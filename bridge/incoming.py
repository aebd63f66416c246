"""What a call that came in means to the conference; knows trunks, decides nothing."""

from typing import Final

from bridge.conference.api import LegInvited
from bridge.config import Settings
from bridge.sip.api import CallIncoming

CALLER_CHARS_MAX: Final = 128
"""What is kept of a caller's number and name: billing refuses facts with much longer texts."""


def invited(settings: Settings, notice: CallIncoming) -> LegInvited:
    """Return the conference's event for a new call: a caller's number counts as a trunk's word."""
    trunk = settings.trunk_of(notice.source.host)
    ani = (notice.asserted if trunk else notice.authenticated) or notice.from_user
    return LegInvited(
        leg=notice.leg,
        user=notice.user,
        ani=kept_of(ani),
        trunk=trunk,
        display_name=kept_of(notice.from_display),
        diversion=notice.diversion,
        source=notice.source.host,
    )


def kept_of(text: str) -> str:
    r"""Return what is kept of a caller's word: a URI may hold any character, and thousands.

    A null character would be no text to a database, and the fact of the answer is what bills.

    >>> kept_of("+1 201\x00555\r\n0100"), len(kept_of("9" * 2_000))
    ('+1 201555 0100', 128)
    """
    spaced = " ".join(text.split())
    return "".join(char for char in spaced if char.isprintable())[:CALLER_CHARS_MAX]
