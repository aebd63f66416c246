"""The worker's RTCP sockets: carries reports between them and the plane; decides nothing."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import rtcp, rtp
from bridge.media.shape import HEADER_AT, ROW_BYTES
from bridge.media.tick import Plane
from bridge.net.batch import Batch
from bridge.net.hosts import Addresses
from bridge.net.rtp_ports import RtpPorts
from bridge.units import MS_PER_S, NS_PER_MS, SAMPLE_RATE_HZ

READ_MAX: Final = 512
"""Datagrams taken from one port in one reading; the rest waits in the socket."""


class RtcpLink:
    """Reads and sends RTCP for one plane."""

    def __init__(self, plane: Plane, ports: RtpPorts, addresses: Addresses, *, six: bool) -> None:
        self._plane, self._ports, self._addresses = plane, ports, addresses
        self._rx = Batch(np.zeros((READ_MAX, ROW_BYTES), np.uint8), at=HEADER_AT, six=six).stamped()
        rows = np.zeros((rtcp.TURN_LEGS_MAX, rtcp.REPORT_BYTES_MAX), np.uint8)
        self._tx = Batch(rows, at=0, six=six)

    def turn(self, wall_ns: int) -> NDArray[np.int64]:
        """Read what has come and send the reports that are due; return whose those were.

        `wall_ns`: when the tick began that has just run.
        """
        for port in self._ports.ports.values():  # bounded by the ports in use
            got = self._rx.receive(port.rtcp, 0, limit=READ_MAX)
            if got:
                self._plane.take_reports(
                    rtp.Packets(
                        data=self._rx.data[:got],
                        length=self._rx.length[:got],
                        flags=self._rx.flags[:got],
                        source=self._addresses.sources(self._rx, 0, got),
                        port=np.full(got, port.index),
                        stamp=self._rx.stamp[:got],
                    )
                )
        written = self._plane.write_reports(wall_ns, self._tx.data)
        count = len(written.legs)
        self._tx.size[:count] = written.length
        self._addresses.direct(self._tx, written.dest)
        for index, first, rows in written.ports:  # bounded by the ports in use
            lost = self._tx.send(self._ports.ports[index].rtcp, first, rows)
            self._plane.counters.add("send_failed", lost)
        return written.legs

    def quality(self, slots: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the `Status.quality` of legs, (n, 6), without their numbers."""
        received, reports = self._plane.reception, self._plane.reports
        columns = (
            received.missing(slots),
            reports.near_fraction[slots] / 256,
            (received.jitter[slots] >> 4) * MS_PER_S / SAMPLE_RATE_HZ,
            np.where(reports.rtt_ns[slots] < 0, -1, reports.rtt_ns[slots] / NS_PER_MS),
            reports.far_fraction[slots] / 256,
            self._plane.jitter.late[slots].astype(np.float64),
        )
        return np.column_stack(columns).round(3)
