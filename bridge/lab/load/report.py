"""What a load test says at its end, as text for people and as JSON for scripts.

Knows results; runs nothing. Every figure comes from `Summary`, so that these and the page agree.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from bridge.lab.load.book import Summary
from bridge.lab.load.ears import Fault
from bridge.lab.load.plan import LoadPlan
from bridge.lab.load.run import Result, seconds_since
from bridge.lab.load.voices import TONES_HZ, place_of, tone_of
from bridge.lab.load.worst import WorstLeg

MOS_NOTE: Final = "E-model of ITU-T G.107, simplified: from loss and delay, nobody listened"
CANDIDATES_MAX: Final = 3
TROUBLE: Final = 1_000
"""One late tick in so many is no trouble yet."""


def to_json(result: Result) -> dict[str, Any]:
    """Return everything as plain values."""
    plan, summary = result.plan, result.summary.to_json()
    summary["examples"] = [describe(plan, fault) for fault in result.summary.examples]
    return {
        "ok": result.ok,
        "broken": result.broken,
        "interrupted": result.interrupted,
        "plan": {name: getattr(plan, name) for name in plan.__dataclass_fields__},
        "seconds_to_load": round(seconds_since(result, result.loaded_ns), 2),
        "seconds_in_all": round(seconds_since(result, result.ended_ns), 2),
        "summary": summary,
        "worst": [_leg(result, leg) for leg in result.worst],
        **(_capacity(result) if result.searched else {}),
        "seconds": [
            {"at_s": round(seconds_since(result, row["at_ns"]), 2), **row}
            for row in result.book.seconds
        ],
    }


def _leg(result: Result, leg: WorstLeg) -> dict[str, Any]:
    """Return one of the worst legs as plain values."""
    plain = {name: getattr(leg, name) for name in leg.__dataclass_fields__}
    plain["faults"] = [describe(result.plan, fault) for fault in leg.faults]
    plain["at_s"] = round(seconds_since(result, plain.pop("dialled_ns")), 2)
    return {**plain, "leg": result.stories.get(leg.caller, {}).get("leg", "")}


def _capacity(result: Result) -> dict[str, Any]:
    steps = [
        {"participants": s.participants, "broken": s.broken, "summary": s.summary.to_json()}
        for s in result.steps
    ]
    return {"capacity": result.capacity, "steps": steps}


def headline(result: Result) -> str:
    """Return the verdict in one sentence."""
    stopped = "stopped early: " if result.interrupted else ""
    if result.searched:
        last = result.steps[-1].participants if result.steps else 0
        if result.broken:
            return f"{stopped}capacity {result.capacity}: {last} participants broke a limit"
        return f"{stopped}capacity {result.capacity} or more: no step broke a limit"
    if not result.ok:
        count = len(result.broken)
        return f"{stopped}{count} limit{'s' if count > 1 else ''} broke"
    return stopped + ("everything held until then" if stopped else "everything held")


def rows(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield name and value of each figure, as people read them."""
    s = summary
    failures = f", failed: {_by(s.failures)}" if s.failures else ", none failed"
    yield "calls", f"{s.connected} of {s.calls} connected at {s.rate:g} a second{failures}"
    if s.dropped:
        yield "dropped", _by(s.dropped)
    yield "set-up (INVITE to 200)", _times(s.setup_ms)
    least = "" if s.pps_least is None else f", least of a caller {s.pps_least:g}"
    yield "packets a second", f"{s.pps_mean:g}{least}, worst second of one {s.pps_min}"
    yield "received", f"{s.packets} packets, lost {s.loss:g} %, late {s.late:g} %"
    longest = f"longest {s.gap_ms_max:g} ms, jitter {s.jitter_ms:g} ms"
    yield "gaps", f"{s.gaps} of 60 ms or more, {longest}"
    ears = f"{s.judged} turns heard by {s.listeners} listeners: {s.voices} voices due"
    holed = f"; {s.holed} turns had too many holes to tell" if s.holed else ""
    holed += f"; nobody listened to {s.unsettled} connected callers" if s.unsettled else ""
    yield "who hears whom", f"{ears}, {s.missing} missing, {s.wrong} wrong, {s.own} own{holed}"
    silent = f"{s.silent_seconds} seconds of a caller without a packet"
    yield "one-way audio", f"{silent}, {s.unheard} callers heard by nobody"
    yield "delay through the bridge", _times(s.delay_ms)
    yield "MOS estimate", f"{s.mos:g}, worst caller {s.mos_min:g} ({MOS_NOTE})"
    bridge = f"bridge {s.bridge_cores:g}, " if s.bridge_cores else ""
    theirs = f"callers' RTP {s.generator_cores:g}, their SIP and the verdicts {s.sip_cores:g}"
    yield "CPU in cores", bridge + theirs
    trouble = f"{s.late_ticks} late ticks, {s.send_failed} packets not sent"
    if s.late_ticks * TROUBLE > s.ticks or s.send_failed:
        trouble += ": the callers had trouble themselves, so not all of the above is the bridge's"
    yield "the load test itself", trouble


def _times(ms: dict[str, float]) -> str:
    if not ms:
        return "not measured"
    return " · ".join(f"{name} {value:g}" for name, value in ms.items()) + " ms"


def _by(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} of {key}" for key, count in sorted(counts.items()))


def describe(plan: LoadPlan, fault: Fault) -> str:
    """Return a fault in words; of a wrong voice also who had that tone in that turn."""
    conference, seat = plan.place(fault.listener)
    ear = f"turn {fault.turn}: caller {fault.listener} (conference {conference}, seat {seat})"
    share = f"{fault.level:.0%} of its level"
    if fault.what == "missing":
        return f"{ear} does not hear caller {fault.whose}: {fault.tone_hz} Hz at {share}"
    if fault.what == "own":
        return f"{ear} hears himself: {fault.tone_hz} Hz at {share}"
    whose = ", ".join(map(str, candidates(plan, fault)[:CANDIDATES_MAX])) or "nobody known"
    return f"{ear} hears {fault.tone_hz} Hz at {share}, not of his conference: caller {whose}?"


def describe_leg(leg: WorstLeg) -> str:
    """Return a leg and what it is among the worst in."""
    place = f"conference {leg.conference}, seat {leg.seat}"
    return f"caller {leg.caller} ({place}): {'; '.join(leg.reasons)}"


def candidates(plan: LoadPlan, fault: Fault) -> list[int]:
    """Return who may have had a tone in a turn: callers of conferences on the same half."""
    conference, seat = plan.places()
    size = np.bincount(conference)[conference]
    place = place_of(seat, size, fault.turn, plan.talkers_now)
    tone = tone_of(conference, fault.turn, np.maximum(place, 0))
    same = (place >= 0) & (conference % 2 == fault.half) & (TONES_HZ[tone] == fault.tone_hz)
    found: list[int] = np.flatnonzero(same).tolist()
    return found
