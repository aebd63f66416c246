"""An hour of clock drift through the plane: the delay does not grow and nothing clicks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media.g711 import ENCODE
from bridge.media.outgoing import TX_ROW_BYTES
from bridge.media.rtp import Packets
from bridge.media.shape import FRAME, HEADER_AT, PAYLOAD_AT, PCMU, ROW_BYTES
from bridge.units import FRAME_NS
from tests.bridge.media.rig import Rig, decoded

HOUR_TICKS = 180_000
DRIFTS = np.array([200e-6, -200e-6, 200e-6, -200e-6])
PHASES = np.array([0.1, 0.3, 0.6, 0.9])
TURN = 100
"""Frames of a turn: 80 of a voice that swells and fades, 20 of silence."""


def turn() -> NDArray[np.int16]:
    """Return the frames of one turn, (TURN, S): a voice of 200 Hz and two harmonics."""
    t = np.arange(80 * FRAME) / 8_000
    wave = sum(np.sin(2 * np.pi * 200 * k * t) / k for k in (1, 2, 3))
    whole = np.zeros(TURN * FRAME)
    whole[: len(t)] = 6_000 * wave * np.sin(np.pi * t / t[-1]) ** 2
    return whole.astype(np.int16).reshape(-1, FRAME)


def bend(samples: NDArray[np.int16]) -> float:
    """Return the sharpest bend of a signal: what a click is in it."""
    return float(np.abs(np.diff(samples.astype(np.int64), 2)).max())


@pytest.mark.long
@pytest.mark.timeout(900)
def test_drift_of_200_ppm_for_an_hour_neither_adds_delay_nor_clicks() -> None:
    rig = Rig(silence_ns=2**62)
    for slot in range(8):  # talkers 0 to 3, each with a listener four slots up
        rig.add(slot, group=slot % 4)
    voice = turn()
    codes = ENCODE[PCMU][voice.view(np.uint16)]
    source = np.array([rig.source(slot) for slot in range(4)], np.uint64)
    sent = np.zeros(4, np.int64)
    before = np.zeros((4, 2), np.int16)
    worst, lags = 0.0, []
    for tick in range(HOUR_TICKS):
        data = np.zeros((0, ROW_BYTES), np.uint8)
        legs = np.zeros(0, np.int64)
        due = np.floor((tick + 1 - PHASES) * (1 + DRIFTS)).astype(np.int64) + 1
        while (sent < due).any():
            here = np.flatnonzero(sent < due)
            rows = np.zeros((len(here), ROW_BYTES), np.uint8)
            words = rows.view(">u4")
            words[:, HEADER_AT // 4] = 0x8000_0000 | sent[here] & 0xFFFF
            words[:, HEADER_AT // 4 + 1] = sent[here] * FRAME
            rows[:, PAYLOAD_AT : PAYLOAD_AT + FRAME] = codes[sent[here] % TURN]
            data, legs = np.concatenate([data, rows]), np.concatenate([legs, here])
            sent[here] += 1
        count = len(legs)
        rig.plane.tick(
            Packets(
                data,
                np.full(count, TX_ROW_BYTES - HEADER_AT, np.uint32),
                np.zeros(count, np.int32),
                source[legs],
                np.zeros(count, np.int64),
            ),
            tick * FRAME_NS,
        )
        heard = decoded(rig.plane.out.data[4:8, PAYLOAD_AT:].tobytes()).reshape(4, FRAME)
        joined = np.concatenate([before, heard], axis=1)
        worst = max(worst, *(bend(row) for row in joined))
        before = heard[:, -2:]
        lags.append(sent - rig.plane.jitter.play_ts[:4] // FRAME)
    lag = np.stack(lags[100:])
    assert lag.min() >= 0
    assert lag.max() <= 4, "frames between the newest packet and what is played"
    assert lag[-3_000:].mean() <= lag[:3_000].mean() + 1
    assert worst <= 1.5 * bend(decoded(codes.tobytes())), "a click is a bend"
    assert rig.count("resync") == 0
    assert rig.count("concealed") <= 4 * 40, "36 frames of drift a leg"
