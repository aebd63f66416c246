"""PJSIP's library in this process: started, worked, and taken down as does not abort it.

Everything of PJSIP's is owned here, so that no reference of a user's decides when it is freed.
Knows no asyncio. The order of the end: hang up, work until all are disconnected, free every call
and port, shut the accounts down, destroy the library. An interpreter that exits does the same.
"""

import atexit
import contextlib
import gc
import itertools
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from bridge.errors import InputError, LocalMisuse
from bridge.phone import library
from bridge.phone.sound import Sound
from bridge.phone.values import AccountConfig, Media, PhoneConfig, PhoneTrouble, Statistics

POLL_S: Final = 0.005
EVENTS_A_TURN_MAX: Final = 1_000
HANG_UP_S: Final = 2.0
OVER_KEPT_MAX: Final = 32


@dataclass(slots=True)
class Entry:
    """One call: PJSIP's object, its port, and what is known of it.

    Attributes:
        statistics: of the streams before the present one.
        joined: the calls that hear it, and that it hears, in PJSIP's mixer.
        call_id: of its dialog, "" before it is made.
        dialled: we called; `tag` is then what our INVITE has in From, b"" before that is sent.
    """

    call: Any
    port: Any
    sound: Sound
    confirmed: bool = False
    media: Media = Media.NONE
    over: bool = False
    statistics: Statistics = field(default_factory=Statistics)
    joined: set[int] = field(default_factory=set)
    call_id: str = ""
    dialled: bool = False
    tag: bytes = b""


