"""A bad line loses, delays, doubles and reorders as much as it says, the same for each seed."""

import itertools
from pathlib import Path
from typing import Any

from bridge.lab.cli import TEMPLATE
from bridge.lab.network import BACKLOG_NS, Impairment, Line
from bridge.lab.runner import Lab
from bridge.lab.selection import load_checked
from bridge.units import FRAME_NS, NS_PER_MS

PACKETS = 20_000


def arrivals(seed: str = "1", **how: Any) -> list[tuple[int, ...]]:
    line = Line(Impairment(**how), seed)
    return [line.arrivals(172, index * FRAME_NS) for index in range(PACKETS)]


def test_what_is_not_impaired_arrives_at_once() -> None:
    assert arrivals(loss="0%") == [(index * FRAME_NS,) for index in range(PACKETS)]


def test_the_share_that_is_lost_is_what_was_asked_for_alone_or_in_bursts() -> None:
    for burst, mean in ((1, 1.05), (4, 4.0)):
        lost = [not one for one in arrivals(loss="5%", burst=burst)]
        assert abs(sum(lost) / PACKETS - 0.05) < 0.01
        runs = [len(list(group)) for gone, group in itertools.groupby(lost) if gone]
        assert abs(sum(runs) / len(runs) - mean) < 0.4


def test_all_is_lost_at_100_percent() -> None:
    assert not any(arrivals(loss="100%"))


def test_the_same_seed_loses_the_same_packets_and_another_does_not() -> None:
    assert arrivals("a", loss="5%", jitter="20ms") == arrivals("a", loss="5%", jitter="20ms")
    assert arrivals("a", loss="5%") != arrivals("b", loss="5%")


def test_jitter_delays_within_its_bound_and_changes_no_order() -> None:
    due = [one[0] for one in arrivals(delay="100ms", jitter="60ms")]
    late_ms = [(at - index * FRAME_NS) / NS_PER_MS for index, at in enumerate(due)]
    assert min(late_ms) >= 100
    assert 150 < max(late_ms) <= 160
    assert due == sorted(due)


def test_reordered_packets_arrive_after_the_next_two() -> None:
    due = [one[0] for one in arrivals(reorder="2%")]
    overtaken = [at > due[index + 2] for index, at in enumerate(due[:-3])]
    assert abs(sum(overtaken) / PACKETS - 0.02) < 0.005


def test_duplicates_arrive_twice() -> None:
    assert abs(sum(len(one) == 2 for one in arrivals(duplicate="3%")) / PACKETS - 0.03) < 0.006


def test_a_narrow_line_delays_and_then_drops() -> None:
    done = arrivals(bandwidth="64kbit")  # G.711 with its headers takes 80
    kept = sum(bool(one) for one in done) / PACKETS
    assert abs(kept - 0.8) < 0.01
    late = [one[0] - index * FRAME_NS for index, one in enumerate(done) if one]
    assert BACKLOG_NS < max(late) < BACKLOG_NS + 2 * FRAME_NS


def test_a_clock_that_drifts_makes_more_frames_or_fewer() -> None:
    for drift, frames in (("1000ppm", 100_100), ("-1000ppm", 99_900), ("0", 100_000)):
        line = Line(Impairment.model_validate({"drift": drift}), "1")
        assert abs(sum(line.frames() for _ in range(100_000)) - frames) <= 1


async def test_a_story_hears_what_its_bad_line_does(tmp_path: Path) -> None:
    file = tmp_path / "lossy.yaml"
    text = TEMPLATE.replace("ann:    {via: toll-free, country: US}", "ann: {via: voip}")
    file.write_text(text.replace("steps:", "network: {ann: {loss: 90%, burst: 10}}\nsteps:"))
    lab = Lab.open()
    try:
        result = await lab.run(load_checked(file))
    finally:
        await lab.close()
    observed = [one.observed for one in result.failures() if one.name == "olivia"]
    assert len(observed) == 1
    assert observed[0].startswith("ann is not heard")
