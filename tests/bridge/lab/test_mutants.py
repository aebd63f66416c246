"""Issue 4, "Done when": a bridge with a fault fails a story, and its report names the reason.

Each of these stories holds on the bridge as it is (test_stories.py).
"""

from pathlib import Path

import pytest
from markupsafe import escape

from bridge.lab.evidence import Keeping
from bridge.lab.reports import evidence
from tests.held import again_if_held
from tests.mutants.launcher import CONTROL_FAULTS, WORKER_FAULTS, run_with

CASES = {
    "own_voice": ("audio/three_callers_hear_each_other", "", "is heard"),
    "waiting_hears": ("waiting_room/nobody_hears_who_waits", "", "is heard"),
    "keys_leak": ("audio/keys_cost_nobody_his_place", "olivia", "the tones of keys 5"),
    "minutes_rounded_down": (
        "billing/b5_sixty_one_seconds_are_two_minutes",
        "bill.minutes",
        "toll_free",
    ),
    "usf_on_integrated": ("billing/b8_no_usf_on_the_integrated_product", "bill.usf", "0.75 USD"),
    "six_minutes": ("waiting_room/alone_until_timeout", "left.ann", "has not left"),
    "roll_call_misses_one": ("controls/roll_call_counts_everybody", "ann", "n-3 is not heard"),
    "quieter": ("audio/level_gaps_and_delay_are_kept", "olivia", "ann is heard at -30"),
    "wraps": ("audio/loud_voices_are_cut_off_once", "olivia", "not cut off"),
    "holes": ("audio/level_gaps_and_delay_are_kept", "olivia", "with a gap of"),
    "late": ("audio/level_gaps_and_delay_are_kept", "ann", "olivia is heard 3"),
    "ptime_ignored": ("audio/packets_of_every_length", "olivia", "packets of 20 ms"),
    "merged_is_new": (
        "signalling/an_invite_that_comes_twice_is_one_leg",
        "exactly",
        "leg.answered 5 times",
    ),
    "bye_says_nothing": ("signalling/the_bye_says_why", "sip.ann.reason", "no Reason header"),
    "recording_starts_early": ("audio/what_was_said_is_recorded", "recording.length", "s"),
}


ALWAYS = ("minutes_rounded_down", "keys_leak", "merged_is_new")
"""Tried in every test run: faults in the bill, in what is heard, in SIP. The others are long."""


@pytest.mark.parametrize(
    "fault", [one if one in ALWAYS else pytest.param(one, marks=pytest.mark.long) for one in CASES]
)
@again_if_held
async def test_a_story_fails_and_names_the_reason(fault: str, tmp_path: Path) -> None:
    story, name, reason = CASES[fault]
    file = Path("scenarios") / f"{story}.yaml"
    result = await run_with(fault, file, Keeping(tmp_path))
    assert not result.ok
    found = [one for one in result.failures() if name in one.name and reason in one.observed]
    assert found, "\n".join(evidence(result))
    assert f"{result.story.file}:{found[0].line}: {found[0].name}" in evidence(result)
    page = (Path(result.folder) / "report.html").read_text()
    fault_box = page.partition('class="fault"')[2].partition("<h3>")[0]
    assert f"Line {found[0].line}: {escape(found[0].name)}" in fault_box
    assert str(escape(found[0].observed)) in page
    assert (Path(result.folder) / "packets.pcapng").stat().st_size > 10_000


def test_every_fault_that_can_be_patched_in_has_its_story() -> None:
    assert set(CASES) == {*WORKER_FAULTS, *CONTROL_FAULTS}
