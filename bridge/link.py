"""The small typed messages between the control process and a media worker.

Plain frozen values and their encoding; no socket. Control names a leg by a number that it never
uses again (`leg_no`), a conference's mixing group by another (`group`). The worker knows no
caller, code or session. Every message is one JSON array on a SOCK_SEQPACKET socket pair: the
class name, then the fields in order.
"""

from dataclasses import field
from typing import Any, Final, get_args

import orjson

from bridge.frozen import frozen
from bridge.link_rows import OPTIONS, FigureRows, Rows, reader

MESSAGE_BYTES_MAX: Final = 400_000

TICK_BUCKETS_MS: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 40.0, 100.0)
"""Upper bounds of the tick time histogram; one more bucket takes what is longer."""

DEFAULT_LANGUAGE: Final = "en"
"""The language whose clips are named without a prefix."""


def clip_name(language: str, name: str) -> str:
    """Return the worker's name of a prompt in a language.

    >>> clip_name("en", "greeting"), clip_name("fr", "greeting")
    ('greeting', 'fr/greeting')
    """
    return name if language == DEFAULT_LANGUAGE else f"{language}/{name}"


# --- control to worker --------------------------------------------------------------------


@frozen
class OpenLeg:
    """Take a slot and an RTP port. Answered by `LegOpened` or `LegRefused`.

    `remote_host` and `remote_port`, when the offer named them, let the leg share a port with
    legs whose remote addresses differ; "" and 0 when not known yet. `remote`: agreed so far.
    """

    leg_no: int
    remote_host: str = ""
    remote_port: int = 0
    remote: "SetRemote | None" = None


@frozen
class SetRemote:
    """Say what was agreed with the other side; sent once the call is confirmed and on changes.

    Attributes:
        codec: "PCMU", "PCMA", "G722", "L16" or "OPUS".
        payload_type: of the codec, in [0, 127].
        dtmf_payload_type: telephone-event, -1 when not agreed.
        ptime_ms: what the other side wants to receive.
        host, port: where it says it receives; "" and 0 when it does not.
        proven: RTP may go to host:port before RTP has come from there.
        remote_sends: false when it will not send.
        remote_hears: false: send no RTP. When either is false the leg is on hold, and silence is
            no reason to declare it dead (D12).
        relatch: the address changed by re-INVITE: forget the latched source.
        also: further payload types that it may send, each with the codec's name or
            "TELEPHONE-EVENT"; where one is a type above too, it means this.
    """

    leg_no: int
    codec: str
    payload_type: int
    dtmf_payload_type: int
    ptime_ms: int
    host: str
    port: int
    proven: bool
    remote_sends: bool = True
    remote_hears: bool = True
    relatch: bool = False
    also: tuple[tuple[int, str], ...] = ()


@frozen
class CloseLeg:
    """Free the slot and the port. Unknown numbers are a named no-op."""

    leg_no: int


@frozen
class Play:
    """Play clips one after the other to one leg, instead of what plays now.

    While a clip plays the leg hears it alone, not the conference (D3). A clip is a prompt's name
    ("greeting"). With `loop` the list starts again (hold music). When it ends by itself the
    worker sends `PlayDone` with `token`; replaced or stopped plays send nothing.
    """

    leg_no: int
    clips: tuple[str, ...]
    token: int
    loop: bool = False


@frozen
class StopPlay:
    """Stop what plays to the leg."""

    leg_no: int


@frozen
class SetGroup:
    """Put the leg into a mixing group; -1 takes it out: it then hears and is heard by nobody.

    `track` names the leg's own file where recordings have one for each leg; "" for none.
    """

    leg_no: int
    group: int
    track: str = ""


@frozen
class LinkGroup:
    """Exchange a group's sums with these workers from now on; with none when empty.

    Each worker gives the others the sum of its own legs and adds theirs to it, so that everybody
    hears the whole conference but himself. The others' voices come one frame later.
    """

    group: int
    peers: tuple[int, ...]


@frozen
class SetMuted:
    """A muted leg hears its group and is not heard by it."""

    leg_no: int
    muted: bool


@frozen
class SetGain:
    """How loud its group hears the leg, in dB; 0 is as it came."""

    leg_no: int
    gain_db: int


