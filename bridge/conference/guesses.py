"""Wrong codes and PINs: each is told of, counted, and makes the next answer slower.

Knows what a guess counts against. It must not know what a right code opens.
"""

from dataclasses import replace
from typing import Final

from bridge.conference.api import Notice
from bridge.conference.entry import Keyed
from bridge.conference.hall import Data, Hall
from bridge.conference.legs import Leg
from bridge.conference.occurrences import Occurrence
from bridge.conference.timers import Alarm
from bridge.units import NS_PER_S, LegId

PIN: Final = "pin"
SECURITY: Final = "security"
"""What is guessed beside access codes; before a session's id, the tally of wrong ones there."""


def must_wait(hall: Hall, leg: Leg, keyed: Keyed) -> bool:
    """Say whether a code or PIN is judged later, since its source guessed before."""
    delay_ns = hall.guard.delay_ns(leg.source, hall.at.now_ns)
    if delay_ns:
        leg.verdict = keyed
        hall.disarm(Alarm.CODE, leg.id)
        hall.arm_real(Alarm.VERDICT, leg, delay_ns)
    return delay_ns > 0


def wrong_code(hall: Hall, source: str, *, way: str, leg: LegId | None = None) -> None:
    """Count an access code that opens nothing; what was tried is told to nobody."""
    _count(hall, source, Notice("code.guessed", hall.at.conf_ms, None, None, leg), "code", way)


def wrong_secret(hall: Hall, leg: Leg, occurrence: Occurrence, what: str) -> None:
    """Count a wrong PIN or security code against its source and against the session."""
    spec, now = occurrence.spec, hall.at.now_ns
    at = hall.at.conf_ms
    notice = Notice("code.guessed", at, spec.id, spec.account, leg.id)
    _count(hall, leg.source, notice, what, "keys")
    if hall.guard.is_locked(f"{what}:{spec.id}", now):
        return
    limit = hall.config.guard_session_tries
    _, locks = hall.guard.miss(f"{what}:{spec.id}", now, limit=limit)
    if locks:
        _tell_locked(hall, notice, of="session", source=leg.source)


def is_open(hall: Hall, leg: Leg, occurrence: Occurrence, what: str) -> bool:
    """Say whether a PIN or security code may be right now."""
    now = hall.at.now_ns
    session = f"{what}:{occurrence.spec.id}"
    return not (hall.guard.is_locked(leg.source, now) or hall.guard.is_locked(session, now))


def _count(hall: Hall, source: str, notice: Notice, what: str, way: str) -> None:
    """Count a guess of a source and tell of it; one that is locked out is counted no further."""
    now = hall.at.now_ns
    if not source or hall.guard.is_locked(source, now):
        return
    guesses, locks = hall.guard.miss(source, now, limit=hall.config.guard_source_tries)
    data: Data = {
        "what": what,
        "way": way,
        "source": source,
        "guesses": guesses,
        "reason": "wrong",
    }
    hall.notice(replace(notice, data=data))
    if locks:
        _tell_locked(hall, notice, of="source", source=source)


def _tell_locked(hall: Hall, notice: Notice, *, of: str, source: str) -> None:
    for_s = hall.config.guard_lockout_ns // NS_PER_S
    data: Data = {"of": of, "source": source, "for_s": for_s, "reason": "guesses"}
    hall.notice(replace(notice, type="code.locked_out", data=data))
