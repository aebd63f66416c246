"""What the bridge adds to a voice's way: real sockets, from a packet sent to the same one heard.

Conferences of two, one talks. Every packet of a talker is unlike any other and passes bit-exact,
so the listener's packet names the talker's. Times of arrival are the kernel's.
"""

import asyncio
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import numpy as np

from bridge.bench.media import SERVER_CPU, beside
from bridge.link import LegOpened, OpenLeg, SetGroup, SetRemote, WorkerSettings
from bridge.net.batch import stamp
from bridge.units import FRAME_NS, FRAME_SAMPLES, NS_PER_MS, NS_PER_S
from bridge.worker_link import MediaWorker

_HOST: Final = "127.0.0.1"
_HEADER: Final = 12
_WARM_UP_S: Final = 1.0
_NS_STAMP: Final = struct.Struct("qq")


class Pair:
    """A talker and his listener: what was sent when, and what came when."""

    def __init__(self, phase_ns: int) -> None:
        self.talker, self.listener = _socket(), _socket()
        stamp(self.listener)
        self.phase_ns = phase_ns
        self.target = (_HOST, 0)
        self.sent: dict[bytes, int] = {}
        self.delays_ns: list[int] = []
        self.arrivals_ns: list[int] = []
        self._seq = 0

    def speak(self) -> None:
        """Send the next packet."""
        body = secrets.token_bytes(FRAME_SAMPLES)
        head = struct.pack("!BBHII", 0x80, 0, self._seq & 0xFFFF, self._seq * FRAME_SAMPLES, 1)
        self.sent[body] = time.time_ns()
        self.talker.sendto(head + body, self.target)
        self._seq += 1

    def listen(self) -> None:
        """Take what came to the listener, and throw away what came to the talker."""
        for data, arrived_ns in _received(self.listener):
            self.arrivals_ns.append(arrived_ns)
            begun = self.sent.pop(data[_HEADER:], None)
            if begun is not None:
                self.delays_ns.append(arrived_ns - begun)
        for _ in _received(self.talker):
            pass

    def close(self) -> None:
        """Close both sockets."""
        self.talker.close()
        self.listener.close()


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((_HOST, 0))
    sock.setblocking(False)
    return sock


def _received(sock: socket.socket) -> Iterator[tuple[bytes, int]]:
    """Yield datagrams with the kernel's time of arrival, 0 without one."""
    while True:
        try:
            data, ancillary, _, _ = sock.recvmsg(2_048, 64)
        except BlockingIOError:
            return
        seconds, nanos = _NS_STAMP.unpack(ancillary[0][2]) if ancillary else (0, 0)
        yield data, seconds * NS_PER_S + nanos


async def _join(worker: MediaWorker, leg: int, sock: socket.socket, group: int) -> int:
    host, port = sock.getsockname()
    opened = await worker.open_leg(OpenLeg(leg, host, port))
    assert isinstance(opened, LegOpened), opened
    worker.send(SetRemote(leg, "PCMU", 0, 101, 20, host, port, proven=True))
    worker.send(SetGroup(leg, group))
    return opened.port


def _talk(pairs: list[Pair], seconds: float) -> None:
    """Let every talker send each 20 ms, at his own phase; empty the sockets in between."""
    begun = time.monotonic_ns()
    due = sorted((begun + pair.phase_ns, n) for n, pair in enumerate(pairs))
    with selectors.DefaultSelector() as ready:
        for pair in pairs:
            ready.register(pair.listener, selectors.EVENT_READ, pair)
            ready.register(pair.talker, selectors.EVENT_READ, pair)
        for frame in range(int(seconds * NS_PER_S) // FRAME_NS):
            for at, n in due:
                while (left := at + frame * FRAME_NS - time.monotonic_ns()) > 0:
                    for key, _ in ready.select(left / NS_PER_S):
                        key.data.listen()
                pairs[n].speak()


def run(participants: int = 200, seconds: float = 10.0) -> dict[str, Any]:
    """Measure the delay that the bridge adds, without jitter in the network."""
    with beside():
        return asyncio.run(_measure(participants, seconds))


async def _measure(participants: int, seconds: float) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    count = participants // 2
    with ExitStack() as undo:
        pairs = [Pair(int(phase)) for phase in rng.integers(0, FRAME_NS, count)]
        for pair in pairs:
            undo.callback(pair.close)
        worker = await MediaWorker.start(
            WorkerSettings(host=_HOST), lambda _: None, print, cpu=SERVER_CPU
        )
        try:
            for n, pair in enumerate(pairs):
                port = await _join(worker, 2 * n, pair.talker, n)
                await _join(worker, 2 * n + 1, pair.listener, n)
                pair.target = (_HOST, port)
            await asyncio.to_thread(_talk, pairs, _WARM_UP_S)
            for pair in pairs:
                pair.sent.clear()
                pair.delays_ns.clear()
                pair.arrivals_ns.clear()
            await asyncio.to_thread(_talk, pairs, seconds)
        finally:
            await worker.stop()
        return _figures(participants, pairs)


def _figures(participants: int, pairs: list[Pair]) -> dict[str, Any]:
    delays = np.concatenate([np.array(pair.delays_ns) for pair in pairs]) / NS_PER_MS
    steps = np.concatenate([np.diff(np.array(pair.arrivals_ns)) for pair in pairs])
    off = np.abs(steps - FRAME_NS) / NS_PER_MS
    return {
        "participants": participants,
        "packets": len(delays),
        "delay_ms": _points(delays),
        "spacing_off_ms": _points(off),
    }


def _points(values: "np.ndarray[Any, np.dtype[np.float64]]") -> dict[str, float]:
    p50, p99 = np.percentile(values, (50, 99))
    return {
        "p50": round(float(p50), 2),
        "p99": round(float(p99), 2),
        "max": round(float(values.max()), 2),
    }
