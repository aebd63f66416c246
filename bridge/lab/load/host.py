"""A bridge of the load test's own: `tollbridge serve` in processes of its own, on cores of its own.

It runs with the settings that everybody gets. One session for each conference starts when its
organizer joins; nothing of it outlives the run.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final, Self, TypeVar

from bridge.config import load_settings
from bridge.errors import OperatingTrouble
from bridge.lab.load.plan import LoadPlan
from bridge.legstory.build import Story
from bridge.legstory.explain import stories_from_store
from bridge.legstory.shelf import legs_on, shelf_file

START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0
CODE_FIRST: Final = 500_001
"""Access code of the first conference; six digits each."""

PIN: Final = "771144"
RTP_PORTS: Final = (20_000, 29_999)
SEATS_USUAL: Final = 500
LISTENING: Final = re.compile(r"listening for SIP over UDP on 127\.0\.0\.1:(\d+)")

Key = TypeVar("Key")

_HEAD: Final = """\
[sip]
listen = "127.0.0.1:0"
[rtp]
address = "127.0.0.1"
port_range = [{first}, {last}]
[store]
url = "sqlite:///{store}"
[web]
listen = ""
[conference]
participants_max = {seats}
[[trunk]]
id = "load"
cidr = ["127.0.0.0/8"]
[[contract]]
id = "load"
currency = "USD"
[contract.toll_free]
US = "0.06"
[[account]]
id = "load"
contract = "load"
time_zone = "Etc/UTC"
"""


def configuration(plan: LoadPlan, store: Path) -> str:
    """Return the bridge's settings: one session for each conference of a plan."""
    seats = max(SEATS_USUAL, -(-plan.participants // plan.conferences))
    first, last = RTP_PORTS
    head = _HEAD.format(first=first, last=last, store=store, seats=seats)
    sessions = "".join(
        f'[[session]]\nid = "load{number}"\naccount = "load"\n'
        f'access_code = "{CODE_FIRST + number}"\norganizer_pin = "{PIN}"\n'
        'start = "on_join"\ntoll_free = ["US"]\n'
        for number in range(plan.conferences)
    )
    return head + sessions


def plan_for(plan: LoadPlan, port: int) -> LoadPlan:
    """Return a plan that dials the bridge on a port of this machine."""
    return replace(
        plan,
        target=f"sip:{{conference}}@127.0.0.1:{port}",
        organizer_keys=f"*0{PIN}#",
        first=CODE_FIRST,
    )


@dataclass(slots=True)
class OwnBridge:
    """A running bridge; `port` is where it hears SIP."""

    process: subprocess.Popen[str]
    port: int
    _folder: tempfile.TemporaryDirectory[str]
    _log: IO[str]
    _reader: threading.Thread | None = None

    @classmethod
    async def start(
        cls,
        plan: LoadPlan,
        cores: frozenset[int],
        *,
        command: tuple[str, ...] = ("-m", "bridge.cli"),
    ) -> Self:
        """Start a bridge for a plan and wait until it listens.

        Raises:
            OperatingTrouble: it did not; with what it said.
        """
        folder = tempfile.TemporaryDirectory(prefix="tollbridge-load-")
        place = Path(folder.name)
        (place / "bridge.toml").write_text(configuration(plan, place / "bridge.db"))
        log = (place / "log").open("w+")
        own = cls(_serve(command, place / "bridge.toml", log, cores), 0, folder, log)
        try:
            own.port = await asyncio.wait_for(asyncio.to_thread(own._listens), START_TIMEOUT_S)
        except TimeoutError:
            await own.stop()
            raise OperatingTrouble(f"no bridge within {START_TIMEOUT_S:g} s") from None
        if not own.port:
            said = own.said()
            await own.stop()
            raise OperatingTrouble(f"the bridge did not start: {said}")
        return own

    def _listens(self) -> int:
        """Return the port that the bridge says, 0 when it ended without.

        What it says after that is read too, by a thread: of some hundred sessions it says more
        than a pipe holds, and would wait for ever.
        """
        said = self.process.stdout
        assert said is not None
        for line in said:
            if found := LISTENING.search(line):
                self._reader = threading.Thread(target=said.read, daemon=True)
                self._reader.start()
                return int(found[1])
        return 0

    def said(self) -> str:
        """Return the end of what the bridge has logged."""
        self._log.seek(0)
        return self._log.read()[-2_000:].strip()

    async def end(self) -> None:
        """End the bridge in order, by force when that takes too long; what it wrote stays."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self.process.wait, STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        if self._reader is not None:
            self._reader.join(STOP_TIMEOUT_S)

    async def stop(self) -> None:
        """End the bridge and remove what it wrote."""
        await self.end()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()
        self._folder.cleanup()

    def stories(self, calls: Mapping[Key, tuple[str, int]]) -> dict[Key, Story]:
        """Return the stories of calls, each told by its number and when it was made; blocks.

        Of several legs of a number it is the one that began next to the call. The bridge must
        have ended: what it still had in mind is on its shelf then.
        """
        settings = load_settings(Path(self._folder.name) / "bridge.toml", environment={})
        legs: dict[str, list[tuple[int, str]]] = {}
        for leg, number, begun_ns in legs_on(shelf_file(settings.store.outbox_url)):
            legs.setdefault(number, []).append((begun_ns, leg))
        leg_of: dict[Key, str] = {}
        for key, (number, dialled_ns) in calls.items():
            apart = [(abs(begun_ns - dialled_ns), leg) for begun_ns, leg in legs.get(number, ())]
            if apart:
                leg_of[key] = min(apart)[1]
        told = stories_from_store(settings, list(leg_of.values()))
        return {key: told[leg] for key, leg in leg_of.items()}


def _serve(
    command: tuple[str, ...], config: Path, log: IO[str], cores: frozenset[int]
) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, *command, "serve", "--quiet", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,  # Ctrl-C ends the load first, then the bridge
    )
    if cores:
        os.sched_setaffinity(process.pid, cores)  # before it starts workers
    return process
