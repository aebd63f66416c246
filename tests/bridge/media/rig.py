"""A plane without sockets: packets go in as bytes, ticks are called, packets come out."""

import struct

import numpy as np
from numpy.typing import NDArray

from bridge.media import rtp
from bridge.media.codecs import NUMBERS
from bridge.media.g711 import ENCODE, ITU_DECODE
from bridge.media.plays import Clips
from bridge.media.shape import FRAME, HEADER_AT, ROW_BYTES, SPILL_BYTES
from bridge.media.sources import source_of
from bridge.media.tick import Plane, Remote, TickResult
from bridge.units import FRAME_NS

EVENT = 101
TYPES = {"PCMU": 0, "PCMA": 8}

Datagram = tuple[bytes, int, int]
"""Bytes, source, local port index."""


def packets_of(datagrams: list[Datagram], *, spills: bool = False) -> rtp.Packets:
    """Lay datagrams out as the sockets would: cut off at the row's end, and flagged."""
    row_bytes = ROW_BYTES + (SPILL_BYTES if spills else 0)
    data = np.zeros((len(datagrams), row_bytes), np.uint8)
    length = np.zeros(len(datagrams), np.uint32)
    flags = np.zeros(len(datagrams), np.int32)
    for row, (body, _, _) in enumerate(datagrams):
        kept = body[: row_bytes - HEADER_AT]
        data[row, HEADER_AT : HEADER_AT + len(kept)] = np.frombuffer(kept, np.uint8)
        length[row] = len(kept)
        flags[row] = rtp.MSG_TRUNC if len(kept) < len(body) else 0
    return rtp.Packets(
        data[:, :ROW_BYTES].copy(),
        length,
        flags,
        np.array([source for _, source, _ in datagrams], np.uint64),
        np.array([port for _, _, port in datagrams], np.int64),
        spill=data[:, ROW_BYTES:].copy() if spills else None,
    )


def tone(hertz: float, frame: int, *, peak: float = 8_000, count: int = FRAME) -> NDArray[np.int16]:
    """Return samples of a tone from frame number `frame` on."""
    t = np.arange(count) + frame * FRAME
    return (peak * np.sin(2 * np.pi * hertz * t / 8_000)).astype(np.int16)


def coded(samples: NDArray[np.int16], codec: str = "PCMU") -> bytes:
    return bytes(ENCODE[NUMBERS[codec]][samples.view(np.uint16)].tobytes())


def decoded(payload: bytes, codec: str = "PCMU") -> NDArray[np.int16]:
    return np.asarray(ITU_DECODE[NUMBERS[codec]][np.frombuffer(payload, np.uint8)])


class Rig:
    """A plane and its callers, one per slot, each at its own address."""

    def __init__(
        self, clips: dict[str, NDArray[np.int16]] | None = None, *, silence_ns: int = 10**9
    ) -> None:
        self.plane = Plane(Clips(clips or {}), silence_ns=silence_ns, legs_max=64)
        self.now_ns = 0
        self.codec: dict[int, str] = {}
        self.sent: dict[int, bytes] = {}

    def source(self, slot: int) -> int:
        return source_of(f"10.0.0.{slot + 1}", 4_000)

    def add(
        self,
        slot: int,
        codec: str = "PCMU",
        *,
        group: int = -1,
        proven: bool = True,
        port: int = 0,
        named: bool = True,
        hears: bool = True,
    ) -> None:
        """Open a leg whose remote side is agreed."""
        expected = self.source(slot) if named else 0
        numbers = (7_000 + slot, 100, 1_000)
        self.plane.open_leg(slot, port=port, expected=expected, numbers=numbers, now_ns=self.now_ns)
        self.remote(slot, codec, proven=proven, named=named, hears=hears)
        self.plane.set_group(slot, group)

    def remote(
        self,
        slot: int,
        codec: str = "PCMU",
        *,
        proven: bool = True,
        named: bool = True,
        sends: bool = True,
        hears: bool = True,
        relatch: bool = False,
        events: bool = True,
        ptime_ms: int = 20,
    ) -> None:
        self.codec[slot] = codec
        remote = Remote(
            codec=codec,
            payload_type=TYPES[codec],
            dtmf_payload_type=EVENT if events else -1,
            expected=self.source(slot) if named else 0,
            proven=proven,
            sends=sends,
            hears=hears,
            relatch=relatch,
            ptime_ms=ptime_ms,
        )
        self.plane.set_remote(slot, remote, self.now_ns)

    def packet(
        self,
        slot: int,
        seq: int,
        payload: bytes,
        *,
        ts: int | None = None,
        kind: int | None = None,
        ssrc: int = 1,
        source: int | None = None,
        port: int = 0,
    ) -> Datagram:
        """Return the datagram of a caller; frame `seq` of it unless `ts` says otherwise."""
        stamp = seq * FRAME if ts is None else ts
        payload_type = TYPES[self.codec[slot]] if kind is None else kind
        head = struct.pack("!BBHII", 0x80, payload_type, seq & 0xFFFF, stamp & 0xFFFF_FFFF, ssrc)
        return head + payload, self.source(slot) if source is None else source, port

    def event(self, slot: int, code: int, *, ts: int, duration: int, end: bool = False) -> Datagram:
        body = struct.pack("!BBH", code, 0x80 * end | 10, duration)
        return self.packet(slot, 0, body, ts=ts, kind=EVENT)

    def tick(
        self, *datagrams: Datagram, skipped: int = 0, waits_ns: list[int] | None = None
    ) -> TickResult:
        """Run the next tick; afterwards `sent` holds each leg's packet.

        `waits_ns`: how long before the tick each came; without, the kernel did not say.
        """
        self.now_ns += FRAME_NS * (1 + skipped)
        packets = packets_of(list(datagrams), spills=self.plane.wide.spills)
        if waits_ns is not None:
            packets.due_ns = self.now_ns
            packets.stamp = rtp.stamps_of(self.now_ns - np.array(waits_ns, np.int64))
        result = self.plane.tick(packets, self.now_ns, skipped=skipped)
        out = self.plane.out
        self.sent = {
            int(slot): out.data[row, HEADER_AT:].tobytes() for row, slot in enumerate(out.slots)
        }
        return result

    def payload(self, slot: int) -> bytes:
        return self.sent[slot][12:]

    def heard(self, slot: int) -> NDArray[np.int16]:
        return decoded(self.payload(slot), self.codec[slot])

    def count(self, name: str) -> int:
        return self.plane.counters.totals.get(name, 0)
