"""What a run observes of its callers, whoever's the bridge is: what they hear, and their SIP."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Final

from bridge.lab.callers import Caller, CallFailed
from bridge.lab.cast import Cast
from bridge.lab.expectations import Audio
from bridge.lab.gauging import Gauge
from bridge.lab.hearing import Heard, Listener
from bridge.lab.ladders import Judged, Ladder, judged, messages_of

SIP_PATIENCE_S: Final = 5.0
SIP_POLL_S: Final = 0.05


async def listen(cast: Cast, audio: Mapping[str, Audio], acted_ns: int) -> dict[str, Heard]:
    """Listen at all named callers at the same time; of a crowd, return who heard worst.

    What is measured beyond that comes after, one by one: a sweep that one says is heard by others.
    """
    waits: list[Awaitable[tuple[str, Heard]]] = [
        _listen(cast, name, caller, one, acted_ns)
        for name, one in audio.items()
        for caller in cast.callers[name]
    ]
    worst: dict[str, Heard] = {}
    for name, heard in await asyncio.gather(*waits):
        if name not in worst or (worst[name].ok and not heard.ok):
            worst[name] = heard
    for name, one in audio.items():
        if one.gauged:
            worst[name] = await _gauged(cast, name, one, worst[name])
    return worst


async def _listen(
    cast: Cast, name: str, caller: Caller, audio: Audio, acted_ns: int
) -> tuple[str, Heard]:
    if not (audio.hears or audio.not_hears or audio.silence):
        return name, Heard(True, "")
    listener = Listener(caller, audio, cast.tones, acted_ns, cast.languages, cast.said, cast.levels)
    return name, await listener.listen()


async def _gauged(cast: Cast, name: str, audio: Audio, heard: Heard) -> Heard:
    began_ns = time.monotonic_ns()
    try:
        found = await Gauge(name, audio, cast.callers, cast.tones).measure()
    except CallFailed as failure:
        return replace(heard, ok=False, observed=str(failure), faults=(*heard.faults, str(failure)))
    parts = [*found.faults, heard.observed, *found.notes]
    return replace(
        heard,
        ok=heard.ok and not found.faults,
        observed="; ".join(part for part in parts if part),
        faults=(*heard.faults, *found.faults),
        measured=(*found.faults, *found.notes),
        from_ns=heard.from_ns or began_ns,
        to_ns=time.monotonic_ns(),
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
