"""What a codec takes by itself: frames of speech decoded and encoded once, as the plane does it.

    python -m bridge.bench.codec_alone CODEC SECONDS LEGS

Prints the seconds of CPU that one leg takes of each second. What the plane takes on top is its own.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bridge.bench.speech import spoken
from bridge.media import g722
from bridge.media.codecs import WIDE
from bridge.media.shape import G722
from bridge.units import FRAME_NS, NS_PER_S


def main(codec: str, seconds: float, legs: int) -> int:
    """Measure for so long."""
    wide = WIDE[codec]
    frames = spoken(rate_hz=wide.rate_hz)
    run = _at_once(frames, legs) if _lanes(codec) else _one_by_one(frames, codec)
    begun = time.monotonic_ns()
    done = 0
    cpu = time.process_time_ns()
    while time.monotonic_ns() - begun < seconds * NS_PER_S:
        done += next(run)
    print((time.process_time_ns() - cpu) / done / FRAME_NS)
    return 0


def _lanes(codec: str) -> bool:
    return WIDE[codec].number == G722 and g722.lanes() is not None


def _one_by_one(frames: NDArray[np.int16], codec: str) -> Iterator[int]:
    """Yield after so many frames of one leg."""
    encoder, decoder = WIDE[codec].encoder(), WIDE[codec].decoder()
    while True:
        for frame in frames:
            decoder.decode(encoder.encode(frame))
        yield len(frames)


def _at_once(frames: NDArray[np.int16], legs: int) -> Iterator[int]:
    """Yield after a frame of so many legs, each of them elsewhere in the text."""
    ears, mouths = g722.states(legs), g722.states(legs)
    at = np.arange(legs)
    while True:
        g722.decode_all(ears, g722.encode_all(mouths, frames[at % len(frames)]))
        at += 1
        yield legs


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
