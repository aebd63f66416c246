"""The classes that PJSIP calls back. Imported only where the wheel is; decides nothing.

An exception that leaves a callback aborts the process, so each is guarded. No object of PJSIP may
be freed at a moment or in a thread that chance picks, so these hold no reference to whoever uses
them: they append what happened to a deque that `Driver` reads after each turn.
"""

import ctypes
import functools
import re
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import pjsua2 as pj

from bridge.phone.sound import Sound
from bridge.phone.values import Statistics

Happenings = deque[tuple[Any, ...]]
FAULT: Final = "fault"
PROBE: Final = b"tollbridge"
SIP_LEVEL: Final = 4
"""PJSIP's log has the SIP messages, whole, from this level on; up to 4,000 bytes each."""

_LOGGED: Final = re.compile(
    r"(TX|RX) \d+ bytes [^\n]* (?:to|from) (?:UDP|TCP|TLS) (\S+):(\d+):\n(.*)\n--end msg--",
    re.DOTALL,
)
_CALL_ID: Final = re.compile(r"\n(?:call-id|i)[ \t]*:[ \t]*(\S+)", re.IGNORECASE)


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Keep what a callback raises from PJSIP, and tell it to the driver."""

    @functools.wraps(method)
    def call(self: Any, prm: Any) -> None:
        try:
            method(self, prm)
        except Exception:  # would end the process: PJSIP is no Python caller
            self.happened.append((FAULT, traceback.format_exc()))

    return call


class PjCall(pj.Call):  # type: ignore[misc]  # the wheel has no types
    """One call of PJSIP's, told apart by a number of ours."""

    def __init__(self, number: int, happened: Happenings, account: Any, call_id: int) -> None:
        super().__init__(account, call_id)
        self.number, self.happened = number, happened

    @guarded
    def onCallState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """The dialog has changed."""
        info = self.getInfo()
        self._tell("state", info.state, info.lastStatusCode, info.lastReason)

    @guarded
    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """Offer and answer have changed the media."""
        info = self.getInfo()  # kept: its parts are gone with it, and read as rubbish
        audio = [media.status for media in info.media if media.type == pj.PJMEDIA_TYPE_AUDIO]
        self._tell("media", audio[0] if audio else pj.PJSUA_CALL_MEDIA_NONE)

    @guarded
    def onStreamDestroyed(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """A stream is about to end: the last moment for its figures."""
        self._tell("stream_end", statistics(self))

    @guarded
    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """A key has come."""
        self._tell("key", prm.digit)

    @guarded
    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """A REFER has come: it is declined."""
        prm.statusCode = pj.PJSIP_SC_DECLINE  # nobody is sent elsewhere without being asked

    @guarded
    def onCallTransferStatus(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """A transfer goes on."""
        self._tell("transfer", prm.statusCode, prm.reason, bool(prm.finalNotify))

    @guarded
    def onCallTsxState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """A request of ours has its final answer."""
        tsx = prm.e.body.tsxState.tsx
        if tsx.role == pj.PJSIP_ROLE_UAC and tsx.statusCode >= 200:
            self._tell("answer", tsx.method, tsx.statusCode, tsx.statusText)

    def _tell(self, what: str, *values: Any) -> None:
        self.happened.append((what, self.number, *values))


class PjAccount(pj.Account):  # type: ignore[misc]  # the wheel has no types
    """One account of PJSIP's, told apart by a number of ours."""

    def __init__(self, number: int, happened: Happenings, incoming: Iterator[int]) -> None:
        super().__init__()
        self.number, self.happened, self.incoming = number, happened, incoming

    @guarded
    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """An INVITE has come."""
        # PJSIP hangs up a call that nobody has made an object of when this returns.
        call = PjCall(next(self.incoming), self.happened, self, prm.callId)
        info = call.getInfo()
        self.happened.append(("incoming", self.number, call, info.remoteUri, info.localUri))

    @guarded
    def onRegState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """The registrar has answered."""
        self.happened.append(("registration", self.number, prm.code, prm.reason, prm.expiration))


class PjLog(pj.LogWriter):  # type: ignore[misc]  # the wheel has no types
    """Reads the SIP messages out of PJSIP's log, the one place that has all of them, repeated
    ones too; called in the thread that works PJSIP. The endpoint owns it, and frees it at its end.
    """

    def __init__(self, happened: Happenings) -> None:
        super().__init__()
        self.happened = happened

    @guarded
    def write(self, entry: Any) -> None:
        """One entry of the log."""
        if found := _LOGGED.search(entry.msg):
            way, host, port, text = found.groups()
            remote = (host.strip("[]"), int(port))
            data = text.encode("utf-8", "surrogateescape")
            call_id = _CALL_ID.search(text)
            noted = (call_id[1] if call_id else "", time.monotonic_ns(), way == "TX", remote, data)
            self.happened.append(("sip", 0, *noted))


class PjPort(pj.AudioMediaPort):  # type: ignore[misc]  # the wheel has no types
    """Carries a `Sound` into PJSIP's conference bridge; called by its clock thread."""

    def __init__(self, sound: Sound, happened: Happenings) -> None:
        super().__init__()
        self.sound, self.happened = sound, happened

    @guarded
    def onFrameRequested(self, frame: Any) -> None:  # noqa: N802 - PJSIP's name
        """The conference bridge wants a frame to send."""
        data = self.sound.next_frame()
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        fill(frame.buf, data)
        frame.size = len(data)

    @guarded
    def onFrameReceived(self, frame: Any) -> None:  # noqa: N802 - PJSIP's name
        """The conference bridge has a frame to hear."""
        if frame.size:
            self.sound.take(content(frame.buf, frame.size))


def release(thing: Any) -> None:
    """Free an object of PJSIP's now, whoever still has a reference (a traceback's frame, say)."""
    thing.__swig_destroy__(thing)


def _storage(vector: Any) -> int:
    """Return where a std::vector's bytes are: the first of its three pointers."""
    return ctypes.c_void_p.from_address(int(vector.this)).value or 0


def _layout_is_known() -> bool:
    """Try the layout once on a vector whose content is known, through the checked way."""
    vector = pj.ByteVector(PROBE)
    first, last = (ctypes.c_void_p.from_address(int(vector.this) + at).value or 0 for at in (0, 8))
    return last - first == len(PROBE) and ctypes.string_at(first, len(PROBE)) == PROBE


FAST: Final = _layout_is_known()
"""Whether frames are moved as memory, 3 µs instead of 9 to write and 2 instead of 120 to read."""


def fill(vector: Any, data: bytes) -> None:
    """Make a vector of PJSIP's hold `data`."""
    vector.resize(len(data), 0)
    if FAST:
        ctypes.memmove(_storage(vector), data, len(data))
    else:
        vector[:] = pj.ByteVector(data)


def content(vector: Any, size: int) -> bytes:
    """Return the first `size` bytes of a vector of PJSIP's."""
    return ctypes.string_at(_storage(vector), size) if FAST else bytes(bytearray(vector)[:size])


def statistics(call: Any) -> Statistics:
    """Return what PJSIP counted in a call's present stream: a re-INVITE may begin another."""
    info = call.getInfo()
    seconds = info.connectDuration.sec + info.connectDuration.msec / 1_000
    for index, media in enumerate(info.media):
        if media.type != pj.PJMEDIA_TYPE_AUDIO:
            continue
        try:
            stream, found = call.getStreamInfo(index), call.getStreamStat(index)
        except pj.Error:  # no stream: refused, on hold, or over
            break
        counted = found.rtcp
        return Statistics(
            codec=f"{stream.codecName}/{stream.codecClockRate}",
            sent=counted.txStat.pkt,
            received=counted.rxStat.pkt,
            lost=counted.rxStat.loss,
            discarded=counted.rxStat.discard,
            reordered=counted.rxStat.reorder,
            peer_lost=counted.txStat.loss,
            jitter_ms=counted.rxStat.jitterUsec.mean / 1_000,
            round_trip_ms=counted.rttUsec.mean / 1_000,
            seconds=seconds,
        )
    return Statistics(seconds=seconds)
