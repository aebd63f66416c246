"""The measurement itself: a small run, to see that it measures what it says."""

from bridge.bench import media
from bridge.media import samples
from tests.held import again_if_held


@again_if_held
def test_small_run_measures_everybody_talking() -> None:
    result = media.run(20, 2, 1.0, pairs=1)
    assert result["participants"] == 20
    assert result["loops"] == samples.LOOPS
    assert result["ratio_to_floor"] > 1
    assert result["ticks"] > 40
    assert 40 < result["rx_pps_min"] < 60
    assert set(result["tick_ms"]) == {"p50", "p99", "max"}
    assert 0 <= result["callers_late_ms"] < 1_000
    assert result["stolen_ms"] >= 0
