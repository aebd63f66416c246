"""Orders of the API, the dashboard and the operator: each done, or refused with a stable code.

Knows what an order needs to be possible. It must not know how it is carried out on a leg.
"""

from bridge.conference import api, calls, controls, departures, moves, rooms, tapes
from bridge.conference.admission import LEGS_MAX
from bridge.conference.api import Role, SessionSpec
from bridge.conference.destinations import destination_of
from bridge.conference.hall import Hall
from bridge.conference.legs import Leg
from bridge.conference.numberplan import is_access_code, is_pin
from bridge.conference.occurrences import Occurrence
from bridge.conference.prompts import CLIP, PROMPTS
from bridge.conference.sessions import is_open
from bridge.units import LegId, SessionId


def put_session(hall: Hall, order: api.PutSession) -> None:
    """Create or change a session. Legs that run are not touched (D16)."""
    spec = order.spec
    code, message = _fault_of(hall, spec)
    if code:
        hall.refuse(code, message)
        return
    hall.sessions.put(spec)
    occurrence = hall.open.get(spec.id)
    if occurrence is not None:
        occurrence.spec = spec
        departures.rearm(hall, occurrence)
        departures.recount(hall, occurrence)


def _fault_of(hall: Hall, spec: SessionSpec) -> tuple[str, str]:
    """Return the code and message of what is wrong with a session, two empty texts if nothing.

    No message quotes a code or PIN: messages go into logs.
    """
    known = hall.sessions.get(spec.id)
    holder = hall.sessions.of_code(spec.access_code)
    if hall.sessions.is_cancelled(spec.id):
        return "session_cancelled", f"session {spec.id} is cancelled"
    if not hall.plan.is_access_code(spec.access_code):
        return "bad_access_code", f"access code of {spec.id}: expected 3 to 20 digits, no number"
    if not is_pin(spec.organizer_pin):
        return "bad_pin", f"organizer PIN of {spec.id}: expected 4 to 20 digits"
    if spec.security_code and not is_access_code(spec.security_code):
        return "bad_security_code", f"security code of {spec.id}: expected 3 to 20 digits, or none"
    if holder is not None and holder.id != spec.id:
        return "duplicate_code", f"the access code of {spec.id} is that of {holder.id}"
    if spec.opens is not None and spec.closes is not None and spec.closes <= spec.opens:
        return "bad_window", f"session {spec.id} would close before it opens"
    if known is not None and _fixed(known) != _fixed(spec):
        return "session_fixed", f"account, access code and PIN of {spec.id} never change"
    return "", ""


def _fixed(spec: SessionSpec) -> tuple[str, str, str]:
    """Return what never changes of a session (R10)."""
    return spec.account, spec.access_code, spec.organizer_pin


def set_toll_free(hall: Hall, order: api.SetTollFree) -> None:
    """Switch an account's toll-free numbers on or off; legs that run are not touched."""
    hall.sessions.switch_toll_free(order.account, enabled=order.enabled)


def start_session(hall: Hall, order: api.StartSession) -> None:
    """Start by command (D2)."""
    if _spec_or_refuse(hall, order.session) is None:
        return
    occurrence = hall.open.get(order.session)
    if occurrence is not None and occurrence.started:
        hall.refuse("already_started", f"session {order.session} is started")
    elif occurrence is None or not occurrence.organizers:
        hall.refuse("no_organizer", f"no organizer of session {order.session} is present")
    else:
        rooms.start(hall, occurrence, order.by)


def end_session(hall: Hall, order: api.EndSession) -> None:
    """End the open occurrence."""
    occurrence = _occurrence_or_refuse(hall, order.session)
    if occurrence is not None:
        departures.close(hall, occurrence, legs=departures.SESSION_ENDED, ended="organizer")


