"""The media worker process: RTP sockets, the 20 ms clock and the link to control around a plane.

It knows slots, ports and groups, never who a caller is. It ends when its control socket closes.
A tick that is late never bursts: ticks that could not run are skipped and counted, and the next
one is on the grid again.
"""

import argparse
import gc
import heapq
import os
import secrets
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bridge import link, prompts
from bridge.errors import InputError
from bridge.media import codecs, rtcp, rtp, tones, voice
from bridge.media.plays import Clips
from bridge.media.shape import HEADER_AT, LEGS_MAX, ROW_BYTES, SPILL_BYTES
from bridge.media.tick import PORTS_MAX, Plane, Remote, TickResult
from bridge.net.batch import BATCH_MAX, Batch
from bridge.net.hosts import Addresses
from bridge.net.rtp_ports import RtpPorts
from bridge.priority import go_first, raise_files_limit
from bridge.units import FRAME_SAMPLES, NS_PER_MS, NS_PER_S
from bridge.worker_capture import WorkerCapture
from bridge.worker_grid import Grid, TickTimes
from bridge.worker_mesh import Mesh
from bridge.worker_recorder import Recorder
from bridge.worker_recordings import RecordingFiles
from bridge.worker_rtcp import RtcpLink

PACKETS_MAX: Final = 8_192
"""Datagrams taken in one tick; the rest waits in the sockets."""

REPLIES_MAX: Final = 100_000
"""Messages waiting for control; a control process so far behind is dead."""

LEVEL_TICKS: Final = 10
"""Ticks between two `Levels`: 200 ms."""

_HOLD_MIN_NS: Final = 50_000
"""What a sleep can resolve: packets held for less leave at once."""


@dataclass(slots=True)
class Leg:
    """What the shell keeps of an open leg."""

    number: int
    slot: int
    port: int


