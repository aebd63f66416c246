"""Which leg a packet belongs to: by local port and source address; knows no payload.

Legs share a port when their remote addresses tell them apart. A leg's source is latched once:
the address of its SDP is preferred, otherwise the first valid RTP on its port from a source that
no other leg there can claim. It is latched anew only after a re-INVITE. What a leg that is over
had is nobody's for a while: RTP that is still on its way must not be taken for another leg's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

import numpy as np
from numpy.typing import NDArray

from bridge.media.masks import any_of, where

_AF_INET = 2
_ROOM = 16
"""Places of the table for each key."""

DEPARTED_FINDS = 100
"""Look-ups, one or two a tick, in which the source of a leg that is over is nobody's: some 2 s."""

_MULTIPLIER = 0x9E37_79B9_7F4A_7C15  # 2^64 by the golden ratio: spreads what is alike
_MASK = (1 << 64) - 1


def source_of(host: str, port: int) -> int:
    """Return the first 8 bytes of the sockaddr_in of host:port as a little-endian integer.

    0 when there is no such IPv4 address and port: an empty or a named host, port 0.

    >>> hex(source_of("127.0.0.1", 4000))
    '0x100007fa00f0002'
    >>> source_of("", 0)
    0
    """
    try:
        address = IPv4Address(host).packed
    except AddressValueError:
        return 0
    if not 0 < port < 65_536 or address == bytes(4):
        return 0
    return int.from_bytes(
        _AF_INET.to_bytes(2, "little") + port.to_bytes(2, "big") + address, "little"
    )


def address_of(source: int) -> tuple[str, int]:
    """Return host and port of a source.

    >>> address_of(source_of("10.1.2.3", 5004))
    ('10.1.2.3', 5004)
    """
    raw = source.to_bytes(8, "little")
    return str(IPv4Address(raw[4:8])), int.from_bytes(raw[2:4], "big")


@dataclass(slots=True)
class _Remote:
    """The remote side of one open leg. `expected` is the SDP's source, 0 when it named none."""

    port: int
    expected: int
    proven: bool = False
    latched: int = 0


