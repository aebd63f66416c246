"""The loops of `samples` in C (`_samples.c`, `_mix.c`), called by address; knows arrays, no legs.

The library, which holds G.722 too (`g722_lanes`), is a module of the package that no interpreter
imports: it has no Python in it, and is called with the lock of the interpreter held, which others
would have to wait for anyway. What an address points to is checked here: type, shape, and that all
lies together. What an index points to is checked in C, which says how many rows it did.
"""

import ctypes
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.groups import Groups, MixBuffers
from bridge.media.known import Known
from bridge.media.senders import Senders
from bridge.media.shape import CELLS, FRAME, HEADER_AT, PAYLOAD_AT

RULES: Final = 8
"""Numbers that say who talks: see `voice`."""

VERSION: Final = 8 << 16 | FRAME
"""What the library must say it is: one that an older source was made into may ask for others."""

P: Final = ctypes.c_void_p
N: Final = ctypes.c_int64
_SIGNATURES: Final = {
    "tb_decode": [P, N, N, P, P, N, P, P, N],
    "tb_sum": [P, N, P, N, P, P, N, N, P, P, P, P, P, P],
    "tb_deliver": [P, N, P, P, P, P, N, P, N, P, P, N, P, N],
    "tb_power": [P, N, N, P],
    "tb_levels": [P, P, N, P, N],
    "tb_follow": [P, N, P, P, P, P, P],
    "tb_tap": [P, N, P, N, P, N, P],
    "tb_due": [P, P, P, P, N, N, N, P, P],
    "tb_step": [P, P, N, N],
    "tb_clock": [P, P, N, N],
    "tb_lay": [P, N, P, P, N, N, P, P, P, P, P, N, P],
}
_CODES: Final = np.dtype(np.uint8)
_FLAGS: Final = np.dtype(np.bool_)
_SAMPLES: Final = np.dtype(np.int16)
_SUMS: Final = np.dtype(np.int32)
_INDEX: Final = np.dtype(np.int64)
_HALVES: Final = np.dtype(np.uint16)
_WORDS: Final = np.dtype(np.uint32)
_GAINS: Final = np.dtype(np.float32)
_POWERS: Final = np.dtype(np.float64)

# Together they are `array.ctypes.data` in a fifth of the time, and refuse what lies in pieces.
_begins: Final = ctypes.c_char.from_buffer
_address: Final = ctypes.addressof


class Unfit(Exception):
    """There is no library that this machine and this source can use; the text says why."""


def built() -> "Loops":
    """Return the loops of the library that was built when the package was installed."""
    found = find_spec("bridge.media._samples")
    if found is None or found.origin is None:
        raise Unfit("not compiled when this was installed")
    return Loops(found.origin)


def functions(path: str, signatures: dict[str, list[Any]]) -> dict[str, Callable[..., int]]:
    """Return functions of the library at `path`, each of these arguments, returning an int64."""
    if np.dtype(np.intp) != _INDEX:
        raise Unfit("indices here are not of 64 bits")
    try:
        library = ctypes.PyDLL(path)
        calls = {name: getattr(library, name) for name in ("tb_version", *signatures)}
    except (OSError, AttributeError) as error:
        raise Unfit(f"{path}: {error}") from None
    for name, call in calls.items():
        call.argtypes, call.restype = signatures.get(name, []), N
    if calls["tb_version"]() != VERSION:
        raise Unfit(f"{path}: of another version, install again")
    return calls


