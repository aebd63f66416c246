"""How the plane sounds: speech through it with jitter and loss, judged by PESQ (ITU-T P.862).

The plane is driven tick by tick in simulated time, so that a figure depends on its seed and on
nothing else. The reference is what the codec alone gives: 4.549 is the scale's end, no difference;
of wideband codecs, judged by P.862.2 at 16 kHz, 4.644 is.
"""

import statistics
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.bench.speech import PAYLOAD_TYPES, Payloads, payloads_of, spoken_payloads
from bridge.lab.spoken import pesq
from bridge.media import rtp
from bridge.media.codecs import WIDE
from bridge.media.g711 import ITU_DECODE
from bridge.media.plays import Clips
from bridge.media.shape import FRAME, HEADER_AT, PAYLOAD_AT, PCMU, ROW_BYTES, SPILL_BYTES
from bridge.media.sources import source_of
from bridge.media.tick import Plane
from bridge.media.values import Remote
from bridge.units import FRAME_MS, FRAME_NS, NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ

SEEDS: Final = 6
WIDE_HZ: Final = 16_000
_TALKER, _LISTENER = 0, 1


class Case(NamedTuple):
    """A network: jitter uniform in [0, jitter_ms] per packet, and random loss."""

    name: str
    jitter_ms: float = 0.0
    loss: float = 0.0


CASES: Final = (
    Case("clean"),
    Case("jitter 30 ms", 30.0),
    Case("3 % loss, jitter 30 ms", 30.0, 0.03),
    Case("5 % loss", 0.0, 0.05),
)


def through(said: Payloads, case: Case, seed: int, codec: str = "PCMU") -> NDArray[np.int16]:
    """Return what the listener of a conference of two hears of a talker's payloads.

    He listens in G.711 to G.711, bit-exact, and in L16 to the others, so that nothing is coded
    twice: at 16 kHz.
    """
    rng = np.random.default_rng(seed)
    count = len(said.data)
    phase_ms = rng.uniform(0, FRAME_MS)  # of the ticks against the sender's packets
    sent = np.arange(count) * float(FRAME_MS)
    arrival = sent + rng.uniform(0, case.jitter_ms, count)
    arrival[rng.random(count) < case.loss] = np.inf
    order = np.argsort(arrival, kind="stable")
    plane = _two(codec)
    heard, taken = [], 0
    for tick in range(count + 15):
        now_ms = tick * FRAME_MS + phase_ms
        until = int(np.searchsorted(arrival[order], now_ms, side="right"))
        packets = _packets(said, order[taken:until])
        packets.stamp = rtp.stamps_of((arrival[order[taken:until]] * NS_PER_MS).astype(np.int64))
        packets.due_ns = int(now_ms * NS_PER_MS)
        plane.tick(packets, packets.due_ns)
        taken = until
        heard.append(_heard(plane))
    return np.concatenate(heard)


def _heard(plane: Plane) -> NDArray[np.int16]:
    """Return the frame that the listener was sent in this tick."""
    wide = plane.wide.out
    rows = np.flatnonzero(wide.slots == _LISTENER)
    if len(rows):
        frame = wide.data[rows[0], PAYLOAD_AT : HEADER_AT + wide.length[rows[0]]]
        return np.frombuffer(frame.tobytes(), ">i2").astype(np.int16)
    row = int(np.flatnonzero(plane.out.slots == _LISTENER)[0])
    return np.asarray(ITU_DECODE[PCMU][plane.out.data[row, PAYLOAD_AT:]])


def _two(codec: str) -> Plane:
    """Return a plane with a talker and a listener in one conference."""
    plane = Plane(Clips({}), silence_ns=NS_PER_S * 3_600, legs_max=2)
    ears = "L16" if codec in WIDE else "PCMU"
    for slot, name in ((_TALKER, codec), (_LISTENER, ears)):
        source = _source(slot)
        plane.open_leg(slot, port=0, expected=source, numbers=(slot, 0, 0), now_ns=0)
        plane.set_remote(slot, Remote(name, PAYLOAD_TYPES[name], 101, source, True), 0)
        plane.set_group(slot, 1)
    return plane


def _source(slot: int) -> int:
    return source_of(f"192.0.2.{slot + 1}", 4_000)


def _packets(said: Payloads, which: NDArray[np.intp]) -> rtp.Packets:
    """Lay the talker's packets out as sockets would."""
    count = len(which)
    data = np.zeros((count, ROW_BYTES + SPILL_BYTES), np.uint8)
    words = data.view(">u4")
    words[:, HEADER_AT // 4] = 0x8000_0000 | said.payload_type << 16 | which
    words[:, HEADER_AT // 4 + 1] = which * FRAME * said.clock_steps
    words[:, HEADER_AT // 4 + 2] = 1
    data[:, PAYLOAD_AT : PAYLOAD_AT + said.data.shape[1]] = said.data[which]
    return rtp.Packets(
        data[:, :ROW_BYTES].copy(),
        (PAYLOAD_AT - HEADER_AT + said.size[which]).astype(np.uint32),
        np.zeros(count, np.int32),
        np.full(count, _source(_TALKER), np.uint64),
        np.zeros(count, np.int64),
        spill=data[:, ROW_BYTES:].copy(),
    )


def alone(said: Payloads, codec: str) -> NDArray[np.int16]:
    """Return what the codec makes of the payloads by itself, at the listener's rate."""
    if codec not in WIDE:
        return np.asarray(ITU_DECODE[PCMU][said.data].ravel())
    decoder = WIDE[codec].decoder()
    frames = [
        decoder.decode(row[:size].tobytes())
        for row, size in zip(said.data, said.size.tolist(), strict=True)
    ]  # bounded by the frames of the text
    return np.concatenate(frames)


def run(seeds: int = SEEDS, codec: str = "PCMU") -> dict[str, Any]:
    """Return the PESQ of each case: mean, least and greatest over the seeds."""
    judge = pesq()
    wide = codec in WIDE
    said = payloads_of(codec) if wide else spoken_payloads()
    rate, mode = (WIDE_HZ, "wb") if wide else (SAMPLE_RATE_HZ, "nb")
    codec_alone = alone(said, codec)
    cases = []
    for case in CASES:
        scores = [
            float(judge(rate, codec_alone, through(said, case, seed, codec), mode))
            for seed in range(seeds if case != CASES[0] else 1)
        ]
        cases.append(
            {
                "case": case.name,
                "pesq": round(statistics.mean(scores), 3),
                "least": round(min(scores), 3),
                "greatest": round(max(scores), 3),
            }
        )
    return {
        "codec": codec,
        "band": mode,
        "seeds": seeds,
        "speech_s": round(len(said.data) * FRAME_NS / NS_PER_S, 1),
        "cases": cases,
    }
