"""Metrics as stories name them: sums over labels, counters since the story began, gauges as is."""

import re

import pytest
from pydantic_core import PydanticCustomError

from bridge.lab.gauges import Wanted, parsed, shown_parts, value_of

BEFORE = parsed(
    """\
# TYPE tollbridge_packets_total counter
tollbridge_packets_total{direction="rx"} 1000
tollbridge_legs{kind="voip",state="waiting"} 1
"""
)
NOW = parsed(
    """\
tollbridge_packets_total{direction="rx"} 1250
tollbridge_packets_total{direction="tx"} 300
tollbridge_legs{kind="voip",state="joined"} 2
tollbridge_legs{kind="toll_free",state="joined"} 3
tollbridge_tick_seconds_count 90
"""
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ('packets_total{direction="rx"}', 250),
        ('tollbridge_packets_total{direction="rx"}', 250),
        ("packets_total", 550),
        ("legs", 5),
        ('legs{kind="voip"}', 2),
        ('legs{state="waiting"}', 0),
        ("tick_seconds_count", 90),
        ('facts_total{type="leg.joined"}', 0),
    ],
)
def test_a_metric_is_the_sum_of_the_series_it_names(name: str, value: float) -> None:
    assert value_of(Wanted.of(name), BEFORE, NOW) == value


def test_what_a_sum_is_made_of_is_shown() -> None:
    text = shown_parts(Wanted.of("packets_total"), BEFORE, NOW)
    assert text == '{direction="rx"} 250, {direction="tx"} 300'


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("packet_total", "unknown metric 'packet_total', did you mean 'packets_total'?"),
        ("tick_seconds", "unknown metric 'tick_seconds', did you mean"),
        ('legs{knd="voip"}', "legs has no label 'knd', did you mean 'kind'?"),
        ("legs{kind}", "'legs{kind}' is no metric: write legs{kind=\"voip\"}, in"),
    ],
)
def test_a_metric_that_is_not_there_is_refused(name: str, fault: str) -> None:
    with pytest.raises(PydanticCustomError, match=re.escape(fault)):
        Wanted.of(name)
