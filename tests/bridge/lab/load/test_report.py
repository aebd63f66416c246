"""What a run says: figures of a span, limits, text, JSON and the page agree."""

import json
from dataclasses import replace

import pytest

from bridge.lab.load import report
from bridge.lab.load.book import (
    Book,
    CallLost,
    CallMade,
    Summary,
    never_settled,
    percentiles,
    summarise,
)
from bridge.lab.load.ears import Fault, Heard
from bridge.lab.load.limits import Limits
from bridge.lab.load.mos import MOS_BEST, mos, r_factor
from bridge.lab.load.page import to_html
from bridge.lab.load.plan import LoadPlan
from bridge.lab.load.plots import POINTS_MAX, Line, plot
from bridge.lab.load.run import Result, Step
from bridge.lab.load.voices import TONES_HZ, tone_of
from bridge.lab.load.worst import worst_legs
from bridge.legstory.build import leg_story

S = 10**9
PLAN = LoadPlan(participants=20, conferences=2)


TOTALS = {
    "received": [1_000] * 5 + [900] + [1_000] * 14,
    "lost": [0] * 5 + [100] + [0] * 14,
    "late": [0] * 20,
    "gaps": [0] * 5 + [2] + [0] * 14,
    "jitter_ms": [0.5] * 20,
    "steady_seconds": [20] * 19 + [0],
    "steady_packets": [1_000] * 5 + [900] + [1_000] * 14,
}


def second(at: int, **more: float) -> dict[str, float]:
    row = dict.fromkeys(
        ("silent", "late", "gaps", "late_ticks", "send_failed", "unknown", "lost", "jitter_ms"), 0.0
    )
    usual = {"at_ns": at * S, "sending": 20, "steady": 20, "packets": 1_000, "pps_min": 50}
    return {**row, **usual, "pps_mean": 50.0, "gap_ms_max": 21.0, "cpu_cores": 0.1, **more}


