"""One RTP packet read byte by byte (RFC 3550 §5.1)."""

from typing import NamedTuple


class Read(NamedTuple):
    payload_type: int
    seq: int
    ts: int
    ssrc: bytes
    at: int
    size: int


def read(packet: bytes, *, room: int, payload_max: int) -> Read | str:
    """Return what a packet says, or the name of what is wrong with it."""
    length = len(packet)
    if length > room:
        return "oversize"
    if length < 12:
        return "short"
    if packet[0] >> 6 != 2:
        return "bad_version"
    at = 12 + 4 * (packet[0] & 15)
    if at > length:
        return "short"
    if packet[0] & 0x10:
        if at + 4 > length:
            return "short"
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
        if at > length:
            return "bad_extension"
    padding = packet[-1] if packet[0] & 0x20 else 0
    if packet[0] & 0x20 and (padding == 0 or at + padding > length):
        return "bad_padding"
    size = length - at - padding
    if not 0 < size <= payload_max:
        return "payload_length"
    return Read(
        packet[1] & 0x7F,
        int.from_bytes(packet[2:4], "big"),
        int.from_bytes(packet[4:8], "big"),
        packet[8:12],
        at,
        size,
    )
