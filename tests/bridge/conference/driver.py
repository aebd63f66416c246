"""Drives the conference core as a server would, and checks after each step that a shell which
applies the commands blindly stays in order. Time is two numbers: real and conference."""

import itertools
from dataclasses import replace

from bridge.conference import api
from bridge.conference.api import (
    ConferenceCommand,
    ConferenceConfig,
    ConferenceEffects,
    ConferenceEvent,
    Fact,
    Instant,
    LegKind,
    LegState,
    LegView,
    Notice,
    SessionSpec,
)
from bridge.conference.core import Conference
from bridge.conference.numberplan import NumberPlan
from bridge.conference.prompts import CLIP, NUMBERS, PROMPTS
from bridge.units import ConfMs, LegId, NowNs, OccurrenceId, SessionId

CONF0 = ConfMs(1_770_732_000_000)  # 2026-02-10 14:00 UTC
S = 1_000
MIN = 60_000
CODE = "482913"
PIN = "771144"
SID = SessionId("s1")
SPEC = SessionSpec(SID, "acme", CODE, PIN, toll_free=frozenset({"US", "FR", "DE"}))
PLAN = NumberPlan.build()

LegOrder = (
    api.OpenMedia
    | api.RefuseLeg
    | api.AnswerLeg
    | api.HangUpLeg
    | api.PlayPrompts
    | api.StopPrompts
    | api.EnterMix
    | api.LeaveMix
    | api.SetLegMuted
    | api.SetLegGain
    | api.RecordName
    | api.StopName
)
PLAYABLE = PROMPTS | NUMBERS


class Shell:
    """What a server would hold if it carried out every command without thinking."""

    def __init__(self) -> None:
        self.opened: set[LegId] = set()
        self.answered: set[LegId] = set()
        self.dialled: set[LegId] = set()
        self.gone: set[LegId] = set()
        self.mix: dict[LegId, OccurrenceId] = {}
        self.muted: set[LegId] = set()
        self.gain: dict[LegId, int] = {}
        self.recorded: set[OccurrenceId] = set()
        self.playing: dict[LegId, api.PlayPrompts] = {}
        self.naming: dict[LegId, str] = {}
        self.tokens: dict[LegId, int] = {}
        self.facts: list[Fact] = []
        self.numbers: dict[str, int] = {}
        self.last: dict[str, str] = {}

    def apply(self, effects: ConferenceEffects) -> None:
        for fact in effects.facts:
            self._commit(fact)
        for command in effects.commands:
            if isinstance(command, LegOrder):
                assert command.leg not in self.gone, f"{command} after the end"
            self._carry_out(command)

    def _commit(self, fact: Fact) -> None:
        number = self.numbers.get(fact.subject, 0) + 1
        assert fact.id == f"{fact.subject}/{number}", "ids have no gaps"
        before = self.last.get(fact.subject)
        if fact.type.startswith("leg."):
            assert (fact.type == "leg.answered") == (number == 1)
            if fact.data.get("direction") == "outbound":
                assert fact.subject in self.dialled
                self.answered.add(LegId(fact.subject))
            assert before != "leg.left", "nothing follows leg.left"
            assert fact.data["leg"] == fact.subject
        else:
            assert before != "session.cancelled"
            assert before != "session.ended" or fact.type == "session.cancelled"
            assert fact.data["occurrence"] == fact.subject
        self.numbers[fact.subject] = number
        self.last[fact.subject] = fact.type
        self.facts.append(fact)

    def _carry_out(self, command: ConferenceCommand) -> None:
        match command:
            case api.OpenMedia(leg=leg, outbound=outbound):
                assert outbound or leg not in self.opened
                self.opened.add(leg)
            case api.DialLeg(leg=leg):
                assert leg in self.opened
                assert leg not in self.dialled, "one call at a time"
                self.dialled.add(leg)
            case api.CancelDial(leg=leg):
                assert leg not in self.answered
                self.dialled.discard(leg)
            case api.AnswerLeg(leg=leg):
                assert leg in self.opened
                assert self.numbers[leg] == 1
                self.answered.add(leg)
            case api.HangUpLeg(leg=leg):
                assert self.last[leg] == "leg.left"
                assert leg not in self.mix
                self.gone.add(leg)
            case api.RefuseLeg(leg=leg):
                assert leg not in self.answered
                self.gone.add(leg)
            case api.PlayPrompts(leg=leg, token=token):
                assert leg in self.answered
                assert token > self.tokens.get(leg, 0)
                assert all(playable(name) for name in command.prompts)
                self.tokens[leg] = token
                self.playing[leg] = command
            case api.StopPrompts(leg=leg):
                del self.playing[leg]
            case api.EnterMix(leg=leg, occurrence=occurrence):
                assert leg not in self.mix
                assert any(f.subject == leg and f.type == "leg.joined" for f in self.facts)
                self.mix[leg] = occurrence
            case api.LeaveMix(leg=leg):
                del self.mix[leg]
            case api.SetLegMuted(leg=leg, muted=muted):
                assert leg in self.answered
                (self.muted.add if muted else self.muted.discard)(leg)
            case api.PlayToMix(occurrence=occurrence, prompts=prompts):
                assert occurrence in self.mix.values(), "nobody would hear it"
                assert all(playable(prompt) for prompt in prompts)
            case api.StartMixRecording(occurrence=occurrence):
                assert occurrence in self.mix.values(), "a recording begins with somebody in it"
                assert occurrence not in self.recorded
                self.recorded.add(occurrence)
            case api.StopMixRecording(occurrence=occurrence):
                self.recorded.remove(occurrence)
            case api.RecordName(leg=leg, clip=clip):
                assert leg in self.answered
                assert leg not in self.mix, "a name is said before the room"
                self.naming[leg] = clip
            case api.StopName(leg=leg):
                assert leg in self.naming
            case api.SetLegGain(leg=leg, gain_db=gain_db):
                assert leg in self.answered
                self.gain[leg] = gain_db


