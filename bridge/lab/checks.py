"""Evaluates expectations against a running bridge; each returns verdicts with what was observed."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from bridge.conference.api import LegState, LegView, Role
from bridge.lab import observing
from bridge.lab.audibility import Window, analyse
from bridge.lab.bills import Bill
from bridge.lab.cast import Cast
from bridge.lab.clips import sound_pcm
from bridge.lab.expectations import Audio, Expect, Recording
from bridge.lab.gauges import Wanted, shown_parts, value_of
from bridge.lab.hearing import ABSENT_MS, Listened, window_of
from bridge.lab.host import Host
from bridge.lab.invoices import bill_of, compare, shown_counts
from bridge.lab.ladders import Ladder
from bridge.lab.times import show_duration
from bridge.lab.verdicts import Verdict, bill_name
from bridge.lab.voice import level_dbfs
from bridge.lab.words import Range
from bridge.units import SAMPLE_RATE_HZ

PATIENCE_S: Final = 8.0
RECORDING_SLACK_MS: Final = 500
SILENT_DBFS: Final = -50.0
METRICS_PATIENCE_S: Final = 4.0
METRICS_POLL_S: Final = 0.2
NOT_JUDGED: Final = "not judged yet"


@dataclass(frozen=True, slots=True)
class _Unjudged:
    """What callers must have heard by an `expect`, while it is judged; its verdicts' place."""

    line: int
    audio: Mapping[str, Audio]
    listening: observing.Listening
    place: int


