"""Reports of RTCP: what a worker tells a phone of its packets, and what it tells of the phone's."""

import asyncio
import contextlib
import socket
import struct
import time

import pytest

from bridge.link import Status
from tests.bridge.test_worker import Bench, Phone, bench, join
from tests.held import Watch
from tests.oracle.rtcp_scalar import Compound, read

__all__ = ["bench"]


async def hear_reports(
    bench: Bench, phone: Phone, control: socket.socket, seconds: float
) -> list[tuple[Compound, int]]:
    """Speak for a while; return what came to the phone's RTCP port, each with what was lost then.

    A leg's turn to be reported on may come at any time of five seconds.
    """
    found: list[tuple[Compound, int]] = []
    end = time.monotonic() + seconds
    due = time.monotonic()
    while time.monotonic() < end:
        if phone.seq % 4 == 3:
            phone.seq, due = phone.seq + 1, due + 0.02  # every fourth packet is lost
            await asyncio.sleep(max(due - time.monotonic(), 0))
        phone.speak()
        with contextlib.suppress(BlockingIOError):
            seen = read(control.recv(2_048), subpackets_max=8)
            assert seen is not None
            found.append((seen, bench.count("lost")))
            stamp = seen.ntp >> 16 & 0xFFFF_FFFF
            block = struct.pack("!IIIIII", seen.ssrc, 128 << 24 | 5, 0, 0, stamp, 0)
            answer = struct.pack("!BBHI", 0x81, 201, 7, 77) + block
            control.sendto(answer, (phone.target[0], phone.target[1] + 1))
        due += 0.02
        await asyncio.sleep(max(due - time.monotonic(), 0))
    return found


async def test_legs_are_reported_on_by_rtcp_and_in_status(bench: Bench) -> None:
    ann = bench.phone(510)
    while True:
        control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            control.bind(("127.0.0.1", ann.address[1] + 1))
            break
        except OSError:  # taken by chance: another pair
            control.close()
            ann = bench.phone(510)
    control.setblocking(False)
    await join(bench, 1, ann, group=1)
    with Watch() as watch:
        found = await hear_reports(bench, ann, control, 11.0)
    late_ms = watch.late_ms  # what a held machine adds to jitter and round trip is theirs
    control.close()
    assert len(found) in (2, 3)
    quality = [row for m in bench.heard(Status) if isinstance(m, Status) for row in m.quality]
    assert {row[0] for row in quality} == {1}
    assert len(quality) in (2, 3)
    both = min(len(found), len(quality))  # each ends with its own last one
    last, lost_then = found[both - 1]
    assert last.kinds == [200, 202]
    assert last.packets == pytest.approx(last.octets / 160)
    [about] = last.blocks
    assert about.ssrc == 77
    assert about.fraction == pytest.approx(64, abs=4)
    assert about.lost == pytest.approx(lost_then, abs=10 + late_ms / 80)
    assert about.jitter < 160 + late_ms, "below a tick: the kernel says when packets came"
    _, lost, fraction, jitter_ms, round_trip_ms, far, late = quality[both - 1]
    assert 0 <= lost - about.lost <= 12 + late_ms / 80, "a status comes a second after its report"
    assert late >= 0
    assert fraction == pytest.approx(0.25, abs=0.02)
    assert 0 <= jitter_ms < 20 + late_ms / 8  # a sixteenth of each step, and what follows it
    assert far == 0.5 or both == 2
    assert -1 <= round_trip_ms < 200 + 2 * late_ms  # there and back
