"""The packets of a tick one after the other, in C (`_steady.c`); knows addresses, no way of RTP.

The arrays of the legs stay the same ones as long as the plane lives: their addresses are noted
once, and they are held here so that what is noted is always theirs.
"""

import ctypes
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import samples, samples_c, steady
from bridge.media.rtp import ROUNDS_MAX, Packets
from bridge.media.shape import CELLS, FRAME, HEADER_AT
from bridge.media.sources import Table
from bridge.media.steady import Legs

_NONE: Final = np.zeros(0, np.int64)
_CODES: Final = np.dtype(np.uint8)
_FLAGS: Final = np.dtype(np.bool_)
_INDEX: Final = np.dtype(np.int64)
_KEYS: Final = np.dtype(np.uint64)
_WORDS: Final = np.dtype(np.uint32)
_NUMBER: Final = ctypes.c_int64
_ADDRESS: Final = ctypes.c_void_p


_ARRAYS: Final = (
    "latched", "port", "codec", "head", "ts", "first", "rest", "here", "highest", "received",
    "jitter", "transit", "play_ts", "play_cell", "low", "stamp", "ragged", "ring", "last_ns",
    "silent", "after", "seen",
)  # fmt: skip


class _Legs(ctypes.Structure):
    """`Legs` of `_steady.c`."""

    _fields_ = (
        ("slots", _NUMBER),
        *((name, _ADDRESS) for name in _ARRAYS),
        *((name, _NUMBER) for name in ("ahead_end", "header_at", "length", "rounds")),
    )  # fmt: skip


class _Table(ctypes.Structure):
    """`Table` of `_steady.c`."""

    _fields_ = (
        ("keys", _ADDRESS),
        ("slots", _ADDRESS),
        ("shift", _NUMBER),
        ("more_count", _NUMBER),
        ("more", _ADDRESS),
        ("more_slots", _ADDRESS),
    )


class _Packets(ctypes.Structure):
    """`Packets` of `_steady.c`."""

    _fields_ = (
        ("count", _NUMBER),
        ("data", _ADDRESS),
        ("data_step", _NUMBER),
        ("length", _ADDRESS),
        ("length_step", _NUMBER),
        ("source", _ADDRESS),
        ("source_step", _NUMBER),
        ("port", _ADDRESS),
        ("stamp", _ADDRESS),
        ("stamp_step", _NUMBER),
        ("now_ns", _NUMBER),
        ("due_ns", _NUMBER),
        ("ragged", _NUMBER),
    )


