"""The media plane's loops over samples: in C where that was compiled, else with numpy.

Here, and nowhere else, is decided which; what they give is the same to the bit. They are nearly
all of what a tick costs that grows with its samples:

`decode(data, row, codec, cell, ring, scratch)`
    Fill rows `cell`, (n,), of `ring`, (R, S) int16, with the payloads of packets `row`, (n,), of
    `data`, each one frame long. `codec`, (n,) uint8, of each; None when all are PCMU. `scratch`,
    (B, S) int16, may be used.
`take(order, cell, ring, talk)`
    Fill `talk`, (M, S) int16, with the frames `cell[order]` of `ring`.
`sum_up(groups, quiet, buffers) -> speaks`
    Add up the frames in `buffers.talk` into `buffers.total`, by group. Returned is who says
    something, (M,) bool: his frame is not all zeros, and not `quiet`, (L,) bool; the others'
    become zero. Where several speak, negative zeros become zeros; one voice passes bit-exact.
`encode_each(groups, codec, buffers, codes)`
    Fill `codes`, (M, S) uint8, with what each row hears: its group's total less its own frame,
    saturated once. `codec`, (M,) uint8; None when all are PCMU.
`encode_some(group, own, codec, buffers, codes)`
    The same for n totals: of `group`, (n,), less row `own`, (n,), of `buffers.talk`, or as they
    are when that is None.
`power_of(frames) -> power`
    Return the mean square of each of `frames`, (n, S) int16: (n,) float64, exact.
`lay(rows, legs, codes, pick)`
    Write the next packet of each of `legs.slots`, (n,), into a row of `rows`, (N, R) uint8: first
    two words of the header and the payload, `codes[pick]` of its leg; count it as sent.
"""

from os import environ
from typing import Final

from bridge.media import samples_c, samples_numpy

SWITCH: Final = "TOLLBRIDGE_NUMPY"
"""Environment variable that is "1" where numpy is to be used, whatever was compiled."""


def _compiled() -> tuple[samples_c.Loops | None, str]:
    """Return the compiled loops, or None and why numpy's are used."""
    if environ.get(SWITCH) == "1":
        return None, f"{SWITCH}=1"
    try:
        return samples_c.built(), ""
    except samples_c.Unfit as reason:
        return None, str(reason)


_C, WHY_NUMPY = _compiled()

LOOPS: Final = "numpy" if _C is None else "c"

LIBRARY: Final = "" if _C is None else _C.path
"""Where the compiled library is, which codes G.722 too; "" where numpy is used."""

decode: Final = samples_numpy.decode if _C is None else _C.decode
take: Final = samples_numpy.take if _C is None else _C.take
sum_up: Final = samples_numpy.sum_up if _C is None else _C.sum_up
encode_each: Final = samples_numpy.encode_each if _C is None else _C.encode_each
encode_some: Final = samples_numpy.encode_some if _C is None else _C.encode_some
power_of: Final = samples_numpy.power_of if _C is None else _C.power_of
lay: Final = samples_numpy.lay if _C is None else _C.lay
