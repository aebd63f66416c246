"""The RTP engine over real sockets: two callers of one process talk to each other."""

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator

import pytest

from bridge.lab.audibility import analyse
from bridge.lab.orders import EngineLost
from bridge.lab.rtp import RtpEngine, RtpPort
from bridge.lab.words import Voice
from bridge.sip.api import Address, Codec, RemoteMedia
from bridge.units import NS_PER_S

TONES = {"ann": 440, "ben": 510}


@pytest.fixture
async def engine() -> AsyncIterator[RtpEngine]:
    engine = RtpEngine.start()
    yield engine
    engine.stop()


def towards(host: str, port: int, codec: Codec, dtmf: int | None = 101) -> RemoteMedia:
    return RemoteMedia(address=Address(host, port), codec=codec, dtmf_payload_type=dtmf)


async def connected(
    engine: RtpEngine,
    codec: Codec = Codec("PCMU", 0),  # noqa: B008 - a frozen value
) -> tuple[RtpPort, RtpPort]:
    ann, ben = await engine.open(), await engine.open()
    await engine.connect(ann, towards(ben.host, ben.port, codec))
    await engine.connect(ben, towards(ann.host, ann.port, codec))
    return ann, ben


async def listen(engine: RtpEngine, port: RtpPort, seconds: float) -> tuple[int, int]:
    await asyncio.sleep(0.1)
    from_ns = time.monotonic_ns()
    await asyncio.sleep(seconds + 0.1)
    return from_ns, from_ns + int(seconds * NS_PER_S)


@pytest.mark.parametrize("codec", [Codec("PCMU", 0), Codec("PCMA", 8)])
async def test_a_callers_tone_arrives_whole_and_alone(engine: RtpEngine, codec: Codec) -> None:
    ann, ben = await connected(engine, codec)
    await engine.speak(ann, Voice(tone_hz=440))
    window = await engine.window(ben, *await listen(engine, ben, 1.0))
    hearing = analyse(window, TONES)
    assert hearing.heard() == ("ann",)
    assert hearing.tones["ben"].absent
    assert analyse(await engine.window(ann, *await listen(engine, ann, 0.4)), TONES).silent


async def test_who_stops_sending_is_absent(engine: RtpEngine) -> None:
    ann, ben = await connected(engine)
    await engine.send(ann, False)
    span = await listen(engine, ben, 0.4)
    assert not (await engine.window(ben, *span)).present.any()
    assert not await engine.press(ann, "1")
    await engine.send(ann, True)
    assert (await engine.window(ben, *await listen(engine, ben, 0.4))).present.mean() > 0.9


async def test_keys_go_out_as_telephone_events_and_the_press_ends_with_them(
    engine: RtpEngine,
) -> None:
    port = await engine.open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(2)
        await engine.connect(
            port, towards("127.0.0.1", sink.getsockname()[1], Codec("PCMU", 0), dtmf=97)
        )
        assert await engine.press(port, "5#")
        packets = [sink.recv(200) for _ in range(12)]
    events = [packet for packet in packets if packet[1] & 0x7F == 97]
    assert [packet[12] for packet in events if packet[1] & 0x80] == [5, 11]
    numbers = [int.from_bytes(packet[2:4]) for packet in packets]
    assert [(b - a) % 65_536 for a, b in itertools.pairwise(numbers)] == [1] * 11
    first = [packet[4:8] for packet in events[:5]]
    assert len(set(first)) == 1


async def test_a_press_without_telephone_events_agreed_says_so(engine: RtpEngine) -> None:
    ann, ben = await connected(engine)
    await engine.connect(ann, towards(ben.host, ben.port, Codec("PCMU", 0), dtmf=None))
    assert not await engine.press(ann, "1")


async def test_bad_packets_are_counted_and_break_nothing(engine: RtpEngine) -> None:
    ann, _ = await connected(engine)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for data in (b"", b"\x80", bytes(200), b"\x80\x00" + bytes(170)):
            stranger.sendto(data, (ann.host, ann.port))
    await asyncio.sleep(0.1)
    counters = await engine.counters()
    assert counters["rx_short"] == 3
    assert counters["rx_other_source"] == 1
    assert counters["callers"] == 2


async def test_a_closed_caller_frees_his_row(engine: RtpEngine) -> None:
    ann, _ = await connected(engine)
    await engine.close(ann)
    await engine.close(ann)
    assert (await engine.open()).row == ann.row


async def test_an_engine_that_dies_fails_what_is_asked(engine: RtpEngine) -> None:
    ann, _ = await connected(engine)
    engine._link.process.kill()
    engine._link.process.wait()
    with pytest.raises(EngineLost):
        await engine.speak(ann, Voice(tone_hz=440))
