"""Shapes and limits of the media plane's arrays; knows numbers and nothing else.

A row of a packet array is laid out so that the payload is aligned to 16 bytes: 4 unused bytes,
the 12-byte RTP header, then the payload.
"""

from typing import Final

from bridge.units import FRAME_SAMPLES

LEGS_MAX: Final = 4_096
"""Leg slots of one worker. 65,536 int16 frames still sum inside int32."""

FRAME: Final = FRAME_SAMPLES
"""S: samples of a frame, 20 ms at 8 kHz."""

CELLS: Final = 32
"""K: frames in a leg's jitter ring, 640 ms. A power of two."""

HEADER_AT: Final = 4
"""Where the RTP header starts in a packet row."""

HEADER_BYTES: Final = 12
"""An RTP header without contributing sources or extension (RFC 3550 §5.1)."""

PAYLOAD_AT: Final = HEADER_AT + HEADER_BYTES
"""Where the payload of such a packet starts in a packet row."""

PAYLOAD_MAX: Final = 3 * FRAME
"""Bytes of the longest G.711 payload taken, 60 ms."""

ROW_BYTES: Final = 576
"""Bytes of a packet row: 60 ms of G.711 and 80 bytes of extensions."""

SPILL_BYTES: Final = 1_408
"""Bytes of a datagram that a row does not hold: L16 and Opus have packets up to an MTU."""

PCMU: Final = 0
PCMA: Final = 1
G722: Final = 2
L16: Final = 3
OPUS: Final = 4
"""Codec numbers of the plane: the first two are rows of the G.711 tables; no payload types."""
