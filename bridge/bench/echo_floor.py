"""The floor: batched receive and batched send of the same packets, nothing else.

    python -m bridge.bench.echo_floor PORT PAYLOAD_BYTES

What the kernel takes for the packets; the media plane is measured against it, whose ticks are due
at the same moments. Ends at the end of its standard input.
"""

import select
import socket
import sys
import time

import numpy as np

from bridge.net.batch import Batch
from bridge.units import FRAME_NS, NS_PER_S
from bridge.worker_grid import Grid

_ROWS = 8_192
_HEADER_BYTES = 12


def main(port: int, payload_bytes: int) -> int:
    """Echo until standard input ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for option in (32, 33):  # SO_SNDBUFFORCE, SO_RCVBUFFORCE
            sock.setsockopt(socket.SOL_SOCKET, option, 64 << 20)
        sock.bind(("127.0.0.1", port))
        sock.setblocking(False)
        batch = Batch(np.zeros((_ROWS, _HEADER_BYTES + payload_bytes), np.uint8), at=0)
        due = Grid(time.monotonic_ns()).due_ns
        while not select.select([sys.stdin], [], [], 0)[0]:
            time.sleep(max(due - time.monotonic_ns(), 0) / NS_PER_S)
            count = 0
            while got := batch.receive(sock, count, limit=_ROWS):
                count += got
            batch.send(sock, 0, count)
            due += FRAME_NS
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
