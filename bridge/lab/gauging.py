"""What one caller hears, measured: level, gaps, cutting off, packets, delay, echo.

Comes after the listening, which says who is heard at all. For delay and echo somebody says a sweep
in place of his voice, which is then looked for in what the others, or he himself, receive.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from bridge.lab.audibility import Hearing, Window, analyse
from bridge.lab.callers import Caller
from bridge.lab.chirp import SAMPLES, Found, chirp, find
from bridge.lab.expectations import Audio
from bridge.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ

GAUGE_S: Final = 3.0
"""How long levels and gaps are measured."""

PROBE_S: Final = 1.5
"""How long a sweep is looked for: what is later is lost."""

USUAL_S: Final = 0.5
"""Most sweeps come out within this: it is looked for there first."""

EARLY_MS: Final = 200
AHEAD_MS: Final = 40
"""An echo is not heard before it was said; what is heard is placed to two frames."""

MEASURED_MAX: Final = 6
"""How often at most we measure what is not as it must be while ticks come late."""

FOUND_DB: Final = -12.0
"""A sweep that comes out weaker than this did not come out."""

NOISE_DB: Final = 6.0
"""An echo stands out so much of what is found where there is no sweep."""

FULL: Final = 31_900
"""Above all codes of G.711 but the last: where a sample is cut off."""

CLIPPED_RUN: Final = 3
"""So many samples in a row at full scale are no peak of a wave but its cut."""


@dataclass(slots=True)
class Gauged:
    """What was measured of one caller's hearing.

    Attributes:
        faults: what is not as it must be.
        notes: what was measured.
    """

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Late = Callable[[int], Awaitable[int]]
"""Returns how many ticks were late, of the bridge and of the callers, up to a monotonic time in ns
at least."""


async def never_late(_now_ns: int) -> int:
    """Say that no tick is ever late: what is measured once stands."""
    return 0


@dataclass(slots=True)
class Gauge:
    """The measuring of what one caller hears.

    A machine that keeps the bridge or the callers from their ticks tears holes, delays sweeps, and
    the edges of holes are like echoes. So what is not as it must be is measured again if ticks
    were late meanwhile; if none were, it stands.

    Attributes:
        callers: who else is there; crowds are not measured.
        tones: all callers' tones.
    """

    name: str
    audio: Audio
    callers: Mapping[str, Sequence[Caller]]
    tones: Mapping[str, int]
    late: Late = never_late

    async def measure(self) -> Gauged:
        """Measure all that is asked for."""
        result = await self.at_rest(time.monotonic_ns())
        await self.probe(result)
        return result

    async def at_rest(self, from_ns: int) -> Gauged:
        """Measure what hinders nobody: others may be measured at the same time.

        Args:
            from_ns: monotonic; from then on he heard what he must.
        """
        audio, result = self.audio, Gauged()
        if audio.level or audio.gap is not None or audio.clipped is not None:
            await self._undisturbed(self._levels, result, from_ns)
        if audio.packets is not None:
            await self._packets(result)
        return result

    async def probe(self, result: Gauged) -> None:
        """Measure by a sweep, which others hear too: one after the other."""
        audio = self.audio
        if audio.delay is not None:
            for name in audio.hears:
                await self._undisturbed(partial(self._delay, name, audio.delay), result)
        if audio.echo is not None:
            await self._undisturbed(partial(self._echo, audio.echo), result)

    async def _undisturbed(
        self,
        measure: Callable[[int, Gauged], Awaitable[None]],
        result: Gauged,
        from_ns: int | None = None,
    ) -> None:
        """Measure from a moment on, by default from now, until it holds or no tick was late."""
        for left in reversed(range(MEASURED_MAX)):
            before, found = await self.late(0), Gauged()
            await measure(time.monotonic_ns() if from_ns is None else from_ns, found)
            from_ns = None
            again = left and found.faults and await self.late(time.monotonic_ns()) != before
            if not again:
                break
        result.faults += found.faults
        result.notes += found.notes

    @property
    def _caller(self) -> Caller:
        return self.callers[self.name][0]

    async def _levels(self, from_ns: int, result: Gauged) -> None:
        window = await self._caller.heard(from_ns, from_ns + int(GAUGE_S * NS_PER_S))
        hearing = await asyncio.to_thread(analyse, window, self.tones)
        self._judge_levels(hearing, result)
        if self.audio.clipped is not None:
            runs = cut_runs(window)
            peak = int(np.max(np.abs(window.pcm.astype(np.int32)), initial=0))
            text = f"{runs} times cut off at full scale" if runs else f"not cut off (peak {peak})"
            (result.notes if bool(runs) is self.audio.clipped else result.faults).append(text)

    def _judge_levels(self, hearing: Hearing, result: Gauged) -> None:
        for name, wanted in self.audio.level.items():
            level = hearing.tones[name].median_dbfs
            ok, text = wanted.holds(level), f"{name} is heard at {level:.1f} dBFS"
            (result.notes if ok else result.faults).append(text)
        for name in self.audio.hears if self.audio.gap is not None else ():
            gap_ms = hearing.tones[name].gap_ms
            ok, text = gap_ms <= (self.audio.gap or 0), f"{name} is heard with a gap of {gap_ms} ms"
            (result.notes if ok else result.faults).append(text)

    async def _packets(self, result: Gauged) -> None:
        found = await self._caller.packet_ms()
        text = f"packets of {found} ms" if found else "no packets"
        (result.notes if found == self.audio.packets else result.faults).append(text)

    async def _delay(self, name: str, most_ms: int, _from_ns: int, result: Gauged) -> None:
        found, late_ms = await self._probe(self.callers[name][0], USUAL_S)
        if found.gain_db < FOUND_DB:
            text = f"{name} is not heard within {PROBE_S:.1f} s of saying a sweep"
            result.faults.append(text)
            return
        text = f"{name} is heard {late_ms} ms late"
        (result.notes if late_ms <= most_ms else result.faults).append(text)

    async def _echo(self, least_db: int, _from_ns: int, result: Gauged) -> None:
        sent_ns = await self._caller.probe(chirp())
        found, late_ms = await self._sweep(sent_ns, PROBE_S, ahead_ms=AHEAD_MS)
        if found.gain_db <= -least_db:
            result.notes.append(f"no echo above -{least_db} dB")
            return
        until_ns = time.monotonic_ns()
        window = (await self._caller.heard(until_ns - int(PROBE_S * NS_PER_S), until_ns)).narrow()
        noise_db = (await asyncio.to_thread(find, window.pcm, list(self.tones.values()))).gain_db
        if found.gain_db <= noise_db + NOISE_DB:
            text = f"an echo is not to be told: what else he hears is like one of {noise_db:.0f} dB"
        else:
            text = f"he hears himself {-found.gain_db:.0f} dB weaker, {late_ms} ms late"
        result.faults.append(text)

    async def _probe(self, speaker: Caller, soon_s: float) -> tuple[Found, int]:
        """Have a sweep said; return how it was heard here, and how many milliseconds after.

        One that comes out within `soon_s` is not waited for any longer.
        """
        sent_ns = await speaker.probe(chirp())
        found, late_ms = await self._sweep(sent_ns, soon_s)
        if found.gain_db < FOUND_DB:
            found, late_ms = await self._sweep(sent_ns, PROBE_S)
        return found, late_ms

    async def _sweep(
        self, sent_ns: int, within_s: float, *, ahead_ms: int = EARLY_MS
    ) -> tuple[Found, int]:
        """Look for a sweep in what was received until it was to come out whole."""
        begin_ns = sent_ns - ahead_ms * NS_PER_MS
        end_ns = sent_ns + int(within_s * NS_PER_S) + SAMPLES * NS_PER_S // SAMPLE_RATE_HZ
        window = (await self._caller.heard(begin_ns, end_ns)).narrow()
        found = await asyncio.to_thread(find, window.pcm, list(self.tones.values()))
        heard_ns = begin_ns + found.at * NS_PER_S // SAMPLE_RATE_HZ
        return found, round((heard_ns - sent_ns) / NS_PER_MS)


def cut_runs(window: Window) -> int:
    """Return how often samples in a row are at full scale: what is louder was cut off."""
    count = 0
    for side in (window.pcm >= FULL, window.pcm <= -FULL):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], side.astype(np.int8), [0]])))
        count += int(np.sum(edges[1::2] - edges[::2] >= CLIPPED_RUN))
    return count
