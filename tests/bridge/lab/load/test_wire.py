"""The sockets of a crowd: each caller's packets come from, and reach, his own address."""

import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from bridge.lab.load.wire import ROW_BYTES, Wire, destination_of
from bridge.sip.api import Address


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(2)
        yield sock


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire("127.0.0.1", 300, shared=True)
    yield wire
    wire.close()


def test_each_caller_has_an_address_of_his_own(wire: Wire) -> None:
    assert len(set(wire.address)) == 300
    assert wire.address[0].host == "127.1.0.1"
    assert all(address.port % 2 == 0 for address in wire.address)


def test_packets_leave_from_the_callers_addresses(wire: Wire, peer: socket.socket) -> None:
    callers = np.array([2, 7, 299])
    target = destination_of(Address(*peer.getsockname()))
    wire.arrange(callers, np.full(3, target, np.uint64))
    for row, caller in enumerate(callers.tolist()):
        wire.data[row, 0] = caller % 251
    assert wire.send(0, 3, np.array([12, 16, 172])) == 0
    got = [peer.recvfrom(2_048) for _ in range(3)]
    assert [(data[0], len(data)) for data, _ in got] == [(2, 12), (7, 16), (48, 172)]
    assert [source for _, source in got] == [tuple(wire.address[c]) for c in callers.tolist()]


def test_packets_are_told_apart_by_whom_they_were_sent_to(wire: Wire, peer: socket.socket) -> None:
    before_ns = time.time_ns()
    for caller in (7, 299, 7):
        peer.sendto(bytes([caller % 251]) * 20, wire.address[caller])
    arrived = wire.receive()
    assert arrived.caller.tolist() == [7, 299, 7]
    assert arrived.data[:, 0].tolist() == [7, 48, 7]
    assert arrived.length.tolist() == [20, 20, 20]
    assert (arrived.source == destination_of(Address(*peer.getsockname()))).all()
    assert (np.abs(arrived.came_ns - before_ns) < 2 * 10**9).all()
    assert len(wire.receive().caller) == 0


def test_longer_packets_are_seen_to_be_longer(wire: Wire, peer: socket.socket) -> None:
    peer.sendto(bytes(ROW_BYTES + 50), wire.address[0])
    assert wire.receive().length.tolist() == [ROW_BYTES]


def test_reports_beside_the_audio_find_an_open_port(wire: Wire, peer: socket.socket) -> None:
    host, port = wire.address[3]
    peer.sendto(b"report", (host, port + 1))
    wire.drain_rtcp()
    peer.sendto(b"report", (host, port + 1))  # a closed port would have told us by ICMP


def test_towards_another_host_each_caller_has_a_port_of_his_own(peer: socket.socket) -> None:
    own = Wire("127.0.0.1", 4, shared=False)
    try:
        assert len({address.port for address in own.address}) == 4
        assert {address.host for address in own.address} == {"127.0.0.1"}
        callers = np.array([1, 3])
        target = destination_of(Address(*peer.getsockname()))
        own.arrange(callers, np.full(2, target, np.uint64))
        own.send(0, 2, np.array([12, 12]))
        assert [peer.recvfrom(64)[1] for _ in range(2)] == [tuple(own.address[c]) for c in (1, 3)]
        peer.sendto(bytes(20), own.address[3])
        assert own.receive().caller.tolist() == [3]
    finally:
        own.close()
