"""Waiting room, organizers and start: how an identified leg is let in (D1, D2, D3, D16).

Knows what a leg hears and which facts hold on its way in. It must not know how its code or PIN
was keyed.
"""

from bridge.conference import api, prompts
from bridge.conference.api import LegState, Role, SessionSpec, StartPolicy
from bridge.conference.departures import (
    dismiss,
    finish,
    organizer_back,
    rearm,
)
from bridge.conference.hall import Hall
from bridge.conference.legs import Leg, Move, Playing
from bridge.conference.occurrences import Occurrence
from bridge.conference.timers import Alarm
from bridge.units import LegId, OccurrenceId

BY_ORGANIZER = "organizer"
"""Who started a session that started by an organizer's joining or key."""


# --- in -----------------------------------------------------------------------------------


def identify(hall: Hall, leg: Leg, spec: SessionSpec) -> None:
    """Tie a leg to its session, then let it in at once or say why not."""
    occurrence = hall.open.get(spec.id) or open_occurrence(hall, spec)
    occurrence.legs[leg.id] = leg
    occurrence.empty_since = None
    rearm(hall, occurrence)
    leg.session, leg.occurrence, leg.account = spec.id, occurrence.id, spec.account
    hall.disarm(Alarm.CODE, leg.id)
    hall.member_fact(leg, "leg.identified")
    if not hall.sessions.offers(spec, leg.kind, leg.country):
        dismiss(hall, leg, "not_offered", prompts.NOT_OFFERED)
    elif len(occurrence.admitted) >= hall.config.participants_max:
        dismiss(hall, leg, "full", prompts.FULL)
    else:
        _let_in(hall, occurrence, leg)


def open_occurrence(hall: Hall, spec: SessionSpec) -> Occurrence:
    """Open an occurrence of a session that has none open (D6)."""
    occurrence = Occurrence(OccurrenceId(f"{spec.id}.{hall.ids()}"), spec)
    hall.open[spec.id] = occurrence
    return occurrence


def _let_in(hall: Hall, occurrence: Occurrence, leg: Leg) -> None:
    """Put a leg into the waiting room or the conference; nobody is held back for a PIN."""
    keyed = leg.wants is None
    leg.collector.let_in(hall.at.now_ns + hall.config.pin_window_ns if keyed else None)
    occurrence.admitted[leg.id] = leg
    if not occurrence.started:
        _wait(hall, leg, ask_pin=keyed)
        return
    alone = not occurrence.mixed
    _enter_mix(hall, occurrence, leg)
    hall.tone(occurrence, prompts.BEEP_IN)
    if alone:
        hall.play(leg, prompts.ALONE)


def _wait(hall: Hall, leg: Leg, *, ask_pin: bool) -> None:
    leg.move(Move.WAIT)
    leg.waiting_since = hall.at.conf_ms
    hall.member_fact(leg, "leg.waiting")
    hall.play(leg, *((prompts.PIN, prompts.WAITING) if ask_pin else (prompts.WAITING,)))
    _watch(hall, leg)


def _enter_mix(hall: Hall, occurrence: Occurrence, leg: Leg) -> None:
    leg.move(Move.JOIN)
    leg.joined_at = hall.at.conf_ms
    occurrence.mixed[leg.id] = leg
    hall.disarm(Alarm.WAITING, leg.id)
    hall.member_fact(leg, "leg.joined", role=leg.role.value)
    if leg.muted:
        hall.order(api.SetLegMuted(leg.id, muted=True))
    hall.order(api.EnterMix(leg.id, occurrence.id))
    hall.silence(leg)


# --- inactivity (D1) ----------------------------------------------------------------------


def touch(hall: Hall, leg: Leg) -> None:
    """Note that a waiting leg pressed a key: it goes on waiting, and prompts give way."""
    if leg.playing is Playing.PROMPT:
        hall.play_music(leg)
    if hall.config.waiting_keys_count and leg.role is Role.PARTICIPANT:
        _watch(hall, leg)


def _watch(hall: Hall, leg: Leg) -> None:
    """Count inactivity from this moment."""
    config = hall.config
    leg.active_at = hall.at.conf_ms
    leg.warned = not 0 < config.waiting_warning_ms < config.waiting_timeout_ms
    if config.waiting_timeout_ms > 0:
        _arm_watch(hall, leg)


def _arm_watch(hall: Hall, leg: Leg) -> None:
    assert leg.active_at is not None
    due = leg.active_at + hall.config.waiting_timeout_ms
    if not leg.warned:
        due -= hall.config.waiting_warning_ms
    hall.arm_conf(Alarm.WAITING, leg.id, due)


def on_inactive(hall: Hall, leg_id: LegId) -> None:
    """Warn a waiting leg, or end it; at once, since a goodbye would be billed."""
    leg = hall.legs[leg_id]
    if leg.warned:
        finish(hall, leg, "waiting_timeout")
        return
    leg.warned = True
    _arm_watch(hall, leg)
    hall.play(leg, prompts.WAITING_WARNING)


# --- organizer and start (D2) -------------------------------------------------------------


def make_organizer(hall: Hall, leg: Leg) -> None:
    """Make an admitted leg an organizer's: its PIN was right."""
    assert leg.session is not None
    occurrence = hall.open[leg.session]
    leg.collector.close_window()
    hall.disarm(Alarm.WAITING, leg.id)
    organizer_back(hall, occurrence, leg)
    hall.occurrence_fact(occurrence, "organizer.joined", leg=leg.id)
    if occurrence.started:
        return
    if occurrence.spec.start is StartPolicy.ON_JOIN:
        start(hall, occurrence, BY_ORGANIZER)
    else:
        hall.play(leg, prompts.ORGANIZER_WELCOME, prompts.START_HINT)


def start(hall: Hall, occurrence: Occurrence, by: str) -> None:
    """Start the session: everyone who waits joins, organizers first, then in order of coming."""
    occurrence.started = True
    hall.occurrence_fact(occurrence, "session.started", by=by)
    waiting = [leg for leg in occurrence.legs.values() if leg.state is LegState.WAITING]
    for leg in sorted(waiting, key=lambda leg: leg.role is not Role.ORGANIZER):
        _enter_mix(hall, occurrence, leg)
    hall.tone(occurrence, prompts.BEEP_IN)
