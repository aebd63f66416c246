"""The RTP side of all vector callers: one process, one 20 ms grid, arrays over the callers.

Runs as `python -m bridge.lab.rtp_engine FD` beside the lab, so that neither the bridge nor the
verdicts disturb its pace. Knows callers as row numbers; ends when its control socket closes.
"""

import contextlib
import heapq
import itertools
import os
import select
import socket
import struct
import sys
import time
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bridge.lab.capture import Capture, Packet
from bridge.lab.cutter import Cutter, Piece
from bridge.lab.keys import KeySender
from bridge.lab.network import Impairment, Line
from bridge.lab.recording import RING_FRAMES, Recording
from bridge.lab.rtp_rows import ROWS_MAX, Callers, Probe
from bridge.lab.voice import SILENCE_CODE, TONE_DBFS, encode, tone_codes
from bridge.lab.wideband import Mouth, clock_steps
from bridge.media import codecs
from bridge.priority import go_first, raise_files_limit
from bridge.units import FRAME_MS, FRAME_NS, FRAME_SAMPLES, SAMPLE_RATE_HZ

WATCHED_MAX: Final = 64
"""Up to here a packet's arrival is timed at once; larger crowds are drained each tick."""

CATCH_UP_FRAMES: Final = 3
DRAIN_MAX: Final = 64
HEADER: Final = struct.Struct("!BBHII")
CODECS: Final = ("PCMU", "PCMA")
DATAGRAM_BYTES: Final = 2_048
MARKER: Final = 0x80
LATER: Final = ("press", "probe")
"""Orders that are answered when they have been carried out, a few frames on."""


