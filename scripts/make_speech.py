"""Make `bridge/lab/speech.wav`, what callers say whose voice is `speech`, with espeak-ng.

python scripts/make_speech.py
"""

import wave

from bridge.bench.speech import spoken
from bridge.lab.spoken import FILE
from bridge.units import SAMPLE_RATE_HZ

TEXT = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background."
PAUSE_FRAMES = 20
"""Of the half seconds of silence at the ends so much is cut off."""


def main() -> None:
    """Write the file."""
    frames = spoken(TEXT)[PAUSE_FRAMES:-PAUSE_FRAMES]
    with wave.open(str(FILE), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(frames.tobytes())


if __name__ == "__main__":
    main()
