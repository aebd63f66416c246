"""What the bridge saw of phones that own their sockets: whose it is, and what is not there."""

from types import SimpleNamespace
from typing import Any

from bridge.errors import WorkerLost
from bridge.lab.bridge_watch import BridgeWatch, callers_of
from bridge.lab.capture import Packet
from bridge.link import CaptureDone, StartCapture
from bridge.sip.api import Address

BRIDGE, PHONE, OURS = Address("127.0.0.1", 5060), ("127.0.0.1", 41_000), ("127.0.0.1", 42_000)


class Worker:
    """A media worker that has nothing to say, or has died."""

    def __init__(self, *, lost: bool = False) -> None:
        self.ordered: list[object] = []
        self.lost = lost

    def send(self, order: object) -> None:
        self.ordered.append(order)

    async def stop_capture(self, path: str) -> CaptureDone:
        if self.lost:
            raise WorkerLost("media worker 7 has ended")
        return CaptureDone(0, 3, "" if path == "" else "disk full")


class Host:
    """What is asked of the bridge under a story."""

    def __init__(self, *workers: Worker) -> None:
        self.bridge = SimpleNamespace(media=SimpleNamespace(workers=workers))
        self.sip_address = BRIDGE
        self.watcher: Any = None

    def watch_sip(self, watcher: Any) -> None:
        self.watcher = watcher


def watch(*workers: Worker) -> tuple[BridgeWatch, Host]:
    host: Any = Host(*workers)
    made = BridgeWatch(host)
    made.begin()
    return made, host


def invite(number: str, port: int, *, sent: bool = True) -> Packet:
    text = (
        f"INVITE sip:1@b SIP/2.0\r\nFrom: <sip:{number}@b>\r\n\r\nv=0\r\nm=audio {port} RTP/AVP 0"
    )
    return Packet(1, PHONE, BRIDGE, sent, text.encode())


async def test_messages_are_told_as_the_phones_and_those_of_our_own_left_out() -> None:
    worker = Worker()
    made, host = watch(worker)
    assert worker.ordered == [StartCapture()]
    host.watcher(b"INVITE", Address(*PHONE), False)
    host.watcher(b"200", Address(*PHONE), True)
    host.watcher(b"INVITE", Address(*OURS), False)
    await made.end({OURS}, wanted=False)
    assert host.watcher is None
    assert [(one.payload, one.sent) for one in made.sip] == [(b"INVITE", True), (b"200", False)]
    assert {(one.local, one.remote) for one in made.sip} == {(PHONE, ("127.0.0.1", 5060))}
    assert (made.left_out, made.lost) == (3, "")


async def test_what_is_missing_is_said() -> None:
    dead, _ = watch(Worker(lost=True))
    await dead.end((), wanted=True)
    assert dead.lost == "RTP of PJSIP phones: media worker 7 has ended"
    full, _ = watch(Worker())
    await full.end((), wanted=True)
    assert (full.lost, full.rtp) == ("disk full", [])


def test_a_port_is_his_whose_number_stands_beside_it_in_what_his_phone_sent() -> None:
    callers: Any = [
        SimpleNamespace(name="ann", number="+12125550100"),
        SimpleNamespace(name="ben", number="+12125550101"),
    ]
    seen = [
        invite("+12125550101", 4_002),
        invite("+12125550100", 4_000),
        invite("+12125550100", 40_000, sent=False),  # the bridge's own port
        invite("+19999999999", 4_004),
        Packet(1, PHONE, BRIDGE, True, b"BYE sip:1@b SIP/2.0\r\n\r\n"),
    ]
    assert callers_of(seen, callers) == {4_002: "ben", 4_000: "ann"}
