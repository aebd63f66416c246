"""The worker process over its real link and real sockets, through `MediaWorker`."""

import asyncio
import itertools
import os
import signal
import socket
import struct
import time
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.errors import WorkerLost
from bridge.link import (
    CloseLeg,
    FromWorker,
    KeyPressed,
    LegOpened,
    LegRefused,
    LegSilent,
    OpenLeg,
    Play,
    PlayDone,
    PlayToGroup,
    RecordingDone,
    Reset,
    SetGain,
    SetGroup,
    SetMuted,
    SetRemote,
    StartRecording,
    Status,
    StopPlay,
    StopRecording,
    TalkChanged,
    WorkerSettings,
)
from bridge.media.g711 import ENCODE, ITU_DECODE
from bridge.media.shape import PCMA, PCMU
from bridge.worker_link import MediaWorker

SETTINGS = WorkerSettings(port_first=46_000, port_last=46_399, status_interval_ns=100_000_000)


class Bench:
    """A worker, and what it said."""

    def __init__(self) -> None:
        self.said: list[FromWorker] = []
        self.lost: list[str] = []
        self.worker: MediaWorker
        self.phones: list[Phone] = []

    def phone(self, hertz: float, codec: int = PCMU) -> "Phone":
        self.phones.append(Phone(hertz, codec))
        return self.phones[-1]

    async def until(self, holds: Callable[[], bool], seconds: float = 8.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"not within {seconds} s; said {self.said[-3:]}"
            await asyncio.sleep(0.01)

    def heard(self, kind: type[FromWorker]) -> list[FromWorker]:
        return [message for message in self.said if isinstance(message, kind)]

    def count(self, name: str) -> int:
        status = [message for message in self.said if isinstance(message, Status)]
        return status[-1].counters.get(name, 0) if status else 0


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    made.worker = await MediaWorker.start(SETTINGS, made.said.append, made.lost.append)
    yield made
    await made.worker.stop()
    for phone in made.phones:
        phone.socket.close()


class Phone:
    """A caller with a tone: sends 20 ms packets and keeps what it receives."""

    def __init__(self, hertz: float, codec: int = PCMU) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()
        self.codec, self.hertz = codec, hertz
        self.target = ("127.0.0.1", 9)
        self.seq, self.received = 0, bytearray()
        self.packets: list[bytes] = []

    def packet(self, payload: bytes, payload_type: int | None = None, ts: int = -1) -> bytes:
        kind = self.codec * 8 if payload_type is None else payload_type
        stamp = self.seq * 160 if ts < 0 else ts
        return struct.pack("!BBHII", 0x80, kind, self.seq & 0xFFFF, stamp, 77) + payload

    def speak(self) -> None:
        t = np.arange(160) + self.seq * 160
        tone = (8_000 * np.sin(2 * np.pi * self.hertz * t / 8_000)).astype(np.int16)
        self.say(self.packet(ENCODE[self.codec][tone.view(np.uint16)].tobytes()))

    def say(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.target)
        self.seq += 1
        self.listen()

    def listen(self) -> None:
        while True:
            try:
                data = self.socket.recv(2_048)
            except BlockingIOError:
                return
            self.packets.append(data)
            self.received += data[12:]

    def level(self, hertz: float, last: int = 4_000) -> float:
        """Return the level, in sample units, of a tone in what was received last."""
        self.listen()
        codes = np.frombuffer(bytes(self.received[-last:]), np.uint8)
        samples = ITU_DECODE[self.codec][codes].astype(np.float64)
        if not len(samples):
            return 0.0
        turn = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / 8_000)
        return float(2 * abs((samples * turn).mean()))


async def join(bench: Bench, leg: int, phone: Phone, group: int = -1) -> None:
    opened = await bench.worker.open_leg(OpenLeg(leg, *phone.address))
    assert isinstance(opened, LegOpened)
    phone.target = (opened.host, opened.port)
    bench.worker.send(remote(leg, phone))
    bench.worker.send(SetGroup(leg, group))


