"""The sockets between media workers: carry sums of linked groups, one bundle a peer and tick.

Datagram sockets in a directory that only the bridge's owner may enter. A bundle of many groups
goes in several datagrams, the last of them marked; it counts when that one has come. Decides
nothing: which groups go where is control's business, what they mean the plane's.
"""

import contextlib
import socket
import struct
import wave
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media.linked import Sums
from bridge.media.tick import Plane, TickResult
from bridge.units import SAMPLE_RATE_HZ

GROUPS_MAX: Final = 64
"""Groups in one datagram: 42 KB of 20 ms at 8 kHz, 165 KB with 16 kHz beside it."""

_BUFFER_BYTES: Final = 4 << 20
_DATAGRAM_BYTES_MAX: Final = 1 << 20
_HEAD: Final = struct.Struct("=IIII")
"""Sender, groups, samples of a frame, 1 for the last part of a bundle."""


class Mesh:
    """One worker's end of the links to all the others."""

    def __init__(self, directory: str, index: int) -> None:
        self._directory, self._index = Path(directory), index
        self._path = self._directory / str(index)
        self._path.unlink(missing_ok=True)  # of a worker that died here
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        self._buffer = bytearray(_DATAGRAM_BYTES_MAX)
        self._parts: dict[int, list[Sums]] = {}

    def close(self) -> None:
        """Close the socket and take its name away."""
        self._socket.close()
        with contextlib.suppress(OSError):  # the directory may have gone before
            self._path.unlink(missing_ok=True)

    def leave(self, leg: int, samples: NDArray[np.int16]) -> None:
        """Write what a leg said to where control lets the others load it: three seconds at most.

        What cannot be written is a clip that only this worker has; control says so.
        """
        with (
            contextlib.suppress(OSError),
            wave.open(str(self._directory / f"{leg}.wav"), "wb") as out,
        ):
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(SAMPLE_RATE_HZ)
            out.writeframes(samples.tobytes())

    def receive(self, plane: Plane) -> None:
        """Hand what has come to the plane."""
        while True:  # bounded by what the socket's buffer holds
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            peer, last, sums = _read(memoryview(self._buffer)[:size])
            parts = self._parts.setdefault(peer, [])
            parts.append(sums)
            if last:
                del self._parts[peer]
                plane.links.put(peer, sums if len(parts) == 1 else _joined(parts), plane.counters)

    def send(self, plane: Plane, result: TickResult) -> None:
        """Give each peer what it is to get of this tick, also when nobody spoke."""
        for peer, sums in result.given:
            count = len(sums.group)
            for first in range(0, max(count, 1), GROUPS_MAX):
                part = slice(first, first + GROUPS_MAX)
                data = _written(self._index, sums, part, last=first + GROUPS_MAX >= count)
                try:
                    self._socket.sendto(data, str(self._directory / str(peer)))
                except OSError:  # it is being restarted, or so late that its buffer is full
                    plane.counters.add("link_send_failed", 1)


def _written(index: int, sums: Sums, part: slice, *, last: bool) -> bytes:
    group, frames = sums.group[part], sums.frames[part]
    head = _HEAD.pack(index, len(group), frames.shape[1], last)
    return b"".join((head, group.tobytes(), sums.voices[part].tobytes(), frames.tobytes()))


def _read(data: memoryview) -> tuple[int, bool, Sums]:
    peer, count, samples, last = _HEAD.unpack_from(data)
    numbers = np.frombuffer(data, np.int64, 2 * count, _HEAD.size)
    at = _HEAD.size + numbers.nbytes
    frames = np.frombuffer(data, np.int32, count * samples, at).reshape(count, samples)
    sums = Sums(numbers[:count].copy(), numbers[count:].copy(), frames.copy())
    return peer, bool(last), sums


def _joined(parts: list[Sums]) -> Sums:
    return Sums(
        np.concatenate([part.group for part in parts]),
        np.concatenate([part.voices for part in parts]),
        np.concatenate([part.frames for part in parts]),
    )
