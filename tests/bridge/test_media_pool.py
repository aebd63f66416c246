"""Several real workers under one bridge: where legs are, and a worker that is killed (D12)."""

import asyncio
import os
import signal
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from bridge.conference.api import Fact, LegState, Notice
from bridge.config import SettingsError, parse_settings
from bridge.errors import WorkerLost
from bridge.link import (
    FromWorker,
    LegOpened,
    LegRefused,
    OpenLeg,
    Play,
    PlayToGroup,
    RecordingDone,
    ResetDone,
    StopRecording,
    Take,
    TakeDone,
    WorkerSettings,
)
from bridge.prompts import read_wav
from bridge.server import Bridge
from bridge.units import FRAME_SAMPLES
from bridge.web import metrics
from bridge.worker_link import MediaWorker
from tests.bridge.phone import CallIn

CODES = {"s1": "482913", "s2": "482914"}
PIN = "771144"
HOST = "127.0.0.1"


@pytest.fixture
async def phones() -> AsyncIterator[list[CallIn]]:
    """The phones of a test, closed when the bridge has hung up."""
    made: list[CallIn] = []
    yield made
    for phone in made:
        await phone.close()


@pytest.fixture
async def bridge(tmp_path: Path, phones: list[CallIn]) -> AsyncIterator[Bridge]:
    """A bridge with two workers and two sessions."""
    settings = parse_settings(
        {
            "sip": {"listen": "127.0.0.1:0"},
            "rtp": {"port_range": [47_200, 47_399], "workers": 2, "worker_legs": 2},
            "store": {"url": f"sqlite:///{tmp_path}/pool.db"},
            "contract": [{"id": "c1", "currency": "USD"}],
            "account": [{"id": "acme", "contract": "c1"}],
            "session": [
                {"id": name, "account": "acme", "access_code": code, "organizer_pin": PIN}
                for name, code in CODES.items()
            ],
        }
    )
    bridge = Bridge(settings)
    await bridge.start()
    yield bridge
    await bridge.stop()


async def dial(bridge: Bridge, phones: list[CallIn], session: str) -> CallIn:
    phones.append(await CallIn.dial(bridge, CODES[session]))
    return phones[-1]


async def organizer(bridge: Bridge, phones: list[CallIn], session: str) -> CallIn:
    phone = await dial(bridge, phones, session)
    await phone.press(f"*0{PIN}#")
    assert await bridge.wait_for(
        lambda b: any(o.session == session and o.started for o in b.occurrences()), 15
    )
    return phone


def port_of(phone: CallIn) -> int:
    assert phone.remote is not None
    assert phone.remote.address is not None
    return phone.remote.address.port


def states(bridge: Bridge) -> list[tuple[str, LegState]]:
    return sorted((str(view.session), view.state) for view in bridge.roster())


async def test_killed_worker_takes_only_its_own_conference_down(
    bridge: Bridge, phones: list[CallIn]
) -> None:
    told: list[Fact | Notice] = []
    bridge.subscribe(told.append)
    ann = await organizer(bridge, phones, "s1")
    await organizer(bridge, phones, "s2")
    assert bridge.media.load == (1, 1)
    await asyncio.sleep(1.2)  # a status has said when the last packet came
    os.kill(bridge.media.workers[0].pid, signal.SIGKILL)
    await ann.ended()
    assert states(bridge) == [("s2", LegState.JOINED)]
    await bridge.committed()
    left = next(fact for fact in bridge.facts if fact.type == "leg.left")
    assert left.data["reason"] == "worker_lost"
    assert bridge.now_conf() - left.at >= 1_000  # of its last packet, not of the noticing
    notice = next(one for one in told if isinstance(one, Notice) and one.type == "worker.lost")
    assert dict(notice.data) == {"worker": 0, "reason": notice.data["reason"], "legs": 1}
    await organizer(bridge, phones, "s1")
    assert await bridge.wait_for(lambda b: b.media.up == (True, True), 15)
    await dial(bridge, phones, "s1")
    everybody = [("s1", LegState.JOINED)] * 2 + [("s2", LegState.JOINED)]
    assert await bridge.wait_for(lambda b: states(b) == everybody, 5)
    text = metrics.text(bridge, {}, outbox_waiting=0)
    assert "tollbridge_worker_ends_total 1" in text
    assert 'tollbridge_worker_legs{worker="1"}' in text


async def test_calls_are_refused_with_503_where_no_worker_has_room(
    bridge: Bridge, phones: list[CallIn]
) -> None:
    for _ in range(4):
        await dial(bridge, phones, "s1")
    assert bridge.media.load == (2, 2)
    assert {port_of(phone) < 47_300 for phone in phones} == {True, False}
    told: list[LegOpened | LegRefused | WorkerLost] = []
    bridge.media.open(OpenLeg(99), None, told.append)
    assert not told, "an answer comes in a later turn"
    await asyncio.sleep(0)
    assert [str(fault) for fault in told] == ["no media worker has room: being restarted, or full"]
    assert isinstance(told[0], WorkerLost)
    for phone in phones:
        await phone.hang_up()
        await phone.ended()
    assert await bridge.wait_for(lambda b: b.media.load == (0, 0), 5)


