"""What is happening now, folded from facts: open occurrences, and legs not settled yet.

The roster is the conference core's; this knows what the roster does not say: since when a session
is started, and what may still be charged. Knows no HTTP and no price.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from bridge.conference.api import Fact, Notice
from bridge.units import ConfMs

CALL_ME: Final = "call_me."
CALLS_KEPT_MAX: Final = 2_000
"""Calls that are shown; the oldest is forgotten first."""

FINAL: Final = frozenset({"session.ended", "session.cancelled"})


@dataclass(slots=True)
class LegNow:
    """A leg whose occurrence's outcome is not final.

    Attributes:
        duration_ms: None while it runs.
    """

    leg: str
    kind: str
    country: str
    did: str
    ani: str
    answered_at: ConfMs
    session: str = ""
    occurrence: str = ""
    account: str = ""
    let_in: bool = False
    duration_ms: int | None = None


@dataclass(slots=True)
class OccurrenceNow:
    """An open occurrence."""

    occurrence: str
    session: str
    account: str
    opened_at: ConfMs
    started_at: ConfMs | None = None
    organizer_joined: bool = False


@dataclass(slots=True)
class CallNow:
    """A call of Call Me and what became of it, as its last notice says."""

    leg: str
    session: str
    number: str
    name: str
    state: str
    attempt: int
    again: bool
    reason: str
    at: ConfMs


class Now:
    """The fold; `take` is given each fact after its commit, and each notice.

    Attributes:
        counts: facts since start, by type.
        calls: the last calls of Call Me, by leg.
    """

    def __init__(self) -> None:
        self.calls: dict[str, CallNow] = {}
        self.legs: dict[str, LegNow] = {}
        self.occurrences: dict[str, OccurrenceNow] = {}
        self.counts: Counter[str] = Counter()

    def take(self, item: Fact | Notice) -> None:
        """Add one."""
        if isinstance(item, Notice):
            if item.type.startswith(CALL_ME):
                self._take_call(item, dict(item.data))
            return
        self.counts[item.type] += 1
        if item.type.startswith("leg."):
            self._take_leg(item, dict(item.data))
        else:
            self._take_occurrence(item, dict(item.data))

    def of_session(self, session: str) -> OccurrenceNow | None:
        """Return a session's open occurrence."""
        return next((o for o in self.occurrences.values() if o.session == session), None)

    def unsettled(self, account: str, session: str | None = None) -> list[LegNow]:
        """Return the legs of an account, or of one session, that no settlement has seen yet."""
        return [
            leg
            for leg in self.legs.values()
            if leg.account == account and session in (None, leg.session)
        ]

    def calls_of(self, session: str) -> list[CallNow]:
        """Return the calls of a session, the newest first."""
        return [call for call in reversed(self.calls.values()) if call.session == session]

    def _take_call(self, notice: Notice, data: dict[str, Any]) -> None:
        leg = str(notice.leg)
        self.calls[leg] = CallNow(
            leg=leg,
            session=str(notice.session),
            number=data["number"],
            name=data["name"],
            state=notice.type.removeprefix(CALL_ME),
            attempt=data["attempt"],
            again=data.get("again", False),
            reason=data["reason"],
            at=notice.at,
        )
        if len(self.calls) > CALLS_KEPT_MAX:
            del self.calls[next(iter(self.calls))]

    def _take_leg(self, fact: Fact, data: dict[str, Any]) -> None:
        leg = self.legs.get(fact.subject)
        if fact.type == "leg.answered":
            self.legs[fact.subject] = LegNow(
                leg=fact.subject,
                kind=data["kind"],
                country=data["country"],
                did=data["did"],
                ani=data["ani"],
                answered_at=fact.at,
            )
        elif leg is not None and fact.type == "leg.identified":
            leg.session, leg.occurrence = data["session"], data["occurrence"]
            leg.account = data["account"]
            self._open(data, fact.at)
        elif leg is not None and fact.type == "leg.left":
            leg.duration_ms = data["duration_ms"]
            if leg.occurrence not in self.occurrences:
                del self.legs[fact.subject]
        elif leg is not None:
            leg.let_in = True

    def _open(self, data: dict[str, Any], at: ConfMs) -> OccurrenceNow:
        return self.occurrences.setdefault(
            data["occurrence"],
            OccurrenceNow(data["occurrence"], data["session"], data["account"], at),
        )

    def _take_occurrence(self, fact: Fact, data: dict[str, Any]) -> None:
        if fact.type in FINAL:
            self.occurrences.pop(data["occurrence"], None)
            over = [
                leg.leg
                for leg in self.legs.values()
                if leg.occurrence == data["occurrence"] and leg.duration_ms is not None
            ]
            for name in over:
                del self.legs[name]
            return
        occurrence = self._open(data, fact.at)
        if fact.type == "organizer.joined":
            occurrence.organizer_joined = True
        elif fact.type == "session.started":
            occurrence.started_at = fact.at
