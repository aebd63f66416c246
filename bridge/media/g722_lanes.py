"""G.722 of many legs at once, in C (`_g722.c`): bit for bit what the library does; knows no leg.

The two ADPCM coders of a stream go on sample by sample, so that nothing within a stream can be
done at once; but all streams take the same steps, and 32 of them at a time are what the compiler
makes vector instructions of. A stream takes 2.4 to 3.3 µs for 20 ms either way, where the library
takes 20 and 13.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import samples, samples_c

STATE: Final = 2 * 23 + 22
"""Numbers of one stream: each of 23 fields of the low and the high band, then the filter's past."""

LONGEST: Final = 480
"""Octets of the longest payload, 60 ms."""

_DET: Final = 8  # the field that is the step size
_STARTS: Final = (32, 8)  # of the low band, and of the high one

_SIGNATURE: Final = [samples_c.P, samples_c.P, samples_c.P, samples_c.N, samples_c.N]
_CALLS: Final = samples_c.functions(
    samples.LIBRARY, {"tb_g722_encode": _SIGNATURE, "tb_g722_decode": _SIGNATURE}
)


def fresh(streams: int) -> NDArray[np.int32]:
    """Return the states of streams that begin, (streams, STATE) int32, for either direction."""
    states = np.zeros((streams, STATE), np.int32)
    states[:, 2 * _DET : 2 * _DET + 2] = _STARTS
    return states


def encode(states: NDArray[np.int32], frames: NDArray[np.int16], codes: NDArray[np.uint8]) -> None:
    """Fill `codes`, (n, T), from `frames`, (n, 2 * T); stream i goes on from `states[i]`.

    All of each array lies together; T is `LONGEST` at most.
    """
    _run("tb_g722_encode", states, frames, codes, codes.shape[1])


def decode(states: NDArray[np.int32], codes: NDArray[np.uint8], frames: NDArray[np.int16]) -> None:
    """Fill `frames`, (n, 2 * T), from `codes`, (n, T), as `encode` does the other way."""
    _run("tb_g722_decode", states, codes, frames, codes.shape[1])


def _run(
    name: str,
    states: NDArray[np.int32],
    given: NDArray[np.int16] | NDArray[np.uint8],
    made: NDArray[np.int16] | NDArray[np.uint8],
    octets: int,
) -> None:
    count = len(states)
    if not count:
        return
    kinds = (np.int16, np.uint8) if name == "tb_g722_encode" else (np.uint8, np.int16)
    widths = [octets * (2 if kind is np.int16 else 1) for kind in kinds]
    if octets > LONGEST:
        raise ValueError(f"{octets} octets of G.722, more than {LONGEST}")
    _CALLS[name](
        samples_c.at(states, np.dtype(np.int32), (count, STATE)),
        samples_c.at(given, np.dtype(kinds[0]), (count, widths[0]), read_only=True),
        samples_c.at(made, np.dtype(kinds[1]), (count, widths[1])),
        count,
        octets,
    )