@dataclass(slots=True)
class Judge:
    """Knows the story's callers and the bridge, and judges one `expect` after the other.

    What was heard may still be judged when the next step is carried out: `settle` waits for it.

    Attributes:
        acted_ns: when the last action began: prompts are looked for from there.
        recording: the recorded file, once the story has closed it.
        listened: what each caller heard whenever he was asked; of a crowd, the worst.
    """

    host: Host
    cast: Cast
    acted_ns: int = 0
    recording: Path | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    listened: list[Listened] = field(default_factory=list)
    _unjudged: list["_Unjudged"] = field(default_factory=list)

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
        if expect.exactly:
            await self._exactly(expect.exactly, line)
        if expect.never:
            self._never(expect.never, line)
        if expect.sip:
            await self._sip(expect.sip, line)
        if expect.metrics:
            await self._metrics(expect.metrics, line)
        for month, bills in expect.bill.items():
            await self._bill(month, bills, line)
        if expect.recording is not None:
            await self._recording(expect.recording, line)

    def note(self, line: int, name: str, ok: bool, expected: object, observed: object) -> None:
        """Add a verdict."""
        self.verdicts.append(Verdict(line, name, ok, str(expected), str(observed)))

    # --- who is where ---------------------------------------------------------------------

    async def _roster(self, key: str, names: Sequence[str], line: int) -> None:
        wanted = Counter({name: len(self.cast.callers[name]) for name in names})
        ok = await self.host.wait_for(lambda: self.who(key) == wanted, PATIENCE_S)
        observed = "; ".join(f"{one}: {shown_counts(self.who(one))}" for one in _STATES)
        self.note(line, key, ok, shown_counts(wanted), observed)

    def who(self, key: str) -> Counter[str]:
        """Return how many legs of each caller are in a state now."""
        belongs = _STATES[key]
        names = {
            self.host.leg_of(caller.number): name
            for name, group in self.cast.callers.items()
            for caller in group
        }
        views = [view for view in self.host.roster() if belongs(view)]
        return Counter(names.get(view.leg, f"unknown {view.ani}") for view in views)

    async def _left(self, name: str, reason: str, line: int) -> None:
        wanted = len(self.cast.callers[name])
        ok = await self.host.wait_for(lambda: self._reasons(name) == {reason: wanted}, PATIENCE_S)
        seen = self._reasons(name)
        observed = shown_counts(seen) if seen else "has not left"
        self.note(line, f"left.{name}", ok, reason, observed)

    def _reasons(self, name: str) -> Counter[str]:
        legs = {self.host.leg_of(caller.number) for caller in self.cast.callers[name]}
        left = [f for f in self.host.facts if f.type == "leg.left" and f.subject in legs]
        return Counter(str(fact.data["reason"]) for fact in left)

    # --- audio ----------------------------------------------------------------------------

    async def _audio(self, audio: Mapping[str, Audio], line: int) -> None:
        """Have the named callers listen; what they heard is judged while the story goes on."""
        listening = await observing.listen(self.cast, audio, self.acted_ns, self.host.late_up_to)
        self._unjudged.append(_Unjudged(line, audio, listening, len(self.verdicts)))
        for name, one in audio.items():
            self.note(line, name, False, shown_audio(one), NOT_JUDGED)

    async def settle(self) -> None:
        """Wait until everything that was heard is judged."""
        unjudged, self._unjudged = self._unjudged, []
        for one in unjudged:
            heard = await one.listening.judged()
            for at, name in enumerate(one.audio, one.place):
                self.listened.append(Listened(one.line, name, one.audio[name], heard[name]))
                ok, observed = heard[name].ok, heard[name].observed
                self.verdicts[at] = replace(self.verdicts[at], ok=ok, observed=observed)

    # --- SIP ------------------------------------------------------------------------------

    async def _sip(self, wanted: Mapping[str, Ladder], line: int) -> None:
        for name, one in await observing.sip(self.cast, wanted):
            self.note(line, f"sip.{name}.{one.key}", one.ok, one.expected, one.observed)

    # --- facts ----------------------------------------------------------------------------

    async def _events(self, wanted: Sequence[str], line: int) -> None:
        ok = await self.host.wait_for(lambda: self._in_order(wanted) == len(wanted), PATIENCE_S)
        found = self._in_order(wanted)
        observed = ", ".join(fact.type for fact in self.host.facts)
        if not ok:
            observed = f"no {wanted[found]} after the first {found} of them: {observed}"
        self.note(line, "events", ok, ", ".join(wanted), observed)

    async def _exactly(self, wanted: Sequence[str], line: int) -> None:
        """Judge that facts of these types are these, each once, in this sequence."""
        await self.host.wait_for(lambda: self._of_types(wanted) == list(wanted), PATIENCE_S)
        seen = self._of_types(wanted)
        twice = [
            f for f, often in Counter(fact.id for fact in self.host.facts).items() if often > 1
        ]
        observed = ", ".join(seen) or "none of them"
        if twice:
            observed = f"{', '.join(twice)} came more than once: {observed}"
        elif seen != list(wanted):
            often, due = Counter(seen), Counter(wanted)
            odd = [f"{kind} {often[kind]} times" for kind in due if often[kind] != due[kind]]
            observed = f"{', '.join(odd) or 'in another sequence'}: {observed}"
        ok = not twice and seen == list(wanted)
        self.note(line, "exactly", ok, ", ".join(wanted), observed)

    def _of_types(self, types: Sequence[str]) -> list[str]:
        return [fact.type for fact in self.host.facts if fact.type in types]

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

    async def _metrics(self, metrics: Mapping[str, Range], line: int) -> None:
        """Judge what the bridge counts; media workers tell theirs once a second."""
        wanted = {name: Wanted.of(name) for name in metrics}
        now = await asyncio.to_thread(self.host.metrics)
        # bound: METRICS_PATIENCE_S in steps of METRICS_POLL_S
        for _ in range(round(METRICS_PATIENCE_S / METRICS_POLL_S)):
            values = {name: value_of(one, self.host.before, now) for name, one in wanted.items()}
            if all(metrics[name].holds(value) for name, value in values.items()):
                break
            await asyncio.sleep(METRICS_POLL_S)
            now = await asyncio.to_thread(self.host.metrics)
        for name, one in wanted.items():
            value = value_of(one, self.host.before, now)
            parts = shown_parts(one, self.host.before, now)
            observed = f"{value:g}" + (f" ({parts})" if parts else "")
            self.note(line, f"metrics.{name}", metrics[name].holds(value), metrics[name], observed)

    # --- bills ----------------------------------------------------------------------------

    async def _bill(self, month: str, bills: Sequence[Bill], line: int) -> None:
        invoices = await self.host.invoices(month)
        if len(bills) > 1:
            wanted, seen = {str(bill.seller) for bill in bills}, {i.seller.name for i in invoices}
            name = bill_name(month, "", "sellers")
            self.note(
                line, name, wanted == seen, ", ".join(sorted(wanted)), ", ".join(sorted(seen))
            )
        for bill in bills:
            seller = (bill.seller or "") if len(bills) > 1 else ""
            meant = [one for one in invoices if seller in {"", one.seller.name}]
            running = self.host.clock_running
            for one in compare(bill, bill_of(meant), clock_running=running):
                name = bill_name(month, seller, one.name)
                self.note(line, name, one.ok, one.expected, one.observed)

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
            hearing = await asyncio.to_thread(
                analyse, window, self.cast.tones, {**sound_pcm(), **self.cast.said}
            )
            there = {name for name, tone in hearing.tones.items() if not tone.absent}
            there |= {
                name for name in self.cast.said if hearing.sounds[name].matched_ms > ABSENT_MS
            }
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


def shown_audio(audio: Audio) -> str:
    """Return what one caller must hear, in words."""
    parts = []
    if audio.hears:
        parts.append("hears " + ", ".join(audio.hears))
    if audio.not_hears:
        parts.append("does not hear " + ", ".join(audio.not_hears))
    if audio.quality is not None:
        parts.append(f"with a PESQ of {audio.quality} or more")
    if audio.silence:
        parts.append("hears silence")
    parts += [f"{name} at {level} dBFS" for name, level in audio.level.items()]
    if audio.gap is not None:
        parts.append(f"no gap above {audio.gap} ms")
    if audio.delay is not None:
        parts.append(f"at most {audio.delay} ms late")
    if audio.echo is not None:
        parts.append(f"no echo above -{audio.echo} dB")
    if audio.clipped is not None:
        parts.append("cut off at full scale" if audio.clipped else "nothing cut off at full scale")
    if audio.packets is not None:
        parts.append(f"packets of {audio.packets} ms")
    return "; ".join(parts)


def _level(window: Window, from_ms: int, to_ms: int) -> float | None:
    """Return the level of a span of a recording; None when the recording does not hold it all."""
    first, last = (ms * SAMPLE_RATE_HZ // 1_000 for ms in (from_ms, to_ms))
    return level_dbfs(window.pcm[first:last]) if last <= len(window.pcm) else None
