"""One RTCP compound packet read with `struct` (RFC 3550 §6, A.2)."""

import struct
from dataclasses import dataclass, field


@dataclass
class Block:
    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    lsr: int
    dlsr: int


@dataclass
class Compound:
    kinds: list[int] = field(default_factory=list)
    ssrc: int = 0
    ntp: int = 0
    rtp_ts: int = 0
    packets: int = 0
    octets: int = 0
    blocks: list[Block] = field(default_factory=list)
    cname: str = ""


def read(data: bytes, *, subpackets_max: int) -> Compound | None:
    """Return what a compound says, None when it is not sound."""
    at, seen = 0, Compound()
    while at + 4 <= len(data) and len(seen.kinds) < subpackets_max:
        first, kind, words = struct.unpack_from("!BBH", data, at)
        end = at + 4 * words + 4
        if first >> 6 != 2 or not 200 <= kind <= 207:
            return None
        if at == 0 and (kind > 201 or first & 0x20):
            return None
        seen.kinds.append(kind)
        if end <= len(data):
            _read_one(data[at:end], kind, first & 31, seen)
        at = end
    return seen if at == len(data) and len(data) >= 8 else None


def _read_one(packet: bytes, kind: int, count: int, seen: Compound) -> None:
    if kind == 202:
        assert packet[8] == 1
        seen.cname = packet[10 : 10 + packet[9]].decode()
        assert packet[10 + packet[9] :].strip(b"\0") == b""
        assert len(packet) > 10 + packet[9], "a null octet ends the chunk"
        return
    if kind > 201:
        return
    first = 8
    if len(packet) >= 8:
        (seen.ssrc,) = struct.unpack_from("!I", packet, 4)
    if kind == 200 and len(packet) >= 28:
        seen.ntp, seen.rtp_ts, seen.packets, seen.octets = struct.unpack_from("!QIII", packet, 8)
        first = 28
    elif kind == 200:
        return
    for at in range(first, min(first + 24 * count, len(packet) - 23), 24):
        ssrc, loss, highest, jitter, lsr, dlsr = struct.unpack_from("!IIIIII", packet, at)
        lost = (loss & 0xFFFFFF) - (1 << 24) * (loss >> 23 & 1)
        seen.blocks.append(Block(ssrc, loss >> 24, lost, highest, jitter, lsr, dlsr))