class Loops:
    """The functions of one library, each as `samples` says.

    Attributes:
        path: where the library is.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        calls = functions(path, _SIGNATURES)
        self._decode, self._lay = calls["tb_decode"], calls["tb_lay"]
        self._sum, self._deliver = calls["tb_sum"], calls["tb_deliver"]
        self._power, self._levels = calls["tb_power"], calls["tb_levels"]
        self._follow, self._tap = calls["tb_follow"], calls["tb_tap"]
        self._due, self._step, self._clock = calls["tb_due"], calls["tb_step"], calls["tb_clock"]

    def decode(
        self,
        data: NDArray[np.uint8],
        row: NDArray[np.int64],
        codec: NDArray[np.uint8] | None,
        cell: NDArray[np.int64],
        ring: NDArray[np.int16],
        scratch: NDArray[np.int16],
    ) -> None:
        """Fill rows of the ring; `scratch` is not needed."""
        count = len(cell)
        if not count:
            return
        if data.ndim != 2 or data.shape[1] < PAYLOAD_AT + FRAME:
            raise TypeError(f"packets of shape {data.shape}")
        done = self._decode(
            at(data, _CODES, data.shape) + PAYLOAD_AT,
            data.shape[1],
            len(data),
            at(row, _INDEX, (count,)),
            None if codec is None else at(codec, _CODES, (count,)),
            count,
            at(cell, _INDEX, (count,)),
            at(ring, _SAMPLES, (len(ring), FRAME)),
            len(ring),
        )
        all_of(done, count)

    def sum_up(
        self,
        groups: Groups,
        cell: NDArray[np.int64],
        ring: NDArray[np.int16],
        gain: NDArray[np.float32],
        quiet: NDArray[np.bool_],
        buffers: MixBuffers,
    ) -> NDArray[np.bool_]:
        """Fill `buffers.talk`, and `buffers.total` of every group; return who says something."""
        count, several, slots = len(groups.order), len(groups.dense), len(cell)
        if several > len(buffers.total):
            raise TypeError(f"{several} groups, and sums of {len(buffers.total)}")
        if not count:  # linked, or recorded, and no leg is here
            buffers.total[:several] = 0
            return buffers.speaks[:0]
        if count > len(buffers.talk) or len(gain) < slots:
            raise TypeError(f"{count} of {slots} legs, with gains of {len(gain)}")
        known = buffers.known
        done = self._sum(
            kept(known, "ring", ring, _SAMPLES, (len(ring), FRAME)),
            len(ring),
            at(cell, _INDEX, (slots,)),
            slots,
            kept(known, "order", groups.order, _INDEX, (count,)),
            kept(known, "group", groups.group, _INDEX, (count,)),
            count,
            several,
            kept(known, "gain", gain, _GAINS, (len(gain),)),
            at(quiet, _FLAGS, (slots,)),
            *_frames(buffers),
            kept(known, "voices", buffers.voices, _SUMS, (len(buffers.total),)),
            kept(known, "speaks", buffers.speaks, _FLAGS, (len(buffers.talk),)),
        )
        all_of(done, count)
        return buffers.speaks[:count]

    def deliver(
        self,
        groups: Groups,
        speaks: NDArray[np.bool_],
        codec: NDArray[np.uint8],
        buffers: MixBuffers,
        codes: NDArray[np.uint8],
        pick: NDArray[np.int64],
        used: int,
    ) -> int:
        """Encode what each leg hears into `codes`, from row `used` on; return the rows used."""
        count, several, slots = len(groups.order), len(groups.dense), len(codec)
        if count > len(buffers.talk) or several > len(buffers.total) or len(pick) < slots:
            raise TypeError(f"{count} of {slots} legs in {several} groups, {len(pick)} picks")
        known = buffers.known
        talk, total = _frames(buffers)
        end = self._deliver(
            total,
            several,
            kept(known, "group", groups.group, _INDEX, (count,)),
            talk,
            kept(known, "order", groups.order, _INDEX, (count,)),
            at(speaks, _FLAGS, (count,)),
            count,
            kept(known, "codec", codec, _CODES, (slots,)),
            slots,
            kept(known, "shares", buffers.shares, _INDEX, (2 * len(buffers.total),)),
            kept(known, "codes", codes, _CODES, (len(codes), FRAME)),
            len(codes),
            kept(known, "pick", pick, _INDEX, (len(pick),)),
            used,
        )
        if end < 0:
            raise IndexError(f"codes of {count} legs from row {used} on, of {len(codes)}")
        return end

    def power_of(self, frames: NDArray[np.int16]) -> NDArray[np.float64]:
        """Return the mean square of each frame."""
        count, size = frames.shape
        power = np.empty(count)
        if count:
            given = at(frames, _SAMPLES, (count, size), read_only=True)
            self._power(given, count, size, at(power, power.dtype, (count,)))
        return power

    def levels(
        self,
        talk: NDArray[np.int16],
        order: NDArray[np.int64],
        level: NDArray[np.float64],
        known: Known,
    ) -> None:
        """Fill `level` with the powers of `talk`, 0 for slots in no order."""
        count, slots = len(order), len(level)
        if not slots:
            return
        if not count:
            level[:] = 0
            return
        done = self._levels(
            at(talk, _SAMPLES, (count, FRAME)),
            kept(known, "order", order, _INDEX, (count,)),
            count,
            at(level, _POWERS, (slots,)),
            slots,
        )
        all_of(done, count)

    def follow(
        self,
        level: NDArray[np.float64],
        noise: NDArray[np.float64],
        talking: NDArray[np.bool_],
        streak: NDArray[np.int32],
        rules: NDArray[np.float64],
        known: Known,
    ) -> NDArray[np.int64]:
        """Take in the levels of the first slots; return who begins or ends to talk."""
        count, slots = len(level), len(noise)
        if not count:
            return level.astype(np.int64)
        if count > slots:
            raise TypeError(f"{count} levels, of {slots} legs")
        changed = np.empty(count, np.int64)
        some = self._follow(
            at(level, _POWERS, (count,)),
            count,
            kept(known, "noise", noise, _POWERS, (slots,)),
            kept(known, "talking", talking, _FLAGS, (slots,)),
            kept(known, "streak", streak, _SUMS, (slots,)),
            kept(known, "rules", rules, _POWERS, (RULES,)),
            at(changed, _INDEX, (count,)),
        )
        return changed[:some]

    def tap(
        self,
        total: NDArray[np.int32],
        row: NDArray[np.int64],
        blocks: NDArray[np.int16],
        filled: NDArray[np.int64],
    ) -> int:
        """Append a frame to each block; return how many are full then."""
        count = len(row)
        if not count:
            return 0
        full = self._tap(
            at(total, _SUMS, (len(total), FRAME)),
            len(total),
            at(row, _INDEX, (count,)),
            count,
            at(blocks, _SAMPLES, (count, blocks.shape[1], FRAME)),
            blocks.shape[1],
            at(filled, _INDEX, (count,)),
        )
        if full < 0:
            raise IndexError(f"a row outside {len(total)} sums, or a block that is full")
        return full

    def due(
        self,
        play_cell: NDArray[np.int64],
        play_ts: NDArray[np.uint32],
        started: NDArray[np.bool_],
        stamp: NDArray[np.uint32],
        known: Known,
        count: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], bool]:
        """Return the rows that the first slots play, which hold their frame, whether all do."""
        legs = len(play_cell)
        cell, good = np.empty(count, np.int64), np.empty(count, np.bool_)
        if not count:
            return cell, good, True
        if count > legs or len(stamp) != legs * CELLS:
            raise TypeError(f"{count} of {legs} legs, with {len(stamp)} cells")
        due = self._due(
            kept(known, "play_cell", play_cell, _INDEX, (legs,)),
            kept(known, "play_ts", play_ts, _WORDS, (legs,)),
            kept(known, "started", started, _FLAGS, (legs,)),
            kept(known, "stamp", stamp, _WORDS, (len(stamp),)),
            len(stamp),
            legs,
            count,
            at(cell, _INDEX, (count,)),
            at(good, _FLAGS, (count,)),
        )
        if due < 0:
            raise IndexError(f"a cell outside the {CELLS} of a leg")
        return cell, good, due == count

    def step(
        self, play_ts: NDArray[np.uint32], play_cell: NDArray[np.int64], known: Known, count: int
    ) -> None:
        """Have the first slots play the next frame of their rings."""
        legs = len(play_cell)
        if count > legs:
            raise TypeError(f"{count} of {legs} legs")
        self._step(
            kept(known, "play_ts", play_ts, _WORDS, (legs,)),
            kept(known, "play_cell", play_cell, _INDEX, (legs,)),
            count,
            CELLS,
        )

    def clock(
        self,
        ts: NDArray[np.uint32],
        rate: NDArray[np.uint32],
        known: Known,
        count: int,
        samples: int,
    ) -> None:
        """Let the clocks of the first slots go on."""
        legs = len(ts)
        if count > legs:
            raise TypeError(f"{count} of {legs} legs")
        self._clock(
            kept(known, "ts", ts, _WORDS, (legs,)),
            kept(known, "rate", rate, _WORDS, (legs,)),
            count,
            samples,
        )

    def lay(
        self,
        rows: NDArray[np.uint8],
        legs: Senders,
        codes: NDArray[np.uint8],
        pick: NDArray[np.int64],
    ) -> None:
        """Write the next packet of each of `legs.slots` into a row."""
        count, slots = len(legs.slots), len(legs.seq)
        if not count:
            return
        if rows.ndim != 2 or len(rows) < count or rows.shape[1] < PAYLOAD_AT + FRAME:
            raise TypeError(f"{count} packets into rows of shape {rows.shape}")
        if len(pick) != slots:
            raise TypeError(f"{len(pick)} picks for {slots} legs")
        known = legs.known
        done = self._lay(
            kept(known, "rows", rows, _CODES, rows.shape) + HEADER_AT,
            rows.shape[1],
            kept(known, "slots", legs.slots, _INDEX, (count,)),
            kept(known, "kind", legs.kind, _WORDS, (count,)),
            count,
            slots,
            kept(known, "seq", legs.seq, _HALVES, (slots,)),
            kept(known, "ts", legs.ts, _WORDS, (slots,)),
            kept(known, "sent", legs.sent, _WORDS, (slots,)),
            kept(known, "octets", legs.octets, _WORDS, (slots,)),
            kept(known, "codes", codes, _CODES, (len(codes), FRAME)),
            len(codes),
            kept(known, "pick", pick, _INDEX, (slots,)),
        )
        all_of(done, count)


def _frames(buffers: MixBuffers) -> tuple[int, int]:
    """Return where the frames of the mix and its sums begin."""
    talk, total, known = buffers.talk, buffers.total, buffers.known
    return (
        kept(known, "talk", talk, _SAMPLES, (len(talk), FRAME)),
        kept(known, "total", total, _SUMS, (len(total), FRAME)),
    )


def at(
    array: NDArray[Any], kind: np.dtype[Any], shape: tuple[int, ...], *, read_only: bool = False
) -> int:
    """Return where an array of just this type and shape begins; all of it lies together.

    With `read_only` it need not be one that may be written to.
    """
    if array.dtype != kind or array.shape != shape:
        raise TypeError(f"{array.dtype} of shape {array.shape}, not {kind} of {shape}")
    if read_only and not array.flags.writeable and array.flags.c_contiguous:
        return array.ctypes.data
    return _address(_begins(array))  # type: ignore[arg-type] # a buffer, which 3.11 has no type for


def kept(
    known: Known, name: str, array: NDArray[Any], kind: np.dtype[Any], shape: tuple[int, ...]
) -> int:
    """Return the same as `at`, of an array that stays: asked for when it is another one only.

    What `shape` says of it is its own, or is checked beside this.
    """
    held = known.get(name)
    if held is not None and held[0] is array:
        return held[1]
    address = at(array, kind, shape)
    known[name] = array, address
    return address


def all_of(done: int, count: int) -> None:
    """Refuse what a function in C did not do.

    Raises:
        IndexError: it did fewer rows than asked for.
    """
    if done != count:
        raise IndexError(f"row {done} of {count} points outside its array")