def cancel_session(hall: Hall, order: api.CancelSession) -> None:
    """Cancel a session: who waits leaves, and its code is not accepted any more (R6).

    Without an open occurrence one is opened and closed, so that the fact has a subject.
    """
    spec = _spec_or_refuse(hall, order.session)
    if spec is None:
        return
    occurrence = hall.open.get(spec.id) or rooms.open_occurrence(hall, spec)
    ended = "cancelled" if occurrence.started else None
    departures.close(hall, occurrence, legs=departures.SESSION_CANCELLED, ended=ended)
    hall.occurrence_fact(occurrence, "session.cancelled", by=order.by)
    hall.sessions.cancel(spec.id)


def _spec_or_refuse(hall: Hall, session: SessionId) -> SessionSpec | None:
    """Return the session, or refuse the order that names it."""
    spec = hall.sessions.get(session)
    if spec is None and hall.sessions.is_cancelled(session):
        hall.refuse("session_cancelled", f"session {session} is cancelled")
    elif spec is None:
        hall.refuse("unknown_session", f"there is no session {session}")
    return spec


def _occurrence_or_refuse(hall: Hall, session: SessionId) -> Occurrence | None:
    """Return the open occurrence of a session, or refuse the order that names it."""
    if _spec_or_refuse(hall, session) is None:
        return None
    occurrence = hall.open.get(session)
    if occurrence is None:
        hall.refuse("not_open", f"session {session} has no open occurrence")
    return occurrence


# --- controls of a conference (R18) -------------------------------------------------------


def lock_session(hall: Hall, order: api.LockSession) -> None:
    """Lock or unlock the open occurrence."""
    occurrence = _occurrence_or_refuse(hall, order.session)
    if occurrence is not None:
        controls.set_locked(hall, occurrence, locked=order.locked, by=order.by)


def set_lecture(hall: Hall, order: api.SetLecture) -> None:
    """Switch lecture mode of the open occurrence."""
    occurrence = _occurrence_or_refuse(hall, order.session)
    if occurrence is not None:
        controls.set_lecture(hall, occurrence, on=order.on, by=order.by)


def mute_all(hall: Hall, order: api.MuteAll) -> None:
    """Mute or unmute everybody but organizers."""
    occurrence = _occurrence_or_refuse(hall, order.session)
    if occurrence is not None:
        controls.mute_all(hall, occurrence, muted=order.muted, by=order.by)


def record_session(hall: Hall, order: api.RecordSession) -> None:
    """Switch the recording of the open occurrence (R12)."""
    occurrence = _occurrence_or_refuse(hall, order.session)
    if occurrence is None:
        return
    if not hall.config.recording:
        hall.refuse("recording_off", "there is no directory for recordings")
    else:
        tapes.set_recording(hall, occurrence, on=order.on, by=order.by)


def announce(hall: Hall, order: api.Announce) -> None:
    """Play something to everybody in a conference, or to one leg of it."""
    occurrence = _occurrence_or_refuse(hall, order.session)
    if occurrence is None:
        return
    if order.prompt not in PROMPTS and not order.prompt.startswith(CLIP):
        hall.refuse("unknown_prompt", f"there is no prompt {order.prompt!r}")
    elif order.leg is not None:
        _announce_to(hall, occurrence, order)
    elif not occurrence.mixed:
        hall.refuse("nobody_there", f"nobody is in the conference of session {order.session}")
    else:
        hall.announce(occurrence, order.prompt)
        name, by = "announcement.played", order.by
        hall.room_notice(occurrence, name, by=by, reason="order", prompt=order.prompt)


def _announce_to(hall: Hall, occurrence: Occurrence, order: api.Announce) -> None:
    leg = occurrence.admitted.get(LegId(order.leg or ""))
    if leg is None:
        hall.refuse("unknown_leg", f"leg {order.leg} is not in session {order.session}")
        return
    hall.play(leg, order.prompt)
    name, by = "announcement.played", order.by
    hall.leg_notice(leg, name, by=by, reason="order", prompt=order.prompt)


