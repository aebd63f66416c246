"""Offer and answer (RFC 3264): which stream, which codec, which direction; knows no message.

One audio stream is taken; every other m= line is answered with port 0 and stays in its place in
later offers, since lines never go away (RFC 3264 §8).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bridge.errors import SipRemoteError
from bridge.frozen import frozen
from bridge.sip import limits
from bridge.sip.api import Address, Codec, Direction, LocalMedia, RemoteMedia
from bridge.sip.headers import is_unspecified, literal_ip
from bridge.sip.sdp import BadSdp, Format, Line, Media, Sdp, write_sdp

PROTOCOL: Final = "RTP/AVP"
DTMF: Final = "TELEPHONE-EVENT"
DTMF_KEYS: Final = "0-15"
G711: Final = ("PCMU", "PCMA")
DYNAMIC_MIN: Final = 96
"""Payload types from here on mean what a call's rtpmap lines say (RFC 3551 §3)."""

_SENDS: Final = (Direction.SENDRECV, Direction.SENDONLY)
_HEARS: Final = (Direction.SENDRECV, Direction.RECVONLY)
_DIRECTION: Final = {
    (True, True): Direction.SENDRECV,
    (True, False): Direction.SENDONLY,
    (False, True): Direction.RECVONLY,
    (False, False): Direction.INACTIVE,
}


class NoCommonCodec(SipRemoteError):
    """No stream of an offer or answer can be used."""

    code = "no_common_codec"

    def __init__(self, reason: str = "Incompatible media format") -> None:
        super().__init__(488, reason)


class NoCommonAddress(SipRemoteError):
    """The streams that could be used are where our RTP cannot go: over IPv6, or over IPv4."""

    code = "no_common_address"

    def __init__(self) -> None:
        super().__init__(488, "Incompatible network address format")


@frozen
class Chosen:
    """What was taken from a description of the other side.

    Attributes:
        index: of the audio m= line in the description.
        remote: what this comes to for the media plane.
        direction: of the other side, as it wrote it.
        refused: it set the port to 0: the stream is off.
    """

    index: int
    remote: RemoteMedia
    direction: Direction
    refused: bool = False


Layout = tuple[tuple[str, str, tuple[str, ...]], ...]
"""Kind, protocol and formats of each m= line agreed so far, to be kept in later offers."""


def layout_of(sdp: Sdp) -> Layout:
    """Return the m= lines that later offers must keep in place."""
    return tuple((media.kind, media.protocol, media.raw_formats) for media in sdp.media)


def choose(sdp: Sdp, codecs: tuple[Codec, ...], *, six: bool | None = None) -> Chosen:
    """Take the first usable audio stream of an offer and, in its order, its first known codec.

    `six`, here and below: see `SipConfig.rtp_six`.
    """
    for index, media in enumerate(sdp.media):
        chosen = _usable(index, media, codecs, six)
        if chosen is not None:
            return chosen
    raise _why_none(sdp.media, codecs)


def _why_none(streams: tuple[Media, ...], codecs: tuple[Codec, ...]) -> SipRemoteError:
    """Return what is wrong with streams none of which is usable."""
    elsewhere = any(_usable(0, media, codecs, None) for media in streams)
    return NoCommonAddress() if elsewhere else NoCommonCodec()


def choose_again(
    sdp: Sdp,
    codecs: tuple[Codec, ...],
    *,
    index: int,
    before: RemoteMedia,
    six: bool | None = None,
) -> Chosen:
    """Take the stream of a later offer, which is at the same place; it may be switched off."""
    if index >= len(sdp.media):
        raise BadSdp("m= line was removed")
    if sdp.media[index].port:
        chosen = _usable(index, sdp.media[index], codecs, six)
        if chosen is None:
            raise _why_none((sdp.media[index],), codecs)
        return _as_before(chosen, before)
    for other, media in enumerate(sdp.media):
        chosen = _usable(other, media, codecs, six)
        if chosen is not None:
            return chosen
    return Chosen(index, _switched_off(before), Direction.INACTIVE, refused=True)