class Pjsip:
    """The library; one can be open at a time in a process.

    Attributes:
        pj: the module `pjsua2`.
        happened: what PJSIP called back, in order; see `directors`.
        calls, accounts: PJSIP's, by our numbers.
        dialling: calls that wait for a place among those that PJSIP allows.
        tried: calls that count how many those are.
        address: where SIP over UDP is heard, `host:port`.
        loop: whose it is; what a closed loop left open may be taken down.
    """

    loop: Any

    _open: ClassVar["Pjsip | None"] = None

    def __init__(self, config: PhoneConfig, *, on_closed: Callable[[], None]) -> None:
        self.config = config
        self.happened: deque[tuple[Any, ...]] = deque()
        self.calls: dict[int, Entry] = {}
        self.accounts: dict[int, Any] = {}
        self.dialling: dict[int, Entry] = {}
        self.tried: list[Any] = []
        self.address = self.version = ""
        self._on_closed = on_closed
        self._incoming = itertools.count(-1, -1)
        self._ports: list[tuple[Any, Sound]] = []

    @property
    def is_open(self) -> bool:
        """Whether it is this one that runs."""
        return Pjsip._open is self

    @classmethod
    def close_left(cls, may_close: Callable[["Pjsip"], bool]) -> None:
        """Take down what a program left open, when that may be."""
        if cls._open is not None and may_close(cls._open):
            cls._open.close_now()

    # --- the beginning ------------------------------------------------------------------------

    def start(self) -> None:
        """Start PJSIP.

        Raises:
            InputError: the wheel is missing, or a codec is unknown.
            LocalMisuse: another one is open in this process.
            PhoneTrouble: PJSIP cannot start, for example because the port is taken.
        """
        self.directors = library.directors()
        self.pj = self.directors.pj
        if Pjsip._open is not None:
            raise LocalMisuse("one endpoint a process: close the open one, or use a Pool")
        self._ep = self.pj.Endpoint()
        Pjsip._open = self
        atexit.register(self.close_now)
        try:
            self._start_library()
            self._choose_codecs()
        except self.pj.Error as error:
            self.close_now()
            place = f"{self.config.host}:{self.config.port}"
            raise PhoneTrouble(f"PJSIP does not start on {place}: {error.reason}") from None
        except InputError:
            self.close_now()
            raise

    def _start_library(self) -> None:
        pj, config = self.pj, self.config
        with _stdout_to_nowhere():  # libCreate says hello before it can be told not to
            self._ep.libCreate()
        made = pj.EpConfig()
        made.uaConfig.threadCnt, made.uaConfig.mainThreadOnly = 0, True
        made.uaConfig.maxCalls = config.calls_max
        made.uaConfig.userAgent = config.user_agent
        made.logConfig.level = made.logConfig.consoleLevel = 0
        if config.tells_sip:
            # The level of the console is the writer's, which stands in for the console.
            made.logConfig.level = made.logConfig.consoleLevel = self.directors.SIP_LEVEL
            made.logConfig.writer = self.directors.PjLog(self.happened).__disown__()
        made.medConfig.clockRate = made.medConfig.sndClockRate = config.rate_hz
        made.medConfig.ecTailLen, made.medConfig.noVad = 0, True
        self._ep.libInit(made)
        transport = pj.TransportConfig()
        transport.port, transport.boundAddress = config.port, config.host
        kinds = [pj.PJSIP_TRANSPORT_UDP, pj.PJSIP_TRANSPORT_TCP]
        if ":" in config.host:
            kinds = [pj.PJSIP_TRANSPORT_UDP6, pj.PJSIP_TRANSPORT_TCP6]
        udp, _ = [self._ep.transportCreate(kind, transport) for kind in kinds]
        self._ep.libStart()
        self.version = str(self._ep.libVersion().full).split("-")[0]
        self.address = str(self._ep.transportGetInfo(udp).localName)
        self._ep.audDevManager().setNullDev()  # setNoDev has no clock, and so no frames

    def _choose_codecs(self) -> None:
        codecs = self._ep.codecEnum2()  # kept: what is in it goes with it
        known = [codec.codecId for codec in codecs]
        for codec in known:
            self._ep.codecSetPriority(codec, 0)
        for place, name in enumerate(self.config.codecs):
            meant = [codec for codec in known if codec.upper().startswith(name.upper() + "/")]
            if not meant:
                names = sorted({codec.split("/")[0] for codec in known})
                raise InputError("codecs", name, f"one of {', '.join(names)}")
            for codec in meant:
                self._ep.codecSetPriority(codec, 250 - place)

    # --- objects ------------------------------------------------------------------------------

    def new_account(self, number: int, account: AccountConfig) -> Any:
        """Return a new account; one with a registrar registers."""
        made = self.directors.PjAccount(number, self.happened, self._incoming)
        try:
            made.create(self._account_config(account))
        except self.pj.Error:
            self.directors.release(made)
            raise
        return made

    def _account_config(self, account: AccountConfig) -> Any:
        pj, config = self.pj, self.pj.AccountConfig()
        config.idUri = account.uri
        config.mediaConfig.transportConfig.boundAddress = self.config.host
        if ":" in self.config.host:
            six = pj.PJSUA_IPV6_ENABLED_USE_IPV6_ONLY
            config.sipConfig.ipv6Use = config.mediaConfig.ipv6Use = six
        if account.registrar:
            config.regConfig.registrarUri = account.over_its_transport(account.registrar)
            config.regConfig.timeoutSec = account.expires_s
            config.regConfig.retryIntervalSec = 0
        if account.password:
            proof = pj.AuthCredInfo("digest", "*", account.digest_user, 0, account.password)
            config.sipConfig.authCreds.append(proof)
        if account.require_100rel:
            config.callConfig.prackUse = pj.PJSUA_100REL_MANDATORY
        if account.session_timer_s:
            config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
            config.callConfig.timerMinSESec = 90
            config.callConfig.timerSessExpiresSec = account.session_timer_s
        if account.hold_zero:
            config.callConfig.holdType = pj.PJSUA_CALL_HOLD_TYPE_RFC2543
        return config

    def drop_account(self, number: int) -> None:
        """Shut an account down and free it; nothing when it is not there."""
        account = self.accounts.pop(number, None)
        if account is not None:
            account.shutdown()
            self.directors.release(account)

    def new_call(self, number: int, account: Any) -> Any:
        """Return a call that is not made yet; `dialling` or `tried` must have it."""
        return self.directors.PjCall(number, self.happened, account, -1)

    def undial(self, number: int) -> None:
        """Free a call that found no place; nothing when it found one, or is freed."""
        if number in self.dialling:
            self.drop(self.dialling.pop(number))

    def release_tried(self) -> None:
        """End and free the calls that counted."""
        while self.tried:
            call = self.tried.pop()
            self._hang_up(call)
            self.directors.release(call)

    def entry(self, call: Any) -> Entry:
        """Give a call a port: one that another call has left, or a new one."""
        try:
            port, sound = self._ports.pop() if self._ports else self._new_port()
        except self.pj.Error:
            self.directors.release(call)
            raise
        sound.clear()
        self._forget_some()
        return Entry(call, port, sound)

    def _forget_some(self) -> None:
        """Drop the oldest calls that are over and that nobody has asked to forget."""
        over = [number for number, entry in self.calls.items() if entry.over]
        for number in over[:-OVER_KEPT_MAX]:
            self.drop(self.calls.pop(number))

    def _new_port(self) -> tuple[Any, Sound]:
        sound = Sound(self.config.frame)
        port = self.directors.PjPort(sound, self.happened)
        form = self.pj.MediaFormatAudio()
        form.type = self.pj.PJMEDIA_TYPE_AUDIO
        form.clockRate, form.channelCount, form.bitsPerSample = self.config.rate_hz, 1, 16
        form.frameTimeUsec = 20_000
        port.createPort("tollbridge", form)
        return port, sound

    def drop(self, entry: Entry) -> None:
        """Free a call that is over; its port serves another."""
        entry.sound.quiet()  # whoever waits until all is said
        self.directors.release(entry.call)
        self._ports.append((entry.port, entry.sound))
        entry.call = entry.port = None

    def connect(self, number: int) -> None:
        """Let a call and those it is joined with hear each other; again after each re-INVITE."""
        entry = self.calls[number]
        for other in [self.calls[one] for one in entry.joined if one in self.calls]:
            both = (entry, other)
            if all(one.media is not Media.NONE and not one.over for one in both):
                with contextlib.suppress(self.pj.Error):  # on hold: again when it is resumed
                    ours, theirs = (one.call.getAudioMedia(-1) for one in both)
                    ours.startTransmit(theirs)
                    theirs.startTransmit(ours)

    @property
    def all_over(self) -> bool:
        """Whether no call is under way."""
        return all(entry.over for entry in self.calls.values())

    # --- work and the end ---------------------------------------------------------------------

    def work(self) -> None:
        """Let PJSIP handle what has come; only in the thread that started it."""
        for _ in range(EVENTS_A_TURN_MAX):
            if self._ep.libHandleEvents(0) <= 0:
                break

    def hang_up_all(self) -> None:
        """End every call that is not over."""
        for entry in self.calls.values():
            if not entry.over:
                self._hang_up(entry.call)

    def _hang_up(self, call: Any) -> None:
        with contextlib.suppress(self.pj.Error):  # over by now
            call.hangup(self.pj.CallOpParam(True))

    def close_now(self) -> None:
        """Take PJSIP down at once; the way out of an exiting interpreter. Nothing when closed."""
        if not self.is_open:
            return
        Pjsip._open = None
        self.address = ""
        atexit.unregister(self.close_now)
        if self._ep.libGetState() >= self.pj.PJSUA_STATE_CREATED:
            if not self._ep.libIsThreadRegistered():
                self._ep.libRegisterThread("tollbridge-close")
            self.hang_up_all()
            self._work_until_over()
        self._destroy()
        self._on_closed()

    def _work_until_over(self) -> None:
        until = time.monotonic() + HANG_UP_S
        while not self.all_over and time.monotonic() < until:
            self.work()
            for what, number, *rest in list(self.happened):
                ended = what == "state" and rest[0] == self.pj.PJSIP_INV_STATE_DISCONNECTED
                if ended and number in self.calls:
                    self.calls[number].over = True
            self._release_happened()
            time.sleep(POLL_S)

    def _release_happened(self) -> None:
        for what, *rest in self.happened:
            if what == "incoming":
                self.directors.release(rest[1])
        self.happened.clear()

    def _destroy(self) -> None:
        """Free every object of PJSIP's, whoever has a reference to it, then PJSIP."""
        self._release_happened()
        self.release_tried()
        for entry in (*self.calls.values(), *self.dialling.values()):
            self.drop(entry)
        self.calls.clear()
        self.dialling.clear()
        for port, _ in self._ports:
            self.directors.release(port)
        self._ports.clear()
        for number in list(self.accounts):
            with contextlib.suppress(self.pj.Error):
                self.drop_account(number)
        gc.collect()
        with contextlib.suppress(self.pj.Error):
            self._ep.libDestroy(self.pj.PJSUA_DESTROY_NO_RX_MSG)
        del self._ep
        gc.collect()


@contextlib.contextmanager
def _stdout_to_nowhere() -> Iterator[None]:
    """Keep what C code writes to file 1 away."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
