"""A PJSIP phone in a process of its own, told what to do by lines on standard input.

    python -m tests.peers.pjsip_phone URI CALLER TONE_HZ RAW_FILE

Calls URI at start. Speaks a tone; writes what it hears to RAW_FILE (int16, 8 kHz). Reads `keys
123#` and `hangup`; prints one JSON object a line: `{"event": "confirmed"}`, `keyed`, `over`.
Safe order of ending by what was found about pjsua2: hang up, poll until disconnected, drop every
reference, collect, shut the account down, destroy the library.
"""

import array
import gc
import json
import math
import os
import select
import sys
import time
from typing import Any, BinaryIO

import pjsua2 as pj

CLOCK_HZ = 8_000
FRAME_MS = 20
POLL_S = 0.005
TONE_SIZE = 5_193  # -16 dBFS
LIFE_S = 120.0
STRICT = "TEST_PHONE_STRICT"
"""Set in the environment: see `make_strict`."""


def say(event: str, **data: object) -> None:
    print(json.dumps({"event": event, **data}), flush=True)


class Microphone(pj.AudioMediaPort):  # type: ignore[misc]  # the wheel has no types
    """Speaks a tone and keeps what is heard; its callbacks run on PJSIP's clock thread."""

    def __init__(self, tone_hz: int, heard: BinaryIO) -> None:
        super().__init__()
        self.tone_hz = tone_hz
        self.heard = heard
        self.at = 0

    def onFrameRequested(self, frame: Any) -> None:  # noqa: N802 - PJSIP's name
        samples = CLOCK_HZ * FRAME_MS // 1_000
        turn = 2 * math.pi * self.tone_hz / CLOCK_HZ
        values = (round(TONE_SIZE * math.sin(turn * (self.at + i))) for i in range(samples))
        self.at += samples
        data = array.array("h", values).tobytes()
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.buf.resize(len(data), 0)
        frame.buf[:] = pj.ByteVector(data)
        frame.size = len(data)

    def onFrameReceived(self, frame: Any) -> None:  # noqa: N802 - PJSIP's name
        if frame.size:
            self.heard.write(bytes(bytearray(frame.buf)[: frame.size]))
            self.heard.flush()


class Call(pj.Call):  # type: ignore[misc]  # the wheel has no types
    """One call; joins the microphone to it when media is up."""

    def __init__(self, account: Any, microphone: Microphone) -> None:
        super().__init__(account)
        self.microphone = microphone
        self.over = False
        self.media_up = False

    def onCallState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            say("confirmed", status=info.lastStatusCode)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.over = True
            say("over", status=info.lastStatusCode)

    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        if self.media_up:
            return
        media = self.getAudioMedia(-1)
        self.microphone.startTransmit(media)
        media.startTransmit(self.microphone)
        self.media_up = True


def endpoint() -> Any:
    """Start the library so that this thread alone drives it."""
    ep = pj.Endpoint()
    ep.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = 0
    config.logConfig.consoleLevel = 0
    config.medConfig.clockRate = CLOCK_HZ
    config.medConfig.sndClockRate = CLOCK_HZ
    config.medConfig.audioFramePtime = FRAME_MS
    config.medConfig.ecTailLen = 0
    config.medConfig.noVad = True
    ep.libInit(config)
    transport = pj.TransportConfig()
    transport.port = 0
    transport.boundAddress = "127.0.0.1"
    ep.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    ep.libStart()
    ep.audDevManager().setNullDev()
    return ep


def drain(ep: Any) -> None:
    while ep.libHandleEvents(0) > 0:
        pass


def serve(ep: Any, call: Call) -> None:
    """Obey standard input until the call is over, or nobody is there to obey."""
    deadline = time.monotonic() + LIFE_S
    pending = b""
    while not call.over and time.monotonic() < deadline:
        drain(ep)
        if not select.select([0], [], [], POLL_S)[0]:
            continue
        data = os.read(0, 4_096)
        pending += data
        *lines, pending = pending.split(b"\n")
        for line in lines:
            verb, _, rest = line.decode().partition(" ")
            if verb == "keys":
                call.dialDtmf(rest)
                say("keyed", keys=rest)
            elif verb == "hangup":
                call.hangup(pj.CallOpParam(True))
        if not data:
            break


def make_strict(config: Any, caller: str) -> None:
    """Insist on what phones may insist on: reliable provisional answers and session timers.

    And prove who calls when that is asked, with the password that the tests use.
    """
    config.callConfig.prackUse = pj.PJSUA_100REL_MANDATORY
    config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
    config.callConfig.timerMinSESec = 90
    config.callConfig.timerSessExpiresSec = 90
    config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", caller, 0, "secret"))


def main() -> None:
    uri, caller, tone_hz, raw_file = sys.argv[1:]
    ep = endpoint()
    config = pj.AccountConfig()
    config.idUri = f"sip:{caller}@127.0.0.1"
    if os.environ.get(STRICT):
        make_strict(config, caller)
    account = pj.Account()
    account.create(config)
    with open(raw_file, "wb") as heard:
        microphone = Microphone(int(tone_hz), heard)
        form = pj.MediaFormatAudio()
        form.type = pj.PJMEDIA_TYPE_AUDIO
        form.clockRate, form.channelCount, form.bitsPerSample = CLOCK_HZ, 1, 16
        form.frameTimeUsec = FRAME_MS * 1_000
        microphone.createPort("microphone", form)
        call = Call(account, microphone)
        call.makeCall(uri, pj.CallOpParam(True))
        try:
            serve(ep, call)
        finally:
            end = time.monotonic() + 5
            if not call.over:
                call.hangup(pj.CallOpParam(True))
            while not call.over and time.monotonic() < end:
                drain(ep)
                time.sleep(POLL_S)
            call.microphone = None  # type: ignore[assignment]  # the last reference but ours
            del call, microphone
            gc.collect()
            account.shutdown()
            del account
            gc.collect()
            ep.libDestroy()


if __name__ == "__main__":
    main()
