"""Packets of a media worker's RTP sockets, kept while somebody wants to look at them.

Knows datagrams and where they came from, not what is in them. Off, it costs a comparison a tick;
on, a Python loop over the packets, bounded by `BYTES_MAX`, as the evidence of a story needs it.
"""

import ipaddress
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.link import CaptureDone
from bridge.net.batch import Batch
from bridge.net.rtp_ports import RtpPort

BYTES_MAX: Final = 48 * 1_024 * 1_024
_RECORD: Final = struct.Struct("!q?16sHHH")
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""What an IPv4 address has in front of it as one of IPv6 (RFC 4291 §2.5.5.2)."""


class Seen(NamedTuple):
    """One datagram: wall clock, whether the worker sent it, the other side, the worker's port."""

    at_ns: int
    sent: bool
    peer: tuple[str, int]
    port: int
    payload: bytes


class WorkerCapture:
    """What a worker's ports receive and send while `on`."""

    def __init__(self) -> None:
        self.on = False
        self._forget()

    def start(self) -> None:
        """Keep what comes from now on."""
        self._forget()
        self.on = True

    def stop(self, path: str) -> CaptureDone:
        """Write what was kept, unless `path` is "", and keep nothing more."""
        self.on, error = False, ""
        packets, left_out = len(self._records) if path else 0, self._left_out
        if path:
            try:
                Path(path).write_bytes(b"".join(self._records))
            except OSError as fault:
                packets, error = 0, str(fault)
        self._forget()
        return CaptureDone(packets, left_out, error)

    def _forget(self) -> None:
        self._records: list[bytes] = []
        self._bytes = self._left_out = 0

    def received(
        self, batch: Batch, index: NDArray[np.int64], ports: Mapping[int, RtpPort]
    ) -> None:
        """Keep the first rows of a batch, that came on the ports of `index`, (n,)."""
        at_ns = batch.stamps(0, len(index)).tolist()
        for row, port in enumerate(index.tolist()):  # bound: the packets of a tick
            data = batch.datagram(row, int(batch.length[row]))
            self._keep(Seen(at_ns[row], False, batch.peer(row), ports[port].number, data))

    def sent(self, batch: Batch, first: int, rows: int, port: int) -> None:
        """Keep rows that have just been sent from a port."""
        now_ns = time.time_ns()
        for row in range(first, first + rows):  # bound: the packets of a tick
            data = batch.datagram(row, int(batch.size[row]))
            self._keep(Seen(now_ns, True, batch.peer(row), port, data))

    def _keep(self, seen: Seen) -> None:
        host = ipaddress.ip_address(seen.peer[0]).packed
        host = host if len(host) == 16 else _MAPPED + host
        head = _RECORD.pack(seen.at_ns, seen.sent, host, seen.peer[1], seen.port, len(seen.payload))
        self._bytes += len(head) + len(seen.payload)
        if self._bytes > BYTES_MAX:
            self._left_out += 1
        else:
            self._records.append(head + seen.payload)


def read(data: bytes) -> Iterator[Seen]:
    """Yield what a worker wrote, in the order in which it was seen."""
    at = 0
    while at < len(data):
        at_ns, sent, host, peer_port, port, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        address = ipaddress.IPv6Address(host)
        peer = (str(address.ipv4_mapped or address), peer_port)
        yield Seen(at_ns, sent, peer, port, data[at : at + length])
        at += length