def remote(leg: int, phone: Phone, **changes: Any) -> SetRemote:
    codec = "PCMA" if phone.codec == PCMA else "PCMU"
    host, port = phone.address
    changes.setdefault("proven", True)
    return SetRemote(leg, codec, phone.codec * 8, 101, 20, host, port, **changes)


async def talk(*phones: Phone, seconds: float, until: Callable[[], bool] = lambda: True) -> None:
    """Have phones speak for a while, and on until something is true or patience ends.

    What a phone hears is measured over its last half second: a machine that holds the worker or
    this process for a moment tears a hole there, which has passed after another half.
    """
    due = time.monotonic()
    end = due + seconds
    while due < end or (not until() and due < end + 8):
        for phone in phones:
            phone.speak()
        due = max(due + 0.02, time.monotonic() - 0.04)  # who was held does not say it all at once
        await asyncio.sleep(max(due - time.monotonic(), 0))


async def test_each_leg_hears_the_other_and_not_itself(bench: Bench) -> None:
    ann, bob = bench.phone(510), bench.phone(860, PCMA)
    await join(bench, 1, ann, group=5)
    await join(bench, 2, bob, group=5)
    await talk(
        ann, bob, seconds=1.5,
        until=lambda: min(ann.level(860), bob.level(510)) > 6_000
        and max(ann.level(510), bob.level(860)) < 100,
    )  # fmt: skip
    assert ann.level(860) > 6_000
    assert ann.level(510) < 100
    assert bob.level(510) > 6_000
    assert bob.level(860) < 100
    told = [m for m in bench.heard(TalkChanged) if isinstance(m, TalkChanged)]
    assert sorted(leg for m in told for leg in m.talking) == [1, 2]


async def test_legs_share_a_port_and_packets_leave_in_sequence(bench: Bench) -> None:
    ann, bob = bench.phone(510), bench.phone(860)
    await join(bench, 1, ann, group=5)
    await join(bench, 2, bob, group=5)
    await talk(ann, bob, seconds=0.6)
    assert ann.target == bob.target
    heads = [struct.unpack("!BBHII", packet[:12]) for packet in ann.packets]
    assert heads[0][1] == 0x80, "the first packet has the marker"
    assert all(head[1] == 0 for head in heads[1:])
    assert len({head[4] for head in heads}) == 1
    assert all((b[2] - a[2]) & 0xFFFF == 1 for a, b in itertools.pairwise(heads))
    steps = {(b[3] - a[3]) & 0xFFFF_FFFF for a, b in itertools.pairwise(heads)}
    assert all(step % 160 == 0 for step in steps)
    assert min(steps) == 160


async def test_waiting_legs_hear_and_give_nothing(bench: Bench) -> None:
    """D3: by tone, while music plays and while nothing does."""
    ann, bob, cid = bench.phone(510), bench.phone(860), bench.phone(650)
    await join(bench, 1, ann, group=5)
    await join(bench, 2, bob)
    await join(bench, 3, cid, group=5)
    bench.worker.send(Play(2, ("hold-music",), 1, loop=True))
    await talk(
        ann, bob, cid, seconds=1.0, until=lambda: ann.level(860) < 20 and bob.level(510) < 200
    )  # a hole in a tone is of all frequencies, and passes
    assert ann.level(860) < 20
    assert bob.level(510) < 200
    assert np.abs(ITU_DECODE[0][np.frombuffer(bob.received, np.uint8)]).max() > 2_000
    bench.worker.send(StopPlay(2))
    await bench.worker.open_leg(OpenLeg(4))  # answered behind the order: nothing plays
    bob.listen()
    silent = len(bob.received) + 4 * 160  # what was on its way
    await talk(ann, bob, cid, seconds=0.8, until=lambda: len(bob.received) >= silent + 3_200)
    assert len(bob.received) >= silent + 3_200
    assert set(bytes(bob.received[silent:])) == {0xFF}


