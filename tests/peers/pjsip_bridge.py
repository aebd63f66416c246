"""A conference bridge that is not ours: PJSIP answers every call and mixes them.

    python -m tests.peers.pjsip_bridge

Prints `port` and its port, then serves until standard input ends. Four calls at most, as PJSIP is
built. Each call is connected to every other one in PJSIP's own mixer, and to none with itself. A
call to `nobody` is refused with 404.
"""

import gc
import os
import select
import sys
from typing import Any

import pjsua2 as pj

from tests.peers.pjsip_phone import POLL_S, drain, endpoint

REFUSED_USER = "nobody"


class Call(pj.Call):  # type: ignore[misc]  # the wheel has no types
    """One caller of the conference."""

    def __init__(self, bridge: "Mixer", number: int) -> None:
        super().__init__(bridge, number)
        self.bridge = bridge
        self.over = False
        self.up = False

    def onCallState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        if self.getInfo().state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.over = True

    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        if self.up:
            return
        self.up = True
        ours = self.getAudioMedia(-1)
        for other in self.bridge.calls:
            if other is not self and other.up and not other.over:
                theirs = other.getAudioMedia(-1)
                ours.startTransmit(theirs)
                theirs.startTransmit(ours)


class Mixer(pj.Account):  # type: ignore[misc]  # the wheel has no types
    """Takes every call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        call = Call(self, prm.callId)
        answer = pj.CallOpParam()
        refused = f"sip:{REFUSED_USER}@" in call.getInfo().localUri
        answer.statusCode = 404 if refused else 200
        self.calls.append(call)
        call.answer(answer)


def main() -> int:
    ep = endpoint()
    config = pj.AccountConfig()
    config.idUri = "sip:conference@127.0.0.1"
    mixer = Mixer()
    mixer.create(config)
    print("port", ep.transportGetInfo(0).localAddress.rpartition(":")[2], flush=True)
    while not select.select([sys.stdin], [], [], POLL_S)[0]:
        drain(ep)
        mixer.calls = [call for call in mixer.calls if not call.over]
    ep.hangupAllCalls()
    while any(not call.over for call in mixer.calls):
        drain(ep)
    mixer.calls.clear()
    mixer.shutdown()
    gc.collect()
    os._exit(0)  # nothing of it is needed any more, and freeing PJSIP in order is not the test


if __name__ == "__main__":
    sys.exit(main())
