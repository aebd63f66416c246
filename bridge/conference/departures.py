"""How legs leave and occurrences end (D5, D6, D12, D17).

Knows what follows from a leg's going. It must not know why one would want it to go, nor how
legs come in.
"""

from typing import Final

from bridge.conference import api, controls, prompts, tapes
from bridge.conference.api import LegState, Role
from bridge.conference.hall import Data, Hall, membership
from bridge.conference.legs import HUNG_UP, Leg, Move
from bridge.conference.occurrences import Occurrence
from bridge.conference.timers import Alarm
from bridge.units import ConfMs, LegId, SessionId

CONTINUE_MS_MAX: Final = 3_600_000
"""How long a conference goes on after `#2` where it would otherwise end at once (R18)."""

SESSION_ENDED: Final = "session_ended"
SESSION_CANCELLED: Final = "session_cancelled"
ORGANIZER_GONE: Final = "organizer_gone"
ROOM_EMPTY: Final = controls.ROOM_EMPTY

LEG_ALARMS: Final = (
    Alarm.CODE,
    Alarm.KEYS,
    Alarm.VERDICT,
    Alarm.NAME,
    Alarm.LAST,
    Alarm.ACCEPT,
    Alarm.WAITING,
)
"""What may run for an answered leg."""


# --- one leg ------------------------------------------------------------------------------


def forget(hall: Hall, leg: Leg) -> None:
    """Drop a leg that has no committed fact: not answered, or its answer could not be written."""
    for alarm in (Alarm.RING, Alarm.RETRY):
        hall.disarm(alarm, leg.id)
    not_calling(hall, leg)
    leg.move(Move.END)
    del hall.legs[leg.id]


def not_calling(hall: Hall, leg: Leg) -> None:
    """Note that a leg is not being called any more, if it was."""
    if leg.outbound and leg.wants is not None:
        calling = hall.calling[leg.wants]
        del calling[leg.id]
        if not calling:
            del hall.calling[leg.wants]


def dismiss(hall: Hall, leg: Leg, reason: str, *names: str) -> None:
    """Tell a leg why it is not let in, then hang it up."""
    leg.move(Move.LEAVE)
    leg.leaving = reason
    hall.disarm(Alarm.CODE, leg.id)
    hall.play(leg, *names)
    hall.arm_real(Alarm.LAST, leg, hall.config.last_prompt_ns_max)


def on_last_prompt_over(hall: Hall, leg_id: LegId) -> None:
    """Hang up a leg that has heard why, or should have by now."""
    leg = hall.legs[leg_id]
    finish(hall, leg, leg.leaving)


def finish(
    hall: Hall, leg: Leg, reason: str, *, at: ConfMs | None = None, hang_up: bool = True
) -> None:
    """End an answered leg, by default now: its last fact, and its place is free.

    A leg that was being dismissed keeps that reason, whoever hangs up first.
    """
    assert leg.answered_at is not None, "a leg that was not answered has no facts"
    for alarm in LEG_ALARMS:
        hall.disarm(alarm, leg.id)
    mixed = leg.state is LegState.JOINED
    leg.move(Move.END)
    left_at = hall.at.conf_ms if at is None else max(leg.answered_at, min(at, hall.at.conf_ms))
    reason = leg.leaving or reason
    data: Data = {"reason": reason, "duration_ms": left_at - leg.answered_at}
    hall.leg_fact(leg, "leg.left", {**data, **membership(leg)}, left_at)
    if mixed:
        hall.order(api.LeaveMix(leg.id))
    if hang_up:
        hall.order(api.HangUpLeg(leg.id, reason))
    del hall.legs[leg.id]
    vacate(hall, leg)


def vacate(hall: Hall, leg: Leg) -> None:
    """Take a leg that goes out of its occurrence, and do what follows there."""
    occurrence = hall.occurrence_of(leg)
    if occurrence is None:
        return
    occurrence.legs.pop(leg.id)
    occurrence.admitted.pop(leg.id, None)
    was_organizer = occurrence.organizers.pop(leg.id, None) is not None
    if occurrence.mixed.pop(leg.id, None) is not None:
        hall.tell_entry(occurrence, leg, came=False)
        tapes.apply(hall, occurrence, by=leg.id, reason=ROOM_EMPTY, aloud=False)
    if not occurrence.legs:
        occurrence.empty_since = hall.at.conf_ms
        rearm(hall, occurrence)
        controls.set_locked(hall, occurrence, locked=False, by=ROOM_EMPTY)
    if was_organizer and occurrence.started and not occurrence.organizers:
        _organizer_gone(hall, occurrence, hands_over=leg.hands_over)


def drop_call(hall: Hall, leg: Leg) -> None:
    """Give up a leg that is being called and was not answered."""
    if leg.state is not LegState.RESTING:
        hall.order(api.CancelDial(leg.id))
    forget(hall, leg)