async def test_recording_goes_on_beside_the_first_when_its_worker_dies(
    bridge: Bridge, phones: list[CallIn], tmp_path: Path
) -> None:
    ann = await organizer(bridge, phones, "s1")
    await dial(bridge, phones, "s1")
    await dial(bridge, phones, "s1")  # on the other worker
    occurrence = bridge.occurrences()[0].occurrence
    await bridge.start_recording(occurrence, tmp_path / "mix.wav")
    bridge.media.send(PlayToGroup(0, ("beep",)))
    await asyncio.sleep(0.2)
    os.kill(bridge.media.workers[0].pid, signal.SIGKILL)
    await ann.ended()
    await asyncio.sleep(0.3)
    done: RecordingDone = await bridge.stop_recording(occurrence)
    assert done.path == str(tmp_path / "mix+1.wav")
    assert done.frames > 5


async def test_every_leg_has_its_track_whichever_worker_it_is_on(
    bridge: Bridge, phones: list[CallIn], tmp_path: Path
) -> None:
    await organizer(bridge, phones, "s1")
    occurrence = bridge.occurrences()[0].occurrence
    bridge._media.recordings.start(0, tmp_path / "mix.wav", tracks=True)
    for _ in range(2):
        await dial(bridge, phones, "s1")
    assert await bridge.wait_for(lambda b: len(states(b)) == 3, 5)
    assert bridge.media.load == (2, 1)
    for seq in range(60):
        head = struct.pack("!BBHII", 0x80, 0, seq, 160 * seq, 9)
        for phone in phones:
            phone.rtp.sendto(head + bytes(range(160)), (HOST, port_of(phone)))
        await asyncio.sleep(0.02)
    done = await bridge.stop_recording(occurrence)
    assert done.path == str(tmp_path / "mix.wav")
    mix = read_wav(tmp_path / "mix.wav")
    assert len(mix) == done.frames * FRAME_SAMPLES
    for view in bridge.roster():
        track = read_wav(tmp_path / f"mix.{view.leg}.wav")
        assert np.abs(track.astype(int)).max() > 10_000
        assert abs(len(track) - len(mix)) <= 50 * FRAME_SAMPLES  # how busy the machine is
    bridge.media.send(StopRecording(0))  # a second time it is only said


def test_each_worker_needs_a_part_of_the_ports() -> None:
    with pytest.raises(SettingsError, match="two ports for each of the 4 workers"):
        parse_settings({"rtp": {"port_range": [40_000, 40_005], "workers": 4}})
    settings = parse_settings({"rtp": {"port_range": [40_001, 40_012], "workers": 2}})
    parts = [settings.worker_settings(worker, "links") for worker in range(2)]
    assert [(part.port_first, part.port_last) for part in parts] == [
        (40_002, 40_005),
        (40_006, 40_009),
    ]
    assert [(part.index, part.link_dir) for part in parts] == [(0, "links"), (1, "links")]
    few = parse_settings({"rtp": {"port_range": [40_000, 40_003], "workers": 0}})
    assert 1 <= few.rtp.workers_count <= 2
    alone = parse_settings({"rtp": {"workers": 1}}).worker_settings(0, "links")
    assert (alone.port_first, alone.port_last, alone.link_dir) == (40_000, 44_999, "")


async def test_what_one_says_at_the_door_can_be_played_on_every_worker(
    bridge: Bridge, phones: list[CallIn]
) -> None:
    told: asyncio.Future[TakeDone] = asyncio.get_running_loop().create_future()
    for _ in range(3):
        await dial(bridge, phones, "s1")
    assert bridge.media.load == (2, 1)
    real = bridge.voices.take

    def take(message: FromWorker) -> None:
        real(message)
        if isinstance(message, TakeDone):
            told.set_result(message)

    bridge.voices.take = take  # type: ignore[method-assign]  # to see what workers say
    number = next(n for n in range(1, 4) if bridge.media.worker_of(n) == 0)
    bridge.media.send(Take(number, "name-1", 25))
    speaker = phones[number - 1]
    for seq in range(40):
        head = struct.pack("!BBHII", 0x80, 0, seq, 160 * seq, 9)
        speaker.rtp.sendto(head + bytes(range(0, 160)), (HOST, port_of(speaker)))
        await asyncio.sleep(0.02)
    assert (await asyncio.wait_for(told, 5)).frames == 25
    other = next(n for n in range(1, 4) if bridge.media.worker_of(n) == 1)
    bridge.media.send(Play(other, ("name-1",), 1))
    await asyncio.sleep(1.2)
    assert bridge.status.worker.counters.get("unknown_clip", 0) == 0
    bridge.media.send(Play(other, ("name-2",), 2))
    assert await bridge.wait_for(lambda b: b.status.worker.counters.get("unknown_clip") == 1, 5)


async def test_a_worker_that_dies_as_it_becomes_ready_is_no_worker() -> None:
    """Both are read at once, before who waits for it goes on."""
    told: list[str] = []
    settings = WorkerSettings()
    worker = await MediaWorker.start(settings, lambda _: None, told.append)
    again = asyncio.create_task(worker.reset(settings))
    await asyncio.sleep(0)
    worker._take(ResetDone())
    worker._lost("its control socket closed")
    with pytest.raises(WorkerLost):
        await again
    assert told == ["its control socket closed"]
    await worker.stop()