def _as_before(chosen: Chosen, before: RemoteMedia) -> Chosen:
    """Let the other side go on to send as it did: a number keeps its meaning (RFC 3264 §8.3.2)."""
    now = chosen.remote
    if (now.codec, now.dtmf_payload_type) != (before.codec, before.dtmf_payload_type):
        return chosen
    return replace(chosen, remote=replace(now, also=before.also))


def read_answer(
    sdp: Sdp,
    codecs: tuple[Codec, ...],
    *,
    index: int,
    before: RemoteMedia | None,
    ours: tuple[Format, ...],
    six: bool | None = None,
) -> Chosen:
    """Take what the other side answered to our offer, whose audio is the m= line `index`.

    `ours`: the formats of that line in the offer.
    """
    if index >= len(sdp.media):
        raise NoCommonCodec("no answer to our media")
    media = sdp.media[index]
    if media.port == 0 and before is not None:
        return Chosen(index, _switched_off(before), Direction.INACTIVE, refused=True)
    chosen = _usable(index, media, codecs, six)
    if chosen is None:
        raise _why_none((media,), codecs)
    also = _also(chosen.remote, ours, media.formats)
    return replace(chosen, remote=replace(chosen.remote, also=also))


def _also(
    remote: RemoteMedia, ours: tuple[Format, ...], theirs: tuple[Format, ...]
) -> tuple[tuple[int, str], ...]:
    """Return the payload types that may come beside those of an answer to our offer.

    The numbers of an answer are what we send with; its writer sends with those of our offer
    (RFC 3264 §5.1, §6.1), or with its own, as many do. It may send any format that both list, and
    change without a word: we follow that between the two laws of G.711.
    """
    codec = remote.codec
    own = (codec.name.upper(), codec.clock_rate_hz, codec.channels)
    laws = G711 if own[0] in G711 else ()
    both = {item[1:] for item in ours} & {item[1:] for item in theirs}
    may_come = {
        item.payload_type: item.name
        for item in (*theirs, *ours)  # ours last: they tell what comes
        if item[1:] in both and (item[1:] == own or item.name in (DTMF, *laws))
    }
    known = {(codec.payload_type, own[0]), (remote.dtmf_payload_type, DTMF)}
    return tuple(pair for pair in may_come.items() if pair not in known)


def _usable(index: int, media: Media, codecs: tuple[Codec, ...], six: bool | None) -> Chosen | None:
    if media.kind != "audio" or media.port == 0 or media.protocol.upper() != PROTOCOL:
        return None
    codec = _first_known(media, codecs)
    if codec is None:
        return None
    literal = literal_ip(media.host)
    nowhere = literal is not None and is_unspecified(literal)
    if literal is not None and not nowhere and six not in (None, ":" in literal):
        return None
    event = _event(media, codec)
    remote = RemoteMedia(
        # A name cannot be looked up here: RTP then shows where the other side is.
        address=None if literal is None or nowhere else Address(literal, media.port),
        codec=codec,
        dtmf_payload_type=event.payload_type if event else None,
        ptime_ms=media.ptime_ms or limits.PTIME_MS,
        remote_sends=media.direction in _SENDS,
        remote_hears=media.direction in _HEARS and not nowhere,
        dtmf_clock_hz=event.clock_rate_hz if event else codec.clock_rate_hz,
    )
    return Chosen(index, remote, media.direction)


def _first_known(media: Media, codecs: tuple[Codec, ...]) -> Codec | None:
    for item in media.formats:
        for codec in codecs:
            if (item.name, item.clock_rate_hz, item.channels) == (
                codec.name.upper(),
                codec.clock_rate_hz,
                codec.channels,
            ):
                same = item.payload_type == codec.payload_type
                return codec if same else replace(codec, payload_type=item.payload_type)
    return None


def _event(media: Media, codec: Codec) -> Format | None:
    """Return the telephone-event to use: on the codec's clock, as RFC 4733 §2.1 wants it.

    Some phones have it at 8 kHz only, also beside Opus: their keys are better than none.
    """
    there = [item for item in media.formats if item.name == DTMF]
    right = [item for item in there if item.clock_rate_hz == codec.clock_rate_hz]
    return next(iter(right or there), None)


def _switched_off(before: RemoteMedia) -> RemoteMedia:
    return replace(before, address=None, remote_sends=False, remote_hears=False)


