"""Where a tick's time goes: the stages are found, and are the whole of it."""

import pytest

from bridge.bench import stages


def test_stages_add_up_to_the_tick_and_leave_nothing_patched() -> None:
    before = [getattr(owner, name) for _, owner, name in stages.STAGES]
    result = stages.run(40, 20)
    assert before == [getattr(owner, name) for _, owner, name in stages.STAGES]
    times = result["stages_ms"]
    assert sum(times.values()) == pytest.approx(result["tick_ms"], abs=0.02)
    usual = {name for name, _, _ in stages.STAGES if not name.startswith("other packets")}
    assert usual <= set(times), "the others only came in the first tick"
    assert "other packets: headers" not in times