class OneByOne:
    """Takes packets in one after the other, as `arrivals.Arrivals` says."""

    def __init__(self, legs: Legs, library: str = samples.LIBRARY) -> None:
        self._take = samples_c.functions(library, {"tb_steady": [_ADDRESS] * 5})["tb_steady"]
        self._legs = legs
        self._slots = len(legs.latched)
        self._after: NDArray[np.int64] = np.zeros(self._slots + 1, np.int64)
        self._seen: NDArray[np.uint8] = np.zeros(self._slots, np.uint8)
        self._held = self._arrays()
        self._state = self._noted()
        self._table_of: Table | None = None
        self._more_of: NDArray[np.uint64] | None = None
        self._table = _Table()
        self._packets = _Packets()
        self._at = tuple(map(ctypes.addressof, (self._state, self._table, self._packets)))
        self._slot: NDArray[np.int64] = np.zeros(0, np.int64)
        self._same: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def take(
        self, packets: Packets, now_ns: int, *, count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take packets in, as `arrivals.Arrivals` says."""
        assert count <= self._slots
        number = len(packets.length)
        if number > len(self._slot):
            self._slot, self._same = np.zeros(number, np.int64), np.zeros(number, np.bool_)
        slot, same = self._slot[:number], self._same[:number]
        self._note_table()
        self._note(packets, now_ns)
        others = self._take(
            *self._at,
            samples_c.at(slot, _INDEX, (number,)) if number else 0,
            samples_c.at(same, _FLAGS, (number,)) if number else 0,
        )
        if others < 0:
            raise IndexError("the table of sources points outside the legs")
        if not others:
            return _NONE, _NONE
        rest = (~same).nonzero()[0]
        return rest, slot[rest]

    def up_to_date(self) -> bool:
        """Return whether the arrays of the legs are still those whose addresses were noted."""
        return all(mine is now for mine, now in zip(self._held, self._arrays(), strict=True))

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        """Return the arrays of the legs, in the order of `_Legs`, but for `after` and `seen`."""
        legs, expected, buffers = self._legs, self._legs.steady, self._legs.buffers
        received = legs.received
        return (
            legs.latched, legs.port, legs.codec,
            expected.head, expected.ts, expected.first, expected.rest, expected.here,
            received.highest, received.received, received.jitter, received.transit,
            buffers.play_ts, buffers.play_cell, buffers.waits_low, buffers.stamp, buffers.ragged,
            buffers.ring, legs.last_ns, legs.silent,
        )  # fmt: skip

    def _noted(self) -> _Legs:
        """Return the addresses of the legs' arrays, each of which has the type and shape it says.

        What the packets of this window waited is the first row of `waits_low`.
        """
        legs, cells = self._slots, self._slots * CELLS
        shapes = {"rest": (legs, 2), "low": (2, legs), "stamp": (cells,), "ragged": (cells,)}
        shapes |= {"ring": (len(self._legs.buffers.ring), FRAME), "after": (legs + 1,)}
        kinds = (
            "u8", "i8", "u1", "u4", "u4", "u4", "u4", "?", "i8", "i8", "i8", "i4", "u4", "i8", "i4",
            "u4", "?", "i2", "i8", "?", "i8", "u1",
        )  # fmt: skip
        assert len(self._legs.buffers.ring) >= cells
        noted = _Legs(
            slots=legs,
            ahead_end=steady.AHEAD_END,
            header_at=HEADER_AT,
            length=steady.LENGTH,
            rounds=ROUNDS_MAX,
        )
        for name, array, kind in zip(
            _ARRAYS, (*self._held, self._after, self._seen), kinds, strict=True
        ):
            setattr(noted, name, samples_c.at(array, np.dtype(kind), shapes.get(name, (legs,))))
        return noted

    def _note_table(self) -> None:
        """Note where the table of sources is, which is replaced now and then."""
        sources, noted = self._legs.sources, self._table
        sources.count_find()
        table = sources.table
        if self._table_of is table and self._more_of is table.more:
            return
        self._table_of, self._more_of = table, table.more
        size, more = len(table.keys), len(table.more)
        assert size == 1 << 64 - table.shift
        noted.keys = samples_c.at(table.keys, _KEYS, (size,))
        noted.slots = samples_c.at(table.slots, _INDEX, (size,))
        noted.shift, noted.more_count = table.shift, more
        noted.more = samples_c.at(table.more, _KEYS, (more,)) if more else 0
        noted.more_slots = samples_c.at(table.more_slots, _INDEX, (more,)) if more else 0

    def _note(self, packets: Packets, now_ns: int) -> None:
        """Note where the packets of this tick are."""
        noted, number = self._packets, len(packets.length)
        noted.count, noted.now_ns = number, now_ns
        if not number:
            return
        data = packets.data
        if data.ndim != 2 or data.shape[1] < HEADER_AT + steady.LENGTH:
            raise TypeError(f"packets of shape {data.shape}")
        noted.data, noted.data_step = samples_c.at(data, _CODES, data.shape), data.shape[1]
        noted.length, noted.length_step = _spread(packets.length, _WORDS, number)
        noted.source, noted.source_step = _spread(packets.source, _KEYS, number)
        noted.port = samples_c.at(packets.port, _INDEX, (number,))
        stamp = packets.stamp
        if stamp is None:
            noted.stamp = 0
        else:
            if stamp.shape != (number, 2) or stamp.strides[1] != stamp.itemsize:
                raise TypeError(f"stamps of shape {stamp.shape}, {stamp.strides} apart")
            noted.stamp, noted.stamp_step = _spread(stamp[:, 0], _INDEX, number)
        noted.due_ns = -1 if packets.due_ns is None else packets.due_ns
        noted.ragged = self._legs.buffers.any_ragged


def _spread(array: NDArray[Any], kind: np.dtype[Any], number: int) -> tuple[int, int]:
    """Return where numbers begin that may lie apart, and the bytes from one to the next."""
    if array.dtype != kind or array.shape != (number,):
        raise TypeError(f"{array.dtype} of shape {array.shape}, not {kind} of ({number},)")
    return int(array.__array_interface__["data"][0]), array.strides[0]
