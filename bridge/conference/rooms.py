"""Waiting room, organizers and start: how an identified leg is let in (D1, D2, D3, D16).

Knows what a leg hears and which facts hold on its way in. It must not know how its code or PIN
was keyed.
"""

from bridge.conference import api, controls, prompts, tapes
from bridge.conference.api import LegState, Role, SessionSpec, StartPolicy
from bridge.conference.departures import finish, organizer_back, rearm
from bridge.conference.hall import Hall
from bridge.conference.legs import Leg, Move, Playing
from bridge.conference.occurrences import Occurrence
from bridge.conference.timers import Alarm
from bridge.units import LegId, OccurrenceId

BY_ORGANIZER = "organizer"
"""Who started a session that started by an organizer's joining or key."""


# --- in -----------------------------------------------------------------------------------


def refusal_of(hall: Hall, occurrence: Occurrence) -> tuple[str, str] | None:
    """Return why nobody else may come in, as reason and prompt."""
    if occurrence.locked:
        return "locked", prompts.LOCKED
    if len(occurrence.admitted) >= seats_of(hall, occurrence):
        return "full", prompts.FULL
    return None


def seats_of(hall: Hall, occurrence: Occurrence) -> int:
    """Return how many may be let in: what the session says, never more than the bridge's limit."""
    limit = hall.config.participants_max
    return min(occurrence.spec.participants_max or limit, limit)


def enter_occurrence(hall: Hall, leg: Leg, spec: SessionSpec) -> Occurrence:
    """Tie a leg to the open occurrence of a session; one is opened when there is none."""
    occurrence = hall.open.get(spec.id) or open_occurrence(hall, spec)
    occurrence.legs[leg.id] = leg
    occurrence.empty_since = None
    rearm(hall, occurrence)
    leg.session, leg.occurrence, leg.account = spec.id, occurrence.id, spec.account
    leg.home = leg.home or (spec.id, occurrence.id)
    return occurrence


def open_occurrence(hall: Hall, spec: SessionSpec) -> Occurrence:
    """Open an occurrence of a session that has none open (D6)."""
    occurrence = Occurrence(OccurrenceId(f"{spec.id}.{hall.ids()}"), spec)
    occurrence.language = hall.config.language
    occurrence.record = hall.config.recording and hall.config.recording_on
    hall.open[spec.id] = occurrence
    return occurrence


def let_in(hall: Hall, occurrence: Occurrence, leg: Leg, *, keyed: bool) -> None:
    """Put a leg into the waiting room or the conference; nobody is held back for a PIN.

    `keyed`: it keyed its code, so a PIN may follow.
    """
    leg.collector.let_in(hall.at.now_ns + hall.config.pin_window_ns if keyed else None)
    occurrence.admitted[leg.id] = leg
    controls.on_let_in(hall, occurrence, leg)
    if not occurrence.started:
        _wait(hall, leg, ask_pin=keyed)
        return
    others = len(occurrence.mixed)
    _enter_mix(hall, occurrence, leg)
    hall.tell_entry(occurrence, leg, came=True)
    tapes.apply(hall, occurrence, by=leg.id, reason="joined", aloud=False)
    names = _welcome(hall, occurrence, others)
    if names:
        hall.play(leg, *names)


def _welcome(hall: Hall, occurrence: Occurrence, others: int) -> tuple[str, ...]:
    """Return what a leg hears when it joins a conference that goes on."""
    names = (prompts.RECORDED,) if occurrence.recording else ()
    if occurrence.lecture:
        names = (*names, prompts.LECTURE_MUTED)
    if others == 0:
        return (*names, prompts.ALONE)
    if hall.config.entry_count:
        return (*names, prompts.PEOPLE, *prompts.number(others + 1))
    return names


def _wait(hall: Hall, leg: Leg, *, ask_pin: bool) -> None:
    leg.move(Move.WAIT)
    if leg.waiting_since is None:
        hall.member_fact(leg, "leg.waiting")
    leg.waiting_since = hall.at.conf_ms
    if leg.muted:
        hall.order(api.SetLegMuted(leg.id, muted=True))
    hall.play(leg, *((prompts.PIN, prompts.WAITING) if ask_pin else (prompts.WAITING,)))
    _watch(hall, leg)


def _enter_mix(hall: Hall, occurrence: Occurrence, leg: Leg) -> None:
    leg.move(Move.JOIN)
    occurrence.mixed[leg.id] = leg
    hall.disarm(Alarm.WAITING, leg.id)
    if leg.joined_at is None:  # moved from another conference otherwise
        hall.member_fact(leg, "leg.joined", role=leg.role.value)
    leg.joined_at = hall.at.conf_ms
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
    hall.tell_entry(occurrence, None, came=True)
    tapes.apply(hall, occurrence, by=by, reason="session_started", aloud=True)