# --- one leg ------------------------------------------------------------------------------


def _leg_or_refuse(hall: Hall, leg_id: LegId) -> Leg | None:
    """Return a leg that is there to stay, or refuse the order that names it."""
    leg = hall.legs.get(leg_id)
    if leg is None:
        hall.refuse("unknown_leg", f"there is no leg {leg_id}")
    elif leg.leaving:
        hall.refuse("leg_leaving", f"leg {leg_id} is leaving")
    else:
        return leg
    return None


def mute_leg(hall: Hall, order: api.MuteLeg) -> None:
    """Mute or unmute a leg; it is not told."""
    leg = _leg_or_refuse(hall, order.leg)
    if leg is not None:
        controls.mute_by_order(hall, leg, muted=order.muted, by=order.by)


def raise_hand(hall: Hall, order: api.RaiseHand) -> None:
    """Raise or lower a participant's hand."""
    leg = _leg_or_refuse(hall, order.leg)
    if leg is None:
        return
    if leg.session is None or leg.role is Role.ORGANIZER:
        hall.refuse("no_participant", f"leg {order.leg} is no participant")
    else:
        controls.set_hand(hall, leg, raised=order.raised, by=order.by, reason="order")


def set_volume(hall: Hall, order: api.SetVolume) -> None:
    """Set how loud a leg is."""
    leg = _leg_or_refuse(hall, order.leg)
    if leg is None:
        return
    low, high = controls.GAIN_DB_MIN, controls.GAIN_DB_MAX
    if not low <= order.gain_db <= high:
        hall.refuse("bad_volume", f"{order.gain_db} dB: expected {low} to {high}")
    elif leg.answered_at is None:
        hall.refuse("not_answered", f"leg {order.leg} is not answered")
    else:
        controls.set_gain(hall, leg, gain_db=order.gain_db, by=order.by)


def call_me(hall: Hall, order: api.CallMe) -> None:
    """Dial a participant (D11)."""
    spec = _spec_or_refuse(hall, order.session)
    if spec is None:
        return
    where = destination_of(order.number, hall.config.call_me_countries, hall.plan)
    occurrence = hall.open.get(spec.id)
    fault = rooms.refusal_of(hall, occurrence) if occurrence is not None else None
    if order.leg in hall.legs:
        hall.refuse("leg_in_use", f"leg {order.leg} is in use")
    elif where.fault:
        hall.refuse(where.fault, where.message)
    elif not is_open(spec, hall.at.conf_ms):
        hall.refuse("session_closed", f"session {spec.id} is outside its time window")
    elif fault is not None or len(hall.legs) >= LEGS_MAX:
        reason = fault[0] if fault is not None else "full"
        hall.refuse(reason, f"session {spec.id}: {reason}")
    else:
        calls.call(hall, order, spec, number=where.e164, country=where.country)


def move_leg(hall: Hall, order: api.MoveLeg) -> None:
    """Take a leg into another session of its account."""
    leg = _leg_or_refuse(hall, order.leg)
    spec = _spec_or_refuse(hall, order.session) if leg is not None else None
    if leg is None or spec is None:
        return
    code, message = moves.fault_of(hall, leg, spec)
    if code:
        hall.refuse(code, message)
    else:
        moves.move(hall, leg, spec, by=order.by)


def kick_leg(hall: Hall, order: api.KickLeg) -> None:
    """End a leg, at whatever point it is."""
    leg = hall.legs.get(order.leg)
    if leg is None:
        hall.refuse("unknown_leg", f"there is no leg {order.leg}")
    elif leg.answered_at is None and leg.outbound:
        departures.drop_call(hall, leg)
    elif leg.answered_at is None:
        departures.forget(hall, leg)
        hall.order(api.RefuseLeg(leg.id, 480, "Temporarily Unavailable"))
    else:
        departures.finish(hall, leg, "kicked")
