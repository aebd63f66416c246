"""What a codec's library takes by itself: each frame of speech decoded and encoded once.

    python -m bridge.bench.codec_alone CODEC SECONDS

Prints the seconds of CPU that one leg takes of each second. What the plane takes on top is its own.
"""

import sys
import time

from bridge.bench.speech import spoken
from bridge.media.codecs import WIDE
from bridge.units import FRAME_NS, NS_PER_S


def main(codec: str, seconds: float) -> int:
    """Measure for so long."""
    wide = WIDE[codec]
    frames = list(spoken(rate_hz=wide.rate_hz))
    encoder, decoder = wide.encoder(), wide.decoder()
    begun = time.monotonic_ns()
    done = 0
    cpu = time.process_time_ns()
    while time.monotonic_ns() - begun < seconds * NS_PER_S:
        for frame in frames:
            decoder.decode(encoder.encode(frame))
        done += len(frames)
    print((time.process_time_ns() - cpu) / done / FRAME_NS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