@frozen
class LoadClip:
    """Make a mono 8 kHz WAV file playable under a name; answered by `ClipLoaded`."""

    name: str
    path: str


@frozen
class PlayToGroup:
    """Mix clips into what everybody in a group hears, behind what is said there already."""

    group: int
    clips: tuple[str, ...]


@frozen
class Take:
    """Make what the leg says next, for `frames` at most, a clip; answered by `TakeDone`."""

    leg_no: int
    clip: str
    frames: int


@frozen
class StopTake:
    """End the leg's take now, if one runs."""

    leg_no: int


@frozen
class StartRecording:
    """Write a group's whole mix to a WAV file, wall-clock continuous, until stopped.

    With `tracks` each leg with a track's name has one beside it: "mix.wav", "mix.<track>.wav".
    Without `mix` there are only those: the mix is another worker's, and `frame` frames of it have
    passed already.
    """

    group: int
    path: str
    tracks: bool = False
    mix: bool = True
    frame: int = 0


@frozen
class StopRecording:
    """Close the recording of a group; answered by `RecordingDone`."""

    group: int


@frozen
class Listen:
    """Send a group's mix as it is made (`MixHeard`), or no more; may be said again."""

    group: int
    on: bool


@frozen
class StartCapture:
    """Keep every RTP packet of the worker's ports from now on, as far as there is room."""


@frozen
class StopCapture:
    """Write what was kept to `path`, or forget it when that is "". Answered by `CaptureDone`."""

    path: str


@frozen
class Reset:
    """Close every leg and group and recording, as if just started; answered by `ResetDone`.

    `settings` replaces the worker's tunable settings for what follows (scenario overrides).
    """

    settings: "WorkerSettings"


@frozen
class WorkerSettings:
    """What the worker is told at start and by `Reset`.

    Attributes:
        host: local address RTP sockets bind to and that SDP names.
        port_first, port_last: inclusive range; even ports carry RTP, odd ones RTCP.
        silence_ns: no RTP for this long and not on hold: `LegSilent` (D12).
        status_interval_ns: how often `Status` is sent.
        hear_keys: a key that a leg presses is heard by its group, instead of absorbed.
        index: the worker's number among those of its bridge.
        link_dir: directory of the sockets between them, only its owner's; "" when it is alone.
        automatic_gain, noise_gate: bring each leg to one level; take its noise down.
    """

    host: str = "127.0.0.1"
    port_first: int = 40_000
    port_last: int = 44_999
    silence_ns: int = 30_000_000_000
    status_interval_ns: int = 1_000_000_000
    hear_keys: bool = False
    index: int = 0
    link_dir: str = ""
    automatic_gain: bool = False
    noise_gate: bool = False


# --- worker to control --------------------------------------------------------------------


@frozen
class LegOpened:
    """The leg has a slot and receives on this port."""

    leg_no: int
    host: str
    port: int


@frozen
class LegRefused:
    """No slot or no port is left; `reason` is `no_slot` or `no_port`."""

    leg_no: int
    reason: str


@frozen
class KeyPressed:
    """One key, reported once: RFC 4733, at its first end packet (or when a lost end times out).

    Of a leg without telephone-events, tones in its audio, when they are over.
    """

    leg_no: int
    key: str
    duration_ms: int


@frozen
class PlayDone:
    """A play came to its end by itself."""

    leg_no: int
    token: int


@frozen
class LegSilent:
    """No RTP for the configured time (D12). `last_packet_ns`: when the last one came, or opened."""

    leg_no: int
    last_packet_ns: int


@frozen
class RecordingDone:
    """The files are closed and complete. `error` is empty when all was well; `mix` as ordered."""

    group: int
    path: str
    frames: int
    error: str = ""
    mix: bool = True


@frozen
class MixHeard:
    """What a group that is listened to said in 100 ms: 16-bit little-endian, as base64."""

    group: int
    samples: str


@frozen
class ClipLoaded:
    """The clip can be played; `error` says why not, "" when it can."""

    name: str
    error: str = ""


@frozen
class TalkChanged:
    """Legs that began to talk and legs that stopped, in their groups; sent when there are any.

    A leg that leaves its group, or is muted, stops by itself within half a second.
    """

    talking: tuple[int, ...]
    quiet: tuple[int, ...]


