"""What goes into the plane between ticks and what comes out of one; values, nothing else."""

from dataclasses import dataclass, field

from bridge.frozen import frozen
from bridge.media.dtmf import Key
from bridge.media.ears import Heard
from bridge.media.linked import Sums
from bridge.media.recording import Piece
from bridge.media.takes import Taken


@frozen
class Remote:
    """What was agreed with the other side, as in `bridge.link.SetRemote`.

    `expected` is the source of its SDP, 0 when it named none. `also`: further payload types that
    it may send, with the codec's name or "TELEPHONE-EVENT"; they come before the others.
    """

    codec: str
    payload_type: int
    dtmf_payload_type: int
    expected: int
    proven: bool
    sends: bool = True
    hears: bool = True
    relatch: bool = False
    ptime_ms: int = 20
    also: tuple[tuple[int, str], ...] = ()


@dataclass(slots=True)
class TickResult:
    """What happened in a tick that control must know.

    Attributes:
        keys: keys that were pressed.
        played: (slot, token) of plays that ended by themselves.
        silent: (slot, monotonic time of the last packet) of legs gone silent (D12).
        pieces: recorded audio to be written.
        heard: mixes that are listened to.
        takes: what legs said when they were asked.
        talk: slots that began to talk, or stopped; which of the two is in `Plane.voice`.
        given: what each peer is to get of the groups that are shared with it.
        rearranged: the rows to send, or where they go, have changed.
    """

    keys: list[Key] = field(default_factory=list)
    played: list[tuple[int, int]] = field(default_factory=list)
    silent: list[tuple[int, int]] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    takes: list[Taken] = field(default_factory=list)
    talk: list[int] = field(default_factory=list)
    given: list[tuple[int, Sums]] = field(default_factory=list)
    rearranged: bool = False
