"""Speech through the plane in simulated time: bit-exact when clean, the same for the same seed."""

import sys

import numpy as np
import pytest

from bridge.bench import quality
from bridge.bench.quality import CASES, Case, through
from bridge.bench.speech import Payloads, payloads, payloads_of, spoken
from bridge.errors import InputError
from bridge.media.g711 import ITU_DECODE
from bridge.media.shape import FRAME, PCMU

CODES = payloads(spoken("One two three four five."))
SAID = Payloads(0, CODES, np.full(len(CODES), FRAME))
ALONE = ITU_DECODE[PCMU][CODES].ravel()


def test_clean_speech_passes_bit_exact_a_frame_or_two_later() -> None:
    heard = through(SAID, Case("clean"), 1)
    found = [at for at in range(0, 640, 160) if np.array_equal(heard[at:][: len(ALONE)], ALONE)]
    assert len(found) == 1


def test_network_depends_on_its_seed_alone() -> None:
    once, again, other = (through(SAID, CASES[2], seed) for seed in (3, 3, 4))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_without_pesq_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(InputError, match=r"tollbridge\[bench\]"):
        quality.run(1)


def test_without_espeak_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="espeak-ng"):
        spoken()


def test_figures_are_of_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a judge that counts the samples that differ, more loss is worse."""

    class Judge:
        @staticmethod
        def pesq(_rate: int, want: object, got: object, _mode: str) -> float:
            a, b = np.asarray(want), np.asarray(got)
            return float(max(np.mean(b[at:][: len(a)] == a) for at in range(0, 1_600, 160)))

    monkeypatch.setattr(quality, "pesq", lambda: Judge.pesq)
    cases = {row["case"]: row for row in quality.run(2)["cases"]}
    assert cases["clean"]["pesq"] == 1.0
    assert cases["5 % loss"]["pesq"] < 0.98
    assert cases["5 % loss"]["least"] <= cases["5 % loss"]["greatest"]


@pytest.mark.parametrize("codec", ["G722", "L16", "OPUS"])
def test_clean_wideband_speech_is_what_the_codec_alone_makes_of_it(codec: str) -> None:
    said = payloads_of(codec)
    short = Payloads(said.payload_type, said.data[:80], said.size[:80], said.clock_steps)
    alone = quality.alone(short, codec)
    heard = through(short, Case("clean"), 1, codec)
    found = [at for at in range(0, 1_280, 320) if np.array_equal(heard[at:][: len(alone)], alone)]
    assert len(found) == 1
