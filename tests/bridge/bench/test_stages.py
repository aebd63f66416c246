"""Where a tick's time goes: the stages are found, and are the whole of it."""

import pytest

from bridge.bench import stages


def test_stages_add_up_to_the_tick_and_leave_nothing_patched() -> None:
    before = [getattr(owner, name) for _, owner, name in stages.STAGES]
    result = stages.run(40, 20)
    assert before == [getattr(owner, name) for _, owner, name in stages.STAGES]
    times = result["stages_ms"]
    assert sum(times.values()) == pytest.approx(result["tick_ms"], abs=0.02)
    rare = ("other packets", "wideband")
    usual = {name for name, _, _ in stages.STAGES if not name.startswith(rare)}
    assert usual <= set(times), "the others only came in the first tick"
    assert "other packets: headers" not in times


@pytest.mark.parametrize(("codec", "stage"), [
    ("G722", "wideband: encode G.722"), ("OPUS", "wideband: encode Opus"), ("L16", "wideband: sums")
])  # fmt: skip
def test_wideband_legs_have_stages_of_their_own(codec: str, stage: str) -> None:
    result = stages.run(10, 10, codec)
    assert result["codec"] == codec
    assert 0 < result["stages_ms"][stage] <= result["tick_ms"]
    assert 0 < result["tick_ms_least"] < result["tick_ms"] + 0.01
