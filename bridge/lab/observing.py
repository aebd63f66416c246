"""What a run observes of its callers, whoever's the bridge is: what they hear, and their SIP."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from bridge.lab.audibility import GAP_MS_MAX
from bridge.lab.callers import Caller, CallFailed
from bridge.lab.cast import Cast
from bridge.lab.expectations import Audio
from bridge.lab.gauging import Gauge, Gauged, Late, never_late
from bridge.lab.hearing import LISTEN_NS, Heard, Listener, Received, Waited
from bridge.lab.ladders import Judged, Ladder, judged, messages_of
from bridge.units import NS_PER_MS

SIP_PATIENCE_S: Final = 5.0
SIP_POLL_S: Final = 0.05


@dataclass(slots=True)
class Listening:
    """What callers heard, who have listened: it is judged while the story goes on.

    Attributes:
        judging: each caller's, by the name in the story; a crowd has several of one.
        gauges: what was measured beyond that, and from when to when.
    """

    judging: list[tuple[str, asyncio.Task[Heard]]]
    gauges: Mapping[str, tuple[Gauged, int, int]]

    async def judged(self) -> dict[str, Heard]:
        """Return what each heard; of a crowd, who heard worst."""
        worst: dict[str, Heard] = {}
        for name, task in self.judging:
            heard = await task
            if name not in worst or (worst[name].ok and not heard.ok):
                worst[name] = heard
        return {
            name: _with_gauged(heard, *self.gauges[name]) if name in self.gauges else heard
            for name, heard in worst.items()
        }


async def listen(
    cast: Cast, audio: Mapping[str, Audio], acted_ns: int, bridge_late: Late = never_late
) -> Listening:
    """Listen at all named callers at the same time, until they heard what they must.

    What is measured beyond that comes after: levels at all of them at once, then what needs a
    sweep, one by one, for what one says is heard by others. `bridge_late` says how many ticks of
    the bridge were late.
    """

    async def late(now_ns: int) -> int:
        return (await cast.engine.counters())["late_ticks"] + await bridge_late(now_ns)

    waits = [
        _listen(cast, caller, one, acted_ns)
        for name, one in audio.items()
        for caller in cast.callers[name]
    ]
    names = [name for name in audio for _ in cast.callers[name]]
    listened = await asyncio.gather(*waits)
    judging = [(name, task) for name, (task, _) in zip(names, listened, strict=True)]
    since = {name: from_ns for name, (_, from_ns) in zip(names, listened, strict=True)}
    gauges = [
        (name, Gauge(name, one, cast.callers, cast.tones, late))
        for name, one in audio.items()
        if one.gauged
    ]
    begun_ns = time.monotonic_ns()
    gauged = await asyncio.gather(*(_at_rest(gauge, since[name]) for name, gauge in gauges))
    for (_, gauge), result in zip(gauges, gauged, strict=True):
        await _probe(gauge, result)
    ended_ns = time.monotonic_ns()
    found = {
        name: (result, begun_ns, ended_ns) for (name, _), result in zip(gauges, gauged, strict=True)
    }
    return Listening(judging, found)


async def _listen(
    cast: Cast, caller: Caller, audio: Audio, acted_ns: int
) -> tuple[asyncio.Task[Heard], int]:
    """Have a caller listen; return how he is judged, and since when he heard what he must."""
    listener = Listener(
        caller,
        audio,
        cast.tones,
        acted_ns,
        cast.languages,
        cast.said,
        cast.levels,
        thorough=cast.witness.shows_all,
    )
    if not (audio.hears or audio.not_hears or audio.silence):
        return asyncio.create_task(_nothing_asked()), time.monotonic_ns()
    try:
        waited = await listener.wait()
    except CallFailed as failure:
        return asyncio.create_task(_failed(failure)), time.monotonic_ns()
    receiving = asyncio.create_task(listener.receive(waited))
    if not caller.remembers:
        await asyncio.wait([receiving])
    judging = asyncio.create_task(_judge(listener, waited, receiving))
    await asyncio.sleep(0)  # what was received is asked for before anybody hangs up
    return judging, settled_ns(waited.end_ns)


def settled_ns(end_ns: int) -> int:
    """Return since when voices that count as heard up to a moment are there.

    Of the second that they were listened to in, the longest gap that does not count may be the
    first part: a voice that began only then would be told to have that gap.
    """
    return end_ns - LISTEN_NS + GAP_MS_MAX * NS_PER_MS


async def _nothing_asked() -> Heard:
    return Heard(True, "")


async def _failed(failure: CallFailed) -> Heard:
    return Heard(False, str(failure), (str(failure),))


async def _judge(listener: Listener, waited: Waited, receiving: "asyncio.Task[Received]") -> Heard:
    try:
        received = await receiving
    except CallFailed as failure:
        return await _failed(failure)
    return await listener.judge(waited, received)


async def _at_rest(gauge: Gauge, from_ns: int) -> Gauged:
    try:
        return await gauge.at_rest(from_ns)
    except CallFailed as failure:
        return Gauged(faults=[str(failure)])


async def _probe(gauge: Gauge, result: Gauged) -> None:
    try:
        await gauge.probe(result)
    except CallFailed as failure:
        result.faults.append(str(failure))


def _with_gauged(heard: Heard, found: Gauged, begun_ns: int, ended_ns: int) -> Heard:
    parts = [*found.faults, heard.observed, *found.notes]
    return replace(
        heard,
        ok=heard.ok and not found.faults,
        observed="; ".join(part for part in parts if part),
        faults=(*heard.faults, *found.faults),
        measured=(*found.faults, *found.notes),
        from_ns=heard.from_ns or begun_ns,
        to_ns=ended_ns,
    )


async def sip(cast: Cast, wanted: Mapping[str, Ladder]) -> list[tuple[str, Judged]]:
    """Judge callers' SIP, waiting a while for messages that are on their way."""
    # bound: SIP_PATIENCE_S in steps of SIP_POLL_S
    for _ in range(round(SIP_PATIENCE_S / SIP_POLL_S)):
        found = _judged(cast, wanted)
        if all(one.ok for _, one in found):
            return found
        await asyncio.sleep(SIP_POLL_S)
    return _judged(cast, wanted)


def _judged(cast: Cast, wanted: Mapping[str, Ladder]) -> list[tuple[str, Judged]]:
    return [
        (name, one)
        for name, ladder in wanted.items()
        for one in judged(ladder, messages_of(cast.messages(name)))
    ]
