"""Addresses of datagrams as the numbers the media plane tells legs apart by; knows no RTP.

A source is 64 bits: what marks an address, port, host; of IPv4 simply the first 8 bytes of its
sockaddr (`bridge.media.sources`). An IPv6 host does not fit, so each one that a leg may have gets
a number of 32 bits, and packets are looked up in a sorted table of those; the table keeps whole
addresses, so no two hosts are ever taken for one another.
"""

from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.sources import source_of
from bridge.net.batch import Batch

HEARD_MAX: Final = 4_096
"""IPv6 hosts that get a number only because a packet came from there."""

HEARD_PER_CALL: Final = 16
HOSTS_KEPT: Final = 4_096

_MARK: Final = source_of("0.0.0.1", 1) & 0xFFFF
_MIX: Final = np.array([0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F], np.uint64)


@lru_cache(maxsize=HOSTS_KEPT)
def _host_bits(host: str) -> int:
    """Return an IPv4 host's part of its sources, 0 for what is none.

    Kept: reading an address takes 8 µs, and each is read three times a call.
    """
    return source_of(host, 1) >> 32 << 32


def _swapped(port: int) -> int:
    return port >> 8 | (port & 0xFF) << 8


class Addresses:
    """Turns the addresses of batches into sources and back, for sockets of one family."""

    def __init__(self, *, six: bool) -> None:
        self._six = six
        self._hosts: NDArray[np.uint8] = np.zeros((1, 16), np.uint8)  # by number; 0 is nobody
        self._numbers: dict[bytes, int] = {bytes(16): 0}
        self._hashes: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._order: NDArray[np.int64] = np.zeros(0, np.int64)
        self._heard = 0
        self._index()

    def source_of(self, host: str, port: int) -> int:
        """Return the source of host:port, 0 when these are not of this family."""
        if not self._six:
            host_bits = _host_bits(host)
            if not host_bits or not 0 < port < 65_536:
                return 0
            return _MARK | _swapped(port) << 16 | host_bits
        try:
            packed = IPv6Address(host).packed
        except AddressValueError:
            return 0
        if not 0 < port < 65_536 or packed == bytes(16):
            return 0
        return _MARK | _swapped(port) << 16 | self._number(packed) << 32

    def sources(self, batch: Batch, first: int, rows: int) -> NDArray[np.uint64]:
        """Return the sources of received rows; 0 for hosts without a number."""
        if not self._six:
            return batch.source[first : first + rows]
        hosts = np.ascontiguousarray(batch.host_6[first : first + rows])
        number = self._find(hosts)
        for row in np.flatnonzero(number == 0)[:HEARD_PER_CALL].tolist():
            if self._heard < HEARD_MAX:
                self._heard += 1
                self._number(hosts[row].tobytes())
        if (number == 0).any():
            number = self._find(hosts)
        port = batch.port[first : first + rows].astype(np.uint16).byteswap().astype(np.uint64)
        found = np.uint64(_MARK) | port << np.uint64(16) | number.astype(np.uint64) << np.uint64(32)
        return np.where(number > 0, found, np.uint64(0))

    def direct(self, batch: Batch, dest: NDArray[np.uint64]) -> None:
        """Write where the first rows of a batch are to be sent."""
        rows = len(dest)
        if not self._six:
            batch.source[:rows] = dest
            return
        batch.host_6[:rows] = self._hosts[(dest >> np.uint64(32)).astype(np.int64)]
        batch.port[:rows] = (dest >> np.uint64(16)).astype(np.uint16).byteswap()

    def _number(self, packed: bytes) -> int:
        known = self._numbers.get(packed)
        if known is not None:
            return known
        number = self._numbers[packed] = len(self._hosts)
        row = np.frombuffer(packed, np.uint8)[None]
        self._hosts = np.concatenate([self._hosts, row])
        self._index()
        return number

    def _index(self) -> None:
        hashes = _hash(self._hosts)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def _find(self, hosts: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the number of each host, (n, 16); 0 when it has none."""
        at = np.searchsorted(self._hashes, _hash(hosts))
        found = self._order[np.minimum(at, len(self._order) - 1)]
        return np.where((self._hosts[found] == hosts).all(axis=1), found, 0)


def _hash(hosts: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return 64 bits of each host; two hosts with the same ones are told apart by `_find`."""
    halves = hosts.view(np.uint64)
    return np.asarray((halves * _MIX).sum(axis=1, dtype=np.uint64))
