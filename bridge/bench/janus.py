"""Debian's Janus with its AudioBridge, driven over its Unix socket: rooms of plain RTP callers.

Everything but AudioBridge and the Unix socket is switched off, rooms mix at 8 kHz and nothing is
recorded; all else is as Janus has it by default.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bridge.errors import InputError, OperatingTrouble
from bridge.sip.api import Address, Codec, RemoteMedia

START_TIMEOUT_S: Final = 15.0
ANSWER_TIMEOUT_S: Final = 10.0
STARTS_MAX: Final = 8
MESSAGE_BYTES: Final = 1 << 20
POLL_S: Final = 0.05
PLUGIN: Final = "janus.plugin.audiobridge"
RTP_PORTS: Final = "30000-39999"

_OFF: Final = """\
general: {{ debug_level = 2, session_timeout = 0 }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
_SOCKET: Final = """\
general: {{ enabled = true, json = "compact", path = "{path}", type = "SOCK_SEQPACKET" }}
admin: {{ admin_enabled = false }}
"""
_AUDIO: Final = """\
general: {{ rtp_port_range = "{ports}", local_ip = "127.0.0.1", events = false }}
"""


def found() -> tuple[str, Path]:
    """Return the program and the folder of its plugins.

    Raises:
        InputError: Janus is not installed.
    """
    program = shutil.which("janus")
    folders = sorted(Path("/usr/lib").glob("*/janus"))
    if program is None or not folders:
        raise InputError("janus", "not installed", "Debian's package: apt-get install janus")
    return program, folders[0]


@dataclass(slots=True)
class Janus:
    """A running Janus and our connection to it."""

    process: subprocess.Popen[bytes]
    _folder: tempfile.TemporaryDirectory[str]
    _socket: socket.socket
    _asked: int = 0
    _session: int = 0

    @classmethod
    async def start(cls, cores: frozenset[int]) -> Self:
        """Start Janus on some cores and open a session.

        The thread of its Unix socket looks whether it may run before it is told so, and in one
        start of five or so it ends at once and Janus with it: then it is started again.

        Raises:
            InputError: it is not installed.
            OperatingTrouble: it does not answer; with the end of its log.
        """
        for _ in range(STARTS_MAX - 1):
            with contextlib.suppress(OperatingTrouble):
                return await cls._start_once(cores)
        return await cls._start_once(cores)

    @classmethod
    async def _start_once(cls, cores: frozenset[int]) -> Self:
        program, library = found()
        folder = tempfile.TemporaryDirectory(prefix="tollbridge-janus-")
        place = Path(folder.name)
        process = _spawn(program, library, place, cores)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        janus = cls(process, folder, sock)
        try:
            await janus._connect(place / "api")
            janus._session = int((await janus._ask(janus="create"))["data"]["id"])
        except (OSError, TimeoutError) as error:
            said = (place / "log").read_text()[-1_000:] if (place / "log").exists() else ""
            await janus.stop()
            raise OperatingTrouble(f"Janus does not answer: {error}\n{said}") from error
        return janus

    async def _connect(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_TIMEOUT_S
        while True:
            try:
                return await loop.sock_connect(self._socket, str(path))
            except OSError:
                if loop.time() > deadline or self.process.poll() is not None:
                    raise
            await asyncio.sleep(POLL_S)

    async def _ask(self, **message: Any) -> dict[str, Any]:
        """Send a request and return its answer, past acknowledgements and other news."""
        loop = asyncio.get_running_loop()
        self._asked += 1
        message["transaction"] = str(self._asked)
        await loop.sock_sendall(self._socket, json.dumps(message).encode())
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while True:
                answer = json.loads(await loop.sock_recv(self._socket, MESSAGE_BYTES))
                if answer.get("transaction") != message["transaction"]:
                    continue
                if answer["janus"] == "error":
                    raise OperatingTrouble(f"Janus: {answer['error']['reason']}")
                if answer["janus"] != "ack":
                    return dict(answer)

    async def _tell(self, handle: int, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self._ask(
            janus="message", session_id=self._session, handle_id=handle, body=body
        )
        data = answer["plugindata"]["data"]
        if "error" in data:
            raise OperatingTrouble(f"Janus: {data['error']}")
        return dict(data)

    async def _attach(self) -> int:
        answer = await self._ask(janus="attach", session_id=self._session, plugin=PLUGIN)
        return int(answer["data"]["id"])

    async def open_rooms(self, count: int) -> None:
        """Open rooms 1 to `count`: 8 kHz, plain RTP allowed, no audio levels, no recording."""
        handle = await self._attach()
        for room in range(1, count + 1):
            body = {
                "request": "create",
                "room": room,
                "sampling_rate": 8_000,
                "allow_rtp_participants": True,
                "audiolevel_ext": False,
                "audiolevel_event": False,
                "record": False,
            }
            await self._tell(handle, body)

    async def join(self, room: int, at: Address) -> RemoteMedia:
        """Put a caller who receives at `at` into a room; return where he sends to."""
        rtp = {"ip": at.host, "port": at.port, "payload_type": 0}
        body = {"request": "join", "room": room, "codec": "pcmu", "rtp": rtp}
        agreed = (await self._tell(await self._attach(), body))["rtp"]
        return RemoteMedia(Address(agreed["ip"], agreed["port"]), Codec("PCMU", 0), None)

    async def stop(self) -> None:
        """End Janus."""
        self._socket.close()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self.process.wait, START_TIMEOUT_S)
        if self.process.poll() is None:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        self._folder.cleanup()


def _spawn(
    program: str, library: Path, place: Path, cores: frozenset[int]
) -> subprocess.Popen[bytes]:
    """Start the program with a configuration of its own in `place`."""
    off = {
        kind: ",".join(
            sorted(one.name for one in (library / kind).glob("*.so") if keep not in one.name)
        )
        for kind, keep in (("plugins", "audiobridge"), ("transports", "pfunix"))
    }
    (place / "janus.jcfg").write_text(_OFF.format(**off))
    (place / "janus.transport.pfunix.jcfg").write_text(_SOCKET.format(path=place / "api"))
    (place / f"{PLUGIN}.jcfg").write_text(_AUDIO.format(ports=RTP_PORTS))
    folders = ["-F", str(place), "-P", str(library / "plugins")]
    process = subprocess.Popen(
        [program, *folders, "-i", "127.0.0.1", "-N", "-L", str(place / "log")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if cores:
        os.sched_setaffinity(process.pid, cores)  # before it starts its threads
    return process
