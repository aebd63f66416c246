"""The RTP engine over real sockets: two callers of one process talk to each other."""

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from bridge.lab.audibility import Window, analyse
from bridge.lab.chirp import chirp, find
from bridge.lab.gauging import cut_runs
from bridge.lab.orders import EngineLost
from bridge.lab.rtp import RtpEngine, RtpPort
from bridge.lab.words import NOTHING, SILENT, Voice
from bridge.sip.api import Address, Codec, RemoteMedia
from bridge.units import NS_PER_S

TONES = {"ann": 440, "ben": 510}
WINDOWS_MAX = 10


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


async def listen(engine: RtpEngine, port: RtpPort, seconds: float) -> Window:
    """Return what comes in so many seconds, in which the machine did not hold the engine."""
    await asyncio.sleep(0.1)
    for _ in range(WINDOWS_MAX):
        late = (await engine.counters())["late_ticks"]
        from_ns = time.monotonic_ns()
        await asyncio.sleep(seconds + 0.1)
        window = await engine.window(port, from_ns, from_ns + int(seconds * NS_PER_S))
        if (await engine.counters())["late_ticks"] == late:
            break
    return window


@pytest.mark.parametrize("codec", [Codec("PCMU", 0), Codec("PCMA", 8)])
async def test_a_callers_tone_arrives_whole_and_alone(engine: RtpEngine, codec: Codec) -> None:
    ann, ben = await connected(engine, codec)
    await engine.speak(ann, Voice(tone_hz=440))
    window = await listen(engine, ben, 1.0)
    hearing = analyse(window, TONES)
    assert hearing.heard() == ("ann",)
    assert hearing.tones["ben"].absent
    assert analyse(await listen(engine, ann, 0.4), TONES).silent


async def test_who_stops_sending_is_absent(engine: RtpEngine) -> None:
    ann, ben = await connected(engine)
    await engine.send(ann, False)
    assert not (await listen(engine, ben, 0.4)).present.any()
    assert not await engine.press(ann, "1")
    await engine.send(ann, True)
    assert (await listen(engine, ben, 0.4)).present.mean() > 0.9


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
    await asyncio.sleep(0.1)  # what came before both were connected was of a stranger too
    before = await engine.counters()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for data in (b"", b"\x80", bytes(200), b"\x80\x00" + bytes(170)):
            stranger.sendto(data, (ann.host, ann.port))
    counters = await engine.counters()
    for _ in range(200):  # until the last one was looked at, but no longer than 4 s
        if counters["rx_other_source"] > before["rx_other_source"]:
            break
        await asyncio.sleep(0.02)
        counters = await engine.counters()
    assert counters["rx_short"] == 3
    assert counters["rx_other_source"] == before["rx_other_source"] + 1
    assert counters["callers"] == 2


@pytest.fixture
def sink() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(2)
        yield sock


async def received(sock: socket.socket, count: int) -> list[bytes]:
    return await asyncio.to_thread(lambda: [sock.recv(2_000) for _ in range(count)])


@pytest.mark.parametrize(("ptime_ms", "codec", "octets"), [(10, 0, 80), (30, 8, 240), (60, 0, 480)])
async def test_packets_are_of_the_ptime_and_of_one_stream(
    engine: RtpEngine, sink: socket.socket, ptime_ms: int, codec: int, octets: int
) -> None:
    port = await engine.open(ptime_ms=ptime_ms)
    name = "PCMA" if codec else "PCMU"
    await engine.connect(port, towards("127.0.0.1", sink.getsockname()[1], Codec(name, codec)))
    await engine.speak(port, Voice(tone_hz=440))
    packets = await received(sink, 20)
    assert {len(packet) - 12 for packet in packets} == {octets}
    assert [packet[1] for packet in packets] == [0x80 | codec, *[codec] * 19], "one talkspurt"
    late_ticks = (await engine.counters())["late_ticks"]
    for one, other in itertools.pairwise(packets):
        assert (int.from_bytes(other[2:4]) - int.from_bytes(one[2:4])) % (1 << 16) == 1
        step = (int.from_bytes(other[4:8]) - int.from_bytes(one[4:8])) % (1 << 32)
        assert step == octets or (step > octets and late_ticks), "a late engine skips"


async def test_who_says_nothing_sends_keys_alone_and_a_marker_when_he_speaks_again(
    engine: RtpEngine, sink: socket.socket
) -> None:
    port = await engine.open()
    await engine.connect(port, towards("127.0.0.1", sink.getsockname()[1], Codec("PCMU", 0)))
    first = (await received(sink, 1))[0]
    await engine.speak(port, NOTHING)
    while True:  # bound: what was sent before the order
        sink.settimeout(0.3)
        try:
            first = (await received(sink, 1))[0]
        except TimeoutError:
            break
    assert await engine.press(port, "5")
    assert {packet[1] & 0x7F for packet in await received(sink, 5)} == {101}
    await asyncio.sleep(0.2)
    await engine.speak(port, SILENT)
    spoken = (await received(sink, 1))[0]
    assert spoken[1] == 0x80
    passed = (int.from_bytes(spoken[4:8]) - int.from_bytes(first[4:8])) % (1 << 32)
    assert passed >= 0.4 * 8_000, "time goes on while nothing is said (RFC 3550 §5.1)"


async def test_a_tone_is_as_loud_as_it_is_said(engine: RtpEngine) -> None:
    ann, ben = await connected(engine)
    await engine.speak(ann, Voice(tone_hz=440, dbfs=-30))
    await engine.speak(ben, Voice(tone_hz=510, dbfs=12))
    soft = analyse(await listen(engine, ben, 0.6), TONES).tones["ann"]
    assert soft.median_dbfs == pytest.approx(-30, abs=0.5)
    loud = await listen(engine, ann, 0.6)
    assert analyse(loud, TONES).tones["ben"].median_dbfs == pytest.approx(1.4, abs=0.5)
    assert cut_runs(loud) > 400


async def test_a_sweep_is_said_once_from_the_time_that_is_told(engine: RtpEngine) -> None:
    ann, ben = await connected(engine)
    await engine.speak(ann, Voice(tone_hz=440))
    for _ in range(WINDOWS_MAX):  # until the machine does not hold the engine meanwhile
        late = (await engine.counters())["late_ticks"]
        sent_ns = await engine.probe(ann, chirp())
        await asyncio.sleep(0.6)
        window = await engine.window(ben, sent_ns - 100_000_000, sent_ns + 400_000_000)
        if (await engine.counters())["late_ticks"] == late:
            break
    found = find(window.pcm, [440])
    assert found.gain_db == pytest.approx(0, abs=1)
    assert found.at == pytest.approx(800, abs=320), "100 ms after the window begins"
    later = await listen(engine, ben, 0.4)
    assert find(later.pcm, [440]).gain_db < -40
    assert await engine.packet_ms(ben) == 20
    await engine.send(ann, False)
    assert await engine.probe(ann, chirp()) == 0


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
