"""The worker over IPv6: the same voices, the same RTCP, addresses four times as long."""

import asyncio
import socket
import struct
import time

import numpy as np

from bridge.link import FromWorker, LegOpened, OpenLeg, SetGroup, SetRemote, WorkerSettings
from bridge.worker_link import MediaWorker

SETTINGS = WorkerSettings(host="::1", port_first=46_400, port_last=46_599)
SECONDS = 6.0


async def test_legs_hear_each_other_and_are_reported_on_over_ipv6() -> None:
    """Leg 1 is where its SDP says; leg 2 named no address and is known by its first packet."""
    said: list[FromWorker] = []
    worker = await MediaWorker.start(SETTINGS, said.append, print)
    phones = [_pair() for _ in range(2)]
    heard: list[list[bytes]] = [[], []]
    reports = 0
    try:
        targets = []
        for leg, (voice, _) in enumerate(phones):
            port = voice.getsockname()[1]
            host, port = ("::1", port) if leg == 0 else ("", 0)
            opened = await worker.open_leg(OpenLeg(leg, host, port))
            assert isinstance(opened, LegOpened)
            assert opened.host == "::1"
            targets.append(("::1", opened.port))
            worker.send(SetRemote(leg, "PCMU", 0, 101, 20, host, port, proven=leg == 0))
            worker.send(SetGroup(leg, 7))
        assert targets[0] != targets[1], "a leg that may come from anywhere has its own port"
        begun = time.monotonic()
        n = 0
        while time.monotonic() < begun + SECONDS:
            for leg, (voice, control) in enumerate(phones):
                head = struct.pack("!BBHII", 0x80, 0, n, n * 160, leg)
                voice.sendto(head + bytes([0x20 + leg]) * 160, targets[leg])
                heard[leg] += [data[12:] for data in _read(voice)]
                reports += len(_read(control))
            n += 1
            await asyncio.sleep(max(begun + n * 0.02 - time.monotonic(), 0))
    finally:
        await worker.stop()
        for sock in (sock for pair in phones for sock in pair):
            sock.close()
    for leg in range(2):
        assert len(heard[leg]) > SECONDS * 25
        codes = np.frombuffer(b"".join(heard[leg][-20:]), np.uint8)
        assert np.count_nonzero(codes == 0x20 + (1 - leg)) > len(codes) // 2
    assert reports >= 1


def _pair() -> tuple[socket.socket, socket.socket]:
    """Return sockets on a port and the one above it."""
    while True:
        first, second = (socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2))
        first.bind(("::1", 0))
        first.setblocking(False)
        second.setblocking(False)
        try:
            second.bind(("::1", first.getsockname()[1] + 1))
        except OSError:
            first.close()
            second.close()
        else:
            return first, second


def _read(sock: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(sock.recv(2_048))
        except BlockingIOError:
            return found
