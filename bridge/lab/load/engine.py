"""The RTP side of a crowd: one process, one 20 ms grid, arrays over the callers.

Runs as `python -m bridge.lab.load.engine FD`, so that SIP, verdicts and progress do not disturb
its pace. Knows callers by number; ends when its control socket closes.
"""

import contextlib
import os
import queue
import select
import sys
import threading
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.keys import KeySender
from bridge.lab.load.captures import Sampler
from bridge.lab.load.crowd import Crowd
from bridge.lab.load.streams import Streams
from bridge.lab.load.voices import TICKS_PER_S, frames
from bridge.lab.load.wire import Arrived, Wire
from bridge.priority import go_first, raise_files_limit
from bridge.units import FRAME_NS, FRAME_SAMPLES, NS_PER_S

SLICES: Final = 5
"""Parts of a tick in which the callers send, a fifth of them each."""

CATCH_UP_TICKS: Final = 3
HEADER_BYTES: Final = 12
EVENT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the process is told first.

    Attributes:
        host: this machine's address as the bridge sees it.
        conference, seat: (N,) where each caller sits; `talkers`: voices at one time there.
        amplitude: of one voice, int16 steps.
        sample: listeners examined each second; `seed`: they are drawn from it.
    """

    host: str
    conference: NDArray[np.int64]
    seat: NDArray[np.int64]
    talkers: int
    codec: str
    amplitude: float
    sample: int
    seed: int = 1

    @property
    def count(self) -> int:
        """How many callers there are."""
        return len(self.conference)


class Engine:
    """All callers' sockets, voices and statistics."""

    def __init__(self, connection: Connection, settings: EngineSettings) -> None:
        self.connection, self.settings = connection, settings
        self.wire = Wire(settings.host, settings.count, IPv4Address(settings.host).is_loopback)
        self.crowd = Crowd.new(settings.conference, settings.seat, settings.talkers)
        self.streams = Streams(settings.count)
        self.sampler = Sampler(self.crowd, settings.codec, settings.amplitude, settings.sample)
        self.sampler.draw = np.random.default_rng(settings.seed)
        self.frames = frames(settings.codec, settings.amplitude)
        self.keys: dict[int, KeySender] = {}
        self.tick = 0
        self.rows: NDArray[np.int64] = np.zeros(0, np.int64)
        """Callers that send, in order of rows on the wire."""
        self.stale = True
        self.size: NDArray[np.int64] = np.zeros(settings.count, np.int64)
        self.wall_ns = 0
        """Wall clock less monotonic clock: the kernel stamps by the first."""
        self.before = self.streams.received.copy()
        self.counters = dict.fromkeys(("tx", "send_failed", "late_ticks", "unknown", "odd"), 0)
        self.steady_seconds: NDArray[np.int64] = np.zeros(settings.count, np.int64)
        self.steady_packets: NDArray[np.int64] = np.zeros(settings.count, np.int64)
        self.steady_before: NDArray[np.bool_] = np.zeros(settings.count, np.bool_)
        self.cpu_ns = time.process_time_ns()
        self._said: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()

    def tell(self, number: int, value: object) -> None:
        """Say something to the other side, 0 unasked; never waits for it to listen."""
        self._said.put((number, value))

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the other side has gone: `run` sees it too
            while True:
                self.connection.send(self._said.get())

    # --- orders ---------------------------------------------------------------------------

    def obey(self, number: int, order: str, args: tuple[Any, ...]) -> None:
        """Carry out one order and answer it; `press` is answered when the last key was sent."""
        if order == "press":
            self.press(*args, number=number)
            return
        self.tell(number, getattr(self, f"do_{order}")(*args))

    def do_addresses(self) -> list[tuple[str, int]]:
        """Return where each caller receives."""
        return [(address.host, address.port) for address in self.wire.address]

    def do_connect(
        self, caller: int, destination: int, payload_type: int, dtmf_type: int, steady_ns: int
    ) -> None:
        """Let a caller send from now on; he is judged from `steady_ns` on."""
        self.streams.begin(caller)
        self.do_retarget(caller, destination, payload_type, dtmf_type)
        self.crowd.begin(caller, steady_ns, np.frombuffer(os.urandom(10), np.uint8))

    def do_retarget(self, caller: int, destination: int, payload_type: int, dtmf_type: int) -> None:
        """Say where and how a caller sends: what a re-INVITE changes."""
        crowd = self.crowd
        crowd.destination[caller] = destination
        crowd.payload_type[caller], crowd.dtmf_type[caller] = payload_type, dtmf_type
        self.stale = True

    def do_steady(self, caller: int, steady_ns: int) -> None:
        """Judge a caller from another time on."""
        self.crowd.steady_ns[caller] = steady_ns

    def do_stop(self, caller: int) -> None:
        """End a caller's stream."""
        self.crowd.end(caller)
        self.steady_before[caller] = False
        keys = self.keys.pop(caller, None)
        for _, number in keys.waiting if keys else ():
            if number:
                self.tell(number, False)
        self.stale = True

    def press(self, caller: int, digits: str, *, number: int) -> None:
        """Queue keys; answered when they are sent, at once when the caller cannot send."""
        crowd = self.crowd
        if not crowd.sending[caller] or crowd.dtmf_type[caller] < 0:
            self.tell(number, False)
            return
        self.keys.setdefault(caller, KeySender()).press(digits, number)

    def do_totals(self) -> dict[str, Any]:
        """Return each caller's totals and the engine's."""
        streams = self.streams
        return {
            "received": streams.received.tolist(),
            "lost": (streams.lost + streams.losses()).tolist(),
            "late": streams.late.tolist(),
            "gaps": streams.gaps.tolist(),
            "jitter_ms": (streams.jitter / 1e6).round(3).tolist(),
            "steady_seconds": self.steady_seconds.tolist(),
            "steady_packets": self.steady_packets.tolist(),
            **self.counters,
        }

    # --- sending --------------------------------------------------------------------------

    def begin_tick(self) -> None:
        """Decide what everybody says in this tick."""
        now_ns = time.monotonic_ns()
        self.crowd.turn(self.tick, now_ns)
        if self.stale:
            self.stale = False
            self.rows = np.flatnonzero(self.crowd.sending)
            self.wire.arrange(self.rows, self.crowd.destination[self.rows])
        rows, crowd, data = self.rows, self.crowd, self.wire.data
        count = len(rows)
        if not count:
            return
        voice = crowd.voice(self.tick)[rows]
        data[:count, HEADER_BYTES : HEADER_BYTES + FRAME_SAMPLES] = self.frames[
            voice, self.tick % TICKS_PER_S
        ]
        head = data[:count, :HEADER_BYTES].view(">u4")
        head[:, 0] = 0x8000_0000 | crowd.payload_type[rows] << 16 | crowd.seq[rows]
        head[:, 1] = crowd.ts[rows]
        head[:, 2] = crowd.ssrc[rows]
        self.size[:count] = HEADER_BYTES + FRAME_SAMPLES
        if self.keys:
            self._put_keys(head)
        crowd.seq[rows] = (crowd.seq[rows] + 1) & 0xFFFF
        crowd.ts[rows] = (crowd.ts[rows] + FRAME_SAMPLES) & 0xFFFF_FFFF

    def _put_keys(self, head: NDArray[np.uint32]) -> None:
        """Put the keys that are being pressed in place of voices (RFC 4733)."""
        for caller, sender in list(self.keys.items()):  # bound: who keys just now
            row = int(np.searchsorted(self.rows, caller))
            packet, order = sender.next_frame()
            if packet is not None:
                kind = int(self.crowd.dtmf_type[caller]) | (0x80 if packet.marker else 0)
                head[row, 0] = 0x8000_0000 | kind << 16 | int(self.crowd.seq[caller])
                head[row, 1] = (int(self.crowd.ts[caller]) - packet.ts_back) & 0xFFFF_FFFF
                end = HEADER_BYTES + EVENT_BYTES
                self.wire.data[row, HEADER_BYTES:end] = np.frombuffer(packet.payload, np.uint8)
                self.size[row] = end
            if order:
                self.tell(order, True)
            if not sender.busy:
                del self.keys[caller]

    def send_slice(self, part: int) -> None:
        """Send a part of this tick's packets."""
        count = len(self.rows)
        first, end = count * part // SLICES, count * (part + 1) // SLICES
        if end > first:
            self.crowd.sent_ns[self.rows[first:end]] = time.monotonic_ns()
            lost = self.wire.send(first, end, self.size[first:end])
            self.counters["tx"] += end - first - lost
            self.counters["send_failed"] += lost

    # --- receiving ------------------------------------------------------------------------

    def receive(self) -> None:
        """Take what has come to everybody."""
        arrived = self.wire.receive()
        if len(arrived.caller):
            self._take(arrived)
        self.wire.drain_rtcp()

    def _take(self, arrived: Arrived) -> None:
        crowd = self.crowd
        caller = np.clip(arrived.caller, 0, self.settings.count - 1)
        kind = arrived.data[:, 1] & 0x7F
        good = (
            (arrived.caller == caller)
            & crowd.sending[caller]
            & (arrived.source == crowd.destination[caller])
            & (arrived.data[:, 0] == 0x80)
            & (kind == crowd.payload_type[caller])
        )
        odd = good & (arrived.length != HEADER_BYTES + FRAME_SAMPLES)
        self.counters["odd"] += int(odd.sum())
        self.counters["unknown"] += int((~good).sum())
        at = np.flatnonzero(good & ~odd)
        caller = caller[at]
        head = arrived.data[at, :HEADER_BYTES].view(">u4").astype(np.int64)
        came_ns = arrived.came_ns[at] - self.wall_ns
        seq = head[:, 0] & 0xFFFF
        self.streams.take(caller, seq, head[:, 1], head[:, 2], came_ns)
        self.sampler.take(caller, seq, came_ns, arrived.data, at)

    # --- the grid -------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the other side closes its end."""
        poller = select.poll()
        poller.register(self.connection.fileno(), select.POLLIN)
        due_ns = time.monotonic_ns()
        part = 0
        while True:
            wait_ns = max(due_ns - time.monotonic_ns(), 0)
            if poller.poll(wait_ns / 1e6):
                try:
                    self.obey(*self.connection.recv())
                except (EOFError, ConnectionResetError, BrokenPipeError):
                    return
            now_ns = time.monotonic_ns()
            if now_ns < due_ns:
                continue
            if part == 0:
                due_ns = self._start_tick(now_ns, due_ns)
            self.send_slice(part)
            part = (part + 1) % SLICES
            due_ns += FRAME_NS // SLICES
            if part == 0:
                self._end_tick()

    def _start_tick(self, now_ns: int, due_ns: int) -> int:
        """Begin a tick; a few late ones are made up for, more are lost, as a phone would."""
        behind = (now_ns - due_ns) // FRAME_NS
        if behind:
            self.counters["late_ticks"] += behind
        if behind > CATCH_UP_TICKS:
            # A key under way keeps its timestamp (RFC 4733 §2.3): moved, it would be two keys.
            rows = self.rows[~np.isin(self.rows, list(self.keys))]
            self.crowd.ts[rows] = (self.crowd.ts[rows] + behind * FRAME_SAMPLES) & 0xFFFF_FFFF
            self.tick += behind
            self.sampler.drop()
            due_ns += behind * FRAME_NS
        self.wall_ns = time.time_ns() - time.monotonic_ns()
        self.begin_tick()
        return due_ns

    def _end_tick(self) -> None:
        self.receive()
        for capture in self.sampler.step(self.tick, time.monotonic_ns()):
            self.tell(0, capture)
        self.tick += 1
        if self.tick % TICKS_PER_S == 0:
            self.tell(0, self.second())

    def second(self) -> dict[str, Any]:
        """Return what the last second was like, and begin the next."""
        streams, now_ns = self.streams, time.monotonic_ns()
        steady = self.crowd.steady(now_ns)
        whole = steady & self.steady_before
        packets = streams.received - self.before
        self.before = streams.received.copy()
        self.steady_before = steady
        self.steady_seconds += whole
        self.steady_packets[whole] += packets[whole]
        rates = packets[whole]
        cpu_ns = time.process_time_ns()
        result = {
            "at_ns": now_ns,
            "sending": int(self.crowd.sending.sum()),
            "steady": int(whole.sum()),
            "packets": int(packets.sum()),
            "pps_min": int(rates.min(initial=1 << 30)) if len(rates) else 0,
            "pps_mean": round(float(rates.mean()), 2) if len(rates) else 0.0,
            "silent": int((rates == 0).sum()),
            "lost": int(np.sum(streams.lost + streams.losses())),
            "late": int(streams.late.sum()),
            "gaps": int(streams.gaps.sum()),
            "gap_ms_max": round(float(streams.gap_ns[whole].max(initial=0)) / 1e6, 1),
            "jitter_ms": round(float(streams.jitter[whole].mean()) / 1e6, 2) if len(rates) else 0.0,
            "cpu_cores": round((cpu_ns - self.cpu_ns) / NS_PER_S, 3),
            **self.counters,
        }
        self.cpu_ns = cpu_ns
        streams.reset_gaps()
        return result


def main() -> None:
    """Run the engine on the control socket that was handed over."""
    raise_files_limit()
    go_first()  # its pace is the callers' pace
    connection = Connection(int(sys.argv[1]))
    try:
        settings = connection.recv()
        engine = Engine(connection, settings)
    except OSError as error:
        connection.send((0, f"{error}"))
        return
    connection.send((0, ""))
    engine.run()


if __name__ == "__main__":
    main()
