"""How the cost of a leg changes with the number of legs: the same worker, 200 to 4,000 legs."""

import asyncio
from typing import Any, Final

from bridge.bench.media import beside, bridge

LEGS: Final = (200, 500, 1_000, 2_000, 3_000, 4_000)
LEGS_OF_A_CONFERENCE: Final = 10


def run(
    legs: tuple[int, ...] = LEGS, seconds: float = 5.0, *, conferences: int = 0
) -> dict[str, Any]:
    """Measure each number of legs once; costs are also given relative to the first.

    `conferences`, 0: one for each ten legs.
    """
    rows: list[dict[str, Any]] = []
    for participants in legs:
        groups = conferences or max(participants // LEGS_OF_A_CONFERENCE, 1)
        with beside():
            found = asyncio.run(bridge(participants, groups, seconds))
        per_leg = found["cores"] / participants * 1_000
        first = rows[0]["leg_core_milli"] if rows else per_leg
        rows.append(
            {
                "participants": participants,
                "conferences": groups,
                "bridge_core_milli": round(found["cores"] * 1_000, 1),
                "leg_core_milli": round(per_leg, 4),
                "to_first": round(per_leg / first, 3),
                "tick_ms": {name: round(value, 2) for name, value in found["tick_ms"].items()},
                "ticks": found["ticks"],
                "late_ticks": found["late_ticks"],
                "rx_pps_min": round(found["rx_pps_min"], 1),
                "callers_late_ms": found["callers_late_ms"],
                "stolen_ms": found["stolen_ms"],
                "rss_kb_per_leg": round(found["rss_kb_per_leg"], 1),
            }
        )
    return {"seconds": seconds, "rows": rows}