def book() -> Book:
    calls = [CallMade(n * S // 20, n, 5.0 + n, connected_ns=1) for n in range(20)]
    faults = [Fault("missing", 3, 0, 0, 4, 1_000, 0.1)]
    ears = [
        Heard(3 * S, judged=10, pairs=90, delays_ms=[30.0, 31.0], listeners=[0, 2], talkers={4}),
        Heard(5 * S, judged=10, pairs=90, faults=faults, unheard={4}, talkers={4, 6}),
    ]
    return Book(calls=calls, seconds=[second(at) for at in range(1, 8)], ears=ears)


def result(book: Book, limits: Limits | None = None) -> Result:
    summary = summarise(book, 0, 8 * S)
    broken = (limits or Limits()).broken(summary)
    return Result(PLAN, summary, broken, book, began_ns=0, loaded_ns=S, ended_ns=8 * S)


def test_a_span_holds_what_happened_in_it_and_nothing_else() -> None:
    whole, early = summarise(book(), 0, 8 * S), summarise(book(), 0, 4 * S)
    assert (whole.calls, whole.connected, whole.rate) == (20, 20, 20.0)
    assert whole.setup_ms == {"p50": 14.0, "p95": 23.0, "p99": 24.0, "max": 24.0}
    assert (whole.missing, whole.unheard, whole.judged, whole.heard_talkers) == (1, 1, 20, 2)
    assert (early.missing, early.unheard, early.judged) == (0, 0, 10)
    assert whole.packets == 7_000


def test_counters_that_grow_are_counted_from_the_spans_beginning() -> None:
    rows = [second(1, lost=5), second(2, lost=7), second(3, lost=17)]
    assert summarise(Book(seconds=rows), 2 * S, 4 * S).loss == pytest.approx(
        100 * 12 / 2_012, abs=1e-3
    )


def test_the_worst_caller_is_found_in_the_totals() -> None:
    totals = {
        "received": [1_000, 900, 0],
        "lost": [0, 100, 0],
        "late": [0, 0, 0],
        "steady_seconds": [20, 20, 0],
        "steady_packets": [1_000, 900, 0],
    }
    summary = summarise(book(), 0, 8 * S, totals=totals)
    assert summary.pps_least == 45.0
    assert summary.mos_min == round(mos(0.1, 30.0), 2)
    assert summary.mos == round((mos(0.1, 30.0) + mos(0.0, 30.0)) / 2, 2)


def test_the_worst_legs_are_named_by_what_they_are_worst_in() -> None:
    told = book()
    told.calls.append(CallMade(2 * S, 7, None, "486"))
    told.calls.append(CallMade(3 * S, 19, 3.0, connected_ns=1))
    told.lost.append(CallLost(5 * S, 6, "bye"))
    worst = {leg.caller: leg for leg in worst_legs(told, TOTALS, PLAN)}
    reasons = {caller: leg.reasons for caller, leg in worst.items()}
    assert reasons == {
        7: ("refused: 486",),
        6: ("dropped",),
        4: ("nobody heard him in 1 turn",),
        0: ("heard 1 missing",),
        5: ("lost or late 10 %", "2 gaps", "45 packets a second"),
        19: ("set-up 24 ms",),
        18: ("set-up 23 ms",),
        17: ("set-up 22 ms",),
    }
    assert list(worst) == list(reasons), "the gravest first"
    assert (worst[7].setup_ms, worst[7].calls, worst[7].dialled_ns) == (None, 2, 2 * S)
    assert (worst[19].setup_ms, worst[19].dialled_ns) == (24.0, 19 * S // 20), "the slow call"
    assert (worst[5].lost_percent, worst[5].gaps, worst[5].pps) == (10.0, 2, 45.0)
    assert worst[0].faults[0].whose == 4


def test_each_of_the_worst_legs_has_its_story_on_the_page() -> None:
    one = replace(result(book()), worst=worst_legs(book(), TOTALS, PLAN))
    page = to_html(one, ["tollbridge", "load", "--target", "sip:x@h"])
    assert "The story of caller 5 (his own side)" in page
    assert "What the bridge saw of this call is not known: it is not ours." in page
    assert "caller 0 (conference 0, seat 0) does not hear caller 4" in page
    story = leg_story("leg-5", None, None)
    ours = replace(one, ours=True, stories={5: story})
    page = to_html(ours, ["tollbridge", "load"])
    assert "The story of caller 5 (leg-5)" in page
    assert "The bridge has no story of this call." in page, "of the others"
    plain = {leg["caller"]: leg for leg in json.loads(json.dumps(report.to_json(ours)))["worst"]}
    assert (plain[5]["leg"], plain[0]["leg"]) == ("leg-5", "")
    assert plain[0]["faults"][0].startswith("turn 3: caller 0")


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([float(n) for n in range(1, 101)]) == {
        "p50": 50.0,
        "p95": 95.0,
        "p99": 99.0,
        "max": 100.0,
    }
    assert percentiles([]) == {}


def test_loss_and_delay_lower_the_estimate_and_neither_leaves_the_scale() -> None:
    assert round(mos(0.0, 0.0), 2) == MOS_BEST
    assert mos(0.01, 0.0) > mos(0.05, 0.0) > mos(0.2, 0.0) >= 1.0
    assert mos(0.0, 40.0) == mos(0.0, 0.0)
    assert r_factor(0.0, 340.0) == pytest.approx(93.2 - 24.5, abs=1.5)  # 400 ms: G.107, figure 2
    assert mos(1.0, 5_000.0) == 1.0


GOOD = Summary(
    calls=10, connected=10, judged=5, voices=45, mos_min=4.4, pps_mean=50, pps_least=49.9
)


@pytest.mark.parametrize(
    ("summary", "limits", "said"),
    [
        ({"connected": 8, "failures": {"503": 2}}, {}, "calls failed 2 (503: 2): at most 0"),
        ({"connected": 8, "failures": {"503": 2}}, {"failures_max": 2}, ""),
        ({"dropped": {"bye": 1}}, {}, "calls dropped 1 (bye: 1)"),
        ({"missing": 1}, {}, "voices missing 1 of 45"),
        ({"missing": 1}, {"missing_max": 1}, ""),
        ({"wrong": 1}, {}, "wrong voices 1"),
        ({"own": 1}, {}, "own voices heard 1"),
        ({"unheard": 1}, {}, "callers heard by nobody 1"),
        ({"silent_seconds": 3}, {}, "seconds of a caller without a packet 3"),
        ({"setup_ms": {"p99": 300.0}}, {"setup_p99_ms_max": 250.0}, "set-up p99 [ms] 300"),
        ({"loss": 0.6}, {"loss_max": 0.5}, "loss [%] 0.6: at most 0.5 allowed"),
        ({"gap_ms_max": 80.0}, {"gap_ms_max": 60.0}, "longest gap"),
        ({"delay_ms": {"p95": 90.0}}, {"delay_p95_ms_max": 60.0}, "delay p95"),
        ({"mos_min": 3.9}, {"mos_min": 4.0}, "MOS 3.9: at least 4"),
        ({"pps_least": 48.0}, {"pps_min": 49.0}, "packets a second 48"),
        ({"pps_least": 0.0}, {"pps_min": 49.0}, "packets a second 0: at least 49"),
        ({"pps_least": None}, {"pps_min": 49.0}, ""),
        ({"pps_least": None, "pps_mean": 48.0}, {"pps_min": 49.0}, "packets a second 48"),
        ({"judged": 0}, {}, "no listener could be judged"),
        (
            {"judged": 0, "calls": 4, "connected": 0, "failures": {"503": 4}},
            {"failures_max": 4},
            "no listener could be judged",
        ),
        (
            {"connected": 8, "failures": {"503": 2}, "unsettled": 9},
            {"failures_max": 2},
            "connected callers nobody listened to 9: at most 2 allowed",
        ),
        ({"unsettled": 2}, {"failures_max": 2}, ""),
        ({"holed": 2}, {}, "2 of 7 ears had too many holes"),
        ({}, {"loss_max": 0.0, "mos_min": 4.4, "pps_min": 49.0}, ""),
    ],
)
def test_each_limit_breaks_by_itself(
    summary: dict[str, object], limits: dict[str, float], said: str
) -> None:
    broken = Limits(**limits).broken(replace(GOOD, **summary))  # type: ignore[arg-type]
    assert len(broken) == (1 if said else 0), broken
    assert said in "".join(broken)


def test_a_run_in_which_no_call_came_through_fails_by_its_calls() -> None:
    broken = Limits().broken(Summary(calls=3, failures={"404": 3}))
    assert broken == ["calls failed 3 (404: 3): at most 0 allowed"]


def test_who_is_connected_for_long_and_never_settles_is_counted() -> None:
    """Caller 0 was refused, so nobody opened his conference: the others wait in it unheard."""
    calls = [
        CallMade(0, 0, None, "503"),
        CallMade(0, 1, 5.0, connected_ns=1 * S),
        CallMade(0, 2, 5.0, connected_ns=1 * S),
        CallMade(0, 3, 5.0, connected_ns=9 * S),
        CallMade(0, 4, 5.0, connected_ns=1 * S),
        CallMade(0, 5, 5.0, connected_ns=1 * S),
        CallMade(8 * S, 5, 5.0, connected_ns=9 * S),
    ]
    made = Book(calls=calls, lost=[CallLost(2 * S, 2, "bye")])
    assert never_settled(made, [0, 0, 0, 0, 7, 0], 8 * S) == 1, "3 and 5 came late, 2 was dropped"
    found = replace(summarise(made, 0, 9 * S), unsettled=1)
    assert dict(report.rows(found))["who hears whom"].endswith(
        "nobody listened to 1 connected callers"
    )


def test_a_worst_caller_without_any_packet_is_told() -> None:
    totals = {**TOTALS, "steady_packets": [0] + [1_000] * 19}
    summary = summarise(book(), 0, 8 * S, totals=totals)
    assert summary.pps_least == 0.0
    assert "least of a caller 0," in dict(report.rows(summary))["packets a second"]
    assert Limits(pps_min=49.0).broken(replace(GOOD, pps_least=0.0))
    nobody: dict[str, list[int]] = {key: [] for key in TOTALS}
    assert summarise(book(), 0, 8 * S, totals=nobody).pps_least is None


def test_text_json_and_page_say_the_same() -> None:
    one = result(book())
    plain = json.loads(json.dumps(report.to_json(one)))
    assert not plain["ok"]
    assert plain["summary"]["missing"] == 1
    assert plain["seconds"][0]["at_s"] == 1.0
    text = dict(report.rows(one.summary))
    assert "1 missing" in text["who hears whom"]
    page = to_html(one, ["tollbridge", "load", "--target", "sip:<x>@h"])
    assert "2 limits broke" in page
    assert "voices missing 1 of 180: at most 0 allowed" in page
    assert "caller 0 (conference 0, seat 0) does not hear caller 4" in page
    assert "sip:&lt;x&gt;@h" in page
    assert page.count("<svg") == 9
    assert "http" not in page.replace("http-equiv", "")  # it needs nothing from elsewhere


def test_a_run_that_held_says_so() -> None:
    fine = book()
    fine.ears.pop()
    assert report.headline(result(fine)) == "everything held"
    stopped = replace(result(fine), interrupted=True)
    assert report.headline(stopped) == "stopped early: everything held until then"


def test_calls_that_were_dropped_are_named_by_their_cause() -> None:
    dropped = book()
    dropped.lost.append(CallLost(2 * S, 3, "bye"))
    assert dict(report.rows(result(dropped).summary))["dropped"] == "1 of bye"


def test_a_wrong_voice_is_traced_to_who_had_that_tone() -> None:
    conference, seat = PLAN.places()
    tone = int(TONES_HZ[tone_of(conference, 7, seat)[5]])
    fault = Fault("wrong", 7, 1, 1, -1, tone, 0.9)
    assert 5 in report.candidates(PLAN, fault)
    assert "not of his conference: caller" in report.describe(PLAN, fault)
    assert "hears himself" in report.describe(PLAN, replace(fault, what="own"))


def test_the_capacity_is_the_last_step_that_held() -> None:
    fine = summarise(book(), 0, 4 * S)
    steps = [Step(200, fine, ()), Step(400, fine, ()), Step(600, fine, ("loss [%] 2",))]
    found = replace(result(book()), steps=steps, searched=True, broken=["loss [%] 2"])
    assert (found.capacity, found.ok) == (400, True)
    assert report.headline(found) == "capacity 400: 600 participants broke a limit"
    assert report.to_json(found)["capacity"] == 400
    assert "<h2>Steps</h2>" in to_html(found, ["tollbridge", "load"])
    whole = replace(found, steps=steps[:2], broken=[])
    assert report.headline(whole) == "capacity 400 or more: no step broke a limit"
    none = replace(found, steps=steps[2:])
    assert (none.capacity, none.ok) == (0, False)


def test_a_plot_keeps_what_stands_out_however_many_points_there_are() -> None:
    points = [(float(at), 1.0) for at in range(10 * POINTS_MAX)]
    points[4_321] = (4_321.0, 99.0)
    drawn = plot("Gap", [Line("gap", points)], end=6_000)
    assert drawn.count(",") < 2 * POINTS_MAX
    assert ">100</text>" in drawn  # the axis reaches the one high point
    assert plot("Nothing", [Line("gap", [])], end=1) == ""


def test_the_seconds_below_a_plot_are_where_they_stand() -> None:
    drawn = str(plot("callers", [Line("in", [(0.0, 1.0), (10.0, 2.0)])], end=10.0))
    for at in ("0 s", "2.5 s", "5 s", "7.5 s", "10 s"):
        assert f">{at}<" in drawn, at
