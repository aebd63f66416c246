"""What a media worker keeps of its packets: bytes, addresses and times, bounded, both families."""

import asyncio
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from bridge import worker_capture
from bridge.link import CaptureDone, StartCapture
from bridge.net.batch import Batch, stamp
from bridge.net.rtp_ports import RtpPort
from bridge.worker_capture import WorkerCapture, read
from bridge.worker_link import MediaWorker
from tests.bridge.test_worker import SETTINGS, Bench, join, talk

AT, ROW = 4, 24


def row_batch(*, six: bool) -> Batch:
    return Batch(np.zeros((4, ROW), np.uint8), at=AT, six=six)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_packets_of_both_directions_are_kept_as_they_went(host: str, tmp_path: Path) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as own, socket.socket(family, own.type) as phone:
        for sock in (own, phone):
            sock.bind((host, 0))
        stamp(own)
        spill = np.zeros((4, 64), np.uint8)
        batch = row_batch(six=":" in host).stamped()
        batch.spill_into(spill)
        capture = WorkerCapture()
        capture.start()
        before = time.time_ns()
        theirs, port = phone.getsockname()[:2], own.getsockname()[1]
        phone.sendto(b"short", (host, port))
        phone.sendto(bytes(range(60)), (host, port))
        assert batch.receive(own, 0, limit=4) == 2
        ports = {7: RtpPort(7, port, own, own, 1)}
        capture.received(batch, np.array([7, 7]), ports)
        back = row_batch(six=":" in host)
        back._address[:] = batch._address
        back.data[:, AT:] = np.arange(ROW - AT)
        back.size[:2] = (5, 9)
        assert back.send(own, 0, 2) == 0
        capture.sent(back, 0, 2, port)
        file = tmp_path / "rtp"
        assert capture.stop(str(file)) == CaptureDone(4, 0)
        assert not capture.on
        seen = list(read(file.read_bytes()))
        assert [one.payload for one in seen[:2]] == [b"short", bytes(range(60))]
        assert [one.payload for one in seen[2:]] == [phone.recv(99), phone.recv(99)]
        assert [one.sent for one in seen] == [False, False, True, True]
        assert {(one.peer, one.port) for one in seen} == {(theirs, port)}
        assert all(before <= one.at_ns <= time.time_ns() for one in seen)


def test_what_has_no_room_is_counted_and_what_is_not_wanted_forgotten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker_capture, "BYTES_MAX", 150)
    batch, capture = row_batch(six=False), WorkerCapture()
    batch.size[:] = 20
    batch.source[:] = 2  # AF_INET
    capture.start()
    capture.sent(batch, 0, 4, 40_000)
    assert capture.stop(str(tmp_path / "a")) == CaptureDone(2, 2)
    assert len(list(read((tmp_path / "a").read_bytes()))) == 2
    capture.start()
    capture.sent(batch, 0, 1, 40_000)
    assert capture.stop("") == CaptureDone(0, 0)
    assert capture.stop(str(tmp_path / "b")) == CaptureDone(0, 0)
    assert capture.stop(str(tmp_path / "no" / "folder")).error


async def test_packets_are_kept_on_request(tmp_path: Path) -> None:
    bench = Bench()
    bench.worker = await MediaWorker.start(SETTINGS, bench.said.append, bench.lost.append)
    try:
        await _kept_on_request(bench, tmp_path / "rtp")
    finally:
        await bench.worker.stop()
        for phone in bench.phones:
            phone.socket.close()


async def _kept_on_request(bench: Bench, file: Path) -> None:
    ann = bench.phone(510)
    bench.worker.send(StartCapture())
    await join(bench, 1, ann)
    await talk(ann, seconds=0.4)
    done = await bench.worker.stop_capture(str(file))
    ann.listen()
    kept = list(read(await asyncio.to_thread(file.read_bytes)))
    assert (done.packets, done.left_out, done.error) == (len(kept), 0, "")
    assert {(one.peer, one.port) for one in kept} == {(ann.address, ann.target[1])}
    told = [one.payload for one in kept if one.sent]
    assert ann.packets[: len(told)] == told[: len(ann.packets)]
    assert len(told) > 5
    came = [int.from_bytes(one.payload[2:4]) for one in kept if not one.sent]
    assert came == list(range(len(came))), "all that she sent, up to where it ended"
    assert len(came) > 5
    assert (await bench.worker.stop_capture("")).packets == 0
