"""Batched receive and send on real sockets, and the plain loop behind the same interface."""

import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from bridge.media.rtp import MSG_TRUNC
from bridge.media.sources import address_of, source_of
from bridge.net import batch
from bridge.net.batch import Batch

AT = 4
ROW = 64
STAMPS_TRIED_MAX = 250
"""Five seconds until the kernel must stamp."""


@pytest.fixture(params=["batched", "one by one"])
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "one by one":
        monkeypatch.setattr(batch, "_LIBRARY", None)


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for sock in made:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
    yield made
    for sock in made:
        sock.close()


def rows(count: int) -> Batch:
    return Batch(np.zeros((count, ROW), np.uint8), at=AT)


@pytest.mark.usefixtures("_library")
def test_datagrams_are_received_with_length_and_source(sockets: list[socket.socket]) -> None:
    server, ann, bob = sockets
    for sock, body in ((ann, b"one"), (bob, b"three"), (ann, b"")):
        sock.sendto(body, server.getsockname())
    rx = rows(8)
    assert rx.receive(server, 2, limit=100) == 3
    assert rx.length[2:5].tolist() == [3, 5, 0]
    assert rx.data[3, AT : AT + 5].tobytes() == b"three"
    senders = [address_of(int(source)) for source in rx.source[2:5]]
    assert senders == [ann.getsockname(), bob.getsockname(), ann.getsockname()]
    assert rx.receive(server, 0, limit=100) == 0


@pytest.mark.usefixtures("_library")
def test_no_more_than_the_limit_and_the_room_is_received(sockets: list[socket.socket]) -> None:
    server, ann, _ = sockets
    for n in range(6):
        ann.sendto(bytes([n]), server.getsockname())
    rx = rows(4)
    assert rx.receive(server, 0, limit=2) == 2
    assert rx.receive(server, 2, limit=100) == 2
    assert rx.receive(server, 4, limit=100) == 0
    assert rx.data[:, AT].tolist() == [0, 1, 2, 3]


@pytest.mark.usefixtures("_library")
def test_datagram_that_does_not_fit_is_flagged(sockets: list[socket.socket]) -> None:
    server, ann, _ = sockets
    ann.sendto(bytes(ROW - AT), server.getsockname())
    ann.sendto(bytes(ROW - AT + 1), server.getsockname())
    rx = rows(2)
    assert rx.receive(server, 0, limit=2) == 2
    assert [bool(flags & MSG_TRUNC) for flags in rx.flags] == [False, True]


@pytest.mark.usefixtures("_library")
def test_rows_are_sent_each_to_its_address(sockets: list[socket.socket]) -> None:
    server, ann, bob = sockets
    tx = rows(4)
    for row, sock in enumerate((ann, bob, ann, bob)):
        tx.data[row, AT] = row
        tx.source[row] = source_of(*sock.getsockname())
    tx.size[:] = 1
    assert tx.send(server, 1, 3) == 0
    assert [ann.recv(9), bob.recv(9), bob.recv(9)] == [b"\x02", b"\x01", b"\x03"]


@pytest.mark.usefixtures("_library")
def test_row_without_a_way_out_is_lost_and_the_others_go(sockets: list[socket.socket]) -> None:
    server, ann, _ = sockets
    tx = rows(3)
    tx.source[:] = source_of(*ann.getsockname())
    tx.source[1] = source_of("127.0.0.1", 9) & 0xFFFF_FFFF_0000_FFFF  # port 0
    tx.size[:] = 1
    assert tx.send(server, 0, 3) == 1
    assert [ann.recv(9), ann.recv(9)] == [b"\x00", b"\x00"]


@pytest.mark.usefixtures("_library")
def test_packet_too_large_for_its_path_is_lost_and_the_others_go(
    sockets: list[socket.socket],
) -> None:
    """Ports forbid fragments: the kernel then refuses what does not fit."""
    server, ann, _ = sockets
    tx = Batch(np.zeros((3, 70_000), np.uint8), at=AT)
    tx.source[:] = source_of(*ann.getsockname())
    tx.size[:] = (20, 69_000, 30)
    assert tx.send(server, 0, 3) == 1
    assert [len(ann.recv(100)) for _ in range(2)] == [20, 30]


