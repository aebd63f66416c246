"""Sound as pictures: the outline of a wave, and a spectrogram in colour; knows samples only.

The spectrogram's colours and its PNG are matplotlib's (extra `report`); without it there is none,
and whoever draws says so.
"""

import base64
import io
from typing import Final

import numpy as np
from numpy.typing import NDArray

WINDOW: Final = 256
"""Samples of one column's look: 32 ms at 8 kHz, 31 Hz a row."""

COLUMNS_MAX: Final = 1_200
FLOOR_DB: Final = -85.0
TOP_DB: Final = -10.0
COLOURS: Final = "magma"
LEVELS: Final = 48
"""Shades: so few that the PNG stays small."""

MISSING: Final = "spectrograms need matplotlib: pip install 'tollbridge[report]'"


def outline(pcm: NDArray[np.int16], columns: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return the lowest and the highest sample of each column, (columns,) int16 both."""
    if not len(pcm):
        return np.zeros(columns, np.int16), np.zeros(columns, np.int16)
    columns = max(min(columns, len(pcm)), 1)
    starts = np.arange(columns) * len(pcm) // columns
    return np.minimum.reduceat(pcm, starts), np.maximum.reduceat(pcm, starts)


def spectrogram(pcm: NDArray[np.int16], columns: int) -> NDArray[np.float64]:
    """Return (WINDOW // 2, columns) dB against full scale, the highest frequency first."""
    columns = max(min(columns, COLUMNS_MAX), 1)
    padded = np.concatenate([pcm, np.zeros(WINDOW, np.int16)]).astype(np.float64) / 32_768
    starts = (np.arange(columns) * len(pcm) // columns)[:, None] + np.arange(WINDOW)
    size = np.abs(np.fft.rfft(padded[starts] * np.hanning(WINDOW), axis=1))[:, 1:]
    level = 20 * np.log10(np.maximum(size / (WINDOW / 4), 1e-6))
    return np.asarray(level.T[::-1])


def spectrogram_uri(pcm: NDArray[np.int16], columns: int) -> str | None:
    """Return a spectrogram as a data URI, None without matplotlib."""
    try:
        from matplotlib import colormaps
        from PIL import Image
    except ImportError:
        return None
    share = (spectrogram(pcm, columns) - FLOOR_DB) / (TOP_DB - FLOOR_DB)
    shade = np.round(share.clip(0, 1) * (LEVELS - 1)).astype(np.uint8)
    picture = Image.fromarray(shade)
    table = colormaps[COLOURS](np.linspace(0, 1, LEVELS), bytes=True)[:, :3]
    picture.putpalette(table.astype(np.uint8).tobytes())
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
