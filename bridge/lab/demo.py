"""`tollbridge demo`: the main job in under a minute, on loopback, with real SIP and real RTP.

Three callers wait, the organizer comes, they talk, the conference clock moves ten minutes, the
bill is printed. Who heard whom is measured in the received audio. Drives the lab's own parts.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import phonenumbers
from rich.console import Console
from rich.live import Live
from rich.table import Table

from bridge.conference.api import LegState, LegView
from bridge.errors import TollbridgeError
from bridge.lab.audibility import Hearing, analyse
from bridge.lab.cast import Cast
from bridge.lab.clips import sound_pcm
from bridge.lab.hearing import HOLD_MUSIC, MUSIC_SHARE, PATIENCE_S
from bridge.lab.host import ACCOUNT, Host
from bridge.lab.pjsip_callers import Agents
from bridge.lab.rtp import RtpEngine
from bridge.lab.runner import StoryRun
from bridge.lab.steps import AdvanceStep, CallerStep, OrganizerStep, Step
from bridge.lab.story import Story
from bridge.lab.times import month_of, show_duration
from bridge.lab.words import SILENT
from bridge.units import NS_PER_S

WAIT_MS: Final = 900
"""Conference time spent waiting. With it a leg lasts 10:00.900, charged as ten minutes (B6)."""

TALK_MS: Final = 600_000
LISTEN_S: Final = 1.0
TURN_S: Final = 2.0
"""How long each talks alone, for who listens to the recording; the voices make a chord."""

TOGETHER_S: Final = 3.0
REFRESH_S: Final = 0.2
STORY: Final[Mapping[str, Any]] = {
    "scenario": "Three callers wait for the organizer, meet for ten minutes, and are billed",
    "rules": ["R1", "R2", "R3", "R4"],
    "session": {"toll_free": ["US"], "start": "on_join"},
    "callers": {
        "olivia": {"via": "voip", "role": "organizer", "voice": "tone 440"},
        "ann": {"via": "toll-free", "country": "US", "voice": "tone 550"},
        "ben": {"via": "toll-free", "country": "US", "voice": "tone 660"},
        "chloe": {"via": "toll", "country": "FR", "voice": "tone 880"},
    },
}
CALLERS: Final = ("ann", "ben", "chloe")


class DemoFailed(TollbridgeError):
    """The demo ran and something that it measures is not as it must be."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class LegSummary:
    """One leg: times in conference time, `heard` measured by tone while all talked."""

    name: str
    via: str
    country: str
    waited_ms: int
    talked_ms: int
    heard: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What `summary.json` holds."""

    legs: tuple[LegSummary, ...]
    billed_minutes: Mapping[str, int]
    total: str
    currency: str
    recording: str = "recording.wav"


@dataclass(slots=True)
class Screen:
    """The live roster on a terminal; plain lines elsewhere.

    Attributes:
        heard: who was heard by whom, once it has been measured.
    """

    console: Console
    run: StoryRun
    heard: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _live: Live | None = None

    def say(self, text: str) -> None:
        """Print one line above the roster."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Keep the roster on the screen while something happens."""
        if not self.console.is_terminal:
            yield
            return
        with Live(self.table(), console=self.console, auto_refresh=False) as live:
            self._live = live
            refreshing = asyncio.create_task(self._refresh(live))
            try:
                yield
            finally:
                refreshing.cancel()
                live.update(self.table(), refresh=True)
                self._live = None

    async def _refresh(self, live: Live) -> None:
        while True:
            live.update(self.table(), refresh=True)
            await asyncio.sleep(REFRESH_S)

    def show(self) -> None:
        """Print the roster once where it is not live."""
        if self._live is None:
            for row in self._rows():
                self.say("  " + "  ".join(row).rstrip())

    def table(self) -> Table:
        """Return the roster as it is now."""
        table = Table(title="roster", title_justify="left")
        for name in ("who", "by", "number dialled", "state", "since answer", "hears"):
            table.add_column(name)
        for row in self._rows():
            table.add_row(*row)
        return table

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for name, (caller,) in self.run.callers.items():
            spec = self.run.story.callers[name]
            view = self.run.host.view_of(caller.number)
            state = _state(view) if view else ("has left" if caller.ladder else "not there yet")
            since = view.answered_at if view else None
            lasted = "" if since is None else show_duration(self.run.host.now() - since)
            hears = ", ".join(self.heard.get(name, ()))
            number = _shown_number(caller.target.user)
            rows.append((f"{name:<6}", f"{spec.via:<9}", f"{number:<18}", state, lasted, hears))
        return rows


