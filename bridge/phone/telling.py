"""What PJSIP's callbacks have noted, told as notices, and as answers to those who wait for one."""

import asyncio
import contextlib
import re
import time
from collections import deque
from typing import Any, Final

from bridge.phone.pjsip import Entry, Pjsip
from bridge.phone.router import Router
from bridge.phone.values import (
    Answered,
    CallRefused,
    Ended,
    KeyReceived,
    Media,
    MediaChanged,
    PhoneTrouble,
    Ringing,
    SipMessage,
    Statistics,
    TransferProgress,
)

CHALLENGES: Final = (401, 407)
STRAYS_MAX: Final = 200
"""SIP messages of no call that is known: of one that is about to come, or that was forgotten."""

WAITED_FOR: Final = {"INVITE": ("hold", "resume"), "REFER": ("transfer",)}


_TAG: Final = rb"(?im)^(?:%s|%s)[ \t]*:[^\r\n]*;[ \t]*tag=([^;\s]+)"
_FROM_TAG: Final = re.compile(_TAG % (b"from", b"f"))
_TO_TAG: Final = re.compile(_TAG % (b"to", b"t"))


def _own_tag(message: SipMessage) -> bytes:
    """Return the tag of the end that sent or got a message; of a callee at first b""."""
    asked = not message.data.startswith(b"SIP/2.0 ")
    found = (_FROM_TAG if message.sent == asked else _TO_TAG).search(message.data)
    return found[1] if found else b""


