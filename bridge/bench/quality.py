"""How the plane sounds: speech through it with jitter and loss, judged by PESQ (ITU-T P.862).

The plane is driven tick by tick in simulated time, so that a figure depends on its seed and on
nothing else. The reference is what the codec alone gives: 4.549 is the scale's end, no difference.
"""

import importlib
import statistics
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.bench.speech import payloads, spoken
from bridge.errors import InputError
from bridge.media import rtp
from bridge.media.g711 import ITU_DECODE
from bridge.media.plays import Clips
from bridge.media.shape import FRAME, HEADER_AT, PAYLOAD_AT, PCMU, ROW_BYTES
from bridge.media.sources import source_of
from bridge.media.tick import Plane
from bridge.media.values import Remote
from bridge.units import FRAME_MS, FRAME_NS, NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ

SEEDS: Final = 6
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


def through(codes: NDArray[np.uint8], case: Case, seed: int) -> NDArray[np.int16]:
    """Return what the listener of a conference of two hears of `codes`, (n, S) µ-law frames."""
    rng = np.random.default_rng(seed)
    phase_ms = rng.uniform(0, FRAME_MS)  # of the ticks against the sender's packets
    sent = np.arange(len(codes)) * float(FRAME_MS)
    arrival = sent + rng.uniform(0, case.jitter_ms, len(codes))
    arrival[rng.random(len(codes)) < case.loss] = np.inf
    order = np.argsort(arrival, kind="stable")
    plane = _two()
    heard, taken = [], 0
    for tick in range(len(codes) + 15):
        now_ms = tick * FRAME_MS + phase_ms
        until = int(np.searchsorted(arrival[order], now_ms, side="right"))
        plane.tick(_packets(codes, order[taken:until]), int(now_ms * NS_PER_MS))
        taken = until
        row = int(np.flatnonzero(plane.out.slots == _LISTENER)[0])
        heard.append(ITU_DECODE[PCMU][plane.out.data[row, PAYLOAD_AT:]])
    return np.concatenate(heard)


def _two() -> Plane:
    """Return a plane with a talker and a listener in one conference."""
    plane = Plane(Clips({}), silence_ns=NS_PER_S * 3_600, legs_max=2)
    for slot in (_TALKER, _LISTENER):
        source = _source(slot)
        plane.open_leg(slot, port=0, expected=source, numbers=(slot, 0, 0), now_ns=0)
        plane.set_remote(slot, Remote("PCMU", 0, 101, source, True), 0)
        plane.set_group(slot, 1)
    return plane


def _source(slot: int) -> int:
    return source_of(f"192.0.2.{slot + 1}", 4_000)


def _packets(codes: NDArray[np.uint8], which: NDArray[np.intp]) -> rtp.Packets:
    """Lay the talker's packets out as sockets would."""
    count = len(which)
    data = np.zeros((count, ROW_BYTES), np.uint8)
    words = data.view(">u4")
    words[:, HEADER_AT // 4] = 0x8000_0000 | which
    words[:, HEADER_AT // 4 + 1] = which * FRAME
    words[:, HEADER_AT // 4 + 2] = 1
    data[:, PAYLOAD_AT : PAYLOAD_AT + FRAME] = codes[which]
    return rtp.Packets(
        data,
        np.full(count, PAYLOAD_AT - HEADER_AT + FRAME, np.uint32),
        np.zeros(count, np.int32),
        np.full(count, _source(_TALKER), np.uint64),
        np.zeros(count, np.int64),
    )


def _judge() -> Any:
    try:
        return importlib.import_module("pesq").pesq
    except ImportError:
        raise InputError("pesq", "not installed", "pip install 'tollbridge[bench]'") from None


def run(seeds: int = SEEDS) -> dict[str, Any]:
    """Return the PESQ of each case: mean, least and greatest over the seeds."""
    pesq = _judge()
    codes = payloads(spoken())
    codec_alone = ITU_DECODE[PCMU][codes].ravel()
    cases = []
    for case in CASES:
        scores = [
            float(pesq(SAMPLE_RATE_HZ, codec_alone, through(codes, case, seed), "nb"))
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
        "codec": "PCMU",
        "seeds": seeds,
        "speech_s": round(len(codes) * FRAME_NS / NS_PER_S, 1),
        "cases": cases,
    }