# --- one occurrence -----------------------------------------------------------------------


def close(hall: Hall, occurrence: Occurrence, *, legs: str, ended: str | None) -> None:
    """Close an occurrence: every leg leaves for the reason `legs`, then `session.ended`.

    Without `ended` that fact is left out: cancelled before it started.
    """
    session = occurrence.spec.id
    del hall.open[session]
    for alarm in (Alarm.EMPTY, Alarm.GONE, Alarm.CLOSES):
        hall.disarm(alarm, session)
    tapes.end(hall, occurrence, reason=legs)
    for leg in occurrence.legs.values():
        finish(hall, leg, legs)
    for leg in list(hall.calling.get(session, {}).values()):
        drop_call(hall, leg)
    if ended is not None:
        hall.occurrence_fact(occurrence, "session.ended", reason=ended, started=occurrence.started)


def rearm(hall: Hall, occurrence: Occurrence) -> None:
    """Set the timers that close an occurrence by itself.

    One whose session has an end closes then, and not for being empty (D4).
    """
    spec = occurrence.spec
    hall.disarm(Alarm.EMPTY, spec.id)
    hall.disarm(Alarm.CLOSES, spec.id)
    if spec.closes is not None:
        hall.arm_conf(Alarm.CLOSES, spec.id, spec.closes)
    elif occurrence.empty_since is not None:
        hall.arm_conf(Alarm.EMPTY, spec.id, occurrence.empty_since + hall.config.empty_close_ms)


def on_empty(hall: Hall, session: SessionId) -> None:
    """Close an occurrence that has been empty for long enough (D6)."""
    close(hall, hall.open[session], legs=SESSION_ENDED, ended=ROOM_EMPTY)


def on_window_closed(hall: Hall, session: SessionId) -> None:
    """Close an occurrence at the end of its session's time window."""
    close(hall, hall.open[session], legs=SESSION_ENDED, ended="window_closed")


# --- the organizer is gone (D17) ----------------------------------------------------------


def _organizer_gone(hall: Hall, occurrence: Occurrence, *, hands_over: bool) -> None:
    """Let a started conference go on for a time without its organizer."""
    if _continue_ms(hall, occurrence) == 0 and not hands_over:
        close(hall, occurrence, legs=ORGANIZER_GONE, ended=ORGANIZER_GONE)
        return
    occurrence.gone_at, occurrence.handed_over = hall.at.conf_ms, hands_over
    recount(hall, occurrence)


def _continue_ms(hall: Hall, occurrence: Occurrence) -> int:
    """Return how long a conference goes on without organizer: what the session says, or ours."""
    chosen = occurrence.spec.continue_ms
    return hall.config.organizer_gone_ms if chosen is None else chosen


def recount(hall: Hall, occurrence: Occurrence) -> None:
    """Set the end of a conference whose organizer is gone, also when its session was changed."""
    if not occurrence.started or occurrence.organizers or occurrence.gone_at is None:
        return
    occurrence.gone_ms = _continue_ms(hall, occurrence)
    if occurrence.handed_over and occurrence.gone_ms == 0:
        occurrence.gone_ms = CONTINUE_MS_MAX
    warning = hall.config.organizer_gone_warning_ms
    occurrence.gone_warned = not 0 < warning < occurrence.gone_ms
    _arm_gone(hall, occurrence)


def _arm_gone(hall: Hall, occurrence: Occurrence) -> None:
    assert occurrence.gone_at is not None
    due = occurrence.gone_at + occurrence.gone_ms
    if not occurrence.gone_warned:
        due -= hall.config.organizer_gone_warning_ms
    hall.arm_conf(Alarm.GONE, occurrence.spec.id, due)


def on_gone(hall: Hall, session: SessionId) -> None:
    """Warn, or end, a conference whose organizer did not come back."""
    occurrence = hall.open[session]
    if occurrence.gone_warned:
        close(hall, occurrence, legs=ORGANIZER_GONE, ended=ORGANIZER_GONE)
        return
    occurrence.gone_warned = True
    _arm_gone(hall, occurrence)
    hall.announce(occurrence, prompts.CONTINUE_WARNING)


def organizer_back(hall: Hall, occurrence: Occurrence, leg: Leg) -> None:
    """Note an organizer's leg; what was to end for want of one goes on."""
    leg.role = Role.ORGANIZER
    occurrence.language = leg.language
    controls.on_freed(hall, leg, by=controls.ORGANIZER)
    occurrence.organizers[leg.id] = leg
    occurrence.gone_at = None
    hall.disarm(Alarm.GONE, occurrence.spec.id)


def hand_over(hall: Hall, leg: Leg) -> None:
    """Let an organizer leave while the conference goes on (R18, `#2`)."""
    leg.hands_over = True
    finish(hall, leg, HUNG_UP)