def _state(view: LegView) -> str:
    role = " (organizer)" if view.role.value == "organizer" else ""
    return f"{view.state.value}{role}"


def _shown_number(user: str) -> str:
    if not user.startswith("+"):
        return f"sip:{user}"
    number = phonenumbers.parse(user)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _hear_music(hearing: Mapping[str, Hearing]) -> bool:
    return all(one.sounds[HOLD_MUSIC].share >= MUSIC_SHARE for one in hearing.values())


def _hear_all_others(hearing: Mapping[str, Hearing]) -> bool:
    return all({name, *one.heard()} == set(hearing) for name, one in hearing.items())


async def run(out: Path, console: Console | None = None) -> Summary:
    """Run the demo and write `recording.wav`, `invoice.json`, `invoice.txt`, `summary.json`.

    Raises:
        DemoFailed: somebody was not heard, or the bill is not what B1's rule gives.
    """
    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    console = console or Console(highlight=False)
    story = Story.model_validate(STORY)
    engine = RtpEngine.start()
    cast = Cast.unwatched(story, engine, Agents())
    try:
        with tempfile.TemporaryDirectory(prefix="tollbridge-demo-") as folder:
            host = await Host.start(story, Path(folder))
            try:
                meeting = await StoryRun.prepare(cast, host, out)
                try:
                    return await _Demo(Screen(console, meeting), meeting, out).run()
                finally:
                    await meeting.close()
            finally:
                for worker in await host.stop():
                    await worker.stop()
    finally:
        engine.stop()


