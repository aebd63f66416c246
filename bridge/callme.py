"""The server's side of Call Me: the conference's wish to dial becomes a call, its news events.

A shell: knows where calls go out and who they come from, and decides nothing (D11).
"""

from dataclasses import dataclass
from typing import Final

from bridge.conference.api import DialLeg, LegAnswered, LegRinging
from bridge.legtable import LegRecord, LegTable, set_remote
from bridge.link import SetRemote
from bridge.service_settings import CallMeSettings
from bridge.sip.api import CallAnswered, CallProgress, Dial, LocalMedia

RINGS: Final = frozenset({180, 183})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and by which gateway."""

    settings: CallMeSettings
    domain: str
    legs: LegTable

    def dial(self, command: DialLeg) -> Dial | None:
        """Return the SIP order for a leg that has its media; None when it is over."""
        record = self.legs.get(command.leg)
        gateway = self.settings.address
        if record is None or record.opened is None or gateway is None:
            return None
        host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
        return Dial(
            leg=command.leg,
            target=f"sip:{command.number}@{host}:{gateway.port}",
            caller=self.settings.caller_id,
            domain=f"[{self.domain}]" if ":" in self.domain else self.domain,
            destination=gateway,
            media=LocalMedia(record.opened.host, record.opened.port),
            display_name=self.settings.caller_name or None,
        )


def ringing(notice: CallProgress) -> LegRinging | None:
    """Return the event of a provisional answer; None when the phone does not ring yet."""
    return LegRinging(notice.leg) if notice.status in RINGS else None


def answered(record: LegRecord, notice: CallAnswered) -> tuple[SetRemote, LegAnswered]:
    """Return what a worker and the conference are told of an answer.

    RTP may go where the answer says: it comes from the configured gateway.
    """
    return set_remote(record, notice.remote, proven=True), LegAnswered(notice.leg)
