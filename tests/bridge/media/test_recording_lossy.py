"""R12: a conference recorded with 5 % lost on one leg, tick by tick without sockets."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.media.recording import Piece
from bridge.media.shape import FRAME
from tests.bridge.media.rig import Rig, coded, tone

LOSS = 0.05
SPOKE = {0: (500, 2, 5), 1: (710, 3, 7), 2: (920, 11, 13)}
"""By slot: his tone, and in which tenths he speaks: from the first to before the second."""


def power(samples: NDArray[np.int16], hertz: int) -> float:
    """Return the amplitude of a tone."""
    t = np.arange(len(samples)) / 8_000
    wave = np.exp(-2j * np.pi * hertz * t)
    return float(2 * np.abs(samples @ wave) / len(samples))


def record(ticks: int) -> tuple[list[Piece], int]:
    """Record a while: who speaks has his tone, the others are silent; slot 1 loses packets."""
    rng = np.random.default_rng(20260210)
    lost = rng.random(ticks) < LOSS
    silence = coded(np.zeros(FRAME, np.int16))
    waves = {
        slot: [coded(tone(hertz, n)) for n in range(50)] for slot, (hertz, _, _) in SPOKE.items()
    }
    rig = Rig()
    for slot in SPOKE:
        rig.add(slot)
        rig.plane.set_group(slot, 1, f"leg-{slot}")
    rig.plane.record(1, tracks=True)
    pieces: list[Piece] = []
    for n in range(ticks):
        tenth = 10 * n / ticks
        packets = []
        for slot, (_, first, last) in SPOKE.items():
            if slot == 1 and lost[n]:
                continue
            said = waves[slot][n % 50] if first <= tenth < last else silence
            packets.append(rig.packet(slot, n, said))
        pieces += rig.tick(*packets).pieces
    stopped = rig.plane.taps.stop(1)
    assert stopped is not None
    return pieces + stopped[0], stopped[1]


def laid_out(pieces: list[Piece], track: str, frames: int) -> NDArray[np.int16]:
    out = np.zeros(frames * FRAME, np.int16)
    for piece in pieces:
        if piece.track == track:
            out[piece.frame * FRAME : piece.frame * FRAME + len(piece.samples)] = piece.samples
    return out


@pytest.mark.parametrize("minutes", [0.5, pytest.param(10, marks=pytest.mark.long)])
def test_its_length_is_the_time_that_passed_and_each_tone_is_where_it_was_said(
    minutes: float,
) -> None:
    ticks = round(minutes * 60 * 50)
    pieces, frames = record(ticks)
    assert abs(frames - ticks) <= 1, "within 20 ms"
    mix = laid_out(pieces, "", frames)
    tracks = {slot: laid_out(pieces, f"leg-{slot}", frames) for slot in SPOKE}
    tenth, edge = ticks // 10, 50
    for part in range(10):
        span = slice((part * tenth + edge) * FRAME, ((part + 1) * tenth - edge) * FRAME)
        for slot, (hertz, first, last) in SPOKE.items():
            speaks = first <= part < last
            assert (power(mix[span], hertz) > 6_000) is speaks, (part, slot)
            assert (power(tracks[slot][span], hertz) > 6_000) is speaks, (part, slot)
            others = [other for other in SPOKE if other != slot]
            assert all(power(tracks[other][span], hertz) < 60 for other in others)
    whole = np.sum([track.astype(np.int32) for track in tracks.values()], axis=0)
    assert np.abs(whole - mix).max() <= 1, "the tracks lie beside the mix to the sample"