class Table:
    """Slots by key, for look-ups of many at once: one probe of a table, the rest by bisection.

    A key is local port index and source in one number: see `key_of`. What finds its place taken,
    one key in twenty, lies sorted beside the table.

    Attributes:
        keys, slots: (T,) uint64 and int64, the key at each place, and its slot; -1 where none is.
        shift: a key's place is what is left of it, times a number, after so many bits.
        more, more_slots: (m,) uint64 and int64, sorted, the keys that found their place taken.
    """

    def __init__(self, owner: Mapping[int, int]) -> None:
        bits = max(2 * len(owner) * _ROOM, _ROOM).bit_length()
        self.shift = 64 - bits
        self.keys: NDArray[np.uint64] = np.zeros(1 << bits, np.uint64)
        self.slots: NDArray[np.int64] = np.full(1 << bits, -1)
        self._crowded: dict[int, int] = {}
        for key, slot in owner.items():  # when the table doubles, bounded by the legs
            self._put(key, slot)
        self._lay_aside()

    @property
    def room(self) -> int:
        """How many keys it serves well."""
        return len(self.keys) // _ROOM

    def put(self, key: int, slot: int) -> None:
        """Add a key that is not there."""
        self._put(key, slot)
        if key in self._crowded:
            self._lay_aside()

    def drop(self, key: int) -> None:
        """Remove a key that is there."""
        if self._crowded.pop(key, None) is not None:
            self._lay_aside()
        else:
            place = self._place_of(key)
            self.keys[place], self.slots[place] = 0, -1

    def _put(self, key: int, slot: int) -> None:
        place = self._place_of(key)
        if self.slots[place] < 0:
            self.keys[place], self.slots[place] = key, slot
        else:
            self._crowded[key] = slot

    def _lay_aside(self) -> None:
        keys = sorted(self._crowded)
        self.more = np.array(keys, np.uint64)
        self.more_slots = np.array([self._crowded[key] for key in keys], np.int64)

    def _place_of(self, key: int) -> int:
        return (key * _MULTIPLIER & _MASK) >> self.shift

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the slot of each key, -1 where there is none."""
        place = (keys * np.uint64(_MULTIPLIER) >> np.uint64(self.shift)).view(np.int64)
        found = self.slots.take(place, mode="clip")
        other = self.keys.take(place, mode="clip") != keys
        if any_of(other):
            which = where(other)
            found[which] = -1
            if len(self.more):
                at = np.searchsorted(self.more, keys[which])
                np.minimum(at, len(self.more) - 1, out=at)
                found[which] = np.where(self.more[at] == keys[which], self.more_slots[at], -1)
        return found


class Sources:
    """The demultiplexer's table and the rules of latching.

    Attributes:
        waiting: (ports,) bool, ports on which some leg has not been heard yet.
        table: who has which source, replaced when it grows.
    """

    def __init__(self, ports_max: int) -> None:
        self.table = Table({})
        self.waiting: NDArray[np.bool_] = np.zeros(ports_max, np.bool_)
        self._legs: dict[int, _Remote] = {}
        self._owner: dict[int, int] = {}  # key -> slot
        self._unheard: dict[int, set[int]] = {}  # port index -> slots not latched yet
        self._unknown: dict[int, set[int]] = {}  # of those the ones that nothing is proven of
        self._finds = 0
        self._departed: dict[int, int] = {}  # key -> until which look-up, in their order

    # --- joins, leaves, commands ----------------------------------------------------------

    def may_share(self, port: int, expected: int) -> bool:
        """Return whether a new leg, whose SDP says `expected` (0: nothing), may use a port.

        No other leg may be unknown there, and the address must not be in use.
        """
        if self._unknown.get(port):
            return False
        return not expected or expected - _AF_INET + port not in self._owner

    def open(self, slot: int, port: int, expected: int) -> None:
        """Add a leg on a local port."""
        self._legs[slot] = _Remote(port, expected)
        self._claim(slot, expected)
        self._mark(slot)

    def close(self, slot: int) -> None:
        """Forget a leg."""
        leg = self._legs[slot]
        self._release(slot, leg)
        self._depart(leg)
        self._unheard[leg.port].discard(slot)
        self._unknown[leg.port].discard(slot)
        self.waiting[leg.port] = bool(self._unheard[leg.port])
        del self._legs[slot]

    def set_remote(self, slot: int, expected: int, *, proven: bool, relatch: bool) -> None:
        """Take over what was agreed; with `relatch` forget the latched source."""
        leg = self._legs[slot]
        if relatch or expected != leg.expected:
            self._release(slot, leg)
            if relatch:
                leg.latched = 0
            leg.expected = expected
        leg.proven = self._claim(slot, expected) and proven
        if leg.latched:
            self._claim(slot, leg.latched)
        self._mark(slot)

    def has(self, slot: int, source: int) -> bool:
        """Return whether packets from a source are the leg's; true of no source at all."""
        return not source or self._owner.get(self._key(slot, source)) == slot

    def destination(self, slot: int) -> int:
        """Return where the leg's RTP may go: 0 while nothing is proven."""
        leg = self._legs[slot]
        return leg.latched or (leg.expected if leg.proven else 0)

    # --- packets --------------------------------------------------------------------------

    def find(self, port: NDArray[np.int64], source: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the slot of each packet, -1 for a source that no leg has."""
        self.count_find()
        return self.table.find(source - np.uint64(_AF_INET) + port.view(np.uint64))

    def count_find(self) -> None:
        """Note that all packets of a tick are looked up: what is over grows older."""
        self._finds += 1

    def heard(self, slot: int, source: int) -> bool:
        """Latch a source that `find` gave to this leg; return whether that changed anything.

        A leg that was latched elsewhere moves to its SDP's address when RTP comes from there.
        """
        leg = self._legs[slot]
        if leg.latched == source:
            return False
        self._release(slot, leg)
        leg.latched = source
        self._claim(slot, leg.expected)
        self._claim(slot, source)
        self._mark(slot)
        return True

    def claimant(self, port: int, source: int) -> int:
        """Return the one leg on a port that an unknown source can belong to, or -1.

        The one unheard leg that expects this host; else the one unheard leg that nothing is
        proven of. With two candidates nobody gets the packet, nor does anybody who expects
        another source get what a leg has just left.
        """
        if self._finds <= self._departed.get(source - _AF_INET + port, -1):
            return -1
        unheard = self._unheard.get(port, ()) if source else ()
        host = source >> 32
        same = [slot for slot in unheard if self._legs[slot].expected >> 32 == host]
        if len(same) == 1:
            return same[0]
        unknown = self._unknown.get(port, ()) if source else ()
        return next(iter(unknown)) if len(unknown) == 1 and not same else -1

    # --- inside ---------------------------------------------------------------------------

    def _key(self, slot: int, source: int) -> int:
        return source - _AF_INET + self._legs[slot].port

    def _claim(self, slot: int, source: int) -> bool:
        """Give a source on the leg's port to the leg, unless another leg has it."""
        if not source:
            return False
        key = self._key(slot, source)
        if key not in self._owner:
            self._owner[key] = slot
            if len(self._owner) > self.table.room:
                self.table = Table(self._owner)
            else:
                self.table.put(key, slot)
        return self._owner[key] == slot

    def _release(self, slot: int, leg: _Remote) -> None:
        for source in (leg.expected, leg.latched):  # two at most
            key = source - _AF_INET + leg.port
            if source and self._owner.get(key) == slot:
                del self._owner[key]
                self.table.drop(key)

    def _depart(self, leg: _Remote) -> None:
        """Keep in mind what a leg has left, and forget what others left long ago."""
        gone = []
        for key, until in self._departed.items():  # bounded by those that are over
            if until >= self._finds:
                break
            gone.append(key)
        for key in gone:
            del self._departed[key]
        for source in filter(None, {leg.expected, leg.latched}):  # two at most
            key = source - _AF_INET + leg.port
            self._departed.pop(key, None)
            self._departed[key] = self._finds + DEPARTED_FINDS

    def _mark(self, slot: int) -> None:
        leg = self._legs[slot]
        unheard = self._unheard.setdefault(leg.port, set())
        unknown = self._unknown.setdefault(leg.port, set())
        (unheard.discard if leg.latched else unheard.add)(slot)
        (unknown.discard if leg.latched or leg.proven else unknown.add)(slot)
        self.waiting[leg.port] = bool(unheard)
