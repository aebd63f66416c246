"""What goes over the bridge's own sockets in a story: of phones that own theirs (`agent: pjsip`).

The callers of the lab keep their packets themselves, and PJSIP tells of its SIP. Of its RTP the
bridge is the one who can tell, by the kernel's time of arrival and by the time at which it was
sent; and of SIP that no phone has told of. They are told as the phone's, as all others are.
"""

import asyncio
import re
import tempfile
import time
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Final

from bridge.errors import WorkerLost
from bridge.lab.callers import Caller
from bridge.lab.capture import Address as Pair
from bridge.lab.capture import Capture, Packet
from bridge.lab.host import Host
from bridge.link import StartCapture
from bridge.sip.api import Address
from bridge.worker_capture import read
from bridge.worker_link import MediaWorker

AUDIO_PORT: Final = re.compile(rb"^m=audio (\d+) ", re.MULTILINE)


class BridgeWatch:
    """Watches one bridge from `begin` to `end`.

    Attributes:
        sip, rtp: what was seen, when it is over.
        left_out: packets that had no room.
        lost: why some packets are not there though they should, "" when all are.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._seen = Capture()
        self._workers: tuple[MediaWorker, ...] = ()
        self.sip: list[Packet] = []
        self.rtp: list[Packet] = []
        self.left_out = 0
        self.lost = ""

    def begin(self) -> None:
        """Keep what comes and goes from now on."""
        self._seen.begin()
        self._host.watch_sip(self._on_sip)
        self._workers = self._host.bridge.media.workers
        for worker in self._workers:
            worker.send(StartCapture())

    def _on_sip(self, data: bytes, peer: Address, sent: bool) -> None:
        own, theirs = self._host.sip_address, (peer.host, peer.port)
        at_ns = time.monotonic_ns()
        self._seen.add(Packet(at_ns, theirs, (own.host, own.port), not sent, data))

    async def end(self, but: Container[Pair], *, wanted: bool) -> None:
        """Keep nothing more; take what was seen of all phones `but` these, RTP only if `wanted`."""
        self._host.watch_sip(None)
        seen, self.left_out = self._seen.take()
        self.sip = [one for one in seen if one.local not in but]
        with tempfile.TemporaryDirectory(prefix="tollbridge-rtp-") as folder:
            for number, worker in enumerate(self._workers):
                path = Path(folder) / str(number)
                try:
                    done = await worker.stop_capture(str(path) if wanted else "")
                except WorkerLost as fault:
                    self.lost = f"RTP of PJSIP phones: {fault}"
                    continue
                self.lost = done.error or self.lost
                self.left_out += done.left_out
                if wanted and not done.error:
                    self.rtp += self._packets(await asyncio.to_thread(path.read_bytes), but)

    def _packets(self, data: bytes, but: Container[Pair]) -> list[Packet]:
        host = self._host.settings.rtp.address
        wall_less_own = time.time_ns() - time.monotonic_ns()
        return [
            Packet(one.at_ns - wall_less_own, one.peer, (host, one.port), not one.sent, one.payload)
            for one in read(data)
            if one.peer not in but
        ]


def callers_of(sip: Iterable[Packet], callers: Iterable[Caller]) -> dict[int, str]:
    """Return whose an RTP port is, by the SDP that his phone sent."""
    everybody = list(callers)
    return {
        int(found[1]): name
        for packet in sip
        if packet.sent and (found := AUDIO_PORT.search(packet.payload))
        for name in [caller_in(packet, everybody)]
        if name
    }


def caller_in(packet: Packet, callers: Iterable[Caller]) -> str:
    """Return the caller whose number stands in a SIP message, "" when none does."""
    return next((one.name for one in callers if one.number.encode() in packet.payload), "")
