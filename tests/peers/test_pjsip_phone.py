"""A PJSIP phone is a participant like any other: an independent SIP and RTP implementation.

It dials in, keys the code by RFC 4733, hears hold music and nobody while it waits, and after the
start the other phone's tone and not its own. All of it is measured in what the phone received.
"""

import asyncio
import importlib.util
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bridge.conference.api import LegState, StartSession
from bridge.lab.audibility import Hearing, Window, analyse
from bridge.lab.hearing import sound_pcm
from bridge.lab.host import SESSION, Host
from bridge.lab.story import Story
from bridge.units import FRAME_SAMPLES

HAS_PJSIP = importlib.util.find_spec("pjsua2") is not None
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        not HAS_PJSIP and os.environ.get("CI") != "true",
        reason="pjsua2-python is not installed: pip install 'tollbridge[phone]'",
    ),
]

TONES = {"ann": 440, "ben": 580, "olivia": 720}
NUMBERS = {"ann": "+12125550111", "ben": "+12125550112", "olivia": "+12125550113"}
STORY = {
    "scenario": "PJSIP phones call in",
    "session": {"toll_free": ["US"], "start": "on_command"},
    "callers": {
        "ann": {"via": "toll-free", "country": "US"},
        "olivia": {"via": "toll-free", "country": "US", "role": "organizer"},
    },
}


@dataclass
class Phone:
    """The test's end of one phone process."""

    name: str
    process: asyncio.subprocess.Process
    heard: Path

    async def event(self, wanted: str) -> dict[str, object]:
        assert self.process.stdout is not None
        while True:
            line = await asyncio.wait_for(self.process.stdout.readline(), 15)
            assert line, f"{self.name} ended before {wanted!r}"
            if not line.startswith(b"{"):  # the library's own first log line
                continue
            event: dict[str, object] = json.loads(line)
            if event["event"] == wanted:
                return event

    async def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    def samples(self) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
        data = self.heard.read_bytes()
        return np.frombuffer(data[: len(data) // 2 * 2], np.int16)

    async def hear(self, seconds: float) -> Hearing:
        """Return what the phone hears in the coming seconds."""
        before = len(self.samples())
        await asyncio.sleep(seconds + 0.1)
        pcm = self.samples()[before:]
        count = len(pcm) // FRAME_SAMPLES
        window = Window(pcm[: count * FRAME_SAMPLES], np.ones(count, bool))
        return await asyncio.to_thread(analyse, window, TONES, sound_pcm())

    async def end(self) -> int:
        await self.tell("hangup")
        return await asyncio.wait_for(self.process.wait(), 15)


class Street:
    """A bridge, and the phones that call it."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.phones: list[Phone] = []

    async def call(self, name: str) -> Phone:
        target = self.host.target(Story.model_validate(STORY).callers["ann"])
        host, port = target.bridge
        raw = self.folder / f"{name}.raw"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.peers.pjsip_phone",
            f"sip:{target.user}@{host}:{port}",
            NUMBERS[name],
            str(TONES[name]),
            str(raw),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        phone = Phone(name, process, raw)
        self.phones.append(phone)
        assert (await phone.event("confirmed"))["status"] == 200
        return phone

    async def in_state(self, phone: Phone, state: LegState) -> bool:
        def there() -> bool:
            view = self.host.view_of(NUMBERS[phone.name])
            return view is not None and view.state is state

        return await self.host.wait_for(there, 15)

    async def hears_music(self, phone: Phone) -> Hearing:
        """Listen until the prompts are over."""
        deadline = time.monotonic() + 20
        while True:
            hearing = await phone.hear(1.0)
            if hearing.sounds["hold-music"].share > 0.8 or time.monotonic() > deadline:
                return hearing


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    host = await Host.start(Story.model_validate(STORY), tmp_path)
    street = Street(host, tmp_path)
    yield street
    for phone in street.phones:
        if phone.process.returncode is None:
            phone.process.kill()
            await phone.process.wait()
    for worker in await host.stop():
        await worker.stop()


async def test_pjsip_phones_wait_in_isolation_and_meet(street: Street) -> None:
    assert HAS_PJSIP, "CI needs pjsua2-python"
    ann, ben, olivia = [await street.call(name) for name in ("ann", "ben", "olivia")]
    await ann.tell("keys 482913#")
    await ben.tell("keys 482913#")
    await olivia.tell("keys 482913#*771144#")
    for phone in (ann, ben, olivia):
        assert await street.in_state(phone, LegState.WAITING)

    for hearing in await asyncio.gather(*(street.hears_music(p) for p in (ann, ben))):
        assert hearing.sounds["hold-music"].share > 0.8, hearing
        assert all(tone.absent for tone in hearing.tones.values()), hearing  # D3

    assert await street.host.order(StartSession(SESSION, "test")) == ""
    for phone in (ann, ben, olivia):
        assert await street.in_state(phone, LegState.JOINED)
    await asyncio.sleep(1.0)
    for phone, hearing in zip(
        (ann, ben, olivia),
        await asyncio.gather(*(p.hear(1.5) for p in (ann, ben, olivia))),
        strict=True,
    ):
        for name, tone in hearing.tones.items():
            if name == phone.name:
                assert tone.absent, (phone.name, hearing)
            else:
                assert tone.median_dbfs > -20, (phone.name, name, hearing)
    assert [await phone.end() for phone in (ann, ben, olivia)] == [0, 0, 0]
    reasons = [f.data["reason"] for f in street.host.facts if f.type == "leg.left"]
    assert reasons == ["hung_up"] * 3
