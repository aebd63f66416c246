"""Sources of IPv4 and IPv6 datagrams: numbers that name an address, and no two the same."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from bridge.media import rtcp
from bridge.media.sources import source_of
from bridge.net import batch, hosts
from bridge.net.batch import Batch
from bridge.net.hosts import Addresses


@pytest.fixture(params=["batched", "one by one"])
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "one by one":
        monkeypatch.setattr(batch, "_LIBRARY", None)


@pytest.fixture
def pair() -> Iterator[list[socket.socket]]:
    made = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in made:
        sock.bind(("::1", 0))
        sock.setblocking(False)
    yield made
    for sock in made:
        sock.close()


def six(rows: int) -> Batch:
    return Batch(np.zeros((rows, 64), np.uint8), at=4, six=True)


def from_hosts(*names: str) -> Batch:
    rx = six(len(names))
    for row, name in enumerate(names):
        rx.host_6[row] = np.frombuffer(socket.inet_pton(socket.AF_INET6, name), np.uint8)
        rx.port[row] = 4_000
    return rx


def test_ipv4_is_as_the_plane_has_it() -> None:
    addresses = Addresses(six=False)
    assert addresses.source_of("10.0.0.1", 4_000) == source_of("10.0.0.1", 4_000)
    rows = Batch(np.zeros((2, 64), np.uint8), at=4)
    addresses.direct(rows, np.array([source_of("10.0.0.1", 4_000)], np.uint64))
    assert addresses.sources(rows, 0, 1).tolist() == [source_of("10.0.0.1", 4_000)]


@pytest.mark.parametrize(
    ("host", "port"), [("", 5), ("10.0.0.1", 5), ("pbx.example", 5), ("::", 5), ("::1", 0)]
)
def test_what_is_no_ipv6_address_is_none(host: str, port: int) -> None:
    assert Addresses(six=True).source_of(host, port) == 0


@pytest.mark.usefixtures("_library")
def test_datagram_of_an_ipv6_host_has_the_source_of_its_sdp(pair: list[socket.socket]) -> None:
    server, ann = pair
    addresses = Addresses(six=True)
    named = addresses.source_of("::1", ann.getsockname()[1])
    ann.sendto(b"hello", server.getsockname())
    rx = six(4)
    assert rx.receive(server, 1, limit=9) == 1
    assert addresses.sources(rx, 1, 1).tolist() == [named]


@pytest.mark.usefixtures("_library")
def test_datagram_goes_where_its_source_says(pair: list[socket.socket]) -> None:
    server, ann = pair
    addresses = Addresses(six=True)
    tx = six(2)
    tx.data[0, 4:6] = np.frombuffer(b"hi", np.uint8)
    tx.size[:] = 2
    to = [addresses.source_of("::1", ann.getsockname()[1])]
    addresses.direct(tx, np.array(to, np.uint64))
    assert tx.send(server, 0, 1) == 0
    assert ann.recv(99) == b"hi"


def test_one_host_has_one_number_and_its_ports_follow_one_another() -> None:
    addresses = Addresses(six=True)
    rtp = addresses.source_of("2001:db8::1", 4_000)
    assert addresses.source_of("2001:0db8:0::1", 4_000) == rtp
    above = rtcp.neighbour(np.array([rtp], np.uint64), 1)
    assert above.tolist() == [addresses.source_of("2001:db8::1", 4_001)]
    assert addresses.source_of("2001:db8::2", 4_000) != rtp


def test_hosts_with_the_same_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_MIX", np.zeros(2, np.uint64))
    addresses = Addresses(six=True)
    ann = addresses.source_of("2001:db8::1", 4_000)
    strangers = from_hosts("2001:db8::2", "2001:db8::1")
    assert addresses.sources(strangers, 0, 2)[0] != ann


def test_strangers_get_numbers_a_few_at_a_time_and_not_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hosts, "HEARD_MAX", hosts.HEARD_PER_CALL + 3)
    addresses = Addresses(six=True)
    rx = from_hosts(*(f"2001:db8::{n:x}" for n in range(1, 41)))
    for known in (hosts.HEARD_PER_CALL, hosts.HEARD_PER_CALL + 3, hosts.HEARD_PER_CALL + 3):
        sources = addresses.sources(rx, 0, 40)
        numbers = sources >> np.uint64(32)
        assert not sources[numbers == 0].any()
        assert np.count_nonzero(numbers) == known
        assert len(np.unique(numbers[numbers > 0])) == known
    assert addresses.source_of("2001:db8::ff", 4_000) >> 32 == hosts.HEARD_PER_CALL + 4
