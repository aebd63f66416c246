"""Where a tick's time goes: the stages are found, and are the whole of it."""

from collections.abc import Callable
from typing import Any

import pytest

from bridge.bench import stages
from bridge.errors import InputError
from bridge.media import samples, samples_numpy


def test_stages_add_up_to_the_tick_and_leave_nothing_patched() -> None:
    before = [getattr(owner, name) for _, owner, name in stages.STAGES]
    result = stages.run(40, 20)
    assert before == [getattr(owner, name) for _, owner, name in stages.STAGES]
    times = result["stages_ms"]
    assert sum(times.values()) == pytest.approx(result["tick_ms"], abs=0.02)
    rare = ("other packets", "wideband")
    usual = {name for name, _, _ in stages.STAGES if not name.startswith(rare)}
    if samples.LOOPS == "c":  # one loop with what is expected
        usual -= {"whose packet it is", "decode"}
    assert usual <= set(times), "the others only came in the first tick"
    assert "other packets: headers" not in times
    assert result["loops"] == samples.LOOPS
    least = result["stages_ms_least"]
    assert list(least) == list(times)
    seldom = ("voice activity", "levels")  # in every second tick, and least of those
    assert all(least[name] <= times[name] + 0.001 for name in usual if name not in seldom)


def test_numpy_takes_turns_with_what_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each runs its own loops in its own turns: half of the ticks, first this and then that."""
    ran: list[str] = []
    real = samples_numpy.sum_up

    def sums(name: str) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            ran.append(name)
            return real(*arguments)

        return noted

    monkeypatch.setattr(samples, "sum_up", sums("compiled"))
    monkeypatch.setattr(samples_numpy, "sum_up", sums("numpy"))
    monkeypatch.setattr(samples, "LOOPS", "c")
    result = stages.run(40, 20, pause_ms=0.1, beside_numpy=True)
    assert ran == (["compiled"] * 10 + ["numpy"] * 10) * 7
    assert result["pause_ms"] == 0.1
    numpy = result["numpy"]
    assert sum(numpy["stages_ms"].values()) == pytest.approx(numpy["tick_ms"], abs=0.02)
    ratio = result["tick_ms_least"] / numpy["tick_ms_least"]
    assert result["ratio_to_numpy"] == pytest.approx(ratio, abs=0.001)


def test_numpy_is_not_compared_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "LOOPS", "numpy")
    with pytest.raises(InputError, match="compiled"):
        stages.run(40, 20, beside_numpy=True)


@pytest.mark.parametrize(("codec", "stage"), [
    ("G722", "wideband: encode G.722"), ("OPUS", "wideband: encode Opus"), ("L16", "wideband: sums")
])  # fmt: skip
def test_wideband_legs_have_stages_of_their_own(codec: str, stage: str) -> None:
    result = stages.run(10, 10, codec)
    assert result["codec"] == codec
    assert 0 < result["stages_ms"][stage] <= result["tick_ms"]
    assert 0 < result["tick_ms_least"] < result["tick_ms"] + 0.01


def test_a_halt_is_measured_tick_by_tick() -> None:
    """Each tick of the halt has its time, and the one after; how long is not a test's business."""
    result = stages.run(40, 10, halt=6)
    halted = result["halted_ms"]
    assert len(halted) == 7
    assert min(halted) > 0
