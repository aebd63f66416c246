"""What a probe asks of the bridge it probes: the facts of a call's leg."""

import socket
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.peers.bridge_process import facts
from tests.peers.sip_wire import HOST, Talk

CODE = "482913"
TOLL_FREE = "+18002345678"
SETTLE_S = 5.0


class Serving(NamedTuple):
    """The bridge under test: where it listens, where its facts are, its process."""

    address: tuple[str, int]
    store: Path
    pid: int


def free_port() -> int:
    """Return a port that nobody on loopback listens on, neither by UDP nor by TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind((HOST, 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return int(udp.getsockname()[1])


def story(bridge: Serving, talk: Talk) -> list[dict[str, str]]:
    """Return the facts of a call's leg, in order."""
    seen = facts(bridge.store)
    legs = {f["subject"] for f in seen if f["type"] == "leg.answered" and f["ani"] == talk.name}
    assert len(legs) <= 1, "one call, one leg"
    return [fact for fact in seen if fact["subject"] in legs]


def kinds(bridge: Serving, talk: Talk) -> Counter[str]:
    return Counter(fact["type"] for fact in story(bridge, talk))


def left_reason(bridge: Serving, talk: Talk) -> str:
    """Wait until a call's leg has left; return why."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        for fact in story(bridge, talk):
            if fact["type"] == "leg.left":
                return fact["reason"]
        time.sleep(0.02)
    raise AssertionError("no leg.left")
