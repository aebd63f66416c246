"""G.722 of many legs at once against the library, one by one: the same bits."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.bench.speech import spoken
from bridge.media import g722
from bridge.media.codecs import WIDE
from bridge.media.shape import FRAME
from bridge.media.streams import Stream
from tests.bridge.media.wide_rig import WideRig

pytestmark = pytest.mark.skipif(g722.lanes() is None, reason="the loops in C were not compiled")


def hard(streams: int, samples: int, seed: int) -> NDArray[np.int16]:
    """Return what coders find hard: noise, full scale, single clicks, silence, speech."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(-32_768, 32_768, (streams, samples)).astype(np.int16)
    frames[1::5] = np.where(rng.random((len(frames[1::5]), samples)) < 0.5, -32_768, 32_767)
    frames[2::5] = np.where(rng.random((len(frames[2::5]), samples)) < 0.01, 30_000, 0)
    frames[3::5] = rng.integers(-3, 4, (len(frames[3::5]), samples))
    said = spoken(rate_hz=16_000).reshape(-1)
    for row in range(4, streams, 5):
        at = 20_000 + seed * samples + row * 100
        frames[row] = said[at : at + samples]
    return frames


@pytest.mark.parametrize(("streams", "samples"), [(1, 320), (33, 320), (70, 160), (40, 960)])
def test_many_streams_are_encoded_as_the_library_does_it(streams: int, samples: int) -> None:
    library = [g722.G722Encoder() for _ in range(streams)]
    states = g722.states(streams)
    for frame in range(12):
        frames = hard(streams, samples, frame)
        wanted = [one.encode(row) for one, row in zip(library, frames, strict=True)]
        assert [row.tobytes() for row in g722.encode_all(states, frames)] == wanted


@pytest.mark.parametrize(("streams", "octets"), [(1, 160), (33, 160), (70, 80), (40, 480)])
def test_many_streams_are_decoded_as_the_library_does_it(streams: int, octets: int) -> None:
    library = [g722.G722Decoder() for _ in range(streams)]
    coders = [g722.G722Encoder() for _ in range(streams)]
    states = g722.states(streams)
    rng = np.random.default_rng(1)
    for frame in range(12):
        frames = hard(streams, 2 * octets, frame)
        said = [coder.encode(row) for coder, row in zip(coders, frames, strict=True)]
        codes = np.array([np.frombuffer(payload, np.uint8) for payload in said])
        codes[::3] = rng.integers(0, 256, codes[::3].shape)
        wanted = [one.decode(row.tobytes()) for one, row in zip(library, codes, strict=True)]
        np.testing.assert_array_equal(g722.decode_all(states, codes), wanted)


def talk(packets: int) -> list[bytes]:
    """Return what ten legs hear, some in G.722 and some not, of packets that go wrong too."""
    rig = WideRig()
    rng = np.random.default_rng(3)
    codecs = ["G722", "PCMU", "G722", "L16", "G722", "G722", "PCMA", "G722", "G722", "G722"]
    for slot, codec in enumerate(codecs[:-2]):
        rig.join(slot, codec)
    heard = []
    for n in range(packets):
        if n == packets // 2:
            rig.join(8, "G722")
            rig.plane.close_leg(2)
        here = [slot for slot in range(9) if slot in rig.codec and (slot != 2 or n < packets // 2)]
        here = [slot for slot in here if slot != 8 or n >= packets // 2]
        rig.tick(*[rig.hums(slot, n, 300 + 70 * slot) for slot in here if rng.random() > 0.1])
        heard += [rig.sent[slot] for slot in sorted(rig.sent) if slot in here]
    return heard


def test_one_by_one_every_leg_hears_the_very_same(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = talk(60)
    monkeypatch.setattr("bridge.media.g722.lanes", lambda: None)
    assert talk(60) == at_once


def put(stream: Stream, at: int, steps: int) -> bytes:
    """Give a stream a packet of so many steps; return its payload."""
    payload = bytes((at + step) % 251 for step in range(steps))
    stream.put(at, payload, steps)
    return payload


def test_longer_and_shorter_packets_are_cut_to_frames() -> None:
    stream = Stream(WIDE["G722"], g722.G722Decoder())
    said = b"".join(put(stream, at, 240) for at in (0, 240))
    said += b"".join(put(stream, 480 + at, 80) for at in range(0, 160, 80))
    frames = [stream.whole(at) for at in range(0, 640, FRAME)]
    assert frames == [said[at : at + FRAME] for at in range(0, 640, FRAME)]


def test_a_frame_with_a_hole_is_not_whole_and_what_there_is_stays() -> None:
    stream = Stream(WIDE["G722"], g722.G722Decoder())
    first = put(stream, 0, 80)
    assert stream.whole(0) is None
    assert stream.whole(1_000) is None
    second = put(stream, 80, 80)
    assert stream.whole(0) == first + second
