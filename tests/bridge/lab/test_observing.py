"""What is measured after the listening begins where the voices that were listened to are there."""

import numpy as np

from bridge.lab.audibility import GAP_MS_MAX, Window, analyse
from bridge.lab.hearing import LISTEN_NS
from bridge.lab.observing import settled_ns
from bridge.lab.voice import sine
from bridge.units import NS_PER_MS, SAMPLE_RATE_HZ

TONES = {"ann": 440}


def test_the_measuring_begins_where_a_voice_does_that_counts_as_heard() -> None:
    """It began in the second that was listened to, so late as it may: that is no gap of it."""
    late = GAP_MS_MAX * SAMPLE_RATE_HZ // 1_000
    pcm = sine(440, SAMPLE_RATE_HZ)
    pcm[:late] = 0
    whole = Window(pcm, np.ones(len(pcm) // 160, np.bool_))
    heard = analyse(whole, TONES).tones["ann"]
    assert (heard.heard, heard.gap_ms) == (True, GAP_MS_MAX)
    since = settled_ns(LISTEN_NS) // NS_PER_MS * SAMPLE_RATE_HZ // 1_000
    rest = Window(pcm[since:], whole.present[since // 160 :])
    assert analyse(rest, TONES).tones["ann"].gap_ms == 0
