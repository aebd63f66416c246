"""Many callers from one socket, each with an address of its own in 127.1.0.0/16, each talking.

    python -m bridge.bench.callers PORT

Reads one line of JSON, `{"ports": [...], "codec": "PCMU", "phase_ns": 0}` with the server ports in
order of the callers, then sends every caller's packet each 20 ms, in slices spread over it: noise
in G.711, speech in the others, everybody at another place of it. The first slice goes `phase_ns`
after a tick of the media workers is due; null is at once. At each further line it writes one line
of JSON, what was received since the last, and by how much a slice was late at worst: what a bridge
gets all at once it does all at once. At the end of its standard input it ends.
"""

import json
import select
import socket
import sys
import time

import numpy as np
from numpy.typing import NDArray

from bridge.bench.speech import Payloads, payloads_of
from bridge.net.batch import Batch
from bridge.units import FRAME_NS, FRAME_SAMPLES, NS_PER_MS, NS_PER_S
from bridge.worker_grid import Grid

SLICES = 5
_ROW_BYTES = 12 + FRAME_SAMPLES
_ROWS = 8_192
_FIRST_HOST = 0x7F01_0001


def host_of(caller: int) -> str:
    """Return the address of a caller.

    >>> host_of(0), host_of(300)
    ('127.1.0.1', '127.1.1.45')
    """
    return socket.inet_ntoa((_FIRST_HOST + caller).to_bytes(4, "big"))


class Tally:
    """Packets received, by stream, counted as they come.

    To count a minute of 2,000 streams all at once takes half a second, in which nobody talks.
    """

    def __init__(self) -> None:
        self._streams: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, seen: NDArray[np.uint32]) -> None:
        """Count packets, each named by its stream."""
        at = np.searchsorted(self._streams, seen)
        known = len(self._streams)
        if known == 0 or (self._streams.take(at, mode="clip") != seen).any():
            streams = np.union1d(self._streams, seen)
            counts = np.zeros(len(streams), np.int64)
            counts[np.searchsorted(streams, self._streams)] = self._counts
            self._streams, self._counts = streams, counts
            at = np.searchsorted(streams, seen)
        self._counts += np.bincount(at, minlength=len(self._counts))

    def take(self) -> dict[str, int]:
        """Return streams, packets and those of the least stream since the last time.

        >>> tally = Tally()
        >>> tally.add(np.array([7, 5, 7], np.uint32))
        >>> tally.take(), tally.take()
        ({'streams': 2, 'packets': 3, 'least': 1}, {'streams': 0, 'packets': 0, 'least': 0})
        """
        counts = self._counts[self._counts > 0]
        self._counts = np.zeros_like(self._counts)
        least = int(counts.min()) if len(counts) else 0
        return {"streams": len(counts), "packets": int(counts.sum()), "least": least}


class Callers:
    """All callers: what they send next, and who received how much."""

    def __init__(self, sock: socket.socket, ports: list[int], voice: Payloads) -> None:
        count = len(ports)
        self._socket, self._voice = sock, voice
        self._rx = Batch(np.zeros((_ROWS, _ROW_BYTES), np.uint8), at=0)
        data = np.zeros((count, 12 + voice.data.shape[1]), np.uint8)
        self._data = data
        self._tx = Batch(data, at=0)
        self._tx.send_from(np.arange(_FIRST_HOST, _FIRST_HOST + count, dtype=np.uint32))
        loopback = int.from_bytes(socket.inet_aton("127.0.0.1"), "little")
        port = np.array(ports, ">u2").view("<u2").astype(np.uint64)
        self._tx.source[:] = port << np.uint64(16) | np.uint64(int(socket.AF_INET) | loopback << 32)
        self._head = data[:, :12].view(">u4")
        self._head[:, 2] = np.arange(count)
        rng = np.random.default_rng(1)
        self._place = rng.integers(0, len(voice.data), count)
        if voice.noise:
            data[:, 12:] = rng.integers(0, 256, (count, FRAME_SAMPLES))
        self._edges = np.linspace(0, count, SLICES + 1).astype(int).tolist()
        self._tally = Tally()
        self._late_ns = 0

    def sleep_until(self, due_ns: int) -> None:
        """Wait until the next slice is due, unless it is late."""
        early_ns = due_ns - time.monotonic_ns()
        if early_ns > 0:
            time.sleep(early_ns / NS_PER_S)
        self._late_ns = max(self._late_ns, time.monotonic_ns() - due_ns)

    def send(self, number: int) -> None:
        """Send slice `number`: slices of one frame carry the same sequence number."""
        seq, part = divmod(number, SLICES)
        first, end = self._edges[part : part + 2]
        voice = self._voice
        self._head[first:end, 0] = 0x8000_0000 | voice.payload_type << 16 | seq & 0xFFFF
        self._head[first:end, 1] = seq * FRAME_SAMPLES * voice.clock_steps & 0xFFFF_FFFF
        if not voice.noise:
            frame = (self._place[first:end] + seq) % len(voice.data)
            self._data[first:end, 12:] = voice.data[frame]
            self._tx.size[first:end] = 12 + voice.size[frame]
        self._tx.send(self._socket, first, end - first)

    def receive(self) -> None:
        """Take what has come."""
        while got := self._rx.receive(self._socket, 0, limit=_ROWS):
            self._tally.add(self._rx.data[:got, 8:12].copy().view("<u4").ravel())

    def report(self) -> dict[str, int]:
        """Return what was received since the last report, and how late a slice was at worst."""
        late_ns, self._late_ns = self._late_ns, 0
        return {**self._tally.take(), "late_ms": round(late_ns / NS_PER_MS)}


def main(port: int) -> int:
    """Talk until standard input ends."""
    # Unbuffered: a request that came with the first line must still be seen by `select`.
    orders = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115  # open until the end
    order = json.loads(orders.readline())
    voice = payloads_of(order["codec"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for option in (32, 33):  # SO_SNDBUFFORCE, SO_RCVBUFFORCE
            sock.setsockopt(socket.SOL_SOCKET, option, 64 << 20)
        sock.bind(("0.0.0.0", port))
        sock.setblocking(False)
        callers = Callers(sock, order["ports"], voice)
        due = time.monotonic_ns()
        if (phase_ns := order["phase_ns"]) is not None:
            due = Grid(due).due_ns + phase_ns
            callers.sleep_until(due)
        number = 0
        while True:
            callers.send(number)
            callers.receive()
            if select.select([orders], [], [], 0)[0]:
                if not orders.readline():
                    return 0
                print(json.dumps(callers.report()), flush=True)
            number += 1
            due += FRAME_NS // SLICES
            callers.sleep_until(due)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