def test_refusal_of_an_earlier_packet_loses_no_later_one(sockets: list[socket.socket]) -> None:
    """A connected socket gets the ICMP answer of a packet to a closed port at its next send."""
    server, ann, bob = sockets
    closed = bob.getsockname()
    bob.close()
    server.connect(closed)
    server.send(b"x")
    tx = rows(1)
    tx.source[:] = source_of(*ann.getsockname())
    tx.size[:] = 1
    assert tx.send(server, 0, 1) == 1, "the error took this one's place"
    assert tx.send(server, 0, 1) == 0
    assert ann.recv(9) == b"\x00"


@pytest.mark.usefixtures("_library")
def test_closed_socket_is_an_error(sockets: list[socket.socket]) -> None:
    server = sockets[0]
    server.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        rows(1).send(server, 0, 1)


def test_full_buffer_gives_the_rest_up() -> None:
    """A stream socket pair stands for a socket that takes no more."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        for _ in range(10_000):
            try:
                ours.send(b"x")
            except BlockingIOError:
                break
        tx = rows(3)
        tx._header["name"] = 0
        tx._header["name_size"] = 0
        assert tx.send(ours, 0, 3) == 3


def test_callers_send_from_addresses_of_their_own(sockets: list[socket.socket]) -> None:
    server = sockets[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as callers:
        callers.bind(("0.0.0.0", 0))
        callers.setblocking(False)
        tx = rows(3)
        tx.send_from(np.arange(0x7F01_0001, 0x7F01_0004, dtype=np.uint32))
        tx.source[:] = source_of(*server.getsockname())
        assert tx.send(callers, 0, 3) == 0
    senders = [server.recvfrom(99)[1][0] for _ in range(3)]
    assert senders == ["127.1.0.1", "127.1.0.2", "127.1.0.3"]


def test_library_without_the_calls_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    assert batch._library() is None


def came_and_read(server: socket.socket, sender: socket.socket, rx: Batch) -> list[int]:
    """Send a datagram and let it lie for 20 ms; return when it was sent, came and was read."""
    sent = time.time_ns()
    sender.sendto(b"x", server.getsockname())
    time.sleep(0.02)
    read = time.time_ns()
    assert rx.receive(server, 1, limit=100) == 1
    return [sent, *rx.stamps(1, 1).tolist(), read]


@pytest.mark.usefixtures("_library")
def test_datagrams_come_with_the_kernels_time(sockets: list[socket.socket]) -> None:
    """The time a datagram came, not the time it was read; also when a row is used again.

    Linux begins to stamp a while after it is first asked to; what comes before has the time of
    reading, and says nothing of `Batch`.
    """
    server, ann, _ = sockets
    batch.stamp(server)
    rx = rows(4).stamped()
    for _ in range(STAMPS_TRIED_MAX):
        _, came, read = came_and_read(server, ann, rx)
        if batch._LIBRARY is None or came < read:
            break
    for _ in range(3):
        sent, came, read = came_and_read(server, ann, rx)
        assert sent <= came
        if batch._LIBRARY is not None:
            assert came < read


def test_long_datagrams_spill_into_a_tail_and_short_ones_do_not() -> None:
    data, tail = np.zeros((4, 40), np.uint8), np.full((4, 100), 7, np.uint8)
    batch = Batch(data, at=4)
    batch.spill_into(tail)
    sent = [bytes(range(20)), bytes(range(130)), bytes(200), b"x"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        for body in sent:
            sock.sendto(body, sock.getsockname())
        assert batch.receive(sock, 0, limit=4) == 4
    assert batch.length.tolist() == [20, 130, 136, 1]
    assert data[1, 4:].tobytes() + tail[1, :94].tobytes() == sent[1]
    assert (tail[0] == 7).all()
    assert batch.flags.tolist() == [0, 0, socket.MSG_TRUNC, 0]
