"""One conference against many: each is measured as often, with the same legs."""

from pathlib import Path

import pytest

from bridge.bench import room
from bridge.link import SetGroup, StartRecording, StopRecording


class Told:
    """A worker that keeps what it is told."""

    def __init__(self) -> None:
        self.orders: list[object] = []

    def send(self, order: object) -> None:
        self.orders.append(order)


def test_all_legs_move_and_one_conference_in_ten_is_recorded(tmp_path: Path) -> None:
    told = Told()
    legs = room._Legs(told, None, 300, str(tmp_path))  # type: ignore[arg-type] # it only tells
    legs.spread(30)
    groups = {order.leg_no: order.group for order in told.orders if isinstance(order, SetGroup)}
    assert groups == {leg: leg // 10 for leg in range(300)}
    recorded = [order.group for order in told.orders if isinstance(order, StartRecording)]
    assert recorded == [0, 10, 20]
    told.orders.clear()
    legs.spread(1)
    stopped = [order.group for order in told.orders if isinstance(order, StopRecording)]
    assert stopped == recorded
    assert {order.group for order in told.orders if isinstance(order, SetGroup)} == {30}
    recorded = [order.group for order in told.orders if isinstance(order, StartRecording)]
    assert recorded == [30]


def test_small_rooms_take_turns() -> None:
    result = room.run(20, 1.0, pairs=2)
    assert result["ratio_to_many"] == pytest.approx(sum(result["ratios"]) / 2, abs=0.002)
    for conferences in (1, 2):
        assert result[f"leg_core_milli_{conferences}"] > 0
        assert result[f"tick_ms_p50_{conferences}"] > 0
        assert result[f"late_ticks_{conferences}"] >= 0