class Telling:
    """Reads `Pjsip.happened` after each turn.

    Attributes:
        registered: accounts that their registrar knows.
        ended_at: monotonic seconds, when the last call ended.
    """

    def __init__(self, pjsip: Pjsip, router: Router) -> None:
        self.registered: set[int] = set()
        self.ended_at = 0.0
        self._pjsip, self._router = pjsip, router
        self._expected: dict[tuple[int, str], asyncio.Future[None]] = {}
        self._strays: deque[tuple[str, SipMessage]] = deque(maxlen=STRAYS_MAX)

    def over_for(self, seconds: float) -> bool:
        """Return whether no call has ended for so long."""
        return time.monotonic() - self.ended_at >= seconds

    def expect(self, number: int, what: str) -> asyncio.Future[None]:
        """Return what is done when a call is held, resumed or transferred."""
        future = asyncio.get_running_loop().create_future()
        self._expected[number, what] = future
        return future

    def tell(self) -> None:
        """Tell all that has happened, in order."""
        happened = self._pjsip.happened
        while happened:
            what, number, *rest = happened.popleft()
            if what == self._pjsip.directors.FAULT:
                text = f"a callback of PJSIP's failed: {number}"
                asyncio.get_running_loop().call_exception_handler({"message": text})
            elif what == "incoming":
                self._on_incoming(number, *rest)
            elif what == "sip":
                self._on_sip(*rest)
            elif what == "registration":
                self._on_registration(number, *rest)
            elif number in self._pjsip.calls:
                getattr(self, f"_on_{what}")(number, self._pjsip.calls[number], *rest)

    def end(self) -> None:
        """Tell those who wait that nothing more will come."""
        for (_, what), future in self._expected.items():
            if not future.done() and not future.get_loop().is_closed():
                future.set_exception(PhoneTrouble(f"{what}: the endpoint is closed"))
                future.exception()  # nobody may be waiting any more
        self._expected.clear()

    def _settle(self, number: int, what: str, fault: Exception | None = None) -> None:
        future = self._expected.pop((number, what), None)
        if future is None or future.done():
            return
        if fault is None:
            future.set_result(None)
        else:
            future.set_exception(fault)

    # --- accounts -----------------------------------------------------------------------------

    def _on_incoming(self, account: int, call: Any, uri: str, called: str) -> None:
        pj = self._pjsip.pj
        entry = self._pjsip.calls[call.number] = self._pjsip.entry(call)
        with contextlib.suppress(pj.Error):  # the caller has given up already
            entry.call_id = call.getInfo().callIdString
        ringing = pj.CallOpParam(True)
        ringing.statusCode = 180
        with contextlib.suppress(pj.Error):  # the caller has given up already
            entry.call.answer(ringing)
        self._router.notify(account, ("incoming", call.number, uri, called))
        for call_id, message in [one for one in self._strays if one[0] == entry.call_id]:
            self._strays.remove((call_id, message))
            self._router.notify(call.number, message)

    def _on_sip(
        self, call_id: str, at_ns: int, sent: bool, remote: tuple[str, int], data: bytes
    ) -> None:
        host, _, port = self._pjsip.address.rpartition(":")
        message = SipMessage(at_ns, sent, (host.strip("[]"), int(port or 0)), remote, data)
        ends = [one for one in self._pjsip.calls.items() if one[1].call_id == call_id]
        tag = _own_tag(message)
        for number, entry in sorted(ends, key=lambda one: not one[1].dialled):
            if entry.dialled and not entry.tag and sent:
                entry.tag = tag
            if not entry.dialled or tag == entry.tag:  # both ends may be ours: of one Call-ID
                self._router.notify(number, message)
                return
        self._strays.append((call_id, message))

    def _on_registration(self, account: int, status: int, reason: str, expires: int) -> None:
        there = status // 100 == 2 and expires > 0
        (self.registered.add if there else self.registered.discard)(account)
        self._router.notify(account, ("registration", status, reason, there))

    # --- calls --------------------------------------------------------------------------------

    def _on_state(self, number: int, entry: Entry, state: int, status: int, reason: str) -> None:
        pj = self._pjsip.pj
        if state == pj.PJSIP_INV_STATE_EARLY and status > 100:
            self._router.notify(number, Ringing(status, reason))
        elif state == pj.PJSIP_INV_STATE_CONFIRMED and not entry.confirmed:
            entry.confirmed = True
            self._router.notify(number, Answered(status))
        elif state == pj.PJSIP_INV_STATE_DISCONNECTED:
            entry.over, entry.media = True, Media.NONE
            entry.sound.quiet()
            self.ended_at = time.monotonic()
            for what in ("hold", "resume", "transfer"):
                self._settle(number, what, PhoneTrouble(f"{what}: the call has ended"))
            self._router.notify(number, Ended(status, reason))

    def _on_media(self, number: int, entry: Entry, status: int) -> None:
        pj = self._pjsip.pj
        meanings = {
            pj.PJSUA_CALL_MEDIA_ACTIVE: Media.ACTIVE,
            pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: Media.HELD,
            pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: Media.HELD_BY_PEER,
        }
        media = meanings.get(status, Media.NONE)
        if media in (Media.ACTIVE, Media.HELD_BY_PEER) and not entry.over:
            with contextlib.suppress(pj.Error):  # no stream in either direction
                stream = entry.call.getAudioMedia(-1)
                entry.port.startTransmit(stream)
                stream.startTransmit(entry.port)
                self._pjsip.connect(number)
        self._settle(number, "hold" if media is Media.HELD else "resume")
        if media is not entry.media:
            entry.media = media
            self._router.notify(number, MediaChanged(media))

    def _on_key(self, number: int, entry: Entry, key: str) -> None:
        self._router.notify(number, KeyReceived(key))

    def _on_stream_end(self, number: int, entry: Entry, statistics: Statistics) -> None:
        entry.statistics = entry.statistics.followed_by(statistics)

    def _on_transfer(
        self, number: int, entry: Entry, status: int, reason: str, final: bool
    ) -> None:
        self._router.notify(number, TransferProgress(status, reason, final))
        if final:
            well = status // 100 == 2
            fault = None if well else CallRefused("transfer", status, reason)
            self._settle(number, "transfer", fault)

    def _on_answer(self, number: int, entry: Entry, method: str, status: int, reason: str) -> None:
        """A final answer to a request of ours in the call."""
        if status >= 300 and status not in CHALLENGES:
            for what in WAITED_FOR.get(method, ()):
                self._settle(number, what, CallRefused(what, status, reason))