class Worker:
    """One media worker: carries out the messages of `bridge.link` on a plane."""

    def __init__(self, control: socket.socket, clips: Clips) -> None:
        self._control, self._clips = control, clips
        control.setblocking(False)
        self._replies: deque[bytes] = deque()
        assert control.fileno() < 1_024, "what `select` can wait for; it is the first one opened"
        self._orders = (control,)
        self._rx_data = np.zeros((PACKETS_MAX, ROW_BYTES), np.uint8)
        self._rx_port: NDArray[np.int64] = np.zeros(PACKETS_MAX, np.int64)
        self._recorder = Recorder()
        self._recordings = RecordingFiles(self._recorder)
        self._capture = WorkerCapture()
        self._ports = RtpPorts("", 0, 0, PORTS_MAX)
        self._mesh: Mesh | None = None
        self._running = True
        self._carry_out: dict[type, Callable[[Any], None]] = {
            link.OpenLeg: self._open_leg,
            link.SetRemote: self._set_remote,
            link.CloseLeg: self._close_leg,
            link.Play: self._play,
            link.StopPlay: self._stop_play,
            link.SetGroup: self._set_group,
            link.LinkGroup: self._link_group,
            link.SetMuted: self._set_muted,
            link.SetGain: self._set_gain,
            link.LoadClip: self._load_clip,
            link.PlayToGroup: self._play_to_group,
            link.Take: self._take,
            link.StopTake: self._stop_take,
            link.StartRecording: self._start_recording,
            link.StopRecording: self._stop_recording,
            link.Listen: lambda order: self._plane.taps.ears.listen(order.group, on=order.on),
            link.StartCapture: lambda _: self._capture.start(),
            link.StopCapture: lambda order: self._reply(self._capture.stop(order.path)),
            link.Reset: self._reset,
        }
        self._begin(link.WorkerSettings())

    def _begin(self, settings: link.WorkerSettings) -> None:
        """Start with nothing open."""
        self._settings = settings
        token = secrets.token_hex(8).encode()
        self._plane = Plane(self._clips, silence_ns=settings.silence_ns, token=token)
        self._plane.hear_keys = settings.hear_keys
        self._plane.levels.automatic_gain = settings.automatic_gain
        self._plane.levels.noise_gate = settings.noise_gate
        six = ":" in settings.host
        self._addresses = Addresses(six=six)
        self._rx = Batch(self._rx_data, at=HEADER_AT, six=six).stamped()
        self._tx = Batch(self._plane.out.data, at=HEADER_AT, six=six)
        self._tx_odd = Batch(self._plane.out.odd_data, at=HEADER_AT, six=six)
        self._tx_wide = Batch(self._plane.wide.out.data, at=HEADER_AT, six=six)
        self._spill: NDArray[np.uint8] | None = None
        self._ports.close()
        self._ports = RtpPorts(settings.host, settings.port_first, settings.port_last, PORTS_MAX)
        self._rtcp = RtcpLink(self._plane, self._ports, self._addresses, six=six)
        if self._mesh is not None:
            self._mesh.close()
        self._mesh = Mesh(settings.link_dir, settings.index) if settings.link_dir else None
        self._reported: NDArray[np.bool_] = np.zeros(LEGS_MAX, np.bool_)  # since the last `Status`
        self._lost = 0
        self._loud = False
        self._legs: dict[int, Leg] = {}
        self._by_slot: dict[int, Leg] = {}
        self._numbers: NDArray[np.int64] = np.zeros(LEGS_MAX, np.int64)  # by slot
        self._free = list(range(LEGS_MAX))
        self._grid = Grid(time.monotonic_ns())
        self._times = TickTimes(link.TICK_BUCKETS_MS)
        self._status_ns = time.monotonic_ns() + settings.status_interval_ns

    # --- the loop -------------------------------------------------------------------------

    def run(self) -> None:
        """Tick until the control socket closes."""
        while self._running:
            self._wait()
            begun = time.monotonic_ns()
            if begun >= self._grid.due_ns and self._running:
                self._tick(begun)
        self._recorder.stop()
        self._ports.close()
        if self._mesh is not None:
            self._mesh.close()

    def _tick(self, begun: int) -> None:
        skipped = self._grid.begin(begun)
        wall_ns = time.time_ns()
        count = self._receive()
        if self._capture.on:
            self._capture.received(self._rx, self._rx_port[:count], self._ports.ports)
        packets = rtp.Packets(
            data=self._rx.data[:count],
            length=self._rx.length[:count],
            flags=self._rx.flags[:count],
            source=self._addresses.sources(self._rx, 0, count),
            port=self._rx_port[:count],
            stamp=self._rx.stamp[:count],
            due_ns=wall_ns - (begun - self._grid.begun_ns),
            spill=None if self._spill is None else self._spill[:count],
        )
        plane = self._plane
        if self._mesh is not None:
            self._mesh.receive(plane)
        result = plane.tick(packets, begun, skipped=skipped)
        held_ns = self._grid.hold_ns(time.monotonic_ns())
        if held_ns > _HOLD_MIN_NS:
            time.sleep(held_ns / NS_PER_S)
        plane.counters.add("rearranged", result.rearranged)
        self._send(rearranged=result.rearranged)
        if self._mesh is not None:
            self._mesh.send(plane, result)
        if plane.tick_no % rtcp.TURN_TICKS == 1:
            self._reported[self._rtcp.turn(wall_ns)] = True
        self._tell(result)
        now = time.monotonic_ns()
        self._times.add((now - begun - held_ns) / NS_PER_MS)
        if now >= self._status_ns:
            self._status(now)

    def _receive(self) -> int:
        """Take what the RTP sockets hold; return how many datagrams."""
        count = 0
        for port in self._ports.ports.values():  # bounded by the ports in use
            while got := self._rx.receive(port.rtp, count, limit=PACKETS_MAX):
                self._rx_port[count : count + got] = port.index
                count += got
                if got < BATCH_MAX:
                    break
        return count

    def _send(self, *, rearranged: bool) -> None:
        """Send this tick's packets."""
        plane, out = self._plane, self._plane.out
        if rearranged:
            self._addresses.direct(self._tx, plane.dest[out.slots])
        if len(out.odd_slots):
            rows = len(out.odd_slots)
            self._addresses.direct(self._tx_odd, plane.dest[out.odd_slots])
            self._tx_odd.size[:rows] = out.odd_length
        wide = plane.wide.out
        if len(wide.slots):
            self._addresses.direct(self._tx_wide, plane.dest[wide.slots])
            self._tx_wide.size[: len(wide.slots)] = wide.length
        for batch, ports in (
            (self._tx, out.ports),
            (self._tx_odd, out.odd_ports),
            (self._tx_wide, wide.ports),
        ):
            for index, first, rows in ports:  # bounded by the ports in use
                lost = batch.send(self._ports.ports[index].rtp, first, rows)
                plane.counters.add("send_failed", lost)
                if self._capture.on:
                    self._capture.sent(batch, first, rows, self._ports.ports[index].number)

    def _wait(self) -> None:
        """Carry out control's orders until the next tick is due."""
        looked = False
        while self._running:
            self._flush()
            left = self._grid.due_ns - time.monotonic_ns()
            if left <= 0:
                # Orders are taken at least once a tick, however busy the ticks are.
                if not looked:
                    self._take_orders(limit=64)
                return
            looked = True
            # Unlike `poll` it waits for microseconds: one way to sleep until the tick, woken once.
            if select.select(self._orders, (), (), left / NS_PER_S)[0]:
                self._take_orders(limit=16)

    def _take_orders(self, *, limit: int) -> None:
        for _ in range(limit):
            try:
                data = self._control.recv(link.MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self._running = False
                return
            message = link.decode(data)
            self._carry_out[type(message)](message)

    def _reply(self, message: link.FromWorker) -> None:
        self._replies.append(link.encode(message))
        self._flush()

    def _flush(self) -> None:
        """Send what waits for control, as far as its socket takes it."""
        while self._replies and self._running:
            try:
                self._control.send(self._replies[0])
            except BlockingIOError:
                break
            except ConnectionError:
                self._running = False
            self._replies.popleft()
        if len(self._replies) > REPLIES_MAX:
            self._running = False

    # --- what happened --------------------------------------------------------------------

    def _tell(self, result: TickResult) -> None:
        """Tell control what a tick brought, by leg number."""
        for slot, key, duration in result.keys:
            self._reply(link.KeyPressed(self._by_slot[slot].number, key, duration))
        for slot, token in result.played:
            self._reply(link.PlayDone(self._by_slot[slot].number, token))
        for slot, last_ns in result.silent:
            self._reply(link.LegSilent(self._by_slot[slot].number, last_ns))
        if result.talk:
            talking = self._plane.voice.talking
            self._reply(
                link.TalkChanged(
                    tuple(self._by_slot[slot].number for slot in result.talk if talking[slot]),
                    tuple(self._by_slot[slot].number for slot in result.talk if not talking[slot]),
                )
            )
        for taken in result.takes:
            kept = len(taken.samples) and self._clips.add(taken.name, taken.samples)
            frames = len(taken.samples) // FRAME_SAMPLES if kept else 0
            if frames and self._mesh is not None:
                self._mesh.leave(self._by_slot[taken.slot].number, taken.samples)
            self._reply(link.TakeDone(self._by_slot[taken.slot].number, taken.name, frames))
        self._tell_levels()
        for told in self._recordings.turn(result):
            self._reply(told)

    def _tell_levels(self) -> None:
        """Tell control how loud those are who talk."""
        if self._plane.tick_no % LEVEL_TICKS:
            return
        state = self._plane.voice
        slots = np.flatnonzero(state.talking & self._plane.open)
        if len(slots) or self._loud:
            self._loud = len(slots) > 0
            shown = voice.dbfs(state.level[slots])
            self._reply(link.Levels(np.column_stack([self._numbers[slots], shown])))

    def _status(self, now: int) -> None:
        """Send the interval's `Status`."""
        self._status_ns = now + self._settings.status_interval_ns
        plane = self._plane
        slots = np.flatnonzero(plane.open)
        counters = dict(plane.counters.totals)
        counters["recording_dropped"] = self._recorder.dropped
        # A packet that comes late after all is lost no more; a total does not go back.
        counters["lost"] = self._lost = max(self._lost, plane.reception.lost())
        self._reply(
            link.Status(
                now_ns=now,
                last_packet_ns=np.column_stack([self._numbers[slots], plane.last_ns[slots]]),
                counters=counters,
                tick_ms=self._times.interval(),
                ticks=self._grid.ticks,
                late_ticks=self._grid.late,
                quality=self._quality(),
                tick_counts=list(self._times.counts),
                tick_sum_ms=self._times.sum_ms,
            )
        )

    def _quality(self) -> NDArray[np.float64]:
        """Return the figures of the legs reported on since the last `Status`."""
        slots = np.flatnonzero(self._reported & self._plane.open)
        self._reported[:] = False
        return np.column_stack([self._numbers[slots], self._rtcp.quality(slots)])

    # --- control's orders -----------------------------------------------------------------

    def _leg(self, number: int) -> Leg | None:
        """Return an open leg; a number that is not open is counted, for the order is then late."""
        leg = self._legs.get(number)
        self._plane.counters.add("unknown_leg", leg is None)
        return leg

    def _open_leg(self, order: link.OpenLeg) -> None:
        expected = self._addresses.source_of(order.remote_host, order.remote_port)
        if not self._free:
            self._reply(link.LegRefused(order.leg_no, "no_slot"))
            return
        sources = self._plane.sources
        # Who may come from anywhere gets a port of his own: nobody's address can be in his way.
        port = self._ports.take(lambda index: bool(expected) and sources.may_share(index, expected))
        if port is None:
            self._reply(link.LegRefused(order.leg_no, "no_port"))
            return
        slot = heapq.heappop(self._free)
        drawn = secrets.randbits(78)  # at once: each draw asks the system
        numbers = (drawn & 0xFFFF_FFFF, drawn >> 32 & 0x7FFF, drawn >> 47)
        self._plane.open_leg(
            slot,
            port=port.index,
            expected=expected,
            numbers=numbers,
            now_ns=time.monotonic_ns(),
        )
        leg = Leg(order.leg_no, slot, port.index)
        self._legs[order.leg_no] = self._by_slot[slot] = leg
        self._numbers[slot] = order.leg_no
        self._reply(link.LegOpened(order.leg_no, self._settings.host, port.number))
        if order.remote:
            self._set_remote(order.remote)

    def _set_remote(self, order: link.SetRemote) -> None:
        if leg := self._leg(order.leg_no):
            remote = Remote(
                codec=order.codec,
                payload_type=order.payload_type,
                dtmf_payload_type=order.dtmf_payload_type,
                expected=self._addresses.source_of(order.host, order.port),
                proven=order.proven,
                sends=order.remote_sends,
                hears=order.remote_hears,
                relatch=order.relatch,
                ptime_ms=order.ptime_ms,
                also=order.also,
            )
            self._plane.set_remote(leg.slot, remote, time.monotonic_ns())
            if self._plane.wide.spills and self._spill is None:
                self._spill = np.zeros((PACKETS_MAX, SPILL_BYTES), np.uint8)
                self._rx.spill_into(self._spill)

    def _close_leg(self, order: link.CloseLeg) -> None:
        if leg := self._leg(order.leg_no):
            del self._legs[leg.number], self._by_slot[leg.slot]
            self._plane.close_leg(leg.slot)
            self._ports.give_back(leg.port)
            heapq.heappush(self._free, leg.slot)

    def _play(self, order: link.Play) -> None:
        if leg := self._leg(order.leg_no):
            unknown = self._plane.plays.start(
                leg.slot, order.clips, token=order.token, loop=order.loop
            )
            self._plane.counters.add("unknown_clip", len(unknown))

    def _stop_play(self, order: link.StopPlay) -> None:
        if leg := self._leg(order.leg_no):
            self._plane.plays.stop(leg.slot)

    def _set_group(self, order: link.SetGroup) -> None:
        if leg := self._leg(order.leg_no):
            self._plane.set_group(leg.slot, order.group, order.track)

    def _link_group(self, order: link.LinkGroup) -> None:
        self._plane.links.set(order.group, order.peers)

    def _set_muted(self, order: link.SetMuted) -> None:
        if leg := self._leg(order.leg_no):
            self._plane.muted[leg.slot] = order.muted

    def _set_gain(self, order: link.SetGain) -> None:
        if leg := self._leg(order.leg_no):
            self._plane.gain[leg.slot] = 10 ** (order.gain_db / 20)

    def _load_clip(self, order: link.LoadClip) -> None:
        error = ""
        try:
            if not self._clips.add(order.name, prompts.read_wav(Path(order.path))):
                error = "empty, or too long"
        except (OSError, InputError) as fault:
            error = str(fault)
        self._reply(link.ClipLoaded(order.name, error))

    def _play_to_group(self, order: link.PlayToGroup) -> None:
        if fault := self._plane.plays.start_group(order.group, order.clips):
            self._plane.counters.add(fault, 1)

    def _take(self, order: link.Take) -> None:
        if leg := self._leg(order.leg_no):
            self._plane.takes.start(leg.slot, order.clip, order.frames)

    def _stop_take(self, order: link.StopTake) -> None:
        if leg := self._leg(order.leg_no):
            self._plane.takes.stop(leg.slot)

    def _start_recording(self, order: link.StartRecording) -> None:
        group, path, mix = order.group, order.path, order.mix
        missed = self._grid.missed(time.monotonic_ns())  # the next tick adds those too
        if self._plane.record(group, tracks=order.tracks, frame=order.frame - missed):
            self._recordings.start(group, path, mix=mix)
        else:
            self._reply(link.RecordingDone(group, path, 0, "already_recording", mix))

    def _stop_recording(self, order: link.StopRecording) -> None:
        missed = self._grid.missed(time.monotonic_ns())
        stopped = self._plane.taps.stop(order.group, missed=missed)
        if stopped is None:
            self._reply(link.RecordingDone(order.group, "", 0, "not_recording"))
        else:
            self._recordings.stop(order.group, *stopped)

    def _reset(self, order: link.Reset) -> None:
        for group in self._recordings.groups:
            stopped = self._plane.taps.stop(group)
            assert stopped is not None, "every recording has a tap"
            self._recordings.stop(group, *stopped)
        self._recordings.forget()
        self._begin(order.settings)
        self._reply(link.ResetDone())


def main(arguments: list[str] | None = None) -> int:
    """Run a media worker on an inherited control socket until that closes."""
    parser = argparse.ArgumentParser(prog="python -m bridge.worker", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="control socket, SOCK_SEQPACKET")
    parser.add_argument("--prompts", type=Path, default=prompts.DIRECTORY)
    parser.add_argument("--own-prompts", type=Path, help="an operator's, instead of those")
    parser.add_argument("--cpu", type=int, help="run on this core only")
    options = parser.parse_args(arguments)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    sys.setswitchinterval(0.0005)  # a recorder that holds the interpreter must not hold a tick
    raise_files_limit()
    codecs.load()
    control = socket.socket(fileno=options.fd)
    spoken = prompts.load_all(options.prompts, options.own_prompts)
    worker = Worker(control, Clips(spoken | tones.clips()))
    go_first()  # this thread alone: the recorder's is there already
    gc.collect()
    gc.freeze()
    gc.disable()  # the loop makes no cycles; a collection in the middle of a tick would show
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
