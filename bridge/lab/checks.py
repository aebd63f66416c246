"""Evaluates expectations against a running bridge; each returns verdicts with what was observed."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from bridge.conference.api import LegState, LegView, Role
from bridge.lab.audibility import Window, analyse
from bridge.lab.callers import Caller
from bridge.lab.expectations import Audio, Bill, BillLine, Expect, Recording
from bridge.lab.hearing import Heard, Listener, sound_pcm, window_of
from bridge.lab.host import Host, LineSeen
from bridge.lab.times import show_duration
from bridge.lab.verdicts import Verdict
from bridge.lab.voice import level_dbfs
from bridge.units import SAMPLE_RATE_HZ

PATIENCE_S: Final = 8.0
RECORDING_SLACK_MS: Final = 500
SILENT_DBFS: Final = -50.0


@dataclass(slots=True)
class Judge:
    """Knows the story's callers and the bridge, and judges one `expect` after the other.

    Attributes:
        callers: all callers by name; a crowd has several.
        tones: the speaking callers' tones.
        acted_ns: when the last action began: prompts are looked for from there.
        recording: the recorded file, once the story has closed it.
    """

    host: Host
    callers: Mapping[str, Sequence[Caller]]
    tones: Mapping[str, int]
    acted_ns: int = 0
    recording: Path | None = None
    verdicts: list[Verdict] = field(default_factory=list)

    async def judge(self, expect: Expect, line: int) -> None:
        """Evaluate everything that an `expect` says."""
        for key in ("waiting", "hosting", "joined"):
            names = getattr(expect, key)
            if names is not None:
                await self._roster(key, names, line)
        for name, reason in expect.left.items():
            await self._left(name, reason, line)
        if expect.audio:
            await self._audio(expect.audio, line)
        if expect.events:
            await self._events(expect.events, line)
        if expect.never:
            self._never(expect.never, line)
        for month, bill in expect.bill.items():
            await self._bill(month, bill, line)
        if expect.recording is not None:
            await self._recording(expect.recording, line)

    def note(self, line: int, name: str, ok: bool, expected: object, observed: object) -> None:
        """Add a verdict."""
        self.verdicts.append(Verdict(line, name, ok, str(expected), str(observed)))

    # --- who is where ---------------------------------------------------------------------

    async def _roster(self, key: str, names: Sequence[str], line: int) -> None:
        wanted = Counter({name: len(self.callers[name]) for name in names})
        ok = await self.host.wait_for(lambda: self.who(key) == wanted, PATIENCE_S)
        observed = "; ".join(f"{one}: {_shown(self.who(one))}" for one in _STATES)
        self.note(line, key, ok, _shown(wanted), observed)

    def who(self, key: str) -> Counter[str]:
        """Return how many legs of each caller are in a state now."""
        belongs = _STATES[key]
        names = {
            self.host.leg_of(caller.number): name
            for name, group in self.callers.items()
            for caller in group
        }
        views = [view for view in self.host.roster() if belongs(view)]
        return Counter(names.get(view.leg, f"unknown {view.ani}") for view in views)

    async def _left(self, name: str, reason: str, line: int) -> None:
        wanted = len(self.callers[name])
        ok = await self.host.wait_for(lambda: self._reasons(name) == {reason: wanted}, PATIENCE_S)
        seen = self._reasons(name)
        observed = _shown(seen) if seen else "has not left"
        self.note(line, f"left.{name}", ok, reason, observed)

    def _reasons(self, name: str) -> Counter[str]:
        legs = {self.host.leg_of(caller.number) for caller in self.callers[name]}
        left = [f for f in self.host.facts if f.type == "leg.left" and f.subject in legs]
        return Counter(str(fact.data["reason"]) for fact in left)

    # --- audio ----------------------------------------------------------------------------

    async def _audio(self, audio: Mapping[str, Audio], line: int) -> None:
        """Listen at all named callers at the same time; of a crowd, at each."""
        waits: list[Awaitable[tuple[str, Heard]]] = [
            self._listen(name, caller, one)
            for name, one in audio.items()
            for caller in self.callers[name]
        ]
        heard = await asyncio.gather(*waits)
        for name, one in audio.items():
            results = [result for who, result in heard if who == name]
            worst = next((result for result in results if not result.ok), results[0])
            self.note(line, name, worst.ok, _shown_audio(one), worst.observed)

    async def _listen(self, name: str, caller: Caller, audio: Audio) -> tuple[str, Heard]:
        return name, await Listener(caller, audio, self.tones, self.acted_ns).listen()

    # --- facts ----------------------------------------------------------------------------

    async def _events(self, wanted: Sequence[str], line: int) -> None:
        ok = await self.host.wait_for(lambda: self._in_order(wanted) == len(wanted), PATIENCE_S)
        found = self._in_order(wanted)
        observed = ", ".join(fact.type for fact in self.host.facts)
        if not ok:
            observed = f"no {wanted[found]} after the first {found} of them: {observed}"
        self.note(line, "events", ok, ", ".join(wanted), observed)

    def _in_order(self, wanted: Sequence[str]) -> int:
        """Return how many of the wanted events came, in this order; others may lie between."""
        found = 0
        for fact in self.host.facts:
            if found < len(wanted) and fact.type == wanted[found]:
                found += 1
        return found

    def _never(self, types: Sequence[str], line: int) -> None:
        seen = [fact for fact in self.host.facts if fact.type in types]
        observed = ", ".join(f"{fact.type} ({fact.id})" for fact in seen) or "none"
        self.note(line, "never", not seen, f"none of {', '.join(types)}", observed)

    # --- bills ----------------------------------------------------------------------------

    async def _bill(self, month: str, bill: Bill, line: int) -> None:
        seen = await self.host.bill(month)
        prefix = f"bill.{month}." if month else "bill."
        if bill.lines is not None:
            ok = _lines_match(bill.lines, seen.lines)
            wanted = "; ".join(_shown_line(one) for one in bill.lines) or "none"
            shown = "; ".join(str(one) for one in seen.lines) or "none"
            self.note(line, f"{prefix}lines", ok, wanted, shown)
        if bill.minutes is not None:
            minutes = bill.minutes.model_dump()
            ok = {kind: seen.minutes[kind] for kind in minutes} == minutes
            self.note(line, f"{prefix}minutes", ok, _shown(minutes), _shown(seen.minutes))
        if "reasons" in bill.model_fields_set:
            ok = {reason: seen.reasons[reason] for reason in bill.reasons} == bill.reasons
            self.note(line, f"{prefix}reasons", ok, _shown(bill.reasons), _shown(seen.reasons))
        if bill.total is not None:
            total = bill.total
            ok = seen.total == total.amount and seen.currency == total.currency
            self.note(line, f"{prefix}total", ok, total, f"{seen.total} {seen.currency}")

    # --- recordings -----------------------------------------------------------------------

    async def _recording(self, wanted: Recording, line: int) -> None:
        if self.recording is None or not self.recording.exists():
            for key in sorted(wanted.model_fields_set):
                self.note(line, f"recording.{key}", False, getattr(wanted, key), "no file")
            return
        window = window_of(self.recording)
        length_ms = round(window.seconds * 1_000)
        if wanted.length is not None:
            ok = abs(length_ms - wanted.length) <= RECORDING_SLACK_MS
            expected = show_duration(wanted.length)
            self.note(line, "recording.length", ok, expected, show_duration(length_ms))
        if "silent" in wanted.model_fields_set:
            levels = [(span, _level(window, span.from_ms, span.to_ms)) for span in wanted.silent]
            ok = all(level is not None and level < SILENT_DBFS for _, level in levels)
            shown = ", ".join(
                f"{span.from_ms}..{span.to_ms} ms: "
                + ("not in the file" if level is None else f"{level:.0f} dBFS")
                for span, level in levels
            )
            self.note(line, "recording.silent", ok, "silence", shown)
        if wanted.voices is not None:
            hearing = await asyncio.to_thread(analyse, window, self.tones, sound_pcm())
            there = {name for name, tone in hearing.tones.items() if not tone.absent}
            ok = there == set(wanted.voices)
            expected = ", ".join(wanted.voices)
            self.note(line, "recording.voices", ok, expected, ", ".join(sorted(there)) or "none")


def _hosting(view: LegView) -> bool:
    return view.state is LegState.WAITING and view.role is Role.ORGANIZER


def _waiting(view: LegView) -> bool:
    return view.state is LegState.WAITING and view.role is not Role.ORGANIZER


def _joined(view: LegView) -> bool:
    return view.state is LegState.JOINED


_STATES: Final[Mapping[str, Callable[[LegView], bool]]] = {
    "waiting": _waiting,
    "hosting": _hosting,
    "joined": _joined,
}


def _shown(counts: Mapping[str, int] | Mapping[str, Decimal]) -> str:
    """Return counts for people: names alone when each stands once.

    >>> _shown({"ann": 1, "crowd": 500}), _shown({})
    ('ann, 500 crowd', 'none')
    """
    shown = [name if count == 1 else f"{count} {name}" for name, count in counts.items() if count]
    return ", ".join(shown) or "none"


def _shown_audio(audio: Audio) -> str:
    parts = []
    if audio.hears:
        parts.append("hears " + ", ".join(audio.hears))
    if audio.not_hears:
        parts.append("does not hear " + ", ".join(audio.not_hears))
    if audio.silence:
        parts.append("hears silence")
    return "; ".join(parts)


def _shown_line(line: BillLine) -> str:
    return " ".join(str(value) for value in line.model_dump(exclude_none=True).values())


def _fits(wanted: BillLine, seen: LineSeen) -> bool:
    given = wanted.model_dump(exclude_none=True)
    return all(getattr(seen, key) == value for key, value in given.items())


def _lines_match(wanted: Sequence[BillLine], seen: Sequence[LineSeen]) -> bool:
    """Return whether each wanted line is one of the invoice's, and none is left over."""
    rest = list(seen)
    for line in wanted:
        match = next((one for one in rest if _fits(line, one)), None)
        if match is None:
            return False
        rest.remove(match)
    return not rest


def _level(window: Window, from_ms: int, to_ms: int) -> float | None:
    """Return the level of a span of a recording; None when the recording does not hold it all."""
    first, last = (ms * SAMPLE_RATE_HZ // 1_000 for ms in (from_ms, to_ms))
    return level_dbfs(window.pcm[first:last]) if last <= len(window.pcm) else None
