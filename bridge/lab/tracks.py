"""What each caller sent and received, as samples on real time, made from captured packets.

Laid by RTP timestamp from where the stream began, so that jitter of the lab's own reading does
not show; a stream that jumps is laid anew where it came.
"""

import wave
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.capture import Packet
from bridge.lab.recording import CODEC_OF
from bridge.lab.voice import decode
from bridge.units import NS_PER_S, SAMPLE_RATE_HZ

HEADER_BYTES: Final = 12
JUMP_SAMPLES: Final = SAMPLE_RATE_HZ // 2
LENGTH_S_MAX: Final = 1_800

Pcm = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Track:
    """One caller's sound in one direction.

    Attributes:
        pcm: (n,) int16 at 8 kHz; zero where nothing came.
        starts_s: where its first sample is, in seconds since the story began.
        packets: how many packets it is made of.
    """

    pcm: Pcm
    starts_s: float
    packets: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.pcm) / SAMPLE_RATE_HZ


def tracks_of(
    packets: Iterable[Packet], whose: Mapping[int, str], *, began_ns: int
) -> dict[tuple[str, bool], Track]:
    """Return the track of each caller and direction; `whose` says whose an RTP port is.

    Packets of codecs that the lab does not decode, and events, are not in it.
    """
    laid: dict[tuple[str, bool], list[tuple[int, Pcm]]] = {}
    streams: dict[tuple[str, bool, int], tuple[int, int]] = {}
    for packet in packets:
        name = whose.get(packet.local[1])
        kind = packet.payload[1] & 0x7F if len(packet.payload) > HEADER_BYTES else -1
        if name is None or kind not in CODEC_OF or packet.payload[0] >> 6 != 2:
            continue
        ts = int.from_bytes(packet.payload[4:8])
        stream = (name, packet.sent, int.from_bytes(packet.payload[8:12]))
        came = (packet.at_ns - began_ns) * SAMPLE_RATE_HZ // NS_PER_S
        first_ts, first_at = streams.setdefault(stream, (ts, came))
        at = first_at + (ts - first_ts + (1 << 31)) % (1 << 32) - (1 << 31)
        if abs(at - came) > JUMP_SAMPLES:
            streams[stream] = (ts, came)
            at = came
        skip = HEADER_BYTES + 4 * (packet.payload[0] & 15)
        codes = np.frombuffer(packet.payload, np.uint8, offset=min(skip, len(packet.payload)))
        laid.setdefault((name, packet.sent), []).append((at, decode(codes, CODEC_OF[kind])))
    return {key: _track(pieces) for key, pieces in laid.items()}


def _track(pieces: list[tuple[int, Pcm]]) -> Track:
    first = min(at for at, _ in pieces)
    length = max(at + len(pcm) for at, pcm in pieces) - first
    whole = np.zeros(min(length, LENGTH_S_MAX * SAMPLE_RATE_HZ), np.int16)
    for at, pcm in pieces:
        place = whole[at - first : at - first + len(pcm)]
        place[:] = pcm[: len(place)]
    return Track(whole, first / SAMPLE_RATE_HZ, len(pieces))


def write_wav(file: Path, track: Track) -> None:
    """Write a track as a WAV file: mono, 16 bit, 8 kHz."""
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes(track.pcm.astype("<i2").tobytes())