def playable(name: str) -> bool:
    return name in PLAYABLE or name.startswith(CLIP)


class Bridge:
    """A conference core with its two clocks, one session, and people who call."""

    def __init__(
        self, spec: SessionSpec | None = SPEC, config: ConferenceConfig | None = None
    ) -> None:
        serial = itertools.count(1)
        self.config = config or ConferenceConfig()
        self.core = Conference(self.config, PLAN, lambda: f"o{next(serial)}")
        self.now_ns = 7_000_000_000
        self.conf_ms = int(CONF0)
        self.shell = Shell()
        self.effects = ConferenceEffects()
        self.commands: list[ConferenceCommand] = []
        self.notices: list[Notice] = []
        if spec is not None:
            self.step(api.PutSession(spec))

    # --- time ---------------------------------------------------------------------------

    def step(self, event: ConferenceEvent) -> ConferenceEffects:
        if isinstance(event, api.LegHungUp):
            self.shell.dialled.discard(event.leg)
        at = Instant(NowNs(self.now_ns), ConfMs(self.conf_ms))
        self.effects = self.core.step(event, at)
        self.shell.apply(self.effects)
        self.commands.extend(self.effects.commands)
        self.notices.extend(self.effects.notices)
        return self.effects

    def advance(self, ms: int) -> None:
        """Move the conference clock alone, with a tick at each deadline on the way."""
        target = self.conf_ms + ms
        while (due := self.effects.deadline_conf) is not None and due <= target:
            self.conf_ms = due
            self.step(api.Tick())
        self.conf_ms = target

    def jump(self, ms: int) -> ConferenceEffects:
        """Move the conference clock alone, with one late tick."""
        self.conf_ms += ms
        return self.step(api.Tick())

    def pause(self, seconds: float) -> None:
        """Move the real clock alone, with a tick at each deadline on the way."""
        target = self.now_ns + round(seconds * 1_000_000_000)
        while (due := self.effects.deadline_ns) is not None and due <= target:
            self.now_ns = due
            self.step(api.Tick())
        self.now_ns = target

    # --- people -------------------------------------------------------------------------

    def invite(self, leg: str, country: str = "US", kind: LegKind = LegKind.TOLL_FREE) -> None:
        user, trunk = "join", None
        if kind is not LegKind.VOIP:
            did = PLAN.did(country, kind)
            assert did is not None
            user, trunk = did.e164, "carrier"
        self.step(api.LegInvited(LegId(leg), user, f"+1212555{leg}", trunk))

    def dial(self, leg: str, country: str = "US", kind: LegKind = LegKind.TOLL_FREE) -> None:
        """Come as far as the code prompt."""
        self.invite(leg, country, kind)
        self.step(api.LegReady(LegId(leg)))
        self.step(api.LegConfirmed(LegId(leg)))

    def voip(self, leg: str, user: str = CODE) -> None:
        """Call the access code itself."""
        self.step(api.LegInvited(LegId(leg), user, "", None))
        self.step(api.LegReady(LegId(leg)))
        self.step(api.LegConfirmed(LegId(leg)))

    def join(self, leg: str, country: str = "US", kind: LegKind = LegKind.TOLL_FREE) -> None:
        """Dial and key the code."""
        self.dial(leg, country, kind)
        self.keys(leg, f"{CODE}#")

    def organizer(self, leg: str, country: str = "US", kind: LegKind = LegKind.TOLL_FREE) -> None:
        """Dial, key the code and the PIN."""
        self.join(leg, country, kind)
        self.keys(leg, f"*{PIN}#")

    def keys(self, leg: str, keys: str) -> None:
        for key in keys:
            self.step(api.LegKey(LegId(leg), key))

    def hang_up(self, leg: str) -> None:
        self.step(api.LegHungUp(LegId(leg), "remote_bye"))

    def say_name(self, leg: str, *, said: bool = True) -> None:
        """Hear the prompt to its end and say a name, or nothing."""
        self.played(leg)
        clip = self.shell.naming.pop(LegId(leg))
        self.step(api.LegNamed(LegId(leg), clip if said else ""))

    def played(self, leg: str) -> None:
        """Let what plays to a leg come to its end."""
        play = self.shell.playing[LegId(leg)]
        assert not play.loop
        self.step(api.LegPlayed(LegId(leg), play.token))

    # --- what came of it ----------------------------------------------------------------

    def view(self, leg: str) -> LegView:
        (view,) = [view for view in self.core.roster() if view.leg == leg]
        return view

    def state(self, leg: str) -> LegState:
        found = [view.state for view in self.core.roster() if view.leg == leg]
        return found[0] if found else LegState.ENDED

    def hears(self, leg: str) -> tuple[str, ...]:
        play = self.shell.playing.get(LegId(leg))
        return play.prompts if play else ()

    def facts(self, *types: str) -> list[Fact]:
        return [fact for fact in self.shell.facts if not types or fact.type in types]

    def story(self) -> list[tuple[str, str, int]]:
        """Every fact as (subject, type, milliseconds since the beginning)."""
        return [(fact.subject, fact.type, fact.at - CONF0) for fact in self.shell.facts]

    def left(self, leg: str) -> tuple[str, int]:
        """Return reason and duration of a leg that left."""
        (fact,) = [fact for fact in self.facts("leg.left") if fact.subject == leg]
        reason, duration = fact.data["reason"], fact.data["duration_ms"]
        assert isinstance(reason, str)
        assert isinstance(duration, int)
        return reason, duration

    def prompts(self, leg: str) -> list[str]:
        """Every prompt that was played to the leg, hold music left out."""
        plays = [c for c in self.commands if isinstance(c, api.PlayPrompts) and c.leg == leg]
        return [name for play in plays if not play.loop for name in play.prompts]

    def tones(self) -> list[str]:
        return [p for c in self.commands if isinstance(c, api.PlayToMix) for p in c.prompts]

    def told(self, *names: str) -> list[tuple[str, str | None]]:
        """Every notice, or those of these types, as (type, leg)."""
        return [(n.type, n.leg) for n in self.notices if not names or n.type in names]

    def refusals(self) -> list[str]:
        return [c.code for c in self.commands if isinstance(c, api.Refused)]

    def mixed(self) -> set[str]:
        return set(self.shell.mix)


def on_command(spec: SessionSpec = SPEC) -> SessionSpec:
    return replace(spec, start=api.StartPolicy.ON_COMMAND)