async def test_muted_leg_hears_and_is_not_heard(bench: Bench) -> None:
    ann, bob = bench.phone(510), bench.phone(860)
    await join(bench, 1, ann, group=5)
    await join(bench, 2, bob, group=5)
    bench.worker.send(SetMuted(1, True))
    await talk(ann, bob, seconds=0.8, until=lambda: ann.level(860) > 6_000)
    assert ann.level(860) > 6_000
    assert bob.level(510) == 0


async def test_a_leg_is_as_loud_as_it_is_set(bench: Bench) -> None:
    ann, bob = bench.phone(510), bench.phone(860)
    await join(bench, 1, ann, group=5)
    await join(bench, 2, bob, group=5)
    bench.worker.send(SetGain(1, -20))
    await talk(
        ann, bob, seconds=0.8, until=lambda: min(ann.level(860), bob.level(510) * 10) > 6_000
    )
    assert 600 < bob.level(510) < 1_000
    assert ann.level(860) > 6_000


async def test_a_clip_can_be_added_while_the_worker_runs(bench: Bench, tmp_path: Path) -> None:
    ann = bench.phone(510)
    await join(bench, 1, ann)
    file = tmp_path / "news.wav"
    write_wav(file, np.full(8_000, 5_000, np.int16))
    assert (await bench.worker.load_clip("clip/news", file)).error == ""
    bench.worker.send(Play(1, ("clip/news",), 1))
    await talk(ann, seconds=0.5)
    heard = ITU_DECODE[0][np.frombuffer(bytes(ann.received[-800:]), np.uint8)]
    assert np.abs(heard.astype(np.int32) - 5_000).max() < 200
    assert "other.wav" in (await bench.worker.load_clip("x", tmp_path / "other.wav")).error
    write_wav(file, np.zeros(8_000 * 121, np.int16))
    assert (await bench.worker.load_clip("clip/news", file)).error == "empty, or too long"


