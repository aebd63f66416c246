"""Joins and leaves beside a load: the measurement, small."""

from bridge.bench import churn
from tests.held import again_if_held


@again_if_held
def test_small_churn_lays_out_anew_and_says_what_it_cost() -> None:
    result = churn.run(20, 50, 2.0)
    assert result["ticks_laid_out_anew"] > 20
    assert result["ticks"] > 50
    assert set(result["tick_ms"]) == set(result["tick_ms_calm"]) == {"p50", "p99", "max"}
