"""Controls through a whole bridge: orders are refused or done, and told of in order."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge import server
from bridge.conference.api import (
    Announce,
    CancelSession,
    Fact,
    LockSession,
    MuteAll,
    Notice,
    RecordSession,
)
from bridge.config import parse_settings
from bridge.errors import OperatingTrouble
from bridge.prompts import read_wav
from bridge.server import Bridge
from bridge.units import SessionId
from tests.bridge.conference.driver import CODE, PIN
from tests.bridge.phone import CallIn

SID = SessionId("s1")


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[Bridge]:
    settings = parse_settings(
        {
            "sip": {"listen": "127.0.0.1:0"},
            "rtp": {"port_range": [47_000, 47_199]},
            "store": {"url": f"sqlite:///{tmp_path}/controls.db"},
            "recording": {"directory": str(tmp_path / "kept"), "keep_days": 30},
            "contract": [{"id": "c1", "currency": "USD"}],
            "account": [{"id": "acme", "contract": "c1"}],
            "session": [{"id": "s1", "account": "acme", "access_code": CODE, "organizer_pin": PIN}],
        }
    )
    bridge = Bridge(settings)
    await bridge.start()
    yield bridge
    await bridge.stop()


async def test_facts_and_notices_come_in_order_and_once(bridge: Bridge) -> None:
    told: list[Fact | Notice] = []

    def fail(event: Fact | Notice) -> None:
        raise ValueError("a watcher with a fault")

    bridge.subscribe(fail)
    end = bridge.subscribe(told.append)
    olivia = await CallIn.dial(bridge, CODE)
    await olivia.press(f"*0{PIN}#")
    assert await bridge.wait_for(lambda b: bool(b.occurrences()[0].started), 15)
    assert await bridge.order(LockSession(SID, locked=True, by="web")) == ()
    assert await bridge.order(LockSession(SID, locked=True, by="web")) == ()
    assert await bridge.order(MuteAll(SID, muted=True, by="web")) == ()
    assert await bridge.order(CancelSession(SID, "web")) == ()
    end()
    end()
    await olivia.close()
    assert [event.type for event in told] == [
        "leg.answered",
        "leg.identified",
        "leg.waiting",
        "organizer.joined",
        "session.started",
        "leg.joined",
        "conference.locked",
        "mute_all.on",
        "leg.left",
        "session.ended",
        "session.cancelled",
    ]
    (refused,) = await bridge.order(LockSession(SID, locked=False, by="web"))
    assert refused.code == "session_cancelled"


async def test_a_file_is_made_ready_and_announced(bridge: Bridge, tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "bridge" / "prompts" / "en" / "alone.wav"
    name = await bridge.load_clip(file)
    (refused,) = await bridge.order(Announce(SID, name, "web"))
    assert refused.code == "not_open"
    with pytest.raises(OperatingTrouble, match=r"none\.wav"):
        await bridge.load_clip(tmp_path / "none.wav")


async def test_a_conference_is_recorded_to_a_file_of_its_own(
    bridge: Bridge, tmp_path: Path
) -> None:
    olivia = await CallIn.dial(bridge, CODE)
    await olivia.press(f"*0{PIN}#*3")
    assert await bridge.wait_for(lambda b: b.occurrences()[0].recording, 15)
    occurrence = bridge.occurrences()[0].occurrence
    begun = time.monotonic()
    await asyncio.sleep(1.0)
    assert await bridge.order(RecordSession(SID, on=False, by="web")) == ()
    lasted_s = time.monotonic() - begun
    file = tmp_path / "kept" / "s1" / f"{occurrence}-1.wav"
    for _ in range(500):  # until all is written, but no longer than 10 s
        await asyncio.sleep(0.02)
        if file.exists() and file.stat().st_size >= 44 + 2 * 8_000:
            break
    assert 8_000 <= len(read_wav(file)) <= 8_000 * (lasted_s + 1.0)
    await olivia.close()


async def test_of_a_conference_that_is_over_nothing_is_kept(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GROUP_KEPT_S", 0.0)
    olivia = await CallIn.dial(bridge, CODE)
    await olivia.press(f"*0{PIN}#")
    assert await bridge.wait_for(lambda b: bool(b.occurrences()[0].started), 15)
    assert len(bridge._legs._groups) == 1
    assert await bridge.order(CancelSession(SID, "web")) == ()
    await olivia.ended()
    assert not bridge._legs._groups
    await olivia.close()
