"""RTP parsing of many packets at once against one read byte by byte."""

from collections import Counter

import numpy as np

from bridge.media import rtp
from bridge.media.shape import HEADER_AT, PAYLOAD_MAX, ROW_BYTES
from tests.bridge.media.rig import packets_of
from tests.oracle import rtp_scalar

ROOM = ROW_BYTES - HEADER_AT


def random_packet(rng: np.random.Generator) -> bytes:
    """Return a packet that is sound, odd or broken, each often enough."""
    if rng.random() < 0.2:
        return rng.bytes(int(rng.integers(0, 700)))
    if rng.random() < 0.4:
        return b"\x80" + rng.bytes(11 + int(rng.choice([0, 80, 160, 480, 481])))
    sources = int(rng.integers(0, 16)) if rng.random() < 0.5 else 0
    extended, padded = rng.random() < 0.5, rng.random() < 0.5
    first = 0x80 | sources | extended << 4 | padded << 5
    body = bytes([first]) + rng.bytes(11 + 4 * sources)
    if extended:
        words = int(rng.integers(0, 4))
        body += rng.bytes(2) + words.to_bytes(2, "big") + rng.bytes(4 * words)
    body += rng.bytes(int(rng.integers(0, 200)))
    if padded:
        pad = int(rng.integers(0, 5))
        body += bytes(max(pad - 1, 0)) + bytes([pad])
    return body[: int(rng.integers(8, len(body) + 40))]


def test_random_packets_are_read_as_one_by_one() -> None:
    rng = np.random.default_rng(11)
    bodies = [random_packet(rng) for _ in range(4_000)]
    counters = rtp.Counters()
    heads = rtp.parse(packets_of([(body, 1, 0) for body in bodies]), counters)
    expected = [rtp_scalar.read(b, room=ROOM, payload_max=PAYLOAD_MAX) for b in bodies]
    reasons = Counter(outcome for outcome in expected if isinstance(outcome, str))
    assert counters.totals == dict(reasons)
    assert len(reasons) == 6
    sound = [(n, read) for n, read in enumerate(expected) if not isinstance(read, str)]
    assert len(heads) == len(sound) > 1_000
    for index, (row, read) in enumerate(sound):
        assert heads.row[index] == row
        assert heads.payload_type[index] == read.payload_type
        assert heads.seq[index] == read.seq
        assert heads.ts[index] == read.ts
        assert heads.ssrc[index].tobytes() == read.ssrc
        assert heads.at[index] == HEADER_AT + read.at
        assert heads.size[index] == read.size


def test_common_packets_need_no_second_look() -> None:
    counters = rtp.Counters()
    body = bytes([0x80, 0x88]) + bytes(10) + bytes(160)
    heads = rtp.parse(packets_of([(body, 1, 0)] * 3), counters)
    assert heads.payload_type.tolist() == [8, 8, 8]
    assert counters.totals == {}


def test_no_packets_are_no_headers() -> None:
    assert len(rtp.parse(packets_of([]), rtp.Counters())) == 0
