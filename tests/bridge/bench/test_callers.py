"""What the callers count, and what they say of themselves."""

import socket
import time

import numpy as np
import pytest

from bridge.bench.callers import Callers, Tally
from bridge.bench.speech import payloads_of


def test_a_tally_is_that_of_all_packets_at_once() -> None:
    """Streams turn up in any order and at any time; one that was silent is not the least."""
    rng = np.random.default_rng(1)
    tally = Tally()
    for streams in (20, 300, 100, 0):
        named = rng.integers(0, 2**32, streams or 1, np.uint32)
        parts = [rng.choice(named, rng.integers(0, 90)) for _ in range(50 * bool(streams))]
        for part in parts:
            tally.add(part)
        seen = np.concatenate([np.zeros(0, np.uint32), *parts])
        _, counts = np.unique(seen, return_counts=True)
        assert tally.take() == {
            "streams": len(counts),
            "packets": len(seen),
            "least": min(counts.tolist(), default=0),
        }


def test_callers_say_how_late_they_were_at_worst_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be woken late counts as late as does too long a work before."""
    now = 0
    oversleeps = 3e-3

    def sleep(seconds: float) -> None:
        nonlocal now
        now += round((seconds + oversleeps) * 1e9)

    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        some = Callers(sock, [4_000, 4_002], payloads_of("PCMU"))
        some.sleep_until(4_000_000)
        assert now == 7_000_000
        some.sleep_until(5_000_000)  # no sleep: it is over
        assert now == 7_000_000
        nothing = {"streams": 0, "packets": 0, "least": 0}
        assert some.report() == {**nothing, "late_ms": 3}
        now = 12_000_000
        some.sleep_until(7_000_000)
        assert some.report() == {**nothing, "late_ms": 5}
        assert some.report() == {**nothing, "late_ms": 0}