class Engine:
    """All callers' sockets, voices and recordings."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.callers = Callers()
        self.sockets: dict[int, socket.socket] = {}
        self.remotes: dict[int, tuple[str, int]] = {}
        self.keys: dict[int, KeySender] = {}
        self.mouths: dict[int, Mouth] = {}
        """Wideband callers' coders, by row."""
        self.recordings: dict[int, Recording] = {}
        self.lines: dict[int, Line] = {}
        self.cutters: dict[int, Cutter] = {}
        """Of callers whose packets are not of 20 ms."""
        self.capture = Capture()
        self.captured: dict[int, tuple[str, int]] = {}
        """The own address of each row whose packets are kept: not those of crowds."""
        self.under_way: list[tuple[int, int, int, bytes]] = []
        """Packets on bad lines: when each arrives, a number that keeps order, row, bytes."""
        self.sent_ns: dict[int, int] = {}
        """When the last packet of each row is sent: none is sent before it, held as we may be."""
        self.numbers = itertools.count()
        self.sounds: dict[int, NDArray[np.int16]] = {}
        """(n, 160) int16 of who speaks instead of sounding a tone."""
        self.probes: dict[int, Probe] = {}
        self.spoke: set[int] = set()
        """Who has sent sound since he last said nothing."""
        self.begun: dict[int, int] = {}
        """RTP timestamp at which such a caller began."""
        self.free = list(range(ROWS_MAX - 1, -1, -1))
        self.poller = select.poll()
        self.row_of_fd: dict[int, int] = {}
        self.ticks = 0
        self.counters = dict.fromkeys(
            ("rx", "tx", "rx_event", "rx_short", "rx_other_source", "send_failed", "late_ticks"), 0
        )
        codes = [tone_codes(codec) for codec in CODECS]
        silence = [np.full(SAMPLE_RATE_HZ, SILENCE_CODE[codec], np.uint8) for codec in CODECS]
        self.walks: NDArray[np.uint8] = np.stack([*codes, *silence])
        """(4, 8000) codes: a tone of each codec, then silence of each."""

    # --- orders of the lab ----------------------------------------------------------------

    def obey(self, number: int, order: str, args: tuple[Any, ...]) -> None:
        """Carry out one order and answer it; those of `LATER` answer themselves."""
        later = order in LATER
        result = getattr(self, f"do_{order}")(*args, *((number,) if later else ()))
        if not later:
            self.connection.send((number, result))

    def do_open(self, host: str, ring_frames: int, ptime_ms: int) -> tuple[int, str, int]:
        """Give a caller a row and an RTP port of his own."""
        row = self.free.pop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        sock.setblocking(False)
        self.sockets[row] = sock
        self.recordings[row] = Recording(ring_frames or RING_FRAMES)
        self.keys[row] = KeySender()
        if not ring_frames:
            self.captured[row] = sock.getsockname()
        callers = self.callers
        self.do_voice(row, 0, TONE_DBFS, True)
        if ptime_ms != FRAME_MS:
            self.cutters[row] = Cutter(ptime_ms)
        seed = os.urandom(10)
        callers.seq[row] = int.from_bytes(seed[:2])
        callers.ts[row] = int.from_bytes(seed[2:6])
        callers.ssrc[row] = int.from_bytes(seed[6:10])
        self.row_of_fd[sock.fileno()] = row
        if len(self.sockets) <= WATCHED_MAX:
            self.poller.register(sock, select.POLLIN)
        return row, *sock.getsockname()

    def do_remote(
        self, row: int, host: str, port: int, codec: str, payload_type: int, dtmf_type: int
    ) -> None:
        """Say where and how the caller sends from now on."""
        self.remotes[row] = (host, port)
        if codec in CODECS:
            self.callers.codec[row] = CODECS.index(codec)
        elif self.recordings[row].wide_type != payload_type:
            frames = self.recordings[row].ring_frames
            self.mouths[row] = Mouth(codec)
            self.recordings[row] = Recording(frames, codec, payload_type)
        self.callers.clock_steps[row] = self.keys[row].clock_steps = clock_steps(codec)
        self.callers.payload_type[row] = payload_type
        self.callers.dtmf_type[row] = dtmf_type
        self.callers.sending[row] = bool(host)

    def do_voice(self, row: int, tone_hz: int, dbfs: float, sends: bool) -> None:
        """Say what the caller says: a tone, silence with 0, or nothing at all."""
        callers = self.callers
        callers.tone_hz[row], callers.dbfs[row], callers.quiet[row] = tone_hz, dbfs, not sends
        self.sounds.pop(row, None)

    def do_sound(self, row: int, pcm: bytes) -> None:
        """Let the caller say these int16 samples, whole frames, again and again."""
        self.do_voice(row, 0, TONE_DBFS, True)
        self.sounds[row] = np.frombuffer(pcm, np.int16).reshape(-1, FRAME_SAMPLES)
        self.begun[row] = int(self.callers.ts[row])

    def do_probe(self, row: int, pcm: bytes, number: int) -> None:
        """Let the caller say samples once; answered when the first frame goes out."""
        if self.callers.sending[row]:
            frames = np.frombuffer(pcm, np.int16).reshape(-1, FRAME_SAMPLES)
            self.probes[row] = Probe(frames, number)
        else:
            self.connection.send((number, 0))

    def do_packet_ms(self, row: int) -> int:
        """Return how much sound the last packet held that the caller received, 0 for none."""
        return self.recordings[row].packet_ms

    def do_impair(self, row: int, impairment: Impairment, seed: str) -> None:
        """Send the caller's packets over a bad network from now on."""
        self.lines[row] = Line(impairment, seed)

    def do_sending(self, row: int, on: bool) -> None:
        """Stop or resume sending packets."""
        self.callers.sending[row] = on
        if not on:
            self.spoke.discard(row)
            self._drop_keys(row)

    def do_press(self, row: int, digits: str, number: int) -> None:
        """Queue keys; answered when they are sent, at once when the caller cannot send."""
        if not self.callers.sending[row] or self.callers.dtmf_type[row] < 0:
            self.connection.send((number, False))
            return
        self.keys[row].press(digits, number)

    def do_window(self, row: int, from_ns: int, to_ns: int) -> tuple[bytes, bytes, int]:
        """Return what the caller received in a span: samples, one byte a frame, and the rate."""
        window = self.recordings[row].window(from_ns, to_ns)
        return window.pcm.tobytes(), window.present.tobytes(), window.rate_hz

    def do_close(self, row: int) -> None:
        """End a caller's stream and free his row."""
        sock = self.sockets.pop(row, None)
        if sock is None:
            return
        self.callers.sending[row] = False
        with contextlib.suppress(KeyError):  # not every socket of a crowd is watched
            self.poller.unregister(sock)
        del self.row_of_fd[sock.fileno()]
        sock.close()
        self.remotes.pop(row, None)
        self.captured.pop(row, None)
        self.lines.pop(row, None)
        self.cutters.pop(row, None)
        self.spoke.discard(row)
        self.sent_ns.pop(row, None)
        self.under_way = [packet for packet in self.under_way if packet[2] != row]
        heapq.heapify(self.under_way)
        self._drop_keys(row)
        self.sounds.pop(row, None)
        del self.recordings[row], self.keys[row]
        self.mouths.pop(row, None)
        self.callers.clock_steps[row] = 1
        self.free.append(row)

    def _drop_keys(self, row: int) -> None:
        for number, done in self.keys[row].drop():
            self.connection.send((number, done))
        probe = self.probes.pop(row, None)
        if probe is not None and not probe.said:
            self.connection.send((probe.order, 0))

    def do_counters(self) -> dict[str, int]:
        """Return totals since start."""
        return {**self.counters, "ticks": self.ticks, "callers": len(self.sockets)}

    def do_begin_capture(self) -> None:
        """Keep the packets of callers from now on; what was kept is forgotten."""
        self.capture.begin()

    def do_end_capture(self, wanted: bool) -> tuple[list[Packet], int]:
        """Return what was kept, and how many had no room; nothing when it is not wanted."""
        taken = self.capture.take()
        return taken if wanted else ([], 0)

    def _keep(self, row: int, remote: tuple[str, int], payload: bytes, *, sent: bool) -> None:
        own = self.captured.get(row)
        if own is not None:
            self.capture.add(Packet(time.monotonic_ns(), own, remote, sent, payload))

    # --- the grid -------------------------------------------------------------------------

    def tick(self) -> None:
        """Send one frame of every caller; more or none of one whose clock drifts."""
        self.ticks += 1
        rows = np.flatnonzero(self.callers.sending)
        if not self.lines:
            self._send_frames(rows)
            return
        counts = np.array([self._frames_due(row) for row in rows.tolist()], np.int64)
        # bound: a clock that drifts by 2 % is never two frames off in one
        for count in range(1, 3):
            self._send_frames(rows[counts >= count])

    def _frames_due(self, row: int) -> int:
        line = self.lines.get(row)
        return line.frames() if line else 1

    def _send_frames(self, rows: NDArray[np.int64]) -> None:
        callers = self.callers
        if not len(rows):
            return
        frames = self._frames(rows)
        plain = []
        for index, row in enumerate(rows.tolist()):
            if self.keys[row].busy:
                self._send_key_frame(row, self._said(row, frames[index]))
            else:
                plain.append((row, index))
        for row, index in plain:
            self._send(row, self._said(row, frames[index]))
        callers.ts[rows] += np.uint32(FRAME_SAMPLES) * callers.clock_steps[rows]

    def _said(self, row: int, frame: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.int16]:
        """Return what a caller says in this frame: codes, or samples of a wideband caller."""
        callers = self.callers
        if (probe := self.probes.get(row)) is not None:
            return encode(self._probed(row, probe), CODECS[callers.codec[row]])
        if (sound := self.sounds.get(row)) is not None:
            at = (int(callers.ts[row]) - self.begun[row]) % (1 << 32) // FRAME_SAMPLES % len(sound)
            return encode(sound[at], CODECS[callers.codec[row]])
        if (mouth := self.mouths.get(row)) is not None:
            return mouth.frame(int(callers.tone_hz[row]), float(callers.dbfs[row]))
        if callers.dbfs[row] != TONE_DBFS:
            codes = tone_codes(CODECS[callers.codec[row]], float(callers.dbfs[row]))
            steps = int(callers.ts[row]) + np.arange(FRAME_SAMPLES)
            return np.asarray(codes[int(callers.tone_hz[row]) * steps % SAMPLE_RATE_HZ])
        return frame

    def _frames(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, 160) codes: what each of the callers says in this frame."""
        callers = self.callers
        at = callers.ts[rows, None].astype(np.int64) + np.arange(FRAME_SAMPLES)
        steps = callers.tone_hz[rows, None] * at % SAMPLE_RATE_HZ
        walk = callers.codec[rows] + np.where(callers.tone_hz[rows] == 0, len(CODECS), 0)
        frames: NDArray[np.uint8] = self.walks[walk[:, None], steps]
        return frames

    def _probed(self, row: int, probe: Probe) -> NDArray[np.int16]:
        """Return the next frame of a probe."""
        if not probe.said:
            self.connection.send((probe.order, time.monotonic_ns()))
        frame: NDArray[np.int16] = probe.frames[probe.said]
        probe.said += 1
        if probe.said == len(probe.frames):
            del self.probes[row]
        return frame

    def _send(self, row: int, said: NDArray[np.uint8] | NDArray[np.int16]) -> None:
        """Send a frame, or keep it until there is a packet of it."""
        callers = self.callers
        if callers.quiet[row] and row not in self.probes:
            self.spoke.discard(row)
            return
        cutter, ts = self.cutters.get(row), int(callers.ts[row])
        pieces = (
            [Piece(ts, said, 0)]
            if cutter is None
            else cutter.add(ts, said, int(callers.clock_steps[row]))
        )
        for piece in pieces:
            kind = int(callers.payload_type[row])
            if row not in self.spoke:  # a talkspurt begins (RFC 3551 §4.1)
                kind |= MARKER
                self.spoke.add(row)
            payload = self._payload(row, piece.samples)
            self._put_on_wire(row, kind, piece.ts, payload, late_ns=piece.late_ns)

    def _payload(self, row: int, said: NDArray[Any]) -> bytes:
        mouth = self.mouths.get(row)
        return mouth.payload(said) if mouth else said.tobytes()

    def _send_key_frame(self, row: int, frame: NDArray[np.uint8] | NDArray[np.int16]) -> None:
        packet, order = self.keys[row].next_frame()
        if packet is None:
            self._send(row, frame)
        else:
            kind = int(self.callers.dtmf_type[row]) | (MARKER if packet.marker else 0)
            ts = (int(self.callers.ts[row]) - packet.ts_back) % (1 << 32)
            self._put_on_wire(row, kind, ts, packet.payload)
        if order:
            self.connection.send((order, True))

    def _put_on_wire(
        self, row: int, kind: int, ts: int, payload: bytes, *, late_ns: int = 0
    ) -> None:
        callers = self.callers
        header = HEADER.pack(0x80, kind, int(callers.seq[row]), ts, int(callers.ssrc[row]))
        callers.seq[row] = (int(callers.seq[row]) + 1) % (1 << 16)
        line = self.lines.get(row)
        now_ns = time.monotonic_ns()
        sent_ns = self.sent_ns[row] = max(now_ns + late_ns, self.sent_ns.get(row, 0))
        if line is None and sent_ns == now_ns:
            self._arrive()  # what is due of his goes before
            self._deliver(row, header + payload)
            return
        due = line.arrivals(len(header) + len(payload), sent_ns) if line else (sent_ns,)
        for due_ns in due:
            packet = (due_ns, next(self.numbers), row, header + payload)
            heapq.heappush(self.under_way, packet)

    def _arrive(self) -> None:
        """Deliver the packets of bad lines whose time has come."""
        now_ns = time.monotonic_ns()
        while self.under_way and self.under_way[0][0] <= now_ns:
            _, _, row, packet = heapq.heappop(self.under_way)
            self._deliver(row, packet)

    def _deliver(self, row: int, packet: bytes) -> None:
        try:
            self.sockets[row].sendto(packet, self.remotes[row])
            self._keep(row, self.remotes[row], packet, sent=True)
            self.counters["tx"] += 1
        except OSError:  # a full buffer or a port that is gone: what a network loses
            self.counters["send_failed"] += 1

    # --- receiving ------------------------------------------------------------------------

    def receive(self, row: int) -> None:
        """Take what has come for one caller."""
        sock, recording = self.sockets[row], self.recordings[row]
        # bound: what one call may take before others get their turn
        for _ in range(DRAIN_MAX):
            try:
                data, source = sock.recvfrom(DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:  # ICMP says that the other side's port is gone
                continue
            self._keep(row, source, data, sent=False)
            self._take(data, source == self.remotes.get(row), recording)

    def _take(self, data: bytes, expected: bool, recording: Recording) -> None:
        if len(data) <= HEADER.size or data[0] >> 6 != 2:
            self.counters["rx_short"] += 1
            return
        _, kind, _, ts, ssrc = HEADER.unpack_from(data)
        kind &= 0x7F
        if not expected:
            self.counters["rx_other_source"] += 1
        elif not recording.takes(kind):
            self.counters["rx_event"] += 1
        else:
            self.counters["rx"] += 1
            skip = HEADER.size + 4 * (data[0] & 15)
            recording.put(
                ts=ts,
                ssrc=ssrc,
                payload_type=kind,
                payload=data[skip:],
                now_ns=time.monotonic_ns(),
            )

    def run(self) -> None:
        """Serve until the lab closes its end."""
        control = self.connection.fileno()
        self.poller.register(control, select.POLLIN)
        next_ns = time.monotonic_ns()
        while True:
            due_ns = min([next_ns, *(packet[0] for packet in self.under_way[:1])])
            wait_ns = max(due_ns - time.monotonic_ns(), 0)
            for fd, _ in self.poller.poll(wait_ns / 1e6):
                if fd == control:
                    try:
                        self.obey(*self.connection.recv())
                    except (EOFError, ConnectionResetError, BrokenPipeError):
                        return
                elif fd in self.row_of_fd:
                    self.receive(self.row_of_fd[fd])
            self._arrive()
            now_ns = time.monotonic_ns()
            if now_ns >= next_ns:
                next_ns = self._keep_pace(now_ns, next_ns)

    def _keep_pace(self, now_ns: int, due_ns: int) -> int:
        """Tick; a few late frames are made up for, more are lost, as a phone would."""
        behind = (now_ns - due_ns) // FRAME_NS
        if behind > CATCH_UP_FRAMES:
            self.counters["late_ticks"] += behind
            skips = self.callers.sending.copy()
            # A key under way keeps its timestamp (RFC 4733 §2.3): moved, it would be two keys.
            skips[[row for row, keys in self.keys.items() if keys.busy]] = False
            skipped = np.uint32(behind * FRAME_SAMPLES)
            self.callers.ts[skips] += skipped * self.callers.clock_steps[skips]
            due_ns += behind * FRAME_NS
        self.tick()
        if len(self.sockets) > WATCHED_MAX:
            for row in list(self.sockets):
                self.receive(row)
        return due_ns + FRAME_NS


def main() -> None:
    """Run the engine on the control socket that the lab handed over."""
    raise_files_limit()
    codecs.load()
    go_first()  # its pace is the callers' pace
    Engine(Connection(int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