# --- what we write ------------------------------------------------------------------------


def answer_text(sdp: Sdp, chosen: Chosen, local: LocalMedia) -> str:
    """Return our answer, all but its o= line."""
    lines = []
    for index, media in enumerate(sdp.media):
        if index != chosen.index or chosen.refused:
            lines.append(Line(media.kind, 0, media.protocol, media.raw_formats))
            continue
        direction = _DIRECTION[
            local.direction in _SENDS and chosen.remote.remote_hears,
            local.direction in _HEARS and chosen.remote.remote_sends,
        ]
        codec, dtmf = chosen.remote.codec, chosen.remote.dtmf_payload_type
        events = {} if dtmf is None else {chosen.remote.dtmf_clock_hz: dtmf}
        lines.append(_audio(local, (codec,), events, direction))
    return write_sdp(local.host, sdp.times, tuple(lines))


def offer_text(
    codecs: tuple[Codec, ...],
    dtmf_payload_type: int,
    local: LocalMedia,
    *,
    layout: Layout = (),
    index: int = 0,
    agreed: RemoteMedia | None = None,
) -> str:
    """Return our offer, all but its o= line; earlier m= lines keep their places, refused.

    A payload type that `agreed` has given a meaning keeps it (RFC 3264 §8.3.2).
    """
    lines = [Line(kind, 0, protocol, formats) for kind, protocol, formats in layout]
    if agreed is not None:
        codecs = _again(codecs, agreed.codec)
    events = _events(codecs, dtmf_payload_type, layout, agreed)
    lines[index : index + 1] = [_audio(local, codecs, events, local.direction)]
    return write_sdp(local.host, ("t=0 0",), tuple(lines))


def _again(codecs: tuple[Codec, ...], agreed: Codec) -> tuple[Codec, ...]:
    """Return what to offer within a call: what was agreed as it was, and what is never dynamic."""
    kept = [agreed if codec.name == agreed.name else codec for codec in codecs]
    return tuple(c for c in kept if c is agreed or c.payload_type < DYNAMIC_MIN)


def _events(
    codecs: tuple[Codec, ...], first: int, layout: Layout, agreed: RemoteMedia | None
) -> dict[int, int]:
    """Return a telephone-event type for each clock rate of the codecs (RFC 4733 §2.1)."""
    taken = {codec.payload_type for codec in codecs}
    taken |= {int(name) for _, _, names in layout for name in names if name.isdecimal()}
    events = {}
    if agreed is not None and agreed.dtmf_payload_type is not None:
        events[agreed.dtmf_clock_hz] = agreed.dtmf_payload_type
        taken.add(agreed.dtmf_payload_type)
    free = (number for number in (*range(first, 128), *range(DYNAMIC_MIN, first)))
    for rate in sorted({codec.clock_rate_hz for codec in codecs}):
        if rate not in events:
            events[rate] = next((number for number in free if number not in taken), first)
    return events


def _audio(
    local: LocalMedia, codecs: tuple[Codec, ...], events: Mapping[int, int], direction: Direction
) -> Line:
    """Return our audio line; `events` are telephone-event types by clock rate."""
    formats = [str(codec.payload_type) for codec in codecs]
    attributes = [f"rtpmap:{codec.payload_type} {_encoding(codec)}" for codec in codecs]
    attributes += [f"fmtp:{c.payload_type} {c.parameters}" for c in codecs if c.parameters]
    for rate, number in events.items():
        formats.append(str(number))
        attributes += [f"rtpmap:{number} telephone-event/{rate}", f"fmtp:{number} {DTMF_KEYS}"]
    # Who packs more into one packet (Opus: up to 120 ms, RFC 7587 §6.1) would not be heard.
    attributes += [f"ptime:{local.ptime_ms}", f"maxptime:{limits.PTIME_MS_MAX}", direction.value]
    return Line("audio", local.port, PROTOCOL, tuple(formats), tuple(attributes))


def _encoding(codec: Codec) -> str:
    # RFC 7587 writes the one name in lower case that the others' RFCs write in upper case.
    name = codec.name.lower() if codec.name == "OPUS" else codec.name
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    return f"{name}/{codec.clock_rate_hz}{channels}"
