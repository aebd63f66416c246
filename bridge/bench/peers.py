"""Another conference bridge beside this one: the same callers, the same cores, in turn.

Both get the same packets from the callers of the load test, and the same ears judge what comes
back. CPU is that of all processes of the bridge, once everybody is in.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from bridge.bench.janus import Janus, found
from bridge.lab.load.book import Summary, summarise
from bridge.lab.load.calls import Calls
from bridge.lab.load.host import OwnBridge, plan_for
from bridge.lab.load.link import EngineLink
from bridge.lab.load.listening import Listening
from bridge.lab.load.plan import LoadPlan
from bridge.lab.load.run import engine_settings
from bridge.lab.load.usage import Cores, Meter, kept_to
from bridge.lab.phones import Phone
from bridge.units import NS_PER_S

HOST: Final = "127.0.0.1"
SETTLE_S: Final = 4.0
RATE: Final = 50.0

Peer = Callable[[LoadPlan, Cores, EngineLink], AbstractAsyncContextManager[int]]
"""A bridge with all callers of a plan in it; gives the process to be measured."""


@asynccontextmanager
async def tollbridge(plan: LoadPlan, cores: Cores, engine: EngineLink) -> AsyncIterator[int]:
    """Run `tollbridge serve` with all callers in, by SIP."""
    own = await OwnBridge.start(plan, cores.bridge)
    phone = await Phone.open(plan.codec, host=HOST)
    try:
        addresses = await engine.addresses()
        calls = Calls(plan_for(plan, own.port), phone, engine, addresses, Listening().book)
        await calls.dial(range(plan.participants), asyncio.Event())
        yield own.process.pid
        await calls.hang_up()
    finally:
        phone.close()
        await own.stop()


@asynccontextmanager
async def janus(plan: LoadPlan, cores: Cores, engine: EngineLink) -> AsyncIterator[int]:
    """Run Janus with all callers in its rooms, by its API."""
    peer = await Janus.start(cores.bridge)
    try:
        await peer.open_rooms(plan.conferences)
        for caller, address in enumerate(await engine.addresses()):
            remote = await peer.join(plan.place(caller)[0] + 1, address)
            settled_ns = time.monotonic_ns() + int(plan.settle_s * NS_PER_S)
            await engine.connect(caller, remote, settled_ns)
        yield peer.process.pid
    finally:
        await peer.stop()


PEERS: Final[dict[str, Peer]] = {"tollbridge": tollbridge, "janus": janus}


async def _measured(peer: Peer, plan: LoadPlan, cores: Cores, seconds: float) -> Summary:
    """Return the figures of `seconds` with everybody in; `bridge_cores` over all of them."""
    listening = Listening()
    settings = engine_settings(plan, HOST)
    engine = await EngineLink.start(settings, listening.take, cores=cores.callers)
    try:
        async with peer(plan, cores, engine) as pid:
            await asyncio.sleep(plan.settle_s)
            meter, since_ns = Meter(pid), time.monotonic_ns()
            await asyncio.sleep(seconds)
            used, until_ns = meter.cores(), time.monotonic_ns()
            await listening.done()
    finally:
        engine.close()
    summary = summarise(listening.book, since_ns, until_ns)
    summary.bridge_cores = used
    return summary


async def _in_turn(plan: LoadPlan, seconds: float, pairs: int) -> dict[str, Any]:
    found()  # before anything is started
    cores = Cores.shared_out()
    runs: dict[str, list[Summary]] = {name: [] for name in PEERS}
    with kept_to(cores.callers):
        for _ in range(pairs):
            for name, peer in PEERS.items():
                runs[name].append(await _measured(peer, plan, cores, seconds))
    result: dict[str, Any] = {
        "participants": plan.participants,
        "conferences": plan.conferences,
        "pairs": pairs,
        "rows": [_row(name, summaries, plan.participants) for name, summaries in runs.items()],
    }
    ours, theirs = (row["core_milli_per_participant"] for row in result["rows"])
    result["ratio"] = round(theirs / ours, 2) if ours else 0.0
    return result


def _row(name: str, runs: list[Summary], participants: int) -> dict[str, Any]:
    """Return the medians of some runs; of what is bad the worst, of faults all."""
    cores = statistics.median(run.bridge_cores for run in runs)
    delays = [run.delay_ms for run in runs if run.delay_ms]
    return {
        "bridge": name,
        "core_milli_per_participant": round(1_000 * cores / participants, 3),
        "pps_mean": round(statistics.median(run.pps_mean for run in runs), 2),
        "pps_min": min(run.pps_min for run in runs),
        "loss_percent": max(run.loss for run in runs),
        "gap_ms_max": max(run.gap_ms_max for run in runs),
        "delay_ms_p50": statistics.median(d["p50"] for d in delays) if delays else None,
        "delay_ms_p95": statistics.median(d["p95"] for d in delays) if delays else None,
        "voices": sum(run.voices for run in runs),
        "missing": sum(run.missing for run in runs),
        "wrong": sum(run.wrong + run.own for run in runs),
        "callers_late_ticks": sum(run.late_ticks for run in runs),
    }


def run(participants: int, conferences: int, seconds: float, *, pairs: int) -> dict[str, Any]:
    """Measure both in turn, `seconds` each, `pairs` times.

    Raises:
        InputError: the other bridge is not installed, or the plan cannot be carried out.
    """
    plan = LoadPlan(
        participants=participants, conferences=conferences, rate=RATE, settle_s=SETTLE_S
    ).checked()
    return asyncio.run(_in_turn(plan, seconds, pairs))