@frozen
class TakeDone:
    """A take is over. The clip can be played; `frames` is 0 when nothing was said, and no clip."""

    leg_no: int
    clip: str
    frames: int


@frozen
class Levels:
    """How loud the legs are that talk: number, dB of full scale. Without any it is sent once."""

    dbfs: Rows


@frozen
class CaptureDone:
    """So many packets are in the file and so many had no room; `error`: why there is no file."""

    packets: int
    left_out: int
    error: str = ""


@frozen
class ResetDone:
    """Everything is closed and the new settings are in force."""


@frozen
class Status:
    """Sent each interval.

    Attributes:
        now_ns: the worker's monotonic clock (same machine, same clock as control).
        last_packet_ns: leg number, and when its last RTP came.
        counters: packets by drop reason and other totals since start, e.g. "rx", "tx",
            "unknown_source", "short", "bad_version", "payload_type", "late", "lost".
        tick_ms: {"p50", "p99", "max"} of this interval; `ticks`, `late_ticks` since start.
        tick_counts: ticks since start that took at most each of `TICK_BUCKETS_MS`, and longer;
            `tick_sum_ms` is how long all of them took.
        quality: of the legs that an RTCP report was made of since the last `Status` (each leg
            once in five seconds): leg number, packets lost, fraction lost lately, jitter in ms,
            round trip in ms or -1, fraction the other side lost lately, packets that came too late
            to be played (RFC 3550).
    """

    now_ns: int
    last_packet_ns: Rows = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    tick_ms: dict[str, float] = field(default_factory=dict)
    ticks: int = 0
    late_ticks: int = 0
    quality: FigureRows = field(default_factory=list)
    tick_counts: list[int] = field(default_factory=list)
    tick_sum_ms: float = 0.0


ToWorker = (
    OpenLeg
    | SetRemote
    | CloseLeg
    | Play
    | StopPlay
    | SetGroup
    | LinkGroup
    | SetMuted
    | SetGain
    | LoadClip
    | PlayToGroup
    | Take
    | StopTake
    | StartRecording
    | StopRecording
    | Listen
    | StartCapture
    | StopCapture
    | Reset
)
FromWorker = (
    LegOpened
    | LegRefused
    | KeyPressed
    | PlayDone
    | LegSilent
    | RecordingDone
    | MixHeard
    | TalkChanged
    | TakeDone
    | Levels
    | ClipLoaded
    | CaptureDone
    | ResetDone
    | Status
)

_CLASSES: Final[dict[str, type[Any]]] = {
    cls.__name__: cls for cls in (*get_args(ToWorker), *get_args(FromWorker))
}


_FIELDS: Final = {cls: (name, reader(cls)) for name, cls in _CLASSES.items()}
_INNER: Final = {cls: reader(cls) for cls in (SetRemote, WorkerSettings)}  # what messages hold


def encode(message: ToWorker | FromWorker) -> bytes:
    """Return the wire form of one message.

    >>> encode(CloseLeg(7))
    b'["CloseLeg",7]'
    """
    # Field by field: `astuple` copies deeply, 20 ms for the status of 1,000 legs.
    name, values = _FIELDS[type(message)]
    parts = [name, *values(message)]
    return orjson.dumps(parts, _inner, OPTIONS)


def _inner(value: Any) -> tuple[Any, ...]:
    return _INNER[type(value)](value)


def decode(data: bytes) -> ToWorker | FromWorker:
    """Return the message of a wire form; both ends are ours, so a fault here is our bug.

    >>> decode(b'["Play", 3, ["greeting"], 9, false]')
    Play(leg_no=3, clips=('greeting',), token=9, loop=False)
    """
    name, *values = orjson.loads(data)
    cls = _CLASSES[name]
    if cls is Reset:
        return Reset(WorkerSettings(*values[0]))
    if cls is OpenLeg and values[3] is not None:
        values[3] = SetRemote(*_with_pairs(values[3]))
    if cls is SetRemote:
        values = _with_pairs(values)
    if cls in (Play, PlayToGroup, LinkGroup):
        values[1] = tuple(values[1])
    if cls is TalkChanged:
        values = [tuple(legs) for legs in values]
    message: ToWorker | FromWorker = cls(*values)
    return message


def _with_pairs(values: list[Any]) -> list[Any]:
    return [*values[:-1], tuple(map(tuple, values[-1]))]
