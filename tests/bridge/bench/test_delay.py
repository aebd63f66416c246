"""The delay measurement itself, small: it finds every packet again."""

from bridge.bench import delay
from tests.held import again_if_held


@again_if_held
def test_small_run_finds_every_packet_at_the_listener() -> None:
    result = delay.run(4, 1.0)
    assert result["participants"] == 4
    assert 60 < result["packets"] <= 100
    assert 5 < result["delay_ms"]["p50"] < 500
    assert set(result["spacing_off_ms"]) == {"p50", "p99", "max"}
