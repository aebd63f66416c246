"""The pool of RTP ports on real sockets."""

import os
import resource
import socket
from collections.abc import Iterator

import pytest

from bridge.net import rtp_ports
from bridge.net.rtp_ports import RtpPorts

FIRST, LAST = 47_001, 47_012


def anything(index: int) -> bool:
    return True


def nothing(index: int) -> bool:
    return False


@pytest.fixture
def ports() -> Iterator[RtpPorts]:
    made = RtpPorts("127.0.0.1", FIRST, LAST, indexes_max=8)
    yield made
    made.close()


def test_even_ports_with_the_odd_one_above_are_taken(ports: RtpPorts) -> None:
    taken = [ports.take(nothing) for _ in range(5)]
    numbers = [port.number for port in taken if port]
    assert numbers == [47_002, 47_004, 47_006, 47_008, 47_010]
    assert all(port and port.rtcp.getsockname()[1] == port.number + 1 for port in taken)
    assert ports.take(nothing) is None, "47,012 has no neighbour in the range"


def test_packets_of_a_port_are_never_fragmented(ports: RtpPorts) -> None:
    port = ports.take(anything)
    assert port is not None
    for sock in (port.rtp, port.rtcp):
        assert sock.getsockopt(socket.IPPROTO_IP, 10) == 2  # IP_MTU_DISCOVER, IP_PMTUDISC_DO


def test_port_is_shared_when_it_may_be_and_closed_by_its_last_leg(ports: RtpPorts) -> None:
    first, second = ports.take(anything), ports.take(anything)
    assert first is not None
    assert first is second
    assert first.legs == 2
    other = ports.take(lambda index: index != first.index)
    assert other is not None
    assert other.number != first.number
    ports.give_back(first.index)
    assert first.rtp.fileno() >= 0
    ports.give_back(first.index)
    assert first.rtp.fileno() < 0
    assert list(ports.ports) == [other.index]


def test_port_serves_no_more_legs_than_its_buffer_holds(ports: RtpPorts) -> None:
    first = ports.take(anything)
    assert first is not None
    assert first.legs_max >= 1
    first.legs = first.legs_max
    second = ports.take(anything)
    assert second is not None
    assert second.index != first.index


def test_port_in_use_by_others_is_passed_over(ports: RtpPorts) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as blocker:
        blocker.bind(("127.0.0.1", 47_005))
        numbers = [port.number for port in (ports.take(nothing) for _ in range(4)) if port]
    assert numbers == [47_002, 47_006, 47_008, 47_010]


def test_freed_port_is_the_last_to_be_taken_again(ports: RtpPorts) -> None:
    """What still arrives for the old leg must not meet the new one."""
    first = ports.take(nothing)
    assert first is not None
    ports.give_back(first.index)
    again = ports.take(nothing)
    assert again is not None
    assert again.number != first.number


def test_indexes_run_out_before_numbers() -> None:
    ports = RtpPorts("127.0.0.1", FIRST, LAST, indexes_max=2)
    taken = [ports.take(nothing) for _ in range(3)]
    assert [port.index if port else None for port in taken] == [0, 1, None]
    ports.close()
    assert ports.ports == {}


def test_without_privileges_the_kernels_limit_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtp_ports, "_SO_RCVBUFFORCE", 9_999)
    monkeypatch.setattr(rtp_ports, "_SO_SNDBUFFORCE", 9_999)
    ports = RtpPorts("127.0.0.1", FIRST, LAST, indexes_max=8)
    port = ports.take(nothing)
    assert port is not None
    assert port.rtp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 0
    ports.close()


def test_when_no_more_files_may_be_open_there_is_no_port_and_none_stays_open(
    ports: RtpPorts,
) -> None:
    """One socket is had, the second of the pair is not: EMFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, hard))
    try:
        assert ports.take(nothing) is None
        assert ports.ports == {}
        again = os.dup(0)  # the first one was closed
        os.close(again)
        assert again == lowest
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    port = ports.take(nothing)
    assert port is not None
    assert port.number == 47_002
