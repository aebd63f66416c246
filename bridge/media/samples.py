"""The media plane's loops over samples and legs: in C where that was compiled, else with numpy.

Here, and nowhere else, is decided which; what they give is the same to the bit. They are nearly
all of what a tick costs that grows with its samples and legs. `known` is a place to keep addresses
of the other arrays in, which stay (`known`):

`decode(data, row, codec, cell, ring, scratch)`
    Fill rows `cell`, (n,), of `ring`, (R, S) int16, with the payloads of packets `row`, (n,), of
    `data`, each one frame long. `codec`, (n,) uint8, of each; None when all are PCMU. `scratch`,
    (B, S) int16, may be used.
`sum_up(groups, cell, ring, gain, quiet, buffers) -> speaks`
    Fill `buffers.talk` with what each leg of `groups` says: the frames `cell`, (count,), of `ring`,
    times `gain`, (L,) float32, cut off at full scale; and add them up into `buffers.total`, by
    group. Returned is who says something, (M,) bool, until the next call: his frame is not all
    zeros, and not `quiet`, (count,) bool; the others' become zero. Where several speak, negative
    zeros become zeros; one voice passes bit-exact.
`deliver(groups, speaks, codec, buffers, codes, pick, used) -> used`
    Encode what each leg of `groups` hears into rows of `codes`, (C, S) uint8, from `used` on, and
    note in `pick`, (L,), which: its group's total less its own frame, saturated once. `codec`,
    (L,) uint8. Legs that say nothing hear the total as it is, and those of a group share one row
    a codec, unless nearly all legs speak (`groups.NEARLY_ALL`). Returned are the rows used then.
`power_of(frames) -> power`
    Return the mean square of each of `frames`, (n, S) int16: (n,) float64, exact.
`levels(talk, order, level, known)`
    Fill `level`, (count,) float64, with the powers of `talk`, (M, S), of slots `order`; 0 else.
`follow(level, noise, talking, streak, rules, known) -> changed`
    Take in the levels of the first slots, (count,); `voice` says how. Who changed, ascending.
`tap(total, row, blocks, filled) -> full`
    Append to each of `blocks`, (n, B, S) int16, of which `filled`, (n,), frames are there, the sum
    `row`, (n,), of `total`, saturated, or silence for -1. Returned is how many are full then.
`due(play_cell, play_ts, started, stamp, known, count) -> cell, good, whole`
    Which rows of a jitter ring the first `count` slots play, (count,) int64, which of those hold
    the frame that is due, (count,) bool, and whether all do. Arrays as in `jitter.Jitter`.
`step(play_ts, play_cell, known, count)`
    Have the first `count` slots play the next frame of their rings.
`clock(ts, rate, known, count, samples)`
    Let the clocks of the first `count` slots go on by `samples` of 1/8,000 s, at `rate`, (L,).
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
sum_up: Final = samples_numpy.sum_up if _C is None else _C.sum_up
deliver: Final = samples_numpy.deliver if _C is None else _C.deliver
power_of: Final = samples_numpy.power_of if _C is None else _C.power_of
levels: Final = samples_numpy.levels if _C is None else _C.levels
follow: Final = samples_numpy.follow if _C is None else _C.follow
tap: Final = samples_numpy.tap if _C is None else _C.tap
due: Final = samples_numpy.due if _C is None else _C.due
step: Final = samples_numpy.step if _C is None else _C.step
clock: Final = samples_numpy.clock if _C is None else _C.clock
lay: Final = samples_numpy.lay if _C is None else _C.lay
