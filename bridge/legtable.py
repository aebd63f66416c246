"""What the control process knows of each leg: its SIP side and its media side, joined by names.

No decision is taken here. A leg's number for the worker is never used again, so that a message
in flight for a leg that is gone can hit no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from bridge.link import LegOpened, SetRemote
from bridge.sip.api import CallIncoming, RemoteMedia
from bridge.units import LegId, NowNs, OccurrenceId

NO_PAYLOAD_TYPE = -1


@dataclass(slots=True)
class LegRecord:
    """One leg, from its INVITE until it is over on both sides.

    Attributes:
        remote: what was agreed; None until known (late offer).
        opened: its slot and port; None until the worker has answered.
        last_packet_ns: when its last RTP came, as the worker last reported it.
    """

    leg: LegId
    number: int
    remote: RemoteMedia | None = None
    opened: LegOpened | None = None
    last_packet_ns: NowNs | None = None

    @property
    def held(self) -> bool:
        """True while the other side has put the call on hold: silence proves nothing then."""
        return self.remote is not None and self.remote.held


@dataclass(slots=True)
class LegTable:
    """Legs by id and by number, and the mixing group of each occurrence."""

    _by_id: dict[LegId, LegRecord] = field(default_factory=dict)
    _by_number: dict[int, LegRecord] = field(default_factory=dict)
    _groups: dict[OccurrenceId, int] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _group_numbers: Iterator[int] = field(default_factory=count)

    def __len__(self) -> int:
        """Return how many legs there are."""
        return len(self._by_id)

    def __iter__(self) -> Iterator[LegRecord]:
        """Iterate over a copy, so that legs may leave meanwhile."""
        return iter(list(self._by_id.values()))

    def add(self, incoming: CallIncoming) -> LegRecord:
        """Take a new leg in and number it."""
        return self._number(incoming.leg, incoming.remote)

    def add_outbound(self, leg: LegId) -> LegRecord:
        """Take in a leg that the bridge is to call, and number it."""
        return self._number(leg, None)

    def _number(self, leg: LegId, remote: RemoteMedia | None) -> LegRecord:
        record = LegRecord(leg, next(self._numbers), remote=remote)
        self._by_id[leg] = record
        self._by_number[record.number] = record
        return record

    def get(self, leg: LegId) -> LegRecord | None:
        """Return a leg by its id, None when it is over."""
        return self._by_id.get(leg)

    def by_number(self, number: int) -> LegRecord | None:
        """Return a leg by the worker's number for it, None when it is over."""
        return self._by_number.get(number)

    def remove(self, leg: LegId) -> LegRecord | None:
        """Forget a leg; None when it was gone already."""
        record = self._by_id.pop(leg, None)
        if record:
            del self._by_number[record.number]
        return record

    def group_of(self, occurrence: OccurrenceId) -> int:
        """Return the mixing group of an occurrence; the same number for as long as it lives."""
        group = self._groups.get(occurrence)
        if group is None:
            group = self._groups[occurrence] = next(self._group_numbers)
        return group

    def forget_group(self, occurrence: OccurrenceId) -> None:
        """Forget the group of an occurrence that is over; its number is never used again."""
        self._groups.pop(occurrence, None)


def set_remote(record: LegRecord, remote: RemoteMedia, *, proven: bool) -> SetRemote:
    """Return the worker's order for what was agreed now, and remember it."""
    before = record.remote.address if record.remote else None
    record.remote = remote
    host, port = remote.address or ("", 0)
    return SetRemote(
        leg_no=record.number,
        codec=remote.codec.name,
        payload_type=remote.codec.payload_type,
        dtmf_payload_type=(
            NO_PAYLOAD_TYPE if remote.dtmf_payload_type is None else remote.dtmf_payload_type
        ),
        ptime_ms=remote.ptime_ms,
        host=host,
        port=port,
        proven=proven,
        remote_sends=remote.remote_sends,
        remote_hears=remote.remote_hears,
        relatch=before is not None and remote.address is not None and before != remote.address,
        also=remote.also,
    )
