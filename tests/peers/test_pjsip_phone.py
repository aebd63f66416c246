"""A PJSIP phone is a participant like any other: an independent SIP and RTP implementation.

It dials in, keys the code by RFC 4733, hears hold music and nobody while it waits, and after the
start the other phones' tones and not its own. All of it is measured in what the phone received.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from bridge.conference.api import LegState, StartSession
from bridge.lab.audibility import Hearing, Window, analyse
from bridge.lab.clips import sound_pcm
from bridge.lab.host import SESSION, Host
from bridge.lab.story import Story
from bridge.lab.voice import sine
from bridge.phone import Call, CallRefused, Media, MediaChanged, Pool
from bridge.units import FRAME_SAMPLES, NS_PER_S, SAMPLE_RATE_HZ
from tests.peers.needs import need_pjsip

pytestmark = [pytest.mark.peer]

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


class Street:
    """A bridge, and the phones that call it."""

    def __init__(self, host: Host, pool: Pool, stack: AsyncExitStack) -> None:
        self.host = host
        self.pool = pool
        self.stack = stack

    async def call(self, name: str) -> Call:
        target = self.host.target(Story.model_validate(STORY).callers["ann"])
        host, port = target.bridge
        account = self.pool.account(f"sip:{NUMBERS[name]}@127.0.0.1")
        await self.stack.enter_async_context(account)
        call = account.call(f"sip:{target.user}@{host}:{port}")
        await self.stack.enter_async_context(call)
        await call.answered(15)
        await call.play(sine(TONES[name], SAMPLE_RATE_HZ), loop=True)
        return call

    async def in_state(self, name: str, state: LegState) -> bool:
        def there() -> bool:
            view = self.host.view_of(NUMBERS[name])
            return view is not None and view.state is state

        return await self.host.wait_for(there, 15)


async def hear(call: Call, seconds: float) -> Hearing:
    """Return what a phone hears in the coming seconds."""
    from_ns = time.monotonic_ns()
    await asyncio.sleep(seconds + 0.1)
    pcm = (await call.heard(from_ns, from_ns + int(seconds * NS_PER_S))).samples
    count = len(pcm) // FRAME_SAMPLES
    window = Window(pcm[: count * FRAME_SAMPLES], np.ones(count, bool))
    return await asyncio.to_thread(analyse, window, TONES, sound_pcm())


async def hear_music(call: Call) -> Hearing:
    """Listen until the prompts are over."""
    deadline = time.monotonic() + 20
    while True:
        hearing = await hear(call, 1.0)
        if hearing.sounds["hold-music"].share > 0.95 or time.monotonic() > deadline:
            return hearing


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    need_pjsip()
    host = await Host.start(Story.model_validate(STORY), tmp_path)
    try:
        async with Pool() as pool, AsyncExitStack() as stack:
            yield Street(host, pool, stack)
        assert pool.ended == [0]
    finally:
        for worker in await host.stop():
            await worker.stop()


async def test_pjsip_phones_wait_in_isolation_and_meet(street: Street) -> None:
    calls = {name: await street.call(name) for name in TONES}
    await calls["ann"].press("482913#")
    await calls["ben"].press("482913#")
    await calls["olivia"].press("482913#*771144#")
    for name in TONES:
        assert await street.in_state(name, LegState.WAITING)

    for hearing in await asyncio.gather(hear_music(calls["ann"]), hear_music(calls["ben"])):
        assert hearing.sounds["hold-music"].share > 0.8, hearing
        assert all(tone.absent for tone in hearing.tones.values()), hearing  # D3

    assert await street.host.order(StartSession(SESSION, "test")) == ""
    for name in TONES:
        assert await street.in_state(name, LegState.JOINED)
    await asyncio.sleep(1.0)
    for name, hearing in zip(
        TONES, await asyncio.gather(*(hear(call, 1.5) for call in calls.values())), strict=True
    ):
        for other, tone in hearing.tones.items():
            if other == name:
                assert tone.absent, (name, hearing)
            else:
                assert tone.median_dbfs > -20, (name, other, hearing)
    for call in calls.values():
        await call.hang_up()

    def reasons() -> list[object]:
        return [f.data["reason"] for f in street.host.facts if f.type == "leg.left"]

    assert await street.host.wait_for(lambda: len(reasons()) == 3, 10)
    assert reasons() == ["hung_up"] * 3


async def test_the_bridge_agrees_to_hold_and_resume_and_declines_a_transfer(street: Street) -> None:
    """A REFER is answered with 603 and changes nothing (sip.md)."""
    call = await street.call("ann")
    await call.press("482913#")
    assert await street.in_state("ann", LegState.WAITING)
    await call.hold()
    await call.resume()
    changes = [event.media for event in call.so_far if isinstance(event, MediaChanged)]
    assert changes == [Media.ACTIVE, Media.HELD, Media.ACTIVE]
    with pytest.raises(CallRefused, match="603"):
        await call.transfer("sip:+12125550199@127.0.0.1")
    assert (await hear_music(call)).sounds["hold-music"].share > 0.8
    assert call.ended is None