def write_wav(file: Path, samples: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
    with wave.open(str(file), "wb") as wav:
        wav.setparams((1, 2, 8_000, 0, "NONE", "not compressed"))
        wav.writeframes(samples.tobytes())


async def test_key_is_told_once_and_play_ends(bench: Bench) -> None:
    ann = bench.phone(510)
    await join(bench, 1, ann)
    bench.worker.send(Play(1, ("muted",), 42))
    for duration, end in ((160, 0), (320, 0), (480, 0x80), (480, 0x80), (480, 0x80)):
        ann.say(ann.packet(struct.pack("!BBH", 5, end | 10, duration), 101, ts=9_000))
    await bench.until(lambda: bool(bench.heard(PlayDone)))
    assert bench.heard(KeyPressed) == [KeyPressed(1, "5", 60)]
    assert bench.heard(PlayDone) == [PlayDone(1, 42)]


async def test_unknown_orders_and_clips_are_counted(bench: Bench) -> None:
    for order in (CloseLeg(9), StopPlay(9), SetMuted(9, True), Play(9, ("x",), 1), SetGroup(9, 1)):
        bench.worker.send(order)
    ann = bench.phone(510)
    bench.worker.send(remote(9, ann))
    await join(bench, 1, ann)
    bench.worker.send(Play(1, ("no-such-clip",), 7))
    bench.worker.send(PlayToGroup(1, ("no-such-clip",)))
    await bench.until(lambda: bool(bench.heard(PlayDone)))
    await bench.until(lambda: bench.count("unknown_clip") == 2)
    assert bench.count("unknown_leg") == 6


async def test_silent_leg_is_told_once_but_not_on_hold(bench: Bench) -> None:
    """D12."""
    await bench.worker.reset(replace(SETTINGS, silence_ns=500_000_000))
    ann, bob = bench.phone(510), bench.phone(860)
    await join(bench, 1, ann)
    await join(bench, 2, bob)
    bench.worker.send(remote(2, bob, remote_sends=False))
    await talk(ann, seconds=0.3)
    last_ns = time.monotonic_ns()
    ann.speak()
    await bench.until(lambda: bool(bench.heard(LegSilent)))
    told_ns = time.monotonic_ns()
    await asyncio.sleep(0.7)
    (silent,) = bench.heard(LegSilent)
    assert isinstance(silent, LegSilent)
    assert silent.leg_no == 1
    assert last_ns < silent.last_packet_ns <= told_ns - 500_000_000


def counted(bench: Bench, name: str, count: int) -> bool:
    return bench.count(name) >= count


async def test_garbage_is_counted_by_reason(bench: Bench) -> None:
    ann = bench.phone(510)
    await join(bench, 1, ann, group=1)
    bob = bench.phone(860)
    await join(bench, 2, bob, group=1)
    rng = np.random.default_rng(4)
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    await talk(ann, bob, seconds=0.2)
    for lot in rng.integers(0, 1_400, (8, 250)):  # what a socket holds while the worker is held
        more = bench.count("unknown_source") + len(lot)
        for size in lot:
            body = rng.bytes(int(size))
            stranger.sendto(body, ann.target)
            ann.socket.sendto(body, ann.target)
        await bench.until(partial(counted, bench, "unknown_source", more))
    for size in range(12):
        ann.socket.sendto(bytes([0x80] * size), ann.target)
    for datagram in (b"\x40" + bytes(171), ann.packet(bytes(160), 33), bytes([0x80]) * 1_400):
        ann.socket.sendto(datagram, ann.target)
    spoofed = ann.packet(b"\x00" * 160)
    stranger.sendto(spoofed, ann.target)
    await talk(ann, bob, seconds=0.8, until=lambda: bob.level(510) > 6_000)
    await bench.until(lambda: bench.count("unknown_source") > 2_000)
    assert bench.count("short") >= 12
    assert bench.count("payload_type") > 1
    assert bench.count("oversize") > 1_000
    assert bench.count("bad_version") > 1
    assert bob.level(510) > 6_000
    assert bench.count("unknown_source") == 2_001, "a stranger's packets are not looked into"
    stranger.close()


async def test_packets_are_as_long_as_the_other_side_asks(bench: Bench) -> None:
    ann, bob = bench.phone(510), bench.phone(860)
    await join(bench, 1, ann, group=1)
    await join(bench, 2, bob, group=1)
    bench.worker.send(replace(remote(2, bob), ptime_ms=60))
    await talk(ann, bob, seconds=1.0, until=lambda: bob.level(510) > 6_000)
    sizes = [len(packet) - 12 for packet in bob.packets[-10:]]
    assert sizes == [480] * 10
    assert bob.level(510) > 6_000


async def test_recording_is_as_long_as_the_wall_clock(bench: Bench, tmp_path: Path) -> None:
    ann = bench.phone(510)
    await join(bench, 1, ann, group=3)
    file = tmp_path / "mix.wav"
    ordered = time.monotonic()
    bench.worker.send(StartRecording(3, str(file)))
    bench.worker.send(StartRecording(3, str(file)))
    await bench.worker.open_leg(OpenLeg(2))  # answered behind the orders: it has begun
    begun = time.monotonic()
    await talk(ann, seconds=1.4)
    await talk(ann, seconds=0.1)
    stopped = time.monotonic()
    bench.worker.send(StopRecording(3))
    bench.worker.send(StopRecording(3))
    await bench.until(lambda: len(bench.heard(RecordingDone)) == 3)
    over = time.monotonic()
    errors = {m.error: m for m in bench.heard(RecordingDone) if isinstance(m, RecordingDone)}
    assert set(errors) == {"", "already_recording", "not_recording"}
    with wave.open(str(file)) as wav:
        assert wav.getparams()[:3] == (1, 2, 8_000)
        frames = wav.getnframes() / 160
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
    assert frames == errors[""].frames
    assert stopped - begun - 0.06 < frames * 0.02 < over - ordered + 0.06
    assert np.abs(samples.astype(int)).max() > 7_000


async def test_recording_that_cannot_be_written_says_so(bench: Bench, tmp_path: Path) -> None:
    bench.worker.send(StartRecording(3, str(tmp_path / "none" / "mix.wav")))
    bench.worker.send(StopRecording(3))
    await bench.until(lambda: bool(bench.heard(RecordingDone)))
    (done,) = bench.heard(RecordingDone)
    assert isinstance(done, RecordingDone)
    assert "mix.wav" in done.error


async def test_no_rtp_to_an_address_that_is_not_proven(bench: Bench) -> None:
    ann = bench.phone(510)
    await join(bench, 1, ann, group=3)
    bench.worker.send(remote(1, ann, proven=False))
    await bench.worker.open_leg(OpenLeg(2))  # answered behind the order
    await asyncio.sleep(0.15)
    ann.listen()
    ann.packets.clear()
    await asyncio.sleep(0.2)
    ann.listen()
    assert not ann.packets
    await talk(ann, seconds=0.3)
    assert len(ann.packets) >= 5


async def test_reset_closes_everything_and_ports_run_out(bench: Bench, tmp_path: Path) -> None:
    await bench.worker.reset(WorkerSettings(port_first=46_500, port_last=46_503))
    answers = [await bench.worker.open_leg(OpenLeg(leg)) for leg in range(3)]
    assert [type(answer) for answer in answers] == [LegOpened, LegOpened, LegRefused]
    assert answers[2] == LegRefused(2, "no_port")
    file = tmp_path / "mix.wav"
    bench.worker.send(StartRecording(3, str(file)))
    await bench.worker.reset(SETTINGS)
    again = await bench.worker.open_leg(OpenLeg(0))
    assert isinstance(again, LegOpened)
    assert 46_000 <= again.port < 46_400
    await bench.until(file.exists)


async def test_many_messages_at_once_are_not_lost(bench: Bench) -> None:
    """The socket is full long before this many orders are through."""
    waits = [bench.worker.open_leg(OpenLeg(leg, "127.0.0.1", 1_000 + leg)) for leg in range(400)]
    answers = await asyncio.gather(*waits)
    opened = [answer for answer in answers if isinstance(answer, LegOpened)]
    assert [answer.leg_no for answer in opened] == sorted(answer.leg_no for answer in opened)
    for leg in range(400):
        bench.worker.send(CloseLeg(leg))
    for _ in range(5_000):
        bench.worker.send(StopPlay(1_000))
    await bench.until(lambda: bench.count("unknown_leg") >= 5_000)


async def test_worker_that_dies_is_told_and_fails_who_waits() -> None:
    said: list[FromWorker] = []
    lost: list[str] = []
    worker = await MediaWorker.start(SETTINGS, said.append, lost.append)
    os.kill(worker.pid, signal.SIGSTOP)
    waiting = asyncio.ensure_future(worker.open_leg(OpenLeg(1)))
    resetting = asyncio.ensure_future(worker.reset(SETTINGS))
    await asyncio.sleep(0)
    os.kill(worker.pid, signal.SIGKILL)
    for future in (waiting, resetting):
        with pytest.raises(WorkerLost):
            await future
    assert len(lost) == 1
    worker.send(Reset(SETTINGS))
    with pytest.raises(WorkerLost):
        await worker.open_leg(OpenLeg(2))
    await worker.stop()


async def test_worker_ends_when_its_control_socket_closes() -> None:
    lost: list[str] = []
    worker = await MediaWorker.start(SETTINGS, lambda message: None, lost.append)
    await worker.stop()
    assert not lost
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)
