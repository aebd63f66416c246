"""Wideband callers of the lab: what they say and hear, and how it is judged."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.lab.audibility import Window, analyse
from bridge.lab.keys import KeySender
from bridge.lab.recording import Recording
from bridge.lab.wideband import RATE_HZ, Ear, Mouth, clock_steps, mirrored
from bridge.units import FRAME_NS

CODECS = ("G722", "L16", "OPUS")


def sine(hertz: float, *, peak: float = 5_000, seconds: float = 1.0) -> NDArray[np.int16]:
    t = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    return (peak * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def window(pcm: NDArray[np.int16]) -> Window:
    return Window(pcm, np.ones(len(pcm) // 320, bool), RATE_HZ)


@pytest.mark.parametrize("codec", CODECS)
def test_what_one_says_another_hears_at_16_khz(codec: str) -> None:
    mouth, recording = Mouth(codec), Recording(200, codec, 96)
    for n in range(100):
        recording.put(
            ts=n * 160 * clock_steps(codec),
            ssrc=1,
            payload_type=96,
            payload=mouth.payload(mouth.frame(6_200 if n % 50 < 25 else 1_800)),
            now_ns=n * FRAME_NS,
        )
    assert recording.takes(96)
    assert not recording.takes(0)
    for start, heard, not_heard in ((4, "high", "low"), (54, "high", "low"), (29, "low", "high")):
        found = recording.window(start * FRAME_NS, (start + 20) * FRAME_NS)
        assert found.rate_hz == RATE_HZ
        tones = analyse(found, {"high": 6_200, "low": 1_800}).tones
        assert tones[heard].heard
        assert tones[not_heard].absent


def test_a_high_tone_and_its_image_are_told_apart() -> None:
    """The mirror has 6,200 Hz at 1,800: what is at 1,800 Hz must not be taken for it."""
    high = analyse(window(sine(6_200)), {"ann": 6_200, "bob": 1_800})
    assert high.tones["ann"].heard
    assert high.tones["bob"].absent
    low = analyse(window(sine(1_800)), {"ann": 6_200, "bob": 1_800})
    assert low.tones["ann"].absent
    assert low.tones["bob"].heard
    both = analyse(window(sine(6_200) + sine(1_800)), {"ann": 6_200, "bob": 1_800})
    assert both.heard() == ("bob", "ann")


def test_narrowband_ears_hear_no_high_tone_and_silence_is_silence_for_wide_ones() -> None:
    narrow = Window(np.zeros(8_000, np.int16), np.ones(50, bool))
    assert analyse(narrow, {"ann": 6_200}).tones["ann"].absent
    assert analyse(window(np.zeros(RATE_HZ, np.int16)), {"ann": 6_200}).silent
    assert not analyse(window(sine(6_200, peak=400)), {}).silent, "above what 8 kHz can carry"


def test_the_mirror_turns_the_spectrum_around_4_khz() -> None:
    spectrum = np.abs(np.fft.rfft(mirrored(sine(5_000)).astype(float)))
    assert int(np.argmax(spectrum)) == 3_000


def test_opus_is_heard_at_16_khz_in_step_with_its_packets() -> None:
    mouth, ear = Mouth("OPUS"), Ear("OPUS")
    assert [len(ear.samples(mouth.payload(mouth.frame(440)))) for _ in range(5)] == [320] * 5


@pytest.mark.parametrize("codec", CODECS)
def test_keys_are_on_the_codecs_clock(codec: str) -> None:
    """RFC 4733 §2.1."""
    sender = KeySender(clock_steps=clock_steps(codec))
    sender.press("5", 1)
    packets = [sender.next_frame()[0] for _ in range(5)]
    lasts = [int.from_bytes(packet.payload[2:]) for packet in packets if packet]
    assert lasts == [step * 160 * clock_steps(codec) for step in (1, 2, 3, 3, 3)]
    assert [packet.ts_back for packet in packets if packet][2] == 2 * 160 * clock_steps(codec)
