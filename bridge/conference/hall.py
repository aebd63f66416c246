"""All state of the core in one place, and the few ways to say something to the outside.

Knows how facts are numbered and written (D4), and how plays are numbered. It must not know any
rule: who may do what stands in the modules that get a `Hall`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.conference import api, prompts
from bridge.conference.api import (
    ConferenceCommand,
    ConferenceConfig,
    ConferenceEffects,
    Entry,
    Fact,
    Instant,
    Notice,
)
from bridge.conference.guard import Guard
from bridge.conference.legs import Leg, Playing
from bridge.conference.numberplan import NumberPlan
from bridge.conference.occurrences import Occurrence
from bridge.conference.sessions import SessionBook
from bridge.conference.timers import Alarm, TimerKey, TimerQueue
from bridge.units import ConfMs, LegId, NowNs, SessionId

Value = str | int | bool | None
Data = Mapping[str, Value]

_BEGINNING: Final = Instant(NowNs(0), ConfMs(0))


@dataclass(slots=True)
class Hall:
    """The state of the core, and what it has to say since the last effects.

    Attributes:
        open: the open occurrence of each session that has one.
        calling: the legs that are called into each session and were not answered.
        real, conf: timers of the monotonic and of the conference clock.
        at: the moment that is being worked on.
        controls: the name of each control by its keys.
    """

    config: ConferenceConfig
    plan: NumberPlan
    ids: Callable[[], str]
    legs: dict[LegId, Leg] = field(default_factory=dict)
    open: dict[SessionId, Occurrence] = field(default_factory=dict)
    calling: dict[SessionId, dict[LegId, Leg]] = field(default_factory=dict)
    sessions: SessionBook = field(default_factory=SessionBook)
    real: TimerQueue = field(default_factory=TimerQueue)
    conf: TimerQueue = field(default_factory=TimerQueue)
    at: Instant = _BEGINNING
    controls: Mapping[str, str] = field(init=False)
    guard: Guard = field(init=False)
    _facts: list[Fact] = field(default_factory=list)
    _commands: list[ConferenceCommand] = field(default_factory=list)
    _notices: list[Notice] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take from the configuration what depends on it."""
        self.guard = Guard(self.config)
        self.controls = {keys: name for name, keys in self.config.keys.items() if keys}

    def effects(self) -> ConferenceEffects:
        """Hand out what was said since the last time, with the deadlines."""
        facts, self._facts = tuple(self._facts), []
        commands, self._commands = tuple(self._commands), []
        notices, self._notices = tuple(self._notices), []
        due_ns, due_conf = self.real.next_due(), self.conf.next_due()
        return ConferenceEffects(
            facts,
            commands,
            deadline_ns=None if due_ns is None else NowNs(due_ns),
            deadline_conf=None if due_conf is None else ConfMs(due_conf),
            notices=notices,
        )

    def order(self, command: ConferenceCommand) -> None:
        """Add a command."""
        self._commands.append(command)

    def refuse(self, code: str, message: str) -> None:
        """Refuse an order."""
        self.order(api.Refused(code, message))

    def occurrence_of(self, leg: Leg) -> Occurrence | None:
        """Return the open occurrence that a leg is in, None before its code was right."""
        return self.open.get(leg.session) if leg.session is not None else None

    # --- facts and notices ------------------------------------------------------------

    def leg_fact(self, leg: Leg, name: str, data: Data, at: ConfMs | None = None) -> None:
        """State a fact of a leg, by default at this moment."""
        leg.facts += 1
        moment = self.at.conf_ms if at is None else at
        fact_id = f"{leg.id}/{leg.facts}"
        self._facts.append(Fact(fact_id, name, moment, leg.id, {"leg": leg.id, **data}))

    def member_fact(self, leg: Leg, name: str, **data: Value) -> None:
        """State a fact of an identified leg at this moment."""
        self.leg_fact(leg, name, {**membership(leg), **data})

    def occurrence_fact(self, occurrence: Occurrence, name: str, **data: Value) -> None:
        """State a fact of an occurrence at this moment."""
        occurrence.facts += 1
        spec = occurrence.spec
        known: Data = {
            "occurrence": occurrence.id,
            "session": spec.id,
            "account": spec.account,
        }
        fact_id = f"{occurrence.id}/{occurrence.facts}"
        self._facts.append(Fact(fact_id, name, self.at.conf_ms, occurrence.id, {**known, **data}))

    def notice(self, notice: Notice) -> None:
        """Tell who watches; nobody is billed by it."""
        self._notices.append(notice)

    def leg_notice(self, leg: Leg, name: str, **data: Value) -> None:
        """Tell of a change of a leg at this moment."""
        account = leg.account or None
        self.notice(Notice(name, self.at.conf_ms, leg.session, account, leg.id, data))

    def room_notice(self, occurrence: Occurrence, name: str, **data: Value) -> None:
        """Tell of a change of a conference at this moment."""
        spec = occurrence.spec
        named: Data = {"occurrence": occurrence.id, **data}
        self.notice(Notice(name, self.at.conf_ms, spec.id, spec.account, None, named))

    # --- prompts ----------------------------------------------------------------------

    def play(self, leg: Leg, *names: str) -> None:
        """Play prompts to a leg instead of what plays."""
        leg.token += 1
        leg.playing = Playing.PROMPT
        self.order(api.PlayPrompts(leg.id, names, leg.token, language=leg.language))

    def play_music(self, leg: Leg) -> None:
        """Play hold music to a leg until something else is played."""
        leg.token += 1
        leg.playing = Playing.MUSIC
        self.order(api.PlayPrompts(leg.id, (prompts.HOLD_MUSIC,), leg.token, loop=True))

    def silence(self, leg: Leg) -> None:
        """Stop what plays to a leg, if anything does."""
        if leg.playing is not Playing.NOTHING:
            leg.playing = Playing.NOTHING
            self.order(api.StopPrompts(leg.id))

    def entry_of(self, occurrence: Occurrence) -> Entry:
        """Return what the others hear of who joins and leaves: the session's choice, or ours."""
        return occurrence.spec.entry or self.config.entry

    def tell_entry(self, occurrence: Occurrence, leg: Leg | None, *, came: bool) -> None:
        """Have the mix hear that somebody came or went; without a leg, that it began."""
        how = self.entry_of(occurrence)
        if how is Entry.NAME and leg is not None and leg.name_clip:
            said = prompts.HAS_JOINED if came else prompts.HAS_LEFT
            self.announce(occurrence, leg.name_clip, said)
        elif how is not Entry.NOTHING:
            self.announce(occurrence, prompts.BEEP_IN if came else prompts.BEEP_OUT)

    def announce(self, occurrence: Occurrence, *names: str) -> None:
        """Say something to everybody in the mix, if anybody is in it."""
        if occurrence.mixed:
            self.order(api.PlayToMix(occurrence.id, names, occurrence.language))

    # --- timers -----------------------------------------------------------------------

    def arm_real(self, alarm: Alarm, leg: Leg, after_ns: int) -> None:
        """Start a leg's timer on the monotonic clock."""
        self.real.arm(TimerKey(alarm, leg.id), self.at.now_ns + after_ns)

    def arm_conf(self, alarm: Alarm, owner: str, due: int) -> None:
        """Start a timer on the conference clock; a due time in the past is now."""
        self.conf.arm(TimerKey(alarm, owner), max(due, self.at.conf_ms))

    def disarm(self, alarm: Alarm, owner: str) -> None:
        """Stop a timer, whichever clock it is of."""
        key = TimerKey(alarm, owner)
        self.real.disarm(key)
        self.conf.disarm(key)


def membership(leg: Leg) -> Data:
    """Return the part of a fact that ties a leg to its session; null before it is identified."""
    session, occurrence = leg.home or (None, None)
    account = leg.account if leg.home else None
    return {"session": session, "account": account, "occurrence": occurrence}
