"""Packets as a pcapng file that Wireshark opens: IP and UDP headers made up around what was seen.

The lab sees payloads at its own sockets, so no privilege is needed and nothing else is in the
file. Sections, interfaces and packets as draft-ietf-opsawg-pcapng lays them out.
"""

import ipaddress
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
ORDER: Final = 0x1A2B3C4D
RAW_IP: Final = 101
"""Link type: packets begin with their IP header."""

COMMENT, NANOSECONDS, APPLICATION = 1, 9, 4
RESOLUTION_OPTION: Final = 9
LENGTH_UNKNOWN: Final = 0xFFFF_FFFF_FFFF_FFFF
PAYLOAD_BYTES_MAX: Final = 65_535 - 8 - 40
UDP: Final = 17
HOPS: Final = 64

Address = tuple[str, int]


class Datagram(NamedTuple):
    """One UDP datagram: when, in nanoseconds since 1970, between whom, and its payload."""

    at_ns: int
    source: Address
    target: Address
    payload: bytes


def write_pcapng(file: Path, datagrams: Iterable[Datagram], *, comment: str = "") -> None:
    """Write datagrams in the order given; `comment` is what the file says of itself."""
    with file.open("wb") as out:
        options = _option(COMMENT, comment.encode()) if comment else b""
        options += _option(APPLICATION, b"tollbridge scenario") + _option(0, b"")
        out.write(_block(SECTION, struct.pack("<IHHQ", ORDER, 1, 0, LENGTH_UNKNOWN) + options))
        fine = _option(RESOLUTION_OPTION, bytes([NANOSECONDS])) + _option(0, b"")
        out.write(_block(INTERFACE, struct.pack("<HHI", RAW_IP, 0, 0) + fine))
        for one in datagrams:
            packet = ip_packet(one)
            high, low = divmod(one.at_ns, 1 << 32)
            head = struct.pack("<IIIII", 0, high, low, len(packet), len(packet))
            out.write(_block(PACKET, head + _padded(packet)))


def ip_packet(datagram: Datagram) -> bytes:
    """Return a datagram with its IP and UDP headers, checksums as they must be (RFC 768, 1071)."""
    payload = datagram.payload[:PAYLOAD_BYTES_MAX]
    source, target = (ipaddress.ip_address(one[0]) for one in (datagram.source, datagram.target))
    length = 8 + len(payload)
    ports = struct.pack("!HHH", datagram.source[1], datagram.target[1], length)
    pseudo = source.packed + target.packed + struct.pack("!II", length, UDP)
    check = checksum(pseudo + ports + b"\0\0" + payload) or 0xFFFF
    udp = ports + struct.pack("!H", check) + payload
    if source.version == 6:
        return (
            struct.pack("!IHBB", 6 << 28, length, UDP, HOPS) + source.packed + target.packed + udp
        )
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0, HOPS, UDP)
    sums = checksum(head + b"\0\0" + source.packed + target.packed)
    return head + struct.pack("!H", sums) + source.packed + target.packed + udp


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071).

    >>> hex(checksum(bytes.fromhex("0001f203f4f5f6f7")))
    '0x220d'
    """
    # A sum with its carries added is a rest of 0xFFFF: one division instead of a loop of words.
    number = int.from_bytes(data + b"\0" * (len(data) % 2))
    return ~(number % 0xFFFF or (0xFFFF if number else 0)) & 0xFFFF


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