@dataclass(slots=True)
class _Demo:
    screen: Screen
    meeting: StoryRun
    out: Path

    async def run(self) -> Summary:
        """Go through the meeting, then write and print what came of it."""
        host, screen = self.meeting.host, self.screen
        screen.say(f"tollbridge demo: a bridge on {host.sip_address.host}:{host.sip_address.port}")
        async with screen.shown():
            await self._wait()
            await self._meet()
            await self._leave()
        summary = await self._write()
        self._check(summary)
        return summary

    async def _wait(self) -> None:
        self.screen.say("Three callers dial in and key the access code; nobody has started.")
        await self._do(CallerStep(line=0, text="", who=CALLERS, verb="join"))
        began_ns = time.monotonic_ns()
        await asyncio.sleep(LISTEN_S / 2)
        await self._advance(WAIT_MS)
        hearing = await self._until_music(began_ns)
        music = _hear_music(hearing)
        alone = not any(one.heard() for one in hearing.values())
        if not (music and alone):
            raise DemoFailed(f"waiting callers must hear hold music alone: {hearing}")
        self.screen.heard = dict.fromkeys(CALLERS, ("hold music",))
        self.screen.say("They hear hold music and nobody else, measured in what they receive.")
        self.screen.show()

    async def _until_music(self, began_ns: int) -> dict[str, Hearing]:
        """Listen until the prompt is over and the music plays; return the last second."""
        return await self._until(CALLERS, _hear_music, began_ns)

    async def _meet(self) -> None:
        self.screen.say("The organizer joins by VoIP and keys her PIN: the session starts.")
        await self._do(CallerStep(line=0, text="", who=("olivia",), verb="join"))
        everybody = tuple(self.meeting.callers)
        host = self.meeting.host
        await host.wait_for(lambda: _all_joined(host, len(everybody)), 10.0)
        await self._do(OrganizerStep(line=0, text="", verb="record"))
        await self._in_turn(everybody)
        self.screen.heard = await self._until_all_heard(everybody)
        self.screen.say("All four talk together. Who hears whom:")
        self.screen.show()
        await asyncio.sleep(TOGETHER_S - LISTEN_S)
        self.screen.say(f"The conference clock moves {show_duration(TALK_MS)}.")
        await self._advance(TALK_MS)

    async def _until_all_heard(self, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """Listen until everybody hears all others for a second; return who heard whom in the last.

        A machine that has much else to do may hold callers and bridge for a while.
        """
        hearing = await self._until(names, _hear_all_others, time.monotonic_ns())
        return {name: one.heard() for name, one in hearing.items()}

    async def _until(
        self, names: tuple[str, ...], enough: Callable[[Mapping[str, Hearing]], bool], began_ns: int
    ) -> dict[str, Hearing]:
        """Listen, a second at a time, until it is enough or patience ends; return the last one.

        All must hear it in the same second, so patience is twice that for one of them.
        """
        while True:
            hearing = await self._listen(names)
            if enough(hearing) or time.monotonic_ns() - began_ns > 2 * PATIENCE_S * NS_PER_S:
                return hearing

    async def _in_turn(self, names: tuple[str, ...]) -> None:
        """Let each talk while the others are silent, then all begin."""
        callers = [self.meeting.callers[name][0] for name in names]
        for caller in callers:
            await caller.speak(SILENT)
        for name, caller in zip(names, callers, strict=True):
            self.screen.say(f"{name} talks, with a tone of {caller.voice.tone_hz} Hz.")
            await caller.say(caller.voice, TURN_S, then=SILENT)
        for caller in callers:
            await caller.speak(caller.voice)
        await asyncio.sleep(0.5)

    async def _leave(self) -> None:
        await self.meeting.host.stop_recording()
        who = tuple(self.meeting.callers)
        await self._do(CallerStep(line=0, text="", who=who, verb="hang up"))
        await self.meeting.host.end()

    async def _do(self, step: Step) -> None:
        await self.meeting.do(step)

    async def _advance(self, by_ms: int) -> None:
        await self._do(AdvanceStep(line=0, text="", by_ms=by_ms))

    async def _listen(self, names: tuple[str, ...]) -> dict[str, Hearing]:
        """Return what each hears in the coming second."""
        from_ns = time.monotonic_ns()
        to_ns = from_ns + int(LISTEN_S * NS_PER_S)
        tones = self.meeting.cast.tones
        result = {}
        for name in names:
            window = await self.meeting.callers[name][0].heard(from_ns, to_ns)
            result[name] = await asyncio.to_thread(analyse, window, tones, sound_pcm())
        return result

    async def _write(self) -> Summary:
        host = self.meeting.host
        month = month_of(host.begins, host.time_zone)
        invoice = await host.bridge.invoice(ACCOUNT, month)
        (self.out / "invoice.json").write_text(invoice.to_json() + "\n", encoding="utf-8")
        (self.out / "invoice.txt").write_text(invoice.to_text(), encoding="utf-8")
        seen = await host.bill(month)
        summary = Summary(
            legs=tuple(self._leg(name) for name in self.meeting.callers),
            billed_minutes={kind: int(minutes) for kind, minutes in seen.minutes.items()},
            total=str(seen.total),
            currency=seen.currency,
        )
        text = json.dumps(asdict(summary), indent=2)
        (self.out / "summary.json").write_text(text + "\n", encoding="utf-8")
        self.screen.say("")
        self.screen.say(invoice.to_text())
        self.screen.say(f"Written to {self.out}: recording.wav, invoice.json, invoice.txt,")
        self.screen.say("summary.json")
        return summary

    def _leg(self, name: str) -> LegSummary:
        host, spec = self.meeting.host, self.meeting.story.callers[name]
        leg = host.leg_of(self.meeting.callers[name][0].number)
        at = {fact.type: fact.at for fact in host.facts if fact.subject == leg}
        joined = at.get("leg.joined", at["leg.left"])
        return LegSummary(
            name=name,
            via=spec.via.replace("-", "_"),
            country=spec.country or "",
            waited_ms=joined - at.get("leg.waiting", joined),
            talked_ms=at["leg.left"] - joined,
            heard=self.screen.heard.get(name, ()),
        )

    def _check(self, summary: Summary) -> None:
        names = {leg.name for leg in summary.legs}
        for leg in summary.legs:
            if set(leg.heard) != names - {leg.name}:
                raise DemoFailed(f"{leg.name} must hear all but himself, heard {leg.heard}")
        if (summary.billed_minutes, Decimal(summary.total)) != ({"toll_free": 20}, Decimal("1.20")):
            text = f"{summary.billed_minutes}, {summary.total} {summary.currency}"
            raise DemoFailed(f"two toll-free legs of ten minutes are 20 and 1.20 USD (R3): {text}")


def _all_joined(host: Host, count: int) -> bool:
    return sum(view.state is LegState.JOINED for view in host.roster()) == count
