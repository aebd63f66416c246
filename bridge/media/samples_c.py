"""The loops over samples in C (`_samples.c`), called by address; knows arrays, no state of legs.

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
from bridge.media.senders import Senders
from bridge.media.shape import FRAME, HEADER_AT, PAYLOAD_AT

VERSION: Final = 7 << 16 | FRAME
"""What the library must say it is: one that an older source was made into may ask for others."""

P: Final = ctypes.c_void_p
N: Final = ctypes.c_int64
_SIGNATURES: Final = {
    "tb_decode": [P, N, N, P, P, N, P, P, N],
    "tb_take": [P, N, P, N, P, N, P],
    "tb_sum": [P, N, P, P, N, P, N, P, P, P],
    "tb_encode": [P, N, P, P, N, P, P, N, P],
    "tb_power": [P, N, N, P],
    "tb_lay": [P, N, P, P, N, N, P, P, P, P, P, N, P],
}
_CODES: Final = np.dtype(np.uint8)
_FLAGS: Final = np.dtype(np.bool_)
_SAMPLES: Final = np.dtype(np.int16)
_SUMS: Final = np.dtype(np.int32)
_INDEX: Final = np.dtype(np.int64)
_HALVES: Final = np.dtype(np.uint16)
_WORDS: Final = np.dtype(np.uint32)

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
        self._decode, self._take = calls["tb_decode"], calls["tb_take"]
        self._sum, self._encode = calls["tb_sum"], calls["tb_encode"]
        self._power, self._lay = calls["tb_power"], calls["tb_lay"]

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

    def take(
        self,
        order: NDArray[np.int64],
        cell: NDArray[np.int64],
        ring: NDArray[np.int16],
        talk: NDArray[np.int16],
    ) -> None:
        """Fill `talk` with rows of the ring."""
        count = len(order)
        if not count:
            return
        done = self._take(
            at(ring, _SAMPLES, (len(ring), FRAME)),
            len(ring),
            at(cell, _INDEX, (len(cell),)),
            len(cell),
            at(order, _INDEX, (count,)),
            count,
            at(talk, _SAMPLES, (count, FRAME)),
        )
        all_of(done, count)

    def sum_up(
        self, groups: Groups, quiet: NDArray[np.bool_], buffers: MixBuffers
    ) -> NDArray[np.bool_]:
        """Fill `buffers.total` of every group; return who says something."""
        count, several = len(groups.order), len(groups.dense)
        speaks, voices = np.empty(count, np.bool_), np.empty(several, np.int32)
        total = buffers.total[:several]
        if not count:  # linked, or recorded, and no leg is here
            total[:] = 0
            return speaks
        done = self._sum(
            at(buffers.talk[:count], _SAMPLES, (count, FRAME)),
            count,
            at(groups.order, _INDEX, (count,)),
            at(quiet, _FLAGS, (len(quiet),)),
            len(quiet),
            at(groups.group, _INDEX, (count,)),
            several,
            at(total, _SUMS, (several, FRAME)),
            at(voices, _SUMS, (several,)),
            at(speaks, _FLAGS, (count,)),
        )
        all_of(done, count)
        return speaks

    def encode_each(
        self,
        groups: Groups,
        codec: NDArray[np.uint8] | None,
        buffers: MixBuffers,
        codes: NDArray[np.uint8],
    ) -> None:
        """Encode a sum less a frame for every row."""
        self._codes(groups.group, buffers.talk, None, codec, buffers.total, codes)

    def encode_some(
        self,
        group: NDArray[np.int64],
        own: NDArray[np.int64] | None,
        codec: NDArray[np.uint8],
        buffers: MixBuffers,
        codes: NDArray[np.uint8],
    ) -> None:
        """Encode a sum, less a frame or as it is, for each of `group`."""
        talk = None if own is None else buffers.talk
        self._codes(group, talk, own, codec, buffers.total, codes)

    def power_of(self, frames: NDArray[np.int16]) -> NDArray[np.float64]:
        """Return the mean square of each frame."""
        count, size = frames.shape
        power = np.empty(count)
        if count:
            given = at(frames, _SAMPLES, (count, size), read_only=True)
            self._power(given, count, size, at(power, power.dtype, (count,)))
        return power

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
        done = self._lay(
            at(rows, _CODES, rows.shape) + HEADER_AT,
            rows.shape[1],
            at(legs.slots, _INDEX, (count,)),
            at(legs.kind, _WORDS, (count,)),
            count,
            slots,
            at(legs.seq, _HALVES, (slots,)),
            at(legs.ts, _WORDS, (slots,)),
            at(legs.sent, _WORDS, (slots,)),
            at(legs.octets, _WORDS, (slots,)),
            at(codes, _CODES, (len(codes), FRAME)),
            len(codes),
            at(pick, _INDEX, (slots,)),
        )
        all_of(done, count)

    def _codes(
        self,
        group: NDArray[np.int64],
        talk: NDArray[np.int16] | None,
        own: NDArray[np.int64] | None,
        codec: NDArray[np.uint8] | None,
        total: NDArray[np.int32],
        codes: NDArray[np.uint8],
    ) -> None:
        count = len(group)
        if not count:
            return
        done = self._encode(
            at(total, _SUMS, (len(total), FRAME)),
            len(total),
            at(group, _INDEX, (count,)),
            None if talk is None else at(talk, _SAMPLES, (len(talk), FRAME)),
            0 if talk is None else len(talk),
            None if own is None else at(own, _INDEX, (count,)),
            None if codec is None else at(codec, _CODES, (count,)),
            count,
            at(codes, _CODES, (count, FRAME)),
        )
        all_of(done, count)


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


def all_of(done: int, count: int) -> None:
    """Refuse what a function in C did not do.

    Raises:
        IndexError: it did fewer rows than asked for.
    """
    if done != count:
        raise IndexError(f"row {done} of {count} points outside its array")
